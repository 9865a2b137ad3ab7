//! The I/O task of a [`CommandLink`](super::command_link::CommandLink).
//!
//! It owns the socket and the batches in flight, so that replies are matched and settled without a lock. Here it connects,
//! again and again, and looks after the deadlines of those who wait meanwhile; what it does while there is a connection
//! stands in [`serving`](super::serving).

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

use super::{
    backoff,
    command_link::{Gate, Purpose, Shared},
    handshake::{Opened, Session, is_hopeless, open_session},
    link::LinkState,
    outbox::Outbox,
    pending::{AfterBreak, Pending, timed_out},
    serving::End,
};
use crate::{
    embedded::Local,
    error::{Error, ErrorCode},
};

/// Deadlines that pass within this time are handled together.
const TIMER_GRAIN: Duration = Duration::from_millis(5);
/// With nothing to watch the task still looks around once in a while.
pub(super) const IDLE_WAKE: Duration = Duration::from_secs(600);
/// A connection that lived this long was a good one: the next backoff starts anew.
const GOOD_LIFE: Duration = Duration::from_secs(5);

pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) in_flight: VecDeque<Pending>,
    /// First batch of `in_flight` that is not written completely.
    pub(super) unwritten: usize,
    pub(super) timer: Pin<Box<Sleep>>,
    pub(super) wakes_at: Instant,
    /// Why attempts to connect failed, for the message of those who waited.
    last_failure: Option<Error>,
}

