//! Options of a job, from the names that users write and to the names that are stored.

use serde::{Deserialize, Serialize};

use super::parent_options::{ChildFailure, ChildFailureFlags, ParentJob};
use super::{DeadLetter, JobGroup, dead_letter::UserDeadLetter, groups::UserGroup};
use crate::codec::{
    option_date::UserDate,
    option_text::{MAX_MS, milliseconds, read_options, whole},
};
use crate::error::{Error, Result};

/// Largest priority, as BullMQ has it: the score of a prioritized job must stay below 2^53.
pub const MAX_PRIORITY: i64 = 2_097_151;

/// Jobs over age or count that may go each time one finishes: a script must stay short.
pub(super) const MAX_EVICTED: i64 = 10_000;

const MAX_COUNT: i64 = i32::MAX as i64;

/// How long to wait before the next attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// `fixed`, `exponential`, or the name of a strategy that the user defined.
    #[serde(rename = "type")]
    pub kind: String,
    /// Milliseconds.
    #[serde(default)]
    pub delay: Number,
    /// 0 to 1: the share of the delay that is left to chance.
    #[serde(default, skip_serializing_if = "Number::is_zero")]
    pub jitter: Number,
}

/// A JS number. Written without a fraction when it has none, as JS does.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl Number {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl Serialize for Number {
    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers below 2^53")]
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 9e15 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// Which finished jobs stay. Default: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepPolicy {
    /// So many at most; `None` means any number, 0 none.
    pub count: Option<i64>,
    /// Not longer than so many seconds.
    pub age: Option<i64>,
    /// How many jobs may be removed when jobs finish, at most; whatever it is, not more than two for each that finishes,
    /// but 50. Default 1000.
    pub limit: Option<i64>,
}

/// One job stands for all that are added with the same id while its window is open: until it has finished, or for
/// `ttl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that users write")]
pub struct Deduplication {
    pub id: String,
    /// Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Number>,
    /// Each job that is not added opens the window anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extend: bool,
    /// A new job takes the place of a delayed one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// A job that is not added moves the due time of a delayed one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reschedule: bool,
    /// The last job that was not added while the first one ran starts after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_last_if_active: bool,
}

impl Deduplication {
    fn check(&self) -> Result<()> {
        if self.id.is_empty() {
            return Err(Error::invalid_option("deduplication.id", "empty", "a text"));
        }
        milliseconds("deduplication.ttl", self.ttl.map(|ttl| ttl.0), 1).map(drop)
    }

    /// Window in milliseconds, 0 for none.
    pub(super) fn ttl_ms(&self) -> i64 {
        self.ttl.map_or(0, integer)
    }

    /// As the script reads them.
    pub(super) fn rules(&self) -> String {
        let rules = [(self.extend, 'e'), (self.replace, 'r'), (self.reschedule, 's'), (self.keep_last_if_active, 'k')];
        rules.into_iter().filter_map(|(on, letter)| on.then_some(letter)).collect()
    }
}

/// What ties a job to the trace that added it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobTelemetry {
    /// In the form of the user's context manager.
    pub metadata: Option<String>,
    /// The job belongs to no trace.
    pub omit_context: Option<bool>,
}

/// What a job sets; `None` takes the queue's default, then the built-in one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobOptions {
    /// Milliseconds before the job may run. Default 0.
    pub delay: Option<i64>,
    /// 1 (first) to 2,097,151; 0, the default, goes before all of them.
    pub priority: Option<i64>,
    /// How often it is tried in all. Default 1.
    pub attempts: Option<i64>,
    pub backoff: Option<Backoff>,
    /// Goes to the front of the queue.
    pub lifo: Option<bool>,
    /// Milliseconds that one attempt may take. Stored for the process that runs it; stock BullMQ ignores it.
    pub timeout: Option<i64>,
    pub remove_on_complete: Option<KeepPolicy>,
    pub remove_on_fail: Option<KeepPolicy>,
    /// Rows of log that stay. Default 10,000.
    pub keep_logs: Option<i64>,
    /// Stack traces that stay. Default 10.
    pub stack_trace_limit: Option<i64>,
    /// Largest data, in bytes. Default 16 MiB.
    pub size_limit: Option<i64>,
    /// Not an integer, without `:`.
    pub job_id: Option<String>,
    /// A worker that would start it for the first time after that fails it instead. Milliseconds since the epoch. Stock
    /// BullMQ ignores it.
    pub expire_at: Option<i64>,
    /// Where the job comes from, for whoever traces it.
    pub telemetry: Option<JobTelemetry>,
    /// When it was made, as its user says; stored with the options. Default `made_at`.
    pub timestamp: Option<i64>,
    /// When it was handed in, where that was before the queue saw it. Default now.
    pub made_at: Option<i64>,
    pub deduplication: Option<Deduplication>,
    /// The job whose child it is.
    pub parent: Option<ParentJob>,
    /// What its failure means for its parent. Default: the parent goes on waiting.
    pub child_failure: Option<ChildFailure>,
    /// Where it goes when it has failed for good. Stock BullMQ ignores it.
    pub dead_letter: Option<DeadLetter>,
    /// Stock BullMQ never takes a job that has one.
    pub group: Option<JobGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserOptions {
    delay: Option<f64>,
    priority: Option<f64>,
    attempts: Option<f64>,
    backoff: Option<UserBackoff>,
    lifo: Option<bool>,
    timeout: Option<f64>,
    expire_at: Option<UserDate>,
    telemetry: Option<JobTelemetry>,
    remove_on_complete: Option<UserKeep>,
    remove_on_fail: Option<UserKeep>,
    keep_logs: Option<f64>,
    stack_trace_limit: Option<f64>,
    size_limit: Option<f64>,
    job_id: Option<String>,
    timestamp: Option<f64>,
    deduplication: Option<Deduplication>,
    parent: Option<ParentJob>,
    fail_parent_on_failure: Option<bool>,
    continue_parent_on_failure: Option<bool>,
    ignore_dependency_on_failure: Option<bool>,
    remove_dependency_on_failure: Option<bool>,
    dead_letter: Option<UserDeadLetter>,
    group: Option<UserGroup>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "milliseconds or {type, delay, jitter}")]
