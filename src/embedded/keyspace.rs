//! One database: keys, their values and when they expire.
//!
//! A key that has expired is never seen: every access looks at its time first and removes it then ("lazily"). Keys that
//! nobody asks for are found by drawing from those that can expire.

use super::{
    copying::{Copied, Copying, Partial},
    data::{Blob, Data, Indexed, IndexedSet, Kind},
    failure::{Failure, WRONG_TYPE},
    journal::write_key,
    usage::Usage,
};

/// Keys drawn at a time when looking for expired ones.
const SAMPLE: usize = 20;

/// What a key takes beside its bytes and its value.
const KEY_WEIGHT: usize = 104;

/// A value and its end.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub data: Data,
    /// Milliseconds since the epoch after which the key is gone; `i64::MAX` for never.
    pub expires: i64,
    /// Number of the copy that needs nothing of this key any more: it has it, or the key is younger.
    copied: u32,
    /// When it was last asked for, or how often: see [`Usage`].
    usage: Usage,
    /// Bytes that it was counted with; 0 where nobody counts.
    weight: u32,
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
    /// A copy of all keys that is being made.
    copying: Option<Box<Copying>>,
    /// Bytes of all keys, as far as they are counted.
    weight: usize,
    /// Whether it is counted how often keys are used, instead of noted when.
    counts_use: bool,
    /// Whether looking at a key leaves its use as it was.
    ignores_use: bool,
    /// The time of the command that runs.
    now: i64,
    /// Keys that were made, while somebody asks for them.
    made: Option<Vec<Blob>>,
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
            self.preserve(index, false);
            if !self.ignores_use {
                let counts_use = self.counts_use;
                let entry = &mut self.entries[index];
                entry.usage = entry.usage.used(now, counts_use);
            }
            return Some(index);
        }
        self.lapse(index);
        None
    }

    /// What stands under a key, expired or not; looking does not count as use.
    pub(super) fn peek(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    fn lapse(&mut self, index: usize) {
        if let Some((key, entry)) = self.entries.swap_remove_index(index) {
            self.weight -= entry.weight as usize;
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
        let index = if let Some(index) = self.find(key, now) {
            index
        } else {
            self.note_made(key);
            let entry = self.new_entry(K::default().wrap(), NEVER, now);
            self.entries.insert_full(key.into(), entry).0
        };
        K::of_mut(&mut self.entries[index].data).ok_or(WRONG_TYPE)
    }

    /// Sets a key, whatever it held, with the time of its end.
    pub(super) fn set(&mut self, key: &[u8], data: Data, expires: i64) {
        if let Some(index) = self.entries.get_index_of(key) {
            self.preserve(index, true);
            let entry = &mut self.entries[index];
            let was = std::mem::replace(&mut entry.expires, expires);
            entry.data = data;
            self.follow(key, was, expires);
        } else {
            self.note_made(key);
            let entry = self.new_entry(data, expires, self.now);
            self.entries.insert(key.into(), entry);
            self.follow(key, NEVER, expires);
        }
    }

    /// Changes when a key that exists ends.
    pub(super) fn set_expires(&mut self, key: &[u8], expires: i64) {
        if let Some(index) = self.entries.get_index_of(key) {
            self.preserve(index, true);
            let was = std::mem::replace(&mut self.entries[index].expires, expires);
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
        self.weight -= entry.weight as usize;
        if entry.expires != NEVER {
            self.volatile.swap_remove(&key);
        }
        Some(entry)
    }

    fn new_entry(&self, data: Data, expires: i64, now: i64) -> Entry {
        Entry { data, expires, copied: self.present_copy(), usage: Usage::new(now, self.counts_use), weight: 0 }
    }

    /// Counts a key again after it changed.
    pub(super) fn weigh(&mut self, key: &[u8], now: i64) {
        if let Some(entry) = self.entries.get_mut(key) {
            let weight = u32::try_from(key.len() + entry.data.weight() + KEY_WEIGHT).unwrap_or(u32::MAX);
            self.weight = self.weight - entry.weight as usize + weight as usize;
            entry.weight = weight;
            if entry.usage == Usage::default() {
                entry.usage = Usage::new(now, self.counts_use);
            }
        }
    }

    /// Counts every key.
    pub(super) fn weigh_all(&mut self, now: i64) {
        let keys: Vec<Blob> = self.entries.keys().cloned().collect();
        for key in &keys {
            self.weigh(key, now);
        }
    }

    /// Bytes of all keys that were counted.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Begins to count how often keys are used, or to note when.
    pub(super) fn count_use(&mut self, counts_use: bool, now: i64) {
        if std::mem::replace(&mut self.counts_use, counts_use) != counts_use {
            self.entries.values_mut().for_each(|entry| entry.usage = Usage::new(now, counts_use));
        }
    }

    fn note_made(&mut self, key: &[u8]) {
        if let Some(made) = &mut self.made {
            made.push(key.into());
        }
    }

    /// The keys that were made since this was last asked; `None` where nobody had asked. They are noted from here on as long
    /// as `goes_on`.
    pub(super) fn take_made(&mut self, goes_on: bool) -> Option<Vec<Blob>> {
        std::mem::replace(&mut self.made, goes_on.then(Vec::new))
    }

    /// Tells when the command runs that comes next.
    pub(super) fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// Whether commands from here on count as uses of keys.
    pub(super) fn note_use(&mut self, notes: bool) {
        self.ignores_use = !notes;
    }

    pub(super) fn set_usage(&mut self, key: &[u8], usage: Usage) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.usage = usage;
        }
    }

    /// How a key was used; looking does not count.
    pub(super) fn usage(&self, key: &[u8], now: i64) -> Option<Usage> {
        self.entries.get(key).filter(|entry| entry.expires >= now).map(|entry| entry.usage)
    }

    /// A key drawn by chance, with when it ends and how it was used; of those that end, where only they are asked for.
    pub(super) fn draw(&self, volatile: bool) -> Option<(&[u8], i64, Usage)> {
        let (key, entry) = if volatile {
            let key = self.volatile.get_index(fastrand::usize(..self.volatile.len().max(1)))?;
            (key, self.entries.get(key)?)
        } else {
            self.entries.get_index(fastrand::usize(..self.entries.len().max(1)))?
        };
        Some((key, entry.expires, entry.usage))
    }

    pub(super) fn clear(&mut self) {
        let copying = self.copying.take();
        let made = self.made.take();
        *self = Self { copying, counts_use: self.counts_use, made, ..Self::default() };
    }

    /// Begins a copy of all keys as they are now, of which this is database `home`.
    pub(super) fn begin_copy(&mut self, home: usize, number: u32) {
        self.copying = Some(Box::new(Copying::new(home, number, self.entries.len())));
    }

    /// Ends it, whether it is complete or not.
    pub(super) fn end_copy(&mut self) {
        self.copying = None;
    }

    /// Whether a command that writes is running: what it looks at may be what it changes. Gives what was said before.
    pub(super) fn set_writing(&mut self, writing: bool) -> bool {
        self.copying.as_mut().is_some_and(|copying| std::mem::replace(&mut copying.writing, writing))
    }

    /// The number of the copy that is being made; 0 for none.
    fn present_copy(&self) -> u32 {
        self.copying.as_ref().map_or(0, |copying| copying.number)
    }

    /// Puts a key into the copy before it changes.
    fn preserve(&mut self, index: usize, changes: bool) {
        let Some(copying) = &mut self.copying else { return };
        let Some((key, entry)) = self.entries.get_index_mut(index) else { return };
        if (changes || copying.writing) && entry.copied != copying.number {
            entry.copied = copying.number;
            // What the walker has not come to yet.
            let partial = copying.partial.take_if(|partial| partial.key == *key);
            let mut commands = Vec::new();
            write_key(&mut commands, key, entry, partial.map_or(0, |partial| partial.next), usize::MAX);
            copying.images.push(Copied { home: copying.home, commands });
        }
    }

    /// Takes the next part of the copy: about `budget` bytes of it, of which the rest is left. True when it was the last.
    pub(super) fn take_copied(&mut self, budget: &mut usize, into: &mut Vec<Copied>) -> bool {
        let Some(copying) = &mut self.copying else { return true };
        for image in copying.images.drain(..) {
            *budget = budget.saturating_sub(image.commands.len());
            into.push(image);
        }
        if !Self::take_partial(&mut self.entries, copying, budget, into) {
            return false;
        }
        // Downwards: a removal moves the last key into the gap, which is one that was visited, one that is younger, or one
        // that is yet to come.
        copying.cursor = copying.cursor.min(self.entries.len());
        while copying.cursor > 0 && *budget > 0 {
            copying.cursor -= 1;
            let Some((key, entry)) = self.entries.get_index_mut(copying.cursor) else { continue };
            *budget = budget.saturating_sub(1);
            if entry.copied != copying.number {
                let mut commands = Vec::new();
                let next = write_key(&mut commands, key, entry, 0, *budget);
                *budget = budget.saturating_sub(commands.len());
                into.push(Copied { home: copying.home, commands });
                match next {
                    None => entry.copied = copying.number,
                    Some(next) => {
                        copying.partial = Some(Partial { key: key.clone(), next });
                        return false;
                    }
                }
            }
        }
        copying.cursor == 0
    }

    /// Goes on with a large value; false where it is still not complete.
    fn take_partial(
        entries: &mut Indexed<Entry>,
        copying: &mut Copying,
        budget: &mut usize,
        into: &mut Vec<Copied>,
    ) -> bool {
        if *budget == 0 {
            return copying.partial.is_none();
        }
        let Some(Partial { key, next }) = copying.partial.take() else { return true };
        // One that is gone, or another under its name, is not what was begun.
        let Some(entry) = entries.get_mut(&key).filter(|entry| entry.copied != copying.number) else { return true };
        let mut commands = Vec::new();
        let next = write_key(&mut commands, &key, entry, next, *budget);
        *budget = budget.saturating_sub(commands.len());
        into.push(Copied { home: copying.home, commands });
        match next {
            None => entry.copied = copying.number,
            Some(next) => copying.partial = Some(Partial { key, next }),
        }
        next.is_none()
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
