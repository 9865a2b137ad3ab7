//! A connection of its own for subscriptions, shared by all subscribers of the process.
//!
//! The wishes stand in a [`SubscriptionsTable`]; a task on the I/O thread tells the server whatever differs from what it
//! knows, one name per request, so that answers match requests in order and a refusal hits one name only. After a break
//! the server knows nothing, so everything wanted differs and is asked for again. A server that went silent is noticed
//! by a `PING` every few seconds, because a subscriber may otherwise wait for ever on a dead connection.
//!
//! The server's word on changed keys comes over the same connection, for the [`ChangeTracker`].

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    time::{sleep, sleep_until, timeout},
};

use super::{
    backoff,
    change_tracker::ChangeTracker,
    command::Command,
    handshake::{Opened, Session, is_hopeless, open_session},
    link::{BoxFuture, ChangeSink, Message, MessageSink, SubscriptionKind, Subscriptions},
    options::ConnectionOptions,
    subscriptions_table::{Joined, Name, SubscriptionsTable},
};
use crate::{
    codec::resp::{Reply, parse},
    embedded::Local,
    error::{Error, ErrorCode, Result},
    service,
};

/// Without a byte for this long the server is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(3);
/// It has this long to answer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// A connection that lived this long was a good one: the next backoff starts anew.
const GOOD_LIFE: Duration = Duration::from_secs(5);

/// Handle. Dropping it closes the connection.
pub(super) struct SubscriberLink {
    shared: Arc<Shared>,
    command_timeout: Duration,
}

struct Shared {
    core: Mutex<Core>,
    /// Wishes changed.
    wake: Notify,
    /// The handle is gone.
    closing: Notify,
}

struct Core {
    table: SubscriptionsTable,
    /// Who hears of changed keys.
    tracker: Option<Arc<ChangeTracker>>,
    /// The connection, while there is one.
    present: Option<Present>,
    /// Why nothing can be subscribed at present.
    refusal: Option<Error>,
}

/// What the server said of a connection.
#[derive(Clone, Copy)]
struct Present {
    client_id: Option<i64>,
    resp3: bool,
}

impl Core {
    fn is_wanted(&self) -> bool {
        self.table.is_wanted() || self.tracker.is_some()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn tracker(&self) -> Option<Arc<ChangeTracker>> {
        self.lock().tracker.clone()
    }

    fn began(&self, present: Present) {
        {
            let mut core = self.lock();
            core.refusal = None;
            core.present = Some(present);
        }
        if let Some(tracker) = self.tracker() {
            tracker.connected(present.client_id, present.resp3);
        }
    }

    /// Whether subscriptions have to be restored.
    fn ended(&self) -> bool {
        let (tracker, restoring) = {
            let mut core = self.lock();
            core.present = None;
            (core.tracker.clone(), core.table.forget_connection())
        };
        if let Some(tracker) = tracker {
            tracker.disconnected();
        }
        restoring
    }

    /// Nothing can be subscribed or tracked until somebody mends what is wrong.
    fn refuse(&self, error: &Error) {
        {
            let mut core = self.lock();
            core.table.fail_waiting(error);
            core.refusal = Some(error.clone());
        }
        if let Some(tracker) = self.tracker() {
            tracker.refuse(error);
        }
    }
}

impl SubscriberLink {
    pub(super) fn open(options: Arc<ConnectionOptions>) -> Self {
        let core = Core { table: SubscriptionsTable::default(), tracker: None, present: None, refusal: None };
        let shared = Arc::new(Shared { core: Mutex::new(core), wake: Notify::new(), closing: Notify::new() });
        let command_timeout = options.command_timeout;
        service::spawn(run(options, Arc::clone(&shared)));
        Self { shared, command_timeout }
    }

    /// Has the server's word on changed keys sent to `tracker` from now on.
    pub(super) fn tell_changes(&self, tracker: &Arc<ChangeTracker>) {
        let (present, refusal) = {
            let mut core = self.shared.lock();
            core.tracker = Some(Arc::clone(tracker));
            (core.present, core.refusal.clone())
        };
        if let Some(Present { client_id, resp3 }) = present {
            tracker.connected(client_id, resp3);
        } else if let Some(error) = refusal {
            tracker.refuse(&error);
        }
        self.shared.wake.notify_one();
    }

