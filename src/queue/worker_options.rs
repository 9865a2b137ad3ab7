//! Options of a worker.

use std::time::Duration;

use super::KeepPolicy;
use crate::error::Result;

/// At most `max` jobs started in each `duration`, by all workers of the queue together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limiter {
    pub max: i64,
    pub duration: Duration,
}

/// Options of a [`Worker`](super::Worker).
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Shows in `pb` of each job that it takes.
    pub name: Option<String>,
    /// Jobs at once. Default 1.
    pub concurrency: usize,
    pub limiter: Option<Limiter>,
    /// A lock that is not renewed for so long is lost. Default 30 s.
    pub lock_duration: Duration,
    /// Locks are renewed twice in this time. Default half of `lock_duration`.
    pub lock_renew_time: Duration,
    /// How often jobs of dead workers are looked for. Default 30 s.
    pub stalled_interval: Duration,
    /// A job that stalled more often fails. Default 1.
    pub max_stalled_count: i64,
    /// A job that was started more often fails. Default: no bound.
    pub max_started_attempts: Option<i64>,
    /// Longest time between two looks at an empty queue. Default 5 s.
    pub drain_delay: Duration,
    /// Longest sleep for a rate limit. Default 30 s.
    pub maximum_rate_limit_delay: Duration,
    /// For jobs that say nothing themselves.
    pub remove_on_complete: KeepPolicy,
    pub remove_on_fail: KeepPolicy,
    /// Minutes of finished-job counts that stay; 0, the default, counts none.
    pub metrics_max_data_points: i64,
    pub skip_stalled_check: bool,
    pub skip_lock_renewal: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: None,
            concurrency: 1,
            limiter: None,
            lock_duration: Duration::from_secs(30),
            lock_renew_time: Duration::from_secs(15),
            stalled_interval: Duration::from_secs(30),
            max_stalled_count: 1,
            max_started_attempts: None,
            drain_delay: Duration::from_secs(5),
            maximum_rate_limit_delay: Duration::from_secs(30),
            remove_on_complete: KeepPolicy::default(),
            remove_on_fail: KeepPolicy::default(),
            metrics_max_data_points: 0,
            skip_stalled_check: false,
            skip_lock_renewal: false,
        }
    }
}

impl WorkerOptions {
    /// Reads the options that a user wrote (BullMQ's names, milliseconds). Fails with `InvalidOption` and the path.
    pub fn from_json(_text: &str) -> Result<Self> {
        todo!()
    }
}
