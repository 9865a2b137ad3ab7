//! Workers behind the door: jobs go out in batches as events, outcomes come back as calls that are answered when the
//! outcome is stored.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hashbrown::HashMap;
use napi_derive::napi;

use super::{
    connect::Watch,
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    job_calls,
    job_row::{job_row, rest},
    queue::OpenQueue,
};
use crate::{
    error::{Error, ErrorCode, Result},
    queue::{
        ActiveJob, JobSink, ManualWorker, Outcome, Recurrence, Retry, Settlement, Worker, WorkerEvent, WorkerOptions,
    },
    scheduler::{NextIteration, OwnerIteration},
};

/// Calls beside those of queues, outcomes and events; `ts/worker.ts` has the same numbers.
mod code {
    pub(super) const RUN: u16 = 100;
    pub(super) const REPORT: u16 = 101;
    pub(super) const PAUSE: u16 = 102;
    pub(super) const RESUME: u16 = 103;
    pub(super) const SET_CONCURRENCY: u16 = 104;
    pub(super) const RATE_LIMIT: u16 = 105;
    pub(super) const CLOSE: u16 = 106;
    pub(super) const NEXT_JOB: u16 = 120;
    pub(super) const WATCH_STALLED: u16 = 121;

    pub(super) const COMPLETED: i64 = 0;
    pub(super) const FAILED: i64 = 1;
    pub(super) const DELAYED: i64 = 2;
    pub(super) const WAITING: i64 = 3;
    pub(super) const WAITING_CHILDREN: i64 = 4;
    pub(super) const TIMED_OUT: i64 = 5;

    pub(super) const JOBS: u16 = 0;
    pub(super) const LOCK_LOST: u16 = 1;
    pub(super) const FAILED_UNDELIVERED: u16 = 2;
    pub(super) const STALLED: u16 = 3;
    pub(super) const DRAINED: u16 = 4;
    pub(super) const ERROR: u16 = 5;
    pub(super) const PAUSED: u16 = 6;
    pub(super) const RESUMED: u16 = 7;
    pub(super) const SCHEDULERS_REPAIRED: u16 = 40;
    pub(super) const RUN_ADDED: u16 = 41;
    pub(super) const LOCKS_RENEWED: u16 = 9;
    pub(super) const CANCEL_REQUESTED: u16 = 10;
}

/// Values of one event, at most.
const MOST_VALUES: usize = 1020;

/// Values of one job in a delivery: id, name, data, options, and the rest, behind the token of all. A name or options like
/// those of the job before are not repeated. `ts/job-row.ts` reads them.
const BATCHED_ROW_WIDTH: usize = 5;

/// How long a close without a limit waits: longer than any process lives.
const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A worker.
#[napi]
pub struct NativeWorker {
    handle: TargetHandle,
}

