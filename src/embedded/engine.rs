//! The engine: its state behind one lock, and the way in.
//!
//! Work arrives from any thread and is done on the I/O thread, in order of arrival: a thread of JavaScript never runs a
//! command, it only leaves a batch. While commands run, the lock is held and nothing of anybody else's is called; replies,
//! messages and the replies of those who waited are handed out after it is released, in the order in which they arose.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    args::Args,
    blocking::{Completion, Wish},
    failure::Failure,
    journal::Recorder,
    link::EmbeddedLink,
    native::NativeScript,
    pubsub::Named as Subscribed,
    session::{PushSink, Session},
    state::{Pending, State, Step},
    test_engine::TEST_ENGINE_PREFIX,
};
use crate::{
    clock::Clock,
    codec::resp::Value,
    connection::{Batch, ReplySink},
    error::{Error, ErrorCode},
    service::{self, Duty},
};

/// How long the I/O thread may be kept before its other tasks have a turn.
const TURN: Duration = Duration::from_millis(2);
/// Pause between two looks for expired keys.
const EXPIRY_PAUSE: Duration = Duration::from_millis(100);

/// Something to be done on the I/O thread.
pub(super) enum Work {
    Batch {
        session: u64,
        batch: Batch,
    },
    /// One command of a client that waits for it, unless it has given up.
    Blocking {
        session: u64,
        command: Vec<u8>,
        given_up: Arc<AtomicBool>,
        done: Completion,
    },
    /// Ends the waits of a client as if their time were over.
    Unblock {
        session: u64,
    },
    /// Ends a client, once everything before it is done.
    End {
        session: u64,
    },
    /// Closes the journal, once everything before it is done.
    Close,
}

#[derive(Default)]
struct Inbox {
    work: VecDeque<Work>,
    /// A task is there to do it.
    scheduled: bool,
}

/// One keyspace and everything around it.
pub(super) struct Engine {
    state: Mutex<State>,
    /// Somebody is handing out what is pending.
    delivering: AtomicBool,
    inbox: Mutex<Inbox>,
    volatile: Arc<Notify>,
    expiry: Mutex<Option<Duty>>,
    links: Mutex<HashMap<(usize, String, bool), Weak<EmbeddedLink>>>,
    name: String,
}

/// Engines that have a name. They stay until the process ends: a service that closes and opens again finds its data, as it
/// would on a server.
static NAMED: Mutex<Option<HashMap<String, Named>>> = Mutex::new(None);

