//! Events of keys: messages on channels that say what happened to which key, for those who asked for them with
//! `CONFIG SET notify-keyspace-events`.
//!
//! Commands know nothing of this. While somebody asked, the keys that a command changes are noted, and its row of the table
//! and its arguments say what the event of each is called.

use super::{
    args::{Args, is},
    context::Context,
    data::{Blob, Stream},
    state::{Pending, State},
    table::{READ, Row, WRITE},
};

/// Kinds of events, and of channels, as bits; each with its letter. The order is that in which settings show them.
const LETTERS: [(u8, u16); 14] = [
    (b'g', GENERIC),
    (b'$', STRING),
    (b'l', LIST),
    (b's', SET),
    (b'h', HASH),
    (b'z', SORTED_SET),
    (b'x', EXPIRED),
    (b'e', EVICTED),
    (b't', STREAM),
    (b'd', MODULE),
    (b'n', NEW),
    (b'K', BY_KEY),
    (b'E', BY_EVENT),
    (b'm', MISS),
];
const GENERIC: u16 = 1;
const STRING: u16 = 1 << 1;
const LIST: u16 = 1 << 2;
const SET: u16 = 1 << 3;
const HASH: u16 = 1 << 4;
const SORTED_SET: u16 = 1 << 5;
pub(super) const EXPIRED: u16 = 1 << 6;
pub(super) const EVICTED: u16 = 1 << 7;
const STREAM: u16 = 1 << 8;
const MODULE: u16 = 1 << 9;
const NEW: u16 = 1 << 10;
const MISS: u16 = 1 << 11;
const BY_KEY: u16 = 1 << 12;
const BY_EVENT: u16 = 1 << 13;
/// What the letter `A` stands for.
const ALL: u16 = GENERIC | STRING | LIST | SET | HASH | SORTED_SET | EXPIRED | EVICTED | STREAM | MODULE;

/// Which events are told, and the keys that the command that runs has changed.
#[derive(Default)]
pub(super) struct Notifications {
    kinds: u16,
    changed: Vec<(usize, Blob)>,
}

impl Notifications {
    /// Whether events would be heard of.
    pub(super) fn is_on(&self) -> bool {
        self.kinds & (BY_KEY | BY_EVENT) != 0
    }

    fn tells(&self, kind: u16) -> bool {
        self.is_on() && self.kinds & kind != 0
    }

    /// Reads a setting: letters, each for a kind.
    pub(super) fn parse(letters: &[u8]) -> Option<u16> {
        letters.iter().try_fold(0, |kinds, letter| match letter {
            b'A' => Some(kinds | ALL),
            _ => LETTERS.iter().find(|(known, _)| known == letter).map(|(_, kind)| kinds | kind),
        })
    }

    pub(super) fn set(&mut self, kinds: u16) {
        self.kinds = kinds;
    }

    /// The setting.
    pub(super) fn letters(&self) -> String {
        let everything = self.kinds & ALL == ALL;
        let rest = |kind: u16| !everything || kind & (BY_KEY | BY_EVENT | MISS) != 0;
        let shown = LETTERS.iter().filter(|(_, kind)| self.kinds & kind != 0 && rest(*kind));
        everything.then_some('A').into_iter().chain(shown.map(|(letter, _)| char::from(*letter))).collect()
    }

    /// Notes that a key was changed by the command that runs.
    pub(super) fn note(&mut self, db: usize, key: &[u8]) {
        if self.is_on() && !self.changed.iter().any(|(of, known)| *of == db && **known == *key) {
            self.changed.push((db, key.into()));
        }
    }
}

impl State {
    /// Tells of an event, where somebody asked for its kind.
    pub(super) fn notify(&mut self, kind: u16, event: &str, db: usize, key: &[u8]) {
        if !self.notifications.tells(kind) {
            return;
        }
        for (asked, head, name, payload) in
            [(BY_KEY, "keyspace", key, event.as_bytes()), (BY_EVENT, "keyevent", event.as_bytes(), key)]
        {
            if self.notifications.kinds & asked != 0 {
                let channel = [format!("__{head}@{db}__:").as_bytes(), name].concat();
                let deliveries = self.board.publish(&channel, payload);
                self.pending.extend(deliveries.into_iter().map(Pending::Message));
            }
        }
    }
}

