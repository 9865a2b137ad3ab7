//! Lists.

use super::super::{
    args::{Args, count as count_of, int, is, positions},
    context::{Context, bulk, bulk_or_nil, bulks, count, ok},
    data::{Blob, List},
    failure::{Answer, Failure, INDEX_OUT_OF_RANGE, NO_SUCH_KEY, NOT_POSITIVE, SYNTAX},
    table::{FAST, GROWS, NIL_ARRAY, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("lpush", -3, WRITE | GROWS | FAST, ONE, lpush),
    Row::new("rpush", -3, WRITE | GROWS | FAST, ONE, rpush),
    Row::new("lpushx", -3, WRITE | GROWS | FAST, ONE, lpushx),
    Row::new("rpushx", -3, WRITE | GROWS | FAST, ONE, rpushx),
    Row::new("lpop", -2, WRITE | FAST | NIL_ARRAY, ONE, lpop),
    Row::new("rpop", -2, WRITE | FAST | NIL_ARRAY, ONE, rpop),
    Row::new("llen", 2, READ | FAST, ONE, llen),
    Row::new("lindex", 3, READ, ONE, lindex),
    Row::new("lset", 4, WRITE | GROWS, ONE, lset),
    Row::new("lrange", 4, READ, ONE, lrange),
    Row::new("ltrim", 4, WRITE, ONE, ltrim),
    Row::new("lrem", 4, WRITE, ONE, lrem),
    Row::new("linsert", 5, WRITE | GROWS, ONE, linsert),
    Row::new("lpos", -3, READ, ONE, lpos),
];

fn push(context: &mut Context<'_>, args: Args<'_>, front: bool, only_old: bool) -> Answer {
    if only_old && context.get::<List>(args[1])?.is_none() {
        return Ok(count(0));
    }
    let list = context.get_or_create::<List>(args[1])?;
    args[2..].iter().for_each(|item| list.push(item, front));
    let length = list.len();
    context.grown(args[1]);
    context.ready(args[1]);
    Ok(count(length))
}

fn lpush(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    push(context, args, true, false)
}

fn rpush(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    push(context, args, false, false)
}

fn lpushx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    push(context, args, true, true)
}

fn rpushx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    push(context, args, false, true)
}

fn lpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, true)
}

fn rpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, false)
}

fn pop(context: &mut Context<'_>, args: Args<'_>, front: bool) -> Answer {
    if args.len() > 3 {
        return Err(Failure::wrong_arity(if front { "lpop" } else { "rpop" }));
    }
    let wanted = args.get(2).map(|arg| count_of(arg, NOT_POSITIVE)).transpose()?;
    let Some(list) = context.get::<List>(args[1])? else { return Ok(Value::Nil) };
    let Some(wanted) = wanted else {
        let item = list.pop(front);
        context.changed(args[1]);
        return Ok(bulk_or_nil(item.as_deref()));
    };
    let items = pop_many(list, wanted, front);
    if !items.is_empty() {
        context.changed(args[1]);
    }
    Ok(bulks(items.iter().map(|item| &**item)))
}

/// Takes up to `wanted` items off one end.
pub(super) fn pop_many(list: &mut List, wanted: usize, front: bool) -> Vec<Blob> {
    let wanted = wanted.min(list.len());
    (0..wanted).filter_map(|_| list.pop(front)).collect()
}

fn llen(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<List>(args[1])?.map_or(0, |list| list.len())))
}

/// The place of an index that may count from the end.
fn place(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index.saturating_add(i64::try_from(length).unwrap_or(i64::MAX)) } else { index };
    usize::try_from(index).ok().filter(|&index| index < length)
}

fn lindex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let Some(list) = context.get::<List>(args[1])? else { return Ok(Value::Nil) };
    let index = int(args[2])?;
    Ok(bulk_or_nil(place(index, list.len()).and_then(|index| list.get(index))))
}

fn lset(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let list = context.get::<List>(args[1])?.ok_or(NO_SUCH_KEY)?;
    let index = int(args[2])?;
    let index = place(index, list.len()).ok_or(INDEX_OUT_OF_RANGE)?;
    list.set(index, args[3]);
    context.changed(args[1]);
    Ok(ok())
}

