//! Moving items between lists, and taking from the first of several that has any.

use super::super::{
    args::{Args, Split, count as count_of, is},
    context::{Context, bulk, bulks},
    data::List,
    failure::{Answer, Failure, SYNTAX},
    table::{GROWS, Keys, NIL_ARRAY, Row, WRITE},
};
use super::lists::{end, move_item, pop_many};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("lmove", 5, WRITE | GROWS, Keys::At(1, 2, 1), lmove),
    Row::new("rpoplpush", 3, WRITE | GROWS, Keys::At(1, 2, 1), rpoplpush),
    Row::new("lmpop", -4, WRITE | NIL_ARRAY, Keys::Counted(1), lmpop),
];

fn lmove(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (front, to_front) = (end(args[3])?, end(args[4])?);
    move_item(context, args[1], args[2], front, to_front)
}

fn rpoplpush(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    move_item(context, args[1], args[2], false, true)
}

fn lmpop(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let request = Request::parse(&args[1..])?;
    request.pop(context)
}

/// The arguments of `LMPOP` from its number of keys on.
pub(super) struct Request<'a> {
    pub keys: &'a [&'a [u8]],
    front: bool,
    count: usize,
}

impl<'a> Request<'a> {
    pub(super) fn parse(args: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let (keys, rest) = counted_keys(args)?;
        let Some((word, options)) = rest.split_first() else { return Err(SYNTAX) };
        let front = end(word)?;
        Ok(Self { keys, front, count: count_option(options)? })
    }

    pub(super) fn pop(&self, context: &mut Context<'_>) -> Answer {
        for key in self.keys {
            if let Some(list) = context.get::<List>(key)? {
                let items = pop_many(list, self.count, self.front);
                context.changed(key);
                return Ok(Value::Array(vec![bulk(key), bulks(items.iter().map(|item| &**item))]));
            }
        }
        Ok(Value::Nil)
    }
}

/// Splits `numkeys key [key ...] rest`.
pub(super) fn counted_keys<'a>(args: &'a [&'a [u8]]) -> Split<'a> {
    let failure = Failure::fixed("ERR numkeys should be greater than 0");
    let count = count_of(args[0], failure.clone())?;
    if count == 0 {
        return Err(failure);
    }
    // A word must follow the keys.
    if count.saturating_add(1) >= args.len() {
        return Err(SYNTAX);
    }
    Ok(args[1..].split_at(count))
}

/// Reads `[COUNT count]`.
pub(super) fn count_option(args: &[&[u8]]) -> Result<usize, Failure> {
    let mut count = None;
    let (options, rest) = args.as_chunks::<2>();
    for &[word, number] in options {
        if !is(word, "COUNT") || count.is_some() {
            return Err(SYNTAX);
        }
        let failure = Failure::fixed("ERR count should be greater than 0");
        count = Some(count_of(number, failure.clone())?);
        if count == Some(0) {
            return Err(failure);
        }
    }
    if rest.is_empty() { Ok(count.unwrap_or(1)) } else { Err(SYNTAX) }
}
