//! What a cache may be told, checked where it enters.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{
    circuit::Circuit,
    database::Level3Options,
    format::{Compression, Serializer},
    ranked::{PRIORITIES, Priorities},
};
use crate::{
    codec::option_text::read_options,
    error::{Error, Result},
};

/// Longest life of an entry: a hundred years.
const MAX_TTL_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

/// Prefixes that may have a priority of their own: each copy that is kept is compared with them.
const MAX_PRIORITIES: usize = 1_000;

/// Options of a cache, beside its connection. Durations are seconds, as everywhere in the cache's interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CacheOptions {
    /// In front of every key in Redis. Empty shares the whole database, and then [`flush`](super::Cache::flush) is
    /// refused. Default `cache:`.
    pub prefix: String,
    /// Life of an entry whose writer names none. Default: `level2.ttl`.
    pub default_ttl: Option<f64>,
    pub level1: Level1Options,
    pub level2: Level2Options,
    pub level3: Level3Options,
    pub limits: Limits,
    /// How copies in this process end when another process changes their entries.
    pub coherence: CoherenceMode,
    /// How values are written; what the other one wrote is read all the same.
    pub serializer: Serializer,
    /// Off by default.
    pub compression: Option<Compression>,
}

/// The level in this process.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Level1Options {
    pub enabled: bool,
    /// Bytes of keys and values, 100 MB by default.
    pub max_size: f64,
    /// Longest life of a copy, 60 s by default. An entry that expires earlier in Redis expires here with it.
    pub ttl: f64,
    /// What goes when it is full.
    pub strategy: EvictionStrategy,
    /// What goes first, by what keys begin with: 1 (first) to 4 (last). Keys that are not named have 2.
    pub priorities: BTreeMap<String, f64>,
}

/// Which copy gives way to a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum EvictionStrategy {
    /// The one that was unused for longest. The default: on traces of web backends it keeps more of what is asked for.
    #[default]
    #[serde(rename = "LRU")]
    LeastRecentlyUsed,
    /// The one that was used least often.
    #[serde(rename = "LFU")]
    LeastFrequentlyUsed,
}

/// Who tells of changes by other processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoherenceMode {
    /// The server, and where it refuses, the other processes. The default.
    #[default]
    Auto,
    /// Only the server, which also tells of writers that are no caches.
    Tracking,
    /// Only the other processes, over a channel of published messages.
    Bus,
    /// Nobody: a copy lives as long as it may.
    None,
}

impl CoherenceMode {
    pub(super) const fn uses_bus(self) -> bool {
        matches!(self, Self::Auto | Self::Bus)
    }
}

/// Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Level2Options {
    /// True by default; without it see [`open_process_only`](super::open_process_only).
    pub enabled: bool,
    /// Life of an entry for which neither its writer nor `defaultTtl` says one. 3600 s by default.
    pub ttl: f64,
    /// How long a call that has a source waits for Redis before it turns to that. The read goes on, and its value is kept
    /// here. Off by default.
    pub soft_timeout: Option<f64>,
    /// How long Redis has for what can be done without: reads, and storing what a source gave. 1 s by default, and no more
    /// than the connection's `commandTimeout`.
    pub timeout: f64,
    pub circuit_breaker: CircuitBreakerOptions,
    pub recovery_queue: RecoveryQueueOptions,
}

/// What Redis missed while it was away.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RecoveryQueueOptions {
    /// Keys, tags and patterns that are remembered; one of more than 512 bytes counts for several. When there are more, all
    /// entries below the prefix are removed instead. 10,000 by default.
    pub max_size: f64,
}

impl Default for RecoveryQueueOptions {
    fn default() -> Self {
        Self { max_size: 10_000.0 }
    }
}

/// When Redis is left alone for a while.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CircuitBreakerOptions {
    /// Timeouts in a row that open it. 1 by default.
    pub threshold: f64,
    /// How long it is open, until one call probes whether Redis answers again. 1 s by default.
    pub duration: f64,
}

impl CircuitBreakerOptions {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole, 1 to 1e6")]
    pub(super) fn circuit(self, deadline: Duration) -> Circuit {
        Circuit::new(self.threshold as u32, Duration::from_secs_f64(self.duration), deadline * 2)
    }
}

/// What a single call may ask for. Each has an error of its own when passed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Characters of a key without the prefix. Default 512.
    pub max_key_length: f64,
    /// Bytes of a value as JSON. Default 5 MB.
    pub max_value_size: f64,
    /// Keys of one bulk call. Default 1,000.
    pub max_bulk_keys: f64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            prefix: "cache:".to_owned(),
            default_ttl: None,
            level1: Level1Options::default(),
            level2: Level2Options::default(),
            level3: Level3Options::default(),
            limits: Limits::default(),
            coherence: CoherenceMode::default(),
            serializer: Serializer::default(),
            compression: None,
        }
    }
}

impl Default for Level1Options {
    fn default() -> Self {
        Self {
            enabled: true,
            max_size: 100.0 * 1024.0 * 1024.0,
            ttl: 60.0,
            strategy: EvictionStrategy::default(),
            priorities: BTreeMap::new(),
        }
    }
}

