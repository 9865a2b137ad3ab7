//! The scripts that are called for every job, for the engine in this process: what they do where nothing unusual is in the
//! way.
//!
//! `lua/queue` is what defines them, and what runs wherever one of these declines (`None`): for jobs with a delay, a
//! priority, a parent, a group or a deduplication, outcomes other than success, paused or limited queues, and whatever is
//! not as it should be. Each looks at everything that it will change before it changes anything. Who changes a script
//! changes what stands here; `tests/embedded_differential` compares the two, on the data of a real Redis.

mod add_jobs;
mod arguments;
mod fetch_jobs;
mod finish_jobs;
mod take;

pub(super) use add_jobs::add_jobs;
pub(super) use fetch_jobs::fetch_jobs;
pub(super) use finish_jobs::finish_jobs;

#[cfg(any(test, feature = "testing"))]
use crate::connection::NativeScript;

/// By the name of the script, for tests.
#[cfg(any(test, feature = "testing"))]
pub const NATIVE_SCRIPTS: [(&str, NativeScript); 3] =
    [("queue/add_jobs", add_jobs), ("queue/fetch_jobs", fetch_jobs), ("queue/finish_jobs", finish_jobs)];
