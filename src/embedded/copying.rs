//! A copy of all keys as they were at one moment, taken while commands go on.
//!
//! # The idea
//!
//! At the moment itself nothing is copied. A walker goes through the keys a little at a time. A command that writes puts each
//! key that it looks at into the copy first (its *image*), unless the walker or an earlier command has. So a key is written
//! out once, and only those that change meanwhile cost that on the path of a command.
//!
//! # Large values
//!
//! The walker copies a large value in several parts, one in each turn, and remembers how far it came. Nothing changes the
//! value in between: who is about to puts the rest into the copy first. A copy is the text of commands from the beginning,
//! which is a small part of the work that a second value of the same kind would be.
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

use super::data::Blob;

/// Commands that make a key, or a part of one, as it was, and the database that it was in.
#[derive(Debug)]
pub(super) struct Copied {
    pub home: usize,
    pub commands: Vec<u8>,
}

/// A large value of which the walker has copied a part, and the element that comes next.
#[derive(Debug)]
pub(super) struct Partial {
    pub key: Blob,
    pub next: usize,
}

/// The copy of one database.
#[derive(Debug)]
pub(super) struct Copying {
    pub home: usize,
    pub number: u32,
    /// Keys from here on have been walked past.
    pub cursor: usize,
    pub partial: Option<Partial>,
    pub images: Vec<Copied>,
    pub writing: bool,
}

impl Copying {
    pub(super) fn new(home: usize, number: u32, keys: usize) -> Self {
        Self { home, number, cursor: keys, partial: None, images: Vec::new(), writing: false }
    }
}
