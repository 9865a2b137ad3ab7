//! Dead letters: jobs that have failed for good, moved to a queue of their own with what is known of the failure.
//!
//! A dead letter is an ordinary waiting job of that queue, named `failed-job`, so that workers, dashboards and stock
//! BullMQ see it. Its data is for people and programs; where the job came from stands in a further field, exactly as it
//! was stored, so that it can be put back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    JobRecord, Queue, Retry,
    scripts::{Storage, StoredOutcome},
};
use crate::{
    codec::{
        option_text::{milliseconds, read_options, whole},
        resp::Value,
    },
    connection::Command,
    error::{Error, Result},
    script::queue as lua,
};

/// Letters that one queue keeps when nothing else is said.
pub(super) const DEFAULT_LIMIT: i64 = 100_000;
/// Letters that are read, or put back, by one call.
const SLICE: usize = 100;
/// Letters that one listing looks at, whatever its filter lets through.
const MOST_LOOKED_AT: usize = 10_000;

/// Where jobs go that have failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DeadLetter {
    /// They stay where they are, whatever the worker says. Written `false`.
    #[serde(serialize_with = "as_false")]
    Off,
    To {
        /// Name of a queue with the same prefix.
        queue: String,
        /// Of more letters the oldest go. Default 100,000.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<i64>,
    },
}

fn as_false<S: serde::Serializer>(serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_bool(false)
}

/// As users write it, and as it is stored.
#[derive(Deserialize)]
#[serde(untagged, expecting = "the name of a queue, {queue, limit} or false")]
pub(crate) enum UserDeadLetter {
    Flag(bool),
    Queue(String),
    Full(FullDeadLetter),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullDeadLetter {
    queue: String,
    limit: Option<f64>,
}

impl UserDeadLetter {
    pub(crate) fn into_choice(self) -> Result<DeadLetter> {
        let (queue, limit) = match self {
            Self::Flag(false) => return Ok(DeadLetter::Off),
            Self::Flag(true) => {
                return Err(Error::invalid_option(
                    "deadLetter",
                    "true",
                    "the name of a queue, {queue, limit} or false",
                ));
            }
            Self::Queue(queue) => (queue, None),
            Self::Full(full) => (full.queue, whole("deadLetter.limit", full.limit, 1, i64::from(i32::MAX))?),
        };
        let choice = DeadLetter::To { queue, limit };
        choice.check()?;
        Ok(choice)
    }
}

impl<'de> Deserialize<'de> for DeadLetter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        UserDeadLetter::deserialize(deserializer)?.into_choice().map_err(serde::de::Error::custom)
    }
}

impl DeadLetter {
    /// What holds for a choice however it was made.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::To { queue, .. } if queue.is_empty() || queue.contains(':') => Err(Error::invalid_option(
                "deadLetter.queue",
                &format!("`{queue}`"),
                "the name of a queue, without `:`",
            )),
            _ => Ok(()),
        }
    }
}

/// Reason of a job whose last attempt ran longer than its timeout.
pub(super) const TIMED_OUT: &str = "timeout";

/// Why a job has failed for good, as a filter names it.
pub(super) fn reason_of(failed_reason: &str, retry: Retry) -> &'static str {
    match failed_reason {
        "job stalled more than allowable limit" => "stalled",
        "job started more than allowable limit" => "started-too-often",
        text if text.starts_with("job expired") => "expired",
        text if text.starts_with("child ") && text.ends_with(" failed") => "child-failed",
        _ if retry == Retry::Never => "unrecoverable",
        _ => "failed",
    }
}

/// The same for a job that failed long ago: only the text is left of it.
fn reason_of_stored(failed_reason: &str) -> &'static str {
    if failed_reason.contains("ran longer than its timeout of") {
        return TIMED_OUT;
    }
    reason_of(failed_reason, Retry::ByOptions)
}

/// Which letters are meant. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LetterFilter {
    /// Ids of letters.
    pub ids: Option<Vec<String>>,
    /// Queue that the job failed in.
    pub queue: Option<String>,
    /// Id that the job had there.
    pub job_id: Option<String>,
    /// Name of the job.
    pub name: Option<String>,
    /// `failed`, `unrecoverable`, `stalled`, `timeout`, `expired`, `started-too-often` or `child-failed`.
    pub reason: Option<String>,
    /// Part of the error's message.
    pub error: Option<String>,
    #[serde(deserialize_with = "time", rename = "since")]
    pub since_ms: Option<i64>,
    #[serde(deserialize_with = "time", rename = "until")]
    pub until_ms: Option<i64>,
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<i64>, D::Error> {
    let ms = Option::<f64>::deserialize(deserializer)?;
    milliseconds("time", ms, 0).map_err(serde::de::Error::custom)
}

