//! A string.

use super::Blob;
use crate::embedded::number::parse_int;

/// Bytes that can be changed in place.
#[expect(clippy::box_collection, reason = "one word beside the two of the other, so that no key pays for a third")]
#[derive(Clone, Debug)]
pub(in crate::embedded) enum Text {
    /// As it was set: no larger than its bytes.
    Set(Blob),
    /// Changed in place since, with room to grow: what Redis then encodes as `raw`, whatever the length.
    Edited(Box<Vec<u8>>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Set(Blob::default())
    }
}

impl Text {
    pub(in crate::embedded) fn new(bytes: impl Into<Blob>) -> Self {
        Self::Set(bytes.into())
    }

    pub(in crate::embedded) fn bytes(&self) -> &[u8] {
        match self {
            Self::Set(bytes) => bytes,
            Self::Edited(bytes) => bytes,
        }
    }

    /// The bytes, to be changed in place.
    pub(in crate::embedded) fn edit(&mut self) -> &mut Vec<u8> {
        if let Self::Set(bytes) = self {
            *self = Self::Edited(Box::new(std::mem::take(bytes).into_vec()));
        }
        match self {
            Self::Edited(bytes) => bytes,
            Self::Set(_) => unreachable!("turned into the other just now"),
        }
    }

    pub(super) fn encoding(&self) -> &'static str {
        let is_set = matches!(self, Self::Set(_));
        if is_set && self.bytes().len() <= 20 && parse_int(self.bytes()).is_some() {
            "int"
        } else if is_set && self.bytes().len() <= 44 {
            "embstr"
        } else {
            "raw"
        }
    }
}
