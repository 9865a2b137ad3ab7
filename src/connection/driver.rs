//! The I/O task of a [`CommandLink`](super::command_link::CommandLink).
//!
//! It owns the socket and the batches in flight, so that replies are matched and settled without a lock. Its loop is:
//! take what was submitted, write, read, settle, look after deadlines. Between two connections it does the same without
//! the socket.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

use super::{
    backoff,
    command::{Batch, Command},
    command_link::{Gate, NobodyWaits, Purpose, Shared},
    handshake::{Session, is_hopeless, open_session},
    link::{LinkState, ReplySink},
    outbox::{self, Outbox},
    pending::{AfterBreak, Pending, timed_out},
    socket::Socket,
};
use crate::{
    codec::resp::{ReadBuffer, Reply, parse},
    error::{Error, ErrorCode, Result},
};

/// Buffers of one vectored write.
const WRITE_SLICES: usize = 64;
/// Deadlines that pass within this time are handled together.
const TIMER_GRAIN: Duration = Duration::from_millis(5);
/// With nothing to watch the task still looks around once in a while.
const IDLE_WAKE: Duration = Duration::from_secs(600);
/// How long a connection that must be replaced waits for the replies that it owes, and a silent one for a sign of life.
const GRACE: Duration = Duration::from_secs(1);
/// A connection that lived this long was a good one: the next backoff starts anew.
const GOOD_LIFE: Duration = Duration::from_secs(5);

pub(super) struct Driver {
    shared: Arc<Shared>,
    in_flight: VecDeque<Pending>,
    /// First batch of `in_flight` that is not written completely.
    unwritten: usize,
    timer: Pin<Box<Sleep>>,
    wakes_at: Instant,
    /// Why attempts to connect failed, for the message of those who waited.
    last_failure: Option<Error>,
}

/// What ended a connection.
enum End {
    /// The handle is gone and nothing is in flight.
    Closed,
    Broken(Error),
}

