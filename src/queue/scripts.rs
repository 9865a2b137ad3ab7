//! One typed function for each script of `lua/queue`.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::{
    JobRecord, JobState, Reset,
    keys::QueueKeys,
    native,
    profiles::{Profiled, Profiles},
    rests::Rests,
};
use crate::{
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, Result},
    script::{ScriptCall, queue as lua},
};

/// Where the data of one queue is.
pub(crate) struct Storage {
    pub(crate) link: Arc<dyn Link>,
    pub(crate) keys: QueueKeys,
}

/// A job as `add_jobs` takes it.
pub(super) struct AddedJob {
    pub(super) own_id: Option<String>,
    pub(super) name: String,
    pub(super) data: String,
    pub(super) opts: String,
    pub(super) timestamp: i64,
    pub(super) delay: i64,
    pub(super) priority: i64,
    pub(super) lifo: bool,
    pub(super) deduplication: Option<super::Deduplication>,
    pub(super) parent: Option<super::parent_options::StoredParent>,
    pub(super) group: Option<super::JobGroup>,
}

impl Profiled for AddedJob {
    fn is_like(&self, other: &Self) -> bool {
        (&self.name, &self.opts) == (&other.name, &other.opts)
            && (self.delay, self.priority, self.lifo) == (other.delay, other.priority, other.lifo)
            && self.deduplication == other.deduplication
    }
}

/// How a worker takes jobs.
#[derive(Clone, Debug)]
pub(super) struct Take {
    pub(super) wanted: usize,
    /// Jobs beyond those, which may wait here for a slot.
    pub(super) ahead: usize,
    pub(super) token: String,
    pub(super) lock_ms: u64,
    pub(super) worker_name: String,
    /// Jobs and milliseconds.
    pub(super) limiter: Option<(i64, u64)>,
}

/// What a worker got.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) jobs: Vec<JobRecord>,
    /// Nothing may be taken for so many milliseconds.
    pub(super) limited_ms: u64,
    /// When the next delayed job is due.
    pub(super) next_due: Option<i64>,
}

impl Taken {
    /// With what the script wrote after it read the jobs.
    fn since(mut self, now: i64) -> Self {
        for job in &mut self.jobs {
            job.attempts_started += 1;
            job.processed_on = Some(now);
        }
        self
    }
}

/// One outcome as `finish_jobs` takes it.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredOutcome {
    pub(super) id: String,
    pub(super) token: String,
    pub(super) kind: &'static str,
    pub(super) at: i64,
    /// Result or reason.
    pub(super) text: String,
    pub(super) stacktrace: String,
    pub(super) attempts_made: i64,
    pub(super) due: i64,
    pub(super) lifo: bool,
    pub(super) keep: super::KeepPolicy,
    pub(super) deduplication_id: String,
    /// As [`JobRecord::is_plain`] when it was taken.
    pub(super) is_plain: bool,
    /// For a job that goes to the dead letters; `finish_jobs` takes none of those.
    pub(super) burial: Option<Box<super::dead_letter::LetterChoice>>,
}

impl Profiled for StoredOutcome {
    fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.lifo, self.due, self.attempts_made) == (other.kind, other.lifo, other.due, other.attempts_made)
            && (&self.token, self.keep, &self.stacktrace) == (&other.token, other.keep, &other.stacktrace)
            && (&self.deduplication_id, self.is_plain) == (&other.deduplication_id, other.is_plain)
    }
}

pub(super) fn text(number: impl Into<i128>) -> Vec<u8> {
    itoa::Buffer::new().format(number.into()).as_bytes().to_vec()
}

pub(super) fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

/// Jobs looked at by one call of a script that works in slices.
pub(super) const SLICE: usize = 1000;
/// Jobs removed by one call: each has several keys, and the server serves nobody else meanwhile.
pub(super) const REMOVED_SLICE: usize = 100;

impl Storage {
    pub(super) async fn run(&self, call: ScriptCall) -> Result<Value> {
        call.run(&*self.link).await
    }

