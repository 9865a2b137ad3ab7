//! UTF-8 as the engine has it to the two forms in which V8 keeps strings, done where the time is not the JavaScript
//! thread's: one byte a character where all are Latin-1, two otherwise. V8's own UTF-8 decoder is two to six times slower.

use encoding_rs::mem;

/// The longest string that V8 makes, in UTF-16 units (and so, for any text, at most this many).
pub(super) const MAX_STRING: usize = (1 << 29) - 24;

/// Where a string was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// `narrow[at..at + length]`, one byte a character.
    Narrow { at: usize, length: usize },
    /// `wide[at..at + length]`, UTF-16.
    Wide { at: usize, length: usize },
}

/// Appends `text` to the arena that its characters need. Bytes that are not UTF-8 become U+FFFD, as in `TextDecoder`.
pub(super) fn place(text: &[u8], narrow: &mut Vec<u8>, wide: &mut Vec<u16>) -> Placed {
    if text.is_ascii() {
        let at = narrow.len();
        narrow.extend_from_slice(text);
        return Placed::Narrow { at, length: text.len() };
    }
    if mem::is_utf8_latin1(text) {
        let at = narrow.len();
        // One byte a character is never longer than UTF-8.
        narrow.resize(at + text.len(), 0);
        let length = mem::convert_utf8_to_latin1_lossy(text, &mut narrow[at..]);
        narrow.truncate(at + length);
        return Placed::Narrow { at, length };
    }
    let at = wide.len();
    // The converter wants room for one unit a byte and one more.
    wide.resize(at + text.len() + 1, 0);
    let length = mem::convert_utf8_to_utf16(text, &mut wide[at..]);
    wide.truncate(at + length);
    Placed::Wide { at, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &[u8]) -> (bool, String) {
        let (mut narrow, mut wide) = (vec![7], vec![7]);
        match place(text, &mut narrow, &mut wide) {
            Placed::Narrow { at, length } => {
                assert_eq!((at, at + length), (1, narrow.len()));
                (true, narrow[at..].iter().map(|&byte| char::from(byte)).collect())
            }
            Placed::Wide { at, length } => {
                assert_eq!((at, at + length), (1, wide.len()));
                (false, String::from_utf16(&wide[at..]).unwrap())
            }
        }
    }

    #[test]
    fn every_plane_survives_in_the_narrowest_form() {
        for (text, narrow) in [
            ("", true),
            ("plain", true),
            ("é ÿ", true),
            ("Ā", false),
            ("日本", false),
            ("a😀é", false),
            ("\u{ffff}", false),
        ] {
            assert_eq!(round_trip(text.as_bytes()), (narrow, text.to_owned()));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        for bytes in [&b"a\xff"[..], b"\xf0\x9f\x98", b"\xc3", b"\xed\xa0\x80x", b"\xc0\x80"] {
            assert_eq!(round_trip(bytes), (false, String::from_utf8_lossy(bytes).into_owned()));
        }
    }
}
