//! Every Redis key and id of job schedulers. The queue's own keys are the queue's.

/// Id of the job that a scheduler makes for a time.
pub(super) fn job_id(scheduler: &str, run: i64) -> String {
    format!("repeat:{scheduler}:{run}")
}

/// The time in the id of a scheduler's job.
pub(super) fn run_of(job_id: &str) -> Option<i64> {
    job_id.rsplit_once(':')?.1.parse().ok()
}
