//! Hashes.

use super::super::{
    args::{Args, int, int_in, is},
    context::{Context, bulk, bulk_or_nil, bulks, count, flag, ok},
    data::Hash,
    failure::{Answer, Failure, NOT_A_FLOAT, NOT_AN_INTEGER, OVERFLOW, SYNTAX},
    number::{FloatSum, float_sum, parse_float, parse_int},
    table::{FAST, GROWS, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("hset", -4, WRITE | GROWS | FAST, ONE, hset),
    Row::new("hmset", -4, WRITE | GROWS | FAST, ONE, hmset),
    Row::new("hsetnx", 4, WRITE | GROWS | FAST, ONE, hsetnx),
    Row::new("hget", 3, READ | FAST, ONE, hget),
    Row::new("hmget", -3, READ | FAST, ONE, hmget),
    Row::new("hgetall", 2, READ, ONE, hgetall),
    Row::new("hdel", -3, WRITE | FAST, ONE, hdel),
    Row::new("hlen", 2, READ | FAST, ONE, hlen),
    Row::new("hexists", 3, READ | FAST, ONE, hexists),
    Row::new("hkeys", 2, READ, ONE, hkeys),
    Row::new("hvals", 2, READ, ONE, hvals),
    Row::new("hstrlen", 3, READ | FAST, ONE, hstrlen),
    Row::new("hincrby", 4, WRITE | GROWS | FAST, ONE, hincrby),
    Row::new("hincrbyfloat", 4, WRITE | GROWS | FAST, ONE, hincrbyfloat),
    Row::new("hrandfield", -2, READ, ONE, hrandfield),
];

fn set_fields(context: &mut Context<'_>, args: Args<'_>, command: &str) -> Result<usize, Failure> {
    let (pairs, []) = args[2..].as_chunks::<2>() else { return Err(Failure::wrong_arity(command)) };
    let hash = context.get_or_create::<Hash>(args[1])?;
    let added = hash.set_all(pairs);
    context.grown(args[1]);
    Ok(added)
}

fn hset(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_fields(context, args, "hset").map(count)
}

fn hmset(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    set_fields(context, args, "hmset").map(|_| ok())
}

fn hsetnx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let hash = context.get_or_create::<Hash>(args[1])?;
    let missing = !hash.contains(args[2]);
    if missing {
        hash.set(args[2], args[3]);
        context.changed(args[1]);
    }
    Ok(flag(missing))
}

fn hget(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(bulk_or_nil(context.get::<Hash>(args[1])?.and_then(|hash| hash.get(args[2]))))
}

fn hmget(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let hash = context.get::<Hash>(args[1])?;
    let values = args[2..].iter().map(|field| bulk_or_nil(hash.as_ref().and_then(|hash| hash.get(field))));
    Ok(Value::Array(values.collect()))
}

fn hgetall(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let pairs = match context.get::<Hash>(args[1])? {
        Some(hash) => hash.iter().map(|(field, value)| (bulk(field), bulk(value))).collect(),
        None => Vec::new(),
    };
    Ok(context.map(pairs))
}

fn hdel(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let Some(hash) = context.get::<Hash>(args[1])? else { return Ok(count(0)) };
    let removed = args[2..].iter().filter(|field| hash.remove(field)).count();
    if removed > 0 {
        context.changed(args[1]);
    }
    Ok(count(removed))
}

fn hlen(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<Hash>(args[1])?.map_or(0, |hash| hash.len())))
}

fn hexists(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(flag(context.get::<Hash>(args[1])?.is_some_and(|hash| hash.contains(args[2]))))
}

fn hkeys(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(context
        .get::<Hash>(args[1])?
        .map_or(Value::Array(Vec::new()), |hash| bulks(hash.iter().map(|(field, _)| field))))
}

fn hvals(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(context
        .get::<Hash>(args[1])?
        .map_or(Value::Array(Vec::new()), |hash| bulks(hash.iter().map(|(_, value)| value))))
}

