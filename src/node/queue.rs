//! Queues behind the door, and the calls that workers understand as well.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use napi_derive::napi;

use super::{
    connect::{Watch, connect, watch},
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    job_calls,
    job_row::job_row,
    queue_beyond, queue_inspection,
};
use crate::{
    connection::{BoxFuture, Command, DatabaseRole, Link},
    error::{Error, Result},
    queue::{JobOptions, JobState, NewJob, Queue, QueueOptions, Reset},
    scheduler::{JobScheduler, RepeatOptions},
    service,
};

/// Calls; `ts/job-host.ts` has the same numbers.
mod code {
    pub(super) const ADD: u16 = 0;
    pub(super) const GET_JOB: u16 = 1;
    pub(super) const GET_JOBS: u16 = 2;
    pub(super) const GET_COUNTS: u16 = 3;
    pub(super) const GET_STATE: u16 = 4;
    pub(super) const PAUSE: u16 = 5;
    pub(super) const RESUME: u16 = 6;
    pub(super) const IS_PAUSED: u16 = 7;
    pub(super) const REMOVE: u16 = 8;
    pub(super) const RETRY: u16 = 9;
    pub(super) const PROMOTE: u16 = 10;
    pub(super) const UPDATE_DATA: u16 = 11;
    pub(super) const UPDATE_PROGRESS: u16 = 12;
    pub(super) const ADD_LOG: u16 = 13;
    pub(super) const GET_LOGS: u16 = 14;
    pub(super) const DRAIN: u16 = 15;
    pub(super) const CLEAN: u16 = 16;
    pub(super) const OBLITERATE: u16 = 17;
    pub(super) const SET_GLOBAL_CONCURRENCY: u16 = 18;
    pub(super) const UPSERT_SCHEDULER: u16 = 19;
    pub(super) const REMOVE_SCHEDULER: u16 = 20;
    pub(super) const GET_SCHEDULER: u16 = 21;
    pub(super) const GET_SCHEDULERS: u16 = 22;
    pub(super) const COUNT_SCHEDULERS: u16 = 23;
    pub(super) const PING: u16 = 24;
    pub(super) const ARRIVE: u16 = 25;
    pub(super) const CHANGE_DELAY: u16 = 26;
    pub(super) const CHANGE_PRIORITY: u16 = 27;
    pub(super) const SET_GLOBAL_RATE_LIMIT: u16 = 28;
    pub(super) const CANCEL_JOB: u16 = 60;
    pub(super) const GET_WORKERS: u16 = 61;
}

/// A queue.
#[napi]
pub struct NativeQueue {
    handle: TargetHandle,
}

#[napi]
impl NativeQueue {
    /// `redis` and `options` are JSON texts. With `as_bullmq` the database is that which BullMQ would use.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, name: String, redis: String, as_bullmq: bool, options: String) -> napi::Result<Self> {
        let queue = OpenQueue::open(&name, &redis, as_bullmq, &options).map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = queue.watch(emitter);
            Rc::new(QueueTarget { queue, adds: RefCell::default(), _watch: watch })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

/// A queue with what belongs to it.
#[derive(Clone)]
pub(super) struct OpenQueue {
    pub(super) queue: Queue,
    pub(super) scheduler: JobScheduler,
    link: Arc<dyn Link>,
}

impl OpenQueue {
    pub(super) fn open(name: &str, redis: &str, as_bullmq: bool, options: &str) -> Result<Self> {
        let mut options = QueueOptions::from_json(options)?;
        let (link, key_prefix) = connect(redis, (!as_bullmq).then_some(DatabaseRole::Queue))?;
        options.prefix.insert_str(0, &key_prefix);
        options.key_prefix = key_prefix;
        let queue = Queue::open(Arc::clone(&link), name, options)?;
        Ok(Self::of(queue, link))
    }

    pub(super) fn of(queue: Queue, link: Arc<dyn Link>) -> Self {
        Self { scheduler: JobScheduler::new(queue.clone()), queue, link }
    }

    pub(super) fn watch(&self, emitter: Emitter) -> Watch {
        watch(&self.link, emitter)
    }

