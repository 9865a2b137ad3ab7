//! Strings.

use super::super::{
    args::{Args, float, int, is},
    context::{Context, bulk, bulk_or_nil, count, flag, ok},
    data::{Data, Text},
    failure::{Answer, Failure, NOT_A_FLOAT, NOT_AN_INTEGER, OVERFLOW, SYNTAX, TOO_LONG},
    keyspace::NEVER,
    number::{FloatSum, float_sum, parse_int},
    table::{ALL, FAST, GROWS, Keys, ONE, READ, Row, WRITE},
};
use super::expiry::{Unit, end_of};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("get", 2, READ | FAST, ONE, get),
    Row::new("set", -3, WRITE | GROWS, ONE, set),
    Row::new("setnx", 3, WRITE | GROWS | FAST, ONE, setnx),
    Row::new("setex", 4, WRITE | GROWS, ONE, setex),
    Row::new("psetex", 4, WRITE | GROWS, ONE, psetex),
    Row::new("getset", 3, WRITE | GROWS | FAST, ONE, getset),
    Row::new("getdel", 2, WRITE | FAST, ONE, getdel),
    Row::new("getex", -2, WRITE | FAST, ONE, getex),
    Row::new("append", 3, WRITE | GROWS | FAST, ONE, append),
    Row::new("strlen", 2, READ | FAST, ONE, strlen),
    Row::new("getrange", 4, READ, ONE, getrange),
    Row::new("substr", 4, READ, ONE, getrange),
    Row::new("setrange", 4, WRITE | GROWS, ONE, setrange),
    Row::new("mget", -2, READ | FAST, ALL, mget),
    Row::new("mset", -3, WRITE | GROWS, Keys::At(1, -1, 2), mset),
    Row::new("msetnx", -3, WRITE | GROWS, Keys::At(1, -1, 2), msetnx),
    Row::new("incr", 2, WRITE | GROWS | FAST, ONE, incr),
    Row::new("decr", 2, WRITE | GROWS | FAST, ONE, decr),
    Row::new("incrby", 3, WRITE | GROWS | FAST, ONE, incrby),
    Row::new("decrby", 3, WRITE | GROWS | FAST, ONE, decrby),
    Row::new("incrbyfloat", 3, WRITE | GROWS | FAST, ONE, incrbyfloat),
];

/// Longest string, as `proto-max-bulk-len` is by default.
pub(super) const LONGEST: usize = 512 * 1024 * 1024;

fn get(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(bulk_or_nil(context.get::<Text>(args[1])?.map(|text| text.bytes())))
}

/// The options of `SET` and `GETEX`.
#[expect(clippy::struct_excessive_bools, reason = "one for each word")]
#[derive(Default)]
struct Options<'a> {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    expires: Option<(Unit, bool, &'a [u8])>,
}

fn options<'a>(args: &[&'a [u8]], of_set: bool) -> Result<Options<'a>, Failure> {
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(&arg) = rest.next() {
        let timed = options.expires.is_some() || options.keep_ttl || options.persist;
        let expiry = [
            ("EX", Unit::Seconds, false),
            ("PX", Unit::Milliseconds, false),
            ("EXAT", Unit::Seconds, true),
            ("PXAT", Unit::Milliseconds, true),
        ];
        if of_set && is(arg, "NX") && !options.only_old {
            options.only_new = true;
        } else if of_set && is(arg, "XX") && !options.only_new {
            options.only_old = true;
        } else if of_set && is(arg, "GET") {
            options.get = true;
        } else if of_set && is(arg, "KEEPTTL") && options.expires.is_none() {
            options.keep_ttl = true;
        } else if !of_set && is(arg, "PERSIST") && options.expires.is_none() {
            options.persist = true;
        } else if let Some(&(_, unit, absolute)) = expiry.iter().find(|(word, ..)| is(arg, word))
            && !timed
            && let Some(&amount) = rest.next()
        {
            options.expires = Some((unit, absolute, amount));
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(options)
}

fn set(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let options = options(&args[3..], true)?;
    let now = context.now;
    let expires = match options.expires {
        Some((unit, absolute, amount)) => {
            Some(end_of(int(amount)?, unit, if absolute { None } else { Some(now) }, "set")?)
        }
        None => None,
    };
    let key = args[1];
    let before = if options.get { get(context, args)? } else { Value::Nil };
    let entry = context.db().entry(key, now);
    let kept = entry.as_ref().map_or(NEVER, |entry| entry.expires);
    if (options.only_new && entry.is_some()) || (options.only_old && entry.is_none()) {
        return Ok(before);
    }
    let expires = expires.unwrap_or(if options.keep_ttl { kept } else { NEVER });
    context.set(key, Data::Text(Text::new(args[2])), expires);
    Ok(if options.get { before } else { ok() })
}

fn setnx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let missing = !context.contains(args[1]);
    if missing {
        context.set(args[1], Data::Text(Text::new(args[2])), NEVER);
    }
    Ok(flag(missing))
}

fn setex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let expires = end_of(int(args[2])?, Unit::Seconds, Some(context.now), "setex")?;
    context.set(args[1], Data::Text(Text::new(args[3])), expires);
    Ok(ok())
}