impl Default for Level2Options {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: 3600.0,
            soft_timeout: None,
            timeout: 1.0,
            circuit_breaker: CircuitBreakerOptions::default(),
            recovery_queue: RecoveryQueueOptions::default(),
        }
    }
}

impl Default for CircuitBreakerOptions {
    fn default() -> Self {
        Self { threshold: 1.0, duration: 1.0 }
    }
}

impl Level1Options {
    /// `None` when all copies are alike.
    pub(super) fn priorities(&self) -> Option<Priorities> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole, 1 to 4")]
        let prefixes = self.priorities.iter().map(|(prefix, &priority)| (prefix.clone(), priority as u8));
        (!self.priorities.is_empty()).then(|| Priorities::new(prefixes))
    }

    fn check_priorities(&self) -> Result<()> {
        for (prefix, priority) in &self.priorities {
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            if priority.fract() != 0.0 || !(1.0..=PRIORITIES as f64).contains(priority) {
                let (option, allowed) =
                    (format!("level1.priorities.{prefix}"), format!("a whole number from 1 to {PRIORITIES}"));
                return Err(Error::invalid_option(&option, &priority.to_string(), &allowed));
            }
        }
        if self.priorities.len() > MAX_PRIORITIES {
            let given = format!("{} prefixes", self.priorities.len());
            return Err(Error::invalid_option("level1.priorities", &given, &format!("at most {MAX_PRIORITIES}")));
        }
        if !self.priorities.is_empty() && self.strategy == EvictionStrategy::LeastFrequentlyUsed {
            return Err(Error::invalid_option(
                "level1.strategy",
                "`LFU` with priorities",
                "`LRU` where there are priorities",
            ));
        }
        Ok(())
    }
}

impl Level2Options {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    pub(super) fn soft_timeout(&self) -> Option<Duration> {
        self.soft_timeout.map(Duration::from_secs_f64)
    }

    fn check(&self) -> Result<()> {
        let CircuitBreakerOptions { threshold, duration } = self.circuit_breaker;
        for (option, seconds) in [
            ("level2.softTimeout", self.soft_timeout),
            ("level2.timeout", Some(self.timeout)),
            ("level2.circuitBreaker.duration", Some(duration)),
        ] {
            if let Some(seconds) = seconds
                && !(0.001..=3600.0).contains(&seconds)
            {
                return Err(Error::invalid_option(option, &seconds.to_string(), "seconds from 0.001 to 3600"));
            }
        }
        if threshold.fract() != 0.0 || !(1.0..=1e6).contains(&threshold) {
            let (option, value) = ("level2.circuitBreaker.threshold", threshold.to_string());
            return Err(Error::invalid_option(option, &value, "a whole number from 1 to 1000000"));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_key_length: 512.0, max_value_size: 5.0 * 1024.0 * 1024.0, max_bulk_keys: 1000.0 }
    }
}

impl CacheOptions {
    /// Reads and checks options.
    ///
    /// # Errors
    /// `InvalidOption` with the path of the option.
    pub fn from_json(json: &str) -> Result<Self> {
        let options: Self = read_options(json)?;
        options.check()?;
        Ok(options)
    }

    /// Refuses values out of range. Shapes and unknown names were refused when the options were parsed.
    pub fn check(&self) -> Result<()> {
        if self.prefix.chars().count() > 256 {
            let length = format!("{} characters long", self.prefix.chars().count());
            return Err(Error::invalid_option("prefix", &length, "at most 256 characters"));
        }
        if let Some(ttl) = self.default_ttl {
            ttl_of(ttl, |value, allowed| Error::invalid_option("defaultTtl", value, allowed))?;
        }
        for (option, ttl) in [("level1.ttl", self.level1.ttl), ("level2.ttl", self.level2.ttl)] {
            ttl_of(ttl, |value, allowed| Error::invalid_option(option, value, allowed))?;
        }
        self.level1.check_priorities()?;
        self.level2.check()?;
        for (option, number) in [
            ("level1.maxSize", self.level1.max_size),
            ("level2.recoveryQueue.maxSize", self.level2.recovery_queue.max_size),
            ("limits.maxKeyLength", self.limits.max_key_length),
            ("limits.maxValueSize", self.limits.max_value_size),
            ("limits.maxBulkKeys", self.limits.max_bulk_keys),
        ] {
            if number.fract() != 0.0 || !(1.0..=1e15).contains(&number) {
                return Err(Error::invalid_option(option, &number.to_string(), "a whole number above 0"));
            }
        }
        self.level3.checked()?;
        if let Some(Compression { threshold, .. }) = self.compression
            && (threshold.fract() != 0.0 || !(0.0..=1e15).contains(&threshold))
        {
            let value = threshold.to_string();
            return Err(Error::invalid_option("compression.threshold", &value, "whole bytes, 0 or more"));
        }
        Ok(())
    }

    /// What is remembered of what Redis missed, at most.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and above 0")]
    pub(super) fn most_missed(&self) -> usize {
        self.level2.recovery_queue.max_size as usize
    }

