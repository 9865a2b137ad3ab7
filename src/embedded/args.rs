//! Reading arguments.

use super::{
    data::{LexBound, ScoreBound},
    failure::{Failure, NOT_A_FLOAT, NOT_AN_INTEGER},
    number::{parse_float, parse_int},
};

/// A command's arguments, its name first.
pub(super) type Args<'a> = &'a [&'a [u8]];

/// Arguments in two parts: keys behind a count, and what follows them.
pub(super) type Split<'a> = Result<(Args<'a>, Args<'a>), Failure>;

/// Whether an argument is this word, in any case.
pub(super) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

pub(super) fn int(arg: &[u8]) -> Result<i64, Failure> {
    parse_int(arg).ok_or(NOT_AN_INTEGER)
}

/// An integer of which only some are allowed.
pub(super) fn int_in(arg: &[u8], min: i64, max: i64, failure: Failure) -> Result<i64, Failure> {
    parse_int(arg).filter(|number| (min..=max).contains(number)).ok_or(failure)
}

/// A count of zero or more.
pub(super) fn count(arg: &[u8], failure: Failure) -> Result<usize, Failure> {
    parse_int(arg).and_then(|number| usize::try_from(number).ok()).ok_or(failure)
}

pub(super) fn float(arg: &[u8]) -> Result<f64, Failure> {
    parse_float(arg).ok_or(NOT_A_FLOAT)
}

/// Text for a message, which ends at a zero byte.
pub(super) fn text(arg: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(arg.split(|&byte| byte == 0).next().unwrap_or_default())
}

/// One end of a range of scores: `5`, `(5`, `-inf`. Read as `strtod` does: nothing is zero, and space may come first.
pub(super) fn score_bound(arg: &[u8]) -> Result<ScoreBound, Failure> {
    let (exclusive, digits) = arg.strip_prefix(b"(").map_or((false, arg), |digits| (true, digits));
    if digits.is_empty() {
        return Ok(ScoreBound { score: 0.0, exclusive });
    }
    match parse_float(digits.trim_ascii_start()) {
        Some(score) => Ok(ScoreBound { score, exclusive }),
        None => Err(Failure::fixed("ERR min or max is not a float")),
    }
}

/// One end of a range of members: `[a`, `(a`, `-`, `+`.
pub(super) fn lex_bound(arg: &[u8]) -> Result<LexBound<'_>, Failure> {
    match arg {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(Failure::fixed("ERR min or max not valid string range item")),
    }
}

/// A range given by two positions that may count from the end, as `from..until` within `length`.
pub(super) fn positions(start: i64, stop: i64, length: usize) -> (usize, usize) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let resolve = |position: i64| if position < 0 { position.saturating_add(length) } else { position };
    let (start, stop) = (resolve(start).max(0), resolve(stop).min(length - 1));
    if start > stop {
        return (0, 0);
    }
    (usize::try_from(start).unwrap_or(0), usize::try_from(stop + 1).unwrap_or(0))
}
