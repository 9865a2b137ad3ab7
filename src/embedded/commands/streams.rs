//! Streams.

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk, bulks, count, ok},
    data::{Fields, Stream, StreamId},
    failure::{Answer, Failure, NO_SUCH_KEY, SYNTAX},
    table::{FAST, GROWS, NIL_ARRAY, ONE, READ, Row, WRITE},
};
use super::stream_ids::{AddOptions, NewId, Trim, interval, strict_id};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("xadd", -5, WRITE | GROWS | FAST, ONE, xadd),
    Row::new("xlen", 2, READ | FAST, ONE, xlen),
    Row::new("xrange", -4, READ | NIL_ARRAY, ONE, xrange),
    Row::new("xrevrange", -4, READ | NIL_ARRAY, ONE, xrevrange),
    Row::new("xdel", -3, WRITE | FAST, ONE, xdel),
    Row::new("xtrim", -4, WRITE, ONE, xtrim),
    Row::new("xsetid", -3, WRITE | GROWS | FAST, ONE, xsetid),
];

const NOT_ABOVE: Failure =
    Failure::fixed("ERR The ID specified in XADD is equal or smaller than the target stream top item");

fn trim(stream: &mut Stream, options: &AddOptions) -> usize {
    let Some(trim) = options.trim else { return 0 };
    let doomed = |length: usize, id: StreamId| match trim {
        Trim::MaxLength(most) => length > most,
        Trim::MinId(min) => id < min,
    };
    (0..options.limit).take_while(|_| stream.trim_one(doomed)).count()
}

fn new_id(last: StreamId, wanted: NewId, now: i64) -> Result<StreamId, Failure> {
    let exhausted = Failure::fixed("ERR The stream has exhausted the last possible ID, unable to add more items");
    if last == StreamId::MAX {
        return Err(exhausted);
    }
    match wanted {
        NewId::Auto => {
            let ms = u64::try_from(now).unwrap_or(0);
            if ms > last.ms { Ok(StreamId { ms, seq: 0 }) } else { last.next().ok_or(exhausted) }
        }
        NewId::AutoSeq(ms) if ms > last.ms => Ok(StreamId { ms, seq: 0 }),
        NewId::AutoSeq(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| StreamId { ms, seq }).ok_or(NOT_ABOVE),
        NewId::Given(id) if id > last => Ok(id),
        NewId::AutoSeq(_) | NewId::Given(_) => Err(NOT_ABOVE),
    }
}

fn xadd(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let options = AddOptions::parse(args, true)?;
    let fields = &args[options.fields.min(args.len())..];
    if fields.len() < 2 || !fields.len().is_multiple_of(2) {
        return Err(Failure::wrong_arity("xadd"));
    }
    if matches!(options.id, NewId::Given(StreamId::MIN)) {
        return Err(Failure::fixed("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let now = context.now;
    let last = match context.get::<Stream>(args[1])? {
        Some(stream) => stream.last_id,
        None if options.no_create => return Ok(Value::Nil),
        None => StreamId::MIN,
    };
    let id = new_id(last, options.id, now)?;
    let stream = context.get_or_create::<Stream>(args[1])?;
    stream.add(id, fields);
    trim(stream, &options);
    context.grown(args[1]);
    context.ready(args[1]);
    Ok(Value::Bulk(id.to_string().into_bytes()))
}

fn xlen(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<Stream>(args[1])?.map_or(0, |stream| stream.len())))
}

/// An entry as replies show it.
pub(super) fn entry((id, fields): (StreamId, Fields<'_>)) -> Value {
    Value::Array(vec![bulk(id.to_string()), bulks(fields)])
}

fn range(context: &mut Context<'_>, args: Args<'_>, [start, end]: [&[u8]; 2], reverse: bool) -> Answer {
    let (from, to) = interval(start, end)?;
    let mut most = usize::MAX;
    let (options, rest) = args[4..].as_chunks::<2>();
    for &[word, number] in options {
        if !is(word, "COUNT") {
            return Err(SYNTAX);
        }
        most = usize::try_from(int(number)?).unwrap_or(0);
    }
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    let Some(stream) = context.get::<Stream>(args[1])? else { return Ok(Value::Array(Vec::new())) };
    if most == 0 {
        return Ok(Value::Nil);
    }
    let entries = stream.range(from, to);
    Ok(Value::Array(if reverse {
        entries.rev().take(most).map(entry).collect()
    } else {
        entries.take(most).map(entry).collect()
    }))
}

fn xrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    range(context, args, [args[2], args[3]], false)
}

fn xrevrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    range(context, args, [args[3], args[2]], true)
}

fn xdel(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    // Redis looks at the key first, and then at every id before it removes one.
    let missing = context.get::<Stream>(args[1])?.is_none();
    if missing {
        return Ok(count(0));
    }
    let ids = args[2..].iter().map(|arg| strict_id(arg, 0)).collect::<Result<Vec<_>, _>>()?;
    let Some(stream) = context.get::<Stream>(args[1])? else { return Ok(count(0)) };
    let removed = ids.into_iter().filter(|&id| stream.remove(id)).count();
    if removed > 0 {
        context.changed(args[1]);
    }
    Ok(count(removed))
}

fn xtrim(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let options = AddOptions::parse(args, false)?;
    let Some(stream) = context.get::<Stream>(args[1])? else { return Ok(count(0)) };
    let trimmed = trim(stream, &options);
    if trimmed > 0 {
        context.changed(args[1]);
    }
    Ok(count(trimmed))
}

fn xsetid(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let id = strict_id(args[2], 0)?;
    let (mut added, mut max_deleted) = (None, None);
    let (options, rest) = args[3..].as_chunks::<2>();
    for &[word, value] in options {
        if is(word, "ENTRIESADDED") {
            let number = int(value)?;
            added = Some(u64::try_from(number).map_err(|_| Failure::fixed("ERR entries_added must be positive"))?);
        } else if is(word, "MAXDELETEDID") {
            let deleted = strict_id(value, 0)?;
            if id < deleted {
                return Err(Failure::fixed(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted = Some(deleted);
        } else {
            return Err(SYNTAX);
        }
    }
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    let stream = context.get::<Stream>(args[1])?.ok_or(NO_SUCH_KEY)?;
    if stream.last().is_some_and(|(last, _)| id < last) {
        return Err(Failure::fixed("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if added.is_some_and(|added| added < stream.len() as u64) {
        return Err(Failure::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    stream.last_id = id;
    stream.added = added.unwrap_or(stream.added);
    stream.max_deleted = max_deleted.filter(|&id| id != StreamId::MIN).unwrap_or(stream.max_deleted);
    // Nobody who watches the key is told: its entries are the same.
    context.changed_unseen();
    Ok(ok())
}
