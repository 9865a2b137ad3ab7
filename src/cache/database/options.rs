//! What a cache is told about its level in a database.

use std::time::Duration;

use serde::Deserialize;

use super::place::Place;
use crate::error::{Error, Result};

/// Longest `timeout`: what a statement may take must be over before the marks in Redis go that keep others from the table.
const MAX_TIMEOUT_SECONDS: f64 = 5.0;

/// A level in a database. Off by default. Durations are seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Level3Options {
    pub enabled: bool,
    /// `sqlite:<path>` or `postgres://user:password@host:port/database`. No default.
    pub url: Option<String>,
    /// The table, made on first use, as is a second one of this name and `_state`. Default `oxcart_cache`.
    pub table: String,
    /// Longest life of a row. Default 86,400.
    pub ttl: f64,
    /// Default 100,000.
    pub max_rows: f64,
    /// Bytes of keys and values. Default 1 GB.
    pub max_bytes: f64,
    /// How long a read or a write may take, before it counts as failed. Default 0.5.
    pub timeout: f64,
}

impl Default for Level3Options {
    fn default() -> Self {
        Self {
            enabled: false,
            url: None,
            table: "oxcart_cache".to_owned(),
            ttl: 86_400.0,
            max_rows: 100_000.0,
            max_bytes: 1024.0 * 1024.0 * 1024.0,
            timeout: 0.5,
        }
    }
}

/// The same, checked.
#[derive(Clone, Debug)]
pub(in crate::cache) struct Settings {
    pub place: Place,
    pub table: String,
    pub ttl: Duration,
    pub max_rows: i64,
    pub max_bytes: i64,
    pub timeout: Duration,
}

impl Level3Options {
    /// Refuses values out of range; what was chosen, where the level is on. No error tells more of the URL than its scheme.
    pub(in crate::cache) fn checked(&self) -> Result<Option<Settings>> {
        let plain = self.table.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
        if !plain || !(1..=50).contains(&self.table.len()) || self.table.starts_with(|one: char| one.is_ascii_digit()) {
            let allowed = "1 to 50 letters, digits and underscores, no digit first";
            return Err(Error::invalid_option("level3.table", &format!("`{}`", short(&self.table)), allowed));
        }
        if !(0.001..=100.0 * 365.0 * 86_400.0).contains(&self.ttl) {
            let allowed = "seconds above 0, fractions down to 0.001, at most 100 years";
            return Err(Error::invalid_option("level3.ttl", &self.ttl.to_string(), allowed));
        }
        if !(0.01..=MAX_TIMEOUT_SECONDS).contains(&self.timeout) {
            return Err(Error::invalid_option("level3.timeout", &self.timeout.to_string(), "seconds from 0.01 to 5"));
        }
        for (option, number) in [("level3.maxRows", self.max_rows), ("level3.maxBytes", self.max_bytes)] {
            if number.fract() != 0.0 || !(1.0..=1e15).contains(&number) {
                return Err(Error::invalid_option(option, &number.to_string(), "a whole number above 0"));
            }
        }
        let place = match &self.url {
            Some(url) => Some(Place::parse(url)?),
            None if self.enabled => return Err(Error::invalid_option("level3.url", "missing", Place::ALLOWED)),
            None => None,
        };
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
        let settings = |place| Settings {
            place,
            table: self.table.clone(),
            ttl: Duration::from_secs_f64(self.ttl),
            max_rows: self.max_rows as i64,
            max_bytes: self.max_bytes as i64,
            timeout: Duration::from_secs_f64(self.timeout),
        };
        Ok(place.filter(|_| self.enabled).map(settings))
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn check(text: &str) -> Result<Option<Settings>> {
        serde_json::from_str::<Level3Options>(text).unwrap().checked()
    }

    #[test]
    fn it_is_off_unless_it_is_turned_on() {
        assert!(check("{}").unwrap().is_none());
        assert!(check(r#"{"url":"sqlite:a.db"}"#).unwrap().is_none());
        let settings = check(r#"{"enabled":true,"url":"sqlite:a.db"}"#).unwrap().unwrap();
        assert_eq!((settings.max_rows, settings.ttl), (100_000, Duration::from_secs(86_400)));
    }

    #[test]
    fn bad_values_are_refused_by_the_path_of_their_option() {
        for (text, option) in [
            (r#"{"enabled":true}"#, "level3.url"),
            (r#"{"url":"mysql://root:secret@h/d"}"#, "level3.url"),
            (r#"{"url":"sqlite::memory:"}"#, "level3.url"),
            (r#"{"url":"sqlite:"}"#, "level3.url"),
            (r#"{"url":"postgres://u:secret@h:port/d"}"#, "level3.url"),
            (r#"{"table":"a;b"}"#, "level3.table"),
            (r#"{"table":"1a"}"#, "level3.table"),
            (r#"{"ttl":0}"#, "level3.ttl"),
            (r#"{"timeout":6}"#, "level3.timeout"),
            (r#"{"maxRows":0.5}"#, "level3.maxRows"),
            (r#"{"maxBytes":0}"#, "level3.maxBytes"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidOption);
            assert!(error.message().contains(&format!("`{option}`")), "{text}: {error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
