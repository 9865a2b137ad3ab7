//! Dates among options.

use serde::Deserialize;

use super::option_text::milliseconds;
use crate::error::{Error, Result};

#[derive(Deserialize)]
#[serde(untagged, expecting = "a Date, milliseconds or ISO text")]
pub(crate) enum UserDate {
    Milliseconds(f64),
    Text(String),
}

impl UserDate {
    pub(crate) fn into_ms(self, path: &str) -> Result<i64> {
        match self {
            Self::Milliseconds(ms) => Ok(milliseconds(path, Some(ms), 0)?.unwrap_or(0)),
            Self::Text(text) => date(&text)
                .ok_or_else(|| Error::invalid_option(path, &format!("`{text}`"), "a Date, milliseconds or ISO text")),
        }
    }
}

/// A date as users write it and as other writers store it: milliseconds, or ISO text with or without a zone (UTC).
pub(crate) fn date(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    if let Ok(date) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(date.timestamp_millis());
    }
    let day =
        text.get(..10).filter(|day| day.len() == text.len()).and_then(|day| day.parse::<chrono::NaiveDate>().ok());
    let moment = day.and_then(|day| day.and_hms_opt(0, 0, 0)).or_else(|| text.parse::<chrono::NaiveDateTime>().ok())?;
    Some(moment.and_utc().timestamp_millis())
}
