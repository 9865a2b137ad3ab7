//! A job: as it is added, as it is stored, and as a worker holds it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::JobOptions;
use crate::{codec::resp::Value, error::Result};

/// A job to add.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub name: String,
    /// JSON text. Stored as it is.
    pub data: String,
    /// What this job sets itself; the queue's defaults fill the rest.
    pub options: JobOptions,
}

/// A job as it is stored. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobRecord {
    pub id: String,
    pub name: String,
    /// JSON text.
    pub data: String,
    /// JSON text, with the short names that BullMQ stores. [`JobRecord::to_json`] gives the long ones.
    pub opts: String,
    pub timestamp: i64,
    /// Milliseconds after `timestamp`, or after the last failure; 0 once due.
    pub delay: i64,
    pub priority: i64,
    pub attempts_started: i64,
    pub attempts_made: i64,
    pub stalled_count: i64,
    pub processed_on: Option<i64>,
    pub finished_on: Option<i64>,
    /// JSON text.
    pub progress: Option<String>,
    /// JSON text.
    pub return_value: Option<String>,
    /// Plain text.
    pub failed_reason: Option<String>,
    /// JSON array of strings.
    pub stacktrace: Option<String>,
    /// Why the worker that takes this job must fail it at once.
    pub deferred_failure: Option<String>,
    /// Name of the worker that took it.
    pub processed_by: Option<String>,
    /// `prefix:queue:id` of the parent.
    pub parent_key: Option<String>,
    /// JSON: id, queueKey and what happens to the parent when this job fails.
    pub parent: Option<String>,
    /// Id of the job scheduler that made it.
    pub scheduler_id: Option<String>,
    pub deduplication_id: Option<String>,
    /// A worker took it, and nothing was stored of it before but what is stored of every job that is added.
    pub is_plain: bool,
}

/// Values of a job that was never touched since it was added, and one that tells them from fields and values.
const UNTOUCHED: usize = 7;

/// A job that this process runs.
#[derive(Clone, Debug)]
pub struct ActiveJob {
    pub record: JobRecord,
    /// Value of the job's lock; goes back with the outcome.
    pub token: String,
}

impl JobRecord {
    /// A job from the fields and values of its hash, or from what `take_jobs` gives for one that has only those that
    /// every job has; `None` when there are none.
    pub(crate) fn from_hash(id: String, hash: Value) -> Result<Option<Self>> {
        let fields = hash.into_items()?;
        if fields.is_empty() {
            return Ok(None);
        }
        let mut job = Self { id, ..Self::default() };
        if fields.len() == UNTOUCHED {
            job.fill_untouched(fields)?;
            job.is_plain = true;
            return Ok(Some(job));
        }
        let mut fields = fields.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            let (field, value) = (field.into_text()?, value.into_text()?);
            let number = || whole(&value);
            match field.as_str() {
                "name" => job.name = value,
                "data" => job.data = value,
                "opts" => job.opts = value,
                "timestamp" => job.timestamp = number(),
                "delay" => job.delay = number(),
                "priority" => job.priority = number(),
                "ats" => job.attempts_started = number(),
                "atm" | "attemptsMade" => job.attempts_made = number(),
                "stc" => job.stalled_count = number(),
                "processedOn" => job.processed_on = Some(number()),
                "finishedOn" => job.finished_on = Some(number()),
                "progress" => job.progress = Some(value),
                "returnvalue" => job.return_value = Some(value),
                "failedReason" => job.failed_reason = Some(value),
                "stacktrace" => job.stacktrace = Some(value),
                "defa" => job.deferred_failure = Some(value),
                "pb" => job.processed_by = Some(value),
                "parentKey" => job.parent_key = Some(value),
                "parent" => job.parent = Some(value),
                "rjk" => job.scheduler_id = Some(value),
                "deid" => job.deduplication_id = Some(value),
                _ => {}
            }
        }
        Ok(Some(job))
    }

    fn fill_untouched(&mut self, values: Vec<Value>) -> Result<()> {
        let mut values = values.into_iter().map(Value::into_text);
        let mut next = || values.next().unwrap_or_else(|| Ok(String::new()));
        (self.name, self.data, self.opts) = (next()?, next()?, next()?);
        (self.timestamp, self.delay, self.priority) = (whole(&next()?), whole(&next()?), whole(&next()?));
        Ok(())
    }

    /// The whole job as one JSON object with BullMQ's names of fields and options.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256 + self.data.len() + self.opts.len());
        out.push('{');
        push_text(&mut out, "id", &self.id);
        push_text(&mut out, "name", &self.name);
        push_json(&mut out, "data", if self.data.is_empty() { "{}" } else { &self.data });
        push_json(&mut out, "opts", &long_option_names(&self.opts));
        for (name, number) in [
            ("timestamp", Some(self.timestamp)),
            ("delay", Some(self.delay)),
            ("priority", Some(self.priority)),
            ("attemptsStarted", Some(self.attempts_started)),
            ("attemptsMade", Some(self.attempts_made)),
            ("stalledCounter", Some(self.stalled_count)),
            ("processedOn", self.processed_on),
            ("finishedOn", self.finished_on),
        ] {
            if let Some(number) = number {
                push_name(&mut out, name);
                out.push_str(itoa::Buffer::new().format(number));
            }
        }
        for (name, json) in [
            ("progress", &self.progress),
            ("returnvalue", &self.return_value),
            ("stacktrace", &self.stacktrace),
            ("parent", &self.parent),
        ] {
            if let Some(json) = json {
                push_json(&mut out, name, json);
            }
        }
        for (name, text) in [
            ("failedReason", &self.failed_reason),
            ("deferredFailure", &self.deferred_failure),
            ("processedBy", &self.processed_by),
            ("parentKey", &self.parent_key),
            ("repeatJobKey", &self.scheduler_id),
            ("deduplicationId", &self.deduplication_id),
        ] {
            if let Some(text) = text {
                push_text(&mut out, name, text);
            }
        }
        out.push('}');
        out
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a stored number beyond i64 saturates")]
fn whole(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| text.parse::<f64>().map_or(0, |number| number as i64))
}

