//! All data as commands: the base of a journal.

use std::io::{self, Write};

use super::{
    super::{
        copying::Copied,
        data::Data,
        keyspace::{Entry, NEVER},
        number::float_text,
    },
    group::append,
    stream_groups,
};

/// Words of elements in one command.
const CHUNK: usize = 64;

/// A base that is being written.
#[derive(Default)]
pub(super) struct Snapshot {
    selected: Option<usize>,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Snapshot {
    /// Writes the commands of a copy.
    pub(super) fn write(&mut self, copied: &[Copied], into: &mut impl Write) -> io::Result<()> {
        for Copied { home, commands } in copied {
            if self.selected != Some(*home) {
                self.selected = Some(*home);
                self.buffer.clear();
                append(&mut self.buffer, &[b"SELECT", home.to_string().as_bytes()]);
                into.write_all(&self.buffer)?;
                self.bytes += self.buffer.len() as u64;
            }
            into.write_all(commands)?;
            self.bytes += commands.len() as u64;
        }
        Ok(())
    }

    /// How many were written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Adds commands that make a key, or continue it from its element `from` on: about `most` bytes of them. Gives the element
/// to go on with, or `None` when the key is complete. Strings, small hashes and streams are never divided.
pub(in crate::embedded) fn write_key(
    into: &mut Vec<u8>,
    key: &[u8],
    entry: &Entry,
    from: usize,
    most: usize,
) -> Option<usize> {
    let mut chunks = Chunks { end: into.len().saturating_add(most), into, key, next: from };
    let rest = match &entry.data {
        Data::List(list) => chunks.write(b"RPUSH", list.range(from, list.len()).map(|item| [item])),
        Data::Set(set) => chunks.write(b"SADD", (from..set.len()).map(|index| [set.at(index)])),
        Data::Hash(hash) if !hash.is_packed() => {
            chunks.write(b"HSET", (from..hash.len()).map(|index| <[&[u8]; 2]>::from(hash.at(index))))
        }
        Data::SortedSet(set) => chunks.write_scored(set.range(from, set.len() - from, false)),
        Data::Hash(hash) => chunks.write(b"HSET", hash.iter().map(<[&[u8]; 2]>::from)),
        Data::Text(text) => {
            append(chunks.into, &[b"SET", key, text.bytes()]);
            None
        }
        Data::Stream(stream) => {
            stream_groups::write_stream(chunks.into, key, stream);
            None
        }
    };
    if rest.is_none() && entry.expires != NEVER {
        append(into, &[b"PEXPIREAT", key, entry.expires.to_string().as_bytes()]);
    }
    rest
}

/// The elements of one value, some in each command.
struct Chunks<'a> {
    into: &'a mut Vec<u8>,
    /// Where to stop.
    end: usize,
    key: &'a [u8],
    next: usize,
}

impl<'a> Chunks<'a> {
    /// Writes elements of some words each, until there is enough; gives the next one where there is one left.
    fn write<'i, const N: usize>(
        &mut self,
        command: &'a [u8],
        mut elements: impl Iterator<Item = [&'i [u8]; N]>,
    ) -> Option<usize>
    where
        'a: 'i,
    {
        let mut words: Vec<&[u8]> = Vec::with_capacity(CHUNK + 2);
        loop {
            words.clear();
            words.extend([command, self.key]);
            for element in elements.by_ref().take(CHUNK / N) {
                words.extend(element);
                self.next += 1;
            }
            if words.len() == 2 {
                return None;
            }
            append(self.into, &words);
            // Fewer than were asked for were the last.
            if words.len() < CHUNK / N * N + 2 {
                return None;
            }
            if self.into.len() >= self.end {
                return elements.next().is_some().then_some(self.next);
            }
        }
    }

    fn write_scored<'i>(&mut self, mut elements: impl Iterator<Item = (&'i [u8], f64)>) -> Option<usize> {
        loop {
            let scored: Vec<_> =
                elements.by_ref().take(CHUNK / 2).map(|(member, score)| (float_text(score), member)).collect();
            let words = scored.iter().flat_map(|(score, member)| [score.as_bytes(), member]);
            let words: Vec<&[u8]> = [&b"ZADD"[..], self.key].into_iter().chain(words).collect();
            if scored.is_empty() {
                return None;
            }
            append(self.into, &words);
            self.next += scored.len();
            if scored.len() < CHUNK / 2 {
                return None;
            }
            if self.into.len() >= self.end {
                return elements.next().is_some().then_some(self.next);
            }
        }
    }
}
