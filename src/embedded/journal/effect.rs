//! What a command did, as a command that does it again.

use super::{
    super::{
        args::{Args, is},
        context::Context,
        data::{List, SortedSet, Stream, Text},
        keyspace::NEVER,
        number::float_text,
        table::Row,
    },
    stream_groups,
};
use crate::codec::resp::Value;

/// Notes the effect of a command that changed something and answered `reply`.
///
/// Most commands are their own effect. Others depend on the clock, on chance, on floating-point text or on waiting; for
/// these, what stands in the data afterwards is written down.
pub(in crate::embedded) fn record(context: &mut Context<'_>, row: &Row, args: Args<'_>, reply: &Value) {
    match row.name {
        "set" | "setex" | "psetex" | "incrbyfloat" => record_string(context, args[1]),
        "expire" | "pexpire" | "expireat" | "pexpireat" | "persist" | "getex" => record_end(context, args[1]),
        "sort" => record_sorted(context, args),
        "georadius" | "georadiusbymember" => record_places(context, args),
        "geosearchstore" => record_sorted_set(context, args[1]),
        "getdel" => push(context, &[b"DEL", args[1]]),
        "spop" => {
            let members: Vec<&[u8]> = match reply {
                Value::Array(items) | Value::Set(items) => items.iter().filter_map(bulk).collect(),
                one => bulk(one).into_iter().collect(),
            };
            push(context, &[&[b"SREM", args[1]], &members[..]].concat());
        }
        "hincrbyfloat" => {
            if let Some(sum) = bulk(reply) {
                push(context, &[b"HSET", args[1], args[2], sum]);
            }
        }
        "restore" => record_restored(context, args),
        "xadd" => record_entry(context, args, reply),
        "xtrim" => {
            let length = stream_length(context, args[1]);
            push(context, &[b"XTRIM", args[1], b"MAXLEN", length.as_bytes()]);
        }
        "xgroup|create" | "xgroup|setid" => stream_groups::record_group(context, args),
        "xreadgroup" => stream_groups::record_read(context, args, reply),
        "xclaim" => stream_groups::record_claim(context, args),
        "xautoclaim" => stream_groups::record_autoclaim(context, args, reply),
        "blpop" | "brpop" | "bzpopmin" | "bzpopmax" => {
            let Value::Array(items) = reply else { return };
            if let Some(key) = items.first().and_then(bulk) {
                let pop = row.name[1..].to_ascii_uppercase();
                push(context, &[pop.as_bytes(), key]);
            }
        }
        "blmove" => push(context, &[b"LMOVE", args[1], args[2], args[3], args[4]]),
        "brpoplpush" => push(context, &[b"RPOPLPUSH", args[1], args[2]]),
        "blmpop" => push(context, &[&[&b"LMPOP"[..]], &args[2..]].concat()),
        "bzmpop" => push(context, &[&[&b"ZMPOP"[..]], &args[2..]].concat()),
        _ => push(context, args),
    }
}

pub(super) fn bulk(value: &Value) -> Option<&[u8]> {
    if let Value::Bulk(bytes) = value { Some(bytes) } else { None }
}

pub(super) fn push(context: &mut Context<'_>, args: &[&[u8]]) {
    let db = context.session.db;
    if let Some(journal) = &mut context.state.journal {
        journal.group().push(db, args);
    }
}

/// A string and when it ends, as they are now.
fn record_string(context: &mut Context<'_>, key: &[u8]) {
    let now = context.now;
    let db = context.db();
    let expires = db.entry(key, now).map_or(NEVER, |entry| entry.expires);
    let text = db.get::<Text>(key, now).ok().flatten().map(|text| text.bytes().to_vec());
    match text {
        // It ended the moment it was set.
        None => push(context, &[b"DEL", key]),
        Some(text) if expires == NEVER => push(context, &[b"SET", key, &text]),
        Some(text) => push(context, &[b"SET", key, &text, b"PXAT", itoa::Buffer::new().format(expires).as_bytes()]),
    }
}

