//! The bound on jobs that wait in a queue, and what becomes of jobs beyond it.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use super::{Queue, scripts::AddedJob, scripts::Storage};
use crate::{
    codec::{
        option_text::{milliseconds, whole},
        resp::Value,
    },
    connection::{BoxFuture, Command},
    error::{Error, ErrorCode, Result},
    script::queue as lua,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries of a job that waits for room.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What becomes of a job that is added to a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OverloadPolicy {
    /// It is refused with `Overloaded`.
    #[default]
    Reject,
    /// The oldest waiting job goes in its place.
    DropOldest,
    /// It waits for room, and is refused when none comes in time.
    Wait,
}

/// Jobs that may wait in a queue, as this producer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// With and without priority, in groups too; delayed and running ones do not count.
    pub max_waiting: i64,
    pub policy: OverloadPolicy,
    /// For `OverloadPolicy::Wait`. Default 5 s.
    pub timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserOverload {
    max_waiting: f64,
    policy: Option<OverloadPolicy>,
    timeout: Option<f64>,
}

impl UserOverload {
    pub(super) fn into_overload(self) -> Result<Overload> {
        let policy = self.policy.unwrap_or_default();
        if let Some(timeout) = self.timeout.filter(|_| policy != OverloadPolicy::Wait) {
            return Err(Error::invalid_option("overload.timeout", &timeout.to_string(), "only with `policy: 'wait'`"));
        }
        let timeout = milliseconds("overload.timeout", self.timeout, 1)?;
        Ok(Overload {
            max_waiting: whole("overload.maxWaiting", Some(self.max_waiting), 1, i64::from(i32::MAX))?.unwrap_or(1),
            policy,
            timeout: timeout.and_then(|ms| u64::try_from(ms).ok()).map_or(DEFAULT_TIMEOUT, Duration::from_millis),
        })
    }
}

/// Jobs that are added one by one, as the script takes them.
type Rows = Vec<Command>;

impl Queue {
    /// Adds jobs of groups, and jobs of a queue that is bounded. The script runs before this is awaited.
    pub(super) fn add_each(&self, now: i64, jobs: &[AddedJob]) -> BoxFuture<'static, Result<Vec<Result<String>>>> {
        let overload = self.options().overload;
        let queue = self.clone();
        let rows: Rows = jobs.iter().map(row).collect();
        let first = self.storage().add_each_job(now, overload, &rows);
        Box::pin(async move {
            let told = |error: Error| match overload {
                Some(overload) if error.code() == ErrorCode::Overloaded => {
                    #[expect(clippy::cast_precision_loss, reason = "bounded below 2^31")]
                    let limit = overload.max_waiting as f64;
                    error.with("queue", queue.name()).with("limit", limit)
                }
                _ => error,
            };
            let mut results = first.await?;
            if let Some(overload) = overload.filter(|overload| overload.policy == OverloadPolicy::Wait) {
                queue.wait_for_room(overload, &rows, &mut results).await?;
            }
            Ok(results.into_iter().map(|result| result.map_err(told)).collect())
        })
    }

    async fn wait_for_room(&self, overload: Overload, rows: &Rows, results: &mut [Result<String>]) -> Result<()> {
        let clock = self.clock();
        let end = clock.moment() + overload.timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let is_full =
                |result: &Result<String>| matches!(result, Err(error) if error.code() == ErrorCode::Overloaded);
            let places: Vec<usize> = (0..rows.len()).filter(|&place| is_full(&results[place])).collect();
            if places.is_empty() || clock.moment() >= end {
                return Ok(());
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let again: Rows = places.iter().map(|&place| rows[place].clone()).collect();
            let replies = self.storage().add_each_job(self.now(), Some(overload), &again).await?;
            for (place, reply) in places.into_iter().zip(replies) {
                results[place] = reply;
            }
        }
    }
}

fn row(job: &AddedJob) -> Command {
    let group = job.group.clone().unwrap_or_default();
    let mut row = Command::default();
    row = row.arg(job.own_id.as_deref().unwrap_or_default()).arg(&job.name).arg(&job.data).arg(&job.opts);
    row = row.int(job.timestamp).int(job.delay).int(job.priority).arg(if job.lifo { "1" } else { "0" });
    row = match &job.deduplication {
        Some(one) => row.arg(&one.id).int(one.ttl_ms()).arg(one.rules()),
        None => row.arg("").int(0).arg(""),
    };
    row.arg(&group.id).arg(group.max_size.map(|size| size.to_string()).unwrap_or_default())
}

impl Storage {
    fn add_each_job(
        &self,
        now: i64,
        overload: Option<Overload>,
        rows: &Rows,
    ) -> impl Future<Output = Result<Vec<Result<String>>>> + Send + use<> {
        let keys = &self.keys;
        let max_waiting = overload.map(|overload| overload.max_waiting.to_string()).unwrap_or_default();
        let policy = match overload.map(|overload| overload.policy) {
            Some(OverloadPolicy::DropOldest) => "dropOldest",
            _ => "reject",
        };
        let rest = rows.iter().fold(Command::default(), Command::append);
        let call = lua::ADD_EACH_JOB.with_rest(
            [&keys.counter, &keys.active, &keys.meta, &keys.marker, &keys.events, &keys.prefix],
            [now.to_string().as_bytes(), max_waiting.as_bytes(), policy.as_bytes()],
            &rest,
        );
        let reply = call.start(Arc::clone(&self.link));
        async move {
            let result = |reply| match reply {
                Value::Error(error) => Ok(Err(error)),
                id => id.into_text().map(Ok),
            };
            reply.await?.into_items()?.into_iter().map(result).collect()
        }
    }
}
