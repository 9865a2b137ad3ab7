//! A job: as it is added, as it is stored, and as a worker holds it.

use super::JobOptions;

/// A job to add.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub name: String,
    /// JSON text. Stored as it is.
    pub data: String,
    /// What this job sets itself; the queue's defaults fill the rest.
    pub options: JobOptions,
}

/// A job as it is stored. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobRecord {
    pub id: String,
    pub name: String,
    /// JSON text.
    pub data: String,
    /// JSON text, with the short names that BullMQ stores. [`JobRecord::to_json`] gives the long ones.
    pub opts: String,
    pub timestamp: i64,
    /// Milliseconds after `timestamp`, or after the last failure; 0 once due.
    pub delay: i64,
    pub priority: i64,
    pub attempts_started: i64,
    pub attempts_made: i64,
    pub stalled_count: i64,
    pub processed_on: Option<i64>,
    pub finished_on: Option<i64>,
    /// JSON text.
    pub progress: Option<String>,
    /// JSON text.
    pub return_value: Option<String>,
    /// Plain text.
    pub failed_reason: Option<String>,
    /// JSON array of strings.
    pub stacktrace: Option<String>,
    /// Why the worker that takes this job must fail it at once.
    pub deferred_failure: Option<String>,
    /// Name of the worker that took it.
    pub processed_by: Option<String>,
    /// `prefix:queue:id` of the parent.
    pub parent_key: Option<String>,
    /// JSON: id, queueKey and what happens to the parent when this job fails.
    pub parent: Option<String>,
    /// Id of the job scheduler that made it.
    pub scheduler_id: Option<String>,
    pub deduplication_id: Option<String>,
}

/// A job that this process runs.
#[derive(Clone, Debug)]
pub struct ActiveJob {
    pub record: JobRecord,
    /// Value of the job's lock; goes back with the outcome.
    pub token: String,
}

impl JobRecord {
    /// The whole job as one JSON object with BullMQ's names of fields and options.
    pub fn to_json(&self) -> String {
        todo!()
    }
}
