//! [`Link`] to an engine in this process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    engine::{Engine, Work},
    session::PushSink,
    tracking::Notice,
};
use crate::{
    clock::Clock,
    codec::resp::Value,
    connection::{
        Batch, BlockingLink, BoxFuture, ChangeSink, Command, Link, LinkState, Message, MessageSink, StateSink,
        SubscriptionKind, Subscriptions,
    },
    error::{Error, Result},
};

/// A client of the engine and, as long as it lives, of its data.
pub(super) struct EmbeddedLink {
    engine: Arc<Engine>,
    session: u64,
    db: usize,
    name: String,
    subscriptions: OnceLock<Arc<EmbeddedSubscriptions>>,
    followers: OnceLock<Arc<Followers>>,
    description: String,
}

impl EmbeddedLink {
    pub(super) fn new(engine: Arc<Engine>, db: usize, name: &str) -> Self {
        Self {
            session: engine.open_client(name, db, None),
            name: name.to_owned(),
            description: format!("memory://{}/{db}", engine.name()),
            db,
            engine,
            subscriptions: OnceLock::new(),
            followers: OnceLock::new(),
        }
    }

    fn subscribing(&self) -> &Arc<EmbeddedSubscriptions> {
        self.subscriptions
            .get_or_init(|| Arc::new(EmbeddedSubscriptions::new(Arc::clone(&self.engine), &self.name, self.db)))
    }

    /// Sends word that goes to the subscribing client on to `sink`; gives the engine's number for that client.
    pub(super) fn tell_changes(&self, sink: Arc<dyn ChangeSink>) -> u64 {
        let subscribing = self.subscribing();
        *subscribing.table.changes.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
        subscribing.session
    }
}

impl Drop for EmbeddedLink {
    fn drop(&mut self) {
        // What is in flight is answered first.
        self.engine.post(Work::End { session: self.session });
    }
}

impl Link for EmbeddedLink {
    fn submit(&self, batch: Batch) {
        self.engine.post(Work::Batch { session: self.session, batch });
    }

    fn open_blocking(&self) -> Arc<dyn BlockingLink> {
        Arc::new(EmbeddedBlockingLink::new(&self.engine, &self.name, self.db))
    }

    fn subscriptions(&self) -> Arc<dyn Subscriptions> {
        Arc::clone(self.subscribing()) as Arc<dyn Subscriptions>
    }

    fn follow_changes(&self, sink: Arc<dyn ChangeSink>) -> Box<dyn Send + Sync> {
        let followers = self.followers.get_or_init(|| {
            Arc::new(Followers { engine: Arc::clone(&self.engine), session: self.session, sinks: Mutex::default() })
        });
        followers.follow(sink)
    }

    fn state(&self) -> LinkState {
        LinkState::Ready
    }

    fn watch_state(&self, _: Arc<dyn StateSink>) -> Box<dyn Send + Sync> {
        // It is ready from the first moment to the last.
        Box::new(())
    }

    fn clock(&self) -> Clock {
        self.engine.clock()
    }

    fn describe(&self) -> &str {
        &self.description
    }
}

/// A client of its own, so that `CLIENT UNBLOCK` and `unblock` find its wait.
pub(super) struct EmbeddedBlockingLink {
    engine: Arc<Engine>,
    session: u64,
}

impl EmbeddedBlockingLink {
    pub(super) fn new(engine: &Arc<Engine>, name: &str, db: usize) -> Self {
        Self { session: engine.open_client(name, db, None), engine: Arc::clone(engine) }
    }
}

impl Drop for EmbeddedBlockingLink {
    fn drop(&mut self) {
        self.engine.close_session(self.session);
    }
}

/// Ends the wait of a caller that went away: what would be taken for it stays where it is.
struct GiveUp<'a> {
    link: &'a EmbeddedBlockingLink,
    given_up: Arc<AtomicBool>,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
        self.link.engine.with(|state| {
            for ticket in state.blocked.of_session(self.link.session) {
                state.blocked.remove(ticket);
            }
        });
    }
}

impl BlockingLink for EmbeddedBlockingLink {
    fn block(&self, command: Command, _wait: Duration) -> BoxFuture<'_, Result<Value>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let given_up = Arc::new(AtomicBool::new(false));
            let mut bytes = Vec::new();
            command.encode(&mut bytes);
            let guard = GiveUp { link: self, given_up: Arc::clone(&given_up) };
            // The command carries its own timeout, which nothing can delay here.
            let done = Box::new(move |reply| {
                let _ = sender.send(reply);
            });
            self.engine.post(Work::Blocking { session: self.session, command: bytes, given_up, done });
            let reply = receiver.await.unwrap_or_else(|_| Value::Error(Error::closed("connection")));
            // There is no wait left to give up.
            std::mem::forget(guard);
            match reply {
                Value::Error(error) => Err(error),
                reply => Ok(reply),
            }
        })
    }

    fn unblock(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.engine.post(Work::Unblock { session: self.session }) })
    }
}

type Sinks = HashMap<(SubscriptionKind, String), Vec<Arc<dyn MessageSink>>>;