enum UserBackoff {
    Delay(f64),
    Full(FullBackoff),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullBackoff {
    #[serde(rename = "type")]
    kind: String,
    delay: Option<f64>,
    jitter: Option<f64>,
}

/// `removeOnComplete` and `removeOnFail` as users write them, of jobs and of workers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a boolean, a number or {count, age, limit}")]
pub(crate) enum UserKeep {
    All(bool),
    Count(f64),
    Full(FullKeep),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullKeep {
    count: Option<f64>,
    age: Option<f64>,
    limit: Option<f64>,
}

impl UserKeep {
    pub(crate) fn into_policy(self, path: &str) -> Result<KeepPolicy> {
        // Bull writes -1 for "all".
        let count = |path: &str, count: Option<f64>| {
            Ok::<_, Error>(whole(path, count, -1, MAX_COUNT)?.filter(|&count| count >= 0))
        };
        Ok(match self {
            Self::All(remove) => KeepPolicy { count: remove.then_some(0), ..KeepPolicy::default() },
            Self::Count(number) => KeepPolicy { count: count(path, Some(number))?, ..KeepPolicy::default() },
            Self::Full(full) => KeepPolicy {
                count: count(&format!("{path}.count"), full.count)?,
                age: whole(&format!("{path}.age"), full.age, 0, MAX_COUNT)?,
                limit: whole(&format!("{path}.limit"), full.limit, 1, MAX_EVICTED)?,
            },
        })
    }
}

impl JobOptions {
    /// Reads the options that a user wrote. Fails with `InvalidOption` and the option's path.
    pub fn from_json(text: &str) -> Result<Self> {
        let user: UserOptions = read_options(text)?;
        let backoff = match user.backoff {
            None => None,
            Some(UserBackoff::Delay(delay)) => Some(("fixed".to_owned(), Some(delay), None, "backoff")),
            Some(UserBackoff::Full(full)) => Some((full.kind, full.delay, full.jitter, "backoff.delay")),
        };
        let backoff = backoff
            .map(|(kind, delay, jitter, path)| {
                let jitter = jitter.unwrap_or(0.0);
                if !(0.0..=1.0).contains(&jitter) {
                    return Err(Error::invalid_option("backoff.jitter", &jitter.to_string(), "a number from 0 to 1"));
                }
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                let delay = milliseconds(path, delay, 0)?.unwrap_or(0) as f64;
                Ok(Backoff { kind, delay: Number(delay), jitter: Number(jitter) })
            })
            .transpose()?;
        let options = Self {
            delay: milliseconds("delay", user.delay, 0)?,
            priority: whole("priority", user.priority, 0, MAX_PRIORITY)?,
            attempts: whole("attempts", user.attempts, 0, MAX_COUNT)?,
            backoff,
            lifo: user.lifo,
            timeout: milliseconds("timeout", user.timeout, 1)?,
            expire_at: user.expire_at.map(|date| date.into_ms("expireAt")).transpose()?,
            telemetry: user.telemetry,
            remove_on_complete: user.remove_on_complete.map(|keep| keep.into_policy("removeOnComplete")).transpose()?,
            remove_on_fail: user.remove_on_fail.map(|keep| keep.into_policy("removeOnFail")).transpose()?,
            keep_logs: whole("keepLogs", user.keep_logs, 0, MAX_COUNT)?,
            stack_trace_limit: whole("stackTraceLimit", user.stack_trace_limit, 0, MAX_COUNT)?,
            size_limit: whole("sizeLimit", user.size_limit, 0, MAX_COUNT)?,
            job_id: user.job_id,
            timestamp: milliseconds("timestamp", user.timestamp, 0)?,
            made_at: None,
            deduplication: user.deduplication,
            parent: user.parent,
            child_failure: ChildFailure::from_flags([
                user.fail_parent_on_failure,
                user.continue_parent_on_failure,
                user.ignore_dependency_on_failure,
                user.remove_dependency_on_failure,
            ])?,
            dead_letter: user.dead_letter.map(UserDeadLetter::into_choice).transpose()?,
            group: user.group.map(UserGroup::into_group).transpose()?,
        };
        options.check()?;
        Ok(options)
    }

