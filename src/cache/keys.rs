//! Every Redis key of a cache, and what a caller may use as key, tag or pattern.

use std::fmt::Write;

use crate::error::{Error, ErrorCode, Result};

/// Longest tag, in characters.
pub const MAX_TAG_LENGTH: usize = 256;
/// Most tags of one entry.
pub const MAX_TAGS: usize = 64;

/// What the cache's own records begin with, after the prefix. Callers' keys may not.
/// What agendas begin with, before any prefix of a cache. They stand outside of it, unless it is empty: then they are told
/// from entries by this, and left alone.
pub(super) const KEPT: &str = "#cache:";
const RESERVED: [&str; 6] = ["#tag", KEPT, LEASE, LOCK, SWEEP, DATABASE];
const LEASE: &str = "#lease:";
const LOCK: &str = "#lock:";
const SWEEP: &str = "#sweep";
const DATABASE: &str = "#l3";
const TAG: &str = "#tag:";
const TAGGED: &str = "#tagged:";

/// Names of a cache's keys in Redis.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    max_length: usize,
}

impl Keys {
    pub(super) fn new(prefix: String, max_length: usize) -> Self {
        Self { prefix, max_length }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key under which a caller's key is stored.
    pub(super) fn entry(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    /// The key that holds the version of a tag.
    pub(super) fn tag_version(&self, tag: &str) -> String {
        [&self.prefix, &*Self::tag_name(tag)].concat()
    }

    /// The same without the prefix.
    pub(super) fn tag_name(tag: &str) -> String {
        [TAG, tag].concat()
    }

    /// The key that counts the keys written under a tag.
    pub(super) fn tag_members(&self, tag: &str) -> String {
        [&self.prefix, TAGGED, tag].concat()
    }

    /// Whether a stored key below the prefix is work that is still to be done, which no flush takes away; or the version of
    /// a sweep, which ends the leases that were taken before it, and itself in time; or what keeps others from rows of level 3.
    pub(super) fn is_kept(&self, stored: &[u8]) -> bool {
        stored.strip_prefix(self.prefix.as_bytes()).is_some_and(|key| {
            key.starts_with(KEPT.as_bytes()) || key.starts_with(DATABASE.as_bytes()) || key == SWEEP.as_bytes()
        })
    }

    /// The key that holds the token of those who load an entry that is missing.
    pub(super) fn lease(&self, key: &str) -> String {
        [&self.prefix, LEASE, key].concat()
    }

    /// The same by the key under which the entry is stored.
    pub(super) fn lease_of(&self, stored: &str) -> String {
        self.lease(stored.strip_prefix(&*self.prefix).unwrap_or(stored))
    }

    /// The key that holds the token of the one process that loads an entry.
    pub(super) fn lock(&self, key: &str) -> String {
        [&self.prefix, LOCK, key].concat()
    }

    /// The key that holds the version of the last pattern delete or flush.
    pub(super) fn sweep(&self) -> String {
        [&self.prefix, SWEEP].concat()
    }

    /// The key that is there while a row of level 3 may not have ended that should.
    pub(super) fn ending(&self, name: &str) -> String {
        [&self.prefix, DATABASE, ":", name].concat()
    }

    /// The key that is there when rows of level 3 did not end that should have.
    pub(super) fn database_closed(&self) -> String {
        [&self.prefix, DATABASE, "closed"].concat()
    }

    /// Whether a key begins like one of the cache's own records.
    fn is_reserved(key: &[u8]) -> bool {
        RESERVED.iter().any(|reserved| key.starts_with(reserved.as_bytes()))
    }

    /// Whether a stored key is a caller's, and not a record of the cache itself.
    pub(super) fn is_entry(&self, stored: &[u8]) -> bool {
        stored.strip_prefix(self.prefix.as_bytes()).is_some_and(|key| !Self::is_reserved(key))
    }

    /// The name, without the prefix, of what a stored key stands for on which values depend: an entry, also when only
    /// the lease on it ended, or the version of a tag.
    pub(super) fn dependent(name: &[u8]) -> Option<&str> {
        let name = std::str::from_utf8(name).ok()?;
        Some(name.strip_prefix(LEASE).unwrap_or(name))
            .filter(|name| !name.starts_with(TAGGED) && !name.starts_with(DATABASE))
    }

    /// A glob for SCAN that matches what `pattern` matches below the prefix.
    pub(super) fn glob(&self, pattern: &str) -> String {
        let mut glob = escape(&self.prefix);
        glob.push_str(pattern);
        glob
    }

    /// The caller's key of a stored one.
    pub(super) fn name<'a>(&self, stored: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(stored.strip_prefix(self.prefix.as_bytes())?).ok()
    }

    /// A glob for every key that begins with `start`.
    pub(super) fn starting_glob(&self, start: &str) -> String {
        let mut glob = escape(&self.prefix);
        let _ = write!(glob, "{}*", escape(start));
        glob
    }

    /// A glob for every key that begins with `start` and has `part` later on.
    pub(super) fn containing_glob(&self, start: &str, part: &str) -> String {
        let mut glob = self.starting_glob(start);
        let _ = write!(glob, "{}*", escape(part));
        glob
    }

    /// A glob for every key that begins with `namespace:`.
    pub(super) fn namespace_glob(&self, namespace: &str) -> String {
        let mut glob = escape(&self.prefix);
        let _ = write!(glob, "{}:*", escape(namespace));
        glob
    }

    /// Refuses a key that is empty, too long or reserved.
    #[expect(clippy::cast_precision_loss, reason = "no key has 2^53 characters")]
    pub(super) fn check(&self, key: &str) -> Result<()> {
        if key.is_empty() {
            return Err(Error::invalid_argument("key", "empty", "a string of at least one character"));
        }
        // A string has at most as many characters as bytes, so most keys need no count.
        if key.len() > self.max_length {
            let length = key.chars().count();
            if length > self.max_length {
                let message = format!("a cache key of {length} characters is too long; allowed: {}", self.max_length);
                return Err(Error::new(ErrorCode::CacheKeyTooLong, message)
                    .with("key", key.chars().take(64).collect::<String>())
                    .with("limit", self.max_length as f64));
            }
        }
        if Self::is_reserved(key.as_bytes()) {
            let reserved = RESERVED.map(|reserved| format!("`{reserved}`")).join(", ");
            let allowed = format!("any that does not begin with {reserved}, which the cache keeps for itself");
            return Err(Error::invalid_argument("key", &format!("`{key}`"), &allowed));
        }
        Ok(())
    }

    /// Refuses tags that are empty, too long or too many.
    pub(super) fn check_tags(tags: &[String]) -> Result<()> {
        if tags.len() > MAX_TAGS {
            let allowed = format!("at most {MAX_TAGS}");
            return Err(Error::invalid_argument("tags", &format!("a list of {}", tags.len()), &allowed));
        }
        for tag in tags {
            let length = tag.chars().count();
            if length == 0 || length > MAX_TAG_LENGTH {
                let allowed = format!("1 to {MAX_TAG_LENGTH} characters");
                return Err(Error::invalid_argument("tags", &format!("a tag of {length} characters"), &allowed));
            }
        }
        Ok(())
    }
}

/// Takes the special meaning from the characters of a Redis glob.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(prefix: &str) -> Keys {
        Keys::new(prefix.to_owned(), 8)
    }

    #[test]
    fn a_prefix_has_no_glob_characters_in_a_pattern() {
        assert_eq!(keys("a*[b]?\\:").glob("user:*"), "a\\*\\[b\\]\\?\\\\:user:*");
        assert_eq!(keys("c:").starting_glob("u*:"), "c:u\\*:*");
    }

    #[test]
    fn a_key_is_measured_in_characters() {
        assert!(keys("").check("äöüäöüäö").is_ok());
        assert_eq!(keys("").check("123456789").unwrap_err().code(), ErrorCode::CacheKeyTooLong);
        assert_eq!(keys("").check("").unwrap_err().code(), ErrorCode::InvalidArgument);
    }

    #[test]
    fn the_records_of_the_cache_are_out_of_reach() {
        let keys = keys("c:");
        for key in ["#tag:x", "#cache:"] {
            assert_eq!(keys.check(key).unwrap_err().code(), ErrorCode::InvalidArgument);
        }
        assert!(keys.is_kept(b"c:#cache:{w}:due") && !keys.is_entry(b"c:#cache:{w}:due") && !keys.is_kept(b"c:x"));
        assert!(keys.is_entry(b"c:x") && !keys.is_entry(keys.tag_version("x").as_bytes()) && !keys.is_entry(b"d:x"));
    }

    #[test]
    fn tags_are_bounded_in_number_and_length() {
        assert!(Keys::check_tags(&["a".to_owned()]).is_ok());
        assert!(Keys::check_tags(&[String::new()]).is_err());
        assert!(Keys::check_tags(&["x".repeat(MAX_TAG_LENGTH + 1)]).is_err());
        assert!(Keys::check_tags(&vec!["a".to_owned(); MAX_TAGS + 1]).is_err());
    }
}