/// Whose life an engine with a name has.
enum Named {
    /// The process's.
    Kept(Arc<Engine>),
    /// That of those who have it.
    Lent(Weak<Engine>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// An engine of its own.
    pub(super) fn new(name: &str, clock: Clock) -> Arc<Self> {
        Self::with_state(name, State::new(clock))
    }

    /// An engine of its own, with what is there already.
    pub(super) fn with_state(name: &str, state: State) -> Arc<Self> {
        let may_expire = state.dbs.iter().any(|db| db.volatile_len() > 0);
        let engine = Arc::new(Self {
            state: Mutex::new(state),
            delivering: AtomicBool::new(false),
            inbox: Mutex::default(),
            volatile: Arc::default(),
            expiry: Mutex::default(),
            links: Mutex::default(),
            name: name.to_owned(),
        });
        if let Some(journal) = &mut lock(&engine.state).journal {
            journal.attach(&engine);
        }
        let duty = Duty::start(expire(Arc::downgrade(&engine), Arc::clone(&engine.volatile)));
        *lock(&engine.expiry) = Some(duty);
        if may_expire {
            engine.volatile.notify_one();
        }
        engine
    }

    /// The engine of this name in this process.
    pub(super) fn named(name: &str) -> Arc<Self> {
        let mut named = lock(&NAMED);
        let named = named.get_or_insert_default();
        let known = match named.get(name) {
            Some(Named::Kept(engine)) => Some(Arc::clone(engine)),
            Some(Named::Lent(engine)) => engine.upgrade(),
            None => None,
        };
        known.unwrap_or_else(|| {
            let engine = Self::new(name, Clock::system());
            named.insert(name.to_owned(), Named::Kept(Arc::clone(&engine)));
            engine
        })
    }

    /// Whether this names the engine of a test that can be found no more.
    pub(super) fn is_over(name: &str) -> bool {
        name.starts_with(TEST_ENGINE_PREFIX) && !lock(&NAMED).get_or_insert_default().contains_key(name)
    }

    /// Lets others find an engine by its name, until [`unregister`](Self::unregister).
    pub(super) fn register(self: &Arc<Self>) {
        lock(&NAMED).get_or_insert_default().insert(self.name.clone(), Named::Lent(Arc::downgrade(self)));
    }

    pub(super) fn unregister(&self) {
        lock(&NAMED).get_or_insert_default().remove(&self.name);
    }

    /// The link that everybody shares who wants this database under this name.
    pub(super) fn shared_link(self: &Arc<Self>, db: usize, name: &str, tracked: bool) -> Arc<EmbeddedLink> {
        let mut links = lock(&self.links);
        let wanted = (db, name.to_owned(), tracked);
        if let Some(link) = links.get(&wanted).and_then(Weak::upgrade) {
            return link;
        }
        links.retain(|_, link| link.strong_count() > 0);
        let link = Arc::new(EmbeddedLink::new(Arc::clone(self), db, name));
        links.insert(wanted, Arc::downgrade(&link));
        link
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn clock(&self) -> Clock {
        lock(&self.state).clock.clone()
    }

    /// Works on the state, and then hands out what that left to be told.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let result = work(&mut lock(&self.state));
        self.deliver();
        result
    }

    /// A new client behind a socket.
    pub(super) fn open_remote(&self, push: Arc<dyn PushSink>) -> u64 {
        self.with(|state| {
            let id = state.open_session(0, false, Some(push));
            if let Some(session) = state.sessions.get_mut(&id) {
                session.is_remote = true;
            }
            id
        })
    }

    /// A new client of this process, introduced as those of a server are.
    pub(super) fn open_client(&self, name: &str, db: usize, push: Option<Arc<dyn PushSink>>) -> u64 {
        let mut state = lock(&self.state);
        let id = state.open_session(db, true, push);
        if let Some(session) = state.sessions.get_mut(&id) {
            session.name = name.as_bytes().into();
            session.lib_name = b"oxcart".as_slice().into();
            session.lib_version = env!("CARGO_PKG_VERSION").as_bytes().into();
        }
        id
    }

    /// Works on the state, which leaves nothing to be told.
    pub(super) fn working<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut lock(&self.state))
    }

    /// Waits until no answer waits for the disk.
    pub(super) async fn nothing_held(&self) {
        while self.working(|state| state.is_holding()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The disk has more of the journal than before: who waited for that is told, on the I/O thread.
    pub(super) fn journal_synced(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        drop(service::spawn(async move { engine.with(State::release_held) }));
    }

    /// Ends the writing of the journal, with everything on the disk that is to be there.
    pub(super) fn close_journal(self: &Arc<Self>) {
        let closing = self.with(|state| state.journal.as_mut().map(Recorder::close));
        // Without the lock, which those that are waited for may need.
        let failure = closing.unwrap_or_default().finish();
        self.with(|state| {
            if let Some(journal) = &mut state.journal {
                journal.closed(failure);
            }
        });
        self.journal_synced();
    }

    pub(super) fn close_session(&self, id: u64) {
        self.with(|state| state.close_session(id));
    }

    /// Leaves work for the I/O thread.
    pub(super) fn post(self: &Arc<Self>, work: Work) {
        let mut inbox = lock(&self.inbox);
        inbox.work.push_back(work);
        if !std::mem::replace(&mut inbox.scheduled, true) {
            drop(inbox);
            drop(service::spawn(Arc::clone(self).drain()));
        }
    }

    async fn drain(self: Arc<Self>) {
        let mut turn = Instant::now();
        loop {
            let work = {
                let mut inbox = lock(&self.inbox);
                let work = inbox.work.pop_front();
                inbox.scheduled = work.is_some();
                work
            };
            let Some(work) = work else { return };
            self.work_on(work);
            if turn.elapsed() > TURN {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
        }
    }

    fn work_on(self: &Arc<Self>, work: Work) {
        match work {
            Work::Batch { session, batch } => self.run_batch(session, &batch),
            Work::Blocking { session, command, given_up, done } => {
                if !given_up.load(Ordering::Acquire) {
                    self.run_one(session, &command, done);
                }
            }
            Work::Unblock { session } => self.with(|state| {
                for ticket in state.blocked.of_session(session) {
                    state.end_wait(ticket, Value::Nil);
                }
            }),
            Work::End { session } => self.close_session(session),
            Work::Close => {
                let engine = Arc::clone(self);
                // It waits for the disk, so not here.
                let closing = std::thread::Builder::new().name("oxcart-close".to_owned());
                if closing.spawn(move || engine.close_journal()).is_err() {
                    self.close_journal();
                }
            }
        }
        if lock(&self.state).dbs.iter().any(|db| db.volatile_len() > 0) {
            self.volatile.notify_one();
        }
    }

    fn run_batch(self: &Arc<Self>, session: u64, batch: &Batch) {
        let mut replies = Vec::with_capacity(batch.entries.len());
        let held = self.with_session(session, |this, state, session| {
            let mut start = 0;
            let mut args = Vec::new();
            for entry in &batch.entries {
                let reply = if split(&batch.bytes[start..entry.end], &mut args) {
                    let (sink, token) = (&batch.sink, entry.token);
                    this.run(state, session, &args, entry.native, || {
                        let sink = Arc::clone(sink);
                        Box::new(move |reply| {
                            sink.settle_owned(token, reply);
                            sink.flush();
                        })
                    })
                } else {
                    Some(malformed())
                };
                replies.extend(reply.map(|reply| (entry.token, reply)));
                start = entry.end;
            }
            if let Err(failure) = state.write_journal() {
                for (_, reply) in &mut replies {
                    *reply = failure.clone().into_value();
                }
            }
            let hold = state.must_hold();
            if hold {
                state.hold(Pending::Batch(Arc::clone(&batch.sink), std::mem::take(&mut replies)));
            }
            hold
        });
        match held {
            Some(true) => return,
            Some(false) => {}
            None => replies = batch.entries.iter().map(|entry| (entry.token, closed())).collect(),
        }
        settle_all(&*batch.sink, replies);
        self.deliver();
    }

    fn run_one(self: &Arc<Self>, session: u64, command: &[u8], done: Completion) {
        let mut done = Some(done);
        let reply = self.with_session(session, |this, state, session| {
            let mut args = Vec::new();
            if !split(command, &mut args) {
                return Some(malformed());
            }
            let reply = this.run(state, session, &args, None, || done.take().unwrap_or_else(|| Box::new(drop)));
            let reply = told(state, reply)?;
            match done.take() {
                Some(done) if state.must_hold() => {
                    state.hold(Pending::Reply(done, reply));
                    return None;
                }
                not_held => done = not_held,
            }
            Some(reply)
        });
        if let (Some(reply), Some(done)) = (reply.unwrap_or_else(|| Some(closed())), done) {
            done(reply);
        }
        self.deliver();
    }

    /// Runs one command of a client at once, on this thread, and hands nothing out: it must be one that neither waits nor
    /// writes.
    pub(super) fn call(self: &Arc<Self>, session: u64, args: Args<'_>) -> Value {
        let reply =
            self.with_session(session, |this, state, session| this.run(state, session, args, None, || Box::new(drop)));
        reply.flatten().unwrap_or_else(closed)
    }

    /// Runs one command of a client behind a socket. `write` gets the reply under the lock, and gives what sends it; that is
    /// called under the lock, too, so that nothing that other threads tell this client comes before it, or once the disk has
    /// what it tells of, or with false where it will not have it. False when the command waits: `done` then gets the reply.
    pub(super) fn serve<W: FnOnce(bool) + Send + 'static>(
        self: &Arc<Self>,
        session: u64,
        args: Args<'_>,
        done: Completion,
        write: impl FnOnce(&mut Session, Value) -> W,
    ) -> bool {
        let answered = self.with_session(session, |this, state, session| {
            let reply = this.run(state, session, args, None, || done);
            let reply = told(state, reply);
            if state.dbs.iter().any(|db| db.volatile_len() > 0) {
                this.volatile.notify_one();
            }
            let answered = reply.is_some();
            if let Some(reply) = reply {
                let send = write(session, reply);
                if state.must_hold() {
                    state.hold(Pending::Send(Box::new(send)));
                } else {
                    send(true);
                }
            }
            answered
        });
        self.deliver();
        answered.unwrap_or(true)
    }

    /// Works with a client's session, under the lock; `None` when it was closed.
    fn with_session<R>(
        self: &Arc<Self>,
        id: u64,
        work: impl FnOnce(&Arc<Self>, &mut State, &mut Session) -> R,
    ) -> Option<R> {
        let mut state = lock(&self.state);
        let mut session = state.sessions.remove(&id)?;
        let result = work(self, &mut state, &mut session);
        state.sessions.insert(id, session);
        Some(result)
    }

    /// Runs a command under the lock. `None` when it waits; `completion` then gets the reply.
    fn run(
        self: &Arc<Self>,
        state: &mut State,
        session: &mut Session,
        args: Args<'_>,
        native: Option<NativeScript>,
        completion: impl FnOnce() -> Completion,
    ) -> Option<Value> {
        // A fault of ours must not take the engine with it, nor leave callers without a reply.
        let step = catch_unwind(AssertUnwindSafe(|| state.command(session, args, native)));
        let reply = match step {
            Ok(Step::Reply(reply)) => Some(reply),
            Ok(Step::Wait(wish)) => {
                self.wait(state, session, args, wish, completion());
                None
            }
            Err(_) => Some(Value::Error(Error::new(ErrorCode::Internal, "a command ended in a panic"))),
        };
        if state.blocked.is_any_ready() {
            // The client itself may be among those who wait.
            let own = std::mem::replace(session, Session::new(0, 0, false, None, 0));
            let id = own.id;
            state.sessions.insert(id, own);
            state.serve_waiting();
            if let Some(own) = state.sessions.remove(&id) {
                *session = own;
            }
        }
        reply
    }

    fn wait(self: &Arc<Self>, state: &mut State, session: &Session, args: Args<'_>, wish: Wish, done: Completion) {
        let timeout_ms = wish.timeout_ms;
        let ticket = state.wait(session, args, wish, done);
        if timeout_ms > 0 {
            let engine = Arc::downgrade(self);
            state.blocked.set_timer(
                ticket,
                Duty::start(async move {
                    tokio::time::sleep(Duration::from_millis(timeout_ms)).await;
                    if let Some(engine) = engine.upgrade() {
                        engine.with(|state| state.end_wait(ticket, Value::Nil));
                    }
                }),
            );
        }
    }

    /// Hands out what is pending, in order, whichever thread it arose on: one thread at a time, and again as long as
    /// there is more.
    fn deliver(&self) {
        loop {
            let pending = {
                let mut state = lock(&self.state);
                if state.pending.is_empty() || self.delivering.swap(true, Ordering::AcqRel) {
                    return;
                }
                std::mem::take(&mut state.pending)
            };
            let handing_out = HandingOut(self);
            for one in pending {
                match one {
                    Pending::Message(message) if message.named == Subscribed::Shard => {
                        message.sink.sharded(&message.channel, &message.payload);
                    }
                    Pending::Message(message) => {
                        message.sink.message(message.pattern.as_deref(), &message.channel, &message.payload);
                    }
                    Pending::Notice(sink, notice) => sink.notice(&notice),
                    Pending::HangUp(sink) => sink.hang_up(),
                    Pending::Reply(done, reply) => done(reply),
                    Pending::Batch(sink, replies) => settle_all(&*sink, replies),
                    Pending::Send(send) => send(true),
                }
            }
            drop(handing_out);
        }
    }

    /// Removes some expired keys and says whether any key can still expire.
    fn expire(&self) -> bool {
        self.with(|state| {
            let now = state.clock.now_ms();
            let deadline = Instant::now() + TURN;
            for db in &mut state.dbs {
                while db.expire_some(now) && Instant::now() < deadline {}
            }
            state.collect_lapsed();
            // Some who wait have to be told that there is nothing left to wait for.
            state.serve_waiting();
            // A failure is told to the next who writes.
            let _ = state.write_journal();
            state.dbs.iter().any(|db| db.volatile_len() > 0)
        })
    }
}

/// Ends the turn of a thread that hands out, also when a receiver panics.
struct HandingOut<'a>(&'a Engine);

