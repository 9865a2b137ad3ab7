//! Making, changing and listing job schedulers.

use super::{
    RepeatOptions,
    iteration::{self, Template},
    keys, scripts,
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
    queue::{JobOptions, Queue},
};

/// Runs that are tried when the time of a job is taken, and rounds against others that change the same scheduler.
pub(super) const SLOTS: usize = 32;

/// A stored scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerRecord {
    pub id: String,
    /// Name of its jobs.
    pub name: String,
    /// Next run, milliseconds since the epoch.
    pub next: Option<i64>,
    pub repeat: RepeatOptions,
    /// Jobs made so far.
    pub iterations: i64,
    /// JSON text of each job's data.
    pub data: Option<String>,
    /// JSON text of each job's options (short names).
    pub opts: Option<String>,
    /// JSON text of the [`LastRun`](super::LastRun), where runs are tracked.
    pub last_run: Option<String>,
    /// Runs that were let go as missed.
    pub skipped_runs: i64,
}

impl SchedulerRecord {
    /// BullMQ's shape: `{key, name, next, iterationCount, pattern?, tz?, every?, offset?, limit?, startDate?, endDate?,
    /// template?: {data?, opts?}}`.
    pub fn to_json(&self) -> String {
        let mut object = match self.repeat.to_value(0) {
            serde_json::Value::Object(object) => object,
            _ => serde_json::Map::new(),
        };
        object.remove("count");
        object.insert("key".to_owned(), self.id.as_str().into());
        object.insert("name".to_owned(), self.name.as_str().into());
        object.insert("iterationCount".to_owned(), self.iterations.into());
        if let Some(next) = self.next {
            object.insert("next".to_owned(), next.into());
        }
        if let Some(last) = self.last_run.as_deref().and_then(|json| serde_json::from_str(json).ok()) {
            object.insert("lastRun".to_owned(), last);
        }
        if self.skipped_runs > 0 {
            object.insert("skippedRuns".to_owned(), self.skipped_runs.into());
        }
        let mut template = serde_json::Map::new();
        for (name, json) in [("data", &self.data), ("opts", &self.opts)] {
            if let Some(value) = json.as_deref().and_then(|json| serde_json::from_str(json).ok()) {
                template.insert(name.to_owned(), value);
            }
        }
        if !template.is_empty() {
            object.insert("template".to_owned(), template.into());
        }
        serde_json::Value::Object(object).to_string()
    }

    fn from_hash(id: &str, next: Option<i64>, hash: Value) -> Result<Option<Self>> {
        let mut record = Self { id: id.to_owned(), next, ..Self::default() };
        let mut is_scheduler = false;
        let mut fields = hash.into_items()?.into_iter();
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            let (name, value) = (name.into_text()?, value.into_text()?);
            match name.as_str() {
                "name" => record.name = value,
                "data" => record.data = Some(value),
                "opts" => record.opts = Some(value),
                "lastRun" => record.last_run = Some(value),
                "skippedRuns" => record.skipped_runs = value.parse().unwrap_or(0),
                // Repeatable jobs of older versions have no such field.
                "ic" => {
                    is_scheduler = true;
                    record.iterations = value.parse().unwrap_or(0);
                }
                _ => {
                    record.repeat.take_field(&name, &value);
                }
            }
        }
        Ok(is_scheduler.then_some(record))
    }
}

/// The job schedulers of a queue.
#[derive(Clone)]
pub struct JobScheduler {
    queue: Queue,
}

impl JobScheduler {
    pub fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// Makes or changes a scheduler; gives the id of its next job (`None`: its end date has passed, nothing was
    /// stored). An interval that stays the same keeps its slot.
    ///
    /// # Errors
    /// `InvalidOption`; `IncompatibleData` for an id that an older version uses; `SchedulerSlotTaken` when the jobs of
    /// the next 32 runs exist already.
    pub async fn upsert(
        &self,
        id: &str,
        repeat: RepeatOptions,
        name: &str,
        data: &str,
        options: JobOptions,
    ) -> Result<Option<String>> {
        repeat.check()?;
        if id.is_empty() {
            return Err(Error::invalid_argument("id", "empty", "a text"));
        }
        if options.group.as_ref().is_some_and(|group| group.max_size.is_some()) {
            let got = "given for a job scheduler";
            return Err(Error::invalid_option("group.maxSize", got, "groups of jobs that no scheduler makes"));
        }
        if options.job_id.is_some() || options.delay.is_some() || options.deduplication.is_some() {
            return Err(Error::invalid_option(
                "options",
                "a jobId, delay or deduplication",
                "options that a scheduler does not set itself",
            ));
        }
        let options = options.or(&JobOptions {
            delay: None,
            deduplication: None,
            group: None,
            ..self.queue.options().default_job_options.clone()
        });
        options.check()?;
        let stored = options.to_stored_json();
        let data = self.queue.payload().seal(if data.is_empty() { "{}".to_owned() } else { data.to_owned() })?;
        let data = data.as_str();
        let mut after: Option<i64> = None;
        let mut strangers = 0;
        for _ in 0..SLOTS {
            let now = self.queue.now();
            let current = read(&self.queue, id).await?;
            let next = match (after, &current) {
                (Some(taken), _) => repeat.next(taken, now)?,
                (None, Some(SchedulerRecord { next: Some(slot), repeat: before, .. }))
                    if repeat.every.is_some()
                        && before.every == repeat.every
                        && (repeat.offset.is_none() || repeat.offset == before.offset)
                        && repeat.start_date.is_none_or(|start| start <= *slot) =>
                {
                    repeat.clone().first(now)?.map(|_| *slot)
                }
                _ => repeat.first(now)?,
            };
            let Some(next) = next else { return Ok(None) };
            let repeat = repeat.clone().with_grid_of(next);
            let template = Template { name, data, opts: &stored };
            let made = template.iteration(&repeat, 1, 0, id, next, now);
            let mut fields = repeat.fields();
            fields.extend([("name", name.to_owned()), ("data", data.to_owned()), ("opts", stored.clone())]);
            let is_new = current.is_none();
            let expected = current.and_then(|current| current.next).map(|next| next.to_string()).unwrap_or_default();
            match scripts::upsert_scheduler(&self.queue, &expected, &made.borrowed(&template, id), &fields).await {
                Ok(true) => return Ok(Some(keys::job_id(id, next))),
                // Somebody may have made it just now; but not twice.
                Ok(false) if is_new && strangers > 0 => return Err(self.repeatable_of_old(id)),
                Ok(false) => strangers += usize::from(is_new),
                Err(error) if error.code() == ErrorCode::SchedulerSlotTaken && repeat.chosen.is_none() => {
                    after = Some(next);
                }
                Err(error) => return Err(error),
            }
        }
        Err(no_slot(&self.queue, id))
    }

