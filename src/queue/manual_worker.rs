//! A worker without a loop: its user fetches and finishes jobs one by one, with tokens of his own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    JobRecord, JobSink, Outcome, Queue, Recurrence, Settlement, WorkerOptions,
    outcome::{LastOptions, RunningJob},
    payload::is_sealed,
    scheduled_runs::is_end,
    scripts::{Take, Taken},
    stalled_checker,
    wake::Wake,
    worker_core::Core,
};
use crate::{
    connection::{Command, StateSink},
    error::{Error, ErrorCode, Result},
    service::Duty,
};

/// What a fetch gave.
#[derive(Debug, Default)]
pub struct NextJob {
    /// Locked with the caller's token. With `deferred_failure` it must fail without being run.
    pub job: Option<JobRecord>,
    /// Nothing may be taken for so many milliseconds.
    pub limited_ms: u64,
    /// When the next delayed job is due, milliseconds since the epoch.
    pub next_due: Option<i64>,
}

/// See the file. Dropping it ends its stalled check and the waits of its fetches.
pub struct ManualWorker {
    core: Arc<Core>,
    stalled_check: Mutex<Option<Duty>>,
    closed: AtomicBool,
    closing: Notify,
}

impl ManualWorker {
    /// Takes nothing by itself. `sink` hears of the stalled check.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub fn open(
        queue: &Queue,
        options: WorkerOptions,
        sink: Arc<dyn JobSink>,
        recurrence: Arc<dyn Recurrence>,
    ) -> Result<Self> {
        options.check()?;
        Ok(Self {
            core: Arc::new(Core::new(queue.clone(), options, sink, recurrence)),
            stalled_check: Mutex::default(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
        })
    }

    /// Looks for jobs of dead workers from now on, as a running worker does. Once is enough.
    pub fn watch_stalled(&self) {
        let mut check = self.stalled_check.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_closed() && !self.core.options.skip_stalled_check && check.is_none() {
            *check = Some(stalled_checker::start(Arc::clone(&self.core)));
        }
    }

    /// The next job, locked with `token` for `lockDuration`; its user renews the lock. With `block`, waits for one up to
    /// `drainDelay`.
    pub async fn next_job(&self, token: &str, block: bool) -> Result<Option<JobRecord>> {
        let core = &self.core;
        let wake = Arc::new(Wake::default());
        let marker = &core.queue.storage().keys.marker;
        let _link = core.queue.storage().link.watch_state(Arc::clone(&wake) as Arc<dyn StateSink>);
        let end = tokio::time::Instant::now() + core.options.drain_delay;
        loop {
            let closing = self.closing.notified();
            if self.is_closed() {
                return Ok(None);
            }
            let next = core.queue.take_job(&core.options, &*core.recurrence, token).await?;
            if next.job.is_some() || !block || tokio::time::Instant::now() >= end {
                return Ok(next.job);
            }
            let clock = core.queue.clock();
            let wait_ms = match (next.limited_ms, next.next_due) {
                (0, Some(due)) => Some(u64::try_from(due - clock.now_ms()).unwrap_or(0)),
                (0, None) => None,
                (limited, _) => Some(limited),
            };
            // A millisecond more: a due time less than one away is not due by the script's comparison.
            let due = clock.moment() + Duration::from_millis(wait_ms.unwrap_or(0).saturating_add(1));
            if next.limited_ms == 0 {
                core.watcher.add(marker, &wake);
            }
            tokio::select! {
                () = wake.rung() => {}
                () = clock.sleep_until(due), if wait_ms.is_some() => {}
                () = tokio::time::sleep_until(end) => {}
                () = closing => {}
            }
            core.watcher.remove(marker, &wake);
        }
    }

    /// Stores what became of a job that was fetched with `token`.
    ///
    /// # Errors
    /// As [`Queue::finish_job`].
    pub async fn finish_job(
        &self,
        id: &str,
        token: &str,
        outcome: Outcome,
        fetch_next: bool,
    ) -> Result<(Settlement, Option<NextJob>)> {
        let core = &self.core;
        core.queue.finish_job(&core.options, &*core.recurrence, id, token, outcome, fetch_next).await
    }

    /// Ends the stalled check and the waits for jobs. Twice is safe.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.stalled_check.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.core.leave();
        self.closing.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Drop for ManualWorker {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    /// Takes one job. A run of a scheduler lets its series go on.
    pub async fn take_job(&self, options: &WorkerOptions, recurrence: &dyn Recurrence, token: &str) -> Result<NextJob> {
        let fetched = self.storage().fetch_jobs(self.now(), &take(options, token, 1)).await?;
        self.took(options, recurrence, token, fetched).await
    }

    /// Stores what became of a job that somebody fetched with `token`; with `fetch_next`, takes the next one with the
    /// same token.
    ///
    /// # Errors
    /// `JobNotFound`, `JobLockLost`, `JobNotInState`, `JobHasChildren`.
    pub async fn finish_job(
        &self,
        options: &WorkerOptions,
        recurrence: &dyn Recurrence,
        id: &str,
        token: &str,
        outcome: Outcome,
        fetch_next: bool,
    ) -> Result<(Settlement, Option<NextJob>)> {
        let lost = || {
            let message = format!("job {id} does not exist");
            Error::new(ErrorCode::JobNotFound, message).with("jobId", id).with("queue", self.name())
        };
        let record = self.get_job(id).await?.ok_or_else(lost)?;
        let (mut job, _) = RunningJob::new(&record, token, &mut LastOptions::default());
        if is_sealed(&record.data) {
            job.stay_when_failed();
        }
        let (stored, settlement, fault) = job.settle(id, outcome, self.now(), options);
        if let Some(fault) = fault {
            return Err(fault);
        }
        let plan = record.scheduler_id.is_some().then(|| recurrence.plan(self, &record));
        let ended = plan.filter(|_| is_end(&settlement));
        if ended.as_ref().is_some_and(|plan| plan.waits_for_end) {
            recurrence.advance(self, &record, true).await?;
        }
        let reason = stored.text.clone();
        let take = take(options, token, usize::from(fetch_next));
        let points = options.metrics_max_data_points;
        let (results, fetched) = if stored.burial.is_some() {
            let results = self.bury_stored(points, &stored).await?;
            let fetched =
                if fetch_next { self.storage().fetch_jobs(self.now(), &take).await? } else { Taken::default() };
            (results, fetched)
        } else {
            self.storage().finish_jobs(self.now(), points, &take, &[self.sealed(&stored)?]).await?
        };
        results
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(Error::unexpected_reply("finish_jobs", "of another length")))
            .map_err(|error| error.with("jobId", id).with("queue", self.name()))?;
        if ended.is_some_and(|plan| plan.is_tracked) {
            // A record is for people; the outcome is stored.
            let _ = recurrence.record(self, &record, Some((&settlement, &reason))).await;
        }
        let next = if fetch_next { Some(self.took(options, recurrence, token, fetched).await?) } else { None };
        Ok((settlement, next))
    }

    /// Lets the series of a taken job go on. A missed run that is not to be made up for is let go, and another job taken.
    async fn took(
        &self,
        options: &WorkerOptions,
        recurrence: &dyn Recurrence,
        token: &str,
        mut fetched: Taken,
    ) -> Result<NextJob> {
        loop {
            let mut job = fetched.jobs.pop();
            if let Some(record) = job.as_mut().filter(|job| job.scheduler_id.is_some()) {
                let plan = recurrence.plan(self, record);
                if !plan.waits_for_end || plan.is_missed {
                    recurrence.advance(self, record, false).await?;
                }
                if plan.is_missed {
                    recurrence.drop_missed(self, record, token).await?;
                    fetched = self.storage().fetch_jobs(self.now(), &take(options, token, 1)).await?;
                    continue;
                }
                if plan.is_tracked {
                    let _ = recurrence.record(self, record, None).await;
                }
            }
            if let Some(record) = &mut job {
                let (running, _) = RunningJob::new(record, token, &mut LastOptions::default());
                record.deferred_failure = running.refusal(record, self.now(), options);
                if let Err(error) = self.payload().open_data(record) {
                    record.deferred_failure.get_or_insert_with(|| error.message().to_owned());
                }
            }
            return Ok(NextJob { job, limited_ms: fetched.limited_ms, next_due: fetched.next_due });
        }
    }

    /// Renews locks (job id and token of each) for `lock`; gives the ids whose lock is not theirs any more.
    pub async fn extend_locks(&self, lock: Duration, held: &[(String, String)]) -> Result<Vec<String>> {
        self.storage().extend_locks(u64::try_from(lock.as_millis()).unwrap_or(u64::MAX).max(1), held).await
    }

    /// Deletes a job's log, or all but its last `keep` rows.
    pub async fn clear_logs(&self, id: &str, keep: Option<i64>) -> Result<()> {
        let key = self.storage().keys.logs(id);
        let command = match keep.filter(|&keep| keep > 0) {
            None => Command::new("DEL").key(key),
            Some(keep) => Command::new("LTRIM").key(key).int(-keep).int(-1),
        };
        self.storage().link.call(command.repeatable()).await.map(drop)
    }

    /// Ends a deduplication window if this job owns it; false when it does not.
    pub async fn remove_deduplication(&self, deduplication_id: &str, job_id: &str) -> Result<bool> {
        self.storage().remove_deduplication(deduplication_id, job_id).await
    }
}

fn take(options: &WorkerOptions, token: &str, wanted: usize) -> Take {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Take {
        wanted,
        ahead: 0,
        token: token.to_owned(),
        lock_ms: ms(options.lock_duration),
        worker_name: options.name.clone().unwrap_or_default(),
        limiter: options.limiter.map(|limiter| (limiter.max, ms(limiter.duration))),
    }
}