fn push_name(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

fn push_text(out: &mut String, name: &str, text: &str) {
    push_name(out, name);
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Adds JSON as it is; text that somebody stored and that is no JSON as a string, so that the whole stays readable.
fn push_json(out: &mut String, name: &str, json: &str) {
    if serde_json::from_str::<IgnoredAny>(json).is_ok() {
        push_name(out, name);
        out.push_str(json);
    } else {
        push_text(out, name, json);
    }
}

/// Stored options with the names that users write.
fn long_option_names(opts: &str) -> String {
    let Ok(stored) = serde_json::from_str::<BTreeMap<String, &RawValue>>(opts) else { return "{}".to_owned() };
    let mut out = String::from("{");
    let mut telemetry = String::from("{");
    for (name, value) in stored {
        match name.as_str() {
            "tm" => push_json(&mut telemetry, "metadata", value.get()),
            "omc" => push_json(&mut telemetry, "omitContext", value.get()),
            _ => {}
        }
        let name = match name.as_str() {
            "de" => "deduplication",
            "fpof" => "failParentOnFailure",
            "cpof" => "continueParentOnFailure",
            "idof" => "ignoreDependencyOnFailure",
            "rdof" => "removeDependencyOnFailure",
            "kl" => "keepLogs",
            "tm" | "omc" => continue,
            other => other,
        };
        push_json(&mut out, name, value.get());
    }
    if telemetry.len() > 1 {
        telemetry.push('}');
        push_json(&mut out, "telemetry", &telemetry);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_long_names_and_keeps_what_is_no_json() {
        let job = JobRecord {
            id: "7".to_owned(),
            name: "a\"b".to_owned(),
            data: "not json".to_owned(),
            opts: r#"{"kl":3,"attempts":2,"tm":"trace","omc":true}"#.to_owned(),
            failed_reason: Some("line\nbreak".to_owned()),
            return_value: Some("[1]".to_owned()),
            ..JobRecord::default()
        };
        let json: serde_json::Value = serde_json::from_str(&job.to_json()).unwrap();
        assert_eq!(json["name"], "a\"b");
        assert_eq!(json["data"], "not json");
        assert_eq!(json["opts"]["keepLogs"], 3);
        assert_eq!(json["opts"]["telemetry"], serde_json::json!({ "metadata": "trace", "omitContext": true }));
        assert_eq!(json["returnvalue"][0], 1);
        assert_eq!(json["failedReason"], "line\nbreak");
        assert!(json.get("finishedOn").is_none());
    }
}