    /// One call for all; the caller keeps it within bounds. The script runs before this is awaited for the first time.
    pub(super) fn add_jobs(
        &self,
        now: i64,
        jobs: &[AddedJob],
    ) -> impl Future<Output = Result<Vec<String>>> + Send + use<> {
        let keys = &self.keys;
        let mut profiles = Profiles::default();
        let numbers: Vec<_> = jobs.iter().map(|job| profiles.number(job)).collect();
        let mut rest = Command::default();
        for job in &profiles.known {
            rest = rest.arg(&job.name).arg(&job.opts).int(job.delay).int(job.priority).arg(flag(job.lifo));
            rest = match &job.deduplication {
                Some(one) => rest.arg(&one.id).int(one.ttl_ms()).arg(one.rules()),
                None => rest.arg("").int(0).arg(""),
            };
        }
        for (job, number) in jobs.iter().zip(numbers) {
            rest = rest.arg(job.own_id.as_deref().unwrap_or_default()).arg(&job.data).int(job.timestamp).int(number);
        }
        let call = lua::ADD_JOBS.with_rest(
            [
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
            ],
            [&text(now), &text(profiles.known.len() as u64)],
            &rest,
        );
        let reply = call.native(native::add_jobs).start(Arc::clone(&self.link));
        async move { texts(reply.await?) }
    }

    pub(super) async fn fetch_jobs(&self, now: i64, take: &Take) -> Result<Taken> {
        let keys = &self.keys;
        let (max, ms) = limiter(take);
        let call = lua::FETCH_JOBS.with(
            [
                &keys.wait,
                &keys.active,
                &keys.prioritized,
                &keys.priority_counter,
                &keys.delayed,
                &keys.meta,
                &keys.marker,
                &keys.limiter,
                &keys.events,
                &keys.prefix,
            ],
            [
                &text(now),
                &text(take.wanted as u64),
                &text(take.ahead as u64),
                take.token.as_bytes(),
                &text(take.lock_ms),
                take.worker_name.as_bytes(),
                &max,
                &ms,
            ],
        );
        taken(self.run(call.native(native::fetch_jobs)).await?).map(|taken| taken.since(now))
    }

