//! Publishing, and asking who listens.

use std::{sync::Arc, time::Duration};

use super::{channel_prefix::ChannelPrefix, options::PubSubOptions};
use crate::{
    connection::{Command, Link, SubscriptionKind},
    error::{Error, Result},
};

/// First wait before a repeated publish; doubles up to [`LONGEST_RETRY_WAIT`].
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(50);
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(1);

/// Publishes to the channels of one service.
#[derive(Clone)]
pub struct Publisher {
    link: Arc<dyn Link>,
    prefix: ChannelPrefix,
    retries: u32,
}

impl Publisher {
    pub fn new(link: Arc<dyn Link>, options: &PubSubOptions) -> Self {
        Self {
            link,
            prefix: ChannelPrefix::new(&options.channel_prefix),
            retries: if options.retry_on_error { options.max_retries } else { 0 },
        }
    }

    /// Publishes `payload` and returns how many subscribers of this server got it.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty channel; what the connection gives, after `maxRetries` repetitions with
    /// `retryOnError`.
    pub async fn publish(&self, channel: &str, payload: &[u8]) -> Result<i64> {
        let name = self.name(channel)?;
        let mut wait = FIRST_RETRY_WAIT;
        let mut left = self.retries;
        loop {
            match self.link.call(Command::new("PUBLISH").arg(&name).arg(payload)).await {
                Err(error) if left > 0 && error.is_retryable() => {
                    left -= 1;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_RETRY_WAIT);
                }
                Err(error) => return Err(error.with("channel", channel)),
                Ok(reply) => return reply.into_int(),
            }
        }
    }

    /// How many subscribers a channel has on this server, pattern subscribers not counted.
    pub async fn count_subscribers(&self, channel: &str) -> Result<i64> {
        let command = Command::new("PUBSUB").arg("NUMSUB").arg(self.name(channel)?).repeatable();
        let reply = self.link.call(command).await?;
        let mut items = reply.into_items()?;
        if items.len() != 2 {
            return Err(Error::unexpected_reply("count subscribers", "not one pair"));
        }
        items.swap_remove(1).into_int()
    }

    /// Round trip to the server.
    pub async fn ping(&self) -> Result<String> {
        self.link.call(Command::new("PING").repeatable()).await?.into_text()
    }

    fn name(&self, channel: &str) -> Result<String> {
        if channel.is_empty() {
            return Err(Error::invalid_argument("channel", "empty", "a channel name"));
        }
        Ok(self.prefix.add(SubscriptionKind::Channel, channel))
    }
}
