//! The bytes of an RDB file: lengths, numbers, strings, and the checksum over all of it.

use std::io::{self, Read};

use super::lzf;

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    /// What is wrong with what stands there.
    Damage(String),
}

pub(super) type Outcome<T> = Result<T, Fault>;

pub(super) fn damage<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Fault::Damage(what.into()))
}

/// Longest string that Redis has.
const LONGEST: u64 = 512 * 1024 * 1024;
/// How much memory is taken on the word of a length.
const PIECE: usize = 64 * 1024;

/// A length, or the mark of a string that is kept as something else.
enum Length {
    Plain(u64),
    Encoded(u8),
}

/// A file that is being read.
pub(super) struct Source<R> {
    from: R,
    at: u64,
    /// Bytes of the file.
    length: u64,
    checksum: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(from: R, length: u64) -> Self {
        Self { from, at: 0, length, checksum: 0 }
    }

    /// Where the next byte stands.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The checksum of everything so far.
    pub(super) fn checksum(&self) -> u64 {
        self.checksum
    }

    fn take(&mut self, into: &mut [u8]) -> Outcome<()> {
        match self.from.read_exact(into) {
            Ok(()) => {
                self.at += into.len() as u64;
                self.checksum = crc64(self.checksum, into);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => damage("it ends here, in the middle"),
            Err(error) => Err(Fault::Io(error)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Outcome<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn any_length(&mut self) -> Outcome<Length> {
        let first = self.byte()?;
        Ok(Length::Plain(match first >> 6 {
            0 => u64::from(first),
            1 => u64::from(u16::from_be_bytes([first & 0x3f, self.byte()?])),
            2 if first == 0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            2 if first == 0x81 => u64::from_be_bytes(self.array()?),
            3 => return Ok(Length::Encoded(first & 0x3f)),
            _ => return damage("this is no length"),
        }))
    }

    /// A count, which everything counted is to be read for.
    pub(super) fn length(&mut self) -> Outcome<u64> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Encoded(_) => damage("a length is expected here"),
        }
    }

    pub(super) fn string(&mut self) -> Outcome<Vec<u8>> {
        let number = |number: i64| Ok(number.to_string().into_bytes());
        match self.any_length()? {
            Length::Plain(length) => self.bytes(length),
            Length::Encoded(0) => number(i64::from(i8::from_le_bytes(self.array()?))),
            Length::Encoded(1) => number(i64::from(i16::from_le_bytes(self.array()?))),
            Length::Encoded(2) => number(i64::from(i32::from_le_bytes(self.array()?))),
            Length::Encoded(3) => {
                let (packed, whole) = (self.length()?, self.length()?);
                if whole > LONGEST {
                    return damage("a string is longer than Redis has any");
                }
                let packed = self.bytes(packed)?;
                let whole = usize::try_from(whole).unwrap_or(usize::MAX);
                lzf::decompress(&packed, whole).map_or_else(|| damage("a compressed string is damaged"), Ok)
            }
            Length::Encoded(_) => damage("a string is kept in a way that is not known"),
        }
    }

    fn bytes(&mut self, length: u64) -> Outcome<Vec<u8>> {
        if length > LONGEST || length > self.length.saturating_sub(self.at) {
            return damage("a string is longer than the file");
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        // Piece by piece: the file may have become shorter meanwhile.
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + PIECE.max(start)), 0);
            self.take(&mut bytes[start..])?;
        }
        Ok(bytes)
    }

    /// A score as text, as the first versions kept it.
    pub(super) fn text_score(&mut self) -> Outcome<f64> {
        let length = self.byte()?;
        match length {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            _ => {
                let bytes = self.bytes(u64::from(length))?;
                let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
                number.map_or_else(|| damage("a score is no number"), Ok)
            }
        }
    }
}

/// CRC-64 with the polynomial of Jones, reflected, without inversions.
pub(super) fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = {
        let mut table = [0_u64; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = index as u64;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0x95ac_9329_ac4b_c9b5 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    bytes.iter().fold(crc, |crc, byte| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(crc64(0, b"12345"), b"6789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn lengths_and_strings_are_read_in_every_form() {
        let read = |bytes: &[u8]| Source::new(bytes, bytes.len() as u64).string();
        assert_eq!(read(b"\x03abc").unwrap(), b"abc");
        assert_eq!(read(&[b"\x41\x00".as_slice(), &[b'x'; 256]].concat()).unwrap(), [b'x'; 256]);
        assert_eq!(read(b"\x80\x00\x00\x00\x02ab").unwrap(), b"ab");
        assert_eq!(read(b"\x81\x00\x00\x00\x00\x00\x00\x00\x02ab").unwrap(), b"ab");
        assert_eq!(read(b"\xc0\x85").unwrap(), b"-123");
        assert_eq!(read(b"\xc1\x39\x30").unwrap(), b"12345");
        assert_eq!(read(b"\xc2\x00\x00\x00\x80").unwrap(), b"-2147483648");
        for damaged in
            [&b""[..], b"\x03ab", b"\x80\x7f\xff\xff\xffab", b"\x82", b"\xc4", b"\xc3\x02\x81\x7f", b"\xc3\x01\x0a\xff"]
        {
            assert!(matches!(read(damaged), Err(Fault::Damage(_))), "{damaged:?}");
        }
    }
}
