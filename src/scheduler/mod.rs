//! Job schedulers: jobs that come again, by cron pattern or interval, stored as BullMQ 6 does.

mod cron;
mod every;
mod iteration;
mod keys;
mod last_run;
mod repair;
mod repeat_options;
mod run_policy;
mod scheduler;
mod scripts;

pub use cron::next as next_cron_run;
pub use iteration::{NextIteration, OwnerIteration};
pub use last_run::LastRun;
pub use repeat_options::RepeatOptions;
pub use run_policy::{MissedRuns, Overlap, RunPolicy};
pub use scheduler::{JobScheduler, SchedulerRecord};
