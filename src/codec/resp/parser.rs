//! One complete frame to a [`Reply`] that borrows it.

use super::{MAX_DEPTH, Reply, frame_scanner::length, violation};
use crate::error::Result;

/// Parses a frame that [`super::FrameScanner`] found complete.
///
/// Verbatim strings lose their three-letter format, attributes are skipped, errors of either form become
/// [`Reply::Error`]. Streamed aggregates of RESP3 (`*?`), which no server sends, are refused.
///
/// # Errors
/// `ProtocolViolation`, also when bytes are missing or left over.
pub fn parse(frame: &[u8]) -> Result<Reply<'_>> {
    let mut rest = frame;
    let reply = value(&mut rest, MAX_DEPTH)?;
    if rest.is_empty() { Ok(reply) } else { Err(violation("a frame holds more than one value")) }
}

fn value<'a>(rest: &mut &'a [u8], depth: usize) -> Result<Reply<'a>> {
    let (kind, line) = take_line(rest)?;
    Ok(match kind {
        b'+' => Reply::Simple(line),
        b'-' => Reply::Error(line),
        b':' => Reply::Int(integer(line)?),
        b'$' => match length(line, true)? {
            Some(length) => Reply::Bulk(take_body(rest, length)?),
            None => Reply::Nil,
        },
        b'*' => match length(line, true)? {
            Some(count) => Reply::Array(values(rest, count, depth)?),
            None => Reply::Nil,
        },
        b'_' if line.is_empty() => Reply::Nil,
        b'#' => match line {
            b"t" => Reply::Bool(true),
            b"f" => Reply::Bool(false),
            _ => return Err(violation("a boolean is neither t nor f")),
        },
        b',' => Reply::Double(double(line)?),
        b'(' => Reply::BigNumber(big_number(line)?),
        b'!' => Reply::Error(take_body(rest, count(line)?)?),
        b'=' => match take_body(rest, count(line)?)? {
            [_, _, _, b':', text @ ..] => Reply::Bulk(text),
            _ => return Err(violation("a verbatim string has no format")),
        },
        b'~' => Reply::Set(values(rest, count(line)?, depth)?),
        b'>' => Reply::Push(values(rest, count(line)?, depth)?),
        b'%' => Reply::Map(pairs(rest, count(line)?, depth)?),
        b'|' => {
            let depth = deeper(depth)?;
            for _ in 0..count(line)? {
                value(rest, depth)?;
                value(rest, depth)?;
            }
            value(rest, depth)?
        }
        _ => return Err(violation("a reply starts with an unknown type")),
    })
}

fn values<'a>(rest: &mut &'a [u8], count: usize, depth: usize) -> Result<Vec<Reply<'a>>> {
    let depth = if count == 0 { depth } else { deeper(depth)? };
    // The smallest value has three bytes, so a wrong count cannot make this allocate more than the frame deserves.
    let mut items = Vec::with_capacity(count.min(rest.len() / 3));
    for _ in 0..count {
        items.push(value(rest, depth)?);
    }
    Ok(items)
}

fn pairs<'a>(rest: &mut &'a [u8], count: usize, depth: usize) -> Result<Vec<(Reply<'a>, Reply<'a>)>> {
    let depth = if count == 0 { depth } else { deeper(depth)? };
    let mut pairs = Vec::with_capacity(count.min(rest.len() / 6));
    for _ in 0..count {
        pairs.push((value(rest, depth)?, value(rest, depth)?));
    }
    Ok(pairs)
}

fn deeper(depth: usize) -> Result<usize> {
    depth.checked_sub(1).ok_or_else(|| violation("a reply is nested too deeply"))
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8])> {
    let end = memchr::memchr2(b'\r', b'\n', rest).ok_or_else(truncated)?;
    match (rest.first(), rest.get(end..)) {
        (Some(&kind), Some([b'\r', b'\n', after @ ..])) if end > 0 => {
            let line = &rest[1..end];
            *rest = after;
            Ok((kind, line))
        }
        _ => Err(violation("a line does not end in CR LF")),
    }
}

fn take_body<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (body, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
    *rest = after.strip_prefix(b"\r\n").ok_or_else(|| violation("a string does not end where its length says"))?;
    Ok(body)
}

fn count(line: &[u8]) -> Result<usize> {
    length(line, false)?.ok_or_else(|| violation("a length is not a number in range"))
}

fn integer(line: &[u8]) -> Result<i64> {
    std::str::from_utf8(line)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| violation("an integer is not a number in range"))
}

fn double(line: &[u8]) -> Result<&[u8]> {
    let number = std::str::from_utf8(line).is_ok_and(|text| text.parse::<f64>().is_ok());
    if number { Ok(line) } else { Err(violation("a double is not a number")) }
}

fn big_number(line: &[u8]) -> Result<&[u8]> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if number { Ok(line) } else { Err(violation("a big number is not a number")) }
}

fn truncated() -> crate::error::Error {
    violation("a frame ends too early")
}