/// Who follows what a link's client has read.
struct Followers {
    engine: Arc<Engine>,
    session: u64,
    sinks: Mutex<Vec<Arc<dyn ChangeSink>>>,
}

/// Takes a follower off when it is dropped.
struct Following {
    followers: Arc<Followers>,
    sink: Arc<dyn ChangeSink>,
}

impl Followers {
    fn follow(self: &Arc<Self>, sink: Arc<dyn ChangeSink>) -> Box<dyn Send + Sync> {
        {
            let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
            sinks.push(Arc::clone(&sink));
            if sinks.len() == 1 {
                let to = Arc::clone(self) as Arc<dyn PushSink>;
                self.engine.working(|state| state.tracking.begin(self.session, Some(to), None, true));
            }
        }
        sink.began();
        Box::new(Following { followers: Arc::clone(self), sink })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut sinks = self.followers.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&self.sink)));
        if sinks.is_empty() {
            self.followers.engine.working(|state| state.tracking.end(self.followers.session));
        }
    }
}

impl PushSink for Followers {
    fn message(&self, _: Option<&[u8]>, _: &[u8], _: &[u8]) {}

    fn notice(&self, notice: &Notice) {
        // Called without the lock: a sink may drop what follows.
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for sink in sinks {
            tell(&*sink, notice);
        }
    }
}

fn tell(sink: &dyn ChangeSink, notice: &Notice) {
    match notice {
        Notice::Changed(key) => sink.changed(&[key]),
        Notice::Emptied => sink.emptied(),
        Notice::RedirectBroken(_) => {}
    }
}

/// The sinks of one subscribing client.
#[derive(Default)]
struct Table {
    sinks: Mutex<Sinks>,
    /// Who gets word on keys that another client has read.
    changes: Mutex<Option<Arc<dyn ChangeSink>>>,
}

/// All subscriptions of a link, as one client of the engine.
struct EmbeddedSubscriptions {
    engine: Arc<Engine>,
    session: u64,
    table: Arc<Table>,
}

impl EmbeddedSubscriptions {
    fn new(engine: Arc<Engine>, name: &str, db: usize) -> Self {
        let table = Arc::<Table>::default();
        let session = engine.open_client(name, db, Some(Arc::clone(&table) as Arc<dyn PushSink>));
        Self { engine, session, table }
    }
}

impl Drop for EmbeddedSubscriptions {
    fn drop(&mut self) {
        self.engine.close_session(self.session);
    }
}

impl Table {
    fn deliver(&self, kind: SubscriptionKind, subscription: &[u8], channel: &[u8], payload: &[u8]) {
        let (subscription, channel) = (String::from_utf8_lossy(subscription), String::from_utf8_lossy(channel));
        // Called without the lock: a sink may unsubscribe.
        let sinks = {
            let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
            sinks.get(&(kind, subscription.clone().into_owned())).cloned().unwrap_or_default()
        };
        let message = Message { kind, subscription: &subscription, channel: &channel, payload };
        for sink in sinks {
            sink.message(&message);
        }
    }
}

impl PushSink for Table {
    fn message(&self, pattern: Option<&[u8]>, channel: &[u8], payload: &[u8]) {
        match pattern {
            Some(pattern) => self.deliver(SubscriptionKind::Pattern, pattern, channel, payload),
            None => self.deliver(SubscriptionKind::Channel, channel, channel, payload),
        }
    }

    fn sharded(&self, channel: &[u8], payload: &[u8]) {
        self.deliver(SubscriptionKind::Shard, channel, channel, payload);
    }

    fn notice(&self, notice: &Notice) {
        let sink = self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink {
            tell(&*sink, notice);
        }
    }
}

impl Subscriptions for EmbeddedSubscriptions {
    fn subscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut table = self.table.sinks.lock().unwrap_or_else(PoisonError::into_inner);
            let sinks = table.entry((kind, name.to_owned())).or_default();
            sinks.push(sink);
            if sinks.len() == 1 {
                self.tell(kind.verbs().0, name)?;
            }
            Ok(())
        })
    }

    fn unsubscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: &'a Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut table = self.table.sinks.lock().unwrap_or_else(PoisonError::into_inner);
            let place = (kind, name.to_owned());
            let Some(sinks) = table.get_mut(&place) else { return Ok(()) };
            let same = |other: &Arc<dyn MessageSink>| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(sink));
            if let Some(index) = sinks.iter().position(same) {
                sinks.remove(index);
            }
            if sinks.is_empty() {
                table.remove(&place);
                self.tell(kind.verbs().1, name)?;
            }
            Ok(())
        })
    }
}

impl EmbeddedSubscriptions {
    /// Runs a command of the subscribing client, while the table is locked: nothing is delivered meanwhile.
    fn tell(&self, command: &str, name: &str) -> Result<()> {
        match self.engine.call(self.session, &[command.as_bytes(), name.as_bytes()]) {
            Value::Error(error) => Err(error),
            _ => Ok(()),
        }
    }
}
