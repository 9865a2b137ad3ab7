//! Queues, jobs and workers. What is stored is BullMQ 6's layout, so stock producers and workers share a queue with
//! ours.

mod backoff;
mod bounds;
mod cancel_listener;
mod dead_letter;
mod flow_producer;
mod flow_scripts;
mod groups;
mod job;
mod job_children;
mod job_options;
mod job_state;
mod keys;
mod lock_keeper;
mod manual_worker;
mod marker_watcher;
mod native;
mod outcome;
mod overload;
mod pace;
mod parent_options;
mod payload;
mod profiles;
mod queue;
mod queue_events;
mod queue_inspection;
mod queue_upkeep;
mod recurrence;
mod rests;
mod scheduled_runs;
mod scripts;
mod stalled_checker;
mod wake;
mod worker;
mod worker_call;
mod worker_core;
mod worker_listing;
mod worker_loop;
mod worker_options;

pub use dead_letter::{DeadLetter, LetterFilter, Letters, Redriven};
pub use flow_producer::{FlowNode, FlowProducer, MAX_FLOW_JOBS};
pub use groups::{GroupLimits, GroupState, JobGroup};
pub use job::{ActiveJob, JobRecord, NewJob};
pub use job_children::{Children, ChildrenPage, DependencyKind, DependencyPage, Reset};
pub use job_options::{Backoff, Deduplication, JobOptions, JobTelemetry, KeepPolicy, MAX_PRIORITY, Number};
pub use job_state::{JobCounts, JobState};
pub use manual_worker::{ManualWorker, NextJob};
#[cfg(feature = "testing")]
#[cfg(any(test, feature = "testing"))]
pub use native::NATIVE_SCRIPTS;
pub use outcome::{Outcome, Retry, Settlement};
pub use overload::{Overload, OverloadPolicy};
pub use parent_options::{ChildFailure, ParentJob};
pub use payload::PayloadCodec;
pub use queue::{Queue, QueueOptions};
pub use queue_events::{EventSubscription, QueueEvent, QueueEventSink, QueueEvents};
pub use queue_inspection::QueueMetrics;
pub use recurrence::{Recurrence, RunPlan, Suspects};
pub use worker::{JobSink, Worker, WorkerEvent};
pub use worker_options::{Limiter, WorkerOptions};
