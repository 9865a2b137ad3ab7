//! When a scheduler's jobs come, from what users write and from what is stored.

use serde::Deserialize;

use super::{MissedRuns, Overlap, RunPolicy, cron, every, run_policy::UserRunPolicy};
use crate::{
    codec::{
        option_date::{UserDate, date},
        option_text::{MAX_MS, milliseconds, read_options, whole},
    },
    error::{Error, Result},
};

/// When a scheduler's jobs come. Exactly one of `pattern` and `every`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepeatOptions {
    /// Cron, five fields or six with seconds first.
    pub pattern: Option<String>,
    /// IANA time zone of `pattern`. Default: that of the process.
    pub tz: Option<String>,
    /// Milliseconds.
    pub every: Option<i64>,
    /// Milliseconds from the start of each slot of `every`.
    pub offset: Option<i64>,
    /// So many jobs at most.
    pub limit: Option<i64>,
    /// Milliseconds since the epoch.
    pub start_date: Option<i64>,
    /// No job after that. Milliseconds since the epoch.
    pub end_date: Option<i64>,
    /// The first job of a `pattern` comes at once.
    pub immediately: bool,
    pub policy: RunPolicy,
    /// The first run, as a strategy of the caller has chosen it; `pattern` is that strategy's own.
    pub chosen: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserOptions {
    #[serde(alias = "cron")]
    pattern: Option<String>,
    #[serde(alias = "timezone")]
    tz: Option<String>,
    every: Option<f64>,
    offset: Option<f64>,
    limit: Option<f64>,
    start_date: Option<UserDate>,
    end_date: Option<UserDate>,
    immediately: Option<bool>,
    missed_runs: Option<MissedRuns>,
    missed_after: Option<f64>,
    max_missed_runs: Option<f64>,
    overlap: Option<Overlap>,
    jitter: Option<f64>,
    track_runs: Option<bool>,
}

impl RepeatOptions {
    /// Reads what a user wrote; dates as numbers or ISO text. `cron` is Bull's word for `pattern`, which is not read
    /// when the first run has been `chosen`.
    pub fn from_json(text: &str, chosen: Option<i64>) -> Result<Self> {
        let user: UserOptions = read_options(text)?;
        let options = Self {
            pattern: user.pattern,
            tz: user.tz,
            every: milliseconds("repeat.every", user.every, 1)?,
            offset: milliseconds("repeat.offset", user.offset, 0)?,
            limit: whole("repeat.limit", user.limit, 1, i64::from(i32::MAX))?,
            start_date: user.start_date.map(|date| date.into_ms("repeat.startDate")).transpose()?,
            end_date: user.end_date.map(|date| date.into_ms("repeat.endDate")).transpose()?,
            immediately: user.immediately.unwrap_or(false),
            policy: UserRunPolicy {
                missed_runs: user.missed_runs,
                missed_after: user.missed_after,
                max_missed_runs: user.max_missed_runs,
                overlap: user.overlap,
                jitter: user.jitter,
                track_runs: user.track_runs,
            }
            .into_policy()?,
            chosen,
        };
        options.check()?;
        Ok(options)
    }

    /// What holds for options however they were made.
    pub(super) fn check(&self) -> Result<()> {
        self.policy.check(self.every)?;
        match (&self.pattern, self.every) {
            (Some(pattern), None) => {
                if self.chosen.is_none() {
                    cron::check(pattern, self.tz.as_deref())?;
                }
                match self.offset {
                    Some(offset) => {
                        Err(Error::invalid_option("repeat.offset", &offset.to_string(), "only with `every`"))
                    }
                    None => Ok(()),
                }
            }
            (None, Some(every)) if (1..=MAX_MS).contains(&every) => Ok(()),
            (None, Some(every)) => {
                Err(Error::invalid_option("repeat.every", &every.to_string(), "milliseconds from 1"))
            }
            (Some(_), Some(_)) => {
                Err(Error::invalid_option("repeat", "both `pattern` and `every`", "one of `pattern` and `every`"))
            }
            (None, None) => Err(Error::invalid_option("repeat", "without a time", "one of `pattern` and `every`")),
        }
    }

    /// The first run of a series that begins now.
    pub(super) fn first(&self, now: i64) -> Result<Option<i64>> {
        let start = self.start_date.unwrap_or(now).max(now);
        let run = match (&self.pattern, self.every) {
            _ if self.chosen.is_some() => self.chosen,
            (Some(_), _) if self.immediately => Some(now),
            (Some(pattern), _) => cron::next(pattern, self.tz.as_deref(), start)?,
            (None, every) => Some(every::first(every.unwrap_or(1), self.offset, start)),
        };
        Ok(self.within_end(run, now))
    }

    /// The run after `previous` that is not before `now`.
    pub(super) fn next(&self, previous: i64, now: i64) -> Result<Option<i64>> {
        // A cron time is never the present: `now` itself has begun.
        self.after(previous, if self.every.is_some() { now - 1 } else { now }, now)
    }

