//! All data as commands: the base of a journal.

use std::io::{self, Write};

use super::{
    super::{copying::Copied, data::Data, keyspace::NEVER, number::float_text},
    group::append,
    stream_groups,
};

/// Elements in one command.
const CHUNK: usize = 64;

/// A base that is being written.
#[derive(Default)]
pub(super) struct Snapshot {
    selected: Option<usize>,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Snapshot {
    /// Writes commands that make these keys.
    pub(super) fn write(&mut self, keys: &[Copied], into: &mut impl Write) -> io::Result<()> {
        let Self { selected, bytes, buffer } = self;
        for (db, key, entry) in keys {
            buffer.clear();
            if *selected != Some(*db) {
                *selected = Some(*db);
                append(buffer, &[b"SELECT", db.to_string().as_bytes()]);
            }
            write_key(buffer, key, &entry.data);
            if entry.expires != NEVER {
                append(buffer, &[b"PEXPIREAT", key, entry.expires.to_string().as_bytes()]);
            }
            into.write_all(buffer)?;
            *bytes += buffer.len() as u64;
        }
        Ok(())
    }

    /// How many were written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
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
