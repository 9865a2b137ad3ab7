//! A worker: takes jobs, hands them to a sink in batches, and stores their outcomes in batches.

use std::{sync::Arc, time::Duration};

use super::{ActiveJob, JobRecord, Queue, WorkerOptions};
use crate::{
    connection::BoxFuture,
    error::{Error, Result},
};

/// What became of a job that a sink ran.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// JSON text of the result.
    Completed { value: String },
    /// `stack` is stored among the job's stack traces.
    Failed { reason: String, stack: Option<String>, retry: Retry },
    /// Moved to delayed until then (`DelayedError`); no attempt is used up.
    Delayed { until_ms: i64 },
    /// Back to the front of the queue (`WaitingError`, `RateLimitError`); no attempt is used up.
    Waiting,
    /// Waits for its children (`WaitingChildrenError`).
    WaitingChildren,
}

/// Whether a failed job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// By the job's attempts and backoff.
    ByOptions,
    /// By the job's attempts, after this delay: a custom strategy has decided.
    After(Duration),
    /// Not at all (`UnrecoverableError`).
    Never,
}

/// How an outcome was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    Completed,
    /// For good.
    Failed {
        attempts_made: i64,
    },
    /// Tried again after `delay_ms`.
    Retrying {
        attempts_made: i64,
        delay_ms: i64,
    },
    /// `Outcome::Delayed`, `Waiting` or `WaitingChildren`.
    Moved,
}

/// What a worker tells its sink beside jobs.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// The outcome is stored.
    Settled {
        job_id: String,
        token: String,
        settlement: Settlement,
    },
    /// The outcome could not be stored: the lock is lost, or the job is gone.
    NotSettled {
        job_id: String,
        token: String,
        error: Error,
    },
    /// This process no longer holds the lock; another worker may run the job. Its processor should stop.
    LockLost {
        job_id: String,
        token: String,
    },
    /// The job failed before it was delivered (stalled too often, or a child failed).
    FailedUndelivered {
        job: Box<JobRecord>,
        reason: String,
    },
    /// The jobs of dead workers that were put back.
    Stalled {
        job_ids: Vec<String>,
    },
    /// Nothing is left to take.
    Drained,
    /// The worker goes on by itself.
    Error(Error),
    Paused,
    Resumed,
    /// No further event comes.
    Closed,
}

/// Runs jobs. Called on the I/O thread; must not block.
pub trait JobSink: Send + Sync + 'static {
    fn deliver(&self, jobs: Vec<ActiveJob>);
    fn event(&self, event: WorkerEvent);
}

/// Makes the next iteration of a job scheduler when a worker takes the current one.
/// [`NextIteration`](crate::scheduler::NextIteration) is the one to pass.
pub trait Recurrence: Send + Sync + 'static {
    fn taken<'a>(&'a self, queue: &'a Queue, job: &'a JobRecord) -> BoxFuture<'a, Result<()>>;
}

/// A running worker. Dropping it closes it by force.
pub struct Worker {}

impl Worker {
    pub fn start(
        _queue: &Queue,
        _options: WorkerOptions,
        _sink: Arc<dyn JobSink>,
        _recurrence: Arc<dyn Recurrence>,
    ) -> Result<Arc<Self>> {
        todo!()
    }
    /// Hands in the outcome of a delivered job. From any thread; a job that is not running here is ignored.
    pub fn report(&self, _job_id: &str, _token: &str, _outcome: Outcome) {
        todo!()
    }
    pub fn concurrency(&self) -> usize {
        todo!()
    }
    pub fn set_concurrency(&self, _jobs: usize) {
        todo!()
    }
    /// Takes no further jobs; resolves when the running ones have settled, or at once with `now`.
    pub async fn pause(&self, _now: bool) {
        todo!()
    }
    pub fn resume(&self) {
        todo!()
    }
    pub fn is_paused(&self) -> bool {
        todo!()
    }
    /// No job is taken from any queue entry of this limiter for so long (`worker.rateLimit`).
    pub async fn rate_limit(&self, _duration: Duration) -> Result<()> {
        todo!()
    }
    /// Takes no further jobs, waits up to `grace` for the running ones to settle, then lets go of their locks' renewal:
    /// they come back through the stalled check. Zero closes by force. Twice is safe. Returns how many were left.
    pub async fn close(&self, _grace: Duration) -> usize {
        todo!()
    }
}
