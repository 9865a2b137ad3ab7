//! Options of a job, from the names that users write.

use crate::error::Result;

/// How long to wait before the next attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    /// `fixed`, `exponential`, or the name of a strategy that the user defined.
    pub kind: String,
    /// Milliseconds.
    pub delay: i64,
    /// 0 to 1: the share of the delay that is left to chance.
    pub jitter: f64,
}

/// Which finished jobs stay. Default: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepPolicy {
    /// So many at most; `None` means any number, 0 none.
    pub count: Option<i64>,
    /// Not longer than so many seconds.
    pub age: Option<i64>,
    /// How many jobs over age may be removed each time a job finishes. Default 1000.
    pub limit: Option<i64>,
}

/// What a job sets; `None` takes the queue's default, then the built-in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobOptions {
    /// Milliseconds before the job may run. Default 0.
    pub delay: Option<i64>,
    /// 1 (first) to 2,097,151; 0, the default, goes before all of them.
    pub priority: Option<i64>,
    /// How often it is tried in all. Default 1.
    pub attempts: Option<i64>,
    pub backoff: Option<Backoff>,
    /// Goes to the front of the queue.
    pub lifo: Option<bool>,
    pub remove_on_complete: Option<KeepPolicy>,
    pub remove_on_fail: Option<KeepPolicy>,
    /// Rows of log that stay. Default all.
    pub keep_logs: Option<i64>,
    /// Stack traces that stay. Default all.
    pub stack_trace_limit: Option<i64>,
    /// Largest data, in bytes.
    pub size_limit: Option<i64>,
    pub job_id: Option<String>,
    /// When it was made. Default now.
    pub timestamp: Option<i64>,
}

impl JobOptions {
    /// Reads the options that a user wrote. Fails with `InvalidOption` and the option's path.
    pub fn from_json(_text: &str) -> Result<Self> {
        todo!()
    }
}
