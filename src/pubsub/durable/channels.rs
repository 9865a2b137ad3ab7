//! The channels of a service that are kept.

use std::sync::Arc;

use super::{
    group_options::{GroupOptions, position},
    group_reader::{GroupListener, GroupReader},
    scripts::{self, Member, bytes, entry},
};
use crate::{
    codec::resp::Value,
    connection::{Command, Link, SubscriptionKind},
    error::{Error, Result},
    pubsub::ChannelPrefix,
};

/// Most messages of a channel that may be kept.
const MOST_KEPT: u64 = 1_000_000_000;
/// Most dead messages of one call.
const MOST_LISTED: u64 = 1_000;

/// A message that was handed over too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMessage {
    /// That it had in the channel.
    pub id: String,
    pub deliveries: u32,
    pub payload: Vec<u8>,
    /// Where it is among the dead ones, to go on from.
    pub place: String,
}

/// A group of subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: String,
    pub consumers: i64,
    /// Messages that were handed over and not acknowledged.
    pub pending: i64,
    pub last_delivered: String,
    /// Messages that were not handed over yet, where the server knows (Redis 7).
    pub lag: Option<i64>,
}

/// Publishes to, and opens groups of, channels that are kept. Cheap to clone.
#[derive(Clone)]
pub struct DurableChannels {
    link: Arc<dyn Link>,
    prefix: ChannelPrefix,
    key_prefix: String,
    consumer: String,
}

impl DurableChannels {
    /// `key_prefix` stands in front of every key.
    pub fn new(link: Arc<dyn Link>, prefix: ChannelPrefix, key_prefix: String) -> Self {
        // Nobody else has the name: what a process left is told from what another one has.
        let consumer = format!("{:032x}", fastrand::u128(..));
        Self { link, prefix, key_prefix, consumer }
    }

    /// Adds a message, and returns its id. About `max_length` messages of the channel are kept.
    ///
    /// # Errors
    /// `InvalidArgument`; what the connection gives.
    pub async fn append(&self, channel: &str, payload: &[u8], max_length: u64) -> Result<String> {
        if !(1..=MOST_KEPT).contains(&max_length) {
            let allowed = format!("1 to {MOST_KEPT}");
            return Err(Error::invalid_argument("maxLength", &max_length.to_string(), &allowed));
        }
        scripts::append(&*self.link, &self.stream(channel)?, max_length, payload).await
    }

    /// Joins a group of a channel.
    ///
    /// # Errors
    /// `InvalidArgument`; what the connection gives.
    pub async fn join(
        &self,
        channel: &str,
        group: &str,
        options: GroupOptions,
        listener: Arc<dyn GroupListener>,
    ) -> Result<GroupReader> {
        let (stream, dead) = (self.stream(channel)?, self.dead_stream(channel, group)?);
        let member = Member { stream, dead, group: group.to_owned(), consumer: self.consumer.clone() };
        GroupReader::join(Arc::clone(&self.link), member, options, listener).await
    }

    /// Lets a group begin again: `new`, `start`, or after the message of an id.
    ///
    /// # Errors
    /// `InvalidArgument` for the place; `Reply` when there is no such group; what the connection gives.
    pub async fn replay(&self, channel: &str, group: &str, from: &str) -> Result<()> {
        let place = position(from).map_err(|()| {
            Error::invalid_argument("from", &format!("`{from}`"), "`new`, `start`, or the id of a message")
        })?;
        check_group(group)?;
        let stream = self.stream(channel)?;
        let command = Command::new("XGROUP").arg("SETID").key(&stream).arg(group).arg(place).repeatable();
        self.link.call(command).await.map(drop)?;
        // Readers look at once.
        self.link.call(Command::new("PUBLISH").arg(&stream).arg("")).await.map(drop)
    }

    /// Dead messages of a group, the oldest first, after the one at a place.
    ///
    /// # Errors
    /// `InvalidArgument`; what the connection gives.
    pub async fn dead(&self, channel: &str, group: &str, after: &str, count: u64) -> Result<Vec<DeadMessage>> {
        if !(1..=MOST_LISTED).contains(&count) {
            return Err(Error::invalid_argument("count", &count.to_string(), &format!("1 to {MOST_LISTED}")));
        }
        let start = if after.is_empty() { "-".to_owned() } else { format!("({after}") };
        let command = Command::new("XRANGE")
            .key(self.dead_stream(channel, group)?)
            .arg(start)
            .arg("+")
            .arg("COUNT")
            .arg(count.to_string())
            .repeatable();
        self.link.call(command).await?.into_items()?.into_iter().map(dead_message).collect()
    }

    /// The groups of a channel; none when it has no message yet.
    ///
    /// # Errors
    /// `InvalidArgument`; what the connection gives.
    pub async fn groups(&self, channel: &str) -> Result<Vec<GroupInfo>> {
        let command = Command::new("XINFO").arg("GROUPS").key(self.stream(channel)?).repeatable();
        match self.link.call(command).await {
            Err(error) if error.message().contains("no such key") => Ok(Vec::new()),
            reply => reply?.into_items()?.into_iter().map(group_info).collect(),
        }
    }

    fn stream(&self, channel: &str) -> Result<String> {
        if channel.is_empty() {
            return Err(Error::invalid_argument("channel", "empty", "a channel name"));
        }
        // In braces, so that what belongs to it is in its slot.
        Ok(format!("{}channel:{{{}}}", self.key_prefix, self.prefix.add(SubscriptionKind::Channel, channel)))
    }

    fn dead_stream(&self, channel: &str, group: &str) -> Result<String> {
        check_group(group)?;
        Ok(format!("{}:dead:{group}", self.stream(channel)?))
    }
}

fn check_group(group: &str) -> Result<()> {
    if group.is_empty() {
        return Err(Error::invalid_argument("group", "empty", "the name of a group"));
    }
    Ok(())
}

fn dead_message(row: Value) -> Result<DeadMessage> {
    let Value::Array(mut parts) = row else {
        return Err(Error::unexpected_reply("dead messages", "no message"));
    };
    let fields = parts.get(1).cloned().unwrap_or(Value::Nil).into_items()?;
    let place = entry(Value::Array(std::mem::take(&mut parts)))?
        .ok_or_else(|| Error::unexpected_reply("dead messages", "no message"))?;
    let mut dead = DeadMessage { id: String::new(), deliveries: 0, payload: place.payload, place: place.id };
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &*bytes(name)? {
            b"id" => dead.id = value.into_text()?,
            b"deliveries" => dead.deliveries = u32::try_from(value.into_int()?).unwrap_or(u32::MAX),
            _ => {}
        }
    }
    Ok(dead)
}

fn group_info(row: Value) -> Result<GroupInfo> {
    let mut info =
        GroupInfo { name: String::new(), consumers: 0, pending: 0, last_delivered: String::new(), lag: None };
    let mut fields = row.into_items()?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &*bytes(name)? {
            b"name" => info.name = value.into_text()?,
            b"consumers" => info.consumers = value.into_int()?,
            b"pending" => info.pending = value.into_int()?,
            b"last-delivered-id" => info.last_delivered = value.into_text()?,
            b"lag" if !value.is_nil() => info.lag = Some(value.into_int()?),
            _ => {}
        }
    }
    Ok(info)
}
