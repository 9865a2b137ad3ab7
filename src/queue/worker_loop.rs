//! The loop of a worker: stores outcomes and takes jobs, both in as few calls as possible.
//!
//! What is reported while a call is under way goes with the next one, which also takes as many jobs as there are free
//! slots; so under load a call carries a batch, and an idle worker with one job costs one round trip. Half a batch does
//! not wait for the answer: the server finds the next call when it is done with the one before. And when an answer comes,
//! the next call leaves first, if there is something for it: the server works while the answer is told. With free slots
//! and an empty queue the loop waits for the marker, the next due delayed job, or `drain_delay`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    JobRecord, WorkerEvent,
    dead_letter::{Burial, LetterBox},
    scheduled_runs,
    scripts::Taken,
    worker_call::{Answered, Call, is_maybe_executed, is_passing},
    worker_core::{Core, Report, Room},
};
use crate::{
    clock::Moment,
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
    service,
};

/// Jobs taken and outcomes stored by one call at most, and bytes of the outcomes: the server serves nobody else meanwhile,
/// about 20 microseconds a job.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 1 << 20;
/// Calls that the server may have at a time, and how many outcomes make another one worth its price.
const MOST_CALLS: usize = 2;
const EARLY: usize = BATCH / 2;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The system's time may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

struct Looping {
    core: Arc<Core>,
    /// Under way, the oldest first.
    calls: VecDeque<Call>,
    /// How many there ever were.
    sent: u64,
    /// There may be work.
    hungry: bool,
    /// Nothing is taken before, by a rate limit.
    limited_until: Option<Moment>,
    next_due: Option<Moment>,
    /// After this even an unnoticed marker is found. Nothing that is stored, so not by the queue's clock.
    next_look: Instant,
    /// Calls that failed in a row.
    failures: u32,
    /// Outcomes that go one by one, because a call with all of them was refused.
    careful: usize,
    busy: bool,
    /// Tokens of calls that may have taken jobs, and when they were sent.
    unsure: Vec<(String, Instant)>,
    /// What the last call gave, while nobody was told of it. Never across a wait, but that for the next call.
    answer: Option<Answer>,
}

struct Answer {
    reports: Vec<Report>,
    results: Vec<Result<()>>,
    jobs: Vec<JobRecord>,
    token: String,
    sent_at: Instant,
    /// The call wanted jobs, and there were none.
    found_nothing: bool,
}

/// Runs until the worker is closing and nothing runs.
pub(super) async fn run(core: Arc<Core>) {
    let mut looping = Looping {
        calls: VecDeque::new(),
        sent: 0,
        hungry: true,
        limited_until: None,
        next_due: None,
        next_look: Instant::now(),
        failures: 0,
        careful: 0,
        busy: false,
        unsure: Vec::new(),
        answer: None,
        core,
    };
    looping.limit_groups().await;
    while looping.answer.is_some() || !looping.calls.is_empty() || !looping.core.is_done() {
        looping.turn().await;
    }
    looping.watch(false);
    looping.core.tell_all(looping.core.take_events());
}

impl Looping {
    /// Before the first job is taken, so that none is taken beyond the bounds.
    async fn limit_groups(&mut self) {
        let Some(limits) = self.core.options.group else { return };
        while !self.core.is_done()
            && let Err(error) = self.core.queue.want_group_limits(limits).await
        {
            self.failed(Vec::new(), false, error).await;
        }
        self.failures = 0;
    }

    async fn turn(&mut self) {
        let in_trouble = self.careful > 0 || !self.unsure.is_empty();
        if in_trouble || self.core.is_stopping() {
            self.tell_answer().await;
        }
        self.core.tell_all(self.core.take_events());
        for (run, report) in self.core.take_ending() {
            service::spawn(scheduled_runs::end(Arc::clone(&self.core), run, report));
        }
        if !self.calls.is_empty()
            && (in_trouble || self.calls.len() == MOST_CALLS || self.core.waiting_reports() < EARLY)
        {
            self.tell_answer().await;
            self.wait_for_calls(!in_trouble).await;
            return;
        }
        // A lock that nobody renewed is gone, and its job with the stalled check.
        self.unsure.retain(|(_, sent_at)| sent_at.elapsed() < self.core.options.lock_duration);
        let now = self.core.queue.clock().moment();
        self.limited_until = self.limited_until.max(self.core.rest_until()).filter(|&until| until > now);
        if !self.unsure.is_empty() && self.recover().await {
            return;
        }
        let batch = if self.careful > 0 { 1 } else { BATCH };
        let coming = self.answer.as_ref().map_or(0, |answer| answer.jobs.len())
            + self.calls.iter().map(Call::most_coming).sum::<usize>();
        let (reports, room) = self.core.take_reports(batch, BATCH_BYTES, coming);
        let alone = self.careful > 0 && !reports.is_empty();
        let may_take = !alone && self.limited_until.is_none() && (self.hungry || !reports.is_empty());
        let wanted = if may_take { room } else { Room::default() };
        if reports.is_empty() && wanted.slots == 0 {
            if !self.tell_answer().await && !self.settle() {
                self.idle(room.slots > 0).await;
            }
            return;
        }
        let Some(reports) = self.bury(reports, alone).await else {
            self.settle();
            return;
        };
        if reports.is_empty() && wanted.slots == 0 {
            self.tell_answer().await;
            self.settle();
            return;
        }
        let token = format!("{}:{}", self.core.id, self.sent);
        self.sent += 1;
        self.calls.push_back(Call::send(&self.core, wanted, token, alone, reports).await);
        self.tell_answer().await;
    }

