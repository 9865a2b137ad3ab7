//! The next job of a scheduler, made when a worker takes the current one.

use super::{keys, scheduler, scripts};
use crate::{
    connection::BoxFuture,
    error::Result,
    queue::{JobRecord, Queue, Recurrence},
};

/// The [`Recurrence`] that workers are started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextIteration;

impl Recurrence for NextIteration {
    fn taken<'a>(&'a self, queue: &'a Queue, job: &'a JobRecord) -> BoxFuture<'a, Result<()>> {
        Box::pin(advance(queue, job))
    }
}

async fn advance(queue: &Queue, job: &JobRecord) -> Result<()> {
    let (Some(id), Some(run)) = (job.scheduler_id.as_deref(), keys::run_of(&job.id)) else { return Ok(()) };
    let Some(record) = scheduler::read(queue, id).await? else { return Ok(()) };
    // One that is ahead was advanced by whoever took this job first.
    if record.next != Some(run) {
        return Ok(());
    }
    let count = count_of(&job.opts).unwrap_or(record.iterations) + 1;
    if record.repeat.limit.is_some_and(|limit| count > limit) {
        return Ok(());
    }
    let opts = record.opts.as_deref().unwrap_or("{}");
    let mut after = run;
    for _ in 0..super::scheduler::SLOTS {
        let now = queue.now();
        let Some(next) = record.repeat.next(after, now)? else { return Ok(()) };
        let repeat = record.repeat.clone().with_grid_of(run);
        let (opts, priority, front) = iteration_opts(opts, &repeat, count, id, next, now);
        let iteration = scripts::Iteration {
            scheduler: id,
            run: next,
            name: if record.name.is_empty() { &job.name } else { &record.name },
            data: record.data.as_deref().unwrap_or(&job.data),
            opts: &opts,
            priority,
            front,
        };
        if scripts::advance_scheduler(queue, &job.id, &iteration).await? {
            return Ok(());
        }
        after = next;
    }
    Err(scheduler::no_slot(queue, id))
}

fn count_of(opts: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(opts).ok()?.get("repeat")?.get("count")?.as_i64()
}

/// The stored options of one job out of those of all, its priority, and whether it goes to the front.
pub(super) fn iteration_opts(
    template: &str,
    repeat: &super::RepeatOptions,
    count: i64,
    scheduler: &str,
    run: i64,
    now: i64,
) -> (String, i64, bool) {
    let mut opts: serde_json::Map<String, serde_json::Value> = serde_json::from_str(template).unwrap_or_default();
    let priority = opts.get("priority").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let front = opts.get("lifo").and_then(serde_json::Value::as_bool).unwrap_or(false);
    opts.entry("attempts").or_insert_with(|| 0.into());
    for (name, value) in [
        ("repeat", repeat.to_value(count)),
        ("repeatJobKey", scheduler.into()),
        ("jobId", keys::job_id(scheduler, run).into()),
        ("prevMillis", run.into()),
        ("delay", (run - now).max(0).into()),
        ("timestamp", now.into()),
    ] {
        opts.insert(name.to_owned(), value);
    }
    (serde_json::Value::Object(opts).to_string(), priority, front)
}
