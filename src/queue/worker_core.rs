//! What a worker's duties share: which jobs run here, and which outcomes wait to be stored.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hashbrown::HashMap;
use tokio::{sync::Notify, time::Instant};

use super::{
    ActiveJob, JobRecord, JobSink, Outcome, Queue, Recurrence, Retry, Settlement, WorkerEvent, WorkerOptions,
    marker_watcher::MarkerWatcher,
    outcome::{LastOptions, RunningJob},
    pace::{self, Pace},
    scheduled_runs::{EndedRun, ScheduledRun, is_end},
    scripts::StoredOutcome,
    wake::Wake,
};
use crate::{
    clock::{Moment, Occupied},
    error::{Detail, Error, ErrorCode},
};

pub(super) struct Core {
    /// First part of the tokens of its locks.
    pub(super) id: String,
    pub(super) queue: Queue,
    pub(super) options: WorkerOptions,
    pub(super) sink: Arc<dyn JobSink>,
    pub(super) recurrence: Arc<dyn Recurrence>,
    pub(super) wake: Arc<Wake>,
    /// Held while the worker lives, so that all workers of a server share one.
    pub(super) watcher: Arc<MarkerWatcher>,
    /// Rings when a job has settled.
    pub(super) settled: Notify,
    /// Rings when there are jobs to run.
    started: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and every combination may occur")]
struct State {
    /// By id and token: a job whose lock was lost may run here a second time before its first run ends.
    running: HashMap<(String, String), Slot>,
    reports: VecDeque<Report>,
    /// Taken ahead of the slots that they will have, in order; among `running`, for their locks are held.
    ready: VecDeque<ActiveJob>,
    /// When the first of them was taken.
    ready_since: Option<Instant>,
    pace: Pace,
    delivering: bool,
    /// Jobs that a sink has and did not report yet.
    delivered: usize,
    /// Outcomes that wait until the next run of their scheduler is made.
    ending: Vec<(Box<ScheduledRun>, Report)>,
    /// Told by the loop, so that a sink is only ever called on the I/O thread.
    events: Vec<WorkerEvent>,
    concurrency: usize,
    paused: bool,
    closing: bool,
    /// A call may be under way that takes jobs: they are on their way here.
    taking: bool,
    left: bool,
    /// No job is taken before.
    rest_until: Option<Moment>,
    /// Schedulers whose next job is being made.
    advancing: usize,
}

/// A key of what runs, borrowed: to look is not worth two allocations.
#[derive(Hash)]
struct KeyOf<'a>(&'a str, &'a str);

impl hashbrown::Equivalent<(String, String)> for KeyOf<'_> {
    fn equivalent(&self, key: &(String, String)) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

struct Slot {
    job: RunningJob,
    run: Option<Box<ScheduledRun>>,
    renewed_at: Instant,
    lost: bool,
    delivered: bool,
    reported: bool,
    /// Told to whoever moves the clock, until the job is reported.
    occupied: Option<Occupied>,
}

/// What the next call may take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    /// Jobs that begin at once.
    pub(super) slots: usize,
    /// Jobs that begin soon.
    pub(super) ahead: usize,
}

/// An outcome on its way to the server.
pub(super) struct Report {
    pub(super) stored: StoredOutcome,
    pub(super) settlement: Settlement,
    /// A call that carried it broke off: the server may have it already.
    pub(super) maybe_stored: bool,
    /// Why this failure stands for another outcome.
    pub(super) refused: Option<Error>,
}

impl Report {
    fn key(&self) -> KeyOf<'_> {
        KeyOf(&self.stored.id, &self.stored.token)
    }

    fn owned_key(&self) -> (String, String) {
        (self.stored.id.clone(), self.stored.token.clone())
    }
}