    /// Says that no job is on its way here, unless calls are; then true.
    fn settle(&self) -> bool {
        if self.calls.is_empty() {
            self.core.turned();
        }
        !self.calls.is_empty()
    }

    /// Waits for the oldest call; or, where that may be, until there may be something for another one.
    async fn wait_for_calls(&mut self, may_add: bool) {
        let may_add = may_add && self.calls.len() < MOST_CALLS;
        let Some(oldest) = self.calls.front_mut() else { return };
        let Answered { about, reports, reply } = tokio::select! {
            biased;
            answered = oldest.answered() => answered,
            () = self.core.wake.rung(), if may_add => return,
        };
        self.calls.pop_front();
        match reply {
            Ok((results, got)) => {
                self.failures = 0;
                if about.alone {
                    self.careful = self.careful.saturating_sub(reports.len());
                }
                let found_nothing = self.took(about.wanted, &got);
                let (token, sent_at) = (about.token, about.sent_at);
                self.answer = Some(Answer { reports, results, jobs: got.jobs, token, sent_at, found_nothing });
            }
            Err(error) => {
                if about.wanted.slots + about.wanted.ahead > 0 && is_maybe_executed(&error) {
                    self.unsure.push((about.token, about.sent_at));
                }
                self.failed(reports, about.alone, error).await;
                self.settle();
            }
        }
    }

    /// Tells what the last call gave: outcomes that are stored, and jobs that begin. False when there is nothing to tell.
    async fn tell_answer(&mut self) -> bool {
        let Some(answer) = self.answer.take() else { return false };
        self.stored(answer.reports, answer.results).await;
        if !answer.jobs.is_empty() {
            self.deliver(answer.jobs, &answer.token, answer.sent_at);
        } else if answer.found_nothing && self.busy && self.core.running() == 0 {
            self.busy = false;
            self.core.tell(WorkerEvent::Drained);
        }
        true
    }

    /// Delivers the jobs that a call took whose reply was lost, instead of leaving them to the stalled check. True when
    /// the server could not be asked.
    async fn recover(&mut self) -> bool {
        let Some((token, sent_at)) = self.unsure.last().cloned() else { return false };
        match self.core.queue.storage().recover_jobs(&token).await {
            Ok(jobs) => {
                self.unsure.pop();
                self.deliver(jobs, &token, sent_at);
                false
            }
            Err(error) => {
                self.failed(Vec::new(), false, error).await;
                true
            }
        }
    }

    /// Moves those of the jobs to the dead letters that go there; gives the others back, or nothing when that failed.
    async fn bury(&mut self, reports: Vec<Report>, alone: bool) -> Option<Vec<Report>> {
        if reports.iter().all(|report| report.stored.burial.is_none()) {
            return Some(reports);
        }
        self.tell_answer().await;
        let (mut dead, others): (Vec<_>, Vec<_>) =
            reports.into_iter().partition(|report| report.stored.burial.is_some());
        let (core, now) = (Arc::clone(&self.core), self.core.queue.now());
        while let Some(choice) = dead.first().and_then(|report| report.stored.burial.clone()) {
            let is_same = |report: &Report| {
                let other = report.stored.burial.as_ref();
                other.is_some_and(|other| other.queue == choice.queue && other.limit == choice.limit)
            };
            let (same, rest): (Vec<_>, Vec<_>) = dead.into_iter().partition(is_same);
            dead = rest;
            let to = LetterBox { prefix: core.queue.sibling_prefix(&choice.queue), limit: choice.limit };
            let burials: Vec<_> = same.iter().map(|report| Burial::of(&report.stored)).collect();
            let points = core.options.metrics_max_data_points;
            match core.queue.storage().bury_jobs(now, core.queue.name(), points, &to, &burials).await {
                Ok(results) => self.stored(same, results).await,
                Err(error) => {
                    self.core.put_back_untried(others);
                    self.core.put_back_untried(dead);
                    self.failed(same, alone, error).await;
                    return None;
                }
            }
        }
        Some(others)
    }

