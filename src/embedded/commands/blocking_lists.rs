//! Lists, waiting for an item.

use super::super::{
    args::Args,
    blocking::Wish,
    context::{Context, bulk},
    data::List,
    failure::{Answer, Failure},
    number::parse_float,
    table::{BLOCKING, GROWS, Keys, NIL_ARRAY, NO_SCRIPT, Row, WRITE},
};
use super::{
    list_moves::Request,
    lists::{end, move_item},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("blpop", -3, WRITE | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::At(1, -2, 1), blpop),
    Row::new("brpop", -3, WRITE | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::At(1, -2, 1), brpop),
    Row::new("blmove", 6, WRITE | GROWS | BLOCKING | NO_SCRIPT, Keys::At(1, 2, 1), blmove),
    Row::new("brpoplpush", 4, WRITE | GROWS | BLOCKING | NO_SCRIPT, Keys::At(1, 2, 1), brpoplpush),
    Row::new("blmpop", -5, WRITE | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::Counted(2), blmpop),
];

/// Reads a wait in seconds as milliseconds, rounded up; zero is for ever.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
pub(super) fn timeout(arg: &[u8]) -> Result<u64, Failure> {
    let seconds = parse_float(arg).ok_or(Failure::fixed("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1000.0).ceil();
    // Redis 7.0 wraps what is too long, and calls that negative.
    if (0.0..9.2e18).contains(&ms) { Ok(ms as u64) } else { Err(Failure::fixed("ERR timeout is negative")) }
}

fn pop(context: &mut Context<'_>, args: Args<'_>, front: bool) -> Answer {
    let (keys, wait) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let timeout_ms = timeout(wait)?;
    for key in keys {
        if let Some(item) = context.get::<List>(key)?.and_then(|list| list.pop(front)) {
            context.changed(key);
            return Ok(Value::Array(vec![bulk(key), bulk(item)]));
        }
    }
    Ok(context.wait(Wish { keys: Context::owned(keys), timeout_ms, instead: None, also_without_key: false }))
}

fn blpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, true)
}

fn brpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, false)
}

fn move_or_wait(context: &mut Context<'_>, args: Args<'_>, front: bool, to_front: bool) -> Answer {
    let timeout_ms = timeout(args[args.len() - 1])?;
    match move_item(context, args[1], args[2], front, to_front)? {
        Value::Nil => Ok(context.wait(Wish {
            keys: Context::owned(&args[1..2]),
            timeout_ms,
            instead: None,
            also_without_key: false,
        })),
        item => Ok(item),
    }
}

fn blmove(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (front, to_front) = (end(args[3])?, end(args[4])?);
    move_or_wait(context, args, front, to_front)
}

fn brpoplpush(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    move_or_wait(context, args, false, true)
}

fn blmpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let timeout_ms = timeout(args[1])?;
    let request = Request::parse(&args[2..])?;
    match request.pop(context)? {
        Value::Nil => Ok(context.wait(Wish {
            keys: Context::owned(request.keys),
            timeout_ms,
            instead: None,
            also_without_key: false,
        })),
        items => Ok(items),
    }
}
