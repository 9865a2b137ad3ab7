//! Scans: a few elements at a time, without missing one that stays.
//!
//! Elements have positions, and a scan goes down from the last. A removal moves the last element, which the scan has
//! given already, into the gap; a new element comes last, where the scan has been. So whatever was there from start to end
//! is given, with nothing kept between the calls but the position.

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk},
    data::{Hash, Set, SetEncoding, SortedSet},
    failure::{Answer, Failure, SYNTAX},
    glob::glob_matches,
    number::float_text,
    table::{Keys, ONE, READ, Row},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("scan", -2, READ, Keys::None, scan),
    Row::new("hscan", -3, READ, ONE, hscan),
    Row::new("sscan", -3, READ, ONE, sscan),
    Row::new("zscan", -3, READ, ONE, zscan),
];

struct Options<'a> {
    cursor: u64,
    pattern: Option<&'a [u8]>,
    count: usize,
    kind: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(cursor: u64, args: &[&'a [u8]], of_keys: bool) -> Result<Self, Failure> {
        let mut options = Self { cursor, pattern: None, count: 10, kind: None };
        let (pairs, rest) = args.as_chunks::<2>();
        for &[word, value] in pairs {
            if is(word, "COUNT") {
                let count = int(value)?;
                options.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(SYNTAX)?;
            } else if is(word, "MATCH") {
                options.pattern = Some(value).filter(|&pattern| pattern != b"*");
            } else if of_keys && is(word, "TYPE") {
                options.kind = Some(value);
            } else {
                return Err(SYNTAX);
            }
        }
        if rest.is_empty() { Ok(options) } else { Err(SYNTAX) }
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_matches(pattern, name, false))
    }

    /// The positions to look at, and the cursor of the next call.
    fn window(&self, length: usize) -> (std::ops::Range<usize>, u64) {
        let end = match usize::try_from(self.cursor) {
            Ok(0) | Err(_) => length,
            Ok(cursor) => cursor.min(length),
        };
        let start = end.saturating_sub(self.count);
        (start..end, start as u64)
    }
}

/// A cursor as `strtoul` reads it: nothing is zero, and a sign is allowed.
fn cursor(arg: &[u8]) -> Result<u64, Failure> {
    let text = std::str::from_utf8(arg).map_err(|_| INVALID_CURSOR)?;
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    if text.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(INVALID_CURSOR);
    }
    let number: u64 = digits.parse().map_err(|_| INVALID_CURSOR)?;
    Ok(if negative { number.wrapping_neg() } else { number })
}

const INVALID_CURSOR: Failure = Failure::fixed("ERR invalid cursor");

fn reply(cursor: u64, items: Vec<Value>) -> Value {
    Value::Array(vec![bulk(itoa::Buffer::new().format(cursor)), Value::Array(items)])
}

fn scan(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let options = Options::parse(cursor(args[1])?, &args[2..], true)?;
    let now = context.now;
    let db = context.db();
    let (window, next) = options.window(db.len());
    let mut keys = Vec::new();
    for (key, entry) in window.rev().filter_map(|index| db.at(index)) {
        let kind_fits = options.kind.is_none_or(|kind| is(kind, entry.data.type_name()));
        if entry.expires >= now && kind_fits && options.matches(key) {
            keys.push(bulk(key));
        }
    }
    Ok(reply(next, keys))
}

fn hscan(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let from = cursor(args[2])?;
    if context.get::<Hash>(args[1])?.is_none() {
        return Ok(reply(0, Vec::new()));
    }
    let options = Options::parse(from, &args[3..], false)?;
    let Some(hash) = context.get::<Hash>(args[1])? else { return Ok(reply(0, Vec::new())) };
    // A small hash has no lasting positions, and is given whole.
    let (window, next) = if hash.is_packed() { (0..hash.len(), 0) } else { options.window(hash.len()) };
    let items: Vec<Value> = if hash.is_packed() {
        hash.iter().filter(|(field, _)| options.matches(field)).flat_map(|(f, v)| [bulk(f), bulk(v)]).collect()
    } else {
        let pairs = window.rev().map(|index| hash.at(index)).filter(|(field, _)| options.matches(field));
        pairs.flat_map(|(field, value)| [bulk(field), bulk(value)]).collect()
    };
    Ok(reply(next, items))
}

fn sscan(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let from = cursor(args[2])?;
    if context.get::<Set>(args[1])?.is_none() {
        return Ok(reply(0, Vec::new()));
    }
    let options = Options::parse(from, &args[3..], false)?;
    let Some(set) = context.get::<Set>(args[1])? else { return Ok(reply(0, Vec::new())) };
    let whole = set.encoding() != SetEncoding::Table;
    let (window, next) = if whole { (0..set.len(), 0) } else { options.window(set.len()) };
    let members = window.rev().map(|index| set.at(index)).filter(|member| options.matches(member));
    Ok(reply(next, members.map(bulk).collect()))
}

fn zscan(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let from = cursor(args[2])?;
    if context.get::<SortedSet>(args[1])?.is_none() {
        return Ok(reply(0, Vec::new()));
    }
    let options = Options::parse(from, &args[3..], false)?;
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(reply(0, Vec::new())) };
    let both = |(member, score): (&[u8], f64)| [bulk(member), bulk(float_text(score))];
    if set.is_listpack() {
        let items = set.iter().filter(|(member, _)| options.matches(member)).flat_map(both);
        return Ok(reply(0, items.collect()));
    }
    let (window, next) = options.window(set.slots());
    let members = window.rev().filter_map(|slot| set.in_slot(slot)).filter(|(member, _)| options.matches(member));
    Ok(reply(next, members.flat_map(both).collect()))
}
