//! Finds job schedulers whose next job vanished, and lets their series go on.
//!
//! The next job of a scheduler has the time that stands beside the scheduler. It is lost when its hash is gone (somebody
//! removed it, or a worker died after it had removed a finished job and before it made the next one), when it has
//! finished although the scheduler stands still, or when its id is in no list. A job may be in one of these conditions
//! for a moment without any harm, so only a scheduler that is found twice in a row is repaired; and then one script looks
//! again and changes the scheduler only if nobody else has, so that no time is used twice.

use super::{
    SchedulerRecord,
    iteration::Template,
    keys,
    scheduler::{self, SLOTS},
    scripts::{self, Step},
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::Result,
    queue::{Queue, Suspects},
};

/// Schedulers that are looked at by one pipeline.
const SLICE: i64 = 200;
/// A job that is due for so long may be an id that no list has.
const OVERDUE_MS: i64 = 60_000;

pub(super) async fn sweep(queue: &Queue, suspects: &mut Suspects) -> Result<Vec<String>> {
    let before = std::mem::take(suspects);
    let mut repaired = Vec::new();
    let mut start = 0;
    loop {
        let slice = scheduler::next_runs(queue, start, start + SLICE - 1, true).await?;
        let is_last = slice.len() < usize::try_from(SLICE).unwrap_or(0);
        for (id, run) in missing(queue, slice).await? {
            if before.get(&id) != Some(&run) {
                suspects.insert(id, run);
            } else if repair(queue, &id, run).await? {
                repaired.push(id);
            } else {
                // It stays one: there may be nothing more to come, or its job waits behind many others.
                suspects.insert(id, run);
            }
        }
        if is_last {
            return Ok(repaired);
        }
        start += SLICE;
    }
}

/// Those of the schedulers whose next job may be lost.
async fn missing(queue: &Queue, schedulers: Vec<(String, i64)>) -> Result<Vec<(String, i64)>> {
    let storage = queue.storage();
    let reads: Vec<_> = schedulers
        .iter()
        .map(|(id, run)| {
            let job = storage.keys.job(&keys::job_id(id, *run));
            Command::new("HMGET").key(job).args(["timestamp", "finishedOn"]).repeatable()
        })
        .collect();
    let now = queue.now();
    let mut missing = Vec::new();
    for (reply, (id, run)) in storage.link.call_many(&reads).await.into_iter().zip(schedulers) {
        let fields = reply?.into_items()?;
        let is_there =
            matches!(&fields[..], [timestamp, finished] if *timestamp != Value::Nil && *finished == Value::Nil);
        if !is_there || run < now - OVERDUE_MS {
            missing.push((id, run));
        }
    }
    Ok(missing)
}

async fn repair(queue: &Queue, id: &str, run: i64) -> Result<bool> {
    let Some(record) = scheduler::read(queue, id).await?.filter(|record| record.next == Some(run)) else {
        return Ok(false);
    };
    let mut after: Option<i64> = None;
    for _ in 0..SLOTS {
        let now = queue.now();
        let next = match after {
            // A time that has not come cannot have been used.
            None if run > now => Some(run),
            None => next_after(&record, run, now)?,
            Some(taken) => next_after(&record, taken, now)?,
        };
        // A series that has ended still needs its last job put back, if that is in no list.
        let is_over = next.is_none();
        let template = Template::of(&record, None);
        let repeat = record.repeat.clone().with_grid_of(run);
        let made = template.iteration(&repeat, record.iterations + 1, 0, id, next.unwrap_or(run), now);
        match scripts::repair_scheduler(queue, run, is_over, &made.borrowed(&template, id)).await? {
            Step::Nothing => return Ok(false),
            Step::Done => return Ok(true),
            Step::SlotUsed => after = next,
        }
    }
    Err(scheduler::no_slot(queue, id))
}

fn next_after(record: &SchedulerRecord, run: i64, now: i64) -> Result<Option<i64>> {
    if record.repeat.limit.is_some_and(|limit| record.iterations + 1 > limit) {
        return Ok(None);
    }
    record.repeat.next(run, now)
}
