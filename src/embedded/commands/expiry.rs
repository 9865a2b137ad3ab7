//! When keys end.

use super::super::{
    args::{Args, int, is, text},
    context::{Context, flag},
    failure::{Answer, Failure},
    keyspace::NEVER,
    table::{FAST, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("expire", -3, WRITE | FAST, ONE, expire),
    Row::new("pexpire", -3, WRITE | FAST, ONE, pexpire),
    Row::new("expireat", -3, WRITE | FAST, ONE, expireat),
    Row::new("pexpireat", -3, WRITE | FAST, ONE, pexpireat),
    Row::new("persist", 2, WRITE | FAST, ONE, persist),
    Row::new("ttl", 2, READ | FAST, ONE, ttl),
    Row::new("pttl", 2, READ | FAST, ONE, pttl),
    Row::new("expiretime", 2, READ | FAST, ONE, expiretime),
    Row::new("pexpiretime", 2, READ | FAST, ONE, pexpiretime),
];

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

fn out_of_range(command: &str) -> Failure {
    Failure::new(format!("ERR invalid expire time in '{command}' command"))
}

/// The end of a value that is set with a time, which must be positive; `from` is `None` for a time since the epoch.
pub(super) fn end_of(amount: i64, unit: Unit, from: Option<i64>, command: &str) -> Result<i64, Failure> {
    if amount <= 0 { Err(out_of_range(command)) } else { absolute(amount, unit, from, command) }
}

fn absolute(amount: i64, unit: Unit, from: Option<i64>, command: &str) -> Result<i64, Failure> {
    let factor = if unit == Unit::Seconds { 1000 } else { 1 };
    amount.checked_mul(factor).and_then(|ms| ms.checked_add(from.unwrap_or(0))).ok_or_else(|| out_of_range(command))
}

fn expire(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_end(context, args, Unit::Seconds, false, "expire")
}

fn pexpire(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_end(context, args, Unit::Milliseconds, false, "pexpire")
}

fn expireat(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_end(context, args, Unit::Seconds, true, "expireat")
}

fn pexpireat(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_end(context, args, Unit::Milliseconds, true, "pexpireat")
}

fn set_end(context: &mut Context<'_>, args: Args<'_>, unit: Unit, since_epoch: bool, command: &str) -> Answer {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for arg in &args[3..] {
        match () {
            () if is(arg, "NX") => nx = true,
            () if is(arg, "XX") => xx = true,
            () if is(arg, "GT") => gt = true,
            () if is(arg, "LT") => lt = true,
            () => return Err(Failure::new(format!("ERR Unsupported option {}", text(arg)))),
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Failure::fixed("ERR NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(Failure::fixed("ERR GT and LT options at the same time are not compatible"));
    }
    let (key, now) = (args[1], context.now);
    let expires = absolute(int(args[2])?, unit, if since_epoch { None } else { Some(now) }, command)?;
    let Some(entry) = context.db().entry(key, now) else { return Ok(flag(false)) };
    let current = entry.expires;
    let forever = current == NEVER;
    if (nx && !forever)
        || (xx && forever)
        || (gt && (forever || expires <= current))
        || (lt && !forever && expires >= current)
    {
        return Ok(flag(false));
    }
    if expires <= now {
        context.remove(key);
    } else {
        context.db().set_expires(key, expires);
        context.changed(key);
    }
    Ok(flag(true))
}

fn persist(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (key, now) = (args[1], context.now);
    let volatile = context.db().entry(key, now).is_some_and(|entry| entry.expires != NEVER);
    if volatile {
        context.db().set_expires(key, NEVER);
        context.changed(key);
    }
    Ok(flag(volatile))
}

/// -2 for no key, -1 for no end.
fn end_reply(context: &mut Context<'_>, key: &[u8], show: impl Fn(i64, i64) -> i64) -> Answer {
    let now = context.now;
    Ok(Value::Int(match context.db().entry(key, now).map(|entry| entry.expires) {
        None => -2,
        Some(NEVER) => -1,
        Some(expires) => show(expires, now),
    }))
}

fn ttl(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    end_reply(context, args[1], |expires, now| (expires - now + 500) / 1000)
}

fn pttl(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    end_reply(context, args[1], |expires, now| expires - now)
}

fn expiretime(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    end_reply(context, args[1], |expires, _| (expires + 500) / 1000)
}

fn pexpiretime(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    end_reply(context, args[1], |expires, _| expires)
}
