//! From what a sink reports to what is stored: retries, backoff and keep policy.

use std::time::Duration;

use super::{
    DeadLetter, JobRecord, KeepPolicy, WorkerOptions, backoff, bounds,
    dead_letter::{DEFAULT_LIMIT, LetterChoice, TIMED_OUT, reason_of},
    job_options::StoredOptions,
    scripts::StoredOutcome,
};
use crate::error::Error;

/// What became of a job that a sink ran.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// JSON text of the result.
    Completed { value: String },
    /// `stack` is stored among the job's stack traces.
    Failed { reason: String, stack: Option<String>, retry: Retry },
    /// Failed because the attempt ran longer than the job's timeout.
    TimedOut { reason: String, stack: Option<String>, retry: Retry },
    /// Moved to delayed until then (`DelayedError`); no attempt is used up.
    Delayed { until_ms: i64 },
    /// Back to the front of the queue (`WaitingError`, `RateLimitError`); no attempt is used up.
    Waiting,
    /// Waits for its children (`WaitingChildrenError`); back to the front when none is unfinished.
    WaitingChildren,
}

impl Outcome {
    /// A result that is too large is not stored: the job fails for good, for the work is done and would give the same
    /// again.
    pub(super) fn bounded(self) -> (Self, Option<Error>) {
        let Self::Completed { value } = &self else { return (self, None) };
        match bounds::check_payload("the result", value, None) {
            Ok(()) => (self, None),
            Err(error) => {
                let reason = error.message().to_owned();
                (Self::Failed { reason, stack: None, retry: Retry::Never }, Some(error))
            }
        }
    }
}

/// Whether a failed job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// By the job's attempts and backoff.
    ByOptions,
    /// By the job's attempts, after this delay: a custom strategy has decided.
    After(Duration),
    /// Not at all (`UnrecoverableError`).
    Never,
}

/// How an outcome was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    Completed,
    /// For good.
    Failed {
        attempts_made: i64,
    },
    /// Tried again after `delay_ms`.
    Retrying {
        attempts_made: i64,
        delay_ms: i64,
    },
    /// `Outcome::Delayed`, `Waiting` or `WaitingChildren`.
    Moved,
}

/// What a worker keeps of a job while it runs: what its outcome will need.
#[derive(Debug)]
pub(super) struct RunningJob {
    token: String,
    /// Its data is worth keeping although it fails.
    stays: bool,
    attempts_started: i64,
    attempts_made: i64,
    options: StoredOptions,
    stacktrace: Option<String>,
    deduplication_id: Option<String>,
    is_plain: bool,
}

/// The options that were read last: jobs that are taken together mostly have the same.
#[derive(Default)]
pub(super) struct LastOptions {
    text: Option<String>,
    options: StoredOptions,
}

impl LastOptions {
    fn read(&mut self, text: &str) -> serde_json::Result<StoredOptions> {
        if self.text.as_deref() != Some(text) {
            self.options = serde_json::from_str(text)?;
            self.text = Some(text.to_owned());
        }
        Ok(self.options.clone())
    }
}

impl RunningJob {
    /// Gives what could not be read of the stored options beside the job, which then runs with defaults.
    pub(super) fn new(record: &JobRecord, token: &str, last: &mut LastOptions) -> (Self, Option<Error>) {
        let (options, fault) = match last.read(&record.opts) {
            Ok(options) => (options, None),
            Err(error) => {
                let message = format!("the stored options of job {} cannot be read", record.id);
                (
                    StoredOptions::default(),
                    Some(Error::new(crate::ErrorCode::NotSerializable, message).caused_by(error)),
                )
            }
        };
        let job = Self {
            token: token.to_owned(),
            stays: false,
            attempts_started: record.attempts_started,
            attempts_made: record.attempts_made,
            options,
            stacktrace: record.stacktrace.clone(),
            deduplication_id: record.deduplication_id.clone(),
            is_plain: record.is_plain,
        };
        (job, fault)
    }

