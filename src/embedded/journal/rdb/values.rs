//! What the types of an RDB file become.

use std::io::Read;

use super::{
    packed::{Element, intset, listpack, ziplist, zipmap},
    source::{Outcome, Source, damage},
    streams,
};
use crate::embedded::data::{Data, Hash, Kind as _, List, Set, SortedSet, Text};

/// Reads the value of a key.
pub(super) fn read<R: Read>(kind: u8, source: &mut Source<R>) -> Outcome<Data> {
    match kind {
        0 => Ok(Text::new(source.string()?).wrap()),
        1 => {
            let mut list = List::default();
            for _ in 0..source.length()? {
                list.push(&source.string()?, false);
            }
            Ok(list.wrap())
        }
        2 => {
            let mut set = Set::default();
            for _ in 0..source.length()? {
                set.add(&source.string()?);
            }
            Ok(set.wrap())
        }
        3 | 5 => {
            let mut set = SortedSet::default();
            for _ in 0..source.length()? {
                let member = source.string()?;
                let score = if kind == 3 { source.text_score()? } else { f64::from_le_bytes(source.array()?) };
                add_scored(&mut set, &member, score)?;
            }
            Ok(set.wrap())
        }
        4 => {
            let mut hash = Hash::default();
            for _ in 0..source.length()? {
                let (field, value) = (source.string()?, source.string()?);
                hash.set(&field, &value);
            }
            Ok(hash.wrap())
        }
        6 | 7 => damage("it holds a value of a module, and there are no modules here"),
        9 => Ok(hash_of(zipmap(&source.string()?)?)?.wrap()),
        10 => {
            let mut list = List::default();
            extend(&mut list, ziplist(&source.string()?)?);
            Ok(list.wrap())
        }
        11 => {
            let mut set = Set::default();
            for member in intset(&source.string()?)? {
                set.add(itoa::Buffer::new().format(member).as_bytes());
            }
            Ok(set.wrap())
        }
        12 => Ok(sorted_set_of(ziplist(&source.string()?)?)?.wrap()),
        13 => Ok(hash_of(ziplist(&source.string()?)?)?.wrap()),
        14 | 18 => quicklist(source, kind == 18),
        15 | 19 | 21 => streams::read(kind, source),
        16 => Ok(hash_of(listpack(&source.string()?)?)?.wrap()),
        17 => Ok(sorted_set_of(listpack(&source.string()?)?)?.wrap()),
        20 => {
            let mut set = Set::default();
            for member in listpack(&source.string()?)? {
                set.add(&member.into_bytes());
            }
            Ok(set.wrap())
        }
        22..=25 => damage("it holds a hash with fields that expire, which are not supported here"),
        _ => damage(format!("a value is of type {kind}, which is not known")),
    }
}

/// A list in nodes, each a packed collection or, in the second version, one large element.
fn quicklist<R: Read>(source: &mut Source<R>, second: bool) -> Outcome<Data> {
    let mut list = List::default();
    for _ in 0..source.length()? {
        let form = if second { source.length()? } else { 0 };
        let node = source.string()?;
        match form {
            0 => extend(&mut list, ziplist(&node)?),
            1 => list.push(&node, false),
            2 => extend(&mut list, listpack(&node)?),
            _ => return damage("a node of a list is of no known form"),
        }
    }
    Ok(list.wrap())
}

fn extend(list: &mut List, elements: Vec<Element<'_>>) {
    for element in elements {
        list.push(&element.into_bytes(), false);
    }
}

/// Takes elements two at a time.
fn pairs(elements: Vec<Element<'_>>) -> Outcome<impl Iterator<Item = (Element<'_>, Element<'_>)>> {
    if !elements.len().is_multiple_of(2) {
        return damage("a packed collection of pairs has an odd number of elements");
    }
    let mut elements = elements.into_iter();
    Ok(std::iter::from_fn(move || Some((elements.next()?, elements.next()?))))
}

fn hash_of(elements: Vec<Element<'_>>) -> Outcome<Hash> {
    let mut hash = Hash::default();
    for (field, value) in pairs(elements)? {
        hash.set(&field.into_bytes(), &value.into_bytes());
    }
    Ok(hash)
}

fn sorted_set_of(elements: Vec<Element<'_>>) -> Outcome<SortedSet> {
    let mut set = SortedSet::default();
    for (member, score) in pairs(elements)? {
        let score = score.score()?;
        add_scored(&mut set, &member.into_bytes(), score)?;
    }
    Ok(set)
}

fn add_scored(set: &mut SortedSet, member: &[u8], score: f64) -> Outcome<()> {
    if score.is_nan() {
        return damage("a score is no number");
    }
    set.set(member, score);
    Ok(())
}
