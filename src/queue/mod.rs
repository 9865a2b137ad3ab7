//! Queues, jobs and workers. What is stored is BullMQ 6's layout, so stock producers and workers share a queue with ours.

mod job;
mod job_options;
mod job_state;
mod keys;
mod option_text;
mod queue;
mod queue_events;
mod scripts;
mod worker;
mod worker_options;

pub use job::{ActiveJob, JobRecord, NewJob};
pub use job_options::{Backoff, JobOptions, KeepPolicy, MAX_PRIORITY, Number};
pub use job_state::{JobCounts, JobState};
pub use queue::{Queue, QueueOptions};
pub use queue_events::{EventSubscription, QueueEvent, QueueEventSink, QueueEvents};
pub use worker::{JobSink, Outcome, Recurrence, Retry, Settlement, Worker, WorkerEvent};
pub use worker_options::{Limiter, WorkerOptions};
