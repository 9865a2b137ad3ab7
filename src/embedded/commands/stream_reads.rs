//! Reading streams from an id on, alone or as a consumer of a group, and waiting for more.

use super::super::{
    args::{Args, int, is, text},
    blocking::Wish,
    context::{Context, Origin, bulk},
    data::{Group, Position, Stream, StreamId},
    failure::{Answer, Failure, SYNTAX},
    number::parse_int,
    table::{BLOCKING, Keys, NIL_ARRAY, READ, Row, WRITE},
};
use super::{
    stream_ids::{INVALID_ID, strict_id},
    streams::entry,
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("xread", -4, READ | BLOCKING | NIL_ARRAY, Keys::Streams, xread),
    Row::new("xreadgroup", -7, WRITE | BLOCKING | NIL_ARRAY, Keys::Streams, xreadgroup),
];

/// Most entries for one who waited and named no count.
const WAITED_COUNT: usize = 1000;

/// Milliseconds of `BLOCK`.
fn block_ms(arg: &[u8]) -> Result<u64, Failure> {
    let ms = parse_int(arg).ok_or(Failure::fixed("ERR timeout is not an integer or out of range"))?;
    u64::try_from(ms).map_err(|_| Failure::fixed("ERR timeout is negative"))
}

/// What a call says before its keys.
struct Request<'a> {
    most: Option<usize>,
    block: Option<u64>,
    no_ack: bool,
    group: Option<(&'a [u8], &'a [u8])>,
    /// Where the keys begin.
    streams: usize,
    keys: Args<'a>,
    ids: Args<'a>,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, origin: Origin, in_group: bool) -> Result<Self, Failure> {
        let not_of_xread = |option: &str| {
            Failure::new(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."))
        };
        let (mut most, mut block, mut no_ack, mut group) = (None, None, false, None);
        let mut at = 1;
        let streams = loop {
            let Some(word) = args.get(at) else { return Err(SYNTAX) };
            let more = args.len() - 1 - at;
            if is(word, "BLOCK") && more > 0 {
                if origin == Origin::Script {
                    let name = text(args[0]);
                    return Err(Failure::new(format!(
                        "ERR {name} command is not allowed with BLOCK option from scripts"
                    )));
                }
                block = Some(block_ms(args[at + 1])?);
                at += 2;
            } else if is(word, "COUNT") && more > 0 {
                most = usize::try_from(int(args[at + 1])?).ok().filter(|&most| most > 0);
                at += 2;
            } else if is(word, "STREAMS") && more > 0 {
                break at + 1;
            } else if is(word, "GROUP") && more >= 2 {
                if !in_group {
                    return Err(not_of_xread("GROUP"));
                }
                group = Some((args[at + 1], args[at + 2]));
                at += 3;
            } else if is(word, "NOACK") {
                if !in_group {
                    return Err(not_of_xread("NOACK"));
                }
                no_ack = true;
                at += 1;
            } else {
                return Err(SYNTAX);
            }
        };
        let listed = args.len() - streams;
        if !listed.is_multiple_of(2) {
            return Err(Failure::fixed(
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
            ));
        }
        if in_group && group.is_none() {
            return Err(Failure::fixed("ERR Missing GROUP option for XREADGROUP"));
        }
        let (keys, ids) = args[streams..].split_at(listed / 2);
        Ok(Self { most, block, no_ack, group, streams, keys, ids })
    }

    fn most(&self, origin: Origin) -> usize {
        self.most.unwrap_or(if origin == Origin::Retry { WAITED_COUNT } else { usize::MAX })
    }
}

fn reply(context: &Context<'_>, found: Vec<(Value, Value)>) -> Value {
    if context.session.resp3 {
        Value::Map(found)
    } else {
        Value::Array(found.into_iter().map(|(key, entries)| Value::Array(vec![key, entries])).collect())
    }
}