    /// Stores outcomes, and takes jobs when `take` wants some. A result for each outcome.
    pub(super) async fn finish_jobs(
        &self,
        now: i64,
        metrics_points: i64,
        take: &Take,
        outcomes: &[Cow<'_, StoredOutcome>],
    ) -> Result<(Vec<Result<()>>, Taken)> {
        let keys = &self.keys;
        let (max, ms) = limiter(take);
        let mut profiles = Profiles::default();
        let numbers: Vec<_> = outcomes.iter().map(|one| profiles.number(&**one)).collect();
        let mut rest = Command::default();
        for one in &profiles.known {
            rest = rest.arg(&one.token).arg(one.kind).arg(&one.stacktrace).int(one.attempts_made).int(one.due);
            rest = rest.arg(flag(one.lifo)).int(one.keep.count.unwrap_or(-1));
            rest = rest.arg(one.keep.age.map(text).unwrap_or_default());
            rest = rest.int(one.keep.limit.unwrap_or(1000).clamp(1, super::job_options::MAX_EVICTED));
            rest = rest.arg(&one.deduplication_id).arg(if one.is_plain { "1" } else { "" });
        }
        for (one, number) in outcomes.iter().zip(numbers) {
            rest = rest.arg(&one.id).int(one.at).arg(&one.text).int(number);
        }
        let call = lua::FINISH_JOBS.with_rest(
            [
                &keys.wait,
                &keys.active,
                &keys.prioritized,
                &keys.priority_counter,
                &keys.delayed,
                &keys.meta,
                &keys.marker,
                &keys.limiter,
                &keys.events,
                &keys.stalled,
                &keys.completed,
                &keys.failed,
                &keys.waiting_children,
                &keys.metrics_completed,
                &keys.metrics_failed,
                &keys.prefix,
            ],
            [
                &text(now),
                &text(metrics_points),
                &text(take.wanted as u64),
                &text(take.ahead as u64),
                take.token.as_bytes(),
                &text(take.lock_ms),
                take.worker_name.as_bytes(),
                &max,
                &ms,
                &text(profiles.known.len() as u64),
            ],
            &rest,
        );
        let [results, jobs] = pair(self.run(call.native(native::finish_jobs)).await?)?;
        let results = results
            .into_items()?
            .into_iter()
            .map(|result| match result {
                Value::Error(error) => Err(error),
                _ => Ok(()),
            })
            .collect();
        Ok((results, taken(jobs)?.since(now)))
    }

    /// Jobs that the call with this token took, when its reply was lost.
    pub(super) async fn recover_jobs(&self, token: &str) -> Result<Vec<JobRecord>> {
        let call = lua::RECOVER_JOBS.with([&self.keys.active, &self.keys.prefix], [token.as_bytes()]).repeatable();
        Ok(taken(self.run(call).await?)?.jobs)
    }

    /// Ids whose lock is lost.
    pub(super) async fn extend_locks(&self, lock_ms: u64, held: &[(String, String)]) -> Result<Vec<String>> {
        let rest = held.iter().flat_map(|(id, token)| [id, token]);
        let call = lua::EXTEND_LOCKS.with([&self.keys.stalled, &self.keys.prefix], [&text(lock_ms)], rest).repeatable();
        texts(self.run(call).await?)
    }

    /// A whole pass, or nothing when another worker has done one within the interval. Gives the ids put back.
    pub(super) async fn move_stalled_jobs_to_wait(&self, interval_ms: u64, max_stalled: i64) -> Result<Vec<String>> {
        let keys = &self.keys;
        let mut cursor = String::new();
        let mut put_back = Vec::new();
        loop {
            let call = lua::MOVE_STALLED_JOBS_TO_WAIT.with(
                [
                    &keys.stalled,
                    &keys.stalled_check,
                    &keys.active,
                    &keys.wait,
                    &keys.meta,
                    &keys.marker,
                    &keys.events,
                    &keys.prefix,
                ],
                [&text(interval_ms), &text(max_stalled), cursor.as_bytes(), &text(SLICE as u64)],
            );
            let [next, ids] = pair(self.run(call).await?)?;
            put_back.extend(texts(ids)?);
            cursor = next.into_text()?;
            if cursor.is_empty() {
                return Ok(put_back);
            }
        }
    }

    pub(super) async fn announce_worker(&self, id: &str, description: &str, lease: Duration) -> Result<()> {
        let ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let call = lua::ANNOUNCE_WORKER
            .with([&self.keys.workers, &self.keys.worker(id)], [id.as_bytes(), description.as_bytes(), &text(ms)]);
        self.run(call.repeatable()).await.map(drop)
    }

    pub(super) async fn get_workers(&self) -> Result<Vec<String>> {
        texts(self.run(lua::GET_WORKERS.with([&self.keys.workers], []).repeatable()).await?)
    }

    pub(super) async fn update_progress(&self, id: &str, progress: &str) -> Result<()> {
        let call = lua::UPDATE_PROGRESS
            .with([&self.keys.job(id), &self.keys.events, &self.keys.meta], [id.as_bytes(), progress.as_bytes()]);
        self.run(call).await.map(drop)
    }

    pub(super) async fn update_data(&self, id: &str, data: &str) -> Result<()> {
        let call = lua::UPDATE_DATA.with([&self.keys.job(id)], [id.as_bytes(), data.as_bytes()]).repeatable();
        self.run(call).await.map(drop)
    }

    pub(super) async fn add_log(&self, id: &str, row: &str, keep: i64) -> Result<i64> {
        let keep = text(keep);
        let call = lua::ADD_LOG.with([&self.keys.job(id), &self.keys.logs(id)], [id.as_bytes(), row.as_bytes(), &keep]);
        self.run(call).await?.into_int()
    }

    pub(super) async fn pause(&self) -> Result<()> {
        let keys = &self.keys;
        self.run(lua::PAUSE.with([&keys.meta, &keys.marker, &keys.events, &keys.paused], []).repeatable())
            .await
            .map(drop)
    }

    pub(super) async fn resume(&self) -> Result<()> {
        let keys = &self.keys;
        loop {
            let call = lua::RESUME.with(
                [
                    &keys.meta,
                    &keys.marker,
                    &keys.events,
                    &keys.wait,
                    &keys.prioritized,
                    &keys.delayed,
                    &keys.paused,
                    &keys.groups,
                ],
                [],
            );
            if self.run(call.repeatable()).await?.into_int()? == 0 {
                return Ok(());
            }
        }
    }

    pub(super) async fn get_state(&self, id: &str) -> Result<Option<JobState>> {
        let keys = &self.keys;
        let call = lua::GET_STATE.with(
            [
                &keys.completed,
                &keys.failed,
                &keys.delayed,
                &keys.prioritized,
                &keys.waiting_children,
                &keys.active,
                &keys.wait,
                &keys.paused,
                &keys.prefix,
            ],
            [id.as_bytes()],
        );
        let state = self.run(call.repeatable()).await?.into_optional_text()?;
        Ok(state.and_then(|name| JobState::from_name(&name)))
    }

    /// In the order of the states in the script.
    pub(super) async fn get_counts(&self) -> Result<Vec<i64>> {
        let keys = &self.keys;
        let call = lua::GET_COUNTS.with(
            [
                &keys.wait,
                &keys.active,
                &keys.delayed,
                &keys.prioritized,
                &keys.waiting_children,
                &keys.completed,
                &keys.failed,
                &keys.prefix,
            ],
            [],
        );
        self.run(call.repeatable()).await?.into_items()?.into_iter().map(Value::into_int).collect()
    }

    pub(super) async fn retry_job(&self, id: &str, from: JobState, reset: Reset) -> Result<()> {
        let keys = &self.keys;
        let finished = if from == JobState::Completed { &keys.completed } else { &keys.failed };
        let call = lua::RETRY_JOB.with(
            [
                &keys.job(id),
                finished,
                &keys.wait,
                &keys.prioritized,
                &keys.priority_counter,
                &keys.active,
                &keys.meta,
                &keys.marker,
                &keys.events,
            ],
            [id.as_bytes(), from.as_str().as_bytes(), reset.letters().as_bytes()],
        );
        self.run(call).await.map(drop)
    }

    pub(super) async fn promote_job(&self, id: &str) -> Result<()> {
        let keys = &self.keys;
        let call = lua::PROMOTE_JOB.with(
            [
                &keys.job(id),
                &keys.delayed,
                &keys.wait,
                &keys.prioritized,
                &keys.priority_counter,
                &keys.active,
                &keys.meta,
                &keys.marker,
                &keys.events,
            ],
            [id.as_bytes()],
        );
        self.run(call).await.map(drop)
    }

    pub(super) async fn change_delay(&self, now: i64, id: &str, delay: i64) -> Result<()> {
        let keys = &self.keys;
        let call = lua::CHANGE_DELAY.with(
            [&keys.job(id), &keys.delayed, &keys.meta, &keys.marker, &keys.events],
            [id.as_bytes(), &text(delay), &text(now.saturating_add(delay))],
        );
        self.run(call).await.map(drop)
    }

    pub(super) async fn change_priority(&self, id: &str, priority: i64, front: bool) -> Result<()> {
        let keys = &self.keys;
        let call = lua::CHANGE_PRIORITY.with(
            [&keys.job(id), &keys.wait, &keys.prioritized, &keys.priority_counter],
            [id.as_bytes(), &text(priority), flag(front)],
        );
        self.run(call).await.map(drop)
    }

    pub(super) async fn drain_jobs(&self, now: i64, delayed: bool) -> Result<()> {
        let keys = &self.keys;
        let (mut kept, mut kept_delayed) = (0, 0);
        let mut rests = Rests::default();
        loop {
            let call = lua::DRAIN_JOBS.with(
                [&keys.wait, &keys.paused, &keys.prioritized, &keys.delayed, &keys.repeat, &keys.prefix],
                [&text(now), flag(delayed), &text(REMOVED_SLICE as u64), &text(kept), &text(kept_delayed)],
            );
            let reply = rests.after(self.run(call)).await?.into_items()?;
            let numbers = reply.into_iter().map(Value::into_int).collect::<Result<Vec<_>>>()?;
            let [more, stay, stay_delayed] = numbers[..] else { return Err(shape("drain_jobs")) };
            if more == 0 {
                return Ok(());
            }
            (kept, kept_delayed) = (stay, stay_delayed);
        }
    }

    pub(super) async fn clean_jobs(&self, now: i64, before: i64, limit: usize, state: JobState) -> Result<Vec<String>> {
        let suffix = state.key_suffix();
        let mut removed = Vec::new();
        let set = format!("{}{suffix}", self.keys.prefix);
        self.clean_set(now, before, limit, &set, suffix, &mut removed).await?;
        if state == JobState::Waiting {
            for group in self.group_names().await? {
                self.clean_set(now, before, limit, &self.keys.group_jobs(&group), "group", &mut removed).await?;
            }
        } else if state == JobState::Delayed {
            self.clean_set(now, before, limit, &self.keys.of_groups("delayed"), suffix, &mut removed).await?;
        }
        Ok(removed)
    }

    async fn clean_set(
        &self,
        now: i64,
        before: i64,
        limit: usize,
        set: &str,
        state: &str,
        removed: &mut Vec<String>,
    ) -> Result<()> {
        let keys = &self.keys;
        let mut skip = 0;
        let (mut rests, before_this_set) = (Rests::default(), removed.len());
        while limit == 0 || removed.len() < limit {
            let rest = if limit == 0 { 1 << 52 } else { limit as u64 - removed.len() as u64 };
            let slice = text(REMOVED_SLICE as u64);
            let call = lua::CLEAN_JOBS.with(
                [set, &keys.repeat, &keys.meta, &keys.events, &keys.prefix],
                [
                    state.as_bytes(),
                    &text(before),
                    &text(rest),
                    &text(skip),
                    &slice,
                    &text(now),
                    &text((removed.len() - before_this_set) as u64),
                ],
            );
            let [next, ids] = pair(rests.after(self.run(call)).await?)?;
            removed.extend(texts(ids)?);
            skip = next.into_int()?;
            if skip < 0 {
                break;
            }
        }
        Ok(())
    }

    /// How many of these jobs were in no state and went.
    pub(super) async fn remove_orphaned_jobs(&self, ids: &[&str]) -> Result<usize> {
        let keys = &self.keys;
        let call = lua::REMOVE_ORPHANED_JOBS.with(
            [
                &keys.active,
                &keys.wait,
                &keys.paused,
                &keys.delayed,
                &keys.prioritized,
                &keys.waiting_children,
                &keys.completed,
                &keys.failed,
                &keys.prefix,
            ],
            [],
            ids,
        );
        Ok(usize::try_from(self.run(call).await?.into_int()?).unwrap_or(0))
    }

    pub(super) async fn obliterate(&self, now: i64, force: bool) -> Result<()> {
        let mut rests = Rests::default();
        loop {
            let call = lua::OBLITERATE
                .with([&self.keys.meta, &self.keys.prefix], [flag(force), &text(REMOVED_SLICE as u64), &text(now)])
                .repeatable();
            if rests.after(self.run(call)).await?.into_int()? == 0 {
                return Ok(());
            }
        }
    }
}

fn limiter(take: &Take) -> (Vec<u8>, Vec<u8>) {
    take.limiter.map(|(max, ms)| (text(max), text(ms))).unwrap_or_default()
}

fn shape(script: &str) -> Error {
    Error::unexpected_reply(script, "of another length")
}

fn pair(reply: Value) -> Result<[Value; 2]> {
    reply.into_items()?.try_into().map_err(|_| shape("a script"))
}

fn texts(reply: Value) -> Result<Vec<String>> {
    reply.into_items()?.into_iter().map(Value::into_text).collect()
}

fn taken(reply: Value) -> Result<Taken> {
    let mut items = reply.into_items()?.into_iter();
    let (Some(limited), Some(due)) = (items.next(), items.next()) else { return Err(shape("fetch_jobs")) };
    let mut taken = Taken {
        jobs: Vec::with_capacity(items.len() / 2),
        limited_ms: u64::try_from(limited.into_int()?).unwrap_or(0),
        next_due: Some(due.into_int()?).filter(|&due| due > 0),
    };
    while let (Some(id), Some(hash)) = (items.next(), items.next()) {
        if let Some(job) = JobRecord::from_hash(id.into_text()?, hash)? {
            taken.jobs.push(job);
        }
    }
    Ok(taken)
}
