//! How a value is stored, and read again.
//!
//! A value crosses from and to JavaScript as text. JSON is stored as it is, so that anything can read it. What is no plain
//! JSON (`MessagePack`, or anything compressed) begins with one byte that no UTF-8 text begins with:
//!
//! ```text
//! 1 0 v v c c s s     v: version of this layout, 0      c: 0 as it is, 1 zstd, 2 lz4      s: 0 JSON, 1 MessagePack
//! ```
//!
//! After the byte of a compressed value come its true size, in four bytes (little-endian), and the compressed bytes. A size
//! beyond what a value may have is refused before anything is unpacked, and unpacking writes no byte more than that size.
//!
//! In this process `MessagePack` is text too: the character [`BINARY`], then one character for each byte. So the levels and
//! the crossing know one kind of value.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::{Error, ErrorCode, Result};

/// The first character of a text that stands for bytes.
pub const BINARY: char = '\u{2}';

/// Values up to this size are packed and unpacked where they are; it takes some microseconds.
const SMALL: usize = 8 * 1024;

const HEADER: u8 = 0b1000_0000;
const HEADER_MASK: u8 = 0b1100_0000;
const VERSION_MASK: u8 = 0b0011_0000;
const SIZE_BYTES: usize = 4;
/// Level 1 of zstd: three quarters of the gain at a fifth of the time of its default.
const ZSTD_LEVEL: i32 = 1;

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serializer {
    #[default]
    Json,
    Msgpack,
}

/// How large values are made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Compression {
    /// Bytes from which on a value is compressed.
    pub threshold: f64,
    #[serde(default)]
    pub algorithm: Algorithm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Smaller. The default.
    #[default]
    Zstd,
    /// Faster.
    Lz4,
}

/// Bytes of a value that is in this process as `text`.
pub fn size(text: &str) -> usize {
    text.strip_prefix(BINARY).map_or(text.len(), |bytes| bytes.chars().count())
}

/// Whether [`pack`] takes so long that it belongs on a thread of its own.
pub fn is_long_to_pack(text: &str, compression: Option<Compression>) -> bool {
    text.len() > SMALL && compression.is_some_and(|compression| reaches(text.len(), compression.threshold))
}

/// The bytes to store for `text`.
pub fn pack(text: &str, compression: Option<Compression>) -> Cow<'_, [u8]> {
    let (serializer, value) = match text.strip_prefix(BINARY) {
        Some(characters) => (1, Cow::Owned(characters.chars().map(|character| character as u8).collect())),
        None => (0, Cow::Borrowed(text.as_bytes())),
    };
    if let Some(compression) = compression
        && reaches(value.len(), compression.threshold)
        && let Some(packed) = compress(&value, compression.algorithm, serializer)
    {
        return Cow::Owned(packed);
    }
    if serializer == 0 {
        return value;
    }
    Cow::Owned([&[HEADER | serializer], &*value].concat())
}

/// Nothing when it would not be smaller.
fn compress(value: &[u8], algorithm: Algorithm, serializer: u8) -> Option<Vec<u8>> {
    let size = u32::try_from(value.len()).ok()?.to_le_bytes();
    let (code, body) = match algorithm {
        Algorithm::Zstd => (1, zstd::bulk::compress(value, ZSTD_LEVEL).ok()?),
        Algorithm::Lz4 => (2, lz4_flex::block::compress(value)),
    };
    let worth_it = 1 + SIZE_BYTES + body.len() < value.len();
    worth_it.then(|| [&[HEADER | code << 2 | serializer][..], &size, &body].concat())
}

/// The text of stored bytes, whose value may have `limit` bytes. Long work is done on a thread of its own.
///
/// # Errors
/// `CacheEntryUnreadable` with what is wrong with them.
pub(super) async fn unpack(bytes: &[u8], limit: usize) -> Result<String> {
    if declared(bytes).is_some_and(|size| size > SMALL && size <= limit) {
        let bytes = bytes.to_vec();
        let unpacking = tokio::task::spawn_blocking(move || unpack_here(&bytes, limit));
        return unpacking.await.map_err(|_| Error::closed("worker thread"))?;
    }
    unpack_here(bytes, limit)
}

