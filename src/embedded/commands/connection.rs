//! What concerns one client.

use std::fmt::Write as _;

use super::super::{
    args::{Args, int, is, text},
    context::{Context, bulk, flag, ok},
    data::Blob,
    failure::{Answer, Failure, SYNTAX},
    session::Session,
    state::DATABASES,
    table::{ADMIN, FAST, IN_MULTI, Keys, NO_SCRIPT, Row, SUBSCRIBED},
};
use super::{pubsub::remove_all, server::VERSION};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("ping", -1, FAST | SUBSCRIBED, Keys::None, ping),
    Row::new("echo", 2, FAST, Keys::None, echo),
    Row::new("select", 2, FAST, Keys::None, select),
    Row::new("hello", -1, NO_SCRIPT | FAST, Keys::None, hello),
    Row::new("auth", -2, NO_SCRIPT | FAST, Keys::None, auth),
    Row::new("quit", -1, NO_SCRIPT | FAST | IN_MULTI | SUBSCRIBED, Keys::None, quit),
    Row::new("reset", 1, NO_SCRIPT | FAST | IN_MULTI | SUBSCRIBED, Keys::None, reset),
    Row::container(
        "client",
        &[
            Row::new("client|id", 2, NO_SCRIPT, Keys::None, client_id),
            Row::new("client|getname", 2, NO_SCRIPT, Keys::None, client_getname),
            Row::new("client|setname", 3, NO_SCRIPT, Keys::None, client_setname),
            Row::new("client|setinfo", 4, NO_SCRIPT, Keys::None, client_setinfo),
            Row::new("client|list", -2, NO_SCRIPT | ADMIN, Keys::None, client_list),
            Row::new("client|info", 2, NO_SCRIPT, Keys::None, client_info),
            Row::new("client|unblock", -3, NO_SCRIPT | ADMIN, Keys::None, client_unblock),
        ],
    ),
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
    Ok(Value::Simple("RESET".to_owned()))
}

fn client_id(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(Value::Int(i64::try_from(context.session.id).unwrap_or(i64::MAX)))
}

fn client_getname(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let name = &context.session.name;
    Ok(if name.is_empty() { Value::Nil } else { bulk(name) })
}

/// A name that can stand in `CLIENT LIST`.
fn client_word(word: &[u8], what: &str) -> Result<Blob, Failure> {
    if word.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        Ok(word.into())
    } else {
        Err(Failure::new(format!("ERR {what} cannot contain spaces, newlines or special characters.")))
    }
}

fn client_setname(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    context.session.name = client_word(args[2], "Client names")?;
    Ok(ok())
}

fn client_setinfo(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if is(args[2], "LIB-NAME") {
        context.session.lib_name = client_word(args[3], "lib-name")?;
    } else if is(args[2], "LIB-VER") {
        context.session.lib_version = client_word(args[3], "lib-ver")?;
    } else {
        return Err(Failure::new(format!("ERR Unrecognized option '{}'", text(args[2]))));
    }
    Ok(ok())
}

fn describe(line: &mut String, session: &Session, now: i64) {
    let queued = session.transaction.as_ref().map_or(-1, |transaction| transaction.commands.len().cast_signed());
    let _ = writeln!(
        line,
        "id={} addr=127.0.0.1:0 laddr=127.0.0.1:0 fd=-1 name={} age={} idle=0 flags={} db={} sub={} psub={} ssub=0 \
         multi={queued} cmd={} user=default resp={} lib-name={} lib-ver={}",
        session.id,
        text(&session.name),
        (now - session.created_ms) / 1000,
        if session.subscriptions() > 0 { "P" } else { "N" },
        session.db,
        session.channels.len(),
        session.patterns.len(),
        session.last_command,
        if session.resp3 { 3 } else { 2 },
        text(&session.lib_name),
        text(&session.lib_version),
    );
}

fn client_list(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let wanted: Option<Vec<i64>> = match args[2..] {
        [] => None,
        [word, kind] if is(word, "TYPE") => match () {
            () if is(kind, "normal") || is(kind, "pubsub") => None,
            () if is(kind, "master") || is(kind, "replica") || is(kind, "slave") => Some(Vec::new()),
            () => return Err(Failure::new(format!("ERR Unknown client type '{}'", text(kind)))),
        },
        [word, ref ids @ ..] if is(word, "ID") && !ids.is_empty() => {
            let invalid = Failure::fixed("ERR Invalid client ID");
            let ids = ids.iter().map(|id| super::super::number::parse_int(id).filter(|&id| id > 0));
            Some(ids.collect::<Option<Vec<_>>>().ok_or(invalid)?)
        }
        _ => return Err(SYNTAX),
    };
    let kind = args.get(3).filter(|_| args.get(2).is_some_and(|word| is(word, "TYPE")));
    let mut lines = String::new();
    let mut sessions: Vec<&Session> = context.state.sessions.values().collect();
    sessions.push(context.session);
    sessions.sort_by_key(|session| session.id);
    for session in sessions {
        let listed = wanted.as_ref().is_none_or(|ids| ids.iter().any(|&id| id.cast_unsigned() == session.id));
        let subscribes = session.subscriptions() > 0;
        if listed && kind.is_none_or(|kind| subscribes == is(kind, "pubsub")) {
            describe(&mut lines, session, context.now);
        }
    }
    Ok(bulk(lines))
}

fn client_info(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let mut line = String::new();
    describe(&mut line, context.session, context.now);
    Ok(bulk(line))
}

fn client_unblock(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let id = int(args[2])?;
    let error = match args[3..] {
        [] => false,
        [word] if is(word, "TIMEOUT") => false,
        [word] if is(word, "ERROR") => true,
        _ => return Err(Failure::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let reply =
        if error { Failure::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK").into_value() } else { Value::Nil };
    let ended = u64::try_from(id).map_or(0, |id| {
        let tickets = context.state.blocked.of_session(id);
        tickets.into_iter().filter(|&ticket| context.state.end_wait(ticket, reply.clone())).count()
    });
    Ok(flag(ended > 0))
}
