//! A worker: takes jobs, hands them to a sink in batches, and stores their outcomes in batches.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    ActiveJob, JobRecord, Outcome, Queue, Recurrence, Settlement, WorkerOptions, cancel_listener::CancelListener,
    lock_keeper, stalled_checker, worker_core::Core, worker_listing, worker_loop,
};
use crate::{
    error::{Error, Result},
    service::{self, Duty},
};

/// What a worker tells its sink beside jobs.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// The outcome is stored. `refused` says why it was not, where the job failed in its place: it has unfinished or
    /// failed children.
    Settled {
        job_id: String,
        token: String,
        settlement: Settlement,
        refused: Option<Error>,
    },
    /// The outcome could not be stored: the lock is lost, or the job is gone.
    NotSettled {
        job_id: String,
        token: String,
        error: Error,
    },
    /// This process no longer holds the lock; another worker may run the job. Its processor should stop.
    LockLost {
        job_id: String,
        token: String,
    },
    /// The locks of these jobs were renewed.
    LocksRenewed {
        job_ids: Vec<String>,
    },
    /// Somebody, in whatever process, wants this job cancelled.
    CancelRequested {
        job_id: String,
        token: String,
        reason: Option<String>,
    },
    /// The job fails before it was delivered: it stalled or started too often, has expired, or a child failed. `Settled`
    /// follows.
    FailedUndelivered {
        job: Box<JobRecord>,
        reason: String,
    },
    /// The jobs of dead workers that were put back.
    Stalled {
        job_ids: Vec<String>,
    },
    /// Job schedulers that had lost their next job, which has been made.
    SchedulersRepaired {
        ids: Vec<String>,
    },
    /// The next job of a scheduler was made; `name` is that of the job before.
    RunAdded {
        scheduler_id: String,
        name: String,
        job_id: String,
    },
    /// Nothing is left to take, and nothing runs here.
    Drained,
    /// The worker goes on by itself.
    Error(Error),
    Paused,
    Resumed,
    /// No further event comes.
    Closed,
}

/// Runs jobs. Called on the I/O thread; must not block.
pub trait JobSink: Send + Sync + 'static {
    fn deliver(&self, jobs: Vec<ActiveJob>);
    fn event(&self, event: WorkerEvent);
}

/// A running worker. Dropping it closes it by force.
pub struct Worker {
    core: Arc<Core>,
    main: Duty,
    lock_keeper: Option<Duty>,
    stalled_checker: Option<Duty>,
    cancel_listener: Mutex<Option<CancelListener>>,
    listing: Duty,
    closed: std::sync::atomic::AtomicBool,
    _link_watch: Box<dyn Send + Sync>,
}

impl Worker {
    /// Starts taking jobs at once.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub fn start(
        queue: &Queue,
        options: WorkerOptions,
        sink: Arc<dyn JobSink>,
        recurrence: Arc<dyn Recurrence>,
    ) -> Result<Arc<Self>> {
        options.check()?;
        let core = Arc::new(Core::new(queue.clone(), options, sink, recurrence));
        let keeper = (!core.options.skip_lock_renewal).then(|| lock_keeper::start(Arc::clone(&core)));
        let checker = (!core.options.skip_stalled_check).then(|| stalled_checker::start(Arc::clone(&core)));
        let listener = (!core.options.skip_remote_cancel).then(|| CancelListener::start(&core));
        let listing = worker_listing::start(Arc::clone(&core));
        let main = Arc::clone(&core);
        let wake: Arc<dyn crate::connection::StateSink> = Arc::clone(&core.wake) as _;
        Ok(Arc::new(Self {
            main: Duty::start(async move { worker_loop::run(main).await }),
            lock_keeper: keeper,
            stalled_checker: checker,
            cancel_listener: Mutex::new(listener),
            listing,
            closed: std::sync::atomic::AtomicBool::new(false),
            _link_watch: queue.storage().link.watch_state(wake),
            core,
        }))
    }

    /// Hands in the outcome of a delivered job. From any thread; a job that is not running here is ignored.
    pub fn report(&self, job_id: &str, token: &str, outcome: Outcome) {
        self.report_many(vec![(job_id.to_owned(), token.to_owned(), outcome)]);
    }

    /// Hands in outcomes (job id, token, outcome) that are stored by one call, within bounds.
    pub fn report_many(&self, outcomes: Vec<(String, String, Outcome)>) {
        self.core.report(outcomes);
    }

    /// Jobs that were delivered and whose outcome is not stored yet.
    pub fn running(&self) -> usize {
        self.core.running()
    }

    pub fn concurrency(&self) -> usize {
        self.core.concurrency()
    }

    /// At least 1. Running jobs go on when there are more of them.
    pub fn set_concurrency(&self, jobs: usize) {
        self.core.set_concurrency(jobs);
    }

    /// Takes no further jobs; resolves when the running ones have settled, or at once with `now`.
    pub async fn pause(&self, now: bool) {
        if self.core.set_paused(true) {
            self.core.tell_later(WorkerEvent::Paused);
        }
        if !now {
            self.settled().await;
        }
    }

    pub fn resume(&self) {
        if self.core.set_paused(false) {
            self.core.tell_later(WorkerEvent::Resumed);
        }
    }

    pub fn is_paused(&self) -> bool {
        self.core.is_paused()
    }

    /// This worker takes no job for so long, nor does any worker of the queue that has a limiter.
    pub async fn rate_limit(&self, duration: Duration) -> Result<()> {
        self.core.rest(duration);
        self.core.queue.rate_limit(duration).await
    }

    /// Takes no further jobs, waits up to `grace` for the running ones to settle, then lets go of the rest: they come
    /// back through the stalled check. Zero closes by force and ends the wait of an earlier call. Twice is safe. Gives
    /// how many were left.
    pub async fn close(&self, grace: Duration) -> usize {
        self.core.set_closing();
        if let Some(checker) = &self.stalled_checker {
            checker.stop();
        }
        if !grace.is_zero() {
            // The deadline is the caller's; what is left is told by the number.
            let _ = tokio::time::timeout(grace, self.settled()).await;
        }
        self.main.stop();
        if let Some(keeper) = &self.lock_keeper {
            keeper.stop();
        }
        drop(self.cancel_listener.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.listing.stop();
        self.core.leave();
        if !self.closed.swap(true, std::sync::atomic::Ordering::AcqRel) {
            worker_listing::end(&self.core);
            let core = Arc::clone(&self.core);
            // A sink is only called on the I/O thread. Not reached only when the process ends first.
            let _ = service::spawn(async move {
                core.tell_all(core.take_events());
                core.tell(WorkerEvent::Closed);
            })
            .await;
            // Whoever still waits for running jobs, in a close without force, waits in vain.
            self.core.settled.notify_waiters();
        }
        self.core.running()
    }

    async fn settled(&self) {
        loop {
            let settled = self.core.settled.notified();
            if self.core.is_idle() || self.closed.load(std::sync::atomic::Ordering::Acquire) {
                return;
            }
            settled.await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.core.leave();
    }
}
