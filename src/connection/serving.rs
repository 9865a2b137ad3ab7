//! One connection of a [`Driver`](super::driver::Driver), from its handshake to its end: write, read, settle, look after
//! deadlines and silence.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    command::{Batch, Command},
    command_link::{Gate, NobodyWaits, Purpose},
    driver::{Driver, IDLE_WAKE},
    handshake::Session,
    link::{LinkState, ReplySink},
    outbox,
    pending::Pending,
    socket::Socket,
};
use crate::{
    codec::resp::{ReadBuffer, Reply, parse},
    embedded::HANDOVER,
    error::{Error, ErrorCode, Result},
};

/// Buffers of one vectored write.
const WRITE_SLICES: usize = 64;
/// How long a connection that must be replaced waits for the replies that it owes, and a silent one for a sign of life.
const GRACE: Duration = Duration::from_secs(1);

/// What ended a connection.
pub(super) enum End {
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
    /// Serves one connection until it ends.
    pub(super) async fn serve(&mut self, session: Session) -> End {
        let end = self.serve_to_its_end(session).await;
        self.shared.lock().reading.end();
        end
    }

    async fn serve_to_its_end(&mut self, session: Session) -> End {
        let now = Instant::now();
        let Session { socket, frames, .. } = session;
        let mut life = Life { socket, frames, began: now, last_read: now, silent_until: None, retiring: None };
        self.watch_over(&mut life, now);
        loop {
            self.take_incoming();
            if let Some(end) = self.is_over(&mut life) {
                return end;
            }
            if let Err(error) = self.choose_reader(&mut life) {
                return End::Broken(lost(&error.to_string()).caused_by(error));
            }
            let retiring = life.retiring.is_some();
            let (in_flight, unwritten) = (&self.in_flight, self.unwritten);
            // The socket first: of a lent one nobody told this task, and what has come is not late.
            let progress = tokio::select! {
                biased;
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

    /// Follows what callers want: see [`lending`](super::lending).
    fn choose_reader(&self, life: &mut Life) -> io::Result<()> {
        let mut core = self.shared.lock();
        if life.socket.is_wanted_back() {
            core.reading.take_back();
        }
        let lent = core.reading.is_lent();
        drop(core);
        life.socket.set_lent(lent)
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
                if frame == HANDOVER {
                    outcome = Err(lost("the process that had the file let go of it").with("maybeExecuted", false));
                    break;
                }
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
