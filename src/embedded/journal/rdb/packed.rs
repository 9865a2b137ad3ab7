//! Small collections, which servers keep in one run of bytes: listpacks, ziplists, sets of integers, and zipmaps.

use super::source::{Outcome, damage};

/// Bytes that are read from front to back.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return damage("a packed collection ends in the middle");
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().unwrap_or([0; N]))
    }

    fn byte(&mut self) -> Outcome<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn int24(&mut self) -> Outcome<i64> {
        let [low, middle, high] = self.array()?;
        Ok(i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8))
    }

    fn count(&mut self) -> Outcome<usize> {
        Ok(usize::try_from(u32::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Bytes(&'a [u8]),
    Int(i64),
}

impl Element<'_> {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Int(number) => number.to_string().into_bytes(),
        }
    }

    pub(super) fn score(&self) -> Outcome<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a score that was kept as an integer is one")]
            Self::Int(number) => Ok(*number as f64),
            Self::Bytes(bytes) => {
                let score = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                score.map_or_else(|| damage("a score is no number"), Ok)
            }
        }
    }

    pub(super) fn int(&self) -> Outcome<i64> {
        match self {
            Self::Int(number) => Ok(*number),
            Self::Bytes(_) => damage("a number is expected in a packed collection"),
        }
    }
}

/// Elements of a listpack.
pub(super) fn listpack(bytes: &[u8]) -> Outcome<Vec<Element<'_>>> {
    let mut cursor = Cursor { rest: bytes };
    if cursor.count()? != bytes.len() {
        return damage("a listpack has another length than it says");
    }
    let _count: [u8; 2] = cursor.array()?;
    let mut elements = Vec::new();
    loop {
        let before = cursor.rest;
        let first = cursor.byte()?;
        let element = match first {
            0..=0x7f => Element::Int(i64::from(first)),
            0x80..=0xbf => Element::Bytes(cursor.take(usize::from(first & 0x3f))?),
            0xc0..=0xdf => {
                let number = i64::from(first & 0x1f) << 8 | i64::from(cursor.byte()?);
                Element::Int(if number < 1 << 12 { number } else { number - (1 << 13) })
            }
            0xe0..=0xef => {
                let length = usize::from(first & 0x0f) << 8 | usize::from(cursor.byte()?);
                Element::Bytes(cursor.take(length)?)
            }
            0xf0 => {
                let length = cursor.count()?;
                Element::Bytes(cursor.take(length)?)
            }
            0xf1 => Element::Int(i64::from(i16::from_le_bytes(cursor.array()?))),
            0xf2 => Element::Int(cursor.int24()?),
            0xf3 => Element::Int(i64::from(i32::from_le_bytes(cursor.array()?))),
            0xf4 => Element::Int(i64::from_le_bytes(cursor.array()?)),
            0xff if cursor.rest.is_empty() => return Ok(elements),
            _ => return damage("an element of a listpack is of no known form"),
        };
        let length = before.len() - cursor.rest.len();
        skip_back_length(&mut cursor, length)?;
        elements.push(element);
    }
}

/// Behind each element of a listpack stands its length, lowest seven bits last, each byte but the first marked. Versions
/// disagree on how many bytes a length at a limit takes, so the one that fits is taken.
fn skip_back_length(cursor: &mut Cursor<'_>, length: usize) -> Outcome<()> {
    for count in 1..=5 {
        let Some((back, rest)) = cursor.rest.split_at_checked(count) else { break };
        let marked = back[1..].iter().all(|byte| byte & 0x80 != 0) && back[0] & 0x80 == 0;
        let value = back.iter().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
        if marked && value == length {
            cursor.rest = rest;
            return Ok(());
        }
    }
    damage("an element of a listpack has another length than it says")
}

