//! The record of a scheduler's last run, for schedulers with `trackRuns`.

use serde::Serialize;

use super::{keys, scripts};
use crate::{
    error::Result,
    queue::{JobRecord, Queue, Settlement},
};

/// Kept in the scheduler's hash, as JSON under the name `lastRun`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun<'a> {
    pub job_id: &'a str,
    /// The time that it was made for; all times in milliseconds since the epoch.
    pub scheduled_for: i64,
    pub started_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<i64>,
    /// `active`, `completed` or `failed`.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_made: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_reason: Option<&'a str>,
}

/// Notes that a run has started or, with its settlement and reason, that it has ended. Anything but an end is no news.
pub(super) async fn record(queue: &Queue, job: &JobRecord, end: Option<(&Settlement, &str)>) -> Result<()> {
    let (Some(scheduler), Some(run)) = (job.scheduler_id.as_deref(), keys::run_of(&job.id)) else { return Ok(()) };
    let now = queue.now();
    let mut last = LastRun {
        job_id: &job.id,
        scheduled_for: run,
        started_at: job.processed_on.unwrap_or(now),
        finished_at: None,
        status: "active",
        attempts_made: None,
        failed_reason: None,
    };
    match end {
        None => {}
        Some((Settlement::Completed, _)) => {
            last.status = "completed";
            last.finished_at = Some(now);
            last.attempts_made = Some(job.attempts_made + 1);
        }
        Some((Settlement::Failed { attempts_made }, reason)) => {
            last.status = "failed";
            last.finished_at = Some(now);
            last.attempts_made = Some(*attempts_made);
            last.failed_reason = Some(reason);
        }
        Some(_) => return Ok(()),
    }
    let text = serde_json::to_string(&last).unwrap_or_default();
    scripts::record_run(queue, scheduler, run, &text).await
}
