//! Sorted sets: members and scores.

use super::super::{
    args::{Args, float, int, is},
    context::{Context, bulk, bulk_or_nil, bulks, count},
    data::SortedSet,
    failure::{Answer, Failure, SYNTAX},
    table::{FAST, GROWS, ONE, READ, Row, WRITE},
};
use super::hashes::draw;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("zadd", -4, WRITE | GROWS | FAST, ONE, zadd),
    Row::new("zincrby", 4, WRITE | GROWS | FAST, ONE, zincrby),
    Row::new("zrem", -3, WRITE | FAST, ONE, zrem),
    Row::new("zscore", 3, READ | FAST, ONE, zscore),
    Row::new("zmscore", -3, READ | FAST, ONE, zmscore),
    Row::new("zcard", 2, READ | FAST, ONE, zcard),
    Row::new("zrank", -3, READ | FAST, ONE, zrank),
    Row::new("zrevrank", -3, READ | FAST, ONE, zrevrank),
    Row::new("zrandmember", -2, READ, ONE, zrandmember),
];

/// The options of `ZADD`.
#[expect(clippy::struct_excessive_bools, reason = "one for each word")]
#[derive(Clone, Copy, Default)]
struct Options {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    changed: bool,
    increment: bool,
}

/// What adding one member did.
enum Added {
    New(f64),
    Updated(f64),
    Same(f64),
    Refused,
}

fn add_one(set: &mut SortedSet, options: Options, member: &[u8], score: f64) -> Result<Added, Failure> {
    let Some(stored) = set.score(member) else {
        if options.xx {
            return Ok(Added::Refused);
        }
        set.set(member, score);
        return Ok(Added::New(score));
    };
    if options.nx {
        return Ok(Added::Refused);
    }
    let score = if options.increment { stored + score } else { score };
    if score.is_nan() {
        return Err(Failure::fixed("ERR resulting score is not a number (NaN)"));
    }
    if (options.gt && score <= stored) || (options.lt && score >= stored) {
        return Ok(Added::Refused);
    }
    #[expect(clippy::float_cmp, reason = "a score counts as changed when it is another number")]
    if score == stored {
        return Ok(Added::Same(score));
    }
    set.set(member, score);
    Ok(Added::Updated(score))
}

pub(super) fn zadd(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (mut options, mut at) = (Options::default(), 2);
    while let Some(arg) = args.get(at) {
        match () {
            () if is(arg, "NX") => options.nx = true,
            () if is(arg, "XX") => options.xx = true,
            () if is(arg, "GT") => options.gt = true,
            () if is(arg, "LT") => options.lt = true,
            () if is(arg, "CH") => options.changed = true,
            () if is(arg, "INCR") => options.increment = true,
            () => break,
        }
        at += 1;
    }
    add(context, args[1], &args[at..], options)
}

fn zincrby(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args[1], &args[2..], Options { increment: true, ..Options::default() })
}

fn add(context: &mut Context<'_>, key: &[u8], args: &[&[u8]], options: Options) -> Answer {
    let (pairs, []) = args.as_chunks::<2>() else { return Err(SYNTAX) };
    if pairs.is_empty() {
        return Err(SYNTAX);
    }
    if options.nx && options.xx {
        return Err(Failure::fixed("ERR XX and NX options at the same time are not compatible"));
    }
    if u8::from(options.gt) + u8::from(options.lt) + u8::from(options.nx) > 1 {
        return Err(Failure::fixed("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if options.increment && pairs.len() > 1 {
        return Err(Failure::fixed("ERR INCR option supports a single increment-element pair"));
    }
    let scores = pairs.iter().map(|[score, _]| float(score)).collect::<Result<Vec<_>, _>>()?;
    let missing = context.get::<SortedSet>(key)?.is_none();
    let (mut added, mut updated, mut last) = (0, 0, None);
    if !(missing && options.xx) {
        let set = context.get_or_create::<SortedSet>(key)?;
        for (&[_, member], score) in pairs.iter().zip(scores) {
            last = match add_one(set, options, member, score)? {
                Added::New(score) => {
                    added += 1;
                    Some(score)
                }
                Added::Updated(score) => {
                    updated += 1;
                    Some(score)
                }
                Added::Same(score) => Some(score),
                Added::Refused => None,
            };
        }
        if added + updated > 0 {
            context.grown(key);
            context.ready(key);
        }
    }
    if options.increment {
        return Ok(last.map_or(Value::Nil, |score| context.double(score)));
    }
    Ok(count(if options.changed { added + updated } else { added }))
}

fn zrem(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(count(0)) };
    let removed = args[2..].iter().filter(|member| set.remove(member).is_some()).count();
    if removed > 0 {
        context.changed(args[1]);
    }
    Ok(count(removed))
}

fn zscore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let score = context.get::<SortedSet>(args[1])?.and_then(|set| set.score(args[2]));
    Ok(score.map_or(Value::Nil, |score| context.double(score)))
}

fn zmscore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let set = context.get::<SortedSet>(args[1])?;
    let scores: Vec<Option<f64>> =
        args[2..].iter().map(|member| set.as_ref().and_then(|set| set.score(member))).collect();
    let scores = scores.into_iter().map(|score| score.map_or(Value::Nil, |score| context.double(score)));
    Ok(Value::Array(scores.collect()))
}

fn zcard(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<SortedSet>(args[1])?.map_or(0, |set| set.len())))
}

fn rank(context: &mut Context<'_>, args: Args<'_>, reverse: bool) -> Answer {
    let with_score = match args[3..] {
        [] => false,
        [word] if is(word, "WITHSCORE") => true,
        [_] => return Err(SYNTAX),
        _ => return Err(Failure::wrong_arity(if reverse { "zrevrank" } else { "zrank" })),
    };
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(Value::Nil) };
    let Some(rank) = set.rank(args[2]) else { return Ok(Value::Nil) };
    let rank = if reverse { set.len() - 1 - rank } else { rank };
    let score = set.score(args[2]).unwrap_or(0.0);
    Ok(if with_score { Value::Array(vec![count(rank), context.double(score)]) } else { count(rank) })
}

fn zrank(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    rank(context, args, false)
}

fn zrevrank(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    rank(context, args, true)
}

fn zrandmember(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() == 2 {
        let drawn = context.get::<SortedSet>(args[1])?.map(|set| set.at(fastrand::usize(..set.len())).0);
        return Ok(bulk_or_nil(drawn));
    }
    let wanted = int(args[2])?;
    let with_scores = match args[3..] {
        [] => false,
        [word] if is(word, "WITHSCORES") => true,
        _ => return Err(SYNTAX),
    };
    if with_scores && !(i64::MIN / 2..=i64::MAX / 2).contains(&wanted) {
        return Err(Failure::fixed("ERR value is out of range"));
    }
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(Value::Array(Vec::new())) };
    let drawn: Vec<(&[u8], f64)> = draw(wanted, set.len())?.into_iter().map(|rank| set.at(rank)).collect();
    if !with_scores {
        return Ok(bulks(drawn.into_iter().map(|(member, _)| member)));
    }
    let drawn: Vec<(Value, f64)> = drawn.into_iter().map(|(member, score)| (bulk(member), score)).collect();
    Ok(context.pairs(drawn.into_iter().map(|(member, score)| (member, context.double(score)))))
}