    async fn join(&self, kind: SubscriptionKind, name: &str, sink: Arc<dyn MessageSink>) -> Result<()> {
        let joined = {
            let mut core = self.shared.lock();
            if let Some(error) = &core.refusal {
                return Err(error.clone());
            }
            core.table.join(kind, name, Arc::clone(&sink))
        };
        let Joined::Waits(answer) = joined else { return Ok(()) };
        self.shared.wake.notify_one();
        let outcome = match timeout(self.command_timeout, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::closed("subscription")),
            Err(_) => Err(Error::new(
                ErrorCode::CommandTimedOut,
                format!("the subscription was not confirmed within {} ms", self.command_timeout.as_millis()),
            )
            .with("maybeExecuted", true)),
        };
        if outcome.is_err() {
            self.leave(kind, name, &sink);
        }
        outcome
    }

    fn leave(&self, kind: SubscriptionKind, name: &str, sink: &Arc<dyn MessageSink>) {
        self.shared.lock().table.leave(kind, name, sink);
        self.shared.wake.notify_one();
    }
}

impl Subscriptions for SubscriberLink {
    fn subscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.join(kind, name, sink))
    }

    fn unsubscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: &'a Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>> {
        // No message reaches the sink from here on; what the server thinks of it is settled in the background.
        self.leave(kind, name, sink);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Drop for SubscriberLink {
    fn drop(&mut self) {
        self.shared.closing.notify_one();
    }
}

/// Connects and serves, again and again, until the handle is gone.
async fn run(options: Arc<ConnectionOptions>, shared: Arc<Shared>) {
    tokio::select! {
        () = work(&options, &shared) => {}
        () = shared.closing.notified() => {}
    }
    shared.lock().table.fail_waiting(&Error::closed("connection"));
}

/// Ends only when `retryStrategy` gives up.
async fn work(options: &ConnectionOptions, shared: &Arc<Shared>) {
    // Nothing to do before the first subscription.
    while !shared.lock().is_wanted() {
        shared.wake.notified().await;
    }
    let mut failures = 0_u32;
    let mut restoring = false;
    loop {
        let error = match open_session(options, || ()).await {
            Ok(Opened::Here(local)) => {
                let client = local.tell_changes(Arc::new(Relay(Arc::clone(shared))));
                shared.began(Present { client_id: i64::try_from(client).ok(), resp3: true });
                serve_here(&local, shared, restoring).await
            }
            Ok(Opened::Session(session)) => {
                shared.began(Present { client_id: session.client_id, resp3: session.resp3 });
                let began = Instant::now();
                let error = Connection::new(*session, shared, restoring).serve().await;
                restoring = shared.ended();
                if began.elapsed() > GOOD_LIFE {
                    failures = 0;
                }
                error
            }
            Err(error) => {
                if is_hopeless(&error) {
                    shared.refuse(&error);
                } else {
                    shared.lock().refusal = None;
                }
                error
            }
        };
        tracing::debug!(code = error.code().as_str(), "no subscriber connection");
        failures = failures.saturating_add(1);
        let Some(delay) = backoff::delay(options, failures).await else {
            let error = Error::new(ErrorCode::ConnectionFailed, format!("retryStrategy gave up connecting: {error}"));
            shared.refuse(&error);
            return;
        };
        sleep(delay).await;
    }
}

/// Passes what an engine in this process has to say on.
struct Relay(Arc<Shared>);

impl MessageSink for Relay {
    fn message(&self, message: &Message<'_>) {
        let sinks = self.0.lock().table.sinks(message.kind, message.subscription);
        for sink in sinks.iter().flat_map(|sinks| sinks.iter()) {
            sink.message(message);
        }
    }

    /// Nothing breaks there.
    fn restored(&self, _lost: &[(SubscriptionKind, String, Error)]) {}
}

impl ChangeSink for Relay {
    /// The engine says nothing of this: whoever asked it is told by its answer.
    fn began(&self) {}