    /// Most bytes of one value, as it crosses.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and above 0")]
    pub(super) fn max_value_size(&self) -> usize {
        self.limits.max_value_size as usize
    }

    /// Life of an entry whose writer names none.
    pub fn default_ttl(&self) -> Duration {
        // Checked when the cache was made.
        Duration::from_secs_f64(self.default_ttl.unwrap_or(self.level2.ttl))
    }
}

/// A number of seconds that a caller gave as the life of an entry.
pub fn ttl_argument(seconds: f64) -> Result<Duration> {
    ttl_of(seconds, |value, allowed| Error::invalid_argument("ttl", value, allowed))
}

fn ttl_of(seconds: f64, refuse: impl FnOnce(&str, &str) -> Error) -> Result<Duration> {
    // Redis counts whole milliseconds and refuses zero of them.
    if (0.001..=MAX_TTL_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(refuse(&seconds.to_string(), "seconds above 0, fractions down to 0.001, at most 100 years"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn parse(text: &str) -> CacheOptions {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let options = parse("{}");
        assert_eq!(options.prefix, "cache:");
        assert_eq!(options.default_ttl(), Duration::from_secs(3600));
        assert!(options.level1.enabled && options.level1.strategy == EvictionStrategy::LeastRecentlyUsed);
        assert_eq!((options.level1.max_size, options.level1.ttl), (104_857_600.0, 60.0));
        options.check().unwrap();
    }

    #[test]
    fn the_default_life_goes_before_that_of_level_2() {
        assert_eq!(parse(r#"{"level2":{"ttl":5}}"#).default_ttl(), Duration::from_secs(5));
        assert_eq!(parse(r#"{"defaultTtl":0.5,"level2":{"ttl":5}}"#).default_ttl(), Duration::from_millis(500));
    }

    #[test]
    fn bad_values_are_refused_by_the_path_of_their_option() {
        for (text, option) in [
            (r#"{"defaultTtl":0}"#, "defaultTtl"),
            (r#"{"defaultTtl":1e300}"#, "defaultTtl"),
            (r#"{"level1":{"ttl":-1}}"#, "level1.ttl"),
            (r#"{"level1":{"maxSize":0}}"#, "level1.maxSize"),
            (r#"{"level1":{"maxSize":1.5}}"#, "level1.maxSize"),
            (r#"{"level1":{"priorities":{"a:":0}}}"#, "level1.priorities.a:"),
            (r#"{"level1":{"priorities":{"a:":2.5}}}"#, "level1.priorities.a:"),
            (r#"{"level1":{"priorities":{"a:":4},"strategy":"LFU"}}"#, "level1.strategy"),
            (r#"{"level2":{"ttl":0}}"#, "level2.ttl"),
            (r#"{"level2":{"recoveryQueue":{"maxSize":0}}}"#, "level2.recoveryQueue.maxSize"),
            (r#"{"level2":{"softTimeout":0}}"#, "level2.softTimeout"),
            (r#"{"level2":{"timeout":3601}}"#, "level2.timeout"),
            (r#"{"level2":{"circuitBreaker":{"threshold":0}}}"#, "level2.circuitBreaker.threshold"),
            (r#"{"level2":{"circuitBreaker":{"threshold":1.5}}}"#, "level2.circuitBreaker.threshold"),
            (r#"{"level2":{"circuitBreaker":{"duration":0}}}"#, "level2.circuitBreaker.duration"),
            (r#"{"limits":{"maxBulkKeys":0}}"#, "limits.maxBulkKeys"),
            (r#"{"compression":{"threshold":-1}}"#, "compression.threshold"),
        ] {
            let error = parse(text).check().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidOption);
            assert!(error.message().contains(&format!("`{option}`")), "{text}: {error}");
        }
        for text in [
            r#"{"level3":{"size":1}}"#,
            r#"{"level2":{"enable":true}}"#,
            r#"{"level1":{"strategy":"FIFO"}}"#,
            r#"{"coherence":"always"}"#,
        ] {
            assert_eq!(CacheOptions::from_json(text).unwrap_err().code(), ErrorCode::InvalidOption, "{text}");
        }
    }

    #[test]
    fn an_error_names_the_option_and_what_it_may_be() {
        for (text, message) in [
            (r#"{"level1":{"size":1}}"#, "option `level1.size` is unknown; allowed: one of `enabled`"),
            (r#"{"level1":{"strategy":"FIFO"}}"#, "option `level1.strategy` is unknown variant `FIFO`; allowed: `LRU`"),
            (r#"{"defaultTtl":"5"}"#, "option `defaultTtl` is invalid type: string \"5\"; allowed: a number"),
        ] {
            let error = CacheOptions::from_json(text).unwrap_err();
            assert!(error.message().starts_with(message), "{error}");
        }
    }

    #[test]
    fn a_life_is_a_positive_finite_number_of_seconds() {
        assert_eq!(ttl_argument(0.25).unwrap(), Duration::from_millis(250));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.0001] {
            assert_eq!(ttl_argument(seconds).unwrap_err().code(), ErrorCode::InvalidArgument, "{seconds}");
        }
    }
}
