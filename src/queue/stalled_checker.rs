//! Puts back the jobs of dead workers, and lets series go on whose next job was lost.

use std::{sync::Arc, time::Duration};

use super::{Suspects, WorkerEvent, worker_core::Core};
use crate::service::Duty;

/// Before a pass that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn start(core: Arc<Core>) -> Duty {
    Duty::start(async move {
        let interval = core.options.stalled_interval;
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let mut failing = false;
        let mut suspects = Suspects::new();
        loop {
            let pass = core.queue.storage().move_stalled_jobs_to_wait(interval_ms, core.options.max_stalled_count);
            match pass.await {
                Ok(job_ids) => {
                    failing = false;
                    if !job_ids.is_empty() {
                        core.tell(WorkerEvent::Stalled { job_ids });
                        core.wake.fetch();
                    }
                    repair(&core, &mut suspects).await;
                    core.queue.clock().rest(interval).await;
                }
                Err(error) => {
                    // Once for each time that it begins to fail.
                    if !std::mem::replace(&mut failing, true) {
                        core.tell(WorkerEvent::Error(error.during("stalled jobs could not be looked for")));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

async fn repair(core: &Core, suspects: &mut Suspects) {
    match core.recurrence.repair(&core.queue, suspects).await {
        Ok(ids) if ids.is_empty() => {}
        Ok(ids) => {
            core.tell(WorkerEvent::SchedulersRepaired { ids });
            core.wake.fetch();
        }
        Err(error) => core.tell(WorkerEvent::Error(error.during("job schedulers could not be looked after"))),
    }
}