    /// Answers every call but those that a target collects.
    pub(super) fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if op.code() == code::ARRIVE {
            return reply.settle(Ok(()));
        }
        match self.prepare(&mut op) {
            Ok(work) => reply.run(work),
            Err(error) => reply.fail(error),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one row a call; splitting the table hides which are there")]
    fn prepare(&self, op: &mut Op<'_>) -> Result<BoxFuture<'static, Result<Answer>>> {
        let OpenQueue { queue, scheduler, link } = self.clone();
        Ok(match op.code() {
            code::ADD => {
                let draft = Draft::read(op)?;
                Box::pin(async move {
                    let job = draft.job(&mut KnownOptions::default())?;
                    let added = queue.add(vec![job]).await;
                    added.into_iter().next().unwrap_or_else(|| Err(Error::closed("the queue"))).map(Answer::from)
                })
            }
            code::GET_JOB => {
                let id = op.text()?;
                Box::pin(async move {
                    Ok(queue.get_job(&id).await?.map_or(Answer::Null, |job| Answer::List(job_row(&job, "").into())))
                })
            }
            code::GET_JOBS => {
                let (states, start, end, asc) = (states(&op.text()?)?, op.integer()?, op.integer()?, op.flag()?);
                Box::pin(async move {
                    let jobs = queue.get_jobs(&states, start, end, asc).await?;
                    Ok(Answer::List(jobs.iter().map(|job| Answer::List(job_row(job, "").into())).collect()))
                })
            }
            code::GET_COUNTS => Box::pin(async move {
                let counts = queue.get_counts().await?;
                let counts = [
                    counts.waiting,
                    counts.active,
                    counts.delayed,
                    counts.prioritized,
                    counts.waiting_children,
                    counts.completed,
                    counts.failed,
                ];
                Ok(Answer::List(counts.map(|count| Answer::from(count.cast_signed())).into()))
            }),
            code::GET_STATE => {
                let id = op.text()?;
                Box::pin(async move { Ok(queue.get_state(&id).await?.map(JobState::as_str).into()) })
            }
            code::PAUSE => Box::pin(async move { queue.pause().await.map(Answer::from) }),
            code::RESUME => Box::pin(async move { queue.resume().await.map(Answer::from) }),
            code::IS_PAUSED => Box::pin(async move { queue.is_paused().await.map(Answer::from) }),
            code::REMOVE => {
                let (id, with_children) = (op.text()?, op.flag()?);
                Box::pin(async move { queue.remove(&id, with_children).await.map(Answer::from) })
            }
            code::RETRY => {
                let (id, from) = (op.text()?, state(&op.text()?)?);
                let reset = Reset { attempts_made: op.flag()?, attempts_started: op.flag()? };
                Box::pin(async move { queue.retry(&id, from, reset).await.map(Answer::from) })
            }
            code::PROMOTE => {
                let id = op.text()?;
                Box::pin(async move { queue.promote(&id).await.map(Answer::from) })
            }
            code::CHANGE_DELAY => {
                let (id, delay) = (op.text()?, op.integer()?);
                Box::pin(async move { queue.change_delay(&id, delay).await.map(Answer::from) })
            }
            code::CHANGE_PRIORITY => {
                let (id, priority, front) = (op.text()?, op.integer()?, op.flag()?);
                Box::pin(async move { queue.change_priority(&id, priority, front).await.map(Answer::from) })
            }
            code::SET_GLOBAL_RATE_LIMIT => {
                let limit = match (op.optional_integer()?, op.optional_integer()?) {
                    (Some(max), Some(duration)) => Some((positive("max", max)?, positive("duration", duration)?)),
                    _ => None,
                };
                Box::pin(async move { queue.set_global_rate_limit(limit).await.map(Answer::from) })
            }
            code::CANCEL_JOB => {
                let (id, reason) = (op.text()?, op.optional_text()?);
                Box::pin(async move { queue.cancel_job(&id, reason.as_deref()).await.map(Answer::from) })
            }
            code::UPDATE_DATA => {
                let (id, data) = (op.text()?, op.text()?);
                Box::pin(async move { queue.update_data(&id, &data).await.map(Answer::from) })
            }
            code::UPDATE_PROGRESS => {
                let (id, progress) = (op.text()?, op.text()?);
                Box::pin(async move { queue.update_progress(&id, &progress).await.map(Answer::from) })
            }
            code::ADD_LOG => {
                let (id, row, keep) = (op.text()?, op.text()?, op.optional_integer()?);
                Box::pin(async move { queue.add_log(&id, &row, keep).await.map(Answer::from) })
            }
            code::GET_LOGS => {
                let (id, start, end) = (op.text()?, op.integer()?, op.integer()?);
                Box::pin(async move {
                    let (rows, count) = queue.get_logs(&id, start, end).await?;
                    Ok(Answer::List(vec![rows.into(), count.into()]))
                })
            }
            code::DRAIN => {
                let delayed = op.flag()?;
                Box::pin(async move { queue.drain(delayed).await.map(Answer::from) })
            }
            code::CLEAN => {
                let (grace, limit, state) = (op.integer()?, op.integer()?, state(&op.text()?)?);
                let limit = usize::try_from(limit)
                    .map_err(|_| Error::invalid_argument("limit", &limit.to_string(), "0 (any number) or more"))?;
                Box::pin(async move { queue.clean(grace, limit, state).await.map(Answer::from) })
            }
            code::OBLITERATE => {
                let force = op.flag()?;
                Box::pin(async move { queue.obliterate(force).await.map(Answer::from) })
            }
            code::SET_GLOBAL_CONCURRENCY => {
                let bound = op.optional_integer()?.map(|bound| positive("concurrency", bound)).transpose()?;
                Box::pin(async move { queue.set_global_concurrency(bound).await.map(Answer::from) })
            }
            code::UPSERT_SCHEDULER => {
                let (id, repeat, name) = (op.text()?, op.text()?, op.text()?);
                let (data, options) = (op.text()?, JobOptions::from_json(&op.text()?)?);
                let repeat = RepeatOptions::from_json(&repeat, op.optional_integer()?)?;
                Box::pin(async move { Ok(scheduler.upsert(&id, repeat, &name, &data, options).await?.into()) })
            }
            code::REMOVE_SCHEDULER => {
                let id = op.text()?;
                Box::pin(async move { scheduler.remove(&id).await.map(Answer::from) })
            }
            code::GET_SCHEDULER => {
                let id = op.text()?;
                Box::pin(async move {
                    Ok(scheduler.get(&id).await?.map_or(Answer::Null, |found| Answer::Json(found.to_json())))
                })
            }
            code::GET_SCHEDULERS => {
                let (start, end, asc) = (op.integer()?, op.integer()?, op.flag()?);
                Box::pin(async move {
                    let found = scheduler.list(start, end, asc).await?;
                    let texts: Vec<String> = found.iter().map(crate::scheduler::SchedulerRecord::to_json).collect();
                    Ok(Answer::Json(format!("[{}]", texts.join(","))))
                })
            }
            code::COUNT_SCHEDULERS => Box::pin(async move { scheduler.count().await.map(Answer::from) }),
            code::GET_WORKERS => Box::pin(async move {
                let workers = queue.get_workers().await?;
                Ok(Answer::Json(format!("[{}]", workers.join(","))))
            }),
            code::PING => {
                Box::pin(async move { Ok(link.call(Command::new("PING").repeatable()).await?.into_text()?.into()) })
            }
            beyond if beyond >= queue_beyond::FIRST_CODE => return queue_beyond::prepare(queue, op),
            _ => match job_calls::prepare(op, &queue, None)? {
                Some(work) => work,
                None => return queue_inspection::prepare(self.clone(), op),
            },
        })
    }
}

fn positive(argument: &str, number: i64) -> Result<i64> {
    if number < 1 {
        return Err(Error::invalid_argument(argument, &number.to_string(), "an integer from 1"));
    }
    Ok(number)
}

pub(super) fn state(name: &str) -> Result<JobState> {
    JobState::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = JobState::ALL.into_iter().map(JobState::as_str).collect();
        Error::invalid_argument("state", &format!("`{name}`"), &names.join(", "))
    })
}

fn states(names: &str) -> Result<Vec<JobState>> {
    names.split(',').map(state).collect()
}

/// A job to be added, its options still text.
struct Draft {
    name: String,
    data: String,
    options: Option<String>,
    timestamp: i64,
}

impl Draft {
    fn read(op: &mut Op<'_>) -> Result<Self> {
        Ok(Self { name: op.text()?, data: op.text()?, options: op.optional_text()?, timestamp: op.integer()? })
    }

