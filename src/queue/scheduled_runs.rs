//! Jobs of job schedulers in a worker: the next one is made when one starts or, where runs must not overlap, before the
//! end of one is stored. Either way a worker that dies in between leaves a job that another one takes and goes on from.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    JobRecord, RunPlan, Settlement, WorkerEvent,
    worker_call::is_passing,
    worker_core::{Core, Report},
};
use crate::{connection::BoxFuture, error::Result, service};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A scheduler's job that runs here.
pub(super) struct ScheduledRun {
    pub(super) record: JobRecord,
    pub(super) plan: RunPlan,
}

/// A run whose end is stored.
pub(super) struct EndedRun {
    pub(super) run: Box<ScheduledRun>,
    pub(super) settlement: Settlement,
    /// Result, or why it failed.
    pub(super) reason: String,
}

impl ScheduledRun {
    /// What must be remembered while a job runs; nothing for one without policies.
    pub(super) fn of(core: &Core, record: &JobRecord) -> Option<Box<Self>> {
        record.scheduler_id.as_ref()?;
        let plan = core.recurrence.plan(&core.queue, record);
        (plan.waits_for_end || plan.is_tracked).then(|| Box::new(Self { record: record.clone(), plan }))
    }
}

/// Whether the job has reached its end with that.
pub(super) fn is_end(settlement: &Settlement) -> bool {
    matches!(settlement, Settlement::Completed | Settlement::Failed { .. })
}

/// Lets series go on whose jobs were taken; gives the jobs that are to run.
pub(super) fn taken(core: &Arc<Core>, mut jobs: Vec<JobRecord>, token: &str) -> Vec<JobRecord> {
    jobs.retain(|job| {
        if job.scheduler_id.is_none() {
            return true;
        }
        let plan = core.recurrence.plan(&core.queue, job);
        if !plan.waits_for_end || plan.is_missed || plan.is_tracked {
            core.advancing(true);
            service::spawn(start(Arc::clone(core), job.clone(), token.to_owned(), plan));
        }
        !plan.is_missed
    });
    jobs
}

async fn start(core: Arc<Core>, job: JobRecord, token: String, plan: RunPlan) {
    if plan.is_tracked && !plan.is_missed {
        record(&core, &job, None).await;
    }
    if !plan.waits_for_end || plan.is_missed {
        advance(&core, &job, false).await;
    }
    if plan.is_missed {
        persist(&core, "a missed run of a scheduler could not be let go", || {
            core.recurrence.drop_missed(&core.queue, &job, &token)
        })
        .await;
    }
    core.advancing(false);
}

/// Makes the job that follows one that ended, then lets its outcome be stored.
pub(super) async fn end(core: Arc<Core>, run: Box<ScheduledRun>, report: Report) {
    advance(&core, &run.record, true).await;
    core.ended(run, report);
}

/// Notes the end of a run, once it is stored.
pub(super) fn ended(core: &Arc<Core>, ended: EndedRun) {
    let core = Arc::clone(core);
    core.advancing(true);
    service::spawn(async move {
        record(&core, &ended.run.record, Some((&ended.settlement, &ended.reason))).await;
        core.advancing(false);
    });
}

/// A record is for people; it is not worth more than one try.
async fn record(core: &Core, job: &JobRecord, end: Option<(&Settlement, &str)>) {
    if let Err(error) = core.recurrence.record(&core.queue, job, end).await {
        core.tell(WorkerEvent::Error(error.during("the last run of a scheduler could not be recorded")));
    }
}

/// Not giving up matters: a job that is not made ends the series, until the repair sweep finds it.
async fn advance(core: &Core, job: &JobRecord, at_end: bool) {
    let made = persist(core, "the next job of a scheduler could not be made", || {
        core.recurrence.advance(&core.queue, job, at_end)
    })
    .await;
    if let Some(job_id) = made.flatten() {
        let scheduler_id = job.scheduler_id.clone().unwrap_or_default();
        core.tell(WorkerEvent::RunAdded { scheduler_id, name: job.name.clone(), job_id });
    }
}

/// What `attempt` gives, or nothing when it was given up.
async fn persist<'a, T>(core: &Core, what: &str, mut attempt: impl FnMut() -> BoxFuture<'a, Result<T>>) -> Option<T> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match attempt().await {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        let passing = is_passing(&error);
        if pause == FIRST_PAUSE || !passing {
            core.tell(WorkerEvent::Error(error.during(what)));
        }
        // Whoever takes the job again, after the stalled check, does it then.
        if !passing || core.has_left() {
            return None;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