    /// The run after `previous` that is after `base`, also when its time has passed.
    pub(super) fn after(&self, previous: i64, base: i64, now: i64) -> Result<Option<i64>> {
        let run = match (&self.pattern, self.every) {
            (Some(pattern), _) => cron::next(pattern, self.tz.as_deref(), previous.max(base))?,
            (None, every) => {
                let every = every.unwrap_or(1);
                let offset = self.offset.unwrap_or_else(|| every::offset_of(every, previous));
                Some(every::next(every, offset, previous, base.saturating_add(1)))
            }
        };
        Ok(self.within_end(run, now))
    }

    pub(super) fn within_end(&self, run: Option<i64>, now: i64) -> Option<i64> {
        run.filter(|&run| self.end_date.is_none_or(|end| run <= end && now <= end))
    }

    /// These options with the grid that the first run makes.
    #[must_use]
    pub(super) fn with_grid_of(mut self, run: i64) -> Self {
        if let Some(every) = self.every {
            self.offset.get_or_insert_with(|| every::offset_of(every, run));
        }
        self
    }

    /// Names and values of the scheduler's hash.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let policy = self.policy.fields().into_iter().map(|(name, value)| (name, plain(&value)));
        self.times().into_iter().chain(policy).collect()
    }

    fn times(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        [
            ("pattern", self.pattern.clone()),
            ("tz", self.tz.clone()),
            ("every", number(self.every)),
            ("offset", number(self.offset)),
            ("limit", number(self.limit)),
            ("startDate", number(self.start_date)),
            ("endDate", number(self.end_date)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// Takes up one field of the scheduler's hash; false for a field that is none of these.
    pub(super) fn take_field(&mut self, name: &str, value: &str) -> bool {
        match name {
            "pattern" => self.pattern = Some(value.to_owned()),
            "tz" => self.tz = Some(value.to_owned()),
            "every" => self.every = value.parse().ok(),
            "offset" => self.offset = value.parse().ok(),
            "limit" => self.limit = value.parse().ok(),
            "startDate" => self.start_date = date(value),
            "endDate" => self.end_date = date(value),
            _ => return self.policy.take_field(name, value),
        }
        true
    }

    /// As an object in a job's options.
    pub(super) fn to_value(&self, count: i64) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        for (name, value) in self.times() {
            let value = match name {
                "pattern" | "tz" => value.into(),
                _ => value.parse::<i64>().unwrap_or(0).into(),
            };
            object.insert(name.to_owned(), value);
        }
        object.extend(self.policy.fields().into_iter().map(|(name, value)| (name.to_owned(), value)));
        object.insert("count".to_owned(), count.into());
        object.into()
    }
}

/// Text as it is, anything else as JSON: the form of a hash's field.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_every_form_mean_the_same() {
        for text in [
            "1767225600000",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T01:00:00+01:00",
        ] {
            assert_eq!(date(text), Some(1_767_225_600_000), "{text}");
        }
        assert_eq!(date("tomorrow"), None);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for (json, path) in [
            ("{}", "repeat"),
            (r#"{"every":1000,"pattern":"* * * * *"}"#, "repeat"),
            (r#"{"every":0}"#, "repeat.every"),
            (r#"{"pattern":"nonsense"}"#, "repeat.pattern"),
            (r#"{"pattern":"* * * * *","tz":"Nowhere"}"#, "repeat.tz"),
            (r#"{"pattern":"* * * * *","offset":5}"#, "repeat.offset"),
            (r#"{"every":1000,"endDate":"soon"}"#, "repeat.endDate"),
            (r#"{"every":1000,"evry":1}"#, "evry"),
            (r#"{"every":1000,"jitter":1000}"#, "repeat.jitter"),
            (r#"{"every":1000,"missedRuns":"never"}"#, "missedRuns"),
            (r#"{"every":1000,"overlap":"maybe"}"#, "overlap"),
            (r#"{"every":1000,"missedAfter":5}"#, "repeat.missedAfter"),
            (r#"{"every":1000,"missedRuns":"skip","maxMissedRuns":5}"#, "repeat.maxMissedRuns"),
            (r#"{"every":1000,"missedRuns":"runAll","maxMissedRuns":0}"#, "repeat.maxMissedRuns"),
        ] {
            let error = RepeatOptions::from_json(json, None).unwrap_err();
            assert_eq!(error.code(), crate::ErrorCode::InvalidOption, "{json}");
            assert!(
                error.details().iter().any(|(name, detail)| *name == "option" && *detail == path.into()),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_series_ends_at_its_end() {
        let options = RepeatOptions { every: Some(1000), end_date: Some(10_000), ..RepeatOptions::default() };
        assert_eq!(options.next(8_500, 8_600).unwrap(), Some(9_500));
        assert_eq!(options.next(9_500, 9_600).unwrap(), None);
        assert_eq!(options.first(10_001).unwrap(), None);
    }
}
