//! Strings as arrays of bits.

use super::super::{
    args::{Args, int, int_in, is, positions},
    context::{Context, count, flag},
    data::{Data, Text},
    failure::{Answer, Failure, SYNTAX},
    table::{FAST, GROWS, Keys, ONE, READ, Row, WRITE},
};
use super::strings::LONGEST;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("getbit", 3, READ | FAST, ONE, getbit),
    Row::new("setbit", 4, WRITE | GROWS, ONE, setbit),
    Row::new("bitcount", -2, READ, ONE, bitcount),
    Row::new("bitpos", -3, READ, ONE, bitpos),
    Row::new("bitop", -4, WRITE | GROWS, Keys::At(2, -1, 1), bitop),
];

fn offset(arg: &[u8]) -> Result<(usize, u8), Failure> {
    let most = i64::try_from(LONGEST * 8 - 1).unwrap_or(i64::MAX);
    let bit = int_in(arg, 0, most, Failure::fixed("ERR bit offset is not an integer or out of range"))?;
    Ok((usize::try_from(bit >> 3).unwrap_or(0), 0x80 >> (bit & 7)))
}

fn getbit(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (byte, mask) = offset(args[2])?;
    let text = context.get::<Text>(args[1])?;
    Ok(flag(text.and_then(|text| text.bytes().get(byte)).is_some_and(|bits| bits & mask != 0)))
}

fn setbit(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (byte, mask) = offset(args[2])?;
    let on = int_in(args[3], 0, 1, Failure::fixed("ERR bit is not an integer or out of range"))? == 1;
    let bytes = context.get_or_create::<Text>(args[1])?.edit();
    let grows = bytes.len() <= byte;
    if grows {
        bytes.resize(byte + 1, 0);
    }
    let was = bytes[byte] & mask != 0;
    bytes[byte] = if on { bytes[byte] | mask } else { bytes[byte] & !mask };
    if grows || was != on {
        context.changed(args[1]);
    }
    Ok(flag(was))
}

fn is_backwards(start: i64, end: i64) -> bool {
    start < 0 && end < 0 && start > end
}

fn bitcount(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if context.get::<Text>(args[1])?.is_none() {
        return Ok(Value::Int(0));
    }
    let (start, end, by_bit) = match args[2..] {
        [] => (0, -1, false),
        [start, end] => (int(start)?, int(end)?, false),
        [start, end, unit] => {
            let (start, end) = (int(start)?, int(end)?);
            if is_backwards(start, end) {
                return Ok(Value::Int(0));
            }
            if !is(unit, "BIT") && !is(unit, "BYTE") {
                return Err(SYNTAX);
            }
            (start, end, is(unit, "BIT"))
        }
        _ => return Err(SYNTAX),
    };
    let Some(text) = context.get::<Text>(args[1])? else { return Ok(Value::Int(0)) };
    let bytes = text.bytes();
    if is_backwards(start, end) {
        return Ok(Value::Int(0));
    }
    // Unlike other ranges, an end before the start of the string is its first byte.
    let length = bytes.len() * if by_bit { 8 } else { 1 };
    let end = if end < 0 { end.saturating_add(i64::try_from(length).unwrap_or(i64::MAX)).max(0) } else { end };
    let (from, until) = positions(start, end, length);
    let ones = if by_bit {
        (from..until).filter(|bit| bytes[bit / 8] & (0x80 >> (bit % 8)) != 0).count()
    } else {
        bytes[from..until].iter().map(|byte| byte.count_ones() as usize).sum()
    };
    Ok(count(ones))
}

/// The first bit that is `wanted`, as a place in all of the string.
fn bitpos(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let wanted = match int(args[2])? {
        0 => false,
        1 => true,
        _ => return Err(Failure::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let Some(text) = context.get::<Text>(args[1])? else { return Ok(Value::Int(if wanted { -1 } else { 0 })) };
    let bytes = text.bytes();
    let (start, end, by_bit) = match args[3..] {
        [] => (0, None, false),
        [start] => (int(start)?, None, false),
        [start, end] => (int(start)?, Some(int(end)?), false),
        [start, end, unit] => {
            let start = int(start)?;
            if !is(unit, "BIT") && !is(unit, "BYTE") {
                return Err(SYNTAX);
            }
            (start, Some(int(end)?), is(unit, "BIT"))
        }
        _ => return Err(SYNTAX),
    };
    let total = i64::try_from(bytes.len() * if by_bit { 8 } else { 1 }).unwrap_or(i64::MAX);
    let resolve = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let (from, to) = (resolve(start), end.map_or(total - 1, resolve).min(total - 1));
    if from > to {
        return Ok(Value::Int(-1));
    }
    let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
    let (from, until) = if by_bit { (from, to + 1) } else { (from * 8, (to + 1) * 8) };
    let skipped = if wanted { 0x00 } else { 0xff };
    let mut bit = from;
    while bit < until {
        let byte = bytes[bit / 8];
        if bit % 8 == 0 && byte == skipped {
            bit += 8;
        } else if (byte & (0x80 >> (bit % 8)) != 0) == wanted {
            return Ok(count(bit));
        } else {
            bit += 1;
        }
    }
    // Zeros follow a string for ever, unless its end was named.
    Ok(if wanted || end.is_some() { Value::Int(-1) } else { count(until) })
}

fn bitop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let combine: fn(u8, u8) -> u8 = match () {
        () if is(args[1], "AND") => |left, right| left & right,
        () if is(args[1], "OR") => |left, right| left | right,
        () if is(args[1], "XOR") => |left, right| left ^ right,
        () if is(args[1], "NOT") => |left, _| !left,
        () => return Err(SYNTAX),
    };
    if is(args[1], "NOT") && args.len() != 4 {
        return Err(Failure::fixed("ERR BITOP NOT must be called with a single source key."));
    }
    let mut sources = Vec::with_capacity(args.len() - 3);
    for key in &args[3..] {
        sources.push(context.get::<Text>(key)?.map_or_else(Vec::new, |text| text.bytes().to_vec()));
    }
    let length = sources.iter().map(Vec::len).max().unwrap_or(0);
    if length == 0 {
        context.remove(args[2]);
        return Ok(Value::Int(0));
    }
    let mut sources = sources.into_iter();
    let mut result = sources.next().unwrap_or_default();
    result.resize(length, 0);
    if is(args[1], "NOT") {
        for byte in &mut result {
            *byte = combine(*byte, 0);
        }
    }
    for source in sources {
        for (at, byte) in result.iter_mut().enumerate() {
            *byte = combine(*byte, source.get(at).copied().unwrap_or(0));
        }
    }
    context.set(args[2], Data::Text(Text::new(result)), super::super::keyspace::NEVER);
    Ok(count(length))
}
