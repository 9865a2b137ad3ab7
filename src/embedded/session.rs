//! What one client of the engine has set up.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    data::{Blob, IndexedSet},
    pubsub::Named,
    tracking::Notice,
};
use crate::codec::resp::Value;

/// Receives what is not a reply. Called with no lock held.
pub(super) trait PushSink: Send + Sync {
    /// A message of a channel (`pattern` is `None`) or of a pattern.
    fn message(&self, pattern: Option<&[u8]>, channel: &[u8], payload: &[u8]);

    /// A message of a sharded channel.
    fn sharded(&self, _channel: &[u8], _payload: &[u8]) {}

    /// Word on keys that a client has read.
    fn notice(&self, notice: &Notice);

    /// Ends the client's connection, where there is one.
    fn hang_up(&self) {}
}

/// Whether a watched key changed.
#[derive(Debug, Default)]
pub(super) struct Watch(AtomicBool);

impl Watch {
    pub(super) fn touch(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_touched(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Commands collected since `MULTI`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub commands: Vec<Vec<Blob>>,
    /// A command was refused, so that `EXEC` refuses all.
    pub broken: bool,
}

/// A client.
#[expect(clippy::struct_excessive_bools, reason = "what a client has chosen, each by itself")]
pub(super) struct Session {
    pub id: u64,
    pub db: usize,
    pub resp3: bool,
    pub name: Blob,
    pub lib_name: Blob,
    pub lib_version: Blob,
    pub created_ms: i64,
    pub transaction: Option<Transaction>,
    pub watch: Arc<Watch>,
    /// Watched keys, each with whether it was there.
    pub watched: Vec<(usize, Blob, bool)>,
    pub channels: IndexedSet,
    pub patterns: IndexedSet,
    /// Sharded channels.
    pub shards: IndexedSet,
    pub push: Option<Arc<dyn PushSink>>,
    /// Replies beyond the first that one command gave: `SUBSCRIBE a b` answers twice.
    pub more: Vec<Value>,
    /// `QUIT` was said.
    pub quit: bool,
    /// Its commands do not count as uses of keys.
    pub no_touch: bool,
    /// It is behind a socket.
    pub is_remote: bool,
    /// When its last command came.
    pub active_ms: i64,
    pub last_command: &'static str,
}

impl Session {
    pub(super) fn new(id: u64, db: usize, resp3: bool, push: Option<Arc<dyn PushSink>>, created_ms: i64) -> Self {
        Self {
            id,
            db,
            resp3,
            name: Blob::default(),
            lib_name: Blob::default(),
            lib_version: Blob::default(),
            created_ms,
            transaction: None,
            watch: Arc::default(),
            watched: Vec::new(),
            channels: IndexedSet::default(),
            patterns: IndexedSet::default(),
            shards: IndexedSet::default(),
            push,
            more: Vec::new(),
            quit: false,
            no_touch: false,
            is_remote: false,
            active_ms: created_ms,
            last_command: "NULL",
        }
    }

    /// The names of one kind that it subscribes to.
    pub(super) fn names(&mut self, named: Named) -> &mut IndexedSet {
        match named {
            Named::Channel => &mut self.channels,
            Named::Pattern => &mut self.patterns,
            Named::Shard => &mut self.shards,
        }
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shards.len()
    }
}