impl Drop for HandingOut<'_> {
    fn drop(&mut self) {
        // Under the lock, so that no thread adds something in between and finds this one still busy.
        let _state = lock(&self.0.state);
        self.0.delivering.store(false, Ordering::Release);
    }
}

/// Looks for expired keys as long as there are any that can expire, and rests otherwise.
async fn expire(engine: Weak<Engine>, volatile: Arc<Notify>) {
    loop {
        volatile.notified().await;
        loop {
            tokio::time::sleep(EXPIRY_PAUSE).await;
            match engine.upgrade() {
                None => return,
                Some(engine) if engine.expire() => {}
                Some(_) => break,
            }
        }
    }
}

/// What a client is told once what it did is as safe as it is to be.
fn told(state: &mut State, reply: Option<Value>) -> Option<Value> {
    match (state.write_journal(), reply) {
        (Err(failure), Some(_)) => Some(failure.into_value()),
        (_, reply) => reply,
    }
}

fn settle_all(sink: &dyn ReplySink, replies: Vec<(u64, Value)>) {
    for (token, reply) in replies {
        sink.settle_owned(token, reply);
    }
    sink.flush();
}

fn closed() -> Value {
    Value::Error(Error::closed("connection"))
}

fn malformed() -> Value {
    Failure::fixed("ERR Protocol error: a command is an array of bulk strings").into_value()
}

/// Reads the arguments of one encoded command in place.
pub(super) fn split<'a>(bytes: &'a [u8], args: &mut Vec<&'a [u8]>) -> bool {
    args.clear();
    let Some((count, mut rest)) = header(bytes, b'*') else { return false };
    for _ in 0..count {
        let Some((length, body)) = header(rest, b'$') else { return false };
        let Some((arg, after)) = body.split_at_checked(length) else { return false };
        let Some(after) = after.strip_prefix(b"\r\n") else { return false };
        args.push(arg);
        rest = after;
    }
    rest.is_empty() && count > 0
}

fn header(bytes: &[u8], kind: u8) -> Option<(usize, &[u8])> {
    let rest = bytes.strip_prefix(&[kind])?;
    let end = rest.iter().position(|&byte| byte == b'\r')?;
    let number = rest[..end].iter().try_fold(0_usize, |number, byte| {
        byte.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(usize::from(byte - b'0')))?
    })?;
    Some((number, rest[end..].strip_prefix(b"\r\n")?))
}
