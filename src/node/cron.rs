//! Cron patterns without a scheduler.

use napi_derive::napi;

use crate::scheduler::next_cron_run;

/// When a pattern runs next after `after` (milliseconds since the epoch), in a time zone or that of the process; nothing
/// when it never does.
#[napi]
pub fn cron_next_run(pattern: String, zone: Option<String>, after: f64) -> napi::Result<Option<f64>> {
    next_run(&pattern, zone.as_deref(), after).map_err(|error| napi::Error::from_reason(error.to_string()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "milliseconds fit a double")]
fn next_run(pattern: &str, zone: Option<&str>, after: f64) -> crate::error::Result<Option<f64>> {
    Ok(next_cron_run(pattern, zone, after as i64)?.map(|run| run as f64))
}
