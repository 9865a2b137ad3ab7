//! Consumer groups of streams.

use super::super::{
    args::{Args, int, is, text},
    context::{Context, count, flag, ok},
    data::{Group, Stream, StreamId},
    failure::{Answer, Failure},
    table::{FAST, GROWS, Keys, ONE, Row, WRITE},
};
use super::stream_ids::{id, strict_id};
use crate::codec::resp::Value;

const KEY: Keys = Keys::At(2, 2, 1);

pub(super) const ROWS: &[Row] = &[
    Row::container(
        "xgroup",
        &[
            Row::new("xgroup|create", -5, WRITE | GROWS, KEY, create),
            Row::new("xgroup|setid", -5, WRITE, KEY, set_id),
            Row::new("xgroup|destroy", 4, WRITE, KEY, destroy),
            Row::new("xgroup|createconsumer", 5, WRITE | GROWS, KEY, create_consumer),
            Row::new("xgroup|delconsumer", 5, WRITE, KEY, delete_consumer),
        ],
    ),
    Row::new("xack", -4, WRITE | FAST, ONE, xack),
];

const NO_KEY: Failure = Failure::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);

/// What a container says of options that do not fit.
pub(super) fn wrong_options(args: Args<'_>) -> Failure {
    let container = text(args[0]).to_ascii_uppercase();
    let word = text(&args[1][..args[1].len().min(128)]).into_owned();
    Failure::new(format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."))
}

/// `ENTRIESREAD` and `MKSTREAM`.
fn options(args: Args<'_>, creating: bool) -> Result<(Option<u64>, bool), Failure> {
    let (mut entries_read, mut make) = (None, false);
    let mut rest = args[5..].iter();
    while let Some(word) = rest.next() {
        if creating && is(word, "MKSTREAM") {
            make = true;
        } else if is(word, "ENTRIESREAD")
            && let Some(number) = rest.next()
        {
            let number = int(number)?;
            if number < -1 {
                return Err(Failure::fixed("ERR value for ENTRIESREAD must be positive or -1"));
            }
            entries_read = u64::try_from(number).ok();
        } else {
            return Err(wrong_options(args));
        }
    }
    Ok((entries_read, make))
}

fn no_group(group: &[u8], key: &[u8]) -> Failure {
    Failure::new(format!("NOGROUP No such consumer group '{}' for key name '{}'", text(group), text(key)))
}

fn create(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (entries_read, make) = options(args, true)?;
    let last = context.get::<Stream>(args[2])?.map(|stream| stream.last_id);
    if last.is_none() && !make {
        return Err(NO_KEY);
    }
    if args.len() > 8 {
        return Err(wrong_options(args));
    }
    let from = if args[4] == b"$" { last.unwrap_or(StreamId::MIN) } else { strict_id(args[4], 0)? };
    let stream = context.get_or_create::<Stream>(args[2])?;
    let is_new = !stream.groups.contains_key(args[3]);
    if is_new {
        stream.groups.insert(args[3].into(), Group::new(from, entries_read));
    }
    if !is_new {
        return Err(Failure::fixed("BUSYGROUP Consumer Group name already exists"));
    }
    if last.is_none() {
        context.changed(args[2]);
    } else {
        context.changed_unseen();
    }
    Ok(ok())
}

/// The stream and the group that a command of `XGROUP` is about.
fn stream_with_group<'c>(context: &'c mut Context<'_>, args: Args<'_>) -> Result<&'c mut Stream, Failure> {
    let stream = context.get::<Stream>(args[2])?.ok_or(NO_KEY)?;
    if stream.groups.contains_key(args[3]) { Ok(stream) } else { Err(no_group(args[3], args[2])) }
}

/// The group that a command of `XGROUP` is about.
fn group<'c>(context: &'c mut Context<'_>, args: Args<'_>) -> Result<&'c mut Group, Failure> {
    stream_with_group(context, args)?.groups.get_mut(args[3]).ok_or_else(|| no_group(args[3], args[2]))
}

fn set_id(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (entries_read, _) = options(args, false)?;
    let last = stream_with_group(context, args)?.last_id;
    if args.len() != 5 && args.len() != 7 {
        return Err(wrong_options(args));
    }
    let to = if args[4] == b"$" { last } else { id(args[4], 0)? };
    let group = group(context, args)?;
    (group.last_id, group.entries_read) = (to, entries_read);
    context.changed_unseen();
    Ok(ok())
}

fn destroy(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let stream = context.get::<Stream>(args[2])?.ok_or(NO_KEY)?;
    let destroyed = stream.groups.remove(args[3]).is_some();
    if destroyed {
        context.changed_unseen();
        // Those who wait on the group are told that it is gone.
        context.ready(args[2]);
    }
    Ok(flag(destroyed))
}

fn create_consumer(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let now = context.wall_ms();
    let created = group(context, args)?.add_consumer(args[4], now);
    if created {
        context.changed_unseen();
    }
    Ok(flag(created))
}

fn delete_consumer(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let group = group(context, args)?;
    let known = group.consumers().contains_key(args[4]);
    let forgotten = group.remove_consumer(args[4]);
    if known {
        context.changed_unseen();
    }
    Ok(count(forgotten))
}

fn xack(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let known = context.get::<Stream>(args[1])?.is_some_and(|stream| stream.groups.contains_key(args[2]));
    if !known {
        return Ok(Value::Int(0));
    }
    let ids = args[3..].iter().map(|arg| strict_id(arg, 0)).collect::<Result<Vec<_>, _>>()?;
    let group = context.get::<Stream>(args[1])?.and_then(|stream| stream.groups.get_mut(args[2]));
    let acknowledged = group.map_or(0, |group| ids.into_iter().filter(|&id| group.acknowledge(id)).count());
    if acknowledged > 0 {
        context.changed_unseen();
    }
    Ok(count(acknowledged))
}