fn psetex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let expires = end_of(int(args[2])?, Unit::Milliseconds, Some(context.now), "psetex")?;
    context.set(args[1], Data::Text(Text::new(args[3])), expires);
    Ok(ok())
}

fn getset(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let before = get(context, args)?;
    context.set(args[1], Data::Text(Text::new(args[2])), NEVER);
    Ok(before)
}

fn getdel(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let before = get(context, args)?;
    context.remove(args[1]);
    Ok(before)
}

fn getex(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let options = options(&args[2..], false)?;
    let value = get(context, args)?;
    if value.is_nil() {
        return Ok(value);
    }
    let (key, now) = (args[1], context.now);
    if let Some((unit, absolute, amount)) = options.expires {
        let expires = end_of(int(amount)?, unit, if absolute { None } else { Some(now) }, "getex")?;
        if expires <= now {
            context.remove(key);
        } else {
            context.db().set_expires(key, expires);
            context.changed(key);
        }
    } else if options.persist && context.db().entry(key, now).is_some_and(|entry| entry.expires != NEVER) {
        context.db().set_expires(key, NEVER);
        context.changed(key);
    }
    Ok(value)
}

fn append(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let created = !context.contains(args[1]);
    let text = context.get_or_create::<Text>(args[1])?;
    if text.bytes().len() + args[2].len() > LONGEST {
        return Err(TOO_LONG);
    }
    if created {
        *text = Text::new(args[2]);
    } else {
        text.edit().extend_from_slice(args[2]);
    }
    let length = text.bytes().len();
    context.changed(args[1]);
    Ok(count(length))
}

fn strlen(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(count(context.get::<Text>(args[1])?.map_or(0, |text| text.bytes().len())))
}

fn getrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (start, end) = (int(args[2])?, int(args[3])?);
    let Some(text) = context.get::<Text>(args[1])? else { return Ok(bulk("")) };
    let length = i64::try_from(text.bytes().len()).unwrap_or(i64::MAX);
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return Ok(bulk(""));
    }
    let resolve = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (resolve(start), resolve(end).min(length - 1));
    if start > end {
        return Ok(bulk(""));
    }
    let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
    Ok(bulk(&text.bytes()[start..=end]))
}

fn setrange(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let offset = int(args[2])?;
    let Ok(offset) = usize::try_from(offset) else { return Err(Failure::fixed("ERR offset is out of range")) };
    let length = context.get::<Text>(args[1])?.map(|text| text.bytes().len());
    if args[3].is_empty() {
        return Ok(count(length.unwrap_or(0)));
    }
    let end = offset.saturating_add(args[3].len());
    if end > LONGEST {
        return Err(TOO_LONG);
    }
    let bytes = context.get_or_create::<Text>(args[1])?.edit();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(args[3]);
    let length = bytes.len();
    context.changed(args[1]);
    Ok(count(length))
}

fn mget(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let values = args[1..].iter().map(|key| match context.get::<Text>(key) {
        Ok(Some(text)) => bulk(text.bytes()),
        _ => Value::Nil,
    });
    Ok(Value::Array(values.collect()))
}

fn mset(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (pairs, []) = args[1..].as_chunks::<2>() else { return Err(Failure::wrong_arity("mset")) };
    for [key, value] in pairs {
        context.set(key, Data::Text(Text::new(*value)), NEVER);
    }
    Ok(ok())
}

fn msetnx(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (pairs, []) = args[1..].as_chunks::<2>() else { return Err(Failure::wrong_arity("msetnx")) };
    if pairs.iter().any(|[key, _]| context.contains(key)) {
        return Ok(flag(false));
    }
    for [key, value] in pairs {
        context.set(key, Data::Text(Text::new(*value)), NEVER);
    }
    Ok(flag(true))
}

fn incr(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args[1], 1)
}

fn decr(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args[1], -1)
}

fn incrby(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let by = int(args[2])?;
    add(context, args[1], by)
}

fn decrby(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let by = int(args[2])?.checked_neg().ok_or(Failure::fixed("ERR decrement would overflow"))?;
    add(context, args[1], by)
}

fn add(context: &mut Context<'_>, key: &[u8], by: i64) -> Answer {
    let now = context.now;
    let stored = match context.get::<Text>(key)? {
        Some(text) => parse_int(text.bytes()).ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = stored.checked_add(by).ok_or(OVERFLOW)?;
    let expires = context.db().entry(key, now).map_or(NEVER, |entry| entry.expires);
    context.set(key, Data::Text(Text::new(itoa::Buffer::new().format(sum).as_bytes())), expires);
    Ok(Value::Int(sum))
}

fn incrbyfloat(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (key, now) = (args[1], context.now);
    let stored = context.get::<Text>(key)?.map_or_else(|| b"0".to_vec(), |text| text.bytes().to_vec());
    float(&stored)?;
    float(args[2])?;
    match float_sum(&stored, args[2]).ok_or(NOT_A_FLOAT)? {
        FloatSum::NotFinite => Err(Failure::fixed("ERR increment would produce NaN or Infinity")),
        FloatSum::Text(sum) => {
            let expires = context.db().entry(key, now).map_or(NEVER, |entry| entry.expires);
            context.set(key, Data::Text(Text::new(sum.as_bytes())), expires);
            Ok(bulk(sum))
        }
    }
}