    fn job(self, known: &mut KnownOptions) -> Result<NewJob> {
        let mut options = known.read(self.options.as_deref())?;
        options.made_at = Some(self.timestamp);
        Ok(NewJob { name: self.name, data: self.data, options })
    }
}

struct QueueTarget {
    queue: OpenQueue,
    /// Adds of this submission, which become one.
    adds: RefCell<Vec<(Draft, Responder)>>,
    _watch: Watch,
}

impl Target for QueueTarget {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if op.code() != code::ADD {
            // What was added before must be seen by what comes after.
            self.flush();
            self.queue.accept(op, reply);
            return;
        }
        match Draft::read(&mut op) {
            Ok(draft) => self.adds.borrow_mut().push((draft, reply)),
            Err(error) => reply.fail(error),
        }
    }

    fn flush(&self) {
        let adds = self.adds.take();
        if adds.is_empty() {
            return;
        }
        let queue = self.queue.queue.clone();
        service::spawn(async move {
            let mut jobs = Vec::with_capacity(adds.len());
            let mut replies = Vec::with_capacity(adds.len());
            let mut known = KnownOptions::default();
            for (draft, reply) in adds {
                match draft.job(&mut known) {
                    Ok(job) => {
                        jobs.push(job);
                        replies.push(reply);
                    }
                    Err(error) => reply.fail(error),
                }
            }
            for (result, reply) in queue.add(jobs).await.into_iter().zip(replies) {
                reply.settle(result);
            }
        });
    }
}

/// Jobs that are added together mostly have the same options: they are read once.
#[derive(Default)]
struct KnownOptions {
    text: String,
    options: JobOptions,
}

impl KnownOptions {
    fn read(&mut self, text: Option<&str>) -> Result<JobOptions> {
        let Some(text) = text else { return Ok(JobOptions::default()) };
        if text != self.text {
            self.options = JobOptions::from_json(text)?;
            text.clone_into(&mut self.text);
        }
        Ok(self.options.clone())
    }
}
