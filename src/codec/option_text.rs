//! Options that arrive as JSON text, with the option's path in each complaint.

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads options; unknown ones and wrong types are `InvalidOption`.
pub(crate) fn read_options<T: DeserializeOwned>(text: &str) -> Result<T> {
    read_options_with_secrets(text, &[])
}

/// The same where no complaint may repeat what stands at the paths in `secrets`.
pub(crate) fn read_options_with_secrets<T: DeserializeOwned>(text: &str, secrets: &[&str]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "options" } else { path.as_str() };
        let complaint = error.inner().to_string();
        // Where in the text it stood tells a user nothing.
        let complaint = complaint.split(" at line ").next().unwrap_or_default();
        if let Some(unknown) = complaint.strip_prefix("unknown field ") {
            let allowed = unknown.split_once(", expected ").map_or("", |(_, allowed)| allowed);
            return Error::invalid_option(path, "unknown", allowed);
        }
        let (got, allowed) = complaint.split_once(", expected ").unwrap_or(("of a wrong type", complaint));
        let got = if secrets.contains(&path) { "of a wrong type" } else { got };
        // The names of Rust's types mean nothing to whoever wrote JSON.
        let allowed = match allowed {
            "f64" => "a number",
            "u64" => "a whole number, not negative",
            "a boolean" => "true or false",
            other => other,
        };
        Error::invalid_option(path, got, allowed)
    })
}

/// A whole number within bounds. JS has one kind of number, so `5.0` is 5 and `5.5` is refused.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the bounds are below 2^53")]
pub(crate) fn whole(path: &str, value: Option<f64>, least: i64, most: i64) -> Result<Option<i64>> {
    match value {
        None => Ok(None),
        Some(number) if number.fract() == 0.0 && number >= least as f64 && number <= most as f64 => {
            Ok(Some(number as i64))
        }
        Some(number) => {
            Err(Error::invalid_option(path, &number.to_string(), &format!("an integer from {least} to {most}")))
        }
    }
}

/// What would be allowed, when `number` is not.
pub(crate) fn within(number: f64, [least, most]: [f64; 2], whole: bool) -> std::result::Result<(), String> {
    if (least..=most).contains(&number) && (!whole || number.fract() == 0.0) {
        return Ok(());
    }
    Err(format!("{} from {least} to {most}", if whole { "an integer" } else { "a number" }))
}

/// Refuses what is too long in front of every key.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    const MAX_PREFIX: usize = 256;
    if prefix.len() > MAX_PREFIX {
        let length = format!("{} bytes long", prefix.len());
        return Err(Error::invalid_option("prefix", &length, &format!("at most {MAX_PREFIX} bytes")));
    }
    Ok(())
}

/// Milliseconds, to the millisecond: JS computes times as fractions.
pub(crate) fn milliseconds(path: &str, value: Option<f64>, least: i64) -> Result<Option<i64>> {
    match value {
        None => Ok(None),
        Some(number) => whole(path, Some(number.floor()), least, MAX_MS)
            .map_err(|_| Error::invalid_option(path, &number.to_string(), &format!("milliseconds from {least}"))),
    }
}

/// Latest time in milliseconds: the score of a delayed job is 4096 times that, and must stay below 2^53.
pub(crate) const MAX_MS: i64 = (1 << 53) / 4096 - 1;
