//! A hash: one run of bytes while it is small, a table once it is not.
//!
//! Most hashes are jobs: some fifteen fields that are written together and read together. In one allocation, with each
//! length in front of its bytes, such a hash weighs little more than its text, and a field is found by walking over
//! lengths faster than a table would be built.

use super::{Blob, Indexed};

/// Most fields of a packed hash; Redis' own limit.
const PACKED_FIELDS: usize = 128;
/// Most bytes of a packed hash: a change moves what stands behind it.
const PACKED_BYTES: usize = 8 * 1024;
/// Longest field or value that Redis keeps in a listpack.
const LISTPACK_VALUE: usize = 64;

/// Fields and values.
#[derive(Clone, Debug)]
pub(in crate::embedded) enum Hash {
    /// No larger than its bytes. Whether it is a listpack is what `OBJECT ENCODING` says, which never goes back.
    Packed {
        bytes: Blob,
        fields: u8,
        listpack: bool,
    },
    Table(Box<Table>),
}

#[derive(Clone, Debug)]
pub(in crate::embedded) struct Table {
    fields: Indexed<Blob>,
    listpack: bool,
    /// Of all fields and values.
    bytes: usize,
}

/// Where a field of a packed hash stands.
struct Place {
    start: usize,
    /// Start of the value's length.
    value_start: usize,
    end: usize,
}

/// Reads a length (seven bits a byte, lowest first) and returns it with the position behind it.
fn read_length(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (length, at);
        }
        shift += 7;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time are taken on purpose")]
pub(super) fn push_packed(into: &mut Vec<u8>, item: &[u8]) {
    let mut length = item.len();
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
    into.extend_from_slice(item);
}

/// Bytes of an item of this length with the length in front.
pub(super) fn packed_length(length: usize) -> usize {
    length + usize::try_from((usize::BITS - (length | 1).leading_zeros()).div_ceil(7)).unwrap_or(0)
}

/// Sets a field of a packed hash and says whether it is new.
fn set_packed(bytes: &mut Vec<u8>, field: &[u8], value: &[u8]) -> bool {
    let Some(place) = find(bytes, field) else {
        push_packed(bytes, field);
        push_packed(bytes, value);
        return true;
    };
    let (old, start) = read_length(bytes, place.value_start);
    if old == value.len() {
        bytes[start..start + old].copy_from_slice(value);
    } else {
        let mut packed = Vec::with_capacity(value.len() + 4);
        push_packed(&mut packed, value);
        bytes.splice(place.value_start..place.end, packed);
    }
    false
}

/// Reads one item and returns it with the position behind it.
pub(super) fn read_packed(bytes: &[u8], at: usize) -> (&[u8], usize) {
    let (length, start) = read_length(bytes, at);
    (&bytes[start..start + length], start + length)
}

impl Default for Hash {
    fn default() -> Self {
        Self::Packed { bytes: Blob::default(), fields: 0, listpack: true }
    }
}

impl Hash {
    pub(in crate::embedded) fn len(&self) -> usize {
        match self {
            Self::Packed { fields, .. } => usize::from(*fields),
            Self::Table(table) => table.fields.len(),
        }
    }

