//! Job schedulers: jobs that come again, by cron pattern or interval, stored as BullMQ 6 does.

mod scheduler;

pub use scheduler::{JobScheduler, NextIteration, RepeatOptions, SchedulerRecord};