    fn repeatable_of_old(&self, id: &str) -> Error {
        let message = format!("`{id}` is a repeatable job of a version before 6; remove it there first");
        Error::new(ErrorCode::IncompatibleData, message).with("queue", self.queue.name())
    }

    /// Makes the job after `job_id`, which a worker has taken; with `chosen` at that time. For workers that were started
    /// with [`OwnerIteration`](super::OwnerIteration). Gives its id, when it made one.
    pub async fn advance(&self, job_id: &str, chosen: Option<i64>) -> Result<Option<String>> {
        match self.queue.get_job(job_id).await? {
            Some(job) => iteration::advance(&self.queue, &job, false, chosen).await,
            None => Ok(None),
        }
    }

    /// Removes a scheduler and its pending job. False when there was none.
    pub async fn remove(&self, id: &str) -> Result<bool> {
        scripts::remove_scheduler(&self.queue, id).await
    }

    pub async fn get(&self, id: &str) -> Result<Option<SchedulerRecord>> {
        Ok(read(&self.queue, id).await?.map(|record| self.opened(record)))
    }

    /// By next run, `start..=end` as Redis counts.
    pub async fn list(&self, start: i64, end: i64, ascending: bool) -> Result<Vec<SchedulerRecord>> {
        let storage = self.queue.storage();
        let entries = next_runs(&self.queue, start, end, ascending).await?;
        let reads: Vec<_> = entries
            .iter()
            .map(|(id, _)| Command::new("HGETALL").key(storage.keys.scheduler(id)).repeatable())
            .collect();
        let replies = storage.link.call_many(&reads).await;
        let records =
            entries.iter().zip(replies).map(|((id, next), hash)| SchedulerRecord::from_hash(id, Some(*next), hash?));
        records.filter_map(Result::transpose).map(|record| Ok(self.opened(record?))).collect()
    }

    /// With its data as it was before it was stored.
    fn opened(&self, mut record: SchedulerRecord) -> SchedulerRecord {
        if let Some(opened) = record.data.clone().and_then(|data| self.queue.payload().open(data).ok()) {
            record.data = Some(opened);
        }
        record
    }

    pub async fn count(&self) -> Result<i64> {
        let storage = self.queue.storage();
        storage.link.call(Command::new("ZCARD").key(&storage.keys.repeat).repeatable()).await?.into_int()
    }
}

/// Schedulers with their next runs, `start..=end` as Redis counts.
pub(super) async fn next_runs(queue: &Queue, start: i64, end: i64, ascending: bool) -> Result<Vec<(String, i64)>> {
    let storage = queue.storage();
    let name = if ascending { "ZRANGE" } else { "ZREVRANGE" };
    let range = Command::new(name).key(&storage.keys.repeat).int(start).int(end).arg("WITHSCORES").repeatable();
    let mut entries = Vec::new();
    let mut items = flat(storage.link.call(range).await?)?.into_iter();
    while let (Some(id), Some(next)) = (items.next(), items.next()) {
        entries.push((id.into_text()?, run(next)?.unwrap_or(0)));
    }
    Ok(entries)
}

pub(super) fn no_slot(queue: &Queue, id: &str) -> Error {
    Error::new(ErrorCode::SchedulerSlotTaken, format!("no free run for job scheduler `{id}`"))
        .with("queue", queue.name())
}

/// Scores with their members: RESP3 nests them.
fn flat(reply: Value) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    for item in reply.into_items()? {
        match item {
            Value::Array(pair) => items.extend(pair),
            other => items.push(other),
        }
    }
    Ok(items)
}

#[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
fn run(score: Value) -> Result<Option<i64>> {
    Ok(score.into_optional_text()?.and_then(|score| score.parse::<f64>().ok()).map(|score| score as i64))
}

pub(super) async fn read(queue: &Queue, id: &str) -> Result<Option<SchedulerRecord>> {
    let storage = queue.storage();
    let commands = [
        Command::new("ZSCORE").key(&storage.keys.repeat).arg(id).repeatable(),
        Command::new("HGETALL").key(storage.keys.scheduler(id)).repeatable(),
    ];
    let mut replies = storage.link.call_many(&commands).await.into_iter();
    let (Some(score), Some(hash)) = (replies.next(), replies.next()) else {
        return Err(Error::unexpected_reply("ZSCORE", "nothing"));
    };
    SchedulerRecord::from_hash(id, run(score?)?, hash?)
}
