//! Scripts that are also there in Rust, for where they are called most.
//!
//! A script's Lua is what defines it. What stands beside it in Rust does the same where nothing unusual is in the way, and
//! declines everything else before it has changed anything; the Lua then runs. It travels with the call
//! ([`Command::native`](crate::connection::Command::native)), so that this engine knows of no service, and it runs only
//! where the Lua would: for a script that is loaded, outside of `MULTI`, with memory left and a journal that can be written.
//!
//! It works on the data through [`NativeCall`]: looking changes nothing, not even what has expired; each change goes the way
//! of a command's, with the same words in the journal, and the same who are woken and told.

#![expect(clippy::option_option, reason = "the outer one declines, and `?` passes that on")]

use super::{
    context::Context,
    data::{Data, Hash, Kind, List, Set, SortedSet, Stream, StreamId, Text},
    keyspace::{Entry, NEVER},
};
use crate::codec::resp::Value;

/// What may run instead of a script, with its keys and arguments. `None` declines, before anything has changed.
pub type NativeScript = fn(&mut NativeCall<'_, '_>, &[&[u8]], &[&[u8]]) -> Option<Value>;

/// Runs a script natively, unless that is declined.
pub(super) fn run(context: &mut Context<'_>, script: NativeScript, keys: &[&[u8]], args: &[&[u8]]) -> Option<Value> {
    let refused = context.state.memory.is_full
        // What it looks at is not noted, nor is told what it does with each key.
        || context.state.tracking.follows(context.session.id)
        || context.state.notifications.is_on()
        || context.state.journal.as_mut().is_some_and(|journal| journal.refusal().is_some());
    let reply = if refused {
        None
    } else {
        let was = context.state.set_writing(true);
        let reply = script(&mut NativeCall { context }, keys, args);
        context.state.set_writing(was);
        reply
    };
    let counters = &mut context.state.counters;
    *(if reply.is_some() { &mut counters.native } else { &mut counters.declined }) += 1;
    reply
}

/// The data, while a native script runs. What cannot be looked at as the type that is expected declines: `None`.
pub struct NativeCall<'c, 's> {
    context: &'c mut Context<'s>,
}

/// The fields of a hash.
#[derive(Clone, Copy)]
pub struct HashFields<'a>(&'a Hash);

impl<'a> HashFields<'a> {
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.0.get(field)
    }

    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0.iter()
    }

    pub fn count(self) -> usize {
        self.0.len()
    }
}

