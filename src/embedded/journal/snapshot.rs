//! All data as commands: the base of a journal.

use std::io::{self, Write};

use super::{
    super::{
        data::{Blob, Data},
        keyspace::{Entry, NEVER},
        number::float_text,
    },
    group::append,
    stream_groups,
};

/// Elements in one command.
const CHUNK: usize = 64;

/// A key, its database and what it holds, copied while the engine stood still.
pub(super) type Copied = (usize, Blob, Entry);

/// Writes commands that make these keys.
pub(super) fn write(keys: &[Copied], into: &mut impl Write) -> io::Result<u64> {
    let (mut selected, mut written, mut bytes) = (None, 0, Vec::new());
    for (db, key, entry) in keys {
        bytes.clear();
        if selected != Some(*db) {
            selected = Some(*db);
            append(&mut bytes, &[b"SELECT", db.to_string().as_bytes()]);
        }
        write_key(&mut bytes, key, &entry.data);
        if entry.expires != NEVER {
            append(&mut bytes, &[b"PEXPIREAT", key, entry.expires.to_string().as_bytes()]);
        }
        into.write_all(&bytes)?;
        written += bytes.len() as u64;
    }
    Ok(written)
}

fn write_key(into: &mut Vec<u8>, key: &[u8], data: &Data) {
    match data {
        Data::Text(text) => append(into, &[b"SET", key, text.bytes()]),
        Data::List(list) => write_chunks(into, b"RPUSH", key, list.iter()),
        Data::Set(set) => write_chunks(into, b"SADD", key, set.iter()),
        Data::Hash(hash) => {
            let fields: Vec<&[u8]> = hash.iter().flat_map(|(field, value)| [field, value]).collect();
            write_chunks(into, b"HSET", key, fields.into_iter());
        }
        Data::SortedSet(set) => {
            let scored: Vec<(String, &[u8])> = set.iter().map(|(member, score)| (float_text(score), member)).collect();
            let words = scored.iter().flat_map(|(score, member)| [score.as_bytes(), member]);
            write_chunks(into, b"ZADD", key, words);
        }
        Data::Stream(stream) => stream_groups::write_stream(into, key, stream),
    }
}

fn write_chunks<'a>(into: &mut Vec<u8>, command: &'a [u8], key: &'a [u8], items: impl Iterator<Item = &'a [u8]>) {
    let mut words = vec![command, key];
    for item in items {
        words.push(item);
        if words.len() == CHUNK + 2 {
            append(into, &words);
            words.truncate(2);
        }
    }
    if words.len() > 2 {
        append(into, &words);
    }
}