fn hstrlen(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<Hash>(args[1])?.and_then(|hash| hash.get(args[2])).map_or(0, <[u8]>::len)))
}

fn hincrby(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let by = int(args[3])?;
    let stored = match context.get::<Hash>(args[1])?.and_then(|hash| hash.get(args[2])) {
        Some(stored) => parse_int(stored).ok_or(Failure::fixed("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = stored.checked_add(by).ok_or(OVERFLOW)?;
    context.get_or_create::<Hash>(args[1])?.set(args[2], itoa::Buffer::new().format(sum).as_bytes());
    context.grown(args[1]);
    Ok(Value::Int(sum))
}

fn hincrbyfloat(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let by = parse_float(args[3]).ok_or(NOT_A_FLOAT)?;
    if by.is_infinite() {
        return Err(Failure::fixed("ERR value is NaN or Infinity"));
    }
    let stored = context.get::<Hash>(args[1])?.and_then(|hash| hash.get(args[2])).map(<[u8]>::to_vec);
    let sum = match &stored {
        Some(stored) if parse_float(stored).is_none() => return Err(Failure::fixed("ERR hash value is not a float")),
        Some(stored) => float_sum(stored, args[3]),
        None => float_sum(b"0", args[3]),
    };
    match sum.ok_or(NOT_A_FLOAT)? {
        FloatSum::NotFinite => Err(Failure::fixed("ERR increment would produce NaN or Infinity")),
        FloatSum::Text(sum) => {
            context.get_or_create::<Hash>(args[1])?.set(args[2], sum.as_bytes());
            context.changed(args[1]);
            Ok(bulk(sum))
        }
    }
}

fn hrandfield(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() == 2 {
        let drawn = context.get::<Hash>(args[1])?.map(|hash| hash.at(fastrand::usize(..hash.len())).0);
        return Ok(bulk_or_nil(drawn));
    }
    let wanted = int(args[2])?;
    let with_values = match args[3..] {
        [] => false,
        [word] if is(word, "WITHVALUES") => true,
        _ => return Err(SYNTAX),
    };
    if with_values {
        int_in(args[2], i64::MIN / 2, i64::MAX / 2, Failure::fixed("ERR value is out of range"))?;
    }
    let Some(hash) = context.get::<Hash>(args[1])? else { return Ok(Value::Array(Vec::new())) };
    let drawn: Vec<(Value, Value)> = draw(wanted, hash.len())?
        .into_iter()
        .map(|index| {
            let (field, value) = hash.at(index);
            (bulk(field), if with_values { bulk(value) } else { Value::Nil })
        })
        .collect();
    if with_values {
        return Ok(context.pairs(drawn.into_iter()));
    }
    Ok(Value::Array(drawn.into_iter().map(|(field, _)| field).collect()))
}

/// Most positions that one command draws with repetition: a reply of more would not fit in memory.
const MOST_DRAWN: usize = 16 * 1024 * 1024;

/// Positions drawn by chance: different ones, or with repetition for a negative count.
pub(super) fn draw(wanted: i64, length: usize) -> Result<Vec<usize>, Failure> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let count = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted < 0 {
        if count > MOST_DRAWN {
            return Err(NOT_AN_INTEGER);
        }
        return Ok((0..count).map(|_| fastrand::usize(..length)).collect());
    }
    if count >= length {
        return Ok((0..length).collect());
    }
    // Floyd's way: each of the chosen sets is equally likely, without looking at every position.
    let mut chosen = std::collections::HashSet::with_capacity(count);
    let mut order = Vec::with_capacity(count);
    for last in length - count..length {
        let drawn = fastrand::usize(..=last);
        let position = if chosen.insert(drawn) { drawn } else { last };
        chosen.insert(position);
        order.push(position);
    }
    fastrand::shuffle(&mut order);
    Ok(order)
}
