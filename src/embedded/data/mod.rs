//! The types of values that a key can hold.

mod hash;
mod hyperloglog;
mod list;
mod set;
mod sorted_set;
mod stream;
mod stream_group;
mod text;

use hashbrown::DefaultHashBuilder;
use indexmap::{IndexMap, IndexSet};

pub(super) use hash::Hash;
pub(super) use hyperloglog::HyperLogLog;
pub(super) use list::List;
pub(super) use set::{Set, SetEncoding};
pub(super) use sorted_set::{LexBound, ScoreBound, SortedSet};
pub(super) use stream::{Fields, Stream, StreamId};
pub(super) use stream_group::{Group, Position};
pub(super) use text::Text;

/// Bytes that do not grow.
pub(super) type Blob = Box<[u8]>;
/// A map whose entries have positions: removal moves the last entry into the gap, so that any entry can be drawn by
/// chance, and a scan that goes down from the last position misses none.
pub(super) type Indexed<V> = IndexMap<Blob, V, DefaultHashBuilder>;
/// The same without values.
pub(super) type IndexedSet = IndexSet<Blob, DefaultHashBuilder>;

/// What a key holds.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Text(Text),
    Hash(Hash),
    List(List),
    Set(Set),
    SortedSet(Box<SortedSet>),
    Stream(Box<Stream>),
}

/// One type of value, so that a lookup can say which it expects.
pub(super) trait Kind: Default + Sized {
    fn of_mut(data: &mut Data) -> Option<&mut Self>;
    fn wrap(self) -> Data;
}

macro_rules! kinds {
    ($($variant:ident: $wrap:expr),+) => { $(
        impl Kind for $variant {
            fn of_mut(data: &mut Data) -> Option<&mut Self> {
                if let Data::$variant(value) = data { Some(value) } else { None }
            }
            fn wrap(self) -> Data {
                Data::$variant($wrap(self))
            }
        }
    )+ };
}

kinds!(
    Text: std::convert::identity,
    Hash: std::convert::identity,
    List: std::convert::identity,
    Set: std::convert::identity,
    SortedSet: Box::new,
    Stream: Box::new
);

impl Data {
    /// As `TYPE` names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Hash(_) => "hash",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::SortedSet(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }

    /// As `OBJECT ENCODING` names it.
    pub(super) fn encoding(&self) -> &'static str {
        match self {
            Self::Text(text) => text.encoding(),
            Self::Hash(hash) => hash.encoding(),
            Self::List(list) => list.encoding(),
            Self::Set(set) => set.encoding().name(),
            Self::SortedSet(set) => set.encoding(),
            Self::Stream(_) => "stream",
        }
    }

    /// About how many bytes it takes; known without looking at every element.
    pub(super) fn weight(&self) -> usize {
        /// An element's share of its table, and its allocation.
        const ELEMENT: usize = 48;
        match self {
            Self::Text(text) => text.bytes().len(),
            Self::Hash(hash) if hash.is_packed() => hash.bytes(),
            Self::Hash(hash) => hash.bytes() + hash.len() * 2 * ELEMENT,
            Self::List(list) => list.bytes() + list.len() * ELEMENT,
            Self::Set(set) => set.bytes() + set.len() * ELEMENT,
            Self::SortedSet(set) => set.bytes() + set.len() * 2 * ELEMENT,
            Self::Stream(stream) => stream.bytes() + stream.len() * ELEMENT,
        }
    }

    /// Whether the key goes away: collections do when they are empty, strings and streams never.
    pub(super) fn is_spent(&self) -> bool {
        match self {
            Self::Text(_) | Self::Stream(_) => false,
            Self::Hash(hash) => hash.len() == 0,
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.len() == 0,
            Self::SortedSet(set) => set.len() == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_not_paid_for_what_other_types_need() {
        // Every key has one of these; three words are what a small hash takes.
        assert!(size_of::<super::Data>() <= 24, "{}", size_of::<super::Data>());
    }
}