    /// What holds for options however they were made.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(id) = &self.job_id {
            check_job_id(id)?;
        }
        if let Some(deduplication) = &self.deduplication {
            deduplication.check()?;
        }
        if let Some(parent) = &self.parent {
            parent.check()?;
            if self.deduplication.is_some() {
                return Err(Error::invalid_option("deduplication", "given beside `parent`", "one of the two"));
            }
        }
        if let Some(dead_letter) = &self.dead_letter {
            dead_letter.check()?;
        }
        if let Some(group) = &self.group {
            group.check()?;
            if self.priority.is_some_and(|priority| priority > 0) {
                return Err(Error::invalid_option("priority", "given beside `group`", "`group.priority`"));
            }
            if self.deduplication.as_ref().is_some_and(|one| one.keep_last_if_active) {
                let path = "deduplication.keepLastIfActive";
                return Err(Error::invalid_option(path, "given beside `group`", "one of the two"));
            }
        }
        if let Some(priority) = self.priority.filter(|priority| !(0..=MAX_PRIORITY).contains(priority)) {
            return Err(Error::invalid_option("priority", &priority.to_string(), "an integer from 0 to 2097151"));
        }
        if let Some(delay) = self.delay.filter(|delay| !(0..=MAX_MS).contains(delay)) {
            return Err(Error::invalid_option("delay", &delay.to_string(), "milliseconds from 0"));
        }
        Ok(())
    }

    /// The stored form, for a template of jobs.
    pub(crate) fn to_stored_json(&self) -> String {
        StoredOptions::of(self).to_json()
    }

    /// These options, and `defaults` where they say nothing. Ids and times are a job's own.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            delay: self.delay.or(defaults.delay),
            priority: self.priority.or(defaults.priority),
            attempts: self.attempts.or(defaults.attempts),
            backoff: self.backoff.or_else(|| defaults.backoff.clone()),
            lifo: self.lifo.or(defaults.lifo),
            timeout: self.timeout.or(defaults.timeout),
            expire_at: self.expire_at.or(defaults.expire_at),
            telemetry: self.telemetry.or_else(|| defaults.telemetry.clone()),
            remove_on_complete: self.remove_on_complete.or(defaults.remove_on_complete),
            remove_on_fail: self.remove_on_fail.or(defaults.remove_on_fail),
            keep_logs: self.keep_logs.or(defaults.keep_logs),
            stack_trace_limit: self.stack_trace_limit.or(defaults.stack_trace_limit),
            size_limit: self.size_limit.or(defaults.size_limit),
            job_id: self.job_id,
            timestamp: self.timestamp,
            made_at: self.made_at,
            deduplication: self.deduplication.or_else(|| defaults.deduplication.clone()),
            parent: self.parent,
            child_failure: self.child_failure.or(defaults.child_failure),
            dead_letter: self.dead_letter.or_else(|| defaults.dead_letter.clone()),
            group: self.group.or_else(|| defaults.group.clone()),
        }
    }
}

/// An id must not look like one that the queue makes itself, nor like a key below another job.
fn check_job_id(id: &str) -> Result<()> {
    let refuse = |why| Err(Error::invalid_option("jobId", &format!("`{id}`"), why));
    if id.is_empty() || id.parse::<i128>().is_ok() {
        return refuse("a text that is no integer");
    }
    if id.starts_with("0:") || (id.contains(':') && id.split(':').count() != 3) {
        return refuse("a text without `:`");
    }
    Ok(())
}

