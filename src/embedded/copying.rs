//! A copy of all keys as they were at one moment, taken while commands go on.
//!
//! # The idea
//!
//! At the moment itself nothing is copied. A walker goes through the keys a little at a time. A command that writes puts each
//! key that it looks at into the copy first (its *image*), unless the walker or an earlier command has. So a key costs a
//! clone once, and only those that change meanwhile cost it on the path of a command.
//!
//! # What belongs to the copy
//!
//! Each key remembers the number of the last copy that needs nothing of it any more. The walker, an image and a key's
//! creation set it; a key with the number of the present copy is passed over. So a key that was removed and made again, that
//! came from another database or another name, is in the copy once, as it was.
//!
//! # What need not
//!
//! A key that expires or is flushed before its turn is missing in the copy. Nothing that was written since the copy began
//! has looked at it (an image would have been taken), and its removal stands among what was written since. `SWAPDB` exchanges
//! databases with all they know; `home` says where the keys were.

use super::{data::Blob, keyspace::Entry};

/// Database, key and value, as they were.
pub(super) type Copied = (usize, Blob, Entry);

/// The copy of one database.
#[derive(Debug)]
pub(super) struct Copying {
    pub home: usize,
    pub number: u32,
    /// Keys from here on have been walked past.
    pub cursor: usize,
    pub images: Vec<Copied>,
    pub writing: bool,
}

impl Copying {
    pub(super) fn new(home: usize, number: u32, keys: usize) -> Self {
        Self { home, number, cursor: keys, images: Vec::new(), writing: false }
    }
}
