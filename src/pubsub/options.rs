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
    /// Messages of one channel or pattern that may wait for their handlers. Default 10,000.
    pub max_pending_messages: usize,
    /// Bytes of payload that may wait likewise. Default 64 MiB.
    pub max_pending_bytes: usize,
}

impl Default for PubSubOptions {
    fn default() -> Self {
        Self {
            channel_prefix: String::new(),
            serializer: Serializer::Json,
            retry_on_error: false,
            max_retries: 3,
            max_pending_messages: 10_000,
            max_pending_bytes: 64 << 20,
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
        if self.max_pending_messages == 0 {
            return Err(Error::invalid_option("maxPendingMessages", "0", "at least 1"));
        }
        if self.max_pending_bytes == 0 {
            return Err(Error::invalid_option("maxPendingBytes", "0", "at least 1"));
        }
        Ok(())
    }
}