    fn changed(&self, keys: &[&[u8]]) {
        if let Some(tracker) = self.0.tracker() {
            tracker.changed(keys);
        }
    }

    fn emptied(&self) {
        if let Some(tracker) = self.0.tracker() {
            tracker.emptied();
        }
    }

    fn refused(&self, _: &Error) {}
}

/// Serves wishes without a connection, until the handle is gone.
async fn serve_here(local: &Local, shared: &Arc<Shared>, mut restoring: bool) -> Error {
    let subscriptions = local.subscriptions();
    let relay: Arc<dyn MessageSink> = Arc::new(Relay(Arc::clone(shared)));
    loop {
        let requests = shared.lock().table.take_requests();
        if requests.is_empty() {
            tell_restored(shared, &mut restoring);
            shared.wake.notified().await;
        }
        for (name, wanted) in requests {
            let answer = if wanted {
                subscriptions.subscribe(name.0, &name.1, Arc::clone(&relay)).await
            } else {
                subscriptions.unsubscribe(name.0, &name.1, &relay).await
            };
            shared.lock().table.answered(name, wanted, answer);
        }
    }
}

/// Tells the sinks once everything that was active before a connection broke is active again.
fn tell_restored(shared: &Shared, waited: &mut bool) {
    let told = {
        let table = &mut shared.lock().table;
        let restoring = table.is_restoring();
        if restoring || !*waited {
            *waited |= restoring;
            return;
        }
        *waited = false;
        table.take_restored()
    };
    for (sink, lost) in told {
        sink.restored(&lost);
    }
}

/// A request that the server has not answered.
enum Asked {
    Subscription { name: Name, wanted: bool },
    SignOfLife,
}

/// One connection, until it breaks.
struct Connection<'a> {
    session: Session,
    shared: &'a Shared,
    out: Vec<u8>,
    written: usize,
    asked: VecDeque<Asked>,
    /// Sinks have to be told once everything that was active is active again.
    restoring: bool,
    /// When the server is asked for a sign of life, or given up when it was asked.
    alarm: Instant,
    alarmed: bool,
}

impl<'a> Connection<'a> {
    fn new(session: Session, shared: &'a Shared, restoring: bool) -> Self {
        let alarm = Instant::now() + QUIET;
        Self { session, shared, out: Vec::new(), written: 0, asked: VecDeque::new(), restoring, alarm, alarmed: false }
    }

    /// Returns why the connection ended.
    async fn serve(mut self) -> Error {
        loop {
            self.ask();
            tell_restored(self.shared, &mut self.restoring);
            let (alarm, shared) = (self.alarm, self.shared);
            let read = tokio::select! {
                read = poll_fn(|cx| self.poll_io(cx)) => Some(read),
                () = shared.wake.notified() => None,
                () = sleep_until(alarm.into()) => None,
            };
            match read {
                Some(Ok(0)) => return lost("the server closed the connection"),
                Some(Ok(_)) => {
                    self.session.frames.filled();
                    (self.alarm, self.alarmed) = (Instant::now() + QUIET, false);
                    if let Err(error) = self.take_frames() {
                        return error;
                    }
                }
                Some(Err(error)) => return lost(&error.to_string()).caused_by(error),
                None => {}
            }
            if Instant::now() >= self.alarm {
                if self.alarmed {
                    return lost("the server went silent");
                }
                (self.alarm, self.alarmed) = (Instant::now() + SIGN_OF_LIFE, true);
                Command::new("PING").encode(&mut self.out);
                self.asked.push_back(Asked::SignOfLife);
            }
        }
    }