impl LetterFilter {
    /// Reads a filter that a user wrote; times are milliseconds since the epoch.
    pub fn from_json(text: &str) -> Result<Self> {
        read_options(text)
    }

    fn lets_through(&self, letter: &Letter, content: &Content<'_>) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.record.id))
            && is(&self.queue, &content.original_queue)
            && is(&self.job_id, &content.original_job_id)
            && is(&self.name, &content.original_job_type)
            && is(&self.reason, content.reason.as_deref().unwrap_or("failed"))
            && self.error.as_ref().is_none_or(|part| content.error.contains(part.as_str()))
            && self.since_ms.is_none_or(|since| letter.record.timestamp >= since)
            && self.until_ms.is_none_or(|until| letter.record.timestamp <= until)
    }
}

/// The data of a letter, as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    original_queue: String,
    original_job_type: String,
    #[serde(default)]
    original_job_id: String,
    #[serde(borrow)]
    original_data: &'a RawValue,
    #[serde(default)]
    error: String,
    reason: Option<String>,
}

impl<'a> Content<'a> {
    /// Nothing for a job that is no letter.
    fn of(data: &'a str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }
}

struct Letter {
    record: JobRecord,
    /// Place among the waiting letters, from the oldest.
    place: i64,
}

/// Letters of one listing.
#[derive(Debug, Default)]
pub struct Letters {
    /// Oldest first.
    pub jobs: Vec<JobRecord>,
    /// Where the next listing goes on; `None` when there are no more.
    pub next: Option<i64>,
}

/// What became of letters that were to be put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    pub redriven: u64,
    /// They stay: a job with their id is in the original queue, or a worker has them.
    pub skipped: u64,
}

impl Queue {
    /// Dead letters in this queue, oldest first, at most `limit`, from `start` on. One call looks at 10,000 at most.
    pub async fn get_dead_letters(&self, filter: &LetterFilter, start: i64, limit: usize) -> Result<Letters> {
        let mut found = Letters::default();
        let mut at = start.max(0);
        let mut looked_at = 0;
        loop {
            let slice = self.letters(at).await?;
            let is_last = slice.len() < SLICE;
            for letter in slice {
                at = letter.place + 1;
                let is_meant =
                    Content::of(&letter.record.data).is_some_and(|content| filter.lets_through(&letter, &content));
                if is_meant {
                    found.jobs.push(self.opened_letter(letter.record));
                    if found.jobs.len() == limit {
                        found.next = Some(at);
                        return Ok(found);
                    }
                }
                looked_at += 1;
            }
            if is_last {
                return Ok(found);
            }
            if looked_at >= MOST_LOOKED_AT {
                found.next = Some(at);
                return Ok(found);
            }
        }
    }

    /// Puts dead letters back into the queues that they came from, with all their attempts, oldest first.
    pub async fn redrive(&self, filter: &LetterFilter, limit: Option<u64>) -> Result<Redriven> {
        let mut done = Redriven::default();
        let mut at = 0;
        loop {
            let slice = self.letters(at).await?;
            let is_last = slice.len() < SLICE;
            let first = at;
            at += i64::try_from(slice.len()).unwrap_or(0);
            let mut chosen: Vec<(String, Letter)> = Vec::new();
            for letter in slice {
                let is_enough = limit.is_some_and(|limit| done.redriven + chosen.len() as u64 >= limit);
                let queue = Content::of(&letter.record.data)
                    .filter(|content| !is_enough && filter.lets_through(&letter, content))
                    .map(|content| content.original_queue);
                chosen.extend(queue.map(|queue| (queue, letter)));
            }
            // What was put back no longer stands before the next slice.
            chosen.sort_by(|one, other| one.0.cmp(&other.0));
            for same in chosen.chunk_by(|one, other| one.0 == other.0) {
                let letters: Vec<_> = same
                    .iter()
                    .filter_map(|(_, letter)| {
                        let data = Content::of(&letter.record.data)?.original_data.get().to_owned();
                        Some((letter.record.id.clone(), data))
                    })
                    .collect();
                let places = (first, first + i64::try_from(SLICE).unwrap_or(0));
                let target = self.sibling_prefix(&same[0].0);
                let redriven = self.storage().redrive_jobs(self.now(), &target, places, &letters).await?;
                done.redriven += redriven;
                done.skipped += letters.len() as u64 - redriven;
                at -= i64::try_from(redriven).unwrap_or(0);
            }
            if is_last || limit.is_some_and(|limit| done.redriven >= limit) {
                return Ok(done);
            }
        }
    }