    pub(in crate::embedded) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Packed { bytes, .. } => find(bytes, field).map(|place| read_packed(bytes, place.value_start).0),
            Self::Table(table) => table.fields.get(field).map(|value| &**value),
        }
    }

    pub(in crate::embedded) fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Sets a field and says whether it is new.
    pub(in crate::embedded) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_all(&[[field, value]]) > 0
    }

    /// Sets fields, and says how many are new. In one go, because a packed hash is made no larger than it must be.
    pub(in crate::embedded) fn set_all(&mut self, pairs: &[[&[u8]; 2]]) -> usize {
        let fits = pairs.iter().flatten().all(|item| item.len() <= LISTPACK_VALUE);
        let before = self.len();
        if let Self::Packed { bytes, fields, listpack } = self {
            let room: usize = pairs.iter().flatten().map(|item| item.len() + 4).sum();
            if before + pairs.len() <= PACKED_FIELDS && bytes.len() + room <= PACKED_BYTES {
                *listpack &= fits;
                let mut packed = std::mem::take(bytes).into_vec();
                let exact: usize = pairs.iter().flatten().map(|item| packed_length(item.len())).sum();
                packed.reserve_exact(exact);
                for [field, value] in pairs {
                    *fields += u8::from(set_packed(&mut packed, field, value));
                }
                *bytes = packed.into_boxed_slice();
                return self.len() - before;
            }
        }
        let mut table = self.take_table();
        table.listpack &= fits;
        for [field, value] in pairs {
            if let Some(old) = table.fields.get_mut(*field) {
                table.bytes = table.bytes + value.len() - old.len();
                *old = (*value).into();
            } else {
                table.bytes += field.len() + value.len();
                table.fields.insert((*field).into(), (*value).into());
            }
        }
        table.listpack &= table.fields.len() <= PACKED_FIELDS;
        *self = Self::Table(Box::new(table));
        self.len() - before
    }

    /// Everything as a table.
    fn take_table(&mut self) -> Table {
        match std::mem::take(self) {
            Self::Table(table) => *table,
            Self::Packed { bytes, listpack, .. } => {
                let packed = Iter::Packed { bytes: &bytes, at: 0 };
                let fields = packed.map(|(field, value)| (field.into(), value.into())).collect();
                let bytes = Iter::Packed { bytes: &bytes, at: 0 }.map(|(field, value)| field.len() + value.len()).sum();
                Table { fields, listpack, bytes }
            }
        }
    }

    /// Removes a field and says whether it was there.
    pub(in crate::embedded) fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Self::Packed { bytes, fields, .. } => {
                let Some(place) = find(bytes, field) else { return false };
                let mut packed = std::mem::take(bytes).into_vec();
                packed.drain(place.start..place.end);
                *bytes = packed.into_boxed_slice();
                *fields -= 1;
                true
            }
            Self::Table(table) => {
                let Some(value) = table.fields.swap_remove(field) else { return false };
                table.bytes -= field.len() + value.len();
                true
            }
        }
    }

    pub(in crate::embedded) fn iter(&self) -> Iter<'_> {
        match self {
            Self::Packed { bytes, .. } => Iter::Packed { bytes, at: 0 },
            Self::Table(table) => Iter::Table(table.fields.iter()),
        }
    }

    /// The field at a position below [`len`](Self::len).
    pub(in crate::embedded) fn at(&self, index: usize) -> (&[u8], &[u8]) {
        match self {
            Self::Packed { .. } => self.iter().nth(index).unwrap_or_default(),
            Self::Table(table) => {
                table.fields.get_index(index).map(|(field, value)| (&**field, &**value)).unwrap_or_default()
            }
        }
    }

    pub(super) fn encoding(&self) -> &'static str {
        let listpack = match self {
            Self::Packed { listpack, .. } => *listpack,
            Self::Table(table) => table.listpack,
        };
        if listpack { "listpack" } else { "hashtable" }
    }

    /// Of all fields and values.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Packed { bytes, .. } => bytes.len(),
            Self::Table(table) => table.bytes,
        }
    }

    /// Whether it is small: its fields then have no lasting positions.
    pub(in crate::embedded) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed { .. })
    }
}

fn find(bytes: &[u8], field: &[u8]) -> Option<Place> {
    let mut start = 0;
    while start < bytes.len() {
        let (name, value_start) = read_packed(bytes, start);
        let (length, value) = read_length(bytes, value_start);
        let end = value + length;
        if name == field {
            return Some(Place { start, value_start, end });
        }
        start = end;
    }
    None
}

/// Fields with their values.
pub(in crate::embedded) enum Iter<'a> {
    Packed { bytes: &'a [u8], at: usize },
    Table(indexmap::map::Iter<'a, Blob, Blob>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed { bytes, at } => {
                if *at == bytes.len() {
                    return None;
                }
                let (field, value_start) = read_packed(bytes, *at);
                let (value, end) = read_packed(bytes, value_start);
                *at = end;
                Some((field, value))
            }
            Self::Table(iter) => iter.next().map(|(field, value)| (&**field, &**value)),
        }
    }
}
