//! Which client has read which keys, and is told once when somebody changes one: the client side caching of Redis.
//!
//! Keys are known by their name, whatever the database: clients that cache know of none. What a client is told of a key ends
//! what is remembered of it, until the client reads it again. There is a bound on the keys that are remembered; beyond it,
//! those who have read one drawn by chance are told as if it had changed, so a copy never outlives what is known of it.

use std::{collections::HashMap, sync::Arc};

use super::{
    data::Indexed,
    session::{PushSink, Session},
    state::{Pending, State},
};

/// Keys that are remembered at most, as in Redis.
const MOST_KEYS: usize = 1_000_000;

/// A client that wants to be told.
pub(super) struct Tracker {
    /// Who gets the word; nobody, once the client that it goes to has left.
    sink: Option<Arc<dyn PushSink>>,
    /// The client that the word goes to in this one's place.
    pub redirect: Option<u64>,
    /// It knows what it changes itself.
    pub no_loop: bool,
    own: Option<Arc<dyn PushSink>>,
}

/// What is remembered.
pub(super) struct Tracking {
    pub clients: HashMap<u64, Tracker>,
    readers: Indexed<Vec<u64>>,
    /// Keys that are remembered at most; 0 for no bound.
    pub most_keys: usize,
}

impl Default for Tracking {
    fn default() -> Self {
        Self { clients: HashMap::new(), readers: Indexed::default(), most_keys: MOST_KEYS }
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Somebody changed this key.
    Changed(Arc<[u8]>),
    /// A database was emptied.
    Emptied,
    /// The client that the word went to has left.
    RedirectBroken(u64),
}

impl Tracking {
    pub(super) fn is_on(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Begins to remember what a client reads.
    pub(super) fn begin(
        &mut self,
        id: u64,
        own: Option<Arc<dyn PushSink>>,
        to: Option<(u64, Arc<dyn PushSink>)>,
        no_loop: bool,
    ) {
        let (redirect, sink) = to.map_or((None, own.clone()), |(id, sink)| (Some(id), Some(sink)));
        self.clients.insert(id, Tracker { sink, redirect, no_loop, own });
    }

    pub(super) fn end(&mut self, id: u64) {
        self.clients.remove(&id);
        if self.clients.is_empty() {
            self.readers = Indexed::default();
        }
    }

    /// Whether it is remembered what a client reads.
    pub(super) fn follows(&self, id: u64) -> bool {
        self.clients.contains_key(&id)
    }

    /// Keys that are remembered.
    pub(super) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Who has read keys, counted once for each.
    pub(super) fn items(&self) -> usize {
        self.readers.values().map(Vec::len).sum()
    }

    fn remember(&mut self, id: u64, key: &[u8]) {
        let readers = match self.readers.get_mut(key) {
            Some(readers) => readers,
            None => self.readers.entry(key.into()).or_default(),
        };
        if readers.contains(&id) {
            return;
        }
        if readers.len() == readers.capacity() {
            // Those who have left meanwhile make room, so that the list is no longer than the clients are many.
            readers.retain(|id| self.clients.contains_key(id));
        }
        readers.push(id);
    }
}

impl State {
    /// Remembers that a client has read these keys, where it wants to be told of them.
    pub(super) fn remember_read(&mut self, session: &Session, keys: &[&[u8]]) {
        if !self.tracking.follows(session.id) {
            return;
        }
        // What is gone already need not be told.
        self.collect_lapsed();
        for key in keys {
            self.tracking.remember(session.id, key);
        }
        while self.tracking.most_keys > 0 && self.tracking.readers.len() > self.tracking.most_keys {
            let drawn = fastrand::usize(..self.tracking.readers.len());
            let Some((key, readers)) = self.tracking.readers.swap_remove_index(drawn) else { return };
            self.tell_readers(&key, &readers, None);
        }
    }

    /// Tells those who have read a key that it changed; `by` is the client that did it.
    pub(super) fn invalidate(&mut self, key: &[u8], by: Option<u64>) {
        if let Some(readers) = self.tracking.readers.swap_remove(key) {
            self.tell_readers(key, &readers, by);
        }
    }

    fn tell_readers(&mut self, key: &[u8], readers: &[u64], by: Option<u64>) {
        let key: Arc<[u8]> = key.into();
        for id in readers {
            let Some(client) = self.tracking.clients.get(id) else { continue };
            if client.no_loop && by == Some(*id) {
                continue;
            }
            if let Some(sink) = &client.sink {
                self.pending.push(Pending::Notice(Arc::clone(sink), Notice::Changed(Arc::clone(&key))));
            }
        }
    }

    /// Tells all that a database was emptied.
    pub(super) fn invalidate_all(&mut self) {
        self.tracking.readers.clear();
        for sink in self.tracking.clients.values().filter_map(|client| client.sink.as_ref()) {
            self.pending.push(Pending::Notice(Arc::clone(sink), Notice::Emptied));
        }
    }

    /// A client has left.
    pub(super) fn end_tracking(&mut self, id: u64) {
        self.tracking.end(id);
        for client in self.tracking.clients.values_mut().filter(|client| client.redirect == Some(id)) {
            if client.sink.take().is_some()
                && let Some(own) = &client.own
            {
                self.pending.push(Pending::Notice(Arc::clone(own), Notice::RedirectBroken(id)));
            }
        }
    }
}

impl Tracker {
    /// Whether the client that the word goes to has left.
    pub(super) fn is_broken(&self) -> bool {
        self.redirect.is_some() && self.sink.is_none()
    }
}
