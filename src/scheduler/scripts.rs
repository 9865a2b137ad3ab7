//! One typed function for each script of `lua/scheduler`.

use crate::{codec::resp::Value, error::Result, queue::Queue, script::scheduler as lua};

/// The next job of a scheduler, as its scripts take it.
pub(super) struct Iteration<'a> {
    pub(super) scheduler: &'a str,
    pub(super) run: i64,
    /// When its job comes.
    pub(super) due: i64,
    pub(super) name: &'a str,
    pub(super) data: &'a str,
    pub(super) opts: &'a str,
    pub(super) priority: i64,
    pub(super) front: bool,
    /// Empty: none.
    pub(super) group: &'a str,
}

impl Iteration<'_> {
    /// Run, the time now, priority and due time, as scripts take them.
    fn numbers(&self, now: i64) -> [String; 4] {
        [self.run, now, self.priority, self.due].map(|number| number.to_string())
    }

    /// `current` is what the caller takes the scheduler to be at.
    fn arguments<'a>(&'a self, current: &'a str, [run, now, priority, due]: &'a [String; 4]) -> [&'a [u8]; 11] {
        [
            self.scheduler.as_bytes(),
            current.as_bytes(),
            run.as_bytes(),
            now.as_bytes(),
            self.name.as_bytes(),
            self.data.as_bytes(),
            self.opts.as_bytes(),
            priority.as_bytes(),
            if self.front { b"1" } else { b"0" },
            due.as_bytes(),
            self.group.as_bytes(),
        ]
    }
}

/// The keys that every script takes which adds a job of a scheduler; that of its hash is `scheduler`.
fn adding_keys<'a>(queue: &'a Queue, scheduler: &'a str) -> [&'a str; 12] {
    let keys = &queue.storage().keys;
    [
        &keys.repeat,
        scheduler,
        &keys.counter,
        &keys.wait,
        &keys.prioritized,
        &keys.priority_counter,
        &keys.delayed,
        &keys.active,
        &keys.meta,
        &keys.marker,
        &keys.events,
        &keys.prefix,
    ]
}

/// What a call that may add the next job of a scheduler has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its job is there, or the scheduler has changed since or is gone.
    Nothing,
    Done,
    /// The job of that run has finished already, so that a later one must be tried.
    SlotUsed,
}

impl Step {
    fn of(reply: Value) -> Result<Self> {
        Ok(match reply.into_int()? {
            1 => Self::Done,
            -1 => Self::SlotUsed,
            _ => Self::Nothing,
        })
    }
}

/// False when the scheduler is no longer `expected`.
pub(super) async fn upsert_scheduler(
    queue: &Queue,
    expected: &str,
    next: &Iteration<'_>,
    fields: &[(&str, String)],
) -> Result<bool> {
    let storage = queue.storage();
    let call = lua::UPSERT_SCHEDULER.with(
        adding_keys(queue, &storage.keys.scheduler(next.scheduler)),
        next.arguments(expected, &next.numbers(queue.now())),
        fields.iter().flat_map(|(name, value)| [*name, value.as_str()]),
    );
    Ok(call.run(&*storage.link).await?.into_int()? == 1)
}

/// Adds the job after `taken`.
pub(super) async fn advance_scheduler(queue: &Queue, taken: &str, next: &Iteration<'_>) -> Result<Step> {
    let storage = queue.storage();
    let call = lua::ADVANCE_SCHEDULER.with(
        adding_keys(queue, &storage.keys.scheduler(next.scheduler)),
        next.arguments(taken, &next.numbers(queue.now())),
    );
    Step::of(call.repeatable().run(&*storage.link).await?)
}

/// False when there was none.
pub(super) async fn remove_scheduler(queue: &Queue, scheduler: &str) -> Result<bool> {
    let (storage, keys) = (queue.storage(), &queue.storage().keys);
    let call = lua::REMOVE_SCHEDULER.with(
        [
            &keys.repeat,
            &keys.scheduler(scheduler),
            &keys.wait,
            &keys.prioritized,
            &keys.delayed,
            &keys.meta,
            &keys.events,
            &keys.prefix,
        ],
        [scheduler.as_bytes()],
    );
    Ok(call.run(&*storage.link).await?.into_int()? == 1)
}

/// `lost` is the run whose job may be lost; `next` the one that follows it, unless the series is over.
pub(super) async fn repair_scheduler(queue: &Queue, lost: i64, is_over: bool, next: &Iteration<'_>) -> Result<Step> {
    let storage = queue.storage();
    let mut numbers = next.numbers(queue.now());
    if is_over {
        numbers[0].clear();
    }
    let lost = lost.to_string();
    let call = lua::REPAIR_SCHEDULER
        .with(adding_keys(queue, &storage.keys.scheduler(next.scheduler)), next.arguments(&lost, &numbers));
    Step::of(call.repeatable().run(&*storage.link).await?)
}

/// Removes an active job that must not run any more. Nothing when its lock is no longer held by `token`.
pub(super) async fn drop_missed_run(queue: &Queue, scheduler: &str, job_id: &str, token: &str) -> Result<()> {
    let (storage, keys) = (queue.storage(), &queue.storage().keys);
    let call = lua::DROP_MISSED_RUN.with(
        [
            &keys.scheduler(scheduler),
            &keys.job(job_id),
            &keys.active,
            &keys.stalled,
            &keys.meta,
            &keys.marker,
            &keys.events,
        ],
        [job_id.as_bytes(), token.as_bytes()],
    );
    call.repeatable().run(&*storage.link).await.map(drop)
}

/// Keeps `record`, unless that of a later run is there.
pub(super) async fn record_run(queue: &Queue, scheduler: &str, run: i64, record: &str) -> Result<()> {
    let storage = queue.storage();
    let call = lua::RECORD_RUN
        .with([&storage.keys.scheduler(scheduler)], [run.to_string().as_bytes(), record.as_bytes()])
        .repeatable();
    call.run(&*storage.link).await.map(drop)
}
