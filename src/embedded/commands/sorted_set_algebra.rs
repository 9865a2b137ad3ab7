//! Unions, intersections and differences of sorted sets, with weights.

use super::super::{
    args::{Args, Split, int, is},
    context::{Context, bulk, count},
    data::{Data, SortedSet},
    failure::{Answer, Failure, SYNTAX, WRONG_TYPE},
    number::parse_float,
    table::{GROWS, Keys, READ, Row, WRITE},
};
use super::set_algebra::{Algebra, limit_option};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("zunion", -3, READ, Keys::Counted(1), zunion),
    Row::new("zinter", -3, READ, Keys::Counted(1), zinter),
    Row::new("zdiff", -3, READ, Keys::Counted(1), zdiff),
    Row::new("zunionstore", -4, WRITE | GROWS, Keys::OneAndCounted(1, 2), zunionstore),
    Row::new("zinterstore", -4, WRITE | GROWS, Keys::OneAndCounted(1, 2), zinterstore),
    Row::new("zdiffstore", -4, WRITE | GROWS, Keys::OneAndCounted(1, 2), zdiffstore),
    Row::new("zintercard", -3, READ, Keys::Counted(1), zintercard),
];

#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Sum => not_nan(left + right),
            Self::Min => left.min(right),
            Self::Max => left.max(right),
        }
    }
}

/// Infinity less infinity counts as nothing.
fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

type Members = Vec<(Vec<u8>, f64)>;

/// A sorted set, or a plain set whose members score 1.
fn members(context: &mut Context<'_>, key: &[u8]) -> Result<Option<Members>, Failure> {
    let now = context.now;
    match context.db().entry(key, now).map(|entry| &entry.data) {
        None => Ok(None),
        Some(Data::Set(set)) => Ok(Some(set.iter().map(|member| (member.to_vec(), 1.0)).collect())),
        Some(Data::SortedSet(set)) => Ok(Some(set.iter().map(|(member, score)| (member.to_vec(), score)).collect())),
        Some(_) => Err(WRONG_TYPE),
    }
}

/// Splits `numkeys key [key ...] options`.
fn counted_keys<'a>(args: &'a [&'a [u8]], command: &str) -> Split<'a> {
    let Some(keys) = usize::try_from(int(args[0])?).ok().filter(|&keys| keys > 0) else {
        return Err(Failure::new(format!("ERR at least 1 input key is needed for '{command}' command")));
    };
    if keys > args.len() - 1 { Err(SYNTAX) } else { Ok(args[1..].split_at(keys)) }
}

/// Runs `numkeys key [key ...] [options]`, and says whether scores are wanted.
fn combine(
    context: &mut Context<'_>,
    args: &[&[u8]],
    how: Algebra,
    command: &str,
    storing: bool,
) -> Result<(SortedSet, bool), Failure> {
    let (keys, options) = counted_keys(args, command)?;
    let mut inputs = Vec::with_capacity(keys.len());
    for key in keys {
        inputs.push(members(context, key)?.unwrap_or_default());
    }
    let (mut weights, mut aggregate, mut with_scores) = (vec![1.0; keys.len()], Aggregate::Sum, false);
    let mut rest = options;
    while let Some((word, behind)) = rest.split_first() {
        if how != Algebra::Difference && is(word, "WEIGHTS") && behind.len() >= keys.len() {
            for (weight, arg) in weights.iter_mut().zip(behind) {
                *weight = parse_float(arg).ok_or(Failure::fixed("ERR weight value is not a float"))?;
            }
            rest = &behind[keys.len()..];
        } else if how != Algebra::Difference && is(word, "AGGREGATE") && !behind.is_empty() {
            aggregate = match () {
                () if is(behind[0], "SUM") => Aggregate::Sum,
                () if is(behind[0], "MIN") => Aggregate::Min,
                () if is(behind[0], "MAX") => Aggregate::Max,
                () => return Err(SYNTAX),
            };
            rest = &behind[1..];
        } else if !storing && is(word, "WITHSCORES") {
            with_scores = true;
            rest = behind;
        } else {
            return Err(SYNTAX);
        }
    }
    Ok((merge(inputs, &weights, aggregate, how), with_scores))
}

fn merge(inputs: Vec<Members>, weights: &[f64], aggregate: Aggregate, how: Algebra) -> SortedSet {
    let mut result = SortedSet::unpacked();
    let mut inputs: Vec<(Members, f64)> = inputs.into_iter().zip(weights.iter().copied()).collect();
    if how == Algebra::Intersection {
        // The smallest first, as Redis does: it matters where a score is no number.
        inputs.sort_by_key(|(members, _)| members.len());
    }
    for (index, (input, weight)) in inputs.into_iter().enumerate() {
        let kept = how == Algebra::Intersection && index > 0;
        let weigh = |score: f64| if kept { score * weight } else { not_nan(score * weight) };
        let weighted = input.into_iter().map(|(member, score)| (member, weigh(score)));
        match how {
            _ if index == 0 => weighted.for_each(|(member, score)| {
                result.set(&member, score);
            }),
            Algebra::Union => weighted.for_each(|(member, score)| {
                let score = result.score(&member).map_or(score, |stored| aggregate.of(stored, score));
                result.set(&member, score);
            }),
            Algebra::Intersection => {
                let mut both = SortedSet::unpacked();
                for (member, score) in weighted {
                    if let Some(stored) = result.score(&member) {
                        both.set(&member, aggregate.of(stored, score));
                    }
                }
                result = both;
            }
            Algebra::Difference => weighted.for_each(|(member, _)| {
                result.remove(&member);
            }),
        }
    }
    result
}

fn reply(context: &mut Context<'_>, args: Args<'_>, how: Algebra, command: &str) -> Answer {
    let (set, with_scores) = combine(context, &args[1..], how, command, false)?;
    if with_scores {
        return Ok(context.pairs(set.iter().map(|(member, score)| (bulk(member), context.double(score)))));
    }
    Ok(Value::Array(set.iter().map(|(member, _)| bulk(member)).collect()))
}

fn store(context: &mut Context<'_>, args: Args<'_>, how: Algebra, command: &str) -> Answer {
    let (result, _) = combine(context, &args[2..], how, command, true)?;
    let mut set = SortedSet::default();
    for (member, score) in result.iter() {
        set.set(member, score);
    }
    let length = set.len();
    context.store(args[1], Data::SortedSet(Box::new(set)));
    Ok(count(length))
}

fn zunion(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Union, "zunion")
}

fn zinter(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Intersection, "zinter")
}

fn zdiff(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    reply(context, args, Algebra::Difference, "zdiff")
}

fn zunionstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Union, "zunionstore")
}

fn zinterstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Intersection, "zinterstore")
}

fn zdiffstore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    store(context, args, Algebra::Difference, "zdiffstore")
}

fn zintercard(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (keys, options) = counted_keys(&args[1..], "zintercard")?;
    let mut inputs = Vec::with_capacity(keys.len());
    for key in keys {
        inputs.push(members(context, key)?.unwrap_or_default());
    }
    let limit = limit_option(options)?;
    let weights = vec![1.0; inputs.len()];
    let both = merge(inputs, &weights, Aggregate::Sum, Algebra::Intersection);
    Ok(count(both.len().min(limit)))
}
