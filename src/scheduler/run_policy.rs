//! What becomes of runs that come late, that overlap or that fall together. Beyond BullMQ: stored only where it is used,
//! so that other schedulers look as they always did.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::{
    codec::option_text::{milliseconds, whole},
    error::{Error, Result},
};

/// Runs that are made up for in a row when an option says nothing.
const DEFAULT_MADE_UP: i64 = 100;
const MOST_MADE_UP: i64 = 100_000;
const DEFAULT_MISSED_AFTER_MS: i64 = 60_000;

/// What becomes of runs whose time passed while no worker took them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissedRuns {
    /// The series goes on with its next time.
    Skip,
    /// One late run stands for all of them, as in BullMQ.
    #[default]
    RunOnce,
    /// Each of them runs, oldest first, up to a bound.
    RunAll,
}

/// What becomes of a run whose predecessor has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Overlap {
    /// Both run, as in BullMQ.
    #[default]
    Allow,
    /// Times that come while a run lasts are left out.
    Skip,
    /// The next run waits until the one before has ended; of several, one.
    Queue,
}

impl MissedRuns {
    fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::RunOnce => "runOnce",
            Self::RunAll => "runAll",
        }
    }
}

impl Overlap {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}

/// The policies of one scheduler; `None` is the default, which is BullMQ's behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPolicy {
    pub missed_runs: Option<MissedRuns>,
    /// A run that starts later than so many milliseconds is missed, for `MissedRuns::Skip`. Default one minute.
    pub missed_after: Option<i64>,
    /// Runs that `MissedRuns::RunAll` makes up for in a row. Default 100.
    pub max_missed_runs: Option<i64>,
    pub overlap: Option<Overlap>,
    /// Each run comes up to so many milliseconds after its time, by chance.
    pub jitter: Option<i64>,
    /// Keeps a record of the last run.
    pub track_runs: bool,
}

/// As users write them, among the options of a schedule.
#[derive(Default)]
pub(super) struct UserRunPolicy {
    pub(super) missed_runs: Option<MissedRuns>,
    pub(super) missed_after: Option<f64>,
    pub(super) max_missed_runs: Option<f64>,
    pub(super) overlap: Option<Overlap>,
    pub(super) jitter: Option<f64>,
    pub(super) track_runs: Option<bool>,
}

impl UserRunPolicy {
    pub(super) fn into_policy(self) -> Result<RunPolicy> {
        Ok(RunPolicy {
            missed_runs: self.missed_runs,
            missed_after: milliseconds("repeat.missedAfter", self.missed_after, 0)?,
            max_missed_runs: whole("repeat.maxMissedRuns", self.max_missed_runs, 1, MOST_MADE_UP)?,
            overlap: self.overlap,
            jitter: milliseconds("repeat.jitter", self.jitter, 0)?.filter(|&jitter| jitter > 0),
            track_runs: self.track_runs.unwrap_or(false),
        })
    }
}

impl RunPolicy {
    /// What holds for policies however they were made. `every` is the interval, where the schedule has one.
    pub(super) fn check(&self, every: Option<i64>) -> Result<()> {
        let only = |option: &str, given: Option<i64>, with: &str| match given {
            Some(value) => Err(Error::invalid_option(option, &value.to_string(), with)),
            None => Ok(()),
        };
        if self.missed_runs != Some(MissedRuns::Skip) {
            only("repeat.missedAfter", self.missed_after, "only with `missedRuns: 'skip'`")?;
        }
        if self.missed_runs != Some(MissedRuns::RunAll) {
            only("repeat.maxMissedRuns", self.max_missed_runs, "only with `missedRuns: 'runAll'`")?;
        }
        match (self.jitter, every) {
            (Some(jitter), Some(every)) if jitter >= every => {
                Err(Error::invalid_option("repeat.jitter", &jitter.to_string(), "less than `every`"))
            }
            _ => Ok(()),
        }
    }

    /// Runs that may still be made up for after `made_up` in a row.
    pub(super) fn makes_up(&self, made_up: i64) -> bool {
        self.missed_runs == Some(MissedRuns::RunAll) && made_up < self.max_missed_runs.unwrap_or(DEFAULT_MADE_UP)
    }