#[napi]
impl NativeWorker {
    /// `redis`, `queue` (options of the queue) and `options` are JSON texts.
    #[napi(constructor)]
    pub fn new(
        door: &NativeDoor,
        name: String,
        redis: String,
        as_bullmq: bool,
        queue: String,
        options: String,
    ) -> napi::Result<Self> {
        let open = || {
            let options = WorkerOptions::from_json(&options)?;
            Ok((OpenQueue::open(&name, &redis, as_bullmq, &queue)?, options))
        };
        let (queue, options) = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = queue.watch(emitter.clone());
            let sink = Arc::new(ToDoor { emitter, reports: Mutex::default() });
            Rc::new(WorkerTarget {
                queue,
                options,
                sink,
                worker: RefCell::default(),
                manual: RefCell::default(),
                outcomes: RefCell::default(),
                _watch: watch,
            })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Ends the worker by force unless it was closed before.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct WorkerTarget {
    queue: OpenQueue,
    options: WorkerOptions,
    sink: Arc<ToDoor>,
    worker: RefCell<Option<Arc<Worker>>>,
    manual: RefCell<Option<Arc<ManualWorker>>>,
    /// Outcomes of this submission, which are handed in together.
    outcomes: RefCell<Vec<(String, String, Outcome)>>,
    _watch: Watch,
}

impl Target for WorkerTarget {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        match op.code() {
            code::RUN => reply.settle(self.run()),
            code::REPORT => self.report(&mut op, reply),
            code::PAUSE => match (self.worker(), op.flag()) {
                (Ok(worker), Ok(now)) => reply.run(async move {
                    worker.pause(now).await;
                    Ok(())
                }),
                (Err(error), _) | (_, Err(error)) => reply.fail(error),
            },
            code::RESUME => reply.settle(self.worker().map(|worker| worker.resume())),
            code::SET_CONCURRENCY => reply.settle(self.set_concurrency(&mut op)),
            code::RATE_LIMIT => match (self.worker(), milliseconds(&mut op)) {
                (Ok(worker), Ok(duration)) => reply.run(async move { worker.rate_limit(duration).await }),
                (Err(error), _) | (_, Err(error)) => reply.fail(error),
            },
            code::CLOSE => match (self.worker(), op.optional_integer()) {
                (Ok(worker), Ok(grace)) => {
                    let sink = Arc::clone(&self.sink);
                    let grace = grace.map_or(NO_LIMIT, |ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
                    reply.run(async move {
                        let left = worker.close(grace).await;
                        sink.refuse_reports();
                        Ok(i64::try_from(left).unwrap_or(i64::MAX))
                    });
                }
                (Err(error), _) | (_, Err(error)) => reply.fail(error),
            },
            code::NEXT_JOB => match (self.manual(), op.text(), op.flag()) {
                (Ok(manual), Ok(token), Ok(block)) => reply.run(async move {
                    let job = manual.next_job(&token, block).await?;
                    Ok(job.map_or(Answer::Null, |job| Answer::List(job_row(&job, &token).into())))
                }),
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            // One that runs looks by itself.
            code::WATCH_STALLED if self.worker.borrow().is_some() => reply.settle(Ok(())),
            code::WATCH_STALLED => reply.settle(self.manual().map(|manual| manual.watch_stalled())),
            _ => match job_calls::prepare(&mut op, &self.queue.queue, Some(&self.options)) {
                Ok(Some(work)) => reply.run(work),
                Ok(None) => self.queue.accept(op, reply),
                Err(error) => reply.fail(error),
            },
        }
    }

    fn flush(&self) {
        let outcomes = self.outcomes.take();
        if let Some(worker) = &*self.worker.borrow()
            && !outcomes.is_empty()
        {
            worker.report_many(outcomes);
        }
    }
}

impl Drop for WorkerTarget {
    /// Calls that wait for a job hold the manual worker too.
    fn drop(&mut self) {
        if let Some(manual) = &*self.manual.borrow() {
            manual.close();
        }
    }
}

impl WorkerTarget {
    fn run(&self) -> Result<()> {
        let sink = Arc::clone(&self.sink) as Arc<dyn JobSink>;
        let worker = Worker::start(&self.queue.queue, self.options.clone(), sink, recurrence(&self.options))?;
        *self.worker.borrow_mut() = Some(worker);
        Ok(())
    }

    /// For jobs that are fetched by hand.
    fn manual(&self) -> Result<Arc<ManualWorker>> {
        if let Some(manual) = &*self.manual.borrow() {
            return Ok(Arc::clone(manual));
        }
        let sink = Arc::clone(&self.sink) as Arc<dyn JobSink>;
        let manual = ManualWorker::open(&self.queue.queue, self.options.clone(), sink, recurrence(&self.options))?;
        Ok(Arc::clone(self.manual.borrow_mut().insert(Arc::new(manual))))
    }

    fn worker(&self) -> Result<Arc<Worker>> {
        self.worker
            .borrow()
            .clone()
            .ok_or_else(|| Error::new(ErrorCode::InvalidArgument, "the worker does not run; call `run()` first"))
    }

    fn set_concurrency(&self, op: &mut Op<'_>) -> Result<()> {
        let jobs = op.integer()?;
        let jobs = usize::try_from(jobs)
            .ok()
            .filter(|&jobs| jobs > 0)
            .ok_or_else(|| Error::invalid_option("concurrency", &jobs.to_string(), "an integer from 1"))?;
        self.worker()?.set_concurrency(jobs);
        Ok(())
    }

    fn report(&self, op: &mut Op<'_>, reply: Responder) {
        let read = |op: &mut Op<'_>| {
            self.worker()?;
            Ok((op.text()?, op.text()?, outcome(op)?))
        };
        match read(op) {
            Ok((id, token, outcome)) => {
                if self.sink.expect_report(&id, &token, reply) {
                    self.outcomes.borrow_mut().push((id, token, outcome));
                }
            }
            Err(error) => reply.fail(error),
        }
    }
}

/// How a worker with these options makes the next jobs of schedulers.
pub(super) fn recurrence(options: &WorkerOptions) -> Arc<dyn Recurrence> {
    if options.own_recurrence { Arc::new(OwnerIteration) } else { Arc::new(NextIteration) }
}

fn milliseconds(op: &mut Op<'_>) -> Result<Duration> {
    let ms = op.integer()?;
    u64::try_from(ms)
        .map(Duration::from_millis)
        .map_err(|_| Error::invalid_argument("milliseconds", &ms.to_string(), "0 or more"))
}

pub(super) fn outcome(op: &mut Op<'_>) -> Result<Outcome> {
    Ok(match op.integer()? {
        code::COMPLETED => Outcome::Completed { value: op.text()? },
        code::FAILED => Outcome::Failed { reason: op.text()?, stack: op.optional_text()?, retry: retry(op)? },
        code::TIMED_OUT => Outcome::TimedOut { reason: op.text()?, stack: op.optional_text()?, retry: retry(op)? },
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a millisecond is no loss; `as` saturates")]
        code::DELAYED => Outcome::Delayed { until_ms: op.number()? as i64 },
        code::WAITING => Outcome::Waiting,
        code::WAITING_CHILDREN => Outcome::WaitingChildren,
        other => return Err(Error::new(ErrorCode::Internal, format!("the native core has no outcome {other}"))),
    })
}

fn retry(op: &mut Op<'_>) -> Result<Retry> {
    Ok(match op.optional_number()? {
        None => Retry::ByOptions,
        Some(wait) if wait < 0.0 => Retry::Never,
        // A strategy may answer with a fraction, or with more than fits.
        Some(wait) => Retry::After(Duration::try_from_secs_f64(wait / 1000.0).unwrap_or(NO_LIMIT)),
    })
}

/// Hands jobs and events to JavaScript, and outcomes that are stored to those who wait for that.
struct ToDoor {
    emitter: Emitter,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    /// By job id and token.
    waiting: HashMap<(String, String), Responder>,
    closed: bool,
}

impl ToDoor {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when nothing will come of it, which the caller has then been told.
    fn expect_report(&self, id: &str, token: &str, reply: Responder) -> bool {
        let mut reports = self.reports();
        if reports.closed {
            drop(reports);
            reply.fail(Error::closed("the worker"));
            return false;
        }
        reports.waiting.insert((id.to_owned(), token.to_owned()), reply);
        true
    }

    fn refuse_reports(&self) {
        let waiting = {
            let mut reports = self.reports();
            reports.closed = true;
            std::mem::take(&mut reports.waiting)
        };
        for (_, reply) in waiting {
            reply.fail(Error::closed("the worker"));
        }
    }

    fn reported(&self, id: String, token: String, result: Result<Answer>) {
        // Nobody reported a job that failed undelivered, so nobody waits.
        let reply = self.reports().waiting.remove(&(id, token));
        if let Some(reply) = reply {
            reply.settle(result);
        }
    }

    fn emit(&self, event: u16, values: Vec<Answer>) {
        self.emitter.emit(event, 0, 0, values);
    }
}

impl JobSink for ToDoor {
    fn deliver(&self, jobs: Vec<ActiveJob>) {
        for jobs in jobs.chunk_by(|one, next| one.token == next.token) {
            for jobs in jobs.chunks(MOST_VALUES / BATCHED_ROW_WIDTH) {
                let rests: Vec<_> = jobs.iter().map(|job| rest(&job.record)).collect();
                let mut values = Vec::with_capacity(1 + jobs.len() * BATCHED_ROW_WIDTH);
                values.push(jobs.first().map(|job| job.token.as_str()));
                let mut before = ("", "");
                for (job, rest) in jobs.iter().zip(&rests) {
                    let ActiveJob { record, .. } = job;
                    let is_first = values.len() == 1;
                    let name = Some(record.name.as_str()).filter(|&name| is_first || name != before.0);
                    let opts = Some(record.opts.as_str()).filter(|&opts| is_first || opts != before.1);
                    before = (&record.name, &record.opts);
                    values.extend([Some(record.id.as_str()), name, Some(record.data.as_str()), opts, Some(rest)]);
                }
                self.emitter.emit_texts(code::JOBS, i32::try_from(jobs.len()).unwrap_or(0), 0, &values);
            }
        }
    }

    fn event(&self, event: WorkerEvent) {
        match event {
            WorkerEvent::Settled { job_id, token, settlement, refused } => {
                // Nearly always; a list of values would cost more than the rest of the way.
                let is_done = settlement == Settlement::Completed && refused.is_none();
                let answer = if is_done { Answer::Bool(true) } else { told(&settlement, refused.as_ref()) };
                self.reported(job_id, token, Ok(answer));
            }
            WorkerEvent::NotSettled { job_id, token, error } => self.reported(job_id, token, Err(error)),
            WorkerEvent::LockLost { job_id, token } => {
                self.emit(code::LOCK_LOST, vec![job_id.into(), token.into()]);
            }
            WorkerEvent::LocksRenewed { job_ids } => {
                for ids in job_ids.chunks(MOST_VALUES) {
                    self.emit(code::LOCKS_RENEWED, ids.iter().map(|id| Answer::from(id.as_str())).collect());
                }
            }
            WorkerEvent::CancelRequested { job_id, token, reason } => {
                self.emit(code::CANCEL_REQUESTED, vec![job_id.into(), token.into(), reason.into()]);
            }
            WorkerEvent::FailedUndelivered { job, reason } => {
                let mut values: Vec<Answer> = job_row(&job, "").into();
                values.push(reason.into());
                self.emit(code::FAILED_UNDELIVERED, values);
            }
            WorkerEvent::Stalled { job_ids } => {
                for ids in job_ids.chunks(MOST_VALUES) {
                    self.emit(code::STALLED, ids.iter().map(|id| Answer::from(id.as_str())).collect());
                }
            }
            WorkerEvent::SchedulersRepaired { ids } => {
                for ids in ids.chunks(MOST_VALUES) {
                    self.emit(code::SCHEDULERS_REPAIRED, ids.iter().map(|id| Answer::from(id.as_str())).collect());
                }
            }
            WorkerEvent::RunAdded { scheduler_id, name, job_id } => {
                self.emit(code::RUN_ADDED, vec![scheduler_id.into(), name.into(), job_id.into()]);
            }
            WorkerEvent::Drained => self.emit(code::DRAINED, Vec::new()),
            WorkerEvent::Error(error) => self.emit(code::ERROR, vec![Answer::Error(error)]),
            WorkerEvent::Paused => self.emit(code::PAUSED, Vec::new()),
            WorkerEvent::Resumed => self.emit(code::RESUMED, Vec::new()),
            WorkerEvent::Closed => self.refuse_reports(),
        }
    }
}

/// Kind, attempts made, milliseconds until the next attempt, and why the job failed instead.
pub(super) fn told(settlement: &Settlement, refused: Option<&Error>) -> Answer {
    let (kind, attempts_made, delay_ms) = match *settlement {
        Settlement::Completed => ("completed", 0, 0),
        Settlement::Failed { attempts_made } => ("failed", attempts_made, 0),
        Settlement::Retrying { attempts_made, delay_ms } => ("retrying", attempts_made, delay_ms),
        Settlement::Moved => ("moved", 0, 0),
    };
    Answer::List(vec![kind.into(), attempts_made.into(), delay_ms.into(), refused.cloned().into()])
}
