//! A string.

use crate::embedded::number::parse_int;

/// Bytes that can be changed in place.
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Text {
    bytes: Vec<u8>,
    /// Changed in place since it was set: what Redis then encodes as `raw`, whatever the length.
    edited: bool,
}

impl Text {
    pub(in crate::embedded) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), edited: false }
    }

    pub(in crate::embedded) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be changed in place.
    pub(in crate::embedded) fn edit(&mut self) -> &mut Vec<u8> {
        self.edited = true;
        &mut self.bytes
    }

    pub(super) fn encoding(&self) -> &'static str {
        if !self.edited && self.bytes.len() <= 20 && parse_int(&self.bytes).is_some() {
            "int"
        } else if !self.edited && self.bytes.len() <= 44 {
            "embstr"
        } else {
            "raw"
        }
    }
}
