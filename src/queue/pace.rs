//! How many jobs a worker may take before there is a slot for them.
//!
//! A processor that is done in microseconds would spend most of its time waiting for the next job: the server is a round
//! trip away. So a worker takes as many jobs ahead as, at its present pace, begin within the next few milliseconds. A
//! worker whose jobs take longer than that takes none, and what is taken ahead and does not begin soon goes back
//! ([`LONGEST_WAIT`]), so that no job waits here while another worker idles.

use std::time::Duration;

use tokio::time::Instant;

/// Jobs that begin within this time may be taken now.
const HORIZON: Duration = Duration::from_millis(5);

/// How long a job that was taken ahead may wait for its slot, before all of them go back.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Jobs that end in a second, lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    per_second: f64,
    observed_at: Option<Instant>,
}

impl Pace {
    /// So many jobs ended since the last time.
    pub(super) fn observe(&mut self, ended: usize, now: Instant) {
        if ended == 0 {
            return;
        }
        if let Some(before) = self.observed_at.replace(now) {
            let seconds = now.duration_since(before).as_secs_f64().max(1e-5);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let current = ended as f64 / seconds;
            // Slower at once, faster by and by.
            self.per_second = current.min(f64::midpoint(self.per_second, current));
        }
    }

    /// Jobs stopped ending.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturates")]
    pub(super) fn jobs_ahead(&self) -> usize {
        (self.per_second * HORIZON.as_secs_f64()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_jobs_are_taken_ahead() {
        let start = Instant::now();
        let mut quick = Pace::default();
        assert_eq!(quick.jobs_ahead(), 0);
        for turn in 1..=20 {
            quick.observe(10, start + turn * Duration::from_millis(1));
        }
        assert!((45..=50).contains(&quick.jobs_ahead()), "{quick:?}");
        quick.observe(1, start + Duration::from_secs(1));
        assert_eq!(quick.jobs_ahead(), 0, "{quick:?}");

        let mut slow = Pace::default();
        for turn in 1..=20 {
            slow.observe(1, start + turn * Duration::from_millis(10));
        }
        assert_eq!(slow.jobs_ahead(), 0, "{slow:?}");
    }
}
