//! What limiters may be told.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    codec::option_text::{check_prefix, read_options, within},
    error::{Error, Result},
};

/// Bounds of what is counted, of the seconds in which, and of the milliseconds that the server is waited for.
const LIMIT: [f64; 2] = [1.0, 1e9];
const WINDOW_SECONDS: [f64; 2] = [0.1, 31_536_000.0];
const TIMEOUT_MS: [f64; 2] = [10.0, 60_000.0];
/// Bounds of slots, whose holders are listed, and of the seconds until one that is not extended is free.
const SLOTS: [f64; 2] = [1.0, 100_000.0];
const LEASE_SECONDS: [f64; 2] = [1.0, 300.0];
const RETRY_DELAY_MS: [f64; 2] = [10.0, 1_000.0];

/// How calls are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// In windows that begin with their first call. Twice the limit may pass around the end of a window.
    FixedWindow,
    /// In a window that ends now, by two counters: the last slot's calls weigh as if they had come evenly.
    #[default]
    SlidingWindow,
    /// A bucket that fills evenly, and holds `burst`.
    TokenBucket,
}

/// Options of a [`super::RateLimiter`], as JSON gives them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimiterOptions {
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How much is allowed in a window. An integer.
    pub limit: f64,
    /// Seconds.
    pub window: f64,
    /// What the bucket holds. Default `limit`.
    #[serde(default)]
    pub burst: Option<f64>,
    /// In front of every key. Default `rate_limit:`.
    #[serde(default = "rate_limit")]
    pub prefix: String,
    /// Milliseconds that the server is waited for. Default 1,000.
    #[serde(default = "one_second")]
    pub timeout: f64,
}

fn rate_limit() -> String {
    "rate_limit:".to_owned()
}

fn one_second() -> f64 {
    1_000.0
}

impl RateLimiterOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        option("limit", options.limit, LIMIT, true)?;
        option("window", options.window, WINDOW_SECONDS, false)?;
        if let Some(burst) = options.burst {
            option("burst", burst, LIMIT, true)?;
            if options.algorithm != Algorithm::TokenBucket {
                return Err(Error::invalid_option("burst", "given", "nothing, unless `algorithm` is `token-bucket`"));
            }
        }
        check_prefix(&options.prefix)?;
        option("timeout", options.timeout, TIMEOUT_MS, false)?;
        Ok(options)
    }

    /// The most that one call can be allowed.
    pub(super) fn most(&self) -> f64 {
        self.burst.unwrap_or(self.limit)
    }
}

/// Options of a [`super::ConcurrencyLimiter`], as JSON gives them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConcurrencyLimiterOptions {
    /// Slots of each key. An integer.
    pub limit: f64,
    /// Seconds until a slot that is not extended is free. Default 30.
    #[serde(default = "half_a_minute")]
    pub lease: f64,
    /// In front of every key. Default `concurrency:`.
    #[serde(default = "concurrency")]
    pub prefix: String,
    /// Milliseconds that the server is waited for. Default 1,000.
    #[serde(default = "one_second")]
    pub timeout: f64,
    /// Milliseconds between attempts while a call waits for a slot, give or take half. Default 50.
    #[serde(default = "fifty")]
    pub retry_delay_ms: f64,
}

fn half_a_minute() -> f64 {
    30.0
}

fn concurrency() -> String {
    "concurrency:".to_owned()
}

fn fifty() -> f64 {
    50.0
}

impl ConcurrencyLimiterOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        option("limit", options.limit, SLOTS, true)?;
        option("lease", options.lease, LEASE_SECONDS, false)?;
        check_prefix(&options.prefix)?;
        option("timeout", options.timeout, TIMEOUT_MS, false)?;
        option("retryDelayMs", options.retry_delay_ms, RETRY_DELAY_MS, false)?;
        Ok(options)
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs_f64(self.lease)
    }
}

/// As a script takes a number: whole, because it was checked or because less than one makes no difference.
pub(super) fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn option(name: &str, number: f64, bounds: [f64; 2], is_whole: bool) -> Result<()> {
    within(number, bounds, is_whole).map_err(|allowed| Error::invalid_option(name, &number.to_string(), &allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, option) in [
            (r#"{"window":1}"#, "limit"),
            (r#"{"limit":0,"window":1}"#, "limit"),
            (r#"{"limit":1.5,"window":1}"#, "limit"),
            (r#"{"limit":1,"window":0}"#, "window"),
            (r#"{"limit":1,"window":1,"burst":2}"#, "burst"),
            (r#"{"limit":1,"window":1,"algorithm":"leaky"}"#, "algorithm"),
            (r#"{"limit":1,"window":1,"timeout":1}"#, "timeout"),
            (r#"{"limit":1,"window":1,"max":1}"#, "max"),
        ] {
            let error = RateLimiterOptions::from_json(text).unwrap_err();
            assert!(error.message().contains(&format!("`{option}`")), "{error}");
        }
        for (text, option) in [
            ("{}", "limit"),
            (r#"{"limit":100001}"#, "limit"),
            (r#"{"limit":1,"lease":0.5}"#, "lease"),
            (r#"{"limit":1,"retryDelayMs":1}"#, "retryDelayMs"),
        ] {
            let error = ConcurrencyLimiterOptions::from_json(text).unwrap_err();
            assert!(error.message().contains(&format!("`{option}`")), "{error}");
        }
    }
}