    /// Moves a job that has failed for good, and stayed, to the dead letters of another queue. False when it is not
    /// there.
    pub async fn bury(&self, id: &str, queue: &str, limit: Option<i64>) -> Result<bool> {
        DeadLetter::To { queue: queue.to_owned(), limit }.check()?;
        let Some(job) = self.get_job(id).await? else { return Ok(false) };
        let reason = job.failed_reason.as_deref().unwrap_or_default();
        let burial = Burial {
            id,
            token: "",
            at: job.finished_on.unwrap_or_else(|| self.now()),
            text: reason,
            stacktrace: job.stacktrace.as_deref().unwrap_or_default(),
            attempts_made: job.attempts_made,
            deduplication_id: "",
            reason: reason_of_stored(reason),
        };
        let to = LetterBox { prefix: self.sibling_prefix(queue), limit: limit.unwrap_or(DEFAULT_LIMIT) };
        let results = self.storage().bury_jobs(self.now(), self.name(), 0, &to, &[burial]).await?;
        Ok(results.into_iter().all(|result| result.is_ok()))
    }

    /// Moves a job that a worker has failed to its letter box.
    pub(super) async fn bury_stored(&self, points: i64, outcome: &StoredOutcome) -> Result<Vec<Result<()>>> {
        let Some(choice) = &outcome.burial else { return Ok(Vec::new()) };
        let to = LetterBox { prefix: self.sibling_prefix(&choice.queue), limit: choice.limit };
        self.storage().bury_jobs(self.now(), self.name(), points, &to, &[Burial::of(outcome)]).await
    }

    /// With the original data as it was before it was stored.
    fn opened_letter(&self, mut letter: JobRecord) -> JobRecord {
        let original = Content::of(&letter.data).map(|content| content.original_data.get().to_owned());
        if let Some(original) = original
            && let Ok(opened) = self.payload().open(original.clone())
            && opened != original
        {
            letter.data = letter.data.replacen(&original, &opened, 1);
        }
        letter
    }

    async fn letters(&self, from: i64) -> Result<Vec<Letter>> {
        let storage = self.storage();
        let last = from + i64::try_from(SLICE).unwrap_or(0) - 1;
        let range = Command::new("LRANGE").key(&storage.keys.wait).int(-1 - last).int(-1 - from).repeatable();
        let ids = storage.link.call(range).await?.into_items()?;
        let ids = ids.into_iter().rev().map(Value::into_text).collect::<Result<Vec<_>>>()?;
        let reads: Vec<_> =
            ids.iter().map(|id| Command::new("HGETALL").key(storage.keys.job(id)).repeatable()).collect();
        let mut letters = Vec::with_capacity(ids.len());
        for ((id, reply), place) in ids.into_iter().zip(storage.link.call_many(&reads).await).zip(from..) {
            // One that went meanwhile still counts as read.
            let record = JobRecord::from_hash(id.clone(), reply?)?.unwrap_or(JobRecord { id, ..JobRecord::default() });
            letters.push(Letter { record, place });
        }
        Ok(letters)
    }

    /// First part of the keys of another queue with the same prefix.
    pub(super) fn sibling_prefix(&self, queue: &str) -> String {
        format!("{}:{queue}:", self.options().prefix)
    }
}

/// A job on its way to the dead letters.
pub(super) struct Burial<'a> {
    pub(super) id: &'a str,
    /// Of its lock; empty for a job that stands among the failed ones.
    pub(super) token: &'a str,
    pub(super) at: i64,
    pub(super) text: &'a str,
    pub(super) stacktrace: &'a str,
    pub(super) attempts_made: i64,
    pub(super) deduplication_id: &'a str,
    pub(super) reason: &'static str,
}

