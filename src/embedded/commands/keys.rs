//! Keys, whatever they hold.

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk, bulks, count, flag, ok},
    failure::{Answer, Failure, NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX},
    glob::glob_matches,
    state::DATABASES,
    table::{ALL, FAST, GROWS, Keys, ONE, READ, Row, WRITE},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("del", -2, WRITE, ALL, del),
    Row::new("unlink", -2, WRITE | FAST, ALL, del),
    Row::new("exists", -2, READ | FAST, ALL, exists),
    Row::new("touch", -2, READ | FAST, ALL, exists),
    Row::new("type", 2, READ | FAST, ONE, type_of),
    Row::new("rename", 3, WRITE, Keys::At(1, 2, 1), rename),
    Row::new("renamenx", 3, WRITE | FAST, Keys::At(1, 2, 1), renamenx),
    Row::new("copy", -3, WRITE | GROWS, Keys::At(1, 2, 1), copy),
    Row::new("move", 3, WRITE | FAST, ONE, move_to),
    Row::new("randomkey", 1, READ, Keys::None, randomkey),
    Row::new("keys", 2, READ, Keys::None, keys),
    Row::new("dbsize", 1, READ | FAST, Keys::None, dbsize),
    Row::new("flushdb", -1, WRITE, Keys::None, flushdb),
    Row::new("flushall", -1, WRITE, Keys::None, flushall),
    Row::new("swapdb", 3, WRITE | FAST, Keys::None, swapdb),
    Row::container(
        "object",
        &[
            Row::new("object|encoding", 3, READ, Keys::At(2, 2, 1), encoding),
            Row::new("object|refcount", 3, READ, Keys::At(2, 2, 1), refcount),
            Row::new("object|idletime", 3, READ, Keys::At(2, 2, 1), idletime),
            Row::new("object|freq", 3, READ, Keys::At(2, 2, 1), freq),
        ],
    ),
];

fn del(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(args[1..].iter().filter(|key| context.remove(key)).count()))
}

fn exists(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(args[1..].iter().filter(|key| context.contains(key)).count()))
}

fn type_of(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let now = context.now;
    let name = context.db().entry(args[1], now).map_or("none", |entry| entry.data.type_name());
    Ok(Value::Simple(name.to_owned()))
}

fn rename_key(context: &mut Context<'_>, from: &[u8], to: &[u8], only_new: bool) -> Result<bool, Failure> {
    if !context.contains(from) {
        return Err(NO_SUCH_KEY);
    }
    if from == to {
        return Ok(!only_new);
    }
    if only_new && context.contains(to) {
        return Ok(false);
    }
    let now = context.now;
    let Some(entry) = context.db().remove(from, now) else { return Err(NO_SUCH_KEY) };
    context.changed(from);
    context.set(to, entry.data, entry.expires);
    context.state.blocked.key_lost(context.session.db, from);
    context.ready(to);
    Ok(true)
}

fn rename(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    rename_key(context, args[1], args[2], false)?;
    Ok(ok())
}

fn renamenx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(flag(rename_key(context, args[1], args[2], true)?))
}

fn db_index(arg: &[u8]) -> Result<usize, Failure> {
    usize::try_from(int(arg)?).ok().filter(|&db| db < DATABASES).ok_or(Failure::fixed("ERR DB index is out of range"))
}

fn copy(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (mut db, mut replace) = (context.session.db, false);
    let mut rest = args[3..].iter();
    while let Some(arg) = rest.next() {
        if is(arg, "REPLACE") {
            replace = true;
        } else if is(arg, "DB")
            && let Some(number) = rest.next()
        {
            db = db_index(number)?;
        } else {
            return Err(SYNTAX);
        }
    }
    let (from, to, now) = (args[1], args[2], context.now);
    if db == context.session.db && from == to {
        return Err(Failure::fixed("ERR source and destination objects are the same"));
    }
    let Some(entry) = context.db().entry(from, now).map(|entry| entry.clone()) else { return Ok(flag(false)) };
    put(context, db, to, entry, replace)
}

/// Puts an entry into another database, or the same.
fn put(
    context: &mut Context<'_>,
    db: usize,
    key: &[u8],
    entry: super::super::keyspace::Entry,
    replace: bool,
) -> Answer {
    let now = context.now;
    if !replace && context.state.dbs[db].contains(key, now) {
        return Ok(flag(false));
    }
    context.state.dbs[db].set(key, entry.data, entry.expires);
    context.state.touch(db, key);
    context.state.blocked.key_ready(db, key);
    Ok(flag(true))
}

