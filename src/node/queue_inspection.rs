//! Calls of queues that are not about single jobs: what a queue tells about itself, its limits and its events.

use std::time::Duration;

use super::{
    door::{Answer, Op},
    queue::{OpenQueue, state},
};
use crate::{
    connection::BoxFuture,
    error::{Error, Result},
};

/// Calls; `ts/job-host.ts` has the same numbers.
mod code {
    pub(super) const GET_RATE_LIMIT_TTL: u16 = 29;
    pub(super) const GET_COUNTS_PER_PRIORITY: u16 = 160;
    pub(super) const GET_DELAYED_COUNT_BEFORE: u16 = 161;
    pub(super) const GET_METRICS: u16 = 162;
    pub(super) const GET_META: u16 = 163;
    pub(super) const IS_MAXED: u16 = 164;
    pub(super) const RATE_LIMIT: u16 = 165;
    pub(super) const REMOVE_RATE_LIMIT_KEY: u16 = 166;
    pub(super) const GET_DEDUPLICATION_JOB_ID: u16 = 167;
    pub(super) const REMOVE_DEDUPLICATION_KEY: u16 = 168;
    pub(super) const TRIM_EVENTS: u16 = 169;
    pub(super) const PUBLISH_EVENT: u16 = 170;
    pub(super) const REMOVE_ORPHANED_JOBS: u16 = 171;
    pub(super) const GET_CLIENT_LIST: u16 = 172;
    pub(super) const ADVANCE_SCHEDULER: u16 = 173;
}

pub(super) fn prepare(open: OpenQueue, op: &mut Op<'_>) -> Result<BoxFuture<'static, Result<Answer>>> {
    let OpenQueue { queue, scheduler, .. } = open;
    Ok(match op.code() {
        code::GET_RATE_LIMIT_TTL => {
            let max = op.optional_integer()?;
            Box::pin(async move { queue.get_rate_limit_ttl(max).await.map(Answer::from) })
        }
        code::GET_COUNTS_PER_PRIORITY => {
            let priorities = list("priorities", &op.text()?)?;
            Box::pin(async move {
                let counts = queue.get_counts_per_priority(&priorities).await?;
                Ok(Answer::List(counts.into_iter().map(Answer::from).collect()))
            })
        }
        code::GET_DELAYED_COUNT_BEFORE => {
            let timestamp = op.integer()?;
            Box::pin(async move { queue.get_delayed_count_before(timestamp).await.map(Answer::from) })
        }
        code::GET_METRICS => {
            let (of, start, end) = (state(&op.text()?)?, op.integer()?, op.integer()?);
            Box::pin(async move {
                let metrics = queue.get_metrics(of, start, end).await?;
                let mut answer: Vec<Answer> =
                    [metrics.count, metrics.prev_ts, metrics.prev_count, metrics.points].map(Answer::from).into();
                answer.push(Answer::List(metrics.data.into_iter().map(Answer::from).collect()));
                Ok(Answer::List(answer))
            })
        }
        code::GET_META => Box::pin(async move {
            let meta = queue.get_meta().await?;
            Ok(Answer::List(meta.into_iter().flat_map(|(name, value)| [name.into(), value.into()]).collect()))
        }),
        code::IS_MAXED => Box::pin(async move { queue.is_maxed().await.map(Answer::from) }),
        code::RATE_LIMIT => {
            let ms = op.integer()?;
            let duration = u64::try_from(ms)
                .ok()
                .filter(|&ms| ms > 0)
                .map(Duration::from_millis)
                .ok_or_else(|| Error::invalid_argument("expireTimeMs", &ms.to_string(), "milliseconds from 1"))?;
            Box::pin(async move { queue.rate_limit(duration).await.map(Answer::from) })
        }
        code::REMOVE_RATE_LIMIT_KEY => {
            Box::pin(async move { queue.remove_rate_limit_key().await.map(|removed| i64::from(removed).into()) })
        }
        code::GET_DEDUPLICATION_JOB_ID => {
            let id = op.text()?;
            Box::pin(async move { Ok(queue.get_deduplication_job_id(&id).await?.map_or(Answer::Null, Answer::from)) })
        }
        code::REMOVE_DEDUPLICATION_KEY => {
            let id = op.text()?;
            Box::pin(async move { queue.remove_deduplication_key(&id).await.map(|removed| i64::from(removed).into()) })
        }
        code::TRIM_EVENTS => {
            let max = op.integer()?;
            Box::pin(async move { queue.trim_events(max).await.map(Answer::from) })
        }
        code::PUBLISH_EVENT => {
            let (name, max, fields) = (op.text()?, op.integer()?, op.text()?);
            let fields: Vec<(String, String)> = serde_json::from_str(&fields)
                .map_err(|error| Error::invalid_argument("args", "no object of texts", "an object").caused_by(error))?;
            Box::pin(async move { queue.publish_event(&name, &fields, max).await.map(Answer::from) })
        }
        code::REMOVE_ORPHANED_JOBS => {
            let (count, limit) = (op.integer()?, usize::try_from(op.integer()?).unwrap_or(0));
            Box::pin(async move {
                let removed = queue.remove_orphaned_jobs(count, limit).await?;
                Ok(i64::try_from(removed).unwrap_or(i64::MAX).into())
            })
        }
        code::GET_CLIENT_LIST => Box::pin(async move { queue.get_client_list().await.map(Answer::from) }),
        code::ADVANCE_SCHEDULER => {
            let (job, next) = (op.text()?, op.optional_integer()?);
            Box::pin(async move { scheduler.advance(&job, next).await.map(Answer::from) })
        }
        _ => return Err(op.unknown_code()),
    })
}

/// Numbers with commas between them.
fn list(argument: &str, text: &str) -> Result<Vec<i64>> {
    let numbers = text.split(',').filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().map_err(|_| Error::invalid_argument(argument, number, "integers"))).collect()
}