impl<'a> Burial<'a> {
    /// Of an outcome that has a letter box.
    pub(super) fn of(outcome: &'a StoredOutcome) -> Self {
        Self {
            id: &outcome.id,
            token: &outcome.token,
            at: outcome.at,
            text: &outcome.text,
            stacktrace: &outcome.stacktrace,
            attempts_made: outcome.attempts_made,
            deduplication_id: &outcome.deduplication_id,
            reason: outcome.burial.as_ref().map_or("failed", |choice| choice.reason),
        }
    }
}

/// Where a job goes that has failed for good, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LetterChoice {
    pub(super) queue: String,
    pub(super) limit: i64,
    pub(super) reason: &'static str,
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LetterBox {
    pub(super) prefix: String,
    pub(super) limit: i64,
}

impl Storage {
    /// A result for each job.
    pub(super) async fn bury_jobs(
        &self,
        now: i64,
        queue: &str,
        metrics_points: i64,
        to: &LetterBox,
        burials: &[Burial<'_>],
    ) -> Result<Vec<Result<()>>> {
        let keys = &self.keys;
        let mut rest = Command::default();
        for one in burials {
            let at = chrono::DateTime::from_timestamp_millis(one.at)
                .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
                .unwrap_or_default();
            rest = rest.arg(one.id).arg(one.token).arg(at).arg(one.text).arg(one.stacktrace).int(one.attempts_made);
            rest = rest.arg(one.deduplication_id).arg(one.reason);
        }
        let call = lua::BURY_JOBS.with_rest(
            [
                &keys.wait,
                &keys.active,
                &keys.prioritized,
                &keys.priority_counter,
                &keys.delayed,
                &keys.meta,
                &keys.marker,
                &keys.events,
                &keys.stalled,
                &keys.failed,
                &keys.metrics_failed,
                &keys.prefix,
                &to.prefix,
            ],
            [
                now.to_string().as_bytes(),
                queue.as_bytes(),
                metrics_points.to_string().as_bytes(),
                to.limit.to_string().as_bytes(),
            ],
            &rest,
        );
        let results = call.run(&*self.link).await?.into_items()?;
        Ok(results
            .into_iter()
            .map(|result| match result {
                Value::Error(error) => Err(error),
                _ => Ok(()),
            })
            .collect())
    }

    /// `letters` are ids, with the data of their jobs, that stood within `places` before. Gives how many went.
    async fn redrive_jobs(
        &self,
        now: i64,
        target: &str,
        places: (i64, i64),
        letters: &[(String, String)],
    ) -> Result<u64> {
        let keys = &self.keys;
        let call = lua::REDRIVE_JOBS.with(
            [&keys.wait, &keys.meta, &keys.events, &keys.prefix, target],
            [now.to_string().as_bytes(), places.0.to_string().as_bytes(), places.1.to_string().as_bytes()],
            letters.iter().flat_map(|(id, data)| [id, data]),
        );
        Ok(u64::try_from(call.run(&*self.link).await?.into_int()?).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_in_each_form() {
        let read = |json| serde_json::from_str::<DeadLetter>(json);
        let to = |limit| DeadLetter::To { queue: "dead".into(), limit };
        assert_eq!(read("\"dead\"").unwrap(), to(None));
        assert_eq!(read(r#"{"queue":"dead","limit":5}"#).unwrap(), to(Some(5)));
        assert_eq!(read("false").unwrap(), DeadLetter::Off);
        for wrong in ["true", "5", "\"a:b\"", "\"\"", r#"{"queue":"dead","limit":0}"#, r#"{"queue":"dead","x":1}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for choice in [to(None), to(Some(5)), DeadLetter::Off] {
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<DeadLetter>(&json).unwrap(), choice);
        }
    }

    #[test]
    fn reasons_are_told_apart() {
        assert_eq!(reason_of("boom", Retry::ByOptions), "failed");
        assert_eq!(reason_of("boom", Retry::Never), "unrecoverable");
        assert_eq!(reason_of("job stalled more than allowable limit", Retry::Never), "stalled");
        assert_eq!(reason_of("job expired: it was not started by x", Retry::Never), "expired");
        assert_eq!(reason_of("child bull:q:1 failed", Retry::Never), "child-failed");
        let text = "job 1 in queue q ran longer than its timeout of 5 ms";
        assert_eq!((reason_of(text, Retry::ByOptions), reason_of_stored(text)), ("failed", "timeout"));
    }
}
