//! Job schedulers: jobs that come again, by cron pattern or interval, stored as BullMQ 6 does.

mod cron;
mod every;
mod iteration;
mod keys;
mod repeat_options;
mod scheduler;
mod scripts;

pub use iteration::NextIteration;
pub use repeat_options::RepeatOptions;
pub use scheduler::{JobScheduler, SchedulerRecord};
