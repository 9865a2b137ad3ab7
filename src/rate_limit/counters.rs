//! Where limiters count: one key for each of the caller's, on one server.

use std::{sync::Arc, time::Duration};

use super::decision::Decision;
use crate::{
    connection::{Command, Link},
    error::{Error, Result},
    script::ScriptCall,
};

/// Longest key of a caller, in bytes.
const MAX_KEY: usize = 512;

#[derive(Clone)]
pub(super) struct Counters {
    pub(super) link: Arc<dyn Link>,
    prefix: Arc<str>,
    timeout: Duration,
}

impl Counters {
    /// `timeout_ms` is how long the server is waited for.
    pub(super) fn new(link: Arc<dyn Link>, prefix: &str, timeout_ms: f64) -> Self {
        Self { link, prefix: prefix.into(), timeout: Duration::from_secs_f64(timeout_ms / 1_000.0) }
    }

    /// The stored key.
    ///
    /// # Errors
    /// `InvalidArgument` for a key that is empty or too long.
    pub(super) fn key(&self, key: &str) -> Result<String> {
        if key.is_empty() || key.len() > MAX_KEY {
            let got = format!("{} bytes long", key.len());
            return Err(Error::invalid_argument("key", &got, &format!("1 to {MAX_KEY} bytes")));
        }
        Ok([&self.prefix, key].concat())
    }

    /// Runs a script that decides. Sent once: it may have counted.
    pub(super) async fn decide(&self, call: ScriptCall) -> Result<Decision> {
        Decision::read(call.deadline(self.timeout).run(&*self.link).await?)
    }

    /// Runs a script that answers with yes or no, and may be sent again.
    pub(super) async fn is_done(&self, call: ScriptCall) -> Result<bool> {
        Ok(call.deadline(self.timeout).repeatable().run(&*self.link).await?.into_int()? == 1)
    }

    /// Forgets a key; whether there was anything.
    pub(super) async fn forget(&self, key: &str) -> Result<bool> {
        let forget = Command::new("UNLINK").key(self.key(key)?).repeatable().deadline(self.timeout);
        Ok(self.link.call(forget).await?.into_int()? == 1)
    }
}
