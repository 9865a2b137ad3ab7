//! Calls of a queue that go beyond BullMQ.

use super::{
    door::{Answer, Op},
    job_row::job_row,
};
use crate::{
    connection::BoxFuture,
    error::{Error, Result},
    queue::{GroupLimits, GroupState, LetterFilter, Limiter, MAX_PRIORITY, Queue},
};

/// The first of them; `ts/job-host.ts` has the same numbers.
pub(super) const FIRST_CODE: u16 = 300;

mod code {
    pub(super) const BURY: u16 = 300;
    pub(super) const GET_DEAD_LETTERS: u16 = 301;
    pub(super) const REDRIVE: u16 = 302;
    pub(super) const SET_GROUP_LIMITS: u16 = 310;
    pub(super) const SET_GROUP_CONCURRENCY: u16 = 311;
    pub(super) const GET_GROUP_CONCURRENCY: u16 = 312;
    pub(super) const SET_GROUP_RATE_LIMIT: u16 = 313;
    pub(super) const GET_GROUP_RATE_LIMIT_TTL: u16 = 314;
    pub(super) const RATE_LIMIT_GROUP: u16 = 315;
    pub(super) const PAUSE_GROUP: u16 = 316;
    pub(super) const RESUME_GROUP: u16 = 317;
    pub(super) const GET_GROUPS_JOBS_COUNT: u16 = 318;
    pub(super) const GET_GROUP_JOBS_COUNT: u16 = 319;
    pub(super) const GET_GROUP_ACTIVE_COUNT: u16 = 320;
    pub(super) const GET_GROUP_JOBS: u16 = 321;
    pub(super) const GET_GROUP_COUNTS_PER_PRIORITY: u16 = 322;
    pub(super) const GET_GROUPS: u16 = 323;
}