impl Core {
    pub(super) fn new(
        queue: Queue,
        options: WorkerOptions,
        sink: Arc<dyn JobSink>,
        recurrence: Arc<dyn Recurrence>,
    ) -> Self {
        let state = State { concurrency: options.concurrency, ..State::default() };
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            watcher: MarkerWatcher::of(&queue.storage().link),
            queue,
            options,
            sink,
            recurrence,
            wake: Arc::new(Wake::default()),
            settled: Notify::new(),
            started: Notify::new(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only on the I/O thread.
    pub(super) fn tell(&self, event: WorkerEvent) {
        self.sink.event(event);
    }

    /// Only on the I/O thread.
    pub(super) fn tell_all(&self, events: Vec<WorkerEvent>) {
        for event in events {
            self.tell(event);
        }
    }

    /// From any thread.
    pub(super) fn tell_later(&self, event: WorkerEvent) {
        self.state().events.push(event);
        self.wake.ring();
    }

    pub(super) fn take_events(&self) -> Vec<WorkerEvent> {
        std::mem::take(&mut self.state().events)
    }

    /// Takes outcomes of delivered jobs, all before the loop sees the first of them.
    pub(super) fn report(&self, outcomes: Vec<(String, String, Outcome)>) {
        let now = self.queue.now();
        let mut state = self.state();
        for (id, token, outcome) in outcomes {
            let key = (id, token);
            let state = &mut *state;
            let Some(slot) = state.running.get_mut(&key) else { continue };
            if slot.delivered && !slot.reported {
                state.delivered -= 1;
            }
            if slot.lost {
                state.running.remove(&key);
                let error = lock_lost(&key.0);
                state.events.push(WorkerEvent::NotSettled { job_id: key.0, token: key.1, error });
                self.settled.notify_waiters();
            } else if !slot.reported {
                slot.reported = true;
                slot.occupied = None;
                let (outcome, refused) = outcome.bounded();
                let (stored, settlement, fault) = slot.job.settle(&key.0, outcome, now, &self.options);
                let report = Report { stored, settlement, maybe_stored: false, refused };
                let ends = slot.run.as_ref().is_some_and(|run| run.plan.waits_for_end) && is_end(&report.settlement);
                match slot.run.take_if(|_| ends) {
                    Some(run) => state.ending.push((run, report)),
                    None => state.reports.push_back(report),
                }
                state.events.extend(fault.map(WorkerEvent::Error));
            }
        }
        drop(state);
        self.wake.ring();
        self.deliver_ready(false);
    }

    /// Fills free slots with what was taken ahead. On the thread that reports: the I/O thread has enough to do.
    /// `in_any_case` also while nothing new should begin.
    fn deliver_ready(&self, in_any_case: bool) {
        // A sink that reports at once comes back here: who is here already goes on for it.
        if self.state().ready.is_empty() || std::mem::replace(&mut self.state().delivering, true) {
            return;
        }
        while let Some(jobs) = self.next_delivery(in_any_case) {
            self.sink.deliver(jobs);
        }
    }

    /// What fits into the free slots; with nothing, delivering is over.
    fn next_delivery(&self, in_any_case: bool) -> Option<Vec<ActiveJob>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut delivered = Vec::new();
        if !in_any_case && (state.paused || state.closing) {
            state.delivering = false;
            return None;
        }
        while state.delivered < state.concurrency {
            let Some(job) = state.ready.pop_front() else { break };
            let key = KeyOf(&job.record.id, &job.token);
            match state.running.get_mut(&key) {
                Some(slot) if !slot.lost => {
                    slot.delivered = true;
                    state.delivered += 1;
                    delivered.push(job);
                }
                _ => drop(state.running.remove(&key)),
            }
        }
        if state.ready.is_empty() {
            state.ready_since = None;
        }
        state.delivering = !delivered.is_empty();
        state.delivering.then_some(delivered)
    }

    /// When what was taken ahead has waited for too long.
    pub(super) fn ready_until(&self) -> Option<Instant> {
        self.state().ready_since.map(|since| since + pace::LONGEST_WAIT)
    }

    /// Outcomes whose jobs must be followed by others before they are stored.
    pub(super) fn take_ending(&self) -> Vec<(Box<ScheduledRun>, Report)> {
        std::mem::take(&mut self.state().ending)
    }

    /// The job that follows this one is made.
    pub(super) fn ended(&self, run: Box<ScheduledRun>, report: Report) {
        if let Some(slot) = self.state().running.get_mut(&report.key()) {
            slot.run = Some(run);
        }
        self.put_back_untried(vec![report]);
    }

    pub(super) fn waiting_reports(&self) -> usize {
        self.state().reports.len()
    }

    /// Up to `most` outcomes, and how many jobs may be taken, at most as many, beside those that are `coming` already. A
    /// graceful close waits from here to [`turned`](Self::turned).
    pub(super) fn take_reports(&self, most: usize, most_bytes: usize, coming: usize) -> (Vec<Report>, Room) {
        let mut state = self.state();
        state.taking = true;
        state.give_back_ready(self.queue.now());
        let mut bytes = 0;
        let mut reports = Vec::new();
        while reports.len() < most && bytes < most_bytes {
            let Some(report) = state.reports.pop_front() else { break };
            bytes += report.stored.text.len() + report.stored.stacktrace.len();
            reports.push(report);
        }
        state.pace.observe(reports.len(), Instant::now());
        if state.paused || state.closing {
            return (reports, Room::default());
        }
        let slots = state.concurrency.saturating_sub(state.delivered + state.ready.len() + coming).min(most);
        // One job at a time: the next one begins when the one before is stored.
        let may_prefetch = self.options.prefetch && state.concurrency > 1 && self.options.limiter.is_none();
        let ahead = if may_prefetch { state.pace.jobs_ahead().saturating_sub(state.ready.len() + coming) } else { 0 };
        (reports, Room { slots, ahead: ahead.min(most - slots) })
    }

    /// What was taken, if anything, is among what runs.
    pub(super) fn turned(&self) {
        self.state().taking = false;
        self.settled.notify_waiters();
    }

    /// Outcomes that the server did not take. Those whose lock expired meanwhile are given up.
    pub(super) fn put_back(&self, mut reports: Vec<Report>) {
        for report in &mut reports {
            report.maybe_stored = true;
        }
        self.put_back_untried(reports);
    }

    /// The same for outcomes that no call has carried.
    pub(super) fn put_back_untried(&self, reports: Vec<Report>) {
        let mut state = self.state();
        for report in reports.into_iter().rev() {
            match state.running.get(&report.key()) {
                Some(slot) if slot.lost => {
                    let (job_id, token) = report.owned_key();
                    state.running.remove(&report.key());
                    let error = lock_lost(&job_id);
                    state.events.push(WorkerEvent::NotSettled { job_id, token, error });
                }
                _ => state.reports.push_front(report),
            }
        }
        drop(state);
        self.settled.notify_waiters();
        self.wake.ring();
    }

    /// A job with unfinished children cannot complete: the attempt fails. With failed ones, nor can another attempt.
    pub(super) fn fail_instead(&self, report: &Report, error: Error) {
        let has_failed =
            error.details().iter().any(|(name, word)| *name == "reply" && *word == Detail::from("FAILEDCHILDREN"));
        let retry = if has_failed { Retry::Never } else { Retry::ByOptions };
        let outcome = Outcome::Failed { reason: error.message().to_owned(), stack: None, retry };
        let now = self.queue.now();
        let mut state = self.state();
        let Some(slot) = state.running.get(&report.key()) else { return };
        let (stored, settlement, fault) = slot.job.settle(&report.stored.id, outcome, now, &self.options);
        state.reports.push_back(Report { stored, settlement, maybe_stored: false, refused: Some(error) });
        state.events.extend(fault.map(WorkerEvent::Error));
        drop(state);
        self.wake.ring();
    }

    /// The job no longer runs here. Gives the run of a scheduler that has ended with it and is to be recorded.
    pub(super) fn forget(&self, report: Report, result: Result<(), Error>) -> Option<EndedRun> {
        let slot = self.state().running.remove(&report.key());
        self.settled.notify_waiters();
        let run = slot.and_then(|slot| slot.run).filter(|run| run.plan.is_tracked && result.is_ok());
        let StoredOutcome { id: job_id, token, text: reason, .. } = report.stored;
        let ended = run.map(|run| EndedRun { run, settlement: report.settlement.clone(), reason });
        self.tell(match result {
            Ok(()) => WorkerEvent::Settled { job_id, token, settlement: report.settlement, refused: report.refused },
            Err(error) => WorkerEvent::NotSettled { job_id, token, error },
        });
        ended.filter(|ended| is_end(&ended.settlement))
    }

    /// Hands taken jobs to the sink, in one batch. Those that must fail at once do.
    pub(super) fn start_jobs(&self, jobs: Vec<JobRecord>, token: &str, taken_at: Instant) {
        let mut doomed = Vec::new();
        let mut last = LastOptions::default();
        for mut record in jobs {
            let unreadable = self.queue.payload().open_data(&mut record).err();
            let (mut job, fault) = RunningJob::new(&record, token, &mut last);
            if let Some(fault) = fault {
                self.tell(WorkerEvent::Error(fault));
            }
            let mut reason = job.refusal(&record, self.queue.now(), &self.options);
            if let Some(error) = unreadable {
                job.stay_when_failed();
                reason.get_or_insert_with(|| error.message().to_owned());
                self.tell(WorkerEvent::Error(error.with("jobId", record.id.as_str()).with("queue", self.queue.name())));
            }
            let occupied = self.queue.clock().occupied();
            let run = ScheduledRun::of(self, &record);
            let slot =
                Slot { job, run, renewed_at: taken_at, lost: false, delivered: false, reported: false, occupied };
            let mut state = self.state();
            state.running.insert((record.id.clone(), token.to_owned()), slot);
            match reason {
                None => {
                    state.ready.push_back(ActiveJob { record, token: token.to_owned() });
                    state.ready_since.get_or_insert(taken_at);
                }
                Some(reason) => {
                    drop(state);
                    let outcome = Outcome::Failed { reason: reason.clone(), stack: None, retry: Retry::Never };
                    doomed.push((record.id.clone(), token.to_owned(), outcome));
                    self.tell(WorkerEvent::FailedUndelivered { job: Box::new(record), reason });
                }
            }
        }
        self.started.notify_one();
        self.deliver_ready(true);
        if !doomed.is_empty() {
            self.report(doomed);
        }
    }

    /// Somebody wants a job cancelled. One that still waits here for a slot fails at once.
    pub(super) fn cancel(&self, job_id: String, token: String, reason: Option<String>) {
        let key = (job_id, token);
        let mut state = self.state();
        let Some(slot) = state.running.get(&key).filter(|slot| !slot.reported) else { return };
        if slot.delivered {
            drop(state);
            return self.tell_later(WorkerEvent::CancelRequested { job_id: key.0, token: key.1, reason });
        }
        let at = state.ready.iter().position(|job| job.record.id == key.0 && job.token == key.1);
        let Some(job) = at.and_then(|at| state.ready.remove(at)) else { return };
        let reason = reason.unwrap_or_else(|| "the job was cancelled".to_owned());
        state.events.push(WorkerEvent::FailedUndelivered { job: Box::new(job.record), reason: reason.clone() });
        drop(state);
        self.report(vec![(key.0, key.1, Outcome::Failed { reason, stack: None, retry: Retry::Never })]);
    }

    pub(super) fn held_locks(&self) -> Vec<(String, String)> {
        let state = self.state();
        state
            .running
            .iter()
            .filter(|(_, slot)| !slot.lost)
            .map(|((id, _), slot)| (id.clone(), slot.job.token().to_owned()))
            .collect()
    }

    /// `lost` are ids out of `asked`, renewed at `at`.
    pub(super) fn locks_renewed(&self, asked: &[(String, String)], lost: &[String], at: Instant) {
        let mut told = Vec::new();
        let mut renewed = Vec::new();
        let mut state = self.state();
        for key in asked {
            // One that was reported meanwhile has let go of its lock itself.
            let Some(slot) = state.running.get_mut(key).filter(|slot| !slot.lost) else { continue };
            if !lost.contains(&key.0) {
                slot.renewed_at = at;
                renewed.push(key.0.clone());
            } else if !slot.reported {
                slot.lost = true;
                told.push(WorkerEvent::LockLost { job_id: key.0.clone(), token: key.1.clone() });
            }
        }
        drop(state);
        if !renewed.is_empty() {
            told.push(WorkerEvent::LocksRenewed { job_ids: renewed });
        }
        self.tell_all(told);
    }

    /// Without an answer from the server for a whole lock duration, others may have the jobs.
    pub(super) fn give_up_expired_locks(&self) {
        let mut told = Vec::new();
        let mut guard = self.state();
        let state = &mut *guard;
        for ((id, token), slot) in &mut state.running {
            if !slot.lost && slot.renewed_at.elapsed() >= self.options.lock_duration {
                slot.lost = true;
                told.push(WorkerEvent::LockLost { job_id: id.clone(), token: token.clone() });
            }
        }
        let (running, reports) = (&mut state.running, &mut state.reports);
        reports.retain(|report| {
            let lost = running.get(&report.key()).is_some_and(|slot| slot.lost);
            if lost {
                let (job_id, token) = report.owned_key();
                running.remove(&report.key());
                let error = lock_lost(&job_id);
                told.push(WorkerEvent::NotSettled { job_id, token, error });
            }
            !lost
        });
        drop(guard);
        if !told.is_empty() {
            self.settled.notify_waiters();
        }
        self.tell_all(told);
    }

    pub(super) fn concurrency(&self) -> usize {
        self.state().concurrency
    }

    pub(super) fn set_concurrency(&self, jobs: usize) {
        self.state().concurrency = jobs.max(1);
        self.wake.fetch();
    }

    pub(super) fn set_paused(&self, paused: bool) -> bool {
        let changed = std::mem::replace(&mut self.state().paused, paused) != paused;
        self.wake.fetch();
        changed
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().paused
    }

    pub(super) fn set_closing(&self) {
        self.state().closing = true;
        self.wake.ring();
    }

    pub(super) fn advancing(&self, more: bool) {
        let mut state = self.state();
        state.advancing = if more { state.advancing + 1 } else { state.advancing - 1 };
        drop(state);
        self.settled.notify_waiters();
        self.wake.ring();
    }

    /// Nothing new should begin.
    pub(super) fn is_stopping(&self) -> bool {
        let state = self.state();
        state.paused || state.closing
    }

    /// Nothing runs, nothing is on its way here, and nothing is being made.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.running.is_empty() && !state.taking && state.advancing == 0
    }

