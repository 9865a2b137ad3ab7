//! Single values as `DUMP` gives them and `RESTORE` takes them: as they would stand in an RDB file, with the version of the
//! format and a checksum behind.
//!
//! Each type is written in its plainest form, which every server since Redis 7 reads. It is not the form that a server would
//! choose, which depends on its settings, so two dumps of one value may differ.

use super::{
    source::{Source, crc64},
    values,
};
use crate::embedded::data::{Data, Group, Stream, StreamId};

/// The version that is written: that of Redis 7.0.
const VERSION: u16 = 10;
/// Entries in one node of a stream.
const NODE: usize = 100;

/// A value as text that another server can take.
pub(in crate::embedded) fn dump(data: &Data) -> Vec<u8> {
    let mut into = Vec::new();
    match data {
        Data::Text(text) => {
            into.push(0);
            string(&mut into, text.bytes());
        }
        Data::List(list) => strings(&mut into, 1, list.len(), list.iter()),
        Data::Set(set) => strings(&mut into, 2, set.len(), set.iter()),
        Data::Hash(hash) => strings(&mut into, 4, hash.len(), hash.iter().flat_map(|(field, value)| [field, value])),
        Data::SortedSet(set) => {
            into.push(5);
            length(&mut into, set.len() as u64);
            for (member, score) in set.iter() {
                string(&mut into, member);
                into.extend_from_slice(&score.to_le_bytes());
            }
        }
        Data::Stream(stream) => write_stream(&mut into, stream),
    }
    into.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc64(0, &into);
    into.extend_from_slice(&checksum.to_le_bytes());
    into
}

/// Why a dump cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Refusal {
    /// It is of a version that is not known, or its checksum is wrong.
    Footer,
    Content,
}

/// The value of a dump.
pub(in crate::embedded) fn restore(bytes: &[u8]) -> Result<Data, Refusal> {
    let (signed, checksum) = bytes.split_last_chunk::<8>().ok_or(Refusal::Footer)?;
    let (content, version) = signed.split_last_chunk::<2>().ok_or(Refusal::Footer)?;
    let checksum = u64::from_le_bytes(*checksum);
    let known = u32::from(u16::from_le_bytes(*version)) <= *super::VERSIONS.end();
    if !known || (checksum != 0 && checksum != crc64(0, signed)) {
        return Err(Refusal::Footer);
    }
    let mut source = Source::new(content, content.len() as u64);
    let kind = source.byte().map_err(|_| Refusal::Content)?;
    match values::read(kind, &mut source) {
        Ok(data) if !data.is_spent() => Ok(data),
        _ => Err(Refusal::Content),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each form for what fits it")]
fn length(into: &mut Vec<u8>, length: u64) {
    match length {
        0..0x40 => into.push(length as u8),
        0x40..0x4000 => into.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes()),
        0x4000..0x1_0000_0000 => {
            into.push(0x80);
            into.extend_from_slice(&(length as u32).to_be_bytes());
        }
        _ => {
            into.push(0x81);
            into.extend_from_slice(&length.to_be_bytes());
        }
    }
}

fn string(into: &mut Vec<u8>, bytes: &[u8]) {
    length(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn strings<'a>(into: &mut Vec<u8>, kind: u8, count: usize, items: impl Iterator<Item = &'a [u8]>) {
    into.push(kind);
    length(into, count as u64);
    items.for_each(|item| string(into, item));
}

fn id(into: &mut Vec<u8>, id: StreamId) {
    length(into, id.ms);
    length(into, id.seq);
}

fn raw_id(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn write_stream(into: &mut Vec<u8>, stream: &Stream) {
    let entries: Vec<(StreamId, Vec<&[u8]>)> =
        stream.range(StreamId::MIN, StreamId::MAX).map(|(id, fields)| (id, fields.collect())).collect();
    into.push(19);
    length(into, entries.chunks(NODE).len() as u64);
    for node in entries.chunks(NODE) {
        string(into, &raw_id(node[0].0));
        string(into, &listpack(node));
    }
    length(into, stream.len() as u64);
    id(into, stream.last_id);
    id(into, stream.first_id());
    id(into, stream.max_deleted);
    length(into, stream.added);
    length(into, stream.groups.len() as u64);
    for (name, group) in &stream.groups {
        string(into, name);
        write_group(into, group);
    }
}

fn write_group(into: &mut Vec<u8>, group: &Group) {
    id(into, group.last_id);
    length(into, group.entries_read.unwrap_or(u64::MAX));
    length(into, group.pending().len() as u64);
    for (id, pending) in group.pending() {
        into.extend_from_slice(&raw_id(*id));
        into.extend_from_slice(&pending.delivered_ms.to_le_bytes());
        length(into, pending.deliveries);
    }
    length(into, group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        string(into, name);
        into.extend_from_slice(&consumer.seen_ms.to_le_bytes());
        length(into, consumer.pending().len() as u64);
        consumer.pending().iter().for_each(|id| into.extend_from_slice(&raw_id(*id)));
    }
}

/// A node of a stream: what is common to its entries, which is nothing here, and the entries.
fn listpack(node: &[(StreamId, Vec<&[u8]>)]) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.ints([node.len() as u64, 0, 0, 0]);
    let first = node[0].0;
    for (id, words) in node {
        // No flags; the id as its difference to the node's.
        let (ms, seq) = (id.ms.wrapping_sub(first.ms), id.seq.wrapping_sub(first.seq));
        pack.ints([0, ms, seq, words.len() as u64 / 2]);
        for word in words {
            pack.bytes(word);
        }
        pack.int(words.len() as u64 + 4);
    }
    pack.finish()
}

#[derive(Default)]
struct Pack {
    elements: Vec<u8>,
    count: usize,
}

impl Pack {
    fn int(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(small) if small < 0x80 => self.element(&[small], &[]),
            _ => self.element(&[0xf4], &number.to_le_bytes()),
        }
    }

    fn ints(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.int(number);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "each form for what fits it")]
    fn bytes(&mut self, bytes: &[u8]) {
        let length = bytes.len();
        match length {
            0..0x40 => self.element(&[0x80 | length as u8], bytes),
            0x40..0x1000 => self.element(&(0xe000 | length as u16).to_be_bytes(), bytes),
            _ => self.element(&[&[0xf0], &(length as u32).to_le_bytes()[..]].concat(), bytes),
        }
    }

    /// An element, and behind it its length, seven bits a byte, the highest first.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn element(&mut self, head: &[u8], bytes: &[u8]) {
        self.elements.extend_from_slice(head);
        self.elements.extend_from_slice(bytes);
        self.count += 1;
        let length = head.len() + bytes.len();
        let digits = [127, 16_383, 2_097_151, 268_435_455].iter().take_while(|&&most| length > most).count();
        for digit in (0..=digits).rev() {
            let mark = if digit == digits { 0 } else { 0x80 };
            self.elements.push((length >> (7 * digit)) as u8 & 0x7f | mark);
        }
    }

    fn finish(self) -> Vec<u8> {
        let length = u32::try_from(self.elements.len() + 7).unwrap_or(u32::MAX);
        let count = u16::try_from(self.count).unwrap_or(u16::MAX);
        [&length.to_le_bytes()[..], &count.to_le_bytes(), &self.elements, &[0xff]].concat()
    }
}
