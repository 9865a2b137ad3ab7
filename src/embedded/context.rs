//! What a command gets to work with.

use std::time::Instant;

use super::{
    args::is,
    blocking::Wish,
    data::{Blob, Data, Kind},
    failure::Failure,
    keyspace::Db,
    native::NativeScript,
    number::float_text,
    session::Session,
    state::State,
};
use crate::codec::resp::Value;

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Client,
    /// `EXEC`: waits for nothing.
    Transaction,
    /// A script: waits for nothing.
    Script,
    /// A command that waited, tried again.
    Retry,
}

/// The engine's data and the client, while one command runs. Time stands still meanwhile.
pub(super) struct Context<'s> {
    pub state: &'s mut State,
    pub session: &'s mut Session,
    /// Milliseconds since the epoch.
    pub now: i64,
    pub origin: Origin,
    /// Set by a command that would rather wait; its answer is then `Nil`.
    pub wish: Option<Wish>,
    /// What may be run instead of the script that the client calls.
    pub native: Option<NativeScript>,
}

impl Context<'_> {
    pub(super) fn db(&mut self) -> &mut Db {
        &mut self.state.dbs[self.session.db]
    }

    /// The value of a key, when it is of this type.
    pub(super) fn get<K: Kind>(&mut self, key: &[u8]) -> Result<Option<&mut K>, Failure> {
        let now = self.now;
        self.db().get(key, now)
    }

    /// The value of a key, new and empty when it does not exist.
    pub(super) fn get_or_create<K: Kind>(&mut self, key: &[u8]) -> Result<&mut K, Failure> {
        let now = self.now;
        self.db().get_or_create(key, now)
    }

    pub(super) fn contains(&mut self, key: &[u8]) -> bool {
        let now = self.now;
        self.db().contains(key, now)
    }

    /// The time for what is only noted, also while a journal is read, which happens at a moment before all times.
    pub(super) fn wall_ms(&self) -> i64 {
        if self.now > 0 { self.now } else { self.state.clock.now_ms() }
    }

    /// Sets a key, whatever it held.
    pub(super) fn set(&mut self, key: &[u8], data: Data, expires: i64) {
        self.db().set(key, data, expires);
        self.changed(key);
        self.state.blocked.key_lost(self.session.db, key);
    }

    /// Stores a collection, or removes the key where it is empty.
    pub(super) fn store(&mut self, key: &[u8], data: Data) {
        if data.is_spent() {
            self.remove(key);
        } else {
            self.set(key, data, super::keyspace::NEVER);
            self.ready(key);
        }
    }

    /// Removes a key and says whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let now = self.now;
        let removed = self.db().remove(key, now).is_some();
        if removed {
            self.state.touch(self.session.db, key);
            self.state.blocked.key_lost(self.session.db, key);
        }
        removed
    }

    /// To be called after a value was changed in place: removes an empty collection, and tells those who watch.
    pub(super) fn changed(&mut self, key: &[u8]) {
        let now = self.now;
        let db = self.db();
        if db.entry(key, now).is_some_and(|entry| entry.data.is_spent()) {
            db.remove(key, now);
        }
        self.state.touch(self.session.db, key);
    }

    /// The same after a value was changed that is certainly not empty.
    pub(super) fn grown(&mut self, key: &[u8]) {
        self.state.touch(self.session.db, key);
    }

    /// To be called after something was changed that those who watch the key are not told of.
    pub(super) fn changed_unseen(&mut self) {
        self.state.changes += 1;
    }

    /// To be called after a key got something that a client may wait for.
    pub(super) fn ready(&mut self, key: &[u8]) {
        self.state.blocked.key_ready(self.session.db, key);
    }

    /// Notes a command that took long. Not `EXEC`, whose commands are noted one by one, nor what holds a password.
    pub(super) fn note_duration(&mut self, began: Instant, args: &[&[u8]]) {
        let is_quiet = |name: &&[u8]| ["EXEC", "AUTH", "HELLO"].iter().any(|quiet| is(name, quiet));
        if !args.first().is_some_and(is_quiet) {
            self.state.slow_log.note(began.elapsed(), self.wall_ms(), args, &self.session.name);
        }
    }

    /// Whether the command may wait. Where it may, it is told to.
    pub(super) fn wait(&mut self, wish: Wish) -> Value {
        if self.origin == Origin::Client {
            self.wish = Some(wish);
        }
        Value::Nil
    }

    pub(super) fn double(&self, number: f64) -> Value {
        let text = float_text(number);
        if self.session.resp3 { Value::Double(text) } else { Value::Bulk(text.into_bytes()) }
    }

    /// Pairs: a map in RESP3, a flat array in RESP2.
    pub(super) fn map(&self, pairs: Vec<(Value, Value)>) -> Value {
        if self.session.resp3 {
            Value::Map(pairs)
        } else {
            Value::Array(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
        }
    }

    /// A set in RESP3, an array in RESP2.
    pub(super) fn set_of(&self, items: Vec<Value>) -> Value {
        if self.session.resp3 { Value::Set(items) } else { Value::Array(items) }
    }

    /// Pairs that RESP3 nests and RESP2 writes one after the other.
    pub(super) fn pairs(&self, pairs: impl Iterator<Item = (Value, Value)>) -> Value {
        if self.session.resp3 {
            Value::Array(pairs.map(|(left, right)| Value::Array(vec![left, right])).collect())
        } else {
            Value::Array(pairs.flat_map(|(left, right)| [left, right]).collect())
        }
    }

    /// Keys as a blocked command keeps them.
    pub(super) fn owned(keys: &[&[u8]]) -> Vec<Blob> {
        keys.iter().map(|&key| key.into()).collect()
    }
}

pub(super) fn ok() -> Value {
    Value::Simple("OK".to_owned())
}

pub(super) fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bulk(bytes.as_ref().to_vec())
}

/// A count. None reaches 2^63.
pub(super) fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn flag(set: bool) -> Value {
    Value::Int(i64::from(set))
}

pub(super) fn bulk_or_nil(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Nil, bulk)
}

pub(super) fn bulks<'a>(items: impl Iterator<Item = &'a [u8]>) -> Value {
    Value::Array(items.map(bulk).collect())
}