    async fn stored(&mut self, reports: Vec<Report>, results: Vec<Result<()>>) {
        for (report, result) in reports.into_iter().zip(results) {
            let result = match result {
                Err(error) if report.maybe_stored => match is_stored(&self.core, &report).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(error),
                    Err(_) => {
                        self.core.put_back(vec![report]);
                        continue;
                    }
                },
                result => result,
            };
            if let Err(error) = &result
                && error.code() == ErrorCode::JobHasChildren
            {
                self.core.fail_instead(&report, error.clone());
                continue;
            }
            let result = result
                .map_err(|error| error.with("jobId", report.stored.id.as_str()).with("queue", self.core.queue.name()));
            if let Some(run) = self.core.forget(report, result) {
                scheduled_runs::ended(&self.core, run);
            }
        }
    }

    /// What an answer says of the queue. True when there was nothing to take.
    fn took(&mut self, wanted: Room, answer: &Taken) -> bool {
        let got = answer.jobs.len();
        let asked = wanted.slots + wanted.ahead > 0;
        if asked {
            self.hungry = got >= wanted.slots.max(1);
            self.next_look = Instant::now() + self.core.options.drain_delay;
            self.next_due = answer.next_due.map(|due| self.moment(due));
        }
        if answer.limited_ms > 0 {
            let rest = Duration::from_millis(answer.limited_ms).min(self.core.options.maximum_rate_limit_delay);
            self.limited_until = Some(self.core.queue.clock().moment() + rest);
            self.hungry = true;
        }
        got == 0 && asked && answer.limited_ms == 0
    }

    fn deliver(&mut self, jobs: Vec<JobRecord>, token: &str, taken_at: Instant) {
        if jobs.is_empty() {
            return;
        }
        self.busy = true;
        self.core.start_jobs(scheduled_runs::taken(&self.core, jobs, token), token, taken_at);
    }

    /// When a stored time comes.
    fn moment(&self, time: i64) -> Moment {
        let clock = self.core.queue.clock();
        let wait = Duration::from_millis(u64::try_from(time - clock.now_ms()).unwrap_or(0));
        // Where time flows, a due time below a millisecond away is not yet due by the script's comparison.
        clock.moment() + if clock.is_manual() { wait } else { wait.min(LONGEST_WAIT) + Duration::from_millis(1) }
    }

    /// A call failed that carried these outcomes, or one that was to be tried alone.
    async fn failed(&mut self, reports: Vec<Report>, alone: bool, error: Error) {
        let refused = !is_passing(&error);
        if refused && alone {
            self.careful = self.careful.saturating_sub(reports.len());
            for report in reports {
                self.core.forget(report, Err(error.clone()));
            }
            return;
        }
        if refused {
            // Outcomes of another call may be in front already.
            self.careful += reports.len();
        }
        self.core.put_back(reports);
        self.failures += 1;
        self.hungry = true;
        if self.failures == 1 {
            self.core.tell(WorkerEvent::Error(error));
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(self.core.options.run_retry_delay);
        let end = Instant::now() + pause;
        // The server being back ends the pause; anything else that rings does not.
        loop {
            tokio::select! {
                () = self.core.wake.rung() => if self.core.wake.take_fetch() || self.core.is_done() { return },
                () = sleep_until(end) => return,
            }
        }
    }

    async fn idle(&mut self, may_take: bool) {
        let may_watch = may_take && self.limited_until.is_none();
        self.watch(may_watch);
        let due = if may_watch { self.next_due } else { self.limited_until.filter(|_| may_take) };
        let clock = self.core.queue.clock();
        tokio::select! {
            () = self.core.wake.rung() => {}
            () = clock.sleep_until(due.unwrap_or_else(|| clock.moment())), if due.is_some() => self.hungry = true,
            () = sleep_until(self.next_look), if may_watch => self.hungry = true,
            () = sleep_until(self.core.ready_until().unwrap_or(self.next_look)), if self.core.ready_until().is_some() => {}
        }
        if self.core.wake.take_fetch() {
            self.hungry = true;
        }
        if let Some(due) = self.core.wake.take_due() {
            let due = self.moment(due);
            self.next_due = Some(self.next_due.map_or(due, |known| known.min(due)));
        }
    }

    fn watch(&self, on: bool) {
        let marker = &self.core.queue.storage().keys.marker;
        let (watcher, wake) = (&self.core.watcher, &self.core.wake);
        if on { watcher.add(marker, wake) } else { watcher.remove(marker, wake) }
    }
}

/// Whether a call whose reply was lost had its effect: the job carries what only that call wrote.
async fn is_stored(core: &Core, report: &Report) -> Result<bool> {
    let (storage, outcome) = (core.queue.storage(), &report.stored);
    let read =
        Command::new("HMGET").key(storage.keys.job(&outcome.id)).args(["timestamp", "finishedOn", "atm"]).repeatable();
    let fields = storage.link.call(read).await?.into_items()?;
    let fields = fields.into_iter().map(Value::into_optional_text).collect::<Result<Vec<_>>>()?;
    let [timestamp, finished_on, attempts_made] = &fields[..] else { return Ok(false) };
    let is = |field: &Option<String>, number: i64| field.as_ref().is_some_and(|field| *field == number.to_string());
    Ok(match outcome.kind {
        "failed" if outcome.burial.is_some() => timestamp.is_none(),
        "completed" | "failed" if outcome.keep.count == Some(0) => timestamp.is_none(),
        "completed" | "failed" => is(finished_on, outcome.at),
        "retry" | "later" => is(attempts_made, outcome.attempts_made),
        _ => false,
    })
}