/// Options in their stored form: BullMQ's names, those that it shortens among them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StoredOptions {
    pub(crate) attempts: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<StoredBackoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expire_at: Option<Number>,
    /// Not read back, nor is the next: those who trace read them in JavaScript.
    #[serde(rename = "tm", skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) trace_metadata: Option<String>,
    #[serde(rename = "omc", skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) omit_context: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove_on_complete: Option<StoredKeep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove_on_fail: Option<StoredKeep>,
    #[serde(rename = "kl", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_logs: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stack_trace_limit: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_limit: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp: Option<Number>,
    /// Not read back: workers need only the id, which stands in the job's hash.
    #[serde(rename = "de", skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) deduplication: Option<Deduplication>,
    /// Not read back either: it stands in the job's hash.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) parent: Option<ParentJob>,
    #[serde(flatten, skip_deserializing)]
    pub(crate) child_failure: ChildFailureFlags,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "dead_letter_of_any")]
    pub(crate) dead_letter: Option<DeadLetter>,
    /// Not read back: it stands in the job's hash.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub(crate) group: Option<JobGroup>,
}

/// What another writer may have meant by that name must not make the other options unreadable.
fn dead_letter_of_any<'de, D: serde::Deserializer<'de>>(
    reader: D,
) -> std::result::Result<Option<DeadLetter>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(reader)?).ok())
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredBackoff {
    Delay(Number),
    Full(Backoff),
}

/// As lenient as BullMQ's reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum StoredKeep {
    All(bool),
    Count(Number),
    Full {
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<Number>,
        #[serde(skip_serializing_if = "Option::is_none")]
        age: Option<Number>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<Number>,
    },
}

#[expect(clippy::cast_possible_truncation, reason = "a stored number beyond i64 saturates, which is what it means")]
fn integer(number: Number) -> i64 {
    number.0 as i64
}

#[expect(clippy::cast_precision_loss, reason = "options are bounded below 2^53")]
fn number(integer: i64) -> Number {
    Number(integer as f64)
}

impl From<&StoredKeep> for KeepPolicy {
    fn from(stored: &StoredKeep) -> Self {
        let count = |count: Number| Some(integer(count)).filter(|&count| count >= 0);
        match stored {
            StoredKeep::All(remove) => Self { count: remove.then_some(0), ..Self::default() },
            StoredKeep::Count(number) => Self { count: count(*number), ..Self::default() },
            StoredKeep::Full { count: kept, age, limit } => {
                Self { count: kept.and_then(count), age: age.map(integer), limit: limit.map(integer) }
            }
        }
    }
}

impl From<KeepPolicy> for StoredKeep {
    fn from(policy: KeepPolicy) -> Self {
        match policy {
            KeepPolicy { count: Some(0), .. } => Self::All(true),
            KeepPolicy { count: None, age: None, .. } => Self::All(false),
            KeepPolicy { count: Some(count), age: None, limit: None } => Self::Count(number(count)),
            KeepPolicy { count, age, limit } => {
                Self::Full { count: count.map(number), age: age.map(number), limit: limit.map(number) }
            }
        }
    }
}

impl StoredOptions {
    /// The stored form of a new job's options.
    pub(crate) fn of(options: &JobOptions) -> Self {
        Self {
            attempts: number(options.attempts.unwrap_or(0)),
            delay: options.delay.map(number),
            priority: options.priority.map(number),
            backoff: options.backoff.clone().map(StoredBackoff::Full),
            lifo: options.lifo,
            timeout: options.timeout.map(number),
            expire_at: options.expire_at.map(number),
            trace_metadata: options.telemetry.as_ref().and_then(|telemetry| telemetry.metadata.clone()),
            omit_context: options.telemetry.as_ref().and_then(|telemetry| telemetry.omit_context),
            remove_on_complete: options.remove_on_complete.map(Into::into),
            remove_on_fail: options.remove_on_fail.map(Into::into),
            keep_logs: options.keep_logs.map(number),
            stack_trace_limit: options.stack_trace_limit.map(number),
            size_limit: options.size_limit.map(number),
            job_id: options.job_id.clone(),
            timestamp: options.timestamp.map(number),
            deduplication: options.deduplication.clone(),
            parent: options.parent.clone(),
            child_failure: ChildFailureFlags::of(options.child_failure),
            dead_letter: options.dead_letter.clone(),
            group: options.group.clone(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// How to wait, when a failed job is to wait.
    pub(crate) fn backoff(&self) -> Option<Backoff> {
        match self.backoff.clone()? {
            StoredBackoff::Delay(delay) => Some(Backoff { kind: "fixed".to_owned(), delay, jitter: Number(0.0) }),
            StoredBackoff::Full(backoff) => Some(backoff),
        }
    }

    pub(crate) fn attempts(&self) -> i64 {
        integer(self.attempts)
    }

    pub(crate) fn expire_at(&self) -> Option<i64> {
        self.expire_at.map(integer)
    }

    pub(crate) fn stack_trace_limit(&self) -> Option<usize> {
        self.stack_trace_limit.and_then(|limit| usize::try_from(integer(limit)).ok())
    }
}
