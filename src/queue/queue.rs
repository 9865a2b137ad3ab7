//! A queue: adding jobs, looking at them, and administration.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    JobCounts, JobOptions, JobRecord, JobState, MAX_PRIORITY, NewJob, Overload, PayloadCodec, Reset, bounds,
    cancel_listener,
    dead_letter::UserDeadLetter,
    job_options::StoredOptions,
    keys::QueueKeys,
    overload::UserOverload,
    parent_options::StoredParent,
    payload::UserPayload,
    scripts::{AddedJob, Storage},
};
use crate::{
    clock::Clock,
    codec::option_text::{read_options, whole},
    codec::resp::Value,
    connection::{BoxFuture, Command, Link},
    error::{Error, Result},
};

/// Which script adds a job.
fn way(job: &AddedJob) -> (bool, bool) {
    (job.parent.is_some(), job.group.is_some())
}

/// Jobs that one script call adds at most, and bytes of them.
const ADD_SLICE: usize = 500;
const ADD_SLICE_BYTES: usize = 1 << 20;
/// Jobs that are read in one pipeline.
const READ_SLICE: usize = 500;

/// Options of a [`Queue`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// First part of every key. Default `bull`.
    pub prefix: String,
    /// The part of `prefix` that the connection adds and that its user does not know of. Default: none.
    pub key_prefix: String,
    pub default_job_options: JobOptions,
    /// How data and results are stored. Default: as they are.
    pub payload: PayloadCodec,
    /// Bounds the jobs that wait. Default: no bound.
    pub overload: Option<Overload>,
    /// About how many entries the events stream keeps. Default 10,000.
    pub max_len_events: i64,
    /// Store `max_len_events` and the version with the queue when it is opened. Default true.
    pub describes_itself: bool,
    /// Default: that of the link.
    pub clock: Clock,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            prefix: "bull".to_owned(),
            key_prefix: String::new(),
            default_job_options: JobOptions::default(),
            payload: PayloadCodec::default(),
            overload: None,
            max_len_events: bounds::EVENTS,
            describes_itself: true,
            clock: Clock::system(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserOptions {
    prefix: Option<String>,
    default_job_options: Option<Box<serde_json::value::RawValue>>,
    dead_letter: Option<UserDeadLetter>,
    overload: Option<UserOverload>,
    payload: Option<UserPayload>,
    streams: Option<Streams>,
    skip_metas_update: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Streams {
    events: Option<Events>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Events {
    max_len: Option<f64>,
}

impl QueueOptions {
    /// Reads `{prefix?, defaultJobOptions?, deadLetter?, overload?, payload?, streams?: {events?: {maxLen?}}, skipMetasUpdate?}`.
    pub fn from_json(text: &str) -> Result<Self> {
        let user: UserOptions = read_options(text)?;
        let mut options = Self::default();
        if let Some(prefix) = user.prefix {
            options.prefix = prefix;
        }
        if let Some(defaults) = user.default_job_options {
            options.default_job_options =
                JobOptions::from_json(defaults.get()).map_err(|error| error.below_option("defaultJobOptions"))?;
        }
        if let Some(dead_letter) = user.dead_letter {
            options.default_job_options.dead_letter.get_or_insert(dead_letter.into_choice()?);
        }
        if let Some(payload) = user.payload {
            options.payload = payload.into_codec()?;
        }
        options.overload = user.overload.map(UserOverload::into_overload).transpose()?;
        let max_len = user.streams.and_then(|streams| streams.events).and_then(|events| events.max_len);
        if let Some(max_len) = whole("streams.events.maxLen", max_len, 0, i64::from(i32::MAX))? {
            options.max_len_events = max_len;
        }
        options.describes_itself = !user.skip_metas_update.unwrap_or(false);
        Ok(options)
    }
}

/// A queue. Cheap to clone; holds no connection of its own.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    qualified_name: String,
    options: QueueOptions,
    storage: Storage,
}

impl Queue {
    /// Fails when the name is empty or contains `:`.
    pub fn open(link: Arc<dyn Link>, name: &str, options: QueueOptions) -> Result<Self> {
        let queue = Self::visit(link, name, options)?;
        if queue.inner.options.describes_itself {
            queue.describe_itself();
        }
        Ok(queue)
    }

    /// As [`open`](Self::open), but leaves the queue's settings as they are.
    pub(crate) fn visit(link: Arc<dyn Link>, name: &str, mut options: QueueOptions) -> Result<Self> {
        options.clock = options.clock.or(link.clock());
        if name.is_empty() || name.contains(':') {
            return Err(Error::invalid_argument("name", &format!("`{name}`"), "a text without `:`"));
        }
        if options.prefix.is_empty() {
            return Err(Error::invalid_option("prefix", "empty", "a text"));
        }
        options.default_job_options.check()?;
        Ok(Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                qualified_name: format!("{}:{name}", options.prefix),
                storage: Storage { link, keys: QueueKeys::new(&options.prefix, name) },
                options,
            }),
        })
    }

    /// Dashboards tell a queue by `version`; every writer of events bounds their stream by `opts.maxLenEvents`.
    fn describe_itself(&self) {
        let command = Command::new("HSET")
            .key(&self.storage().keys.meta)
            .arg("opts.maxLenEvents")
            .int(self.inner.options.max_len_events)
            .arg("version")
            .arg(concat!("bullmq:6.7.0-oxcart-", env!("CARGO_PKG_VERSION")))
            .repeatable();
        // Sent now, before what the caller sends next; whether it arrives does not matter to any job.
        drop(self.storage().link.call(command));
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A full key as the queue's user knows it.
    pub(crate) fn user_key<'a>(&self, key: &'a str) -> &'a str {
        key.strip_prefix(&self.inner.options.key_prefix).unwrap_or(key)
    }

    /// `prefix:name`.
    pub fn qualified_name(&self) -> &str {
        &self.inner.qualified_name
    }

    pub fn options(&self) -> &QueueOptions {
        &self.inner.options
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// Where its jobs have their times from.
    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.options.clock
    }

    pub(crate) fn payload(&self) -> &PayloadCodec {
        &self.inner.options.payload
    }

    /// With its payloads as they were before they were stored, where this queue can read them.
    pub(super) fn opened(&self, mut job: JobRecord) -> JobRecord {
        self.payload().open_record(&mut job);
        job
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock().now_ms()
    }

    /// Adds jobs in order, in as few script calls as bounds allow, all sent before this is awaited. One result a job:
    /// its id, or why it was refused.
    pub fn add(&self, jobs: Vec<NewJob>) -> impl Future<Output = Vec<Result<String>>> + Send + use<> {
        let now = self.now();
        let mut results: Vec<Option<Result<String>>> = Vec::with_capacity(jobs.len());
        let mut slices = Vec::new();
        let (mut slice, mut places, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (place, job) in jobs.into_iter().enumerate() {
            match self.prepare(job, now) {
                Err(error) => results.push(Some(Err(error))),
                Ok(job) => {
                    results.push(None);
                    // Jobs keep their order; those with a parent or a group go by other scripts.
                    let is_full = slice.len() == ADD_SLICE || bytes >= ADD_SLICE_BYTES;
                    if is_full || slice.last().is_some_and(|last: &AddedJob| way(last) != way(&job)) {
                        slices.push((std::mem::take(&mut places), self.add_slice(now, &slice)));
                        slice.clear();
                        bytes = 0;
                    }
                    bytes += job.data.len() + job.opts.len() + job.name.len();
                    slice.push(job);
                    places.push(place);
                }
            }
        }
        if !slice.is_empty() {
            slices.push((places, self.add_slice(now, &slice)));
        }
        async move {
            for (places, reply) in slices {
                match reply.await {
                    Ok(ids) => places.into_iter().zip(ids).for_each(|(place, id)| results[place] = Some(id)),
                    Err(error) => places.into_iter().for_each(|place| results[place] = Some(Err(error.clone()))),
                }
            }
            let missing = || Err(Error::unexpected_reply("add_jobs", "of another length"));
            results.into_iter().map(|result| result.unwrap_or_else(missing)).collect()
        }
    }

    /// All of them go the same way.
    fn add_slice(&self, now: i64, jobs: &[AddedJob]) -> BoxFuture<'static, Result<Vec<Result<String>>>> {
        if jobs.first().is_some_and(|job| job.parent.is_some()) {
            return Box::pin(self.storage().add_children(now, jobs));
        }
        if self.inner.options.overload.is_some() || jobs.first().is_some_and(|job| job.group.is_some()) {
            return self.add_each(now, jobs);
        }
        let adding = self.storage().add_jobs(now, jobs);
        Box::pin(async move { Ok(adding.await?.into_iter().map(Ok).collect()) })
    }

    pub(super) fn prepare(&self, job: NewJob, now: i64) -> Result<AddedJob> {
        let mut options = job.options.or(&self.inner.options.default_job_options);
        options.check()?;
        let data = if job.data.is_empty() { "{}".to_owned() } else { job.data };
        bounds::check_payload(format_args!("the data of job `{}`", job.name), &data, options.size_limit)
            .map_err(|error| error.with("queue", self.name()))?;
        let data = self.payload().seal(data)?;
        // An envelope may be larger than what is in it.
        bounds::check_payload(format_args!("the stored data of job `{}`", job.name), &data, options.size_limit)
            .map_err(|error| error.with("queue", self.name()))?;
        // Stored beside the options, not among them: jobs of many moments share their options' text.
        let timestamp = options.timestamp.or(options.made_at).unwrap_or(now);
        Ok(AddedJob {
            opts: StoredOptions::of(&options).to_json(),
            own_id: options.job_id.take(),
            name: job.name,
            data,
            timestamp,
            delay: options.delay.unwrap_or(0),
            priority: options.group.as_ref().and_then(|group| group.priority).or(options.priority).unwrap_or(0),
            lifo: options.lifo.unwrap_or(false),
            deduplication: options.deduplication,
            parent: options.parent.map(|mut parent| {
                parent.queue.insert_str(0, &self.inner.options.key_prefix);
                StoredParent::of(&parent, options.child_failure)
            }),
            group: options.group,
        })
    }

    pub async fn get_job(&self, id: &str) -> Result<Option<JobRecord>> {
        let command = Command::new("HGETALL").key(self.storage().keys.job(id)).repeatable();
        let job = JobRecord::from_hash(id.to_owned(), self.storage().link.call(command).await?)?;
        Ok(job.map(|job| self.opened(job)))
    }

    /// Jobs of the given states, one state after the other, `start..=end` of each (as Redis counts, -1 is the last),
    /// oldest first when `ascending`. A job that is removed meanwhile is left out.
    pub async fn get_jobs(&self, states: &[JobState], start: i64, end: i64, ascending: bool) -> Result<Vec<JobRecord>> {
        let mut commands: Vec<_> = states.iter().map(|&state| self.range(state, start, end, ascending)).collect();
        commands.extend(states.iter().flat_map(|&state| self.beside_groups(state)));
        let mut ids = Vec::new();
        let mut replies = self.storage().link.call_many(&commands).await;
        let mut sizes = replies.split_off(states.len().min(replies.len())).into_iter();
        for (reply, state) in replies.into_iter().zip(states) {
            let mut of_state = reply?.into_items()?.into_iter().map(Value::into_text).collect::<Result<Vec<_>>>()?;
            if ascending && is_list(*state) {
                of_state.reverse();
            }
            ids.append(&mut of_state);
            if let [_, _] = self.beside_groups(*state)[..] {
                let mut size = || match sizes.next() {
                    Some(reply) => {
                        Ok(reply?.into_optional_text()?.and_then(|size| size.parse::<i64>().ok()).unwrap_or(0))
                    }
                    None => Err(Error::unexpected_reply("get_jobs", "too short")),
                };
                let (ungrouped, grouped) = (size()?, size()?);
                let (first, last) = ((start - ungrouped).max(0), if end < 0 { end } else { end - ungrouped });
                if grouped > 0 && start >= 0 && (end < 0 || last >= 0) {
                    ids.append(&mut self.grouped(*state, first, last).await?);
                }
            }
        }
        self.read_jobs(&ids).await
    }

    pub(super) async fn read_jobs(&self, ids: &[String]) -> Result<Vec<JobRecord>> {
        let mut jobs = Vec::with_capacity(ids.len());
        for slice in ids.chunks(READ_SLICE) {
            let reads: Vec<_> =
                slice.iter().map(|id| Command::new("HGETALL").key(self.storage().keys.job(id)).repeatable()).collect();
            for (reply, id) in self.storage().link.call_many(&reads).await.into_iter().zip(slice) {
                jobs.extend(JobRecord::from_hash(id.clone(), reply?)?.map(|job| self.opened(job)));
            }
        }
        Ok(jobs)
    }

    /// How many jobs of a state are in no group and in groups, where groups have some.
    fn beside_groups(&self, state: JobState) -> Vec<Command> {
        let keys = &self.storage().keys;
        match state {
            JobState::Waiting => vec![
                Command::new("LLEN").key(&keys.wait).repeatable(),
                Command::new("HGET").key(keys.of_groups("state")).arg("waiting").repeatable(),
            ],
            JobState::Delayed => vec![
                Command::new("ZCARD").key(&keys.delayed).repeatable(),
                Command::new("ZCARD").key(keys.of_groups("delayed")).repeatable(),
            ],
            _ => Vec::new(),
        }
    }

    /// Ids of jobs in groups, those that come next first.
    async fn grouped(&self, state: JobState, start: i64, end: i64) -> Result<Vec<String>> {
        if state == JobState::Waiting {
            return self.grouped_waiting(start, end).await;
        }
        let delayed = self.storage().keys.of_groups("delayed");
        let range = Command::new("ZRANGE").key(delayed).int(start).int(end).repeatable();
        self.storage().link.call(range).await?.into_items()?.into_iter().map(Value::into_text).collect()
    }

    /// New jobs enter a list at its head, so its oldest are at the tail.
    fn range(&self, state: JobState, start: i64, end: i64, ascending: bool) -> Command {
        let key = format!("{}{}", self.storage().keys.prefix, state.key_suffix());
        let (name, start, end) = match (is_list(state), ascending) {
            (true, true) => ("LRANGE", -1 - end, -1 - start),
            (true, false) => ("LRANGE", start, end),
            (false, true) => ("ZRANGE", start, end),
            (false, false) => ("ZREVRANGE", start, end),
        };
        Command::new(name).key(key).int(start).int(end).repeatable()
    }

    pub async fn get_counts(&self) -> Result<JobCounts> {
        let counts = self.storage().get_counts().await?;
        let [waiting, active, delayed, prioritized, waiting_children, completed, failed] = counts[..] else {
            return Err(Error::unexpected_reply("get_counts", "of another length"));
        };
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(JobCounts {
            waiting: count(waiting),
            active: count(active),
            delayed: count(delayed),
            prioritized: count(prioritized),
            waiting_children: count(waiting_children),
            completed: count(completed),
            failed: count(failed),
        })
    }

    pub async fn get_state(&self, id: &str) -> Result<Option<JobState>> {
        self.storage().get_state(id).await
    }

    /// Stops every worker of the queue, in all processes, from taking jobs.
    pub async fn pause(&self) -> Result<()> {
        self.storage().pause().await
    }

    pub async fn resume(&self) -> Result<()> {
        self.storage().resume().await
    }

    pub async fn is_paused(&self) -> Result<bool> {
        let command = Command::new("HEXISTS").key(&self.storage().keys.meta).arg("paused").repeatable();
        Ok(self.storage().link.call(command).await?.into_int()? == 1)
    }

    /// False when a worker holds the job, or `with_children` one of its children, or when it does not exist. A tree of
    /// more than 1,000 jobs goes in several steps, the deepest first.
    pub async fn remove(&self, id: &str, with_children: bool) -> Result<bool> {
        self.storage().remove_job(self.now(), id, with_children).await
    }

    /// Puts a failed (or completed) job back.
    pub async fn retry(&self, id: &str, from: JobState, reset: Reset) -> Result<()> {
        if !matches!(from, JobState::Completed | JobState::Failed) {
            return Err(Error::invalid_argument("state", from.as_str(), "completed, failed"));
        }
        self.storage().retry_job(id, from, reset).await
    }

    /// Runs a delayed job now.
    pub async fn promote(&self, id: &str) -> Result<()> {
        self.storage().promote_job(id).await
    }

    /// Makes a delayed job due `delay_ms` from now.
    pub async fn change_delay(&self, id: &str, delay_ms: i64) -> Result<()> {
        JobOptions { delay: Some(delay_ms), ..JobOptions::default() }.check()?;
        self.storage().change_delay(self.now(), id, delay_ms).await
    }

    /// `front` puts the job before all others of its new priority.
    pub async fn change_priority(&self, id: &str, priority: i64, front: bool) -> Result<()> {
        if !(0..=MAX_PRIORITY).contains(&priority) {
            return Err(Error::invalid_option("priority", &priority.to_string(), "an integer from 0 to 2097151"));
        }
        self.storage().change_priority(id, priority, front).await
    }

    /// `data` is JSON text.
    pub async fn update_data(&self, id: &str, data: &str) -> Result<()> {
        bounds::check_payload("the data", data, None).map_err(|error| error.with("jobId", id))?;
        let data = self.payload().seal(data.to_owned())?;
        self.storage().update_data(id, &data).await
    }

    /// `progress` is JSON text.
    pub async fn update_progress(&self, id: &str, progress: &str) -> Result<()> {
        bounds::check_payload("the progress", progress, None).map_err(|error| error.with("jobId", id))?;
        self.storage().update_progress(id, progress).await
    }

    /// Adds a row and says how many there are now. Of `keep` rows, 10,000 without it, the last ones stay.
    pub async fn add_log(&self, id: &str, row: &str, keep: Option<i64>) -> Result<i64> {
        bounds::check_payload("the log row", row, None).map_err(|error| error.with("jobId", id))?;
        self.storage().add_log(id, row, keep.unwrap_or(bounds::LOG_ROWS)).await
    }

    /// Rows `start..=end`, and how many there are in all.
    pub async fn get_logs(&self, id: &str, start: i64, end: i64) -> Result<(Vec<String>, i64)> {
        let key = self.storage().keys.logs(id);
        let commands = [
            Command::new("LRANGE").key(&key).int(start).int(end).repeatable(),
            Command::new("LLEN").key(&key).repeatable(),
        ];
        let mut replies = self.storage().link.call_many(&commands).await.into_iter();
        let (Some(rows), Some(count)) = (replies.next(), replies.next()) else {
            return Err(Error::unexpected_reply("get_logs", "nothing"));
        };
        let rows = rows?.into_items()?.into_iter().map(Value::into_text).collect::<Result<_>>()?;
        Ok((rows, count?.into_int()?))
    }

    /// Asks the worker that runs the job, in whatever process, to cancel it. False when none runs it, or one that cannot
    /// be asked: a stock one, or one that is not connected at this moment.
    pub async fn cancel_job(&self, id: &str, reason: Option<&str>) -> Result<bool> {
        cancel_listener::cancel(self, id, reason).await
    }

    /// Removes all jobs that wait; with `delayed`, also those. The pending jobs of job schedulers stay.
    pub async fn drain(&self, delayed: bool) -> Result<()> {
        self.storage().drain_jobs(self.now(), delayed).await
    }

    /// Removes up to `limit` (0: any number) jobs of `state` older than `grace_ms`; gives their ids. Jobs that a worker
    /// holds and pending jobs of job schedulers stay.
    pub async fn clean(&self, grace_ms: i64, limit: usize, state: JobState) -> Result<Vec<String>> {
        let now = self.now();
        self.storage().clean_jobs(now, now.saturating_sub(grace_ms), limit, state).await
    }

    /// Deletes the queue and everything in it. It is paused first; active jobs stop it unless `force`.
    pub async fn obliterate(&self, force: bool) -> Result<()> {
        self.pause().await?;
        self.storage().obliterate(self.now(), force).await
    }

    /// The workers of the queue that list themselves, one JSON text each: `id`, `name`, `host`, `pid`, `startedAt`. One
    /// that ended without closing stays for up to 30 seconds. BullMQ's workers are not among them.
    pub async fn get_workers(&self) -> Result<Vec<String>> {
        self.storage().get_workers().await
    }

    /// At most so many jobs active in all workers; `None` lifts the bound.
    pub async fn set_global_concurrency(&self, bound: Option<i64>) -> Result<()> {
        self.set_meta(&[("concurrency", bound)]).await
    }

    /// At most `max` jobs started in each `duration_ms` by all workers; `None` lifts the bound.
    pub async fn set_global_rate_limit(&self, limit: Option<(i64, i64)>) -> Result<()> {
        self.set_meta(&[("max", limit.map(|limit| limit.0)), ("duration", limit.map(|limit| limit.1))]).await
    }

    async fn set_meta(&self, fields: &[(&str, Option<i64>)]) -> Result<()> {
        let storage = self.storage();
        let mut commands: Vec<_> = fields
            .iter()
            .map(|(field, value)| {
                let name = if value.is_some() { "HSET" } else { "HDEL" };
                let command = Command::new(name).key(&storage.keys.meta).arg(field).repeatable();
                value.map_or(command.clone(), |value| command.int(value))
            })
            .collect();
        // A wider bound may let waiting workers go on.
        commands.push(Command::new("ZADD").key(&storage.keys.marker).int(0).arg("0").repeatable());
        for reply in storage.link.call_many(&commands).await {
            reply?;
        }
        Ok(())
    }
}

fn is_list(state: JobState) -> bool {
    matches!(state, JobState::Waiting | JobState::Active)
}
