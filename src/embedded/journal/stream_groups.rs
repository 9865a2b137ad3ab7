//! Streams and their consumer groups as commands that make them again.

use super::{
    super::{
        args::{Args, is},
        context::Context,
        data::{Group, Stream, StreamId},
    },
    effect::{bulk, push},
    group::append,
};
use crate::codec::resp::Value;

/// A pending entry as the command that makes it pending.
fn claim(key: &[u8], name: &[u8], group: &Group, id: StreamId) -> Option<Vec<Vec<u8>>> {
    let pending = group.pending().get(&id)?;
    let text = |number: &dyn std::fmt::Display| number.to_string().into_bytes();
    Some(vec![
        b"XCLAIM".to_vec(),
        key.to_vec(),
        name.to_vec(),
        pending.consumer.to_vec(),
        b"0".to_vec(),
        text(&id),
        b"TIME".to_vec(),
        text(&pending.delivered_ms),
        b"RETRYCOUNT".to_vec(),
        text(&pending.deliveries),
        b"FORCE".to_vec(),
        b"JUSTID".to_vec(),
        b"LASTID".to_vec(),
        text(&group.last_id),
    ])
}

/// `XGROUP CREATE` or `SETID` as far as a group has read.
fn place(verb: &str, key: &[u8], name: &[u8], group: &Group) -> Vec<Vec<u8>> {
    let read = group.entries_read.map_or_else(|| "-1".to_owned(), |read| read.to_string());
    let words = [b"XGROUP", verb.as_bytes(), key, name].map(<[u8]>::to_vec);
    let more = [group.last_id.to_string(), "ENTRIESREAD".to_owned(), read].map(String::into_bytes);
    words.into_iter().chain(more).collect()
}

fn slices(words: &[Vec<u8>]) -> Vec<&[u8]> {
    words.iter().map(Vec::as_slice).collect()
}

/// Notes what `effects` says of a group as it is now.
fn push_all(context: &mut Context<'_>, key: &[u8], name: &[u8], effects: impl FnOnce(&Group) -> Vec<Vec<Vec<u8>>>) {
    let stream = context.get::<Stream>(key).ok().flatten();
    let effects = stream.and_then(|stream| stream.groups.get(name)).map(effects).unwrap_or_default();
    for effect in effects {
        push(context, &slices(&effect));
    }
}

/// `XGROUP CREATE` and `SETID`, with the id that `$` was.
pub(super) fn record_group(context: &mut Context<'_>, args: Args<'_>) {
    let creates = is(args[1], "CREATE");
    push_all(context, args[2], args[3], |group| {
        let mut effect = place(if creates { "CREATE" } else { "SETID" }, args[2], args[3], group);
        if creates {
            effect.push(b"MKSTREAM".to_vec());
        }
        vec![effect]
    });
}

/// What a consumer read: now its, and how far its group has come.
pub(super) fn record_read(context: &mut Context<'_>, args: Args<'_>, reply: &Value) {
    let Some(at) = args.iter().position(|word| is(word, "GROUP")) else { return };
    let &[name, consumer] = &args[at + 1..at + 3] else { return };
    let read: Vec<(Vec<u8>, Vec<StreamId>)> = match reply {
        Value::Map(streams) => {
            streams.iter().filter_map(|(key, entries)| Some((bulk(key)?.to_vec(), ids(entries)))).collect()
        }
        Value::Array(streams) => streams
            .iter()
            .filter_map(|stream| {
                let Value::Array(parts) = stream else { return None };
                Some((bulk(parts.first()?)?.to_vec(), ids(parts.get(1)?)))
            })
            .collect(),
        _ => return,
    };
    for (key, ids) in read {
        push_all(context, &key, name, |group| {
            let made = [b"XGROUP", b"CREATECONSUMER".as_slice(), &key, name, consumer].map(<[u8]>::to_vec).to_vec();
            let claims = ids.iter().filter_map(|&id| claim(&key, name, group, id));
            [made].into_iter().chain(claims).chain([place("SETID", &key, name, group)]).collect()
        });
    }
}

/// What `XCLAIM` gave to its consumer, and what it found to be gone.
pub(super) fn record_claim(context: &mut Context<'_>, args: Args<'_>) {
    let (key, name) = (args[1], args[2]);
    let ids: Vec<StreamId> = args[5..].iter().map_while(|arg| id(arg)).collect();
    record_taken(context, key, name, &ids);
}

