//! A stream: entries in order of their ids.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Blob, Group,
    hash::{packed_length, push_packed, read_packed},
};

/// Milliseconds and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::embedded) struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

impl StreamId {
    pub(in crate::embedded) const MIN: Self = Self { ms: 0, seq: 0 };
    pub(in crate::embedded) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id that follows.
    pub(in crate::embedded) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before.
    pub(in crate::embedded) fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(itoa::Buffer::new().format(self.ms))?;
        f.write_str("-")?;
        f.write_str(itoa::Buffer::new().format(self.seq))
    }
}

/// Entries.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Stream {
    /// In order of their ids: fields and values, each with its length in front. Entries come at the end and mostly go from
    /// the start.
    entries: VecDeque<(StreamId, Blob)>,
    /// Of all entries.
    bytes: usize,
    pub last_id: StreamId,
    pub max_deleted: StreamId,
    /// Entries ever added.
    pub added: u64,
    pub groups: BTreeMap<Blob, Group>,
}

impl Stream {
    pub(in crate::embedded) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The id of the first entry, the lowest of all where there is none.
    pub(in crate::embedded) fn first_id(&self) -> StreamId {
        self.entries.front().map_or(StreamId::MIN, |(id, _)| *id)
    }

    fn place(&self, id: StreamId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    pub(in crate::embedded) fn get(&self, id: StreamId) -> Option<Fields<'_>> {
        self.place(id).map(|at| Fields { packed: &self.entries[at].1, at: 0 })
    }

    /// Adds an entry whose id is above [`last_id`](Self::last_id).
    pub(in crate::embedded) fn add(&mut self, id: StreamId, fields: &[&[u8]]) {
        // Exactly: what is left over would be given back by moving all of it.
        let mut packed = Vec::with_capacity(fields.iter().map(|field| packed_length(field.len())).sum());
        for field in fields {
            push_packed(&mut packed, field);
        }
        self.bytes += packed.len();
        self.entries.push_back((id, packed.into()));
        self.last_id = id;
        self.added += 1;
    }

    pub(in crate::embedded) fn last(&self) -> Option<(StreamId, Fields<'_>)> {
        self.entries.back().map(|(id, packed)| (*id, Fields { packed, at: 0 }))
    }

    /// Entries between two ids, both included.
    pub(in crate::embedded) fn range(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl DoubleEndedIterator<Item = (StreamId, Fields<'_>)> {
        let start = self.entries.partition_point(|(id, _)| *id < from);
        let end = self.entries.partition_point(|(id, _)| *id <= to).max(start);
        self.entries.range(start..end).map(|(id, packed)| (*id, Fields { packed, at: 0 }))
    }

    pub(in crate::embedded) fn remove(&mut self, id: StreamId) -> bool {
        let removed = self.place(id).and_then(|at| self.entries.remove(at));
        if let Some((_, packed)) = &removed {
            self.bytes -= packed.len();
            self.max_deleted = self.max_deleted.max(id);
        }
        removed.is_some()
    }

    /// Removes the oldest entry, when `doomed` says so of the stream's length and the entry's id. What is trimmed does not
    /// count as deleted.
    pub(in crate::embedded) fn trim_one(&mut self, doomed: impl Fn(usize, StreamId) -> bool) -> bool {
        match self.entries.front() {
            Some((id, packed)) if doomed(self.entries.len(), *id) => {
                self.bytes -= packed.len();
                self.entries.pop_front().is_some()
            }
            _ => false,
        }
    }
}

/// Fields and values of an entry, one after the other.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Fields<'a> {
    packed: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.packed.len() {
            return None;
        }
        let (item, next) = read_packed(self.packed, self.at);
        self.at = next;
        Some(item)
    }
}
