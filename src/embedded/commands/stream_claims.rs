//! Entries of streams that were delivered and not acknowledged: who has them, and taking them over.

use super::super::{
    args::{Args, int, int_in, is, text},
    context::{Context, bulk, count},
    data::{Group, Stream, StreamId},
    failure::{Answer, Failure, SYNTAX},
    number::parse_int,
    table::{FAST, NIL_ARRAY, ONE, READ, Row, WRITE},
};
use super::{
    stream_ids::{interval, interval_start, strict_id},
    streams::entry,
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("xpending", -3, READ | NIL_ARRAY, ONE, xpending),
    Row::new("xclaim", -6, WRITE | FAST, ONE, xclaim),
    Row::new("xautoclaim", -6, WRITE | FAST, ONE, xautoclaim),
];

/// Entries that `XAUTOCLAIM` looks at for each that it may take.
const LOOKED_AT: usize = 10;

fn group<'c>(context: &'c mut Context<'_>, key: &[u8], name: &[u8]) -> Result<&'c mut Stream, Failure> {
    match context.get::<Stream>(key)? {
        Some(stream) if stream.groups.contains_key(name) => Ok(stream),
        _ => Err(Failure::new(format!("NOGROUP No such key '{}' or consumer group '{}'", text(key), text(name)))),
    }
}

fn xpending(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() == 3 {
        return summary(context, args);
    }
    if !(6..=9).contains(&args.len()) {
        return Err(SYNTAX);
    }
    let (mut min_idle, mut at) = (0, 3);
    if is(args[3], "IDLE") {
        min_idle = int(args[4])?;
        if args.len() < 8 {
            return Err(SYNTAX);
        }
        at = 5;
    }
    let most = usize::try_from(int(args[at + 2])?).unwrap_or(0);
    let (from, to) = interval(args[at], args[at + 1])?;
    let wanted = args.get(at + 3);
    let now = context.now;
    let stream = group(context, args[1], args[2])?;
    let Some(group) = stream.groups.get(args[2]) else { return Err(SYNTAX) };
    if from > to {
        return Ok(Value::Array(Vec::new()));
    }
    let idle = |delivered: i64| now.saturating_sub(delivered);
    let entries = group
        .pending()
        .range(from..=to)
        .filter(|(_, pending)| wanted.is_none_or(|wanted| *pending.consumer == **wanted))
        .filter(|(_, pending)| min_idle == 0 || idle(pending.delivered_ms) >= min_idle)
        .take(most)
        .map(|(id, pending)| {
            Value::Array(vec![
                bulk(id.to_string()),
                bulk(&pending.consumer),
                Value::Int(idle(pending.delivered_ms).max(0)),
                Value::Int(pending.deliveries.cast_signed()),
            ])
        });
    Ok(Value::Array(entries.collect()))
}

fn summary(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let stream = group(context, args[1], args[2])?;
    let Some(group) = stream.groups.get(args[2]) else { return Err(SYNTAX) };
    let (Some((first, _)), Some((last, _))) = (group.pending().first_key_value(), group.pending().last_key_value())
    else {
        return Ok(Value::Array(vec![Value::Int(0), Value::Nil, Value::Nil, Value::Nil]));
    };
    let consumers = group.consumers().iter().filter(|(_, consumer)| !consumer.pending().is_empty());
    let consumers =
        consumers.map(|(name, consumer)| Value::Array(vec![bulk(name), bulk(consumer.pending().len().to_string())]));
    Ok(Value::Array(vec![
        count(group.pending().len()),
        bulk(first.to_string()),
        bulk(last.to_string()),
        Value::Array(consumers.collect()),
    ]))
}

/// The options of `XCLAIM`.
#[derive(Default)]
struct Claim {
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Claim {
    fn parse(args: Args<'_>, now: i64) -> Result<Self, Failure> {
        let mut claim = Self::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let number = |arg: &[u8], option: &str| {
                parse_int(arg).ok_or_else(|| Failure::new(format!("ERR Invalid {option} option argument for XCLAIM")))
            };
            let has_value = !rest.as_slice().is_empty();
            let mut value = || rest.next().copied().unwrap_or_default();
            match () {
                () if is(word, "FORCE") => claim.force = true,
                () if is(word, "JUSTID") => claim.just_id = true,
                () if is(word, "IDLE") && has_value => {
                    claim.delivered_ms = Some(now.wrapping_sub(number(value(), "IDLE")?));
                }
                () if is(word, "TIME") && has_value => claim.delivered_ms = Some(number(value(), "TIME")?),
                () if is(word, "RETRYCOUNT") && has_value => {
                    claim.deliveries = u64::try_from(number(value(), "RETRYCOUNT")?).ok();
                }
                () if is(word, "LASTID") && has_value => claim.last_id = strict_id(value(), 0)?,
                () => {
                    return Err(Failure::new(format!("ERR Unrecognized XCLAIM option '{}'", text(word))));
                }
            }
        }
        Ok(claim)
    }
}

