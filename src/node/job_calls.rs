//! Calls about one job's children, its locks, and its end by hand.

use std::time::Duration;

use super::{
    door::{Answer, Op},
    job_row::job_row,
    worker::{outcome, recurrence, told},
};
use crate::{
    connection::BoxFuture,
    error::{Error, Result},
    queue::{Children, DependencyKind, NextJob, Outcome, Queue, Settlement, WorkerOptions},
};

/// Calls; `ts/job-host.ts` has the same numbers.
mod code {
    pub(super) const GET_CHILDREN: u16 = 70;
    pub(super) const SCAN_CHILDREN: u16 = 71;
    pub(super) const COUNT_CHILDREN: u16 = 72;
    pub(super) const PAGE_CHILDREN: u16 = 73;
    pub(super) const CHECK_CHILDREN: u16 = 74;
    pub(super) const REMOVE_CHILD_DEPENDENCY: u16 = 75;
    pub(super) const REMOVE_UNPROCESSED_CHILDREN: u16 = 76;
    pub(super) const FINISH: u16 = 77;
    pub(super) const EXTEND_LOCKS: u16 = 78;
    pub(super) const CLEAR_LOGS: u16 = 79;
    pub(super) const REMOVE_DEDUPLICATION: u16 = 80;
}

/// What a call of this file does; `None` for other calls. Jobs are finished by the rules of `worker`.
pub(super) fn prepare(
    op: &mut Op<'_>,
    queue: &Queue,
    worker: Option<&WorkerOptions>,
) -> Result<Option<BoxFuture<'static, Result<Answer>>>> {
    let queue = queue.clone();
    Ok(Some(match op.code() {
        code::GET_CHILDREN => {
            let (id, kind) = (op.text()?, kind(&op.text()?)?);
            Box::pin(async move { Ok(Answer::List(flat(&queue, queue.get_children(&id, kind).await?))) })
        }
        code::SCAN_CHILDREN => {
            let (id, kind, cursor, count) = (op.text()?, kind(&op.text()?)?, op.integer()?, op.integer()?);
            let cursor = u64::try_from(cursor)
                .map_err(|_| Error::invalid_argument("cursor", &cursor.to_string(), "0, or what a call before gave"))?;
            if count < 1 {
                return Err(Error::invalid_argument("count", &count.to_string(), "an integer from 1"));
            }
            Box::pin(async move {
                let page = queue.scan_children(&id, kind, cursor, count).await?;
                let next = i64::try_from(page.next).unwrap_or(i64::MAX);
                Ok(Answer::List(vec![next.into(), Answer::List(flat(&queue, page.children))]))
            })
        }
        code::COUNT_CHILDREN => {
            let (id, kinds) = (op.text()?, op.text()?);
            let kinds = kinds.split(',').map(kind).collect::<Result<Vec<_>>>()?;
            Box::pin(async move { Ok(queue.count_children(&id, &kinds).await?.into()) })
        }
        code::PAGE_CHILDREN => {
            let (id, kind, start, end) = (op.text()?, kind(&op.text()?)?, op.integer()?, op.integer()?);
            Box::pin(async move {
                let page = queue.page_children(&id, kind, start, end).await?;
                let jobs = page.jobs.iter().map(|(key, job)| {
                    let key = queue.user_key(key);
                    let of = key.strip_suffix(&format!(":{}", job.id)).unwrap_or(key);
                    Answer::List(vec![of.into(), Answer::List(job_row(job, "").into())])
                });
                let jobs = Answer::List(jobs.collect());
                Ok(Answer::List(vec![page.total.into(), Answer::List(flat(&queue, page.children)), jobs]))
            })
        }
        code::CHECK_CHILDREN => {
            let (id, token, child) = (op.text()?, op.text()?, op.optional_text()?);
            Box::pin(async move { queue.check_children(&id, &token, child.as_deref()).await.map(Answer::from) })
        }
        code::REMOVE_CHILD_DEPENDENCY => {
            let id = op.text()?;
            Box::pin(async move { queue.remove_child_dependency(&id).await.map(Answer::from) })
        }
        code::REMOVE_UNPROCESSED_CHILDREN => {
            let id = op.text()?;
            Box::pin(async move { queue.remove_unprocessed_children(&id).await.map(Answer::from) })
        }
        code::FINISH => {
            let options = worker.cloned().unwrap_or_default();
            let (id, token, fetch_next, outcome) = finish_arguments(op)?;
            Box::pin(async move {
                let next = recurrence(&options);
                let finished = queue.finish_job(&options, &*next, &id, &token, outcome, fetch_next).await?;
                Ok(finish_answer(finished))
            })
        }
        code::EXTEND_LOCKS => {
            let ms = op.integer()?;
            let lock = u64::try_from(ms)
                .ok()
                .filter(|&ms| ms > 0)
                .ok_or_else(|| Error::invalid_argument("duration", &ms.to_string(), "milliseconds from 1"))?;
            let held = op.rest_of_texts()?;
            let held: Vec<_> = held.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            Box::pin(async move { queue.extend_locks(Duration::from_millis(lock), &held).await.map(Answer::from) })
        }
        code::CLEAR_LOGS => {
            let (id, keep) = (op.text()?, op.optional_integer()?);
            Box::pin(async move { queue.clear_logs(&id, keep).await.map(Answer::from) })
        }
        code::REMOVE_DEDUPLICATION => {
            let (deduplication_id, id) = (op.text()?, op.text()?);
            Box::pin(async move { queue.remove_deduplication(&deduplication_id, &id).await.map(Answer::from) })
        }
        _ => return Ok(None),
    }))
}

/// Job id, token, whether the next job is wanted, outcome.
fn finish_arguments(op: &mut Op<'_>) -> Result<(String, String, bool, Outcome)> {
    Ok((op.text()?, op.text()?, op.flag()?, outcome(op)?))
}

/// The settlement, and what was fetched or null.
fn finish_answer((settlement, next): (Settlement, Option<NextJob>)) -> Answer {
    Answer::List(vec![told(&settlement, None), next.map(next_job).into()])
}

/// A row or null, milliseconds until the rate limit ends, when the next delayed job is due or 0.
fn next_job(next: NextJob) -> Answer {
    let row = next.job.map_or(Answer::Null, |job| Answer::List(job_row(&job, "").into()));
    let limited = i64::try_from(next.limited_ms).unwrap_or(i64::MAX);
    Answer::List(vec![row, limited.into(), next.next_due.unwrap_or(0).into()])
}

/// Key, value or null, key, value or null ...
fn flat(queue: &Queue, children: Children) -> Vec<Answer> {
    children.into_iter().flat_map(|(key, value)| [Answer::from(queue.user_key(&key)), value.into()]).collect()
}

fn kind(name: &str) -> Result<DependencyKind> {
    DependencyKind::from_name(name).ok_or_else(|| {
        let names = DependencyKind::ALL.map(DependencyKind::as_str);
        Error::invalid_argument("type", &format!("`{name}`"), &names.join(", "))
    })
}