/// The size that a compressed value says it has.
fn declared(bytes: &[u8]) -> Option<usize> {
    let (&header, rest) = bytes.split_first()?;
    let compressed = header & HEADER_MASK == HEADER && header & 0b1100 != 0;
    let size = rest.first_chunk::<SIZE_BYTES>().filter(|_| compressed)?;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

fn unpack_here(bytes: &[u8], limit: usize) -> Result<String> {
    let Some((&header, body)) = bytes.split_first() else { return Ok(String::new()) };
    if header == BINARY as u8 {
        return Err(unreadable("begins with the byte 2, which no JSON does"));
    }
    if header & HEADER_MASK != HEADER {
        return Ok(text(bytes.to_vec()));
    }
    let version = (header & VERSION_MASK) >> 4;
    if version != 0 {
        return Err(unreadable(&format!("is of version {version} of the format; known: 0")));
    }
    let value = match (header >> 2) & 0b11 {
        0 => Cow::Borrowed(body),
        code @ (1 | 2) => Cow::Owned(decompress(code, bytes, limit)?),
        code => return Err(unreadable(&format!("is compressed in the unknown way {code}"))),
    };
    match header & 0b11 {
        0 => String::from_utf8(value.into_owned()).map_err(|_| unreadable("is no UTF-8 text once unpacked")),
        1 => Ok([BINARY].into_iter().chain(value.iter().map(|&byte| char::from(byte))).collect()),
        code => Err(unreadable(&format!("is serialized in the unknown way {code}"))),
    }
}

fn decompress(code: u8, bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let size = declared(bytes).ok_or_else(|| unreadable("ends before its size"))?;
    if size > limit {
        return Err(unreadable(&format!("has {size} bytes unpacked; allowed: {limit}")));
    }
    let body = &bytes[1 + SIZE_BYTES..];
    let value = if code == 1 {
        zstd::bulk::decompress(body, size).map_err(|error| unreadable(&format!("is no zstd: {error}")))?
    } else {
        lz4_flex::block::decompress(body, size).map_err(|error| unreadable(&format!("is no lz4: {error}")))?
    };
    if value.len() == size { Ok(value) } else { Err(unreadable("has not the size that it says")) }
}

/// Text as it is; what others wrote and is none keeps what can be read of it.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

pub(super) fn unreadable(why: &str) -> Error {
    Error::new(ErrorCode::CacheEntryUnreadable, format!("a stored cache entry {why}"))
}

#[expect(clippy::cast_precision_loss, reason = "no value has 2^53 bytes")]
fn reaches(size: usize, threshold: f64) -> bool {
    size as f64 >= threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000_000;

    fn with(algorithm: Algorithm) -> Compression {
        Compression { threshold: 100.0, algorithm }
    }

    fn binary(bytes: &[u8]) -> String {
        [BINARY].into_iter().chain(bytes.iter().map(|&byte| char::from(byte))).collect()
    }

    #[test]
    fn plain_json_is_stored_as_it_is() {
        assert_eq!(&*pack("{\"a\":1}", None), b"{\"a\":1}");
        assert_eq!(&*pack("{\"a\":1}", Some(with(Algorithm::Zstd))), b"{\"a\":1}", "below the threshold");
        assert_eq!(unpack_here("grüß".as_bytes(), LIMIT).unwrap(), "grüß");
    }

    #[test]
    fn every_form_comes_back_as_it_went_in() {
        let json = format!("[{}]", vec!["\"Grüße\""; 500].join(","));
        let every_byte: Vec<u8> = (0..=255).cycle().take(4_000).collect();
        for text in [json, binary(&every_byte), binary(b"")] {
            for compression in [None, Some(with(Algorithm::Zstd)), Some(with(Algorithm::Lz4))] {
                let packed = pack(&text, compression);
                assert_eq!(unpack_here(&packed, LIMIT).unwrap(), text);
                if compression.is_some() && text.len() > 100 {
                    assert!(packed.len() < size(&text) / 2, "{} bytes of {}", packed.len(), size(&text));
                    assert!(std::str::from_utf8(&packed).is_err(), "nobody takes it for text");
                }
            }
        }
    }

    #[test]
    fn what_grows_is_left_as_it_is() {
        let noise: String = (0..300).map(|_| char::from(fastrand::u8(0x21..0x7f))).collect();
        assert_eq!(&*pack(&noise, Some(with(Algorithm::Lz4))), noise.as_bytes());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_panic() {
        let mut bomb = pack(&"x".repeat(900_000), Some(with(Algorithm::Zstd))).into_owned();
        assert!(bomb.len() < 1_000);
        assert_eq!(unpack_here(&bomb, 899_999).unwrap_err().code(), ErrorCode::CacheEntryUnreadable);
        // A size that is a lie does not make more room than it says.
        bomb[1..5].copy_from_slice(&10_u32.to_le_bytes());
        assert_eq!(unpack_here(&bomb, LIMIT).unwrap_err().code(), ErrorCode::CacheEntryUnreadable);
        for bytes in [&[0x90, 1][..], &[0x8c, 1, 0, 0, 0, 1], &[0x82, 1], &[0x84, 1], &[0x88, 1, 0, 0, 0, 255], &[2, 1]]
        {
            assert_eq!(unpack_here(bytes, LIMIT).unwrap_err().code(), ErrorCode::CacheEntryUnreadable, "{bytes:?}");
        }
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..fastrand::usize(1..40)).map(|_| fastrand::u8(..)).collect();
            let _ = unpack_here(&bytes, 10_000);
        }
    }

    #[test]
    fn large_values_are_known_and_unpacked_aside() {
        let text = "abc".repeat(100_000);
        assert!(is_long_to_pack(&text, Some(with(Algorithm::Lz4))) && !is_long_to_pack(&text, None));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(unpack(&pack(&text, Some(with(Algorithm::Lz4))), LIMIT).await.unwrap(), text);
        });
    }
}
