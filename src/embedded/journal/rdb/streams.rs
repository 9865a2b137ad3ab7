//! Streams, and their consumer groups, in an RDB file.

use std::io::Read;

use super::{
    packed::{Element, listpack},
    source::{Outcome, Source, damage},
};
use crate::embedded::data::{Data, Group, Kind as _, Position, Stream, StreamId};

/// An entry that was deleted, and stays until its listpack goes.
const DELETED: i64 = 1;
/// An entry with the fields of the first of its listpack.
const SAME_FIELDS: i64 = 2;

/// Reads a stream of the first form (type 15), with what was counted (19), or with when consumers were active (21).
pub(super) fn read<R: Read>(kind: u8, source: &mut Source<R>) -> Outcome<Data> {
    let mut stream = Stream::default();
    for _ in 0..source.length()? {
        let first = node_id(&source.string()?)?;
        add_entries(&mut stream, first, &listpack(&source.string()?)?)?;
    }
    let length = source.length()?;
    if length != stream.len() as u64 {
        return damage("a stream has another length than it says");
    }
    let last_id = id(source)?;
    if last_id < stream.last_id {
        return damage("a stream's last id is below that of an entry");
    }
    stream.last_id = last_id;
    stream.added = length;
    if kind >= 19 {
        let _first = id(source)?;
        stream.max_deleted = id(source)?;
        stream.added = source.length()?;
    }
    if stream.added < length || stream.max_deleted > stream.last_id {
        return damage("what a stream counts does not fit its entries");
    }
    for _ in 0..source.length()? {
        let name = source.string()?;
        let group = group(kind, source, &Position::of(&stream))?;
        if stream.groups.insert(name.into(), group).is_some() {
            return damage("a consumer group is there twice");
        }
    }
    Ok(stream.wrap())
}

fn id<R: Read>(source: &mut Source<R>) -> Outcome<StreamId> {
    Ok(StreamId { ms: source.length()?, seq: source.length()? })
}

fn node_id(bytes: &[u8]) -> Outcome<StreamId> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => Ok(raw_id(bytes)),
        Err(_) => damage("a node of a stream has no id"),
    }
}

fn raw_id(bytes: [u8; 16]) -> StreamId {
    let both = u128::from_be_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    StreamId { ms: (both >> 64) as u64, seq: both as u64 }
}

/// Elements, one after the other.
struct Elements<'a> {
    rest: std::slice::Iter<'a, Element<'a>>,
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Outcome<&'a Element<'a>> {
        self.rest.next().map_or_else(|| damage("a node of a stream ends in the middle"), Ok)
    }

    fn int(&mut self) -> Outcome<i64> {
        self.next()?.int()
    }

    fn count(&mut self) -> Outcome<usize> {
        let number = usize::try_from(self.int()?).ok().filter(|&number| number <= self.rest.len());
        number.map_or_else(|| damage("a node of a stream ends in the middle"), Ok)
    }

    fn bytes(&mut self, count: usize) -> Outcome<Vec<Vec<u8>>> {
        (0..count).map(|_| self.next().map(|element| element.clone().into_bytes())).collect()
    }
}

/// Adds the entries of a node. Their ids stand as differences to that of the node, their fields once where they agree.
fn add_entries(stream: &mut Stream, first: StreamId, elements: &[Element<'_>]) -> Outcome<()> {
    let mut elements = Elements { rest: elements.iter() };
    let (_count, _deleted, fields) = (elements.int()?, elements.int()?, elements.count()?);
    let common = elements.bytes(fields)?;
    if elements.int()? != 0 {
        return damage("a node of a stream does not begin as one");
    }
    while !elements.rest.as_slice().is_empty() {
        let flags = elements.int()?;
        let (ms, seq) = (elements.int()?.cast_unsigned(), elements.int()?.cast_unsigned());
        let id = StreamId { ms: first.ms.wrapping_add(ms), seq: first.seq.wrapping_add(seq) };
        let mut words = Vec::new();
        if flags & SAME_FIELDS == 0 {
            let count = elements.count()?;
            words = elements.bytes(count.saturating_mul(2))?;
        } else {
            for (field, value) in common.iter().zip(elements.bytes(common.len())?) {
                words.extend([field.clone(), value]);
            }
        }
        let _back = elements.int()?;
        if flags & DELETED == 0 {
            if id <= stream.last_id {
                return damage("the entries of a stream are out of order");
            }
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            stream.add(id, &words);
        }
    }
    Ok(())
}

fn group<R: Read>(kind: u8, source: &mut Source<R>, position: &Position) -> Outcome<Group> {
    let last_id = id(source)?;
    let read = if kind >= 19 {
        // Minus one where it is not known.
        Some(source.length()?).filter(|read| i64::try_from(*read).is_ok())
    } else {
        position.count_up_to(last_id)
    };
    let mut group = Group::new(last_id, read);
    let mut pending = std::collections::BTreeMap::new();
    for _ in 0..source.length()? {
        let id = raw_id(source.array()?);
        let (delivered_ms, deliveries) = (i64::from_le_bytes(source.array()?), source.length()?);
        pending.insert(id, (delivered_ms, deliveries));
    }
    for _ in 0..source.length()? {
        let name = source.string()?;
        let seen_ms = i64::from_le_bytes(source.array()?);
        let active_ms = if kind >= 21 { i64::from_le_bytes(source.array()?) } else { seen_ms };
        group.add_consumer(&name, seen_ms);
        if let Some(consumer) = group.consumer_mut(&name) {
            consumer.active_ms = active_ms;
        }
        for _ in 0..source.length()? {
            let id = raw_id(source.array()?);
            let Some((delivered_ms, deliveries)) = pending.remove(&id) else {
                return damage("a consumer has an entry that its group does not know, or that another has, too");
            };
            group.assign(id, &name, delivered_ms, deliveries);
        }
    }
    if pending.is_empty() { Ok(group) } else { damage("an entry is pending that no consumer has") }
}
