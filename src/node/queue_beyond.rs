//! Calls of a queue that go beyond BullMQ.

use super::{
    door::{Answer, Op},
    job_row::job_row,
};
use crate::{
    connection::BoxFuture,
    error::{Error, Result},
    queue::{LetterFilter, Queue},
};

/// The first of them; `ts/job-host.ts` has the same numbers.
pub(super) const FIRST_CODE: u16 = 300;

mod code {
    pub(super) const BURY: u16 = 300;
    pub(super) const GET_DEAD_LETTERS: u16 = 301;
    pub(super) const REDRIVE: u16 = 302;
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
        _ => return Err(op.unknown_code()),
    })
}
