//! Taking the lowest or highest members out of sorted sets, waiting for one or not.

use super::super::{
    args::{Args, count as count_of, is},
    blocking::Wish,
    context::{Context, bulk},
    data::{Blob, SortedSet},
    failure::{Answer, Failure, NOT_POSITIVE, SYNTAX},
    table::{BLOCKING, FAST, Keys, NIL_ARRAY, NO_SCRIPT, ONE, Row, WRITE},
};
use super::{
    blocking_lists::timeout,
    list_moves::{count_option, counted_keys},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("zpopmin", -2, WRITE | FAST, ONE, zpopmin),
    Row::new("zpopmax", -2, WRITE | FAST, ONE, zpopmax),
    Row::new("bzpopmin", -3, WRITE | FAST | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::At(1, -2, 1), bzpopmin),
    Row::new("bzpopmax", -3, WRITE | FAST | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::At(1, -2, 1), bzpopmax),
    Row::new("zmpop", -4, WRITE | NIL_ARRAY, Keys::Counted(1), zmpop),
    Row::new("bzmpop", -5, WRITE | BLOCKING | NO_SCRIPT | NIL_ARRAY, Keys::Counted(2), bzmpop),
];

fn take(set: &mut SortedSet, wanted: usize, highest: bool) -> Vec<(Blob, f64)> {
    let wanted = wanted.min(set.len());
    (0..wanted).filter_map(|_| set.pop(highest)).collect()
}

fn pop(context: &mut Context<'_>, args: Args<'_>, highest: bool) -> Answer {
    let wanted = match args[2..] {
        [] => None,
        [wanted] => Some(count_of(wanted, NOT_POSITIVE)?),
        _ => return Err(SYNTAX),
    };
    let Some(set) = context.get::<SortedSet>(args[1])? else { return Ok(Value::Array(Vec::new())) };
    let taken = take(set, wanted.unwrap_or(1), highest);
    if !taken.is_empty() {
        context.changed(args[1]);
    }
    if wanted.is_none() {
        let flat = taken.into_iter().flat_map(|(member, score)| [bulk(member), context.double(score)]);
        return Ok(Value::Array(flat.collect()));
    }
    Ok(context.pairs(taken.into_iter().map(|(member, score)| (bulk(member), context.double(score)))))
}

fn zpopmin(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, false)
}

fn zpopmax(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop(context, args, true)
}

fn pop_or_wait(context: &mut Context<'_>, args: Args<'_>, highest: bool) -> Answer {
    let (keys, wait) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let timeout_ms = timeout(wait)?;
    for key in keys {
        if let Some((member, score)) = context.get::<SortedSet>(key)?.and_then(|set| set.pop(highest)) {
            context.changed(key);
            return Ok(Value::Array(vec![bulk(key), bulk(member), context.double(score)]));
        }
    }
    Ok(context.wait(Wish { keys: Context::owned(keys), timeout_ms, instead: None, also_without_key: false }))
}

fn bzpopmin(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop_or_wait(context, args, false)
}

fn bzpopmax(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    pop_or_wait(context, args, true)
}

/// The arguments of `ZMPOP` from its number of keys on.
struct Request<'a> {
    keys: &'a [&'a [u8]],
    highest: bool,
    count: usize,
}

impl<'a> Request<'a> {
    fn parse(args: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let (keys, rest) = counted_keys(args)?;
        let highest = match rest.first() {
            Some(word) if is(word, "MIN") => false,
            Some(word) if is(word, "MAX") => true,
            _ => return Err(SYNTAX),
        };
        Ok(Self { keys, highest, count: count_option(&rest[1..])? })
    }

    fn pop(&self, context: &mut Context<'_>) -> Result<Value, Failure> {
        for key in self.keys {
            if let Some(set) = context.get::<SortedSet>(key)? {
                let taken = take(set, self.count, self.highest);
                context.changed(key);
                let pairs =
                    taken.into_iter().map(|(member, score)| Value::Array(vec![bulk(member), context.double(score)]));
                return Ok(Value::Array(vec![bulk(key), Value::Array(pairs.collect())]));
            }
        }
        Ok(Value::Nil)
    }
}

fn zmpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Request::parse(&args[1..])?.pop(context)
}

fn bzmpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let timeout_ms = timeout(args[1])?;
    let request = Request::parse(&args[2..])?;
    match request.pop(context)? {
        Value::Nil => Ok(context.wait(Wish {
            keys: Context::owned(request.keys),
            timeout_ms,
            instead: None,
            also_without_key: false,
        })),
        members => Ok(members),
    }
}