/// Elements of a ziplist.
pub(super) fn ziplist(bytes: &[u8]) -> Outcome<Vec<Element<'_>>> {
    let mut cursor = Cursor { rest: bytes };
    if cursor.count()? != bytes.len() {
        return damage("a ziplist has another length than it says");
    }
    let _tail_and_count: [u8; 6] = cursor.array()?;
    let mut elements = Vec::new();
    loop {
        // The length of the element before.
        match cursor.byte()? {
            0xff if cursor.rest.is_empty() => return Ok(elements),
            0xff => return damage("a ziplist ends before its length"),
            0xfe => drop(cursor.count()?),
            _ => {}
        }
        let first = cursor.byte()?;
        elements.push(match first {
            0..=0x3f => Element::Bytes(cursor.take(usize::from(first))?),
            0x40..=0x7f => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(cursor.byte()?);
                Element::Bytes(cursor.take(length)?)
            }
            0x80 => {
                let length = u32::from_be_bytes(cursor.array()?);
                Element::Bytes(cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            0xc0 => Element::Int(i64::from(i16::from_le_bytes(cursor.array()?))),
            0xd0 => Element::Int(i64::from(i32::from_le_bytes(cursor.array()?))),
            0xe0 => Element::Int(i64::from_le_bytes(cursor.array()?)),
            0xf0 => Element::Int(cursor.int24()?),
            0xfe => Element::Int(i64::from(i8::from_le_bytes(cursor.array()?))),
            0xf1..=0xfd => Element::Int(i64::from(first & 0x0f) - 1),
            _ => return damage("an element of a ziplist is of no known form"),
        });
    }
}

/// Members of a set of integers.
pub(super) fn intset(bytes: &[u8]) -> Outcome<Vec<i64>> {
    let mut cursor = Cursor { rest: bytes };
    let (size, count) = (cursor.count()?, cursor.count()?);
    if cursor.rest.len() != count.saturating_mul(size) {
        return damage("a set of integers has another length than it says");
    }
    let mut members = Vec::new();
    while !cursor.rest.is_empty() {
        members.push(match size {
            2 => i64::from(i16::from_le_bytes(cursor.array()?)),
            4 => i64::from(i32::from_le_bytes(cursor.array()?)),
            8 => i64::from_le_bytes(cursor.array()?),
            _ => return damage("a set of integers has integers of no known size"),
        });
    }
    Ok(members)
}

/// Fields and values of a zipmap, one after the other.
pub(super) fn zipmap(bytes: &[u8]) -> Outcome<Vec<Element<'_>>> {
    let mut cursor = Cursor { rest: bytes };
    cursor.byte()?;
    let length = |cursor: &mut Cursor<'_>| match cursor.byte()? {
        0xff => Ok(None),
        0xfe => cursor.count().map(Some),
        short => Ok(Some(usize::from(short))),
    };
    let mut elements = Vec::new();
    while let Some(field) = length(&mut cursor)? {
        elements.push(Element::Bytes(cursor.take(field)?));
        let Some(value) = length(&mut cursor)? else { return damage("a zipmap ends before a value") };
        let free = usize::from(cursor.byte()?);
        elements.push(Element::Bytes(cursor.take(value)?));
        cursor.take(free)?;
    }
    if cursor.rest.is_empty() { Ok(elements) } else { damage("a zipmap ends before its length") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(elements: Vec<Element<'_>>) -> Vec<String> {
        elements.into_iter().map(|element| String::from_utf8(element.into_bytes()).unwrap()).collect()
    }

    #[test]
    fn ziplists_and_zipmaps_of_old_servers() {
        let ziplist_bytes =
            b"\x1b\0\0\0\x17\0\0\0\x06\0\0\x01a\x03\xf1\x02\xfe\x85\x03\xc0\x39\x30\x04\xf0\x00\x00\x80\xff";
        let mut bytes = ziplist_bytes.to_vec();
        bytes[0] = u8::try_from(bytes.len()).unwrap();
        assert_eq!(shown(ziplist(&bytes).unwrap()), ["a", "0", "-123", "12345", "-8388608"]);
        assert_eq!(shown(zipmap(b"\x02\x01a\x02\x01bc!\x01d\x00\x00\xff").unwrap()), ["a", "bc", "d", ""]);
        assert!(zipmap(b"\x01\x01a\xff").is_err());
        for cut in 0..bytes.len() {
            assert!(ziplist(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn sets_of_integers() {
        assert_eq!(intset(b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\0").unwrap(), [-1, 5]);
        assert!(intset(b"\x03\0\0\0\x01\0\0\0abc").is_err());
        assert!(intset(b"\x08\0\0\0\xff\xff\xff\xffabcdefgh").is_err());
    }
}