fn idle_time(arg: &[u8], command: &str) -> Result<i64, Failure> {
    let wrong = || Failure::new(format!("ERR Invalid min-idle-time argument for {command}"));
    parse_int(arg).map(|ms| ms.max(0)).ok_or_else(wrong)
}

/// Gives an entry to a consumer.
fn hand_over(group: &mut Group, id: StreamId, consumer: &[u8], now: i64, delivered_ms: i64, deliveries: u64) {
    group.see_consumer(consumer, now);
    if let Some(consumer) = group.consumer_mut(consumer) {
        consumer.active_ms = now;
    }
    group.assign(id, consumer, delivered_ms, deliveries);
}

fn shown(stream: &Stream, id: StreamId, just_id: bool) -> Option<Value> {
    if just_id { Some(bulk(id.to_string())) } else { stream.get(id).map(|fields| entry((id, fields))) }
}

fn xclaim(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    group(context, args[1], args[2])?;
    let min_idle = idle_time(args[4], "XCLAIM")?;
    let ids: Vec<StreamId> = args[5..].iter().map_while(|arg| strict_id(arg, 0).ok()).collect();
    let now = context.wall_ms();
    let claim = Claim::parse(&args[5 + ids.len()..], now)?;
    // A time that cannot be is now: clients compute it with clocks of their own.
    let delivered_ms = claim.delivered_ms.filter(|ms| (0..=now).contains(ms)).unwrap_or(now);
    let stream = group(context, args[1], args[2])?;
    let Some(mut group) = stream.groups.remove(args[2]) else { return Err(SYNTAX) };
    let mut changed = claim.last_id > group.last_id;
    group.last_id = group.last_id.max(claim.last_id);
    if group.consumers().contains_key(args[3]) {
        group.see_consumer(args[3], now);
    }
    let mut claimed = Vec::new();
    for id in ids {
        if stream.get(id).is_none() {
            changed |= group.acknowledge(id);
            continue;
        }
        let before = match group.pending().get(&id) {
            Some(pending) if min_idle > 0 && now.saturating_sub(pending.delivered_ms) < min_idle => continue,
            Some(pending) => pending.deliveries,
            None if claim.force => 1,
            None => continue,
        };
        let deliveries = claim.deliveries.unwrap_or(before + u64::from(!claim.just_id));
        hand_over(&mut group, id, args[3], now, delivered_ms, deliveries);
        changed = true;
        claimed.extend(shown(stream, id, claim.just_id));
    }
    stream.groups.insert(args[2].into(), group);
    if changed {
        context.changed_unseen();
    }
    Ok(Value::Array(claimed))
}

fn xautoclaim(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let min_idle = idle_time(args[4], "XAUTOCLAIM")?;
    let from = interval_start(args[5])?;
    let (mut most, mut just_id) = (100, false);
    let mut rest = args[6..].iter();
    while let Some(word) = rest.next() {
        if is(word, "COUNT")
            && let Some(number) = rest.next()
        {
            let wanted = int_in(number, 1, i64::MAX / 16, Failure::fixed("ERR COUNT must be > 0"))?;
            most = usize::try_from(wanted).unwrap_or(usize::MAX);
        } else if is(word, "JUSTID") {
            just_id = true;
        } else {
            return Err(SYNTAX);
        }
    }
    let now = context.wall_ms();
    let stream = group(context, args[1], args[2])?;
    let Some(mut group) = stream.groups.remove(args[2]) else { return Err(SYNTAX) };
    if group.consumers().contains_key(args[3]) {
        group.see_consumer(args[3], now);
    }
    let mut looked_at = Vec::new();
    let mut next = StreamId::MIN;
    let (mut left, mut attempts) = (most, most.saturating_mul(LOOKED_AT));
    for (&id, pending) in group.pending().range(from..) {
        if left == 0 || attempts == 0 {
            next = id;
            break;
        }
        attempts -= 1;
        let gone = stream.get(id).is_none();
        if gone || now.saturating_sub(pending.delivered_ms) >= min_idle {
            left -= 1;
            looked_at.push((id, gone, pending.deliveries));
        }
    }
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    for &(id, gone, deliveries) in &looked_at {
        if gone {
            group.acknowledge(id);
            deleted.push(bulk(id.to_string()));
        } else {
            hand_over(&mut group, id, args[3], now, now, deliveries + u64::from(!just_id));
            claimed.extend(shown(stream, id, just_id));
        }
    }
    stream.groups.insert(args[2].into(), group);
    if !looked_at.is_empty() {
        context.changed_unseen();
    }
    Ok(Value::Array(vec![bulk(next.to_string()), Value::Array(claimed), Value::Array(deleted)]))
}
