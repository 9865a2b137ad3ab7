//! A job as values for JavaScript.

use super::door::Answer;
use crate::queue::JobRecord;

/// Values of one job; `ts/job-row.ts` reads them.
pub(super) const ROW_WIDTH: usize = 6;

/// Id, name, token, data, options, and the rest as one JSON array. Data and options are parsed where they are read, if
/// they are.
pub(super) fn job_row(job: &JobRecord, token: &str) -> [Answer; ROW_WIDTH] {
    [
        Answer::from(job.id.as_str()),
        Answer::from(job.name.as_str()),
        Answer::from(token),
        Answer::from(job.data.as_str()),
        Answer::from(job.opts.as_str()),
        Answer::Text(rest(job)),
    ]
}

/// Without what is missing at its end, which is most of it for a job that just began.
pub(super) fn rest(job: &JobRecord) -> String {
    let mut out = String::with_capacity(64);
    let mut digits = itoa::Buffer::new();
    let counts = [job.timestamp, job.delay, job.priority, job.attempts_started, job.attempts_made, job.stalled_count];
    for (index, count) in counts.into_iter().enumerate() {
        out.push(if index == 0 { '[' } else { ',' });
        out.push_str(digits.format(count));
    }
    let mut present = out.len();
    for time in [job.processed_on, job.finished_on] {
        out.push(',');
        match time {
            Some(time) => {
                out.push_str(digits.format(time));
                present = out.len();
            }
            None => out.push_str("null"),
        }
    }
    let texts = [
        &job.progress,
        &job.return_value,
        &job.failed_reason,
        &job.stacktrace,
        &job.deferred_failure,
        &job.processed_by,
        &job.parent_key,
        &job.parent,
        &job.scheduler_id,
        &job.deduplication_id,
    ];
    for text in texts {
        out.push(',');
        match text {
            Some(text) => {
                out.push_str(&serde_json::Value::from(text.as_str()).to_string());
                present = out.len();
            }
            None => out.push_str("null"),
        }
    }
    out.truncate(present);
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_job_is_a_json_array() {
        let job = JobRecord {
            timestamp: 5,
            attempts_made: 2,
            processed_on: Some(7),
            failed_reason: Some("a \"b\"\n".to_owned()),
            ..JobRecord::default()
        };
        assert_eq!(rest(&job), r#"[5,0,0,0,2,0,7,null,null,null,"a \"b\"\n"]"#);
        assert_eq!(rest(&JobRecord::default()), "[0,0,0,0,0,0]");
    }
}