/// What is known of the present connection only.
struct Life {
    socket: Socket,
    frames: ReadBuffer,
    began: Instant,
    last_read: Instant,
    /// When, without a sign of life, the connection is given up.
    silent_until: Option<Instant>,
    /// Nothing is written any more; when the replies are there, or it is this late, the connection is replaced.
    retiring: Option<(Instant, Error)>,
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
                Ok(session) => {
                    let began = Instant::now();
                    self.open_gate(&session);
                    let error = match self.serve(session).await {
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

    /// Closes the gate, then sorts what was in flight into what waits and what is told.
    fn connection_broke(&mut self, error: &Error) {
        self.close_gate(None);
        let options = &self.shared.options;
        let how = AfterBreak { wait: options.offline_queue, resend: options.max_retries_per_request != Some(0) };
        let mut outbox = Outbox::default();
        for pending in &mut self.in_flight {
            pending.after_break(how, error, &mut outbox);
        }
        self.drop_answered();
        self.last_failure = Some(error.clone());
        self.shared.board.set(LinkState::Reconnecting, Some(error));
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
    fn take_incoming(&mut self) {
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
    fn arm(&mut self, latest: Instant) {
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

    fn set_timer(&mut self, at: Instant) {
        self.wakes_at = at;
        self.timer.as_mut().reset(at.into());
    }

    /// Tells callers whose deadline passed. True when one of their commands is on the wire.
    fn expire(&mut self) -> bool {
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

    /// Serves one connection until it ends.
    async fn serve(&mut self, session: Session) -> End {
        let now = Instant::now();
        let Session { socket, frames, .. } = session;
        let mut life = Life { socket, frames, began: now, last_read: now, silent_until: None, retiring: None };
        self.watch_over(&mut life, now);
        loop {
            self.take_incoming();
            if let Some(end) = self.is_over(&mut life) {
                return end;
            }
            let retiring = life.retiring.is_some();
            let (in_flight, unwritten) = (&self.in_flight, self.unwritten);
            let progress = tokio::select! {
                progress = poll_fn(|cx| poll_io(&mut life, cx, in_flight, unwritten, retiring)) => Some(progress),
                () = self.shared.wake.notified() => None,
                () = self.timer.as_mut() => None,
            };
            match progress {
                Some(Ok(progress)) => {
                    self.wrote(progress.written);
                    match progress.read {
                        Some(0) => return End::Broken(lost("the server closed the connection")),
                        Some(_) => {
                            if let Err(error) = self.settle_replies(&mut life) {
                                return End::Broken(error);
                            }
                        }
                        None => {}
                    }
                }
                Some(Err(error)) => return End::Broken(lost(&error.to_string()).caused_by(error)),
                None => {}
            }
            let now = Instant::now();
            if now >= self.wakes_at
                && let Some(end) = self.on_timer(&mut life, now)
            {
                return end;
            }
        }
    }

    /// Whether the connection is to end now.
    fn is_over(&mut self, life: &mut Life) -> Option<End> {
        let (closed, replace) = {
            let mut core = self.shared.lock();
            (matches!(core.gate, Gate::Closed), core.replace.take())
        };
        if let Some(reason) = replace {
            return Some(End::Broken(reason));
        }
        if closed {
            if self.in_flight.is_empty() {
                return Some(End::Closed);
            }
            self.shared.board.set(LinkState::Disconnecting, None);
        }
        if let Some((until, reason)) = &life.retiring {
            let owed = self.in_flight.front().is_some_and(Pending::is_begun);
            if !owed || Instant::now() >= *until {
                return Some(End::Broken(reason.clone()));
            }
        }
        None
    }

    fn wrote(&mut self, mut count: usize) {
        if count == 0 {
            return;
        }
        let total = count;
        while let Some(pending) = self.in_flight.get_mut(self.unwritten) {
            let part = pending.unwritten().len().min(count);
            pending.wrote(part);
            count -= part;
            if !pending.is_written() {
                break;
            }
            self.unwritten += 1;
            if count == 0 {
                break;
            }
        }
        let mut core = self.shared.lock();
        core.backlog = core.backlog.saturating_sub(total);
    }

    /// Settles every reply that is complete, then tells each sink once.
    fn settle_replies(&mut self, life: &mut Life) -> Result<()> {
        life.frames.filled();
        life.last_read = Instant::now();
        life.silent_until = None;
        // A batch is handed over before its bytes are written, so what was answered is here after this.
        self.take_incoming();
        let mut sinks = Sinks::default();
        let mut answered = 0;
        let mut outcome = Ok(());
        loop {
            let frame = match life.frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            // Whatever is pushed, an unsubscription by the server above all, answers no command.
            if frame.first() == Some(&b'>') {
                continue;
            }
            match self.settle(frame, &mut life.retiring, life.began) {
                Ok(Some(sink)) => {
                    answered += 1;
                    sinks.add(sink);
                }
                Ok(None) => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if let Some(front) = self.in_flight.front().filter(|front| front.is_begun()) {
            sinks.add(Arc::clone(front.sink()));
        }
        // Before the sinks are told: who submits because of it finds the link idle.
        {
            let mut core = self.shared.lock();
            core.outstanding = core.outstanding.saturating_sub(answered);
        }
        sinks.flush();
        outcome
    }

    /// Settles one reply. Gives back the sink of a batch that it completed.
    fn settle(
        &mut self,
        frame: &[u8],
        retiring: &mut Option<(Instant, Error)>,
        began: Instant,
    ) -> Result<Option<Arc<dyn ReplySink>>> {
        let reply = match parse(frame)? {
            Reply::Error(line) => {
                let error = Error::from_reply(&String::from_utf8_lossy(line));
                // A primary that was demoted: a new connection may lead to the new one. Not more than once a second,
                // for a server that is meant to be a replica.
                if error.code() == ErrorCode::ReadOnlyServer && retiring.is_none() && began.elapsed() > GRACE {
                    *retiring = Some((Instant::now() + GRACE, lost("the server became read-only")));
                    let mut core = self.shared.lock();
                    core.direct = None;
                    // The grace period needs an end.
                    let at = (Instant::now() + GRACE).min(self.wakes_at);
                    core.wakes_at = Some(at);
                    drop(core);
                    self.set_timer(at);
                }
                Err(error)
            }
            reply => Ok(reply),
        };
        let front = self.in_flight.front_mut().ok_or_else(unasked)?;
        if !front.settle_next(reply) {
            return Err(unasked());
        }
        if !front.is_answered() {
            return Ok(None);
        }
        self.unwritten = self.unwritten.saturating_sub(1);
        Ok(self.in_flight.pop_front().map(|pending| Arc::clone(pending.sink())))
    }

    /// Deadlines, silence, idleness.
    fn on_timer(&mut self, life: &mut Life, now: Instant) -> Option<End> {
        let timed_out = self.expire();
        if timed_out && self.shared.purpose == Purpose::Blocking {
            return Some(End::Broken(lost("a blocking command did not return in time")));
        }
        if life.silent_until.is_some_and(|until| now >= until) {
            return Some(End::Broken(lost("the server went silent")));
        }
        self.watch_over(life, now);
        None
    }

    /// Asks for a sign of life where one is due, and sets the timer.
    fn watch_over(&mut self, life: &mut Life, now: Instant) {
        let mut latest = now + IDLE_WAKE;
        if let Some(owed) = self.in_flight.front().filter(|front| front.is_begun()) {
            // The reply that is due next is late, and nothing at all came for as long as a command may take.
            let since = owed.submitted().max(life.last_read);
            let suspicious = owed.next_deadline().max(since + self.shared.options.command_timeout);
            if life.silent_until.is_none() {
                if now >= suspicious {
                    life.silent_until = Some(now + GRACE);
                    self.ping();
                } else {
                    latest = latest.min(suspicious);
                }
            }
        } else if let Some(idle) = self.shared.options.keep_alive.filter(|_| self.in_flight.is_empty()) {
            if now >= life.last_read + idle {
                self.ping();
                latest = latest.min(now + self.shared.options.command_timeout);
            } else {
                latest = latest.min(life.last_read + idle);
            }
        }
        if let Some(until) = life.silent_until {
            latest = latest.min(until);
        }
        if let Some((until, _)) = &life.retiring {
            latest = latest.min(*until);
        }
        self.arm(latest);
    }

    /// A command of the link's own.
    fn ping(&mut self) {
        let mut batch = Batch::new(Arc::new(NobodyWaits));
        batch.push(&Command::new("PING"), 0);
        let pending = Pending::new(batch, Instant::now(), self.shared.options.command_timeout);
        let mut core = self.shared.lock();
        core.backlog += pending.bytes().len();
        core.outstanding += 1;
        core.incoming.push(pending);
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

/// What one turn of I/O did.
struct Progress {
    written: usize,
    /// Bytes read, 0 at the end of the stream; `None` when there was nothing.
    read: Option<usize>,
}

fn poll_io(
    life: &mut Life,
    cx: &mut Context<'_>,
    in_flight: &VecDeque<Pending>,
    unwritten: usize,
    retiring: bool,
) -> Poll<io::Result<Progress>> {
    let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
    let mut count = 0;
    for pending in in_flight.range(unwritten.min(in_flight.len())..) {
        // A connection that retires only finishes what it began.
        if count == WRITE_SLICES || (retiring && !pending.is_begun()) {
            break;
        }
        slices[count] = IoSlice::new(pending.unwritten());
        count += 1;
    }
    let written = match life.socket.poll_write(cx, &slices[..count]) {
        Poll::Ready(Ok(written)) => written,
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        Poll::Pending => 0,
    };
    match life.socket.poll_read(cx, life.frames.space()) {
        Poll::Ready(Ok(read)) => Poll::Ready(Ok(Progress { written, read: Some(read) })),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending if written > 0 => Poll::Ready(Ok(Progress { written, read: None })),
        Poll::Pending => Poll::Pending,
    }
}

/// The sinks that one read settled. Nearly always one or two; a sink that shows up again after many others is told
/// twice, which costs it nothing.
#[derive(Default)]
struct Sinks {
    seen: Vec<Arc<dyn ReplySink>>,
}

impl Sinks {
    fn add(&mut self, sink: Arc<dyn ReplySink>) {
        if !self.seen.iter().rev().take(8).any(|other| outbox::is_same(other, &sink)) {
            self.seen.push(sink);
        }
    }

    fn flush(self) {
        for sink in &self.seen {
            outbox::flush(sink);
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorCode::ConnectionLost, format!("the connection broke: {why}"))
}

fn unasked() -> Error {
    Error::new(ErrorCode::ProtocolViolation, "the server sent a reply that no command asked for")
}
