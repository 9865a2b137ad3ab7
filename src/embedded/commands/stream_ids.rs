//! Ids of stream entries as arguments.

use super::super::{
    args::{Args, is},
    data::StreamId,
    failure::{Failure, NOT_AN_INTEGER, SYNTAX},
    number::parse_int,
};

pub(super) const INVALID_ID: Failure = Failure::fixed("ERR Invalid stream ID specified as stream command argument");

/// A number as `strtoull` reads it.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let plain = digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// An id, with `seq` for the second number where it has none.
pub(super) fn strict_id(arg: &[u8], seq: u64) -> Result<StreamId, Failure> {
    let (ms, rest) = match memchr::memchr(b'-', arg) {
        Some(dash) => (&arg[..dash], Some(&arg[dash + 1..])),
        None => (arg, None),
    };
    let id = number(ms).and_then(|ms| match rest {
        None => Some(StreamId { ms, seq }),
        Some(rest) => number(rest).map(|seq| StreamId { ms, seq }),
    });
    id.ok_or(INVALID_ID)
}

/// An id, or `-` and `+` for the lowest and the highest.
pub(super) fn id(arg: &[u8], seq: u64) -> Result<StreamId, Failure> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        arg => strict_id(arg, seq),
    }
}

/// The start of a range, included.
pub(super) fn interval_start(start: &[u8]) -> Result<StreamId, Failure> {
    match start {
        [b'(', arg @ ..] => strict_id(arg, 0)?.next().ok_or(Failure::fixed("ERR invalid start ID for the interval")),
        arg => id(arg, 0),
    }
}

/// The two ends of `XRANGE`, each included.
pub(super) fn interval(start: &[u8], end: &[u8]) -> Result<(StreamId, StreamId), Failure> {
    let from = interval_start(start)?;
    let to = match end {
        [b'(', arg @ ..] => {
            strict_id(arg, u64::MAX)?.previous().ok_or(Failure::fixed("ERR invalid end ID for the interval"))?
        }
        arg => id(arg, u64::MAX)?,
    };
    Ok((from, to))
}

/// What is trimmed off.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trim {
    MaxLength(usize),
    MinId(StreamId),
}

/// The id that a new entry asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewId {
    Auto,
    /// The first number; the second is the stream's to choose.
    AutoSeq(u64),
    Given(StreamId),
}

/// The options of `XADD` and `XTRIM`.
#[derive(Debug)]
pub(super) struct AddOptions {
    pub trim: Option<Trim>,
    /// Entries trimmed at most.
    pub limit: usize,
    pub no_create: bool,
    pub id: NewId,
    /// Where the fields start.
    pub fields: usize,
}

/// What an approximate trim removes at most, unless told.
const APPROXIMATE_LIMIT: usize = 100 * 100;

impl AddOptions {
    /// Reads the arguments from the third on.
    pub(super) fn parse(args: Args<'_>, adding: bool) -> Result<Self, Failure> {
        let mut options = Self { trim: None, limit: usize::MAX, no_create: false, id: NewId::Auto, fields: args.len() };
        let (mut approximate, mut limit) = (false, None);
        let mut at = 2;
        while at < args.len() {
            let (word, more) = (args[at], args.len() - 1 - at);
            let (maxlen, minid) = (is(word, "MAXLEN"), is(word, "MINID"));
            if adding && word == b"*" {
                options.fields = at + 1;
                break;
            } else if (maxlen || minid) && more > 0 {
                if options.trim.is_some() {
                    return Err(Failure::fixed(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let marked = more >= 2 && (args[at + 1] == b"~" || args[at + 1] == b"=");
                approximate = marked && args[at + 1] == b"~";
                at += 1 + usize::from(marked);
                options.trim = Some(if maxlen {
                    let length = parse_int(args[at]).ok_or(NOT_AN_INTEGER)?;
                    let negative = Failure::fixed("ERR The MAXLEN argument must be >= 0.");
                    Trim::MaxLength(usize::try_from(length).map_err(|_| negative)?)
                } else {
                    Trim::MinId(strict_id(args[at], 0)?)
                });
            } else if is(word, "LIMIT") && more > 0 {
                at += 1;
                let most = parse_int(args[at]).ok_or(NOT_AN_INTEGER)?;
                let negative = Failure::fixed("ERR The LIMIT argument must be >= 0.");
                limit = Some(usize::try_from(most).map_err(|_| negative)?);
            } else if adding && is(word, "NOMKSTREAM") {
                options.no_create = true;
            } else if adding {
                options.id = match word.strip_suffix(b"-*") {
                    Some(ms) => NewId::AutoSeq(number(ms).ok_or(INVALID_ID)?),
                    None => NewId::Given(strict_id(word, 0)?),
                };
                options.fields = at + 1;
                break;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        if limit.is_some_and(|limit| limit > 0) && options.trim.is_none() {
            return Err(Failure::fixed(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if !adding && options.trim.is_none() {
            return Err(Failure::fixed("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if limit.is_some() && !approximate {
            return Err(Failure::fixed("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        options.limit = match limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None if approximate => APPROXIMATE_LIMIT,
            None => usize::MAX,
        };
        Ok(options)
    }
}
