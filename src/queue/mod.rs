//! Queues, jobs and workers. What is stored is BullMQ 6's layout, so stock producers and workers share a queue with
//! ours.

mod backoff;
mod cancel_listener;
mod dead_letter;
mod flow_producer;
mod flow_scripts;
mod job;
mod job_children;
mod job_options;
mod job_state;
mod keys;
mod lock_keeper;
mod marker_watcher;
mod outcome;
mod pace;
mod parent_options;
mod profiles;
mod queue;
mod queue_events;
mod queue_inspection;
mod queue_upkeep;
mod recurrence;
mod scheduled_runs;
mod scripts;
mod stalled_checker;
mod wake;
mod worker;
mod worker_core;
mod worker_listing;
mod worker_loop;
mod worker_options;

pub use dead_letter::{DeadLetter, LetterFilter, Letters, Redriven};
pub use flow_producer::{FlowNode, FlowProducer, MAX_FLOW_JOBS};
pub use job::{ActiveJob, JobRecord, NewJob};
pub use job_children::{Children, ChildrenPage, DependencyKind, DependencyPage, Reset};
pub use job_options::{Backoff, Deduplication, JobOptions, JobTelemetry, KeepPolicy, MAX_PRIORITY, Number};
pub use job_state::{JobCounts, JobState};
pub use outcome::{Outcome, Retry, Settlement};
pub use parent_options::{ChildFailure, ParentJob};
pub use queue::{Queue, QueueOptions};
pub use queue_events::{EventSubscription, QueueEvent, QueueEventSink, QueueEvents};
pub use queue_inspection::QueueMetrics;
pub use recurrence::{Recurrence, RunPlan, Suspects};
pub use worker::{JobSink, Worker, WorkerEvent};
pub use worker_options::{Limiter, WorkerOptions};