    /// Why the job must fail at once instead of being started.
    pub(super) fn refusal(&self, record: &JobRecord, now: i64, worker: &WorkerOptions) -> Option<String> {
        if let Some(reason) = &record.deferred_failure {
            return Some(reason.clone());
        }
        if worker.max_started_attempts.is_some_and(|most| self.attempts_started > most) {
            return Some("job started more than allowable limit".to_owned());
        }
        // One that was started in time may be tried again later.
        let expired = self.options.expire_at().filter(|&at| at < now && self.attempts_started <= 1)?;
        let at = chrono::DateTime::from_timestamp_millis(expired)
            .map_or_else(|| expired.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        Some(format!("job expired: it was not started by {at}"))
    }

    /// It fails for a reason that is not its own: whatever the options say, it is not removed.
    pub(super) fn stay_when_failed(&mut self) {
        self.stays = true;
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The stored form of an outcome, and how it will be told when it is stored.
    pub(super) fn settle(
        &self,
        id: &str,
        outcome: Outcome,
        now: i64,
        worker: &WorkerOptions,
    ) -> (StoredOutcome, Settlement, Option<Error>) {
        let mut stored = StoredOutcome {
            id: id.to_owned(),
            token: self.token.clone(),
            at: now,
            attempts_made: self.attempts_made + 1,
            lifo: self.options.lifo.unwrap_or(false),
            deduplication_id: self.deduplication_id.clone().unwrap_or_default(),
            is_plain: self.is_plain,
            ..StoredOutcome::default()
        };
        let mut fault = None;
        let has_timed_out = matches!(outcome, Outcome::TimedOut { .. });
        let settlement = match outcome {
            Outcome::Completed { value } => {
                stored.kind = "completed";
                stored.text = if value.is_empty() { "null".to_owned() } else { value };
                let own = self.options.remove_on_complete.as_ref().map(KeepPolicy::from);
                stored.keep = own.unwrap_or(worker.remove_on_complete);
                Settlement::Completed
            }
            Outcome::Failed { reason, stack, retry } | Outcome::TimedOut { reason, stack, retry } => {
                // A further start would be refused.
                let is_worn = worker.max_started_attempts.is_some_and(|most| self.attempts_started >= most);
                let retry = if is_worn { Retry::Never } else { retry };
                let (delay, unknown) = self.next_delay(retry, stored.attempts_made);
                fault = unknown;
                stored.text = bounds::cut_failure(reason);
                stored.stacktrace = self.stack_traces(stack);
                let attempts_made = stored.attempts_made;
                match delay {
                    None => {
                        stored.kind = "failed";
                        let why = if has_timed_out { TIMED_OUT } else { reason_of(&stored.text, retry) };
                        stored.burial = self.letter_box(worker, why);
                        let own = self.options.remove_on_fail.as_ref().map(KeepPolicy::from);
                        stored.keep = match own {
                            _ if self.stays => KeepPolicy::default(),
                            own => own.unwrap_or(worker.remove_on_fail),
                        };
                        Settlement::Failed { attempts_made }
                    }
                    Some(delay_ms) => {
                        stored.kind = if delay_ms > 0 { "later" } else { "retry" };
                        stored.due = now.saturating_add(delay_ms);
                        Settlement::Retrying { attempts_made, delay_ms }
                    }
                }
            }
            Outcome::Delayed { until_ms } => {
                stored.kind = "delayed";
                stored.due = until_ms.clamp(0, crate::codec::option_text::MAX_MS);
                Settlement::Moved
            }
            Outcome::Waiting => {
                stored.kind = "wait";
                Settlement::Moved
            }
            Outcome::WaitingChildren => {
                stored.kind = "children";
                Settlement::Moved
            }
        };
        (stored, settlement, fault)
    }

    /// Where the job goes when it fails now, for good, and why.
    fn letter_box(&self, worker: &WorkerOptions, reason: &'static str) -> Option<Box<LetterChoice>> {
        match self.options.dead_letter.as_ref().or(worker.dead_letter.as_ref())? {
            DeadLetter::Off => None,
            DeadLetter::To { queue, limit } => {
                Some(Box::new(LetterChoice { queue: queue.clone(), limit: limit.unwrap_or(DEFAULT_LIMIT), reason }))
            }
        }
    }

    /// Milliseconds until the next attempt, `None` when there is none.
    fn next_delay(&self, retry: Retry, attempts_made: i64) -> (Option<i64>, Option<Error>) {
        if attempts_made >= self.options.attempts() {
            return (None, None);
        }
        match (retry, self.options.backoff()) {
            (Retry::Never, _) => (None, None),
            (Retry::After(delay), _) => (Some(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)), None),
            (Retry::ByOptions, None) => (Some(0), None),
            (Retry::ByOptions, Some(backoff)) => {
                let delay = backoff::delay_ms(&backoff, attempts_made);
                let unknown = || {
                    let kind = format!("`{}`", backoff.kind);
                    let known = "fixed, exponential, or a strategy that the worker defines";
                    Error::invalid_option("backoff.type", &kind, known)
                };
                (delay, delay.is_none().then(unknown))
            }
        }
    }

    /// The last traces and this one, as JSON.
    fn stack_traces(&self, stack: Option<String>) -> String {
        let before = self.stacktrace.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let mut traces: Vec<String> = before.unwrap_or_default();
        traces.extend(stack.map(bounds::cut_failure));
        let limit = self.options.stack_trace_limit().unwrap_or(bounds::STACK_TRACES);
        traces.drain(..traces.len().saturating_sub(limit));
        serde_json::to_string(&traces).unwrap_or_else(|_| "[]".to_owned())
    }
}
