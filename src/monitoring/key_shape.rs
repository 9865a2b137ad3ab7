//! What of a key's name is its kind and what is an identifier: `user:profile:42` has the shape `user:profile:{id}`.
//!
//! A name is cut behind `:`, `/` and `|`. A part is an identifier by its letters alone: numbers, UUIDs, digests, ULIDs and
//! the like, mail addresses. In a part of several words (`user_42`, `report.2025.csv`) each word is looked at. What only a
//! comparison with other keys can tell (`story:detail:my-adventure`) is left to the [tree](super::pattern_tree).

use std::borrow::Cow;

/// What stands for an identifier, and for a date.
pub(super) const ID: &str = "{id}";
const DATE: &str = "{date}";

/// Parts that are told apart; the last stands for all that is behind.
pub(super) const MOST_PARTS: usize = 10;
/// A longer part is no name that somebody thought of.
const LONGEST_PART: usize = 64;

const CUTS: [char; 3] = [':', '/', '|'];
const JOINTS: [char; 3] = ['_', '-', '.'];

/// The parts of a key's shape, each with what it is cut off by; from the `most`th on, what is left is one.
pub(super) fn parts(key: &str, most: usize) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = Some(key);
    let mut count = 0;
    std::iter::from_fn(move || {
        let left = rest.take()?;
        count += 1;
        if count >= most && left.find(CUTS).is_some_and(|cut| cut + 1 < left.len()) {
            return Some(Cow::Borrowed(ID));
        }
        let end = left.find(CUTS);
        let (part, cut) = end.map_or((left, ""), |end| (&left[..end], &left[end..=end]));
        // A cut at the end of the name has nothing behind it.
        rest = end.map(|end| &left[end + 1..]).filter(|rest| !rest.is_empty());
        let shape = shape_of(part);
        Some(match (shape, cut) {
            (shape, "") => shape,
            (Cow::Borrowed(shape), _) if std::ptr::eq(shape, part) => Cow::Borrowed(&left[..=end.unwrap_or_default()]),
            (shape, cut) => Cow::Owned(format!("{shape}{cut}")),
        })
    })
}

fn shape_of(part: &str) -> Cow<'_, str> {
    if part.len() > LONGEST_PART || part.contains(|letter: char| letter.is_control() || letter == '\u{fffd}') {
        return Cow::Borrowed(ID);
    }
    // Braces of a hash tag stay.
    let core = part.trim_start_matches('{').trim_end_matches('}');
    let shape = class_of(core).map(Cow::Borrowed).or_else(|| words_of(core).map(Cow::Owned));
    match shape {
        None => Cow::Borrowed(part),
        Some(shape) if core.len() == part.len() => shape,
        Some(shape) => {
            let opened = part.len() - part.trim_start_matches('{').len();
            Cow::Owned(format!("{}{shape}{}", &part[..opened], &part[opened + core.len()..]))
        }
    }
}

/// What a whole part is, by its letters.
fn class_of(text: &str) -> Option<&'static str> {
    if is_date(text) {
        return Some(DATE);
    }
    let is_mail = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let is_id = is_number(text.strip_prefix('-').unwrap_or(text)) || is_uuid(text) || is_mail || is_random(text);
    is_id.then_some(ID)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `2025-01`, `2025-01-31`, `2025-01-31T…`.
fn is_date(text: &str) -> bool {
    let text = text.split_once('T').map_or(text, |(date, _)| date);
    let mut fields = text.split('-');
    let mut field = |digits: usize, most: u32| {
        fields
            .next()
            .filter(|field| field.len() == digits && is_number(field))
            .is_some_and(|field| field.parse::<u32>().is_ok_and(|number| number >= 1 && number <= most))
    };
    let has_month = field(4, 2999) && field(2, 12);
    match text.len() {
        7 => has_month,
        10 => has_month && field(2, 31),
        _ => false,
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Digests, ULIDs, nanoids and their like: what nobody would choose as a word.
fn is_random(text: &str) -> bool {
    let bytes = text.as_bytes();
    let count = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    if digits == 0 {
        return false;
    }
    let has_three_kinds = count(u8::is_ascii_uppercase) > 0 && count(u8::is_ascii_lowercase) > 0;
    if bytes.len() >= 16
        && has_three_kinds
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
    {
        return true;
    }
    if bytes.len() < 8 || !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let changes = bytes.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
    bytes.iter().all(u8::is_ascii_hexdigit) || changes >= 3 || bytes.len() >= 20
}

/// A part of several words, with identifiers among them.
fn words_of(part: &str) -> Option<String> {
    let mut shape = String::new();
    let mut found = false;
    for word in part.split_inclusive(JOINTS) {
        let (name, joint) = word.strip_suffix(JOINTS).map_or((word, ""), |name| (name, &word[name.len()..]));
        match class_of(name) {
            // One behind the other, as in an address, are one.
            Some(ID) if shape.strip_suffix(JOINTS).unwrap_or(&shape).ends_with(ID) => {
                shape.truncate(shape.rfind('}').unwrap_or_default() + 1);
                shape.push_str(joint);
            }
            Some(class) => {
                shape.push_str(class);
                shape.push_str(joint);
                found = true;
            }
            None => shape.push_str(word),
        }
    }
    found.then_some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_known_by_their_letters() {
        for (key, shape) in [
            ("user:profile:42", "user:profile:{id}"),
            ("user:profile:9f0c1f5e-3a55-4c4d-9a53-1b1f3f1f0a01", "user:profile:{id}"),
            ("session:01ARZ3NDEKTSV4RRFFQ69G5FAV", "session:{id}"),
            ("session:V1StGXR8_Z5jdHi6B-myT", "session:{id}"),
            ("api:/users/17:5d41402abc4b2a76b9719d911017c592", "api:/users/{id}:{id}"),
            ("token:blacklist:deadbeef01", "token:blacklist:{id}"),
            ("story:list:user:user_123", "story:list:user:user_{id}"),
            ("mail:a.b@example.org", "mail:{id}"),
            ("stats:2025-01-31:visits", "stats:{date}:visits"),
            ("stats:2025-01", "stats:{date}"),
            ("ip:10.0.0.1", "ip:{id}"),
            ("report.2025.csv", "report.{id}.csv"),
            ("{user:42}:cart", "{user:{id}}:cart"),
            ("{order77}:{42}", "{order77}:{{id}}"),
            ("bull:mail:meta", "bull:mail:meta"),
            ("story:list:published", "story:list:published"),
            ("v1:sha256:x", "v1:sha256:x"),
            ("temperature:-5", "temperature:{id}"),
            ("a:b:", "a:b:"),
            ("", ""),
            ("::", "::"),
            ("2025-13-01", "{id}"),
            ("a:b:c:d:e:f:g:h:i:j:k:l", "a:b:c:d:e:f:g:h:i:{id}"),
        ] {
            assert_eq!(parts(key, MOST_PARTS).collect::<String>(), shape, "{key}");
        }
        assert_eq!(parts(&format!("blob:{}", "x".repeat(65)), MOST_PARTS).collect::<String>(), "blob:{id}");
    }
}