fn xread(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let request = Request::parse(args, context.origin, false)?;
    let most = request.most(context.origin);
    let mut after = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids) {
        let last = context.get::<Stream>(key)?.map_or(StreamId::MIN, |stream| stream.last_id);
        after.push(match *id {
            b"$" => last,
            b">" => {
                return Err(Failure::fixed(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            id => strict_id(id, 0).map_err(|_| INVALID_ID)?,
        });
    }
    let mut found = Vec::new();
    for (key, after) in request.keys.iter().zip(&after) {
        if let (Some(stream), Some(from)) = (context.get::<Stream>(key)?, after.next()) {
            let entries: Vec<Value> = stream.range(from, StreamId::MAX).take(most).map(entry).collect();
            if !entries.is_empty() {
                found.push((bulk(key), Value::Array(entries)));
            }
        }
    }
    if !found.is_empty() {
        return Ok(reply(context, found));
    }
    let Some(timeout_ms) = request.block else { return Ok(Value::Nil) };
    // `$` is where the stream ends now, not where it ends when something arrives.
    let mut instead = Context::owned(&args[..request.streams + request.keys.len()]);
    instead.extend(after.iter().map(|id| id.to_string().into_bytes().into()));
    let keys = Context::owned(request.keys);
    Ok(context.wait(Wish { keys, timeout_ms, instead: Some(instead), also_without_key: false }))
}

fn xreadgroup(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let request = Request::parse(args, context.origin, true)?;
    let Some((group, consumer)) = request.group else { return Err(SYNTAX) };
    let mut after = Vec::with_capacity(request.keys.len());
    for (key, id) in request.keys.iter().zip(request.ids) {
        if !context.get::<Stream>(key)?.is_some_and(|stream| stream.groups.contains_key(group)) {
            return Err(Failure::new(format!(
                "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                text(key),
                text(group)
            )));
        }
        after.push(match *id {
            b"$" => {
                return Err(Failure::fixed(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                     consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just \
                     return an empty result set.",
                ));
            }
            b">" => None,
            id => Some(strict_id(id, 0).map_err(|_| INVALID_ID)?),
        });
    }
    let (most, now) = (request.most(context.origin), context.wall_ms());
    let mut found = Vec::new();
    for (key, after) in request.keys.iter().zip(after) {
        let Some(stream) = context.get::<Stream>(key)? else { continue };
        let reader = Reader { group, consumer, now, most, no_ack: request.no_ack };
        let entries = match after {
            // The highest id stands for the new entries, also where it is spelt out.
            Some(after) if after != StreamId::MAX => Some(reader.history(stream, after)),
            _ => reader.news(stream),
        };
        found.extend(entries.map(|entries| (bulk(key), Value::Array(entries))));
    }
    if !found.is_empty() {
        context.changed_unseen();
        return Ok(reply(context, found));
    }
    let Some(timeout_ms) = request.block else { return Ok(Value::Nil) };
    let keys = Context::owned(request.keys);
    Ok(context.wait(Wish { keys, timeout_ms, instead: None, also_without_key: true }))
}

/// A consumer that reads.
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    now: i64,
    most: usize,
    no_ack: bool,
}

impl Reader<'_> {
    fn group<'s>(&self, stream: &'s mut Stream) -> Option<&'s mut Group> {
        stream.groups.get_mut(self.group)
    }

    /// What the consumer has and did not acknowledge.
    fn history(&self, stream: &mut Stream, after: StreamId) -> Vec<Value> {
        let Some(group) = self.group(stream) else { return Vec::new() };
        group.see_consumer(self.consumer, self.now);
        let Some(consumer) = group.consumers().get(self.consumer) else { return Vec::new() };
        let from = after.next().unwrap_or(StreamId::MIN);
        let ids: Vec<StreamId> = consumer.pending().range(from..).take(self.most).copied().collect();
        let entries = ids.iter().map(|&id| match stream.get(id) {
            Some(fields) => entry((id, fields)),
            None => Value::Array(vec![bulk(id.to_string()), Value::Nil]),
        });
        let entries = entries.collect();
        let there: Vec<StreamId> = ids.into_iter().filter(|&id| stream.get(id).is_some()).collect();
        if let Some(group) = self.group(stream) {
            for id in there {
                group.deliver_again(id, self.now);
            }
        }
        entries
    }

    /// What nobody of the group has read.
    fn news(&self, stream: &mut Stream) -> Option<Vec<Value>> {
        let last = self.group(stream)?.last_id;
        let newest = stream.last()?.0;
        if newest <= last {
            return None;
        }
        let position = Position::of(stream);
        let mut group = stream.groups.remove(self.group)?;
        group.see_consumer(self.consumer, self.now);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.active_ms = self.now;
        }
        let mut entries = Vec::new();
        let news = last.next().into_iter().flat_map(|from| stream.range(from, StreamId::MAX));
        for (id, fields) in news.take(self.most) {
            group.advance(id, &position);
            if !self.no_ack {
                group.assign(id, self.consumer, self.now, 1);
            }
            entries.push(entry((id, fields)));
        }
        stream.groups.insert(self.group.into(), group);
        Some(entries)
    }
}
