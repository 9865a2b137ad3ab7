//! One database: keys, their values and when they expire.
//!
//! A key that has expired is never seen: every access looks at its time first and removes it then ("lazily"). Keys that
//! nobody asks for are found by drawing from those that can expire.

use super::{
    data::{Blob, Data, Indexed, IndexedSet, Kind},
    failure::{Failure, WRONG_TYPE},
};

/// Keys drawn at a time when looking for expired ones.
const SAMPLE: usize = 20;

/// A value and its end.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub data: Data,
    /// Milliseconds since the epoch after which the key is gone; `i64::MAX` for never.
    pub expires: i64,
}

/// The `expires` of a key that stays.
pub(super) const NEVER: i64 = i64::MAX;

/// A numbered database.
#[derive(Debug, Default)]
pub(super) struct Db {
    entries: Indexed<Entry>,
    volatile: IndexedSet,
    /// Keys that expired, until somebody asks.
    lapsed: Vec<Blob>,
}

impl Db {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn volatile_len(&self) -> usize {
        self.volatile.len()
    }

    fn find(&mut self, key: &[u8], now: i64) -> Option<usize> {
        let index = self.entries.get_index_of(key)?;
        if self.entries[index].expires >= now {
            return Some(index);
        }
        self.lapse(index);
        None
    }

    fn lapse(&mut self, index: usize) {
        if let Some((key, _)) = self.entries.swap_remove_index(index) {
            self.volatile.swap_remove(&key);
            self.lapsed.push(key);
        }
    }

    pub(super) fn take_lapsed(&mut self) -> Vec<Blob> {
        std::mem::take(&mut self.lapsed)
    }

    pub(super) fn has_lapsed(&self) -> bool {
        !self.lapsed.is_empty()
    }

    pub(super) fn entry(&mut self, key: &[u8], now: i64) -> Option<&mut Entry> {
        self.find(key, now).map(|index| &mut self.entries[index])
    }

    pub(super) fn contains(&mut self, key: &[u8], now: i64) -> bool {
        self.find(key, now).is_some()
    }

    /// The value, when it is of this type.
    pub(super) fn get<K: Kind>(&mut self, key: &[u8], now: i64) -> Result<Option<&mut K>, Failure> {
        match self.find(key, now) {
            Some(index) => K::of_mut(&mut self.entries[index].data).map(Some).ok_or(WRONG_TYPE),
            None => Ok(None),
        }
    }

    /// The value, empty and new when the key does not exist.
    pub(super) fn get_or_create<K: Kind>(&mut self, key: &[u8], now: i64) -> Result<&mut K, Failure> {
        let index = match self.find(key, now) {
            Some(index) => index,
            None => self.entries.insert_full(key.into(), Entry { data: K::default().wrap(), expires: NEVER }).0,
        };
        K::of_mut(&mut self.entries[index].data).ok_or(WRONG_TYPE)
    }

    /// Sets a key, whatever it held, with the time of its end.
    pub(super) fn set(&mut self, key: &[u8], data: Data, expires: i64) {
        if let Some(entry) = self.entries.get_mut(key) {
            let was = std::mem::replace(&mut entry.expires, expires);
            entry.data = data;
            self.follow(key, was, expires);
        } else {
            self.entries.insert(key.into(), Entry { data, expires });
            self.follow(key, NEVER, expires);
        }
    }

    /// Changes when a key that exists ends.
    pub(super) fn set_expires(&mut self, key: &[u8], expires: i64) {
        if let Some(entry) = self.entries.get_mut(key) {
            let was = std::mem::replace(&mut entry.expires, expires);
            self.follow(key, was, expires);
        }
    }

    fn follow(&mut self, key: &[u8], was: i64, expires: i64) {
        match (was == NEVER, expires == NEVER) {
            (true, false) => {
                self.volatile.insert(key.into());
            }
            (false, true) => {
                self.volatile.swap_remove(key);
            }
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, key: &[u8], now: i64) -> Option<Entry> {
        let index = self.find(key, now)?;
        let (key, entry) = self.entries.swap_remove_index(index)?;
        if entry.expires != NEVER {
            self.volatile.swap_remove(&key);
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Every key that has not expired.
    pub(super) fn iter(&self, now: i64) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().filter(move |(_, entry)| entry.expires >= now).map(|(key, entry)| (&**key, entry))
    }

    /// The key at a position below [`len`](Self::len), which may have expired.
    pub(super) fn at(&self, index: usize) -> Option<(&[u8], &Entry)> {
        self.entries.get_index(index).map(|(key, entry)| (&**key, entry))
    }

    /// Removes expired keys among a few drawn ones, and says whether it is worth looking again.
    pub(super) fn expire_some(&mut self, now: i64) -> bool {
        let drawn = SAMPLE.min(self.volatile.len());
        let mut found = 0;
        for draw in 0..drawn {
            if self.volatile.is_empty() {
                break;
            }
            // With few keys every one is looked at.
            let index = if self.volatile.len() <= SAMPLE { draw } else { fastrand::usize(..self.volatile.len()) };
            let Some(key) = self.volatile.get_index(index.min(self.volatile.len() - 1)) else { break };
            let Some(place) = self.entries.get_index_of(key) else { continue };
            if self.entries[place].expires < now {
                self.lapse(place);
                found += 1;
            }
        }
        found * 4 > drawn
    }
}