    /// Whether a run of that time must not start any more.
    pub(super) fn is_missed(&self, run: i64, now: i64) -> bool {
        let late = now - run - self.jitter.unwrap_or(0);
        self.missed_runs == Some(MissedRuns::Skip) && late > self.missed_after.unwrap_or(DEFAULT_MISSED_AFTER_MS)
    }

    /// Whether the next run is made only when this one has ended.
    pub(super) fn waits_for_end(&self) -> bool {
        matches!(self.overlap, Some(Overlap::Skip | Overlap::Queue))
    }

    /// Whether times that passed while a run lasted still count.
    pub(super) fn queues(&self) -> bool {
        self.overlap == Some(Overlap::Queue)
    }

    /// When the job of a run comes.
    pub(super) fn due(&self, run: i64) -> i64 {
        run + self.jitter.map_or(0, |jitter| fastrand::i64(0..=jitter))
    }

    /// Names and values, of the scheduler's hash and of `opts.repeat` of its jobs.
    pub(super) fn fields(&self) -> Vec<(&'static str, Json)> {
        let number = |number: Option<i64>| number.map(Json::from);
        [
            ("missedRuns", self.missed_runs.map(|policy| policy.as_str().into())),
            ("missedAfter", number(self.missed_after)),
            ("maxMissedRuns", number(self.max_missed_runs)),
            ("overlap", self.overlap.map(|policy| policy.as_str().into())),
            ("jitter", number(self.jitter)),
            ("trackRuns", self.track_runs.then_some(Json::Bool(true))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// Takes up one stored field; false for a field that is none of these.
    pub(super) fn take_field(&mut self, name: &str, value: &str) -> bool {
        match name {
            "missedRuns" => {
                let known = [MissedRuns::Skip, MissedRuns::RunOnce, MissedRuns::RunAll];
                self.missed_runs = known.into_iter().find(|policy| policy.as_str() == value);
            }
            "overlap" => {
                let known = [Overlap::Allow, Overlap::Skip, Overlap::Queue];
                self.overlap = known.into_iter().find(|policy| policy.as_str() == value);
            }
            "missedAfter" => self.missed_after = value.parse().ok(),
            "maxMissedRuns" => self.max_missed_runs = value.parse().ok(),
            "jitter" => self.jitter = value.parse().ok(),
            "trackRuns" => self.track_runs = value == "true",
            _ => return false,
        }
        true
    }

    /// The policies in `opts.repeat` of a job.
    pub(super) fn of_repeat(repeat: &serde_json::Map<String, Json>) -> Self {
        let mut policy = Self::default();
        for (name, value) in repeat {
            match value {
                Json::String(text) => policy.take_field(name, text),
                other => policy.take_field(name, &other.to_string()),
            };
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(missed_runs: MissedRuns) -> RunPolicy {
        RunPolicy { missed_runs: Some(missed_runs), ..RunPolicy::default() }
    }

    #[test]
    fn only_skip_knows_missed_runs() {
        assert!(policy(MissedRuns::Skip).is_missed(0, 60_001));
        assert!(!policy(MissedRuns::Skip).is_missed(0, 60_000));
        assert!(RunPolicy { missed_after: Some(5), ..policy(MissedRuns::Skip) }.is_missed(0, 6));
        assert!(!RunPolicy { jitter: Some(9), missed_after: Some(5), ..policy(MissedRuns::Skip) }.is_missed(0, 14));
        assert!(!policy(MissedRuns::RunAll).is_missed(0, i64::MAX));
        assert!(!RunPolicy::default().is_missed(0, i64::MAX));
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let stored = RunPolicy {
            missed_runs: Some(MissedRuns::RunAll),
            max_missed_runs: Some(7),
            overlap: Some(Overlap::Queue),
            jitter: Some(50),
            track_runs: true,
            ..RunPolicy::default()
        };
        let repeat = stored.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(RunPolicy::of_repeat(&repeat), stored);
        assert!(RunPolicy::default().fields().is_empty());
    }

    #[test]
    fn jitter_stays_within_its_bound() {
        let policy = RunPolicy { jitter: Some(10), ..RunPolicy::default() };
        assert!((0..200).all(|_| (1_000..=1_010).contains(&policy.due(1_000))));
        assert_eq!(RunPolicy::default().due(1_000), 1_000);
    }
}
