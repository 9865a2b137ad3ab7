//! `DUMP` and `RESTORE`: values on their way from one server to another.

use super::super::{
    args::{Args, int, is},
    context::{Context, ok},
    failure::{Answer, Failure, SYNTAX},
    journal::{Refusal, dump as text_of, restore as value_of},
    keyspace::NEVER,
    table::{GROWS, ONE, READ, Row, WRITE},
    usage::Usage,
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] =
    &[Row::new("dump", 2, READ, ONE, dump), Row::new("restore", -4, WRITE | GROWS, ONE, restore)];

fn dump(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let now = context.now;
    let entry = context.db().entry(args[1], now);
    Ok(entry.map_or(Value::Nil, |entry| Value::Bulk(text_of(&entry.data))))
}

fn restore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (mut replace, mut absolute, mut idle, mut used) = (false, false, None, None);
    let mut rest = args[4..].iter();
    while let Some(word) = rest.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "ABSTTL") {
            absolute = true;
        } else if is(word, "IDLETIME")
            && used.is_none()
            && let Some(seconds) = rest.next()
        {
            let refused = Failure::fixed("ERR Invalid IDLETIME value, must be >= 0");
            idle = Some(Some(int(seconds)?).filter(|&seconds| seconds >= 0).ok_or(refused)?);
        } else if is(word, "FREQ")
            && idle.is_none()
            && let Some(number) = rest.next()
        {
            let refused = Failure::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
            used = Some(u8::try_from(int(number)?).map_err(|_| refused)?);
        } else {
            return Err(SYNTAX);
        }
    }
    let (key, now) = (args[1], context.now);
    if !replace && context.contains(key) {
        return Err(Failure::fixed("BUSYKEY Target key name already exists."));
    }
    let ttl = int(args[2])?;
    if ttl < 0 {
        return Err(Failure::fixed("ERR Invalid TTL value, must be >= 0"));
    }
    let data = value_of(args[3]).map_err(|refusal| match refusal {
        Refusal::Footer => Failure::fixed("ERR DUMP payload version or checksum are wrong"),
        Refusal::Content => Failure::fixed("ERR Bad data format"),
    })?;
    let expires = match ttl {
        0 => NEVER,
        at if absolute => at,
        after => now.saturating_add(after),
    };
    if expires < now {
        context.remove(key);
        return Ok(ok());
    }
    context.set(key, data, expires);
    // Each only where that is what is noted of keys.
    let counts = context.state.memory.policy.counts_use();
    let usage = match (idle, used) {
        (Some(seconds), _) if !counts => Some(Usage::idle(now, seconds)),
        (_, Some(number)) if counts => Some(Usage::counted(now, number)),
        _ => None,
    };
    if let Some(usage) = usage {
        context.db().set_usage(key, usage);
    }
    context.ready(key);
    Ok(ok())
}
