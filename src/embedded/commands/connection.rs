//! What concerns one client.

use super::super::{
    args::{Args, int, is, text},
    context::{Context, bulk, ok},
    data::Blob,
    failure::{Answer, Failure, SYNTAX},
    state::DATABASES,
    table::{FAST, IN_MULTI, Keys, NO_SCRIPT, Row, SUBSCRIBED},
};
use super::{clients::client_word, pubsub::remove_all, server::VERSION};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("ping", -1, FAST | SUBSCRIBED, Keys::None, ping),
    Row::new("echo", 2, FAST, Keys::None, echo),
    Row::new("select", 2, FAST, Keys::None, select),
    Row::new("hello", -1, NO_SCRIPT | FAST, Keys::None, hello),
    Row::new("auth", -2, NO_SCRIPT | FAST, Keys::None, auth),
    Row::new("quit", -1, NO_SCRIPT | FAST | IN_MULTI | SUBSCRIBED, Keys::None, quit),
    Row::new("reset", 1, NO_SCRIPT | FAST | IN_MULTI | SUBSCRIBED, Keys::None, reset),
];

fn ping(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() > 2 {
        return Err(Failure::wrong_arity("ping"));
    }
    if !context.session.resp3 && context.session.subscriptions() > 0 {
        return Ok(Value::Array(vec![bulk("pong"), bulk(args.get(1).copied().unwrap_or_default())]));
    }
    Ok(args.get(1).map_or_else(|| Value::Simple("PONG".to_owned()), bulk))
}

fn echo(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(bulk(args[1]))
}

fn select(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let db = int(args[1])?;
    let in_range = usize::try_from(db).ok().filter(|&db| db < DATABASES);
    context.session.db = in_range.ok_or(Failure::fixed("ERR DB index is out of range"))?;
    Ok(ok())
}

fn hello(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if let Some(version) = args.get(1) {
        let version = super::super::number::parse_int(version)
            .ok_or(Failure::fixed("ERR Protocol version is not an integer or out of range"))?;
        if !(2..=3).contains(&version) {
            return Err(Failure::fixed("NOPROTO unsupported protocol version"));
        }
        let mut name = None;
        let mut at = 2;
        while at < args.len() {
            if is(args[at], "SETNAME") && at + 1 < args.len() {
                name = Some(args[at + 1]);
                at += 2;
            } else if is(args[at], "AUTH") && at + 2 < args.len() {
                // The default user has no password and takes any.
                if !is(args[at + 1], "default") {
                    return Err(WRONG_PASSWORD);
                }
                at += 3;
            } else {
                return Err(Failure::new(format!("ERR Syntax error in HELLO option '{}'", text(args[at]))));
            }
        }
        if let Some(name) = name {
            context.session.name = client_word(name, "Client names")?;
        }
        context.session.resp3 = version == 3;
    }
    let (id, version) = (context.session.id, if context.session.resp3 { 3 } else { 2 });
    let pairs = vec![
        (bulk("server"), bulk("redis")),
        (bulk("version"), bulk(VERSION)),
        (bulk("proto"), Value::Int(version)),
        (bulk("id"), Value::Int(i64::try_from(id).unwrap_or(i64::MAX))),
        (bulk("mode"), bulk("standalone")),
        (bulk("role"), bulk("master")),
        (bulk("modules"), Value::Array(Vec::new())),
    ];
    Ok(context.map(pairs))
}

const WRONG_PASSWORD: Failure = Failure::fixed("WRONGPASS invalid username-password pair or user is disabled.");

fn auth(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    match args[1..] {
        [_] => Err(Failure::fixed(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        )),
        [user, _] if user == b"default" => Ok(ok()),
        [_, _] => Err(WRONG_PASSWORD),
        _ => Err(SYNTAX),
    }
}

fn quit(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    context.session.quit = true;
    Ok(ok())
}

fn reset(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    context.session.transaction = None;
    context.state.unwatch(context.session);
    remove_all(context);
    context.session.db = 0;
    context.session.resp3 = false;
    context.session.name = Blob::default();
    context.session.no_touch = false;
    context.state.tracking.end(context.session.id);
    Ok(Value::Simple("RESET".to_owned()))
}
