//! Strings as arrays of bits.

use super::super::{
    args::{Args, int, int_in, is, positions},
    context::{Context, count, flag},
    data::Text,
    failure::{Answer, Failure, SYNTAX},
    table::{FAST, GROWS, ONE, READ, Row, WRITE},
};
use super::strings::LONGEST;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("getbit", 3, READ | FAST, ONE, getbit),
    Row::new("setbit", 4, WRITE | GROWS, ONE, setbit),
    Row::new("bitcount", -2, READ, ONE, bitcount),
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
