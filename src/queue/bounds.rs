//! What bounds a queue's data where its user sets nothing. Every bound is documented in `docs/learning/queues.md`.

use std::fmt;

use crate::error::{Error, ErrorCode, Result};

/// Entries of the event stream, about.
pub(super) const EVENTS: i64 = 10_000;
/// Completed jobs, and failed ones, that a worker lets stay.
pub(super) const FINISHED_JOBS: i64 = 100_000;
/// Rows of a job's log.
pub(super) const LOG_ROWS: i64 = 10_000;
/// Stack traces of a job.
pub(super) const STACK_TRACES: usize = 10;
/// Bytes of a stack trace, or of the reason of a failure: what is longer is cut.
pub(super) const FAILURE_BYTES: usize = 32 << 10;
/// Bytes of a job's data, result, progress, or one row of its log.
pub(super) const PAYLOAD_BYTES: usize = 16 << 20;

/// Fails for what is larger than `limit` bytes, or than [`PAYLOAD_BYTES`] without one.
pub(super) fn check_payload(what: impl fmt::Display, payload: &str, limit: Option<i64>) -> Result<()> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let most = limit.unwrap_or(PAYLOAD_BYTES);
    if payload.len() <= most {
        return Ok(());
    }
    let allowed = if limit.is_some() {
        format!("its sizeLimit is {most}")
    } else {
        format!("at most {most} are stored without a sizeLimit")
    };
    Err(Error::new(ErrorCode::JobTooLarge, format!("{what} has {} bytes; {allowed}", payload.len())))
}

/// The beginning of a text that is too long, with a mark where it was cut.
pub(super) fn cut_failure(text: String) -> String {
    if text.len() <= FAILURE_BYTES {
        return text;
    }
    let mark = " ... (cut)";
    let end = (0..=FAILURE_BYTES - mark.len()).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{mark}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_measured_against_its_own_limit_or_the_common_one() {
        assert!(check_payload("the data", "12345", Some(5)).is_ok());
        let error = check_payload("the data", "123456", Some(5)).unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (ErrorCode::JobTooLarge, "the data has 6 bytes; its sizeLimit is 5")
        );
        let large = "x".repeat(PAYLOAD_BYTES + 1);
        assert!(check_payload("the data", &large, None).unwrap_err().message().contains("without a sizeLimit"));
        assert!(check_payload("the data", &large, Some(1 << 30)).is_ok());
    }

    #[test]
    fn a_long_failure_is_cut_between_characters() {
        assert_eq!(cut_failure("short".to_owned()), "short");
        let cut = cut_failure("ü".repeat(FAILURE_BYTES));
        assert!(cut.len() <= FAILURE_BYTES && cut.ends_with("ü ... (cut)"), "{}", cut.len());
    }
}
