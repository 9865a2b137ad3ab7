//! Waiting for what gives no signal.

use std::time::{Duration, Instant};

/// Waits until `happened` says so.
///
/// # Panics
/// When it does not within ten seconds.
pub async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < limit, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
