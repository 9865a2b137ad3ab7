//! What a lock service, and a call of it, may be told.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    codec::option_text::{check_prefix, read_options, within},
    error::{Error, Result},
};

/// Most attempts after the first, and the bounds of the pause before each.
const MAX_RETRIES: f64 = 10.0;
const RETRY_DELAY_MS: [f64; 2] = [10.0, 1_000.0];
/// Bounds of the time that a lock is held unless it is extended.
const TTL_SECONDS: [f64; 2] = [1.0, 300.0];
/// Longest wait for a lock.
const MAX_WAIT_SECONDS: f64 = 3_600.0;

/// Options of a service, as JSON gives them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LockOptions {
    /// In front of every resource. Default `lock:`.
    pub prefix: String,
    /// Attempts after the first, of calls that say nothing else. Default 10; 0 to 10.
    pub max_retries: f64,
    /// Milliseconds between attempts, give or take half. Default 50; 10 to 1,000.
    pub retry_delay_ms: f64,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self { prefix: "lock:".to_owned(), max_retries: 10.0, retry_delay_ms: 50.0 }
    }
}

impl LockOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        check_prefix(&options.prefix)?;
        within(options.max_retries, [0.0, MAX_RETRIES], true)
            .map_err(|allowed| Error::invalid_option("maxRetries", &options.max_retries.to_string(), &allowed))?;
        within(options.retry_delay_ms, RETRY_DELAY_MS, false)
            .map_err(|allowed| Error::invalid_option("retryDelayMs", &options.retry_delay_ms.to_string(), &allowed))?;
        Ok(options)
    }
}

/// How long a call tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Attempts after the first.
    Retries(u32),
    For(Duration),
}

/// How a lock is to be taken.
#[derive(Clone, Debug)]
pub struct Acquisition {
    pub ttl: Duration,
    /// Instead of a token made up for this holder.
    pub identifier: Option<String>,
    pub wait: Wait,
    pub retry_delay: Duration,
}

impl Acquisition {
    /// From the arguments of a call: seconds, text, a count, milliseconds, seconds.
    ///
    /// # Errors
    /// `InvalidArgument` with the argument's name.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number up to 10"
    )]
    pub fn new(
        options: &LockOptions,
        ttl: f64,
        identifier: Option<String>,
        max_retries: Option<f64>,
        retry_delay_ms: Option<f64>,
        wait: Option<f64>,
    ) -> Result<Self> {
        let ttl = ttl_argument(ttl)?;
        if identifier.as_ref().is_some_and(|identifier| identifier.is_empty() || identifier.len() > 256) {
            return Err(Error::invalid_argument("identifier", "empty or too long", "1 to 256 bytes"));
        }
        if max_retries.is_some() && wait.is_some() {
            return Err(Error::invalid_argument("wait", "given beside `maxRetries`", "one of the two"));
        }
        let max_retries = max_retries.unwrap_or(options.max_retries);
        argument("maxRetries", max_retries, [0.0, MAX_RETRIES], true)?;
        let retry_delay_ms = retry_delay_ms.unwrap_or(options.retry_delay_ms);
        argument("retryDelayMs", retry_delay_ms, RETRY_DELAY_MS, false)?;
        let wait = match wait {
            Some(wait) => {
                argument("wait", wait, [0.0, MAX_WAIT_SECONDS], false)?;
                Wait::For(Duration::from_secs_f64(wait))
            }
            None => Wait::Retries(max_retries as u32),
        };
        Ok(Self { ttl, identifier, wait, retry_delay: Duration::from_secs_f64(retry_delay_ms / 1_000.0) })
    }
}

/// Seconds that a lock is held.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn ttl_argument(seconds: f64) -> Result<Duration> {
    argument("ttl", seconds, TTL_SECONDS, false)?;
    Ok(Duration::from_secs_f64(seconds))
}

fn argument(name: &str, number: f64, bounds: [f64; 2], whole: bool) -> Result<()> {
    within(number, bounds, whole).map_err(|allowed| Error::invalid_argument(name, &number.to_string(), &allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for (text, option) in [
            (r#"{"maxRetries":11}"#, "maxRetries"),
            (r#"{"maxRetries":0.5}"#, "maxRetries"),
            (r#"{"retryDelayMs":9}"#, "retryDelayMs"),
            (r#"{"other":1}"#, "other"),
        ] {
            let error = LockOptions::from_json(text).unwrap_err();
            assert!(error.message().contains(&format!("`{option}`")), "{error}");
        }
        let options = LockOptions::default();
        let table = [
            (0.5, None, None, None, "ttl"),
            (301.0, None, None, None, "ttl"),
            (f64::NAN, None, None, None, "ttl"),
            (30.0, Some(-1.0), None, None, "maxRetries"),
            (30.0, None, Some(1_001.0), None, "retryDelayMs"),
            (30.0, None, None, Some(3_601.0), "wait"),
            (30.0, Some(1.0), None, Some(1.0), "wait"),
        ];
        for (ttl, retries, delay, wait, argument) in table {
            let error = Acquisition::new(&options, ttl, None, retries, delay, wait).unwrap_err();
            assert!(error.message().contains(&format!("`{argument}`")), "{error}");
        }
    }
}