/// The same of `XAUTOCLAIM`.
pub(super) fn record_autoclaim(context: &mut Context<'_>, args: Args<'_>, reply: &Value) {
    let Value::Array(parts) = reply else { return };
    let taken: Vec<StreamId> = parts.iter().skip(1).flat_map(ids).collect();
    record_taken(context, args[1], args[2], &taken);
}

fn record_taken(context: &mut Context<'_>, key: &[u8], name: &[u8], taken: &[StreamId]) {
    push_all(context, key, name, |group| {
        let one = |&id: &StreamId| {
            let gone = || [b"XACK", key, name, id.to_string().as_bytes()].map(<[u8]>::to_vec).to_vec();
            claim(key, name, group, id).unwrap_or_else(gone)
        };
        taken.iter().map(one).chain([place("SETID", key, name, group)]).collect()
    });
}

/// The ids in a reply: of entries, or alone.
fn ids(entries: &Value) -> Vec<StreamId> {
    let Value::Array(entries) = entries else { return Vec::new() };
    let of = |value: &Value| match value {
        Value::Array(parts) => parts.first().and_then(bulk).and_then(id),
        alone => bulk(alone).and_then(id),
    };
    entries.iter().filter_map(of).collect()
}

fn id(text: &[u8]) -> Option<StreamId> {
    let text = std::str::from_utf8(text).ok()?;
    let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
    Some(StreamId { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
}

/// Writes a stream with its groups.
///
/// An entry can be pending that is not in the stream any more, and no command makes such a one: it is added, claimed, and
/// removed again.
pub(super) fn write_stream(into: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let mut gone: std::collections::BTreeSet<StreamId> = stream
        .groups
        .values()
        .flat_map(|group| group.pending().keys().copied())
        .filter(|&id| stream.get(id).is_none())
        .collect();
    let mut write = |words: &[&[u8]]| append(into, words);
    let all_gone = gone.clone();
    let mut missing = all_gone.into_iter().peekable();
    let mut add_missing = |until: StreamId, write: &mut dyn FnMut(&[&[u8]])| {
        while let Some(id) = missing.next_if(|&id| id < until) {
            write(&[b"XADD", key, id.to_string().as_bytes(), b"x", b"y"]);
        }
    };
    for (id, fields) in stream.range(StreamId::MIN, StreamId::MAX) {
        add_missing(id, &mut write);
        let id = id.to_string();
        let words: Vec<&[u8]> = [b"XADD", key, id.as_bytes()].into_iter().chain(fields).collect();
        write(&words);
    }
    add_missing(StreamId::MAX, &mut write);
    let last = stream.last_id.to_string();
    if stream.len() == 0 && gone.is_empty() {
        // No entry has the lowest id, which is that of a stream that never had one.
        if stream.last_id == StreamId::MIN {
            write(&[b"XGROUP", b"CREATE", key, b"x", b"0", b"MKSTREAM"]);
            write(&[b"XGROUP", b"DESTROY", key, b"x"]);
        } else {
            write(&[b"XADD", key, b"MAXLEN", b"0", last.as_bytes(), b"x", b"y"]);
        }
    }
    for (name, group) in &stream.groups {
        write(&slices(&place("CREATE", key, name, group)));
        for consumer in group.consumers().keys() {
            write(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer]);
        }
        for &id in group.pending().keys() {
            if let Some(claim) = claim(key, name, group, id) {
                write(&slices(&claim));
            }
        }
    }
    // Trimming does not count as deleting, and deletes all that stood before the first entry.
    if !gone.is_empty() && stream.len() == 0 {
        write(&[b"XTRIM", key, b"MAXLEN", b"0"]);
    } else if !gone.is_empty() {
        let first = stream.first_id();
        write(&[b"XTRIM", key, b"MINID", first.to_string().as_bytes()]);
        gone.retain(|&id| id > first);
    }
    if stream.len() > 0 && !gone.is_empty() {
        let doomed: Vec<String> = gone.iter().map(StreamId::to_string).collect();
        let words: Vec<&[u8]> = [b"XDEL", key].into_iter().chain(doomed.iter().map(String::as_bytes)).collect();
        write(&words);
    }
    // XSETID can take the last id below what was deleted, but never says so in one command that servers accept.
    let deleted = stream.max_deleted.min(stream.last_id).to_string();
    let added = stream.added.to_string();
    write(&[b"XSETID", key, last.as_bytes(), b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", deleted.as_bytes()]);
}
