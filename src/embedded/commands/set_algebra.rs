//! Intersections, unions and differences of sets.

use super::super::{
    args::{Args, count as count_of, is},
    context::{Context, bulk, count},
    data::{Data, Set},
    failure::{Answer, Failure, SYNTAX},
    table::{ALL, GROWS, Keys, READ, Row, WRITE},
};

pub(super) const ROWS: &[Row] = &[
    Row::new("sinter", -2, READ, ALL, sinter),
    Row::new("sunion", -2, READ, ALL, sunion),
    Row::new("sdiff", -2, READ, ALL, sdiff),
    Row::new("sinterstore", -3, WRITE | GROWS, ALL, sinterstore),
    Row::new("sunionstore", -3, WRITE | GROWS, ALL, sunionstore),
    Row::new("sdiffstore", -3, WRITE | GROWS, ALL, sdiffstore),
    Row::new("sintercard", -3, READ, Keys::Counted(1), sintercard),
];

/// What becomes of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algebra {
    Intersection,
    Union,
    Difference,
}

fn combine(context: &mut Context<'_>, keys: &[&[u8]], how: Algebra) -> Result<Set, Failure> {
    // Every key's type is looked at before anything else.
    let mut sets = Vec::with_capacity(keys.len());
    for key in keys {
        context.get::<Set>(key)?;
        sets.push(*key);
    }
    let mut result: Set = match context.get::<Set>(sets[0])? {
        Some(first) if how != Algebra::Union && sets.len() == 1 => return Ok(first.clone()),
        Some(first) => first.iter().collect(),
        None => Set::default(),
    };
    for key in &sets[1..] {
        let other = context.get::<Set>(key)?;
        match (how, other) {
            (Algebra::Union, Some(other)) => other.iter().for_each(|member| {
                result.add(member);
            }),
            (Algebra::Intersection, Some(other)) => {
                result = result.iter().filter(|member| other.contains(member)).collect();
            }
            (Algebra::Intersection, None) => result = Set::default(),
            (Algebra::Difference, Some(other)) => {
                result = result.iter().filter(|member| !other.contains(member)).collect();
            }
            (Algebra::Union | Algebra::Difference, None) => {}
        }
    }
    Ok(result)
}

fn reply(context: &mut Context<'_>, args: Args<'_>, how: Algebra) -> Answer {
    let set = combine(context, &args[1..], how)?;
    Ok(context.set_of(set.iter().map(bulk).collect()))
}

fn store(context: &mut Context<'_>, args: Args<'_>, how: Algebra) -> Answer {
    let set = combine(context, &args[2..], how)?;
    let length = set.len();
    context.store(args[1], Data::Set(set));
    Ok(count(length))
}

fn sinter(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Intersection)
}

fn sunion(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Union)
}

fn sdiff(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Difference)
}

fn sinterstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Intersection)
}

fn sunionstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Union)
}

fn sdiffstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Difference)
}

/// Reads `numkeys key [key ...] [LIMIT limit]`.
fn keys_and_limit<'a>(args: &'a [&'a [u8]]) -> Result<(&'a [&'a [u8]], usize), Failure> {
    let failure = Failure::fixed("ERR numkeys should be greater than 0");
    let keys = count_of(args[0], failure.clone())?;
    if keys == 0 {
        return Err(failure);
    }
    if keys > args.len() - 1 {
        return Err(Failure::fixed("ERR Number of keys can't be greater than number of args"));
    }
    let (keys, options) = args[1..].split_at(keys);
    Ok((keys, limit_option(options)?))
}

/// Reads `[LIMIT limit]`; zero is no limit.
pub(super) fn limit_option(options: &[&[u8]]) -> Result<usize, Failure> {
    let mut limit = 0;
    let (options, rest) = options.as_chunks::<2>();
    for &[word, number] in options {
        if !is(word, "LIMIT") {
            return Err(SYNTAX);
        }
        limit = count_of(number, Failure::fixed("ERR LIMIT can't be negative"))?;
    }
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    Ok(if limit == 0 { usize::MAX } else { limit })
}

fn sintercard(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (keys, limit) = keys_and_limit(&args[1..])?;
    Ok(count(combine(context, keys, Algebra::Intersection)?.len().min(limit)))
}