pub(super) fn prepare(queue: Queue, op: &mut Op<'_>) -> Result<BoxFuture<'static, Result<Answer>>> {
    Ok(match op.code() {
        code::BURY => {
            let (id, to, limit) = (op.text()?, op.text()?, op.optional_integer()?);
            Box::pin(async move { queue.bury(&id, &to, limit).await.map(Answer::from) })
        }
        code::GET_DEAD_LETTERS => {
            let (filter, start, limit) = (LetterFilter::from_json(&op.text()?)?, op.integer()?, op.integer()?);
            let limit = usize::try_from(limit)
                .ok()
                .filter(|&limit| limit > 0)
                .ok_or_else(|| Error::invalid_argument("limit", &limit.to_string(), "an integer from 1"))?;
            Box::pin(async move {
                let found = queue.get_dead_letters(&filter, start, limit).await?;
                let jobs = found.jobs.iter().map(|job| Answer::List(job_row(job, "").into())).collect();
                Ok(Answer::List(vec![Answer::List(jobs), found.next.map_or(Answer::Null, Answer::from)]))
            })
        }
        code::REDRIVE => {
            let (filter, limit) = (LetterFilter::from_json(&op.text()?)?, op.optional_integer()?);
            let limit = limit
                .map(|limit| {
                    u64::try_from(limit)
                        .map_err(|_| Error::invalid_argument("limit", &limit.to_string(), "an integer from 0"))
                })
                .transpose()?;
            Box::pin(async move {
                let done = queue.redrive(&filter, limit).await?;
                Ok(Answer::List(vec![done.redriven.cast_signed().into(), done.skipped.cast_signed().into()]))
            })
        }
        _ => return groups(queue, op),
    })
}

fn groups(queue: Queue, op: &mut Op<'_>) -> Result<BoxFuture<'static, Result<Answer>>> {
    Ok(match op.code() {
        code::SET_GROUP_LIMITS => {
            let limits = GroupLimits::from_json(&op.text()?)?;
            Box::pin(async move { queue.set_group_limits(limits).await.map(Answer::from) })
        }
        code::SET_GROUP_CONCURRENCY => {
            let (group, bound) = (op.text()?, op.optional_integer()?);
            let bound = bound.map(|bound| positive("concurrency", bound)).transpose()?;
            Box::pin(async move { queue.set_group_concurrency(&group, bound).await.map(Answer::from) })
        }
        code::GET_GROUP_CONCURRENCY => {
            let group = op.text()?;
            Box::pin(async move { Ok(queue.get_group_concurrency(&group).await?.map_or(Answer::Null, Answer::from)) })
        }
        code::SET_GROUP_RATE_LIMIT => {
            let group = op.text()?;
            let limit = match (op.optional_integer()?, op.optional_integer()?) {
                (Some(max), Some(ms)) => Some(Limiter {
                    max: positive("max", max)?,
                    duration: std::time::Duration::from_millis(positive("duration", ms)?.cast_unsigned()),
                }),
                _ => None,
            };
            Box::pin(async move { queue.set_group_rate_limit(&group, limit).await.map(Answer::from) })
        }
        code::GET_GROUP_RATE_LIMIT_TTL => {
            let group = op.text()?;
            Box::pin(async move { queue.get_group_rate_limit_ttl(&group).await.map(Answer::from) })
        }
        code::RATE_LIMIT_GROUP => {
            let (group, ms) = (op.text()?, positive("milliseconds", op.integer()?)?);
            Box::pin(async move { queue.rate_limit_group(&group, ms).await.map(Answer::from) })
        }
        code::PAUSE_GROUP => {
            let group = op.text()?;
            Box::pin(async move { queue.pause_group(&group).await.map(Answer::from) })
        }
        code::RESUME_GROUP => {
            let group = op.text()?;
            Box::pin(async move { queue.resume_group(&group).await.map(Answer::from) })
        }
        _ => return group_getters(queue, op),
    })
}

fn group_getters(queue: Queue, op: &mut Op<'_>) -> Result<BoxFuture<'static, Result<Answer>>> {
    Ok(match op.code() {
        code::GET_GROUPS_JOBS_COUNT => Box::pin(async move { queue.get_groups_jobs_count().await.map(Answer::from) }),
        code::GET_GROUP_JOBS_COUNT => {
            let group = op.text()?;
            Box::pin(async move { queue.get_group_jobs_count(&group).await.map(Answer::from) })
        }
        code::GET_GROUP_ACTIVE_COUNT => {
            let group = op.text()?;
            Box::pin(async move { queue.get_group_active_count(&group).await.map(Answer::from) })
        }
        code::GET_GROUP_JOBS => {
            let (group, start, end) = (op.text()?, op.integer()?, op.integer()?);
            Box::pin(async move {
                let jobs = queue.get_group_jobs(&group, start, end).await?;
                Ok(Answer::List(jobs.iter().map(|job| Answer::List(job_row(job, "").into())).collect()))
            })
        }
        code::GET_GROUP_COUNTS_PER_PRIORITY => {
            let (group, listed) = (op.text()?, op.text()?);
            let priorities = listed
                .split(',')
                .map(|one| {
                    one.parse::<i64>()
                        .ok()
                        .filter(|priority| (0..=MAX_PRIORITY).contains(priority))
                        .ok_or_else(|| Error::invalid_argument("priorities", one, "integers from 0 to 2097151"))
                })
                .collect::<Result<Vec<_>>>()?;
            Box::pin(async move {
                let counts = queue.get_counts_per_priority_for_group(&group, &priorities).await?;
                Ok(Answer::List(counts.into_iter().map(Answer::from).collect()))
            })
        }
        code::GET_GROUPS => {
            let (start, end) = (op.integer()?, op.integer()?);
            Box::pin(async move {
                let groups = queue.get_groups(start, end).await?;
                let row = |group: GroupState| {
                    let GroupState { id, waiting, active, status } = group;
                    Answer::List(vec![id.into(), waiting.into(), active.into(), status.into()])
                };
                Ok(Answer::List(groups.into_iter().map(row).collect()))
            })
        }
        _ => return Err(op.unknown_code()),
    })
}

fn positive(argument: &str, number: i64) -> Result<i64> {
    if number < 1 {
        return Err(Error::invalid_argument(argument, &number.to_string(), "an integer from 1"));
    }
    Ok(number)
}
