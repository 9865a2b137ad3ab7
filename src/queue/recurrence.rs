//! What a worker asks about the jobs of job schedulers. The schedulers themselves are another engine's.

use std::collections::HashMap;

use super::{JobRecord, Queue, Settlement};
use crate::{connection::BoxFuture, error::Result};

/// What a worker does with a scheduler's job that it has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunPlan {
    /// It must not start any more.
    pub is_missed: bool,
    /// The next job is made when this one has ended, not when it starts.
    pub waits_for_end: bool,
    /// Start and end are recorded.
    pub is_tracked: bool,
}

/// Schedulers whose next job could not be found at the last look, with the time of that job.
pub type Suspects = HashMap<String, i64>;

/// Makes the next iteration of a job scheduler.
/// [`NextIteration`](crate::scheduler::NextIteration) is the one to pass.
pub trait Recurrence: Send + Sync + 'static {
    fn plan(&self, queue: &Queue, job: &JobRecord) -> RunPlan;

    /// Makes the job that follows this one, and gives its id; nothing when that was done before.
    fn advance<'a>(
        &'a self,
        queue: &'a Queue,
        job: &'a JobRecord,
        at_end: bool,
    ) -> BoxFuture<'a, Result<Option<String>>>;

    /// Lets a missed run go, which this worker holds with `token`.
    fn drop_missed<'a>(&'a self, queue: &'a Queue, job: &'a JobRecord, token: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Notes that a run has started or, with its settlement and the reason of its failure, ended.
    fn record<'a>(
        &'a self,
        queue: &'a Queue,
        job: &'a JobRecord,
        end: Option<(&'a Settlement, &'a str)>,
    ) -> BoxFuture<'a, Result<()>>;

    /// Makes the next jobs of schedulers that have lost theirs; gives their ids. One that is missed for the first time
    /// only becomes a suspect: its next job may be under way.
    fn repair<'a>(&'a self, queue: &'a Queue, suspects: &'a mut Suspects) -> BoxFuture<'a, Result<Vec<String>>>;
}