impl Driver {
    /// Must be called on the I/O thread, whose timer it uses.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            in_flight: VecDeque::new(),
            unwritten: 0,
            timer: Box::pin(sleep(IDLE_WAKE)),
            wakes_at: Instant::now() + IDLE_WAKE,
            last_failure: None,
        }
    }

    /// Lives as long as the link.
    pub(super) async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let shared = Arc::clone(&self.shared);
            let connected = || {
                // While the link refuses commands it stays in Error until it is ready again.
                if shared.board.current() != LinkState::Error {
                    shared.board.set(LinkState::Connected, None);
                }
            };
            let attempt = open_session(&shared.options, connected);
            let outcome = tokio::select! {
                outcome = attempt => outcome,
                () = self.tend() => break,
            };
            match outcome {
                Ok(Opened::Here(local)) => {
                    self.hand_over(&local).await;
                    break;
                }
                Ok(Opened::Session(session)) => {
                    let began = Instant::now();
                    self.open_gate(&session);
                    let error = match self.serve(*session).await {
                        End::Closed => break,
                        End::Broken(error) => error,
                    };
                    failures = if began.elapsed() > GOOD_LIFE { 0 } else { failures };
                    self.connection_broke(&error);
                }
                Err(error) => self.attempt_failed(&error),
            }
            failures = failures.saturating_add(1);
            let pause = async {
                match backoff::delay(&shared.options, failures).await {
                    Some(delay) => {
                        sleep(delay).await;
                        true
                    }
                    None => false,
                }
            };
            let goes_on = tokio::select! {
                goes_on = pause => goes_on,
                () = self.tend() => break,
            };
            if !goes_on {
                self.give_up();
                return;
            }
        }
        self.shared.board.set(LinkState::Disconnecting, None);
        self.fail_all(&Error::closed("connection"));
        self.shared.board.set(LinkState::Disconnected, None);
    }

    /// Lets commands in: those that waited are written first.
    fn open_gate(&mut self, session: &Session) {
        self.last_failure = None;
        {
            let mut core = self.shared.lock();
            core.client_id = session.client_id;
            core.replace = None;
            if !matches!(core.gate, Gate::Closed) {
                core.gate = Gate::Open;
                core.direct = session.socket.direct();
            }
        }
        tracing::debug!(resp3 = session.resp3, "link ready");
        self.shared.board.set(LinkState::Ready, None);
    }

    /// Leaves everything to the engine that is in this process from here on, and waits until the handle is gone.
    async fn hand_over(&mut self, local: &Arc<Local>) {
        self.last_failure = None;
        {
            let mut core = self.shared.lock();
            self.in_flight.extend(core.take_incoming());
            // Under the lock, so that what is submitted next comes behind it.
            for pending in self.in_flight.drain(..) {
                local.submit(pending.into_batch());
            }
            (core.outstanding, core.backlog) = (0, 0);
            if !matches!(core.gate, Gate::Closed) {
                core.gate = Gate::Here(Arc::clone(local));
            }
        }
        self.shared.board.set(LinkState::Ready, local.dropped());
        while !matches!(self.shared.lock().gate, Gate::Closed) {
            self.shared.wake.notified().await;
        }
    }

    /// Closes the gate, then sorts what was in flight into what waits and what is told.
    fn connection_broke(&mut self, error: &Error) {
        self.close_gate(None);
        let options = &self.shared.options;
        let unrun = error.details().contains(&("maybeExecuted", false.into()));
        let how = AfterBreak {
            // What waits in an engine is not handed on: its caller may go away without the next engine hearing of it.
            wait: options.offline_queue && !(unrun && self.shared.purpose == Purpose::Blocking),
            resend: options.max_retries_per_request != Some(0),
            unrun,
        };
        let mut outbox = Outbox::default();
        for pending in &mut self.in_flight {
            pending.after_break(how, error, &mut outbox);
        }
        self.drop_answered();
        self.last_failure = Some(error.clone());
        // Where nothing was lost, there is nothing to report.
        self.shared.board.set(LinkState::Reconnecting, Some(error).filter(|_| !how.unrun));
        outbox.deliver();
    }

    fn attempt_failed(&mut self, error: &Error) {
        tracing::debug!(code = error.code().as_str(), "connecting failed");
        self.last_failure = Some(error.clone());
        if is_hopeless(error) {
            self.close_gate(Some(error));
            self.shared.board.set(LinkState::Error, Some(error));
            self.fail_all(error);
            return;
        }
        // What was refused before may be mended: the server is merely away.
        self.close_gate(None);
        self.shared.board.set(LinkState::Reconnecting, Some(error));
        if let Some(most) = self.shared.options.max_retries_per_request {
            let told = Error::new(
                ErrorCode::MaxRetriesReached,
                format!("no connection after {} attempts (maxRetriesPerRequest): {error}", most.max(1)),
            )
            .caused_by(error.clone());
            let mut outbox = Outbox::default();
            for pending in &mut self.in_flight {
                pending.failed_attempts += 1;
                if pending.failed_attempts >= most {
                    pending.fail(&told, &mut outbox);
                }
            }
            self.drop_answered();
            outbox.deliver();
        }
    }

    /// `retryStrategy` wants no further attempt.
    fn give_up(&mut self) {
        let why = self.last_failure.as_ref().map_or("no reason", Error::message);
        let error = Error::new(ErrorCode::ConnectionFailed, format!("retryStrategy gave up connecting: {why}"));
        self.shared.lock().over = true;
        self.close_gate(Some(&error));
        self.shared.board.set(LinkState::Error, Some(&error));
        self.fail_all(&error);
    }

    /// From here on commands wait, or are refused for `reason`. Takes what came last.
    fn close_gate(&mut self, reason: Option<&Error>) {
        let mut core = self.shared.lock();
        core.direct = None;
        core.client_id = None;
        core.replace = None;
        if !matches!(core.gate, Gate::Closed) {
            core.gate = reason.map_or(Gate::Waiting, |error| Gate::Refusing(error.clone()));
        }
        self.in_flight.extend(core.take_incoming());
    }

    fn fail_all(&mut self, error: &Error) {
        self.in_flight.extend(self.shared.lock().take_incoming());
        let mut outbox = Outbox::default();
        for pending in &mut self.in_flight {
            pending.fail(error, &mut outbox);
        }
        self.drop_answered();
        outbox.deliver();
    }

    /// Lets go of batches that need no reply any more, between connections or before they are written.
    fn drop_answered(&mut self) {
        self.in_flight.retain(|pending| !pending.is_answered());
        self.unwritten = self.in_flight.iter().take_while(|pending| pending.is_written()).count();
        let mut core = self.shared.lock();
        let incoming = core.incoming.iter().map(|pending| pending.unwritten().len()).sum::<usize>();
        core.backlog = incoming + self.in_flight.iter().map(|pending| pending.unwritten().len()).sum::<usize>();
        core.outstanding = self.in_flight.len() + core.incoming.len();
    }

    /// Looks after deadlines while there is no connection. Ends when the handle is gone.
    async fn tend(&mut self) {
        loop {
            self.take_incoming();
            if matches!(self.shared.lock().gate, Gate::Closed) {
                return;
            }
            if Instant::now() >= self.wakes_at {
                self.expire();
                self.arm(Instant::now() + IDLE_WAKE);
            }
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = self.timer.as_mut() => {}
            }
        }
    }

    /// Takes what was submitted, and wakes earlier where a deadline asks for it.
    pub(super) fn take_incoming(&mut self) {
        let mut core = self.shared.lock();
        let mut earliest = self.wakes_at;
        for pending in core.take_incoming() {
            earliest = earliest.min(pending.earliest());
            accept(&mut self.in_flight, &mut self.unwritten, pending);
        }
        let rearm = earliest < self.wakes_at || core.wakes_at.is_none();
        if rearm {
            core.wakes_at = Some(earliest);
            drop(core);
            self.set_timer(earliest);
        }
    }

    /// Wakes at the earliest deadline, at `latest` the latest. Called when the timer fired.
    pub(super) fn arm(&mut self, latest: Instant) {
        let earliest = self.in_flight.iter().map(Pending::earliest).fold(latest, Instant::min);
        let mut at = earliest.max(Instant::now() + TIMER_GRAIN);
        {
            let mut core = self.shared.lock();
            for pending in core.take_incoming() {
                at = at.min(pending.earliest());
                accept(&mut self.in_flight, &mut self.unwritten, pending);
            }
            core.wakes_at = Some(at);
        }
        self.set_timer(at);
    }

    pub(super) fn set_timer(&mut self, at: Instant) {
        self.wakes_at = at;
        self.timer.as_mut().reset(at.into());
    }

    /// Tells callers whose deadline passed. True when one of their commands is on the wire.
    pub(super) fn expire(&mut self) -> bool {
        let now = Instant::now();
        let why = self.last_failure.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        let error = |after| timed_out(after, &why);
        let mut on_the_wire = false;
        let mut outbox = Outbox::default();
        for pending in &mut self.in_flight {
            on_the_wire |= pending.expire(now, &error, &mut outbox);
        }
        self.drop_answered();
        outbox.deliver();
        on_the_wire
    }
}

impl Drop for Driver {
    /// Also after a fault of this very task: nobody may wait for ever.
    fn drop(&mut self) {
        // What told of a state may have been the fault, and a second panic would end the process.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| {
            self.shared.lock().over = true;
            if matches!(self.shared.lock().gate, Gate::Open | Gate::Waiting) {
                let error = Error::new(ErrorCode::Internal, "the I/O task of the connection ended");
                self.close_gate(Some(&error));
                self.fail_all(&error);
                self.shared.board.set(LinkState::Error, Some(&error));
            } else {
                self.fail_all(&Error::closed("connection"));
            }
        }));
        if ended.is_err() {
            tracing::error!("a watcher of a link panicked");
        }
    }
}

/// Appends a batch, which its caller may have written already.
fn accept(in_flight: &mut VecDeque<Pending>, unwritten: &mut usize, pending: Pending) {
    if *unwritten == in_flight.len() && pending.is_written() {
        *unwritten += 1;
    }
    in_flight.push_back(pending);
}
