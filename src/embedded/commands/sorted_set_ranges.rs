//! Ranges of sorted sets: by rank, by score, by member.

use super::super::{
    args::{Args, int, is, lex_bound, positions, score_bound},
    context::{Context, bulk, count},
    data::{Data, SortedSet},
    failure::{Answer, Failure, SYNTAX},
    table::{FAST, GROWS, Keys, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("zrange", -4, READ, ONE, zrange),
    Row::new("zrangestore", -5, WRITE | GROWS, Keys::At(1, 2, 1), zrangestore),
    Row::new("zrevrange", -4, READ, ONE, zrevrange),
    Row::new("zrangebyscore", -4, READ, ONE, zrangebyscore),
    Row::new("zrevrangebyscore", -4, READ, ONE, zrevrangebyscore),
    Row::new("zrangebylex", -4, READ, ONE, zrangebylex),
    Row::new("zrevrangebylex", -4, READ, ONE, zrevrangebylex),
    Row::new("zcount", 4, READ | FAST, ONE, zcount),
    Row::new("zlexcount", 4, READ | FAST, ONE, zlexcount),
    Row::new("zremrangebyrank", 4, WRITE, ONE, zremrangebyrank),
    Row::new("zremrangebyscore", 4, WRITE, ONE, zremrangebyscore),
    Row::new("zremrangebylex", 4, WRITE, ONE, zremrangebylex),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as the arguments ask for it.
struct Request<'a> {
    key: &'a [u8],
    by: By,
    reverse: bool,
    bounds: [&'a [u8]; 2],
    offset: i64,
    limit: i64,
    with_scores: bool,
}

impl<'a> Request<'a> {
    /// Reads `key min max [options]`. Where `by` or `reverse` is `None`, an option may say.
    fn parse(args: &[&'a [u8]], by: Option<By>, reverse: Option<bool>, storing: bool) -> Result<Self, Failure> {
        let (mut found_by, mut found_reverse) = (by, reverse);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut rest = args[3..].iter();
        while let Some(&arg) = rest.next() {
            if !storing && is(arg, "WITHSCORES") {
                with_scores = true;
            } else if is(arg, "LIMIT")
                && let [first, second, ..] = rest.as_slice()
            {
                (offset, limit) = (int(first)?, int(second)?);
                rest.next();
                rest.next();
            } else if reverse.is_none() && is(arg, "REV") {
                found_reverse = Some(true);
            } else if found_by.is_none() && is(arg, "BYLEX") {
                found_by = Some(By::Lex);
            } else if found_by.is_none() && is(arg, "BYSCORE") {
                found_by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
        }
        let (by, reverse) = (found_by.unwrap_or(By::Rank), found_reverse.unwrap_or(false));
        if by == By::Rank && limit != -1 {
            return Err(Failure::fixed(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(Failure::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let bounds = if reverse && by != By::Rank { [args[2], args[1]] } else { [args[1], args[2]] };
        Ok(Self { key: args[0], by, reverse, bounds, offset, limit, with_scores })
    }

    /// The members of the range. The bounds are read before the key is looked at.
    fn run<T>(&self, context: &mut Context<'_>, take: impl Fn(&[u8], f64) -> T) -> Result<Vec<T>, Failure> {
        let ranks = Ranks::parse(self.by, self.bounds)?;
        let Some(set) = context.get::<SortedSet>(self.key)? else { return Ok(Vec::new()) };
        let (from, until) = ranks.resolve(set);
        // Ranks of a reversed range by rank count from the end already.
        let start = if self.reverse && self.by != By::Rank { set.len() - until } else { from };
        let Ok(offset) = usize::try_from(self.offset) else { return Ok(Vec::new()) };
        let length = (until - from).saturating_sub(offset);
        let length = usize::try_from(self.limit).map_or(length, |limit| limit.min(length));
        if length == 0 {
            return Ok(Vec::new());
        }
        Ok(set.range(start + offset, length, self.reverse).map(|(member, score)| take(member, score)).collect())
    }

    fn reply(&self, context: &mut Context<'_>) -> Answer {
        if !self.with_scores {
            return Ok(Value::Array(self.run(context, |member, _| bulk(member))?));
        }
        let members = self.run(context, |member, score| (bulk(member), score))?;
        Ok(context.pairs(members.into_iter().map(|(member, score)| (member, context.double(score)))))
    }
}

/// The bounds of a range.
enum Ranks<'a> {
    Rank(i64, i64),
    Score(super::super::data::ScoreBound, super::super::data::ScoreBound),
    Lex(super::super::data::LexBound<'a>, super::super::data::LexBound<'a>),
}

impl<'a> Ranks<'a> {
    fn parse(by: By, [min, max]: [&'a [u8]; 2]) -> Result<Self, Failure> {
        Ok(match by {
            By::Rank => Self::Rank(int(min)?, int(max)?),
            By::Score => Self::Score(score_bound(min)?, score_bound(max)?),
            By::Lex => Self::Lex(lex_bound(min)?, lex_bound(max)?),
        })
    }

    /// As `from..until`.
    fn resolve(&self, set: &SortedSet) -> (usize, usize) {
        match *self {
            Self::Rank(start, stop) => positions(start, stop, set.len()),
            Self::Score(min, max) => set.score_range(min, max),
            Self::Lex(min, max) => set.lex_range(min, max),
        }
    }
}

fn zrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], None, None, false)?.reply(context)
}

fn zrevrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], Some(By::Rank), Some(true), false)?.reply(context)
}

fn zrangebyscore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], Some(By::Score), Some(false), false)?.reply(context)
}

fn zrevrangebyscore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], Some(By::Score), Some(true), false)?.reply(context)
}

fn zrangebylex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], Some(By::Lex), Some(false), false)?.reply(context)
}

fn zrevrangebylex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..], Some(By::Lex), Some(true), false)?.reply(context)
}

fn zrangestore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let request = Request::parse(&args[2..], None, None, true)?;
    let mut set = SortedSet::default();
    for (member, score) in request.run(context, |member, score| (member.to_vec(), score))? {
        set.set(&member, score);
    }
    let length = set.len();
    context.store(args[1], Data::SortedSet(Box::new(set)));
    Ok(count(length))
}

fn count_range(context: &mut Context<'_>, args: Args<'_>, by: By) -> Answer {
    let ranks = Ranks::parse(by, [args[2], args[3]])?;
    Ok(count(context.get::<SortedSet>(args[1])?.map_or(0, |set| {
        let (from, until) = ranks.resolve(set);
        until - from
    })))
}

fn zcount(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    count_range(context, args, By::Score)
}

fn zlexcount(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    count_range(context, args, By::Lex)
}

fn remove_range(context: &mut Context<'_>, args: Args<'_>, by: By) -> Answer {
    let ranks = Ranks::parse(by, [args[2], args[3]])?;
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(count(0)) };
    let (from, until) = ranks.resolve(set);
    let doomed: Vec<Vec<u8>> = set.range(from, until - from, false).map(|(member, _)| member.to_vec()).collect();
    for member in &doomed {
        set.remove(member);
    }
    if !doomed.is_empty() {
        context.changed(args[1]);
    }
    Ok(count(doomed.len()))
}

fn zremrangebyrank(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    remove_range(context, args, By::Rank)
}

fn zremrangebyscore(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    remove_range(context, args, By::Score)
}

fn zremrangebylex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    remove_range(context, args, By::Lex)
}
