//! What a pub/sub service can be told.

use serde::Deserialize;

use crate::{
    codec::option_text::read_options,
    error::{Error, Result},
};

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serializer {
    #[default]
    Json,
    MsgPack,
}

/// What happens when too much waits for the handlers of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// What arrives is dropped.
    #[default]
    DropNewest,
    /// What has waited longest is dropped.
    DropOldest,
    /// The subscription is ended, as Redis itself ends the connection of a client that does not read.
    Close,
}

/// How one subscription buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FlowOptions {
    /// Messages that its handlers take at one time, 1 to 1,000. Default: that of the service.
    pub concurrency: Option<usize>,
    /// Default: that of the service.
    pub overflow: Option<Overflow>,
    /// Default: that of the service.
    pub max_pending_messages: Option<usize>,
}

impl FlowOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        if let Some(concurrency) = options.concurrency {
            check_concurrency(concurrency)?;
        }
        if options.max_pending_messages == Some(0) {
            return Err(at_least_one("maxPendingMessages"));
        }
        Ok(options)
    }
}

fn check_concurrency(concurrency: usize) -> Result<()> {
    if (1..=1_000).contains(&concurrency) {
        return Ok(());
    }
    Err(Error::invalid_option("concurrency", &concurrency.to_string(), "1 to 1000"))
}

fn at_least_one(option: &str) -> Error {
    Error::invalid_option(option, "0", "at least 1")
}

/// Options of a service, as JSON gives them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PubSubOptions {
    /// Stands in front of every channel and pattern, joined by `:`. Default: none.
    pub channel_prefix: String,
    pub serializer: Serializer,
    /// Repeats a publish that failed in a way that may pass. A message may then arrive twice. Default false.
    pub retry_on_error: bool,
    /// How often at most. Default 3.
    pub max_retries: u32,
    /// Milliseconds that a publish may take, waits for a connection and repetitions included. Default: as long as the
    /// connection's `commandTimeout` and the repetitions allow.
    pub publish_timeout: Option<u64>,
    /// Messages of one channel or pattern that its handlers take at one time. Default 1.
    pub concurrency: usize,
    /// What happens when too much waits for handlers. Default: what arrives is dropped.
    pub overflow: Overflow,
    /// Messages of one channel or pattern that may wait for their handlers. Default 10,000.
    pub max_pending_messages: usize,
    /// Bytes of payload that may wait likewise. Default 64 MiB.
    pub max_pending_bytes: usize,
    /// Bytes of payload that may wait for the handlers of all subscriptions together. Default 256 MiB.
    pub max_total_pending_bytes: usize,
}

impl Default for PubSubOptions {
    fn default() -> Self {
        Self {
            channel_prefix: String::new(),
            serializer: Serializer::Json,
            retry_on_error: false,
            max_retries: 3,
            publish_timeout: None,
            concurrency: 1,
            overflow: Overflow::DropNewest,
            max_pending_messages: 10_000,
            max_pending_bytes: 64 << 20,
            max_total_pending_bytes: 256 << 20,
        }
    }
}

impl PubSubOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<()> {
        if self.max_retries > 100 {
            return Err(Error::invalid_option("maxRetries", &self.max_retries.to_string(), "0 to 100"));
        }
        if self.publish_timeout == Some(0) {
            return Err(at_least_one("publishTimeout"));
        }
        check_concurrency(self.concurrency)?;
        for (option, bound) in [
            ("maxPendingMessages", self.max_pending_messages),
            ("maxPendingBytes", self.max_pending_bytes),
            ("maxTotalPendingBytes", self.max_total_pending_bytes),
        ] {
            if bound == 0 {
                return Err(at_least_one(option));
            }
        }
        Ok(())
    }
}
