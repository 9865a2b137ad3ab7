//! Publishing, and asking who listens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{channel_prefix::ChannelPrefix, options::PubSubOptions, subscriber::unsupported};
use crate::{
    connection::{Command, Link, SubscriptionKind},
    error::{Error, Result},
};

/// First wait before a repeated publish; doubles up to [`LONGEST_RETRY_WAIT`].
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(50);
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(1);

/// An attempt that is made is given time to be answered at once.
const LEAST_DEADLINE: Duration = Duration::from_millis(1);

/// Publishes to the channels of one service.
#[derive(Clone)]
pub struct Publisher {
    link: Arc<dyn Link>,
    prefix: ChannelPrefix,
    retries: u32,
    timeout: Option<Duration>,
}

impl Publisher {
    pub fn new(link: Arc<dyn Link>, options: &PubSubOptions) -> Self {
        Self {
            link,
            prefix: ChannelPrefix::new(&options.channel_prefix),
            retries: if options.retry_on_error { options.max_retries } else { 0 },
            timeout: options.publish_timeout.map(Duration::from_millis),
        }
    }

    /// Publishes `payload` and returns how many subscribers of this server got it. Waits for a connection, and repeats with
    /// `retryOnError`, for as long as `timeout`, or else `publishTimeout`, allows.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty channel; `UnsupportedCommand` for a sharded channel on a server that has none; what
    /// the connection gives, after `maxRetries` repetitions with `retryOnError`.
    pub async fn publish(
        &self,
        channel: &str,
        payload: &[u8],
        sharded: bool,
        timeout: Option<Duration>,
    ) -> Result<i64> {
        let name = self.name(channel)?;
        let until = timeout.or(self.timeout).map(|timeout| Instant::now() + timeout);
        let (mut wait, mut left) = (FIRST_RETRY_WAIT, self.retries);
        loop {
            let mut command = if sharded {
                Command::new("SPUBLISH").key(&name).arg(payload)
            } else {
                Command::new("PUBLISH").arg(&name).arg(payload)
            };
            if let Some(until) = until {
                command = command.deadline(until.saturating_duration_since(Instant::now()).max(LEAST_DEADLINE));
            }
            match self.link.call(command).await {
                Err(error)
                    if left > 0 && error.is_retryable() && until.is_none_or(|until| Instant::now() + wait < until) =>
                {
                    left -= 1;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_RETRY_WAIT);
                }
                Err(error) => return Err(unsupported(error, kind(sharded)).with("channel", channel)),
                Ok(reply) => return reply.into_int(),
            }
        }
    }

    /// How many subscribers a channel has on this server, pattern subscribers not counted.
    pub async fn count_subscribers(&self, channel: &str, sharded: bool) -> Result<i64> {
        let question = if sharded { "SHARDNUMSUB" } else { "NUMSUB" };
        let command = Command::new("PUBSUB").arg(question).arg(self.name(channel)?).repeatable();
        let mut items = self.link.call(command).await?.into_items()?;
        if items.len() != 2 {
            return Err(Error::unexpected_reply("count subscribers", "not one pair"));
        }
        items.swap_remove(1).into_int()
    }

    /// How many patterns are subscribed to on this server, whosever they are.
    pub async fn count_patterns(&self) -> Result<i64> {
        self.link.call(Command::new("PUBSUB").arg("NUMPAT").repeatable()).await?.into_int()
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

fn kind(sharded: bool) -> SubscriptionKind {
    if sharded { SubscriptionKind::Shard } else { SubscriptionKind::Channel }
}
