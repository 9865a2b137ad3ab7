//! A set of byte strings.

use super::{Blob, IndexedSet};
use crate::embedded::number::parse_int;

const MOST_INTS: usize = 512;
const LISTPACK_MEMBERS: usize = 128;
const LISTPACK_VALUE: usize = 64;

/// How Redis 7.2 would store a set. It only ever moves down this list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::embedded) enum SetEncoding {
    #[default]
    Ints,
    Listpack,
    Table,
}

impl SetEncoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ints => "intset",
            Self::Listpack => "listpack",
            Self::Table => "hashtable",
        }
    }
}

/// Members, each of which has a position. One pointer, as a list is.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Set(Box<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    members: IndexedSet,
    encoding: SetEncoding,
    bytes: usize,
}

impl Set {
    pub(in crate::embedded) fn len(&self) -> usize {
        self.0.members.len()
    }

    /// Of all members.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes
    }

    pub(in crate::embedded) fn contains(&self, member: &[u8]) -> bool {
        self.0.members.contains(member)
    }

    /// Adds a member and says whether it is new.
    pub(in crate::embedded) fn add(&mut self, member: &[u8]) -> bool {
        if self.0.members.contains(member) {
            return false;
        }
        self.0.members.insert(member.into());
        self.0.bytes += member.len();
        let (count, is_int) =
            (self.0.members.len(), self.0.encoding == SetEncoding::Ints && parse_int(member).is_some());
        let small = count <= LISTPACK_MEMBERS && member.len() <= LISTPACK_VALUE;
        self.0.encoding = match self.0.encoding {
            SetEncoding::Ints if is_int && count <= MOST_INTS => SetEncoding::Ints,
            SetEncoding::Ints | SetEncoding::Listpack if small => SetEncoding::Listpack,
            _ => SetEncoding::Table,
        };
        true
    }

    pub(in crate::embedded) fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.0.members.swap_remove(member);
        self.0.bytes -= if removed { member.len() } else { 0 };
        removed
    }

    /// Takes the member at a position out.
    pub(in crate::embedded) fn take(&mut self, index: usize) -> Option<Blob> {
        let member = self.0.members.swap_remove_index(index)?;
        self.0.bytes -= member.len();
        Some(member)
    }

    /// The member at a position below [`len`](Self::len).
    pub(in crate::embedded) fn at(&self, index: usize) -> &[u8] {
        &self.0.members[index]
    }

    pub(in crate::embedded) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.members.iter().map(|member| &**member)
    }

    pub(in crate::embedded) fn encoding(&self) -> SetEncoding {
        self.0.encoding
    }
}

impl<'a> FromIterator<&'a [u8]> for Set {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(members: T) -> Self {
        let mut set = Self::default();
        members.into_iter().for_each(|member| {
            set.add(member);
        });
        set
    }
}
