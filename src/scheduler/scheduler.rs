//! Making, changing and listing job schedulers.

use crate::{
    connection::BoxFuture,
    error::Result,
    queue::{JobOptions, JobRecord, Queue, Recurrence},
};

/// When a scheduler's jobs come. Exactly one of `pattern` and `every`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepeatOptions {
    /// Cron, five fields or six with seconds first.
    pub pattern: Option<String>,
    /// IANA time zone of `pattern`. Default: UTC.
    pub tz: Option<String>,
    /// Milliseconds.
    pub every: Option<i64>,
    /// Milliseconds from the start of each slot of `every`.
    pub offset: Option<i64>,
    /// So many jobs at most.
    pub limit: Option<i64>,
    /// Milliseconds since the epoch.
    pub start_date: Option<i64>,
    pub end_date: Option<i64>,
    /// The first job comes at once (with `pattern`).
    pub immediately: bool,
}

impl RepeatOptions {
    /// Reads what a user wrote; dates as numbers or ISO text, `cron` is Bull's word for `pattern`.
    pub fn from_json(_text: &str) -> Result<Self> {
        todo!()
    }
}

/// A stored scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerRecord {
    pub id: String,
    /// Name of its jobs.
    pub name: String,
    /// Next run, milliseconds since the epoch.
    pub next: Option<i64>,
    pub repeat: RepeatOptions,
    /// Jobs made so far.
    pub iterations: i64,
    /// JSON text of each job's data.
    pub data: Option<String>,
    /// JSON text of each job's options (short names).
    pub opts: Option<String>,
}

impl SchedulerRecord {
    /// BullMQ's `JobSchedulerJson`: `{key, name, next, pattern?, every?, tz?, limit?, startDate?, endDate?, iterationCount, template?}`.
    pub fn to_json(&self) -> String {
        todo!()
    }
}

/// The job schedulers of a queue.
#[derive(Clone)]
pub struct JobScheduler {
    _queue: Queue,
}

impl JobScheduler {
    pub fn new(_queue: Queue) -> Self {
        todo!()
    }
    /// Makes or changes a scheduler; gives the id of its next job (`None`: it has ended).
    pub async fn upsert(
        &self,
        _id: &str,
        _repeat: RepeatOptions,
        _name: &str,
        _data: &str,
        _options: JobOptions,
    ) -> Result<Option<String>> {
        todo!()
    }
    /// Removes a scheduler and its pending job. False when there was none.
    pub async fn remove(&self, _id: &str) -> Result<bool> {
        todo!()
    }
    pub async fn get(&self, _id: &str) -> Result<Option<SchedulerRecord>> {
        todo!()
    }
    /// By next run, `start..=end` as Redis counts.
    pub async fn list(&self, _start: i64, _end: i64, _asc: bool) -> Result<Vec<SchedulerRecord>> {
        todo!()
    }
    pub async fn count(&self) -> Result<i64> {
        todo!()
    }
}

/// The [`Recurrence`] that workers are started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextIteration;

impl Recurrence for NextIteration {
    fn taken<'a>(&'a self, _queue: &'a Queue, _job: &'a JobRecord) -> BoxFuture<'a, Result<()>> {
        todo!()
    }
}
