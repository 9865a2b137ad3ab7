//! Counting different elements by estimate.

use super::super::{
    args::Args,
    context::{Context, flag, ok},
    data::{Data, HyperLogLog, Text},
    failure::{Answer, Failure},
    keyspace::NEVER,
    table::{ALL, FAST, GROWS, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("pfadd", -2, WRITE | GROWS | FAST, ONE, pfadd),
    Row::new("pfcount", -2, READ, ALL, pfcount),
    Row::new("pfmerge", -2, WRITE | GROWS, ALL, pfmerge),
];

const INVALID: Failure = Failure::fixed("INVALIDOBJ Corrupted HLL object detected");

fn load(context: &mut Context<'_>, key: &[u8]) -> Result<Option<HyperLogLog>, Failure> {
    match context.get::<Text>(key)? {
        None => Ok(None),
        Some(text) => parse(text.bytes()).map(Some),
    }
}

fn parse(bytes: &[u8]) -> Result<HyperLogLog, Failure> {
    if !HyperLogLog::is_one(bytes) {
        return Err(Failure::fixed("WRONGTYPE Key is not a valid HyperLogLog string value."));
    }
    HyperLogLog::parse(bytes).ok_or(INVALID)
}

/// Stores the registers; the key keeps its end.
fn save(context: &mut Context<'_>, key: &[u8], log: HyperLogLog) {
    let now = context.now;
    let expires = context.db().entry(key, now).map_or(NEVER, |entry| entry.expires);
    context.set(key, Data::Text(Text::new(log.into_bytes())), expires);
}

fn pfadd(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let elements = &args[2..];
    let (mut log, created) = match context.get::<Text>(args[1])? {
        None => (HyperLogLog::new(), true),
        Some(text) => {
            let bytes = text.bytes();
            if HyperLogLog::is_one(bytes) && elements.iter().all(|element| HyperLogLog::knows(bytes, element)) {
                return Ok(flag(false));
            }
            (parse(bytes)?, false)
        }
    };
    let mut changed = created;
    for element in elements {
        changed |= log.add(element);
    }
    if changed {
        save(context, args[1], log);
    }
    Ok(flag(changed))
}

fn pfcount(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut union: Option<HyperLogLog> = None;
    for key in &args[1..] {
        match (load(context, key)?, &mut union) {
            (Some(log), Some(union)) => union.merge(&log),
            (Some(log), None) => union = Some(log),
            (None, _) => {}
        }
    }
    let estimate = union.map_or(0, |log| log.count());
    Ok(Value::Int(i64::try_from(estimate).unwrap_or(i64::MAX)))
}

fn pfmerge(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let mut union = HyperLogLog::new();
    for key in &args[1..] {
        if let Some(log) = load(context, key)? {
            union.merge(&log);
        }
    }
    save(context, args[1], union);
    Ok(ok())
}