/// When a key ends, as it is now.
fn record_end(context: &mut Context<'_>, key: &[u8]) {
    let now = context.now;
    match context.db().entry(key, now).map(|entry| entry.expires) {
        None => push(context, &[b"DEL", key]),
        Some(NEVER) => push(context, &[b"PERSIST", key]),
        Some(expires) => push(context, &[b"PEXPIREAT", key, itoa::Buffer::new().format(expires).as_bytes()]),
    }
}

fn stream_length(context: &mut Context<'_>, key: &[u8]) -> String {
    context.get::<Stream>(key).ok().flatten().map_or(0, |stream| stream.len()).to_string()
}

/// The list that `SORT` stored: the order in which equal elements and those of sets came is nobody else's.
fn record_sorted(context: &mut Context<'_>, args: Args<'_>) {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        at += match () {
            () if is(word, "STORE") => break,
            () if is(word, "BY") || is(word, "GET") => 2,
            () if is(word, "LIMIT") => 3,
            () => 1,
        };
    }
    let Some(&key) = args.get(at + 1) else { return };
    let items: Vec<Vec<u8>> = match context.get::<List>(key) {
        Ok(Some(list)) => list.iter().map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    };
    push(context, &[b"DEL", key]);
    if !items.is_empty() {
        let words: Vec<&[u8]> = [&b"RPUSH"[..], key].into_iter().chain(items.iter().map(Vec::as_slice)).collect();
        push(context, &words);
    }
}

/// What `GEORADIUS` stored.
fn record_places(context: &mut Context<'_>, args: Args<'_>) {
    let stores = |word: &&[u8]| is(word, "STORE") || is(word, "STOREDIST");
    // The last one counts.
    if let Some(key) = args.iter().rposition(stores).and_then(|at| args.get(at + 1)) {
        record_sorted_set(context, key);
    }
}

/// A sorted set as it is now: which places are found first is nobody else's.
fn record_sorted_set(context: &mut Context<'_>, key: &[u8]) {
    let members: Vec<(String, Vec<u8>)> = match context.get::<SortedSet>(key) {
        Ok(Some(set)) => set.iter().map(|(member, score)| (float_text(score), member.to_vec())).collect(),
        _ => Vec::new(),
    };
    push(context, &[b"DEL", key]);
    if !members.is_empty() {
        let words = members.iter().flat_map(|(score, member)| [score.as_bytes(), member.as_slice()]);
        let words: Vec<&[u8]> = [&b"ZADD"[..], key].into_iter().chain(words).collect();
        push(context, &words);
    }
}

/// `RESTORE`, with when the key ends.
fn record_restored(context: &mut Context<'_>, args: Args<'_>) {
    let now = context.now;
    match context.db().entry(args[1], now).map(|entry| entry.expires) {
        None => push(context, &[b"DEL", args[1]]),
        Some(expires) => {
            let expires = if expires == NEVER { 0 } else { expires };
            let at = expires.to_string();
            push(context, &[b"RESTORE", args[1], at.as_bytes(), args[3], b"REPLACE", b"ABSTTL"]);
        }
    }
}

/// `XADD` with the id that it gave, and trimmed to the length that it left.
fn record_entry(context: &mut Context<'_>, args: Args<'_>, reply: &Value) {
    let Some(id) = bulk(reply) else { return };
    let (mut at, mut trimmed) = (2, false);
    while let Some(word) = args.get(at) {
        if is(word, "NOMKSTREAM") {
            at += 1;
        } else if is(word, "MAXLEN") || is(word, "MINID") {
            trimmed = true;
            at += 1;
            at += usize::from(args.get(at).is_some_and(|sign| is(sign, "=") || is(sign, "~")));
            at += 1;
        } else if is(word, "LIMIT") {
            at += 2;
        } else {
            break;
        }
    }
    let length = stream_length(context, args[1]);
    let mut effect: Vec<&[u8]> = vec![b"XADD", args[1]];
    if trimmed {
        effect.extend([&b"MAXLEN"[..], b"=", length.as_bytes()]);
    }
    effect.push(id);
    effect.extend_from_slice(args.get(at + 1..).unwrap_or_default());
    push(context, &effect);
}