    /// Writes what waits; ready when something was read.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let socket = &mut self.session.socket;
        loop {
            let rest = [IoSlice::new(&self.out[self.written..])];
            let slices = if self.written < self.out.len() { &rest[..] } else { &[] };
            match socket.poll_write(cx, slices) {
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        socket.poll_read(cx, self.session.frames.space())
    }

    /// Tells the server what it does not know yet.
    fn ask(&mut self) {
        let requests = self.shared.lock().table.take_requests();
        for (name, wanted) in requests {
            let (begin, end) = name.0.verbs();
            let verb = if wanted { begin } else { end };
            Command::new(verb).arg(name.1.as_bytes()).encode(&mut self.out);
            self.asked.push_back(Asked::Subscription { name, wanted });
        }
    }

    fn take_frames(&mut self) -> Result<()> {
        let Self { session, shared, asked, .. } = self;
        let resp3 = session.resp3;
        while let Some(frame) = session.frames.next_frame()? {
            match parse(frame)? {
                Reply::Push(items) => take_push(&items, shared, asked),
                Reply::Array(items) if !resp3 => take_push(&items, shared, asked),
                Reply::Error(line) => {
                    if let Some(Asked::Subscription { name, wanted }) = asked.pop_front() {
                        let error = Error::from_reply(&String::from_utf8_lossy(line));
                        shared.lock().table.answered(name, wanted, Err(error));
                    }
                }
                _ => {
                    pop_sign_of_life(asked);
                }
            }
        }
        Ok(())
    }
}

fn pop_sign_of_life(asked: &mut VecDeque<Asked>) {
    if matches!(asked.front(), Some(Asked::SignOfLife)) {
        asked.pop_front();
    }
}

/// A message, or the answer to a request.
fn take_push(items: &[Reply<'_>], shared: &Shared, asked: &mut VecDeque<Asked>) {
    use SubscriptionKind::{Channel, Pattern, Shard};
    match items {
        [Reply::Bulk(b"invalidate"), keys] => {
            if let Some(tracker) = shared.tracker() {
                match keys {
                    Reply::Array(keys) => {
                        let keys =
                            keys.iter().filter_map(|key| if let Reply::Bulk(key) = key { Some(*key) } else { None });
                        tracker.changed(&keys.collect::<Vec<_>>());
                    }
                    _ => tracker.emptied(),
                }
            }
        }
        [Reply::Bulk(b"message"), Reply::Bulk(channel), Reply::Bulk(payload)] => {
            deliver(shared, Channel, channel, channel, payload);
        }
        [Reply::Bulk(b"smessage"), Reply::Bulk(channel), Reply::Bulk(payload)] => {
            deliver(shared, Shard, channel, channel, payload);
        }
        [Reply::Bulk(b"pmessage"), Reply::Bulk(pattern), Reply::Bulk(channel), Reply::Bulk(payload)] => {
            deliver(shared, Pattern, pattern, channel, payload);
        }
        [Reply::Bulk(verb), Reply::Bulk(name), ..] => {
            let (kind, wanted) = match *verb {
                b"subscribe" => (Channel, true),
                b"psubscribe" => (Pattern, true),
                b"unsubscribe" => (Channel, false),
                b"punsubscribe" => (Pattern, false),
                b"ssubscribe" => (Shard, true),
                b"sunsubscribe" => (Shard, false),
                b"pong" => {
                    pop_sign_of_life(asked);
                    return;
                }
                _ => return,
            };
            let text = String::from_utf8_lossy(name);
            let answers = matches!(asked.front(), Some(Asked::Subscription { name: (asked_kind, asked_name), wanted: asked })
                if (*asked_kind, &**asked_name, *asked) == (kind, &*text, wanted));
            let table = &mut shared.lock().table;
            if answers {
                asked.pop_front();
                table.answered((kind, text.into()), wanted, Ok(()));
            } else if !wanted {
                // Nobody asked for it: the server took the subscription away.
                table.dropped_by_server(kind, &text);
            }
        }
        _ => {}
    }
}

fn deliver(shared: &Shared, kind: SubscriptionKind, subscription: &[u8], channel: &[u8], payload: &[u8]) {
    let subscription = String::from_utf8_lossy(subscription);
    let channel = String::from_utf8_lossy(channel);
    let sinks = shared.lock().table.sinks(kind, &subscription);
    let message = Message { kind, subscription: &subscription, channel: &channel, payload };
    for sink in sinks.iter().flat_map(|sinks| sinks.iter()) {
        sink.message(&message);
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorCode::ConnectionLost, format!("the subscriber connection broke: {why}"))
}