/// What has to be known before a command runs.
pub(super) struct Before {
    changes: u64,
    /// Entries of the stream that one is added to.
    length: usize,
    /// Streams to whose group the command would add its consumer.
    without_consumer: Vec<Blob>,
}

impl Before {
    pub(super) fn look(context: &mut Context<'_>, row: &Row, args: Args<'_>) -> Self {
        let state = &mut *context.state;
        state.notifications.changed.clear();
        let (db, now) = (context.session.db, context.now);
        if row.has(READ) && state.notifications.tells(MISS) {
            let keys = row.keys_of(args).into_iter();
            let absent: Vec<_> = keys.filter(|key| state.dbs[db].usage(key, now).is_none()).collect();
            for key in absent {
                state.notify(MISS, "keymiss", db, key);
            }
        }
        let notes_made = row.has(WRITE) && state.notifications.tells(NEW);
        state.dbs.iter_mut().for_each(|db| drop(db.take_made(notes_made)));
        let changes = state.changes;
        let length = if row.name == "xadd" { length(context, args[1]) } else { 0 };
        let without_consumer = match consumer_of(row, args) {
            Some((group, name)) => without_consumer(context, row, args, group, name),
            None => Vec::new(),
        };
        Self { changes, length, without_consumer }
    }
}

/// Tells what a command did.
pub(super) fn tell(context: &mut Context<'_>, row: &Row, args: Args<'_>, before: &Before) {
    if !row.has(WRITE) || context.state.changes == before.changes {
        return;
    }
    // Expired keys were gone before.
    context.state.collect_lapsed();
    let db = context.session.db;
    let mut made = Vec::new();
    for (number, db) in context.state.dbs.iter_mut().enumerate() {
        made.extend(db.take_made(false).into_iter().flatten().map(|key| (number, key)));
    }
    let changed = std::mem::take(&mut context.state.notifications.changed);
    let mut teller = Teller { context, db, made };
    teller.tell(row, args, before, &changed);
}

/// Group and consumer of a command that may add the consumer.
fn consumer_of<'a>(row: &Row, args: Args<'a>) -> Option<(&'a [u8], &'a [u8])> {
    match row.name {
        "xclaim" | "xautoclaim" => Some((args[2], args[3])),
        "xreadgroup" => {
            let at = args.iter().position(|arg| is(arg, "GROUP"))?;
            Some((args.get(at + 1)?, args.get(at + 2)?))
        }
        _ => None,
    }
}

fn without_consumer(context: &mut Context<'_>, row: &Row, args: Args<'_>, group: &[u8], name: &[u8]) -> Vec<Blob> {
    let mut keys = row.keys_of(args);
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| {
        let stream = context.get::<Stream>(key).ok().flatten();
        let group = stream.and_then(|stream| stream.groups.get(group));
        group.is_some_and(|group| !group.consumers().contains_key(name))
    });
    keys.into_iter().map(Blob::from).collect()
}

fn length(context: &mut Context<'_>, key: &[u8]) -> usize {
    context.get::<Stream>(key).ok().flatten().map_or(0, |stream| stream.len())
}

fn exists_in(context: &Context<'_>, db: usize, key: &[u8]) -> bool {
    context.state.dbs[db].usage(key, context.now).is_some()
}

/// Tells the events of one command.
struct Teller<'c, 's> {
    context: &'c mut Context<'s>,
    db: usize,
    /// Keys that were made, and are not told of yet.
    made: Vec<(usize, Blob)>,
}

impl Teller<'_, '_> {
    fn say(&mut self, kind: u16, event: &str, key: &[u8]) {
        self.context.state.notify(kind, event, self.db, key);
    }

    fn say_new(&mut self, db: usize, key: &[u8]) {
        self.made.retain(|(of, made)| *of != db || **made != *key);
        self.context.state.notify(NEW, "new", db, key);
    }

    /// Tells of keys that were made: all, or this one.
    fn say_made(&mut self, only: Option<&[u8]>) {
        let is_meant = |key: &[u8]| only.is_none_or(|only| *only == *key);
        let meant: Vec<_> = self.made.iter().filter(|(_, key)| is_meant(key)).cloned().collect();
        for (db, key) in meant {
            if exists_in(self.context, db, &key) {
                self.say_new(db, &key);
            }
        }
    }