fn move_to(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let Some(number) = super::super::number::parse_int(args[2]) else { return Err(NOT_AN_INTEGER) };
    let db = usize::try_from(number)
        .ok()
        .filter(|&db| db < DATABASES)
        .ok_or(Failure::fixed("ERR DB index is out of range"))?;
    if db == context.session.db {
        return Err(Failure::fixed("ERR source and destination objects are the same"));
    }
    let (key, now) = (args[1], context.now);
    let Some(entry) = context.db().entry(key, now).map(|entry| entry.clone()) else { return Ok(flag(false)) };
    let moved = put(context, db, key, entry, false)?;
    if moved == flag(true) {
        context.remove(key);
    }
    Ok(moved)
}

fn randomkey(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let now = context.now;
    // Expired keys are removed as they are drawn, so that this ends.
    loop {
        let db = context.db();
        if db.len() == 0 {
            return Ok(Value::Nil);
        }
        let Some(key) = db.at(fastrand::usize(..db.len())).map(|(key, _)| key.to_vec()) else { return Ok(Value::Nil) };
        if db.contains(&key, now) {
            return Ok(Value::Bulk(key));
        }
    }
}

fn keys(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let now = context.now;
    Ok(bulks(context.db().iter(now).map(|(key, _)| key).filter(|key| glob_matches(args[1], key, false))))
}

fn dbsize(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(count(context.db().len()))
}

fn flush_mode(args: Args<'_>) -> Result<(), Failure> {
    match args[1..] {
        [] => Ok(()),
        [mode] if is(mode, "SYNC") || is(mode, "ASYNC") => Ok(()),
        _ => Err(SYNTAX),
    }
}

fn clear(context: &mut Context<'_>, db: usize) {
    let watched: Vec<_> = context.state.watchers.keys().filter(|(of, _)| *of == db).cloned().collect();
    let now = context.now;
    for (_, key) in watched {
        if context.state.dbs[db].contains(&key, now) {
            context.state.touch(db, &key);
        }
    }
    context.state.changes += u64::from(context.state.dbs[db].len() > 0);
    context.state.dbs[db].clear();
    for key in context.state.blocked.keys_of(db) {
        context.state.blocked.key_lost(db, &key);
    }
}

fn flushdb(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    flush_mode(args)?;
    clear(context, context.session.db);
    context.state.invalidate_all();
    Ok(ok())
}

fn flushall(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    flush_mode(args)?;
    (0..DATABASES).for_each(|db| clear(context, db));
    context.state.invalidate_all();
    Ok(ok())
}

fn swapdb(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let index = |arg: &[u8], failure| super::super::number::parse_int(arg).ok_or(failure);
    let first = index(args[1], Failure::fixed("ERR invalid first DB index"))?;
    let second = index(args[2], Failure::fixed("ERR invalid second DB index"))?;
    let in_range = |number: i64| usize::try_from(number).ok().filter(|&db| db < DATABASES);
    let (Some(first), Some(second)) = (in_range(first), in_range(second)) else {
        return Err(Failure::fixed("ERR DB index is out of range"));
    };
    if first == second {
        return Ok(ok());
    }
    let watched: Vec<_> =
        context.state.watchers.keys().filter(|(db, _)| [first, second].contains(db)).cloned().collect();
    let now = context.now;
    for (db, key) in watched {
        if context.state.dbs[first].contains(&key, now) || context.state.dbs[second].contains(&key, now) {
            context.state.touch(db, &key);
        }
    }
    context.state.changes += 1;
    context.state.dbs.swap(first, second);
    // Whoever has read keys knows no databases.
    context.state.invalidate_all();
    for db in [first, second] {
        for key in context.state.blocked.keys_of(db) {
            if context.state.dbs[db].contains(&key, now) {
                context.state.blocked.key_ready(db, &key);
            } else {
                context.state.blocked.key_lost(db, &key);
            }
        }
    }
    Ok(ok())
}

fn encoding(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let now = context.now;
    Ok(context.db().entry(args[2], now).map_or(Value::Nil, |entry| bulk(entry.data.encoding())))
}

fn refcount(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(if context.contains(args[2]) { Value::Int(1) } else { Value::Nil })
}

const NOT_FOR_LFU: Failure = Failure::fixed(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);
const ONLY_FOR_LFU: Failure = Failure::fixed(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

fn idletime(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (now, counts) = (context.now, context.state.memory.policy.counts_use());
    match context.db().usage(args[2], now) {
        None => Ok(Value::Nil),
        Some(_) if counts => Err(NOT_FOR_LFU),
        Some(usage) => Ok(Value::Int(usage.idle_ms(now) / 1000)),
    }
}

fn freq(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (now, counts) = (context.now, context.state.memory.policy.counts_use());
    match context.db().usage(args[2], now) {
        None => Ok(Value::Nil),
        Some(_) if !counts => Err(ONLY_FOR_LFU),
        Some(usage) => Ok(Value::Int(i64::from(usage.count(now)))),
    }
}
