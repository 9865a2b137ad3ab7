//! A consumer group of a stream: how far it has read, and who has which entries and did not acknowledge them yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Stream, StreamId};

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Pending {
    pub consumer: Arc<[u8]>,
    /// Milliseconds since the epoch.
    pub delivered_ms: i64,
    pub deliveries: u64,
}

/// One reader of a group.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Consumer {
    /// When it last tried to read, and when it last got something; milliseconds since the epoch. Negative for never.
    pub seen_ms: i64,
    pub active_ms: i64,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub(in crate::embedded) fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Group {
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many entries were read of all that were ever added; `None` when that cannot be known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    consumers: BTreeMap<Arc<[u8]>, Consumer>,
}

impl Group {
    pub(in crate::embedded) fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, pending: BTreeMap::new(), consumers: BTreeMap::new() }
    }

    pub(in crate::embedded) fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    pub(in crate::embedded) fn consumers(&self) -> &BTreeMap<Arc<[u8]>, Consumer> {
        &self.consumers
    }

    pub(in crate::embedded) fn consumer_mut(&mut self, name: &[u8]) -> Option<&mut Consumer> {
        self.consumers.get_mut(name)
    }

    /// Adds a consumer, and says whether it is new.
    pub(in crate::embedded) fn add_consumer(&mut self, name: &[u8], now: i64) -> bool {
        let new = !self.consumers.contains_key(name);
        if new {
            let consumer = Consumer { seen_ms: now, active_ms: -1, pending: BTreeSet::new() };
            self.consumers.insert(name.into(), consumer);
        }
        new
    }

    /// Notes that a consumer, which is added where it is new, asked for entries.
    pub(in crate::embedded) fn see_consumer(&mut self, name: &[u8], now: i64) {
        self.add_consumer(name, now);
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_ms = now;
        }
    }

    /// Removes a consumer and forgets what it did not acknowledge; gives how many entries that were.
    pub(in crate::embedded) fn remove_consumer(&mut self, name: &[u8]) -> usize {
        let Some(consumer) = self.consumers.remove(name) else { return 0 };
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        consumer.pending.len()
    }

    /// Gives an entry to a consumer that exists, and takes it from whoever had it.
    pub(in crate::embedded) fn assign(&mut self, id: StreamId, name: &[u8], delivered_ms: i64, deliveries: u64) {
        let Some((name, _)) = self.consumers.get_key_value(name) else { return };
        let pending = Pending { consumer: Arc::clone(name), delivered_ms, deliveries };
        let name = Arc::clone(name);
        if let Some(before) = self.pending.insert(id, pending)
            && let Some(consumer) = self.consumers.get_mut(&before.consumer)
        {
            consumer.pending.remove(&id);
        }
        if let Some(consumer) = self.consumers.get_mut(&name) {
            consumer.pending.insert(id);
        }
    }

    /// Notes that a pending entry was delivered once more to who has it.
    pub(in crate::embedded) fn deliver_again(&mut self, id: StreamId, now: i64) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.delivered_ms = now;
            pending.deliveries += 1;
        }
    }

    /// Forgets a pending entry, and says whether there was one.
    pub(in crate::embedded) fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(consumer) = self.consumers.get_mut(&pending.consumer) {
            consumer.pending.remove(&id);
        }
        true
    }

    /// Moves on to an entry that was just read.
    pub(in crate::embedded) fn advance(&mut self, id: StreamId, position: &Position) {
        if id <= self.last_id {
            return;
        }
        if let Some(read) = self.entries_read.filter(|_| !position.is_torn_from(id)) {
            self.entries_read = Some(read + 1);
        } else if position.added > 0 {
            self.entries_read = position.count_up_to(id);
        }
        self.last_id = id;
    }

    /// How many entries the group has not read yet, where that is known.
    pub(in crate::embedded) fn lag(&self, position: &Position) -> Option<i64> {
        let read = match self.entries_read {
            _ if position.added == 0 => return Some(0),
            Some(read) if !position.is_torn_from(self.last_id) => read,
            _ => position.count_up_to(self.last_id)?,
        };
        // A count that was set by hand can be above what there is.
        Some(position.added.cast_signed().wrapping_sub(read.cast_signed()))
    }
}

/// What a stream says about where an id stands among all entries ever added.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct Position {
    length: u64,
    added: u64,
    first: StreamId,
    last: StreamId,
    max_deleted: StreamId,
}

impl Position {
    pub(in crate::embedded) fn of(stream: &Stream) -> Self {
        Self {
            length: stream.len() as u64,
            added: stream.added,
            first: stream.first_id(),
            last: stream.last_id,
            max_deleted: stream.max_deleted,
        }
    }

    /// Whether entries from this one on were deleted, other than by trimming, so that counting them says nothing.
    fn is_torn_from(&self, id: StreamId) -> bool {
        // A gap before the first entry tears nothing.
        self.length > 0 && self.max_deleted != StreamId::MIN && self.first <= self.max_deleted && id <= self.max_deleted
    }

    /// How many entries were added up to this one, where that is certain.
    pub(in crate::embedded) fn count_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.length == 0 && id <= self.last {
            return Some(self.added);
        }
        // Deletions in the middle leave the count of the last entry alone, and nothing is known of ids to come.
        if id >= self.last {
            return (id == self.last).then_some(self.added);
        }
        let whole = self.max_deleted == StreamId::MIN || self.max_deleted < self.first;
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less if whole => Some(self.added - self.length),
            std::cmp::Ordering::Equal if whole => Some(self.added - self.length + 1),
            _ => None,
        }
    }
}
