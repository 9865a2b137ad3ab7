//! Sets.

use super::super::{
    args::{Args, count as count_of, int_in},
    context::{Context, bulk, bulk_or_nil, bulks, count, flag},
    data::Set,
    failure::{Answer, Failure, NOT_POSITIVE, SYNTAX},
    table::{FAST, GROWS, Keys, ONE, READ, Row, WRITE},
};
use super::hashes::draw;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("sadd", -3, WRITE | GROWS | FAST, ONE, sadd),
    Row::new("srem", -3, WRITE | FAST, ONE, srem),
    Row::new("sismember", 3, READ | FAST, ONE, sismember),
    Row::new("smismember", -3, READ | FAST, ONE, smismember),
    Row::new("smembers", 2, READ, ONE, smembers),
    Row::new("scard", 2, READ | FAST, ONE, scard),
    Row::new("spop", -2, WRITE | FAST, ONE, spop),
    Row::new("srandmember", -2, READ, ONE, srandmember),
    Row::new("smove", 4, WRITE | FAST, Keys::At(1, 2, 1), smove),
];

fn sadd(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let set = context.get_or_create::<Set>(args[1])?;
    let added = args[2..].iter().filter(|member| set.add(member)).count();
    if added > 0 {
        context.grown(args[1]);
    }
    Ok(count(added))
}

fn srem(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let Some(set) = context.get::<Set>(args[1])? else { return Ok(count(0)) };
    let removed = args[2..].iter().filter(|member| set.remove(member)).count();
    if removed > 0 {
        context.changed(args[1]);
    }
    Ok(count(removed))
}

fn sismember(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(flag(context.get::<Set>(args[1])?.is_some_and(|set| set.contains(args[2]))))
}

fn smismember(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let set = context.get::<Set>(args[1])?;
    let there = |member: &&[u8]| flag(set.as_ref().is_some_and(|set| set.contains(member)));
    Ok(Value::Array(args[2..].iter().map(there).collect()))
}

fn smembers(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let members = context.get::<Set>(args[1])?.map(|set| set.iter().map(bulk).collect()).unwrap_or_default();
    Ok(context.set_of(members))
}

fn scard(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<Set>(args[1])?.map_or(0, |set| set.len())))
}

fn spop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let wanted = match args[2..] {
        [] => None,
        [wanted] => Some(count_of(wanted, NOT_POSITIVE)?),
        _ => return Err(SYNTAX),
    };
    let Some(set) = context.get::<Set>(args[1])? else {
        return Ok(if wanted.is_some() { context.set_of(Vec::new()) } else { Value::Nil });
    };
    let mut taken = Vec::new();
    for _ in 0..wanted.unwrap_or(1).min(set.len()) {
        taken.extend(set.take(fastrand::usize(..set.len())));
    }
    if !taken.is_empty() {
        context.changed(args[1]);
    }
    Ok(match wanted {
        None => bulk_or_nil(taken.first().map(|member| &**member)),
        Some(_) => context.set_of(taken.iter().map(bulk).collect()),
    })
}

fn srandmember(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let wanted = match args[2..] {
        [] => None,
        [wanted] => {
            let failure = Failure::fixed(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            );
            super::super::args::int(wanted)?;
            Some(int_in(wanted, -i64::MAX, i64::MAX, failure)?)
        }
        _ => return Err(SYNTAX),
    };
    let set = context.get::<Set>(args[1])?;
    let Some(wanted) = wanted else {
        return Ok(bulk_or_nil(set.map(|set| set.at(fastrand::usize(..set.len())))));
    };
    let Some(set) = set else { return Ok(Value::Array(Vec::new())) };
    let drawn = draw(wanted, set.len())?;
    Ok(bulks(drawn.into_iter().map(|index| set.at(index))))
}

fn smove(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (from, to, member) = (args[1], args[2], args[3]);
    let Some(source) = context.get::<Set>(from)? else { return Ok(flag(false)) };
    let there = source.contains(member);
    context.get::<Set>(to)?;
    if from == to || !there {
        return Ok(flag(there));
    }
    if let Some(source) = context.get::<Set>(from)? {
        source.remove(member);
    }
    context.changed(from);
    // Where it was there already, nothing is told of that set.
    if context.get_or_create::<Set>(to)?.add(member) {
        context.changed(to);
    }
    Ok(flag(true))
}
