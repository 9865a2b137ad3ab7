//! Strings as arrays of integers of any width: `BITFIELD`.

use super::super::{
    args::{Args, int, is},
    context::Context,
    data::Text,
    failure::{Answer, Failure, SYNTAX},
    number::parse_int,
    table::{FAST, GROWS, ONE, READ, Row, WRITE},
};
use super::strings::LONGEST;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("bitfield", -2, WRITE | GROWS, ONE, bitfield),
    Row::new("bitfield_ro", -2, READ | FAST, ONE, bitfield_ro),
];

/// What happens to a number that does not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy)]
struct Field {
    signed: bool,
    bits: u32,
    /// The first bit.
    offset: usize,
}

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Set(i64),
    Add(i64),
}

type Operation = (Verb, Field, Overflow);

impl Field {
    fn parse(kind: &[u8], offset: &[u8]) -> Result<Self, Failure> {
        let invalid = Failure::fixed(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, bits) = match kind {
            [b'i', bits @ ..] => (true, parse_int(bits)),
            [b'u', bits @ ..] => (false, parse_int(bits)),
            _ => return Err(invalid),
        };
        let most = if signed { 64 } else { 63 };
        let bits = bits.filter(|bits| (1..=most).contains(bits)).and_then(|bits| u32::try_from(bits).ok());
        let bits = bits.ok_or(invalid)?;
        let wrong = Failure::fixed("ERR bit offset is not an integer or out of range");
        let (number, factor) = match offset {
            [b'#', number @ ..] => (number, i64::from(bits)),
            number => (number, 1),
        };
        let offset = parse_int(number).and_then(|number| number.checked_mul(factor));
        let offset = offset.and_then(|offset| usize::try_from(offset).ok()).filter(|offset| offset >> 3 < LONGEST);
        Ok(Self { signed, bits, offset: offset.ok_or(wrong)? })
    }

    fn end(self) -> usize {
        self.offset + self.bits as usize
    }

    fn read(self, bytes: &[u8]) -> i128 {
        let raw = (self.offset..self.end()).fold(0_u64, |number, bit| {
            let byte = bytes.get(bit / 8).copied().unwrap_or(0);
            number << 1 | u64::from(byte >> (7 - bit % 8) & 1)
        });
        self.in_range(i128::from(raw))
    }

    fn write(self, bytes: &mut [u8], number: i128) {
        for (place, bit) in (self.offset..self.end()).rev().enumerate() {
            let mask = 0x80 >> (bit % 8);
            if number >> place & 1 == 1 {
                bytes[bit / 8] |= mask;
            } else {
                bytes[bit / 8] &= !mask;
            }
        }
    }

    /// The number that the lowest bits of `number` stand for.
    fn in_range(self, number: i128) -> i128 {
        let number = number & ((1 << self.bits) - 1);
        if self.signed && number >> (self.bits - 1) & 1 == 1 { number - (1 << self.bits) } else { number }
    }

    /// Whether a number's distance to the largest is no 64-bit integer.
    fn is_far_below(self, number: i64) -> bool {
        ((1_i64 << (self.bits - 1)) - 1).checked_sub(number).is_none()
    }

    /// A number made to fit; `None` where it does not and may not be changed.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (least, most) =
            if self.signed { (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) } else { (0, (1 << self.bits) - 1) };
        if (least..=most).contains(&number) {
            return Some(number);
        }
        match overflow {
            Overflow::Wrap => Some(self.in_range(number)),
            Overflow::Saturate => Some(number.clamp(least, most)),
            Overflow::Fail => None,
        }
    }
}

fn operations(args: Args<'_>) -> Result<Vec<Operation>, Failure> {
    let mut overflow = Overflow::Wrap;
    let mut operations = Vec::new();
    let mut rest = &args[2..];
    loop {
        rest = match *rest {
            [] => return Ok(operations),
            [word, kind, offset, ref rest @ ..] if is(word, "GET") => {
                operations.push((Verb::Get, Field::parse(kind, offset)?, overflow));
                rest
            }
            [word, kind, offset, number, ref rest @ ..] if is(word, "SET") || is(word, "INCRBY") => {
                let field = Field::parse(kind, offset)?;
                let number = int(number)?;
                operations.push((if is(word, "SET") { Verb::Set(number) } else { Verb::Add(number) }, field, overflow));
                rest
            }
            [word, how, ref rest @ ..] if is(word, "OVERFLOW") => {
                overflow = match () {
                    () if is(how, "WRAP") => Overflow::Wrap,
                    () if is(how, "SAT") => Overflow::Saturate,
                    () if is(how, "FAIL") => Overflow::Fail,
                    () => return Err(Failure::fixed("ERR Invalid OVERFLOW type specified")),
                };
                rest
            }
            _ => return Err(SYNTAX),
        };
    }
}

fn reply(number: i128) -> Value {
    i64::try_from(number).map_or(Value::Nil, Value::Int)
}

fn read_all(context: &mut Context<'_>, key: &[u8], operations: &[Operation]) -> Answer {
    let bytes = context.get::<Text>(key)?.map_or(&[][..], |text| text.bytes());
    Ok(Value::Array(operations.iter().map(|(_, field, _)| reply(field.read(bytes))).collect()))
}

fn bitfield(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let operations = operations(args)?;
    let written = operations.iter().filter(|(verb, ..)| !matches!(verb, Verb::Get)).map(|(_, field, _)| field.end());
    let Some(end) = written.max() else { return read_all(context, args[1], &operations) };
    let bytes = context.get_or_create::<Text>(args[1])?.edit();
    let grows = bytes.len() < end.div_ceil(8);
    if grows {
        bytes.resize(end.div_ceil(8), 0);
    }
    let mut changed = false;
    let mut replies = Vec::with_capacity(operations.len());
    for (verb, field, overflow) in operations {
        let old = field.read(bytes);
        let (wanted, shows_old) = match verb {
            Verb::Get => {
                replies.push(reply(old));
                continue;
            }
            // What lies so far below that the way to the largest overflows is above, to Redis.
            Verb::Set(number)
                if field.signed && field.bits < 64 && overflow == Overflow::Saturate && field.is_far_below(number) =>
            {
                (i128::MAX, true)
            }
            Verb::Set(number) if field.signed => (i128::from(number), true),
            // For a field without sign, the number's bits count.
            Verb::Set(number) => (i128::from(number.cast_unsigned()), true),
            Verb::Add(number) => (old + i128::from(number), false),
        };
        let Some(new) = field.fit(wanted, overflow) else {
            replies.push(Value::Nil);
            continue;
        };
        field.write(bytes, new);
        changed |= grows || old != new;
        replies.push(reply(if shows_old { old } else { new }));
    }
    if changed {
        context.changed(args[1]);
    } else {
        // It may have grown for a number that did not fit.
        context.changed_unseen();
    }
    Ok(Value::Array(replies))
}

fn bitfield_ro(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let operations = operations(args)?;
    if operations.iter().any(|(verb, ..)| !matches!(verb, Verb::Get)) {
        return Err(Failure::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_all(context, args[1], &operations)
}
