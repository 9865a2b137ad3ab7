//! How long to wait before the next attempt to connect.

use std::time::Duration;

use tokio::time::timeout;

use super::options::{Address, ConnectionOptions};

/// First delay of the default backoff, and the last: a link is back within two seconds of its server.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(1_500);
/// Between two looks at a file that another process may just have let go of.
const LONGEST_OF_FILE: Duration = Duration::from_millis(250);
/// A strategy that does not answer must not keep a link down.
const STRATEGY_LIMIT: Duration = Duration::from_secs(10);

/// The delay after `times` failed attempts; `None` gives up.
pub(super) async fn delay(options: &ConnectionOptions, times: u32) -> Option<Duration> {
    let Some(strategy) = &options.retry_strategy else {
        let delay = default_delay(times);
        // Looking whether somebody has a file costs next to nothing.
        let longest = if matches!(options.address, Address::File { .. }) { LONGEST_OF_FILE } else { LONGEST };
        return Some(delay.min(longest));
    };
    timeout(STRATEGY_LIMIT, strategy.delay(times)).await.unwrap_or_else(|_| {
        tracing::warn!("retryStrategy did not answer; the default delay is used");
        Some(default_delay(times))
    })
}

/// Doubles from 50 ms to 1.5 s. Jitter takes off up to half, so that a fleet does not come back in one instant.
pub fn default_delay(times: u32) -> Duration {
    let whole = FIRST.saturating_mul(1 << times.saturating_sub(1).min(10)).min(LONGEST);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_grows_and_stays_below_two_seconds() {
        for times in [1, 2, 5, 100, u32::MAX] {
            let delay = default_delay(times);
            assert!(delay >= FIRST / 2 && delay <= LONGEST, "{times}: {delay:?}");
        }
        assert!(default_delay(1) <= FIRST);
        assert!(default_delay(20) >= LONGEST / 2);
    }
}