    fn is_gone(&self, key: &[u8]) -> bool {
        !exists_in(self.context, self.db, key)
    }

    /// An event of a key whose value may have become empty by it.
    fn say_taken(&mut self, kind: u16, event: &str, key: &[u8]) {
        self.say(kind, event, key);
        if self.is_gone(key) {
            self.say(GENERIC, "del", key);
        }
    }

    /// An event of a key that got a result, or went away where that is empty.
    fn say_stored(&mut self, kind: u16, event: &str, key: &[u8]) {
        if self.is_gone(key) { self.say(GENERIC, "del", key) } else { self.say(kind, event, key) }
    }

    fn tell(&mut self, row: &Row, args: Args<'_>, before: &Before, changed: &[(usize, Blob)]) {
        let key = *args.get(1).unwrap_or(&&b""[..]);
        let word = |words: &[&str]| args.iter().skip(2).any(|arg| words.iter().any(|word| is(arg, word)));
        if !matches!(row.name, "mset" | "msetnx" | "smove" | "rename" | "renamenx" | "copy" | "restore") {
            self.say_made(None);
        }
        match row.name {
            "mset" | "msetnx" => {
                for pair in args[1..].chunks(2) {
                    self.say_made(Some(pair[0]));
                    self.say(STRING, "set", pair[0]);
                }
            }
            "set" | "setex" | "psetex" | "getset" | "setnx" => {
                self.say(STRING, "set", key);
                let ends = row.name != "set" || word(&["EX", "PX", "EXAT", "PXAT"]);
                if self.is_gone(key) {
                    self.say(GENERIC, "del", key);
                } else if ends && matches!(row.name, "set" | "setex" | "psetex") {
                    self.say(GENERIC, "expire", key);
                }
            }
            "getex" if word(&["PERSIST"]) => self.say(GENERIC, "persist", key),
            "getex" | "expire" | "pexpire" | "expireat" | "pexpireat" => self.say_stored(GENERIC, "expire", key),
            "rename" | "renamenx" => {
                if key == args[2] {
                    return;
                }
                self.say_new(self.db, args[2]);
                self.say(GENERIC, "rename_from", key);
                self.say(GENERIC, "rename_to", args[2]);
            }
            "restore" if self.is_gone(key) => self.say(GENERIC, "del", key),
            "restore" => {
                self.say_new(self.db, key);
                self.say(GENERIC, "restore", key);
            }
            "move" => {
                self.say(GENERIC, "move_from", key);
                for (db, key) in changed.iter().filter(|(db, _)| *db != self.db) {
                    self.context.state.notify(GENERIC, "move_to", *db, key);
                }
            }
            "copy" => {
                for (db, key) in changed {
                    self.say_new(*db, key);
                    self.context.state.notify(GENERIC, "copy_to", *db, key);
                }
            }
            "lmove" | "blmove" | "rpoplpush" | "brpoplpush" => {
                let from_left = row.name.ends_with("lmove") && is(args[3], "LEFT");
                let to_left = row.name.ends_with("rpoplpush") || is(args[4], "LEFT");
                self.say(LIST, if to_left { "lpush" } else { "rpush" }, args[2]);
                self.say_taken(LIST, if from_left { "lpop" } else { "rpop" }, key);
            }
            "smove" => {
                self.say_taken(SET, "srem", key);
                self.say_made(None);
                if changed.iter().any(|(_, key)| **key == *args[2]) {
                    self.say(SET, "sadd", args[2]);
                }
            }
            "xadd" => {
                self.say(STREAM, "xadd", key);
                // One entry more, were it not for the trimming.
                if length(self.context, key) != before.length + 1 {
                    self.say(STREAM, "xtrim", key);
                }
            }
            "xreadgroup" | "xclaim" | "xautoclaim" => {
                let Some((group, name)) = consumer_of(row, args) else { return };
                let still = without_consumer(self.context, row, args, group, name);
                for key in before.without_consumer.iter().filter(|key| !still.contains(key)) {
                    self.say(STREAM, "xgroup-createconsumer", key);
                }
            }
            "xsetid" => self.say(STREAM, "xsetid", key),
            "flushdb" | "flushall" | "swapdb" => {}
            name if name.starts_with("xgroup|") => {
                self.say(STREAM, &name.replace('|', "-"), args[2]);
            }
            _ => self.tell_of_each(row, args, changed),
        }
    }