    /// Takes no job for so long.
    pub(super) fn rest(&self, duration: std::time::Duration) {
        self.state().rest_until = Some(self.queue.clock().moment() + duration);
        self.wake.ring();
    }

    pub(super) fn rest_until(&self) -> Option<Moment> {
        self.state().rest_until
    }

    /// Closed, also by force.
    pub(super) fn has_left(&self) -> bool {
        self.state().left
    }

    /// Stops waiting for the queue's marker.
    pub(super) fn leave(&self) {
        self.state().left = true;
        self.watcher.remove(&self.queue.storage().keys.marker, &self.wake);
    }

    pub(super) fn running(&self) -> usize {
        self.state().running.len()
    }

    /// Resolves while there are jobs that run here.
    pub(super) async fn until_running(&self) {
        while self.running() == 0 {
            self.started.notified().await;
        }
    }

    /// Closing, and nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        let state = self.state();
        state.closing && state.running.is_empty() && state.advancing == 0
    }
}

impl State {
    /// Puts jobs that were taken ahead back where they came from, when they will not begin soon. The last one goes first,
    /// for each enters the queue before the others.
    fn give_back_ready(&mut self, now: i64) {
        let too_late = self.ready_since.is_some_and(|since| since.elapsed() >= pace::LONGEST_WAIT);
        if !(too_late || self.paused || self.closing) {
            return;
        }
        self.pace.stop();
        self.ready_since = None;
        while let Some(job) = self.ready.pop_back() {
            let key = (job.record.id, job.token);
            match self.running.get_mut(&key) {
                Some(slot) if !slot.lost => {
                    slot.reported = true;
                    slot.occupied = None;
                    let (id, token) = key;
                    let stored = StoredOutcome { id, token, at: now, kind: "release", ..StoredOutcome::default() };
                    self.reports.push_back(Report {
                        stored,
                        settlement: Settlement::Moved,
                        maybe_stored: false,
                        refused: None,
                    });
                }
                _ => drop(self.running.remove(&key)),
            }
        }
    }
}

fn lock_lost(id: &str) -> Error {
    Error::new(ErrorCode::JobLockLost, format!("the lock of job {id} was lost before its outcome could be stored"))
        .with("jobId", id)
}