fn lrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (start, stop) = (int(args[2])?, int(args[3])?);
    let Some(list) = context.get::<List>(args[1])? else { return Ok(Value::Array(Vec::new())) };
    let (from, until) = positions(start, stop, list.len());
    Ok(bulks(list.range(from, until)))
}

fn ltrim(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (start, stop) = (int(args[2])?, int(args[3])?);
    let Some(list) = context.get::<List>(args[1])? else { return Ok(ok()) };
    let (from, until) = positions(start, stop, list.len());
    list.keep(from, until);
    context.changed(args[1]);
    Ok(ok())
}

fn lrem(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let limit = int(args[2])?;
    let Some(list) = context.get::<List>(args[1])? else { return Ok(count(0)) };
    let most = if limit == 0 { usize::MAX } else { usize::try_from(limit.unsigned_abs()).unwrap_or(usize::MAX) };
    let removed = list.remove(args[3], most, limit < 0);
    if removed > 0 {
        context.changed(args[1]);
    }
    Ok(count(removed))
}

fn linsert(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let behind = match () {
        () if is(args[2], "AFTER") => 1,
        () if is(args[2], "BEFORE") => 0,
        () => return Err(SYNTAX),
    };
    let Some(list) = context.get::<List>(args[1])? else { return Ok(count(0)) };
    let Some(pivot) = list.position(args[3]) else { return Ok(Value::Int(-1)) };
    list.insert(pivot + behind, args[4]);
    let length = list.len();
    context.changed(args[1]);
    Ok(count(length))
}

fn lpos(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (mut rank, mut wanted, mut most) = (1_i64, None, 0_usize);
    let (options, rest) = args[3..].as_chunks::<2>();
    for &[word, value] in options {
        if is(word, "RANK") {
            rank = int(value)?;
            if rank == 0 {
                return Err(Failure::fixed(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
                     negative to start from the end of the list",
                ));
            }
            if rank == i64::MIN {
                return Err(Failure::fixed(
                    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                ));
            }
        } else if is(word, "COUNT") {
            wanted = Some(count_of(value, Failure::fixed("ERR COUNT can't be negative"))?);
        } else if is(word, "MAXLEN") {
            most = count_of(value, Failure::fixed("ERR MAXLEN can't be negative"))?;
        } else {
            return Err(SYNTAX);
        }
    }
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    let nothing = if wanted.is_some() { Value::Array(Vec::new()) } else { Value::Nil };
    let Some(list) = context.get::<List>(args[1])? else { return Ok(nothing) };
    let limit = match wanted {
        None => 1,
        Some(0) => usize::MAX,
        Some(wanted) => wanted,
    };
    let looked_at = if most == 0 { usize::MAX } else { most };
    let skipped = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let same = |(index, item): (usize, &[u8])| (item == args[2]).then_some(index);
    let found: Vec<usize> = if rank > 0 {
        list.iter().enumerate().take(looked_at).filter_map(same).skip(skipped).take(limit).collect()
    } else {
        list.iter().enumerate().rev().take(looked_at).filter_map(same).skip(skipped).take(limit).collect()
    };
    Ok(match (wanted, found.first()) {
        (Some(_), _) => Value::Array(found.into_iter().map(count).collect()),
        (None, Some(&index)) => count(index),
        (None, None) => Value::Nil,
    })
}

/// Reads `LEFT` (true) or `RIGHT`.
pub(super) fn end(arg: &[u8]) -> Result<bool, Failure> {
    match () {
        () if is(arg, "LEFT") => Ok(true),
        () if is(arg, "RIGHT") => Ok(false),
        () => Err(SYNTAX),
    }
}

/// Moves an item from one list to another, or within one.
pub(super) fn move_item(context: &mut Context<'_>, from: &[u8], to: &[u8], front: bool, to_front: bool) -> Answer {
    if context.get::<List>(from)?.is_none() {
        return Ok(Value::Nil);
    }
    context.get::<List>(to)?;
    let Some(item) = context.get::<List>(from)?.and_then(|list| list.pop(front)) else { return Ok(Value::Nil) };
    // Before the source goes away when it is empty: it may be the same list.
    context.get_or_create::<List>(to)?.push(&item, to_front);
    context.changed(from);
    context.changed(to);
    context.ready(to);
    Ok(bulk(item))
}