impl NativeCall<'_, '_> {
    /// The time of this call, by which keys expire, in milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.context.now
    }

    fn peek(&self, key: &[u8]) -> Option<Option<&Entry>> {
        match self.context.state.dbs[self.context.session.db].peek(key) {
            // Still to be removed, and noted.
            Some(entry) if entry.expires < self.context.now => None,
            entry => Some(entry),
        }
    }

    pub fn exists(&self, key: &[u8]) -> Option<bool> {
        self.peek(key).map(|entry| entry.is_some())
    }

    pub fn text(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        match self.peek(key)?.map(|entry| &entry.data) {
            None => Some(None),
            Some(Data::Text(text)) => Some(Some(text.bytes())),
            Some(_) => None,
        }
    }

    pub fn hash(&self, key: &[u8]) -> Option<Option<HashFields<'_>>> {
        match self.peek(key)?.map(|entry| &entry.data) {
            None => Some(None),
            Some(Data::Hash(hash)) => Some(Some(HashFields(hash))),
            Some(_) => None,
        }
    }

    fn list(&self, key: &[u8]) -> Option<Option<&List>> {
        match self.peek(key)?.map(|entry| &entry.data) {
            None => Some(None),
            Some(Data::List(list)) => Some(Some(list)),
            Some(_) => None,
        }
    }

    /// How many items a list has.
    pub fn list_length(&self, key: &[u8]) -> Option<usize> {
        Some(self.list(key)?.map_or(0, List::len))
    }

    /// The last items of a list, at most `count`, in order.
    pub fn list_tail(&self, key: &[u8], count: usize) -> Option<impl Iterator<Item = &[u8]>> {
        let list = self.list(key)?;
        Some(list.into_iter().flat_map(move |list| list.range(list.len().saturating_sub(count), list.len())))
    }

    fn sorted(&self, key: &[u8]) -> Option<Option<&SortedSet>> {
        match self.peek(key)?.map(|entry| &entry.data) {
            None => Some(None),
            Some(Data::SortedSet(set)) => Some(Some(set)),
            Some(_) => None,
        }
    }

    /// How many members a sorted set has.
    pub fn sorted_length(&self, key: &[u8]) -> Option<usize> {
        Some(self.sorted(key)?.map_or(0, SortedSet::len))
    }

    /// The lowest members of a sorted set, at most `count`.
    pub fn sorted_head(&self, key: &[u8], count: usize) -> Option<impl Iterator<Item = (&[u8], f64)>> {
        Some(self.sorted(key)?.into_iter().flat_map(move |set| set.range(0, count, false)))
    }

    pub fn has_member(&self, key: &[u8], member: &[u8]) -> bool {
        self.sorted(key).flatten().is_some_and(|set| set.score(member).is_some())
    }

    /// Whether [`remove_from_set`](Self::remove_from_set) can be called.
    pub fn is_set_or_missing(&self, key: &[u8]) -> Option<()> {
        matches!(self.peek(key)?.map(|entry| &entry.data), None | Some(Data::Set(_))).then_some(())
    }

    /// Whether so many entries can be added to a stream.
    pub fn can_append(&self, key: &[u8], count: usize) -> Option<()> {
        match self.peek(key)?.map(|entry| &entry.data) {
            None => Some(()),
            Some(Data::Stream(stream)) => stream.last_id.seq.checked_add(u64::try_from(count).ok()?).map(drop),
            Some(_) => None,
        }
    }

    /// Notes a command that does again what was just done.
    fn note(&mut self, words: &[&[u8]]) {
        let db = self.context.session.db;
        self.context.state.note_effect(db, words);
    }

    fn notes(&self) -> bool {
        self.context.state.journal.is_some()
    }

    fn edit<K: Kind>(&mut self, key: &[u8]) -> &mut K {
        // The script has looked at the type before it changed anything.
        match self.context.get_or_create::<K>(key) {
            Ok(value) => value,
            Err(_) => unreachable!("a native script changes a key of a type that it has not looked at"),
        }
    }

    /// `SET`, with when it ends.
    pub fn set_text(&mut self, key: &[u8], value: &[u8], expires: Option<i64>) {
        self.context.set(key, Data::Text(Text::new(value)), expires.unwrap_or(NEVER));
        if self.notes() {
            match expires {
                None => self.note(&[b"SET", key, value]),
                Some(at) => self.note(&[b"SET", key, value, b"PXAT", itoa::Buffer::new().format(at).as_bytes()]),
            }
        }
    }

    /// `INCRBY` of a number that was read as `sum - by`.
    pub fn count_up(&mut self, key: &[u8], sum: i64, by: i64) {
        let expires = self.peek(key).flatten().map_or(NEVER, |entry| entry.expires);
        self.context.set(key, Data::Text(Text::new(itoa::Buffer::new().format(sum).as_bytes())), expires);
        if self.notes() {
            self.note(&[b"INCRBY", key, itoa::Buffer::new().format(by).as_bytes()]);
        }
    }

    /// `HSET`.
    pub fn set_fields(&mut self, key: &[u8], fields: &[[&[u8]; 2]]) {
        self.edit::<Hash>(key).set_all(fields);
        self.context.grown(key);
        if self.notes() {
            self.note(&[&[b"HSET", key], fields.as_flattened()].concat());
        }
    }

    /// `LPUSH` or `RPUSH`.
    pub fn push(&mut self, key: &[u8], items: &[&[u8]], front: bool) {
        let list = self.edit::<List>(key);
        if front {
            list.push_all_front(items);
        } else {
            for item in items {
                list.push(item, false);
            }
        }
        self.context.grown(key);
        self.context.ready(key);
        if self.notes() {
            self.note(&[&[if front { b"LPUSH" } else { b"RPUSH" }, key], items].concat());
        }
    }

    /// `RPOP` of many.
    pub fn pop_back(&mut self, key: &[u8], wanted: usize) -> Vec<Vec<u8>> {
        if !matches!(self.list_length(key), Some(1..)) {
            return Vec::new();
        }
        let items = self.edit::<List>(key).take_back(wanted);
        self.context.changed(key);
        if self.notes() {
            self.note(&[b"RPOP", key, itoa::Buffer::new().format(wanted).as_bytes()]);
        }
        items
    }

    /// `LREM` of the last one that is equal.
    pub fn remove_last(&mut self, key: &[u8], item: &[u8]) {
        self.edit::<List>(key).remove(item, 1, true);
        self.context.changed(key);
        if self.notes() {
            self.note(&[b"LREM", key, b"-1", item]);
        }
    }

    /// Keeps those of a list's last `count` items that `keep` wants.
    pub fn retain_tail(&mut self, key: &[u8], count: usize, keep: impl FnMut(&[u8]) -> bool) {
        let list = self.edit::<List>(key);
        let from = list.len().saturating_sub(count);
        list.retain_from(from, keep);
        // Once it is known what stays, which is what the journal says.
        let notes = self.context.state.journal.is_some();
        if notes {
            let kept: Vec<Vec<u8>> = {
                let list = self.edit::<List>(key);
                list.range(from, list.len()).map(<[u8]>::to_vec).collect()
            };
            let until = itoa::Buffer::new().format(-i64::try_from(count).unwrap_or(i64::MAX) - 1).to_owned();
            self.note(&[b"LTRIM", key, b"0", until.as_bytes()]);
            if !kept.is_empty() {
                let words: Vec<&[u8]> =
                    [&b"RPUSH"[..], key].into_iter().chain(kept.iter().map(Vec::as_slice)).collect();
                self.note(&words);
            }
        }
        self.context.changed(key);
    }

    /// `ZADD`, each score also as the text that it was read from.
    pub fn add_members(&mut self, key: &[u8], members: &[(f64, &[u8], &[u8])]) {
        let set = self.edit::<SortedSet>(key);
        let mut changed = false;
        for &(score, _, member) in members {
            let stored = set.score(member);
            #[expect(clippy::float_cmp, reason = "a score counts as changed when it is another number")]
            if stored.is_none_or(|stored| stored != score) {
                set.set(member, score);
                changed = true;
            }
        }
        if !changed {
            return;
        }
        self.context.grown(key);
        self.context.ready(key);
        if self.notes() {
            let pairs = members.iter().flat_map(|&(_, text, member)| [text, member]);
            self.note(&[&b"ZADD"[..], key].into_iter().chain(pairs).collect::<Vec<_>>());
        }
    }

    /// `ZREM`.
    pub fn remove_members(&mut self, key: &[u8], members: &[&[u8]]) {
        let set = self.edit::<SortedSet>(key);
        if members.iter().filter(|member| set.remove(member).is_some()).count() > 0 {
            self.context.changed(key);
            if self.notes() {
                self.note(&[&[b"ZREM", key], members].concat());
            }
        }
    }

    /// `SREM`.
    pub fn remove_from_set(&mut self, key: &[u8], members: &[&[u8]]) {
        if !matches!(self.exists(key), Some(true)) {
            return;
        }
        let set = self.edit::<Set>(key);
        if members.iter().filter(|member| set.remove(member)).count() > 0 {
            self.context.changed(key);
            if self.notes() {
                self.note(&[&[b"SREM", key], members].concat());
            }
        }
    }

    /// `DEL`.
    pub fn delete(&mut self, key: &[u8]) {
        if self.context.remove(key) && self.notes() {
            self.note(&[b"DEL", key]);
        }
    }

    /// `XADD` of many, each under the next id.
    pub fn append<'f>(&mut self, key: &[u8], entries: impl IntoIterator<Item = &'f [&'f [u8]]>) {
        let (now, is_noted) = (u64::try_from(self.context.now).unwrap_or(0), self.notes());
        let stream = self.edit::<Stream>(key);
        let mut added = Vec::new();
        for fields in entries {
            let last = stream.last_id;
            let id = if now > last.ms { StreamId { ms: now, seq: 0 } } else { last.next().unwrap_or(last) };
            stream.add(id, fields);
            if is_noted {
                added.push((id.to_string(), fields));
            }
        }
        self.context.grown(key);
        self.context.ready(key);
        for (id, fields) in added {
            self.note(&[&[b"XADD", key, id.as_bytes()], fields].concat());
        }
    }

    /// `XTRIM` to about so many entries.
    pub fn trim(&mut self, key: &[u8], most: usize) {
        /// An approximate trim removes no more.
        const AT_ONCE: usize = 10_000;
        if !matches!(self.exists(key), Some(true)) {
            return;
        }
        let stream = self.edit::<Stream>(key);
        let trimmed = (0..AT_ONCE).take_while(|_| stream.trim_one(|length, _| length > most)).count();
        let length = stream.len();
        if trimmed > 0 {
            self.context.changed(key);
            if self.notes() {
                self.note(&[b"XTRIM", key, b"MAXLEN", itoa::Buffer::new().format(length).as_bytes()]);
            }
        }
    }
}
