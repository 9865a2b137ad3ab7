//! What a monitor, and its longer calls, may be told.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    codec::option_text::{read_options, within},
    error::{Error, Result},
};

/// Bounds of the time of one call, in milliseconds.
const TIME_BUDGET_MS: [f64; 2] = [10.0, 600_000.0];
const LONGEST_PATTERN: usize = 1_024;

/// Options of a monitor, as JSON gives them: from where on something is worth an alert.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MonitorOptions {
    /// Part of `maxmemory` that is used. Default 0.9; above 0, up to 1.
    pub memory: f64,
    /// Part of `maxclients` that is connected. Default 0.9; above 0, up to 1.
    pub clients: f64,
    /// Memory that the system gave, by that which is used. Default 1.5; from 1.
    pub fragmentation: f64,
    /// Milliseconds of a round trip. Default 100; from 1.
    pub latency_ms: f64,
    /// Share of lookups that find something, below which it is too low. Default 0, never; 0 to 1.
    pub hit_rate: f64,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self { memory: 0.9, clients: 0.9, fragmentation: 1.5, latency_ms: 100.0, hit_rate: 0.0 }
    }
}

impl MonitorOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        for (name, value, bounds) in [
            ("memory", options.memory, [0.01, 1.0]),
            ("clients", options.clients, [0.01, 1.0]),
            ("fragmentation", options.fragmentation, [1.0, 1_000.0]),
            ("latencyMs", options.latency_ms, [1.0, 60_000.0]),
            ("hitRate", options.hit_rate, [0.0, 1.0]),
        ] {
            checked(name, value, bounds, false)?;
        }
        Ok(options)
    }
}

/// How the memory of databases is estimated.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UsageOptions {
    /// Milliseconds after which what is known by then is the answer. Default 2,000; 10 to 600,000.
    pub time_budget_ms: f64,
    /// Keys of each database that are measured. Default 1,000; 10 to 1,000,000.
    pub samples: f64,
}

impl Default for UsageOptions {
    fn default() -> Self {
        Self { time_budget_ms: 2_000.0, samples: 1_000.0 }
    }
}

impl UsageOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        checked("timeBudgetMs", options.time_budget_ms, TIME_BUDGET_MS, false)?;
        checked("samples", options.samples, [10.0, 1_000_000.0], true)?;
        Ok(options)
    }

    pub(super) fn time_budget(&self) -> Duration {
        Duration::from_secs_f64(self.time_budget_ms / 1_000.0)
    }
}

/// How keys are analyzed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AnalysisOptions {
    /// Which keys, as in `SCAN`. Default `*`.
    pub pattern: String,
    /// Milliseconds after which what is known by then is the answer. Default 5,000; 10 to 600,000.
    pub time_budget_ms: f64,
    /// Keys whose type, size and time to live are asked for. Default 20,000; 0 to 10,000,000.
    pub samples: f64,
    /// Patterns that are listed, the largest first. Default 100; 1 to 10,000.
    pub max_patterns: f64,
    /// Keys that are listed by their size. Default 10; 0 to 1,000.
    pub biggest_keys: f64,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self {
            pattern: "*".to_owned(),
            time_budget_ms: 5_000.0,
            samples: 20_000.0,
            max_patterns: 100.0,
            biggest_keys: 10.0,
        }
    }
}

impl AnalysisOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        if options.pattern.is_empty() || options.pattern.len() > LONGEST_PATTERN {
            let got = format!("{} bytes long", options.pattern.len());
            return Err(Error::invalid_option("pattern", &got, &format!("1 to {LONGEST_PATTERN} bytes")));
        }
        checked("timeBudgetMs", options.time_budget_ms, TIME_BUDGET_MS, false)?;
        checked("samples", options.samples, [0.0, 10_000_000.0], true)?;
        checked("maxPatterns", options.max_patterns, [1.0, 10_000.0], true)?;
        checked("biggestKeys", options.biggest_keys, [0.0, 1_000.0], true)?;
        Ok(options)
    }

    pub(super) fn time_budget(&self) -> Duration {
        Duration::from_secs_f64(self.time_budget_ms / 1_000.0)
    }
}

fn checked(name: &str, value: f64, bounds: [f64; 2], whole: bool) -> Result<()> {
    within(value, bounds, whole).map_err(|allowed| Error::invalid_option(name, &value.to_string(), &allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named() {
        fn option<T>(read: Result<T>) -> String {
            read.err().expect("it is refused").message().to_owned()
        }
        for (text, name) in [
            (r#"{"memory":0}"#, "memory"),
            (r#"{"clients":1.1}"#, "clients"),
            (r#"{"fragmentation":0.5}"#, "fragmentation"),
            (r#"{"latencyMs":0}"#, "latencyMs"),
            (r#"{"hitRate":2}"#, "hitRate"),
            (r#"{"other":2}"#, "other"),
        ] {
            assert!(option(MonitorOptions::from_json(text)).contains(&format!("`{name}`")), "{text}");
        }
        for (text, name) in [
            (r#"{"pattern":""}"#, "pattern"),
            (r#"{"timeBudgetMs":9}"#, "timeBudgetMs"),
            (r#"{"samples":0.5}"#, "samples"),
            (r#"{"maxPatterns":0}"#, "maxPatterns"),
            (r#"{"biggestKeys":1001}"#, "biggestKeys"),
        ] {
            assert!(option(AnalysisOptions::from_json(text)).contains(&format!("`{name}`")), "{text}");
        }
        assert!(option(UsageOptions::from_json(r#"{"samples":9}"#)).contains("`samples`"));
        assert!(option(UsageOptions::from_json(r#"{"timeBudgetMs":600001}"#)).contains("`timeBudgetMs`"));
    }
}
