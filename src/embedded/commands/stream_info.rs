//! What there is to know about a stream and its groups.

use super::super::{
    args::{Args, int, is, text},
    context::{Context, bulk, count},
    data::{Group, Position, Stream, StreamId},
    failure::{Answer, Failure, NO_SUCH_KEY},
    table::{Keys, READ, Row},
};
use super::{stream_groups::wrong_options, streams::entry};
use crate::codec::resp::Value;

const KEY: Keys = Keys::At(2, 2, 1);

pub(super) const ROWS: &[Row] = &[Row::container(
    "xinfo",
    &[
        Row::new("xinfo|stream", -3, READ, KEY, stream),
        Row::new("xinfo|groups", 3, READ, KEY, groups),
        Row::new("xinfo|consumers", 4, READ, KEY, consumers),
    ],
)];

/// Entries in one node of the tree that Redis keeps a stream in, whose size it tells.
const NODE: usize = 100;

fn optional(number: Option<i64>) -> Value {
    number.map_or(Value::Nil, Value::Int)
}

fn number(number: u64) -> Value {
    Value::Int(number.cast_signed())
}

fn map(resp3: bool, pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let pairs = pairs.into_iter().map(|(name, value)| (bulk(name), value));
    if resp3 {
        Value::Map(pairs.collect())
    } else {
        Value::Array(pairs.flat_map(|(name, value)| [name, value]).collect())
    }
}

fn stream_of<'c>(context: &'c mut Context<'_>, key: &[u8]) -> Result<&'c Stream, Failure> {
    context.get::<Stream>(key)?.map(|stream| &*stream).ok_or(NO_SUCH_KEY)
}

fn stream(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let resp3 = context.session.resp3;
    let stream = stream_of(context, args[2])?;
    let most = match args[3..] {
        [] => return Ok(brief(resp3, stream)),
        [full] if is(full, "FULL") => 10,
        [full, word, most] if is(full, "FULL") && is(word, "COUNT") => int(most)?,
        _ => return Err(wrong_options(args)),
    };
    let most = if most < 0 { 10 } else { usize::try_from(most).unwrap_or(usize::MAX) };
    Ok(full(resp3, stream, if most == 0 { usize::MAX } else { most }))
}

fn common(stream: &Stream) -> [(&'static str, Value); 7] {
    let nodes = stream.len().div_ceil(NODE);
    [
        ("length", count(stream.len())),
        ("radix-tree-keys", count(nodes)),
        ("radix-tree-nodes", count(nodes + 1)),
        ("last-generated-id", bulk(stream.last_id.to_string())),
        ("max-deleted-entry-id", bulk(stream.max_deleted.to_string())),
        ("entries-added", number(stream.added)),
        ("recorded-first-entry-id", bulk(stream.first_id().to_string())),
    ]
}

fn brief(resp3: bool, stream: &Stream) -> Value {
    let first = stream.range(StreamId::MIN, StreamId::MAX).next();
    let more = [
        ("groups", count(stream.groups.len())),
        ("first-entry", first.map_or(Value::Nil, entry)),
        ("last-entry", stream.last().map_or(Value::Nil, entry)),
    ];
    map(resp3, common(stream).into_iter().chain(more))
}

fn full(resp3: bool, stream: &Stream, most: usize) -> Value {
    let entries = stream.range(StreamId::MIN, StreamId::MAX).take(most).map(entry).collect();
    let position = Position::of(stream);
    let groups = stream.groups.iter().map(|(name, group)| full_group(resp3, name, group, &position, most));
    let groups = groups.collect();
    let more = [("entries", Value::Array(entries)), ("groups", Value::Array(groups))];
    map(resp3, common(stream).into_iter().chain(more))
}

fn full_group(resp3: bool, name: &[u8], group: &Group, position: &Position, most: usize) -> Value {
    let pending = group.pending().iter().take(most).map(|(id, pending)| {
        Value::Array(vec![
            bulk(id.to_string()),
            bulk(&pending.consumer),
            Value::Int(pending.delivered_ms),
            number(pending.deliveries),
        ])
    });
    let consumers = group.consumers().iter().map(|(name, consumer)| {
        let pending = consumer.pending().iter().take(most).filter_map(|id| {
            let pending = group.pending().get(id)?;
            Some(Value::Array(vec![bulk(id.to_string()), Value::Int(pending.delivered_ms), number(pending.deliveries)]))
        });
        let pending = pending.collect();
        map(
            resp3,
            [
                ("name", bulk(name)),
                ("seen-time", Value::Int(consumer.seen_ms)),
                ("active-time", Value::Int(consumer.active_ms)),
                ("pel-count", count(consumer.pending().len())),
                ("pending", Value::Array(pending)),
            ],
        )
    });
    let (pending, consumers) = (pending.collect(), consumers.collect());
    map(
        resp3,
        [
            ("name", bulk(name)),
            ("last-delivered-id", bulk(group.last_id.to_string())),
            ("entries-read", optional(group.entries_read.map(u64::cast_signed))),
            ("lag", optional(group.lag(position))),
            ("pel-count", count(group.pending().len())),
            ("pending", Value::Array(pending)),
            ("consumers", Value::Array(consumers)),
        ],
    )
}

fn groups(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let resp3 = context.session.resp3;
    let stream = stream_of(context, args[2])?;
    let position = Position::of(stream);
    let groups = stream.groups.iter().map(|(name, group)| {
        map(
            resp3,
            [
                ("name", bulk(name)),
                ("consumers", count(group.consumers().len())),
                ("pending", count(group.pending().len())),
                ("last-delivered-id", bulk(group.last_id.to_string())),
                ("entries-read", optional(group.entries_read.map(u64::cast_signed))),
                ("lag", optional(group.lag(&position))),
            ],
        )
    });
    Ok(Value::Array(groups.collect()))
}

fn consumers(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (now, resp3) = (context.now, context.session.resp3);
    let no_group = || {
        let (group, key) = (text(args[3]), text(args[2]));
        Failure::new(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
    };
    let group = stream_of(context, args[2])?.groups.get(args[3]).ok_or_else(no_group)?;
    let consumers = group.consumers().iter().map(|(name, consumer)| {
        let inactive = if consumer.active_ms < 0 { -1 } else { (now - consumer.active_ms).max(0) };
        map(
            resp3,
            [
                ("name", bulk(name)),
                ("pending", count(consumer.pending().len())),
                ("idle", Value::Int((now - consumer.seen_ms).max(0))),
                ("inactive", Value::Int(inactive)),
            ],
        )
    });
    Ok(Value::Array(consumers.collect()))
}