    /// Commands that do the same to every key that they change.
    fn tell_of_each(&mut self, row: &Row, args: Args<'_>, changed: &[(usize, Blob)]) {
        let Some((kind, event, how)) = event_of(row.name, args) else { return };
        for (_, key) in changed {
            match how {
                How::Plain => self.say(kind, event, key),
                How::Taken => self.say_taken(kind, event, key),
                How::Stored => self.say_stored(kind, event, key),
            }
        }
    }
}

/// What an event may mean for the key.
#[derive(Clone, Copy)]
enum How {
    Plain,
    /// It may be empty afterwards.
    Taken,
    /// It holds a result, and is gone where that is empty.
    Stored,
}

/// The event of a command, where all its keys have the same.
fn event_of(name: &'static str, args: Args<'_>) -> Option<(u16, &'static str, How)> {
    use How::{Plain, Stored, Taken};
    Some(match name {
        "del" | "unlink" | "getdel" => (GENERIC, "del", Plain),
        "persist" => (GENERIC, name, Plain),
        "append" | "setrange" | "incrbyfloat" | "setbit" | "pfadd" => (STRING, name, Plain),
        "bitop" => (STRING, "set", Stored),
        "bitfield" => (STRING, "setbit", Plain),
        "pfmerge" => (STRING, "pfadd", Plain),
        "incr" | "decr" | "incrby" | "decrby" => (STRING, "incrby", Plain),
        "lpush" | "lpushx" => (LIST, "lpush", Plain),
        "rpush" | "rpushx" => (LIST, "rpush", Plain),
        "linsert" | "lset" => (LIST, name, Plain),
        "lrem" | "ltrim" | "lpop" | "rpop" => (LIST, name, Taken),
        "blpop" => (LIST, "lpop", Taken),
        "brpop" => (LIST, "rpop", Taken),
        "lmpop" | "blmpop" => (LIST, if ends(args, "LEFT", "RIGHT") { "lpop" } else { "rpop" }, Taken),
        "sort" => (LIST, "sortstore", Stored),
        "hset" | "hmset" | "hsetnx" => (HASH, "hset", Plain),
        "hincrby" | "hincrbyfloat" => (HASH, name, Plain),
        "hdel" => (HASH, name, Taken),
        "sadd" => (SET, name, Plain),
        "srem" | "spop" => (SET, name, Taken),
        "sinterstore" | "sunionstore" | "sdiffstore" => (SET, name, Stored),
        "zadd" if adds_to_score(args) => (SORTED_SET, "zincr", Plain),
        "zadd" | "geoadd" => (SORTED_SET, "zadd", Plain),
        "zincrby" => (SORTED_SET, "zincr", Plain),
        "zrem" | "zremrangebyscore" | "zremrangebyrank" | "zremrangebylex" | "zpopmin" | "zpopmax" => {
            (SORTED_SET, name, Taken)
        }
        "bzpopmin" => (SORTED_SET, "zpopmin", Taken),
        "bzpopmax" => (SORTED_SET, "zpopmax", Taken),
        "zmpop" | "bzmpop" => (SORTED_SET, if ends(args, "MIN", "MAX") { "zpopmin" } else { "zpopmax" }, Taken),
        "zunionstore" | "zinterstore" | "zdiffstore" | "zrangestore" | "geosearchstore" => (SORTED_SET, name, Stored),
        "georadius" | "georadiusbymember" => (SORTED_SET, "georadiusstore", Stored),
        "xdel" | "xtrim" => (STREAM, name, Plain),
        _ => return None,
    })
}

/// Whether `INCR` stands among the options of `ZADD`.
fn adds_to_score(args: Args<'_>) -> bool {
    let is_option = |arg: &&&[u8]| ["NX", "XX", "GT", "LT", "CH", "INCR"].iter().any(|option| is(arg, option));
    args.iter().skip(2).take_while(is_option).any(|arg| is(arg, "INCR"))
}

/// Whether the word that says where to pop is the first of two: the last of them that stands there.
fn ends(args: Args<'_>, first: &str, second: &str) -> bool {
    args.iter().rev().find(|arg| is(arg, first) || is(arg, second)).is_some_and(|arg| is(arg, first))
}
