//! Renews the locks of running jobs: all of a worker in one call, on the I/O thread, so that a processor that blocks
//! its thread keeps them.

use std::sync::Arc;

use super::{WorkerEvent, worker_core::Core};
use crate::service::Duty;

/// Locks renewed by one call.
const SLICE: usize = 1000;

pub(super) fn start(core: Arc<Core>) -> Duty {
    Duty::start(async move {
        let period = core.options.lock_renew_time / 2;
        loop {
            core.until_running().await;
            core.queue.clock().sleep(period).await;
            renew(&core).await;
        }
    })
}

async fn renew(core: &Core) {
    let lock_ms = u64::try_from(core.options.lock_duration.as_millis()).unwrap_or(u64::MAX);
    let held = core.held_locks();
    for slice in held.chunks(SLICE) {
        let asked = tokio::time::Instant::now();
        match core.queue.storage().extend_locks(lock_ms, slice).await {
            Ok(lost) => core.locks_renewed(slice, &lost, asked),
            Err(error) => core.tell(WorkerEvent::Error(error.during("locks could not be renewed"))),
        }
    }
    core.give_up_expired_locks();
}
