//! How a tagged entry is stored.
//!
//! An entry without tags is plain JSON, which anything that reads Redis can parse. An entry with tags begins with the byte
//! 1, which no JSON text does, then one line of JSON that names its tags and the version that each had *before* the value
//! was loaded, then the value. Invalidating a tag gives it a new version, and every entry that carries an older one is dead
//! where it lies: nothing needs to find it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// First byte of a tagged entry.
pub(super) const TAGGED: u8 = 1;

/// The line in front of a tagged value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct TagLine {
    /// Version of each tag. Digits, because they may exceed what a JSON number holds in every reader.
    #[serde(rename = "t")]
    pub versions: BTreeMap<String, String>,
    /// When the entry was written, in milliseconds since the epoch.
    #[serde(rename = "c")]
    pub created_ms: i64,
    /// How much longer than its value is fresh the entry is kept, in milliseconds: the last part of its life.
    #[serde(rename = "g", default, skip_serializing_if = "is_zero")]
    pub stale_ms: u64,
    /// How long the value took to load, in milliseconds, where it is to be refreshed early.
    #[serde(rename = "d", default, skip_serializing_if = "is_zero")]
    pub load_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A stored entry, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    /// The value, with no tags.
    Plain(&'a [u8]),
    /// A value and its tags.
    Tagged(TagLine, &'a [u8]),
    /// It begins as a tagged entry does, but its first line cannot be read. It counts as missing.
    Broken,
}

/// Takes a stored entry apart.
pub(super) fn parse(bytes: &[u8]) -> Stored<'_> {
    let Some((&TAGGED, rest)) = bytes.split_first() else { return Stored::Plain(bytes) };
    let line = memchr::memchr(b'\n', rest).and_then(|end| {
        let line = serde_json::from_slice(&rest[..end]).ok()?;
        Some((line, &rest[end + 1..]))
    });
    match line {
        Some((line, value)) => Stored::Tagged(line, value),
        None => Stored::Broken,
    }
}

/// Whether every tag of the line has the version that Redis has now. `current` is in the order of `line.versions`.
pub(super) fn holds(line: &TagLine, current: &[Option<String>]) -> bool {
    line.versions.len() == current.len()
        && line.versions.values().zip(current).all(|(mine, now)| now.as_ref() == Some(mine))
}

/// Puts the line in front of a value.
pub(super) fn encode(line: &TagLine, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![TAGGED];
    serde_json::to_writer(&mut bytes, line).expect("strings and a number can be written as JSON to memory");
    bytes.push(b'\n');
    bytes.extend_from_slice(value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> TagLine {
        TagLine {
            versions: [("b".into(), "2".into()), ("a\n".into(), "1".into())].into(),
            created_ms: 5,
            ..TagLine::default()
        }
    }

    #[test]
    fn a_tagged_entry_comes_apart_as_it_was_put_together() {
        let bytes = encode(&line(), b"{\"x\":1}");
        assert_eq!(bytes, b"\x01{\"t\":{\"a\\n\":\"1\",\"b\":\"2\"},\"c\":5}\n{\"x\":1}");
        assert_eq!(parse(&bytes), Stored::Tagged(line(), b"{\"x\":1}"));
    }

    #[test]
    fn everything_else_is_a_plain_value_or_missing() {
        assert_eq!(parse(b""), Stored::Plain(b""));
        assert_eq!(parse(b"plain text"), Stored::Plain(b"plain text"));
        assert_eq!(parse(b"\x01no line"), Stored::Broken);
        assert_eq!(parse(b"\x01no json\n1"), Stored::Broken);
    }

    #[test]
    fn a_missing_or_changed_version_kills_the_entry() {
        let versions = |a: Option<&str>, b: Option<&str>| [a.map(str::to_owned), b.map(str::to_owned)];
        assert!(holds(&line(), &versions(Some("1"), Some("2"))));
        assert!(!holds(&line(), &versions(Some("1"), Some("3"))));
        assert!(!holds(&line(), &versions(None, Some("2"))));
        assert!(!holds(&line(), &[Some("1".to_owned())]));
    }
}
