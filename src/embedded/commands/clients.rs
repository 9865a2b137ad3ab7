//! `CLIENT`: who is connected.

use std::fmt::Write as _;

use super::super::{
    args::{Args, int, is, text},
    context::{Context, bulk, flag, ok},
    data::Blob,
    failure::{Answer, Failure, SYNTAX},
    session::Session,
    state::Pending,
    table::{ADMIN, Keys, NO_SCRIPT, Row},
};
use super::tracking;
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[Row::container(
    "client",
    &[
        Row::new("client|id", 2, NO_SCRIPT, Keys::None, client_id),
        Row::new("client|getname", 2, NO_SCRIPT, Keys::None, client_getname),
        Row::new("client|setname", 3, NO_SCRIPT, Keys::None, client_setname),
        Row::new("client|setinfo", 4, NO_SCRIPT, Keys::None, client_setinfo),
        Row::new("client|list", -2, NO_SCRIPT | ADMIN, Keys::None, client_list),
        Row::new("client|info", 2, NO_SCRIPT, Keys::None, client_info),
        Row::new("client|kill", -3, NO_SCRIPT | ADMIN, Keys::None, client_kill),
        Row::new("client|unblock", -3, NO_SCRIPT | ADMIN, Keys::None, client_unblock),
        Row::new("client|no-evict", 3, NO_SCRIPT | ADMIN, Keys::None, client_no_evict),
        Row::new("client|no-touch", 3, NO_SCRIPT, Keys::None, client_no_touch),
        Row::new("client|tracking", -3, NO_SCRIPT, Keys::None, tracking::switch),
        Row::new("client|trackinginfo", 2, NO_SCRIPT, Keys::None, tracking::info),
        Row::new("client|getredir", 2, NO_SCRIPT, Keys::None, tracking::redirect),
    ],
)];

fn client_id(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(Value::Int(i64::try_from(context.session.id).unwrap_or(i64::MAX)))
}

fn client_getname(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let name = &context.session.name;
    Ok(if name.is_empty() { Value::Nil } else { bulk(name) })
}

/// A name that can stand in `CLIENT LIST`.
pub(super) fn client_word(word: &[u8], what: &str) -> Result<Blob, Failure> {
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

fn describe(line: &mut String, context: &Context<'_>, session: &Session, waits: bool) {
    let tracking = &context.state.tracking.clients;
    let mut flags = String::new();
    if session.subscriptions() > 0 {
        flags.push('P');
    }
    if session.transaction.is_some() {
        flags.push('x');
    }
    if waits {
        flags.push('b');
    }
    if let Some(tracker) = tracking.get(&session.id) {
        flags.push('t');
        if tracker.is_broken() {
            flags.push('R');
        }
    }
    if session.no_touch {
        flags.push('T');
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let redirect = tracking.get(&session.id).map_or(-1, |tracker| tracker.redirect.map_or(0, u64::cast_signed));
    let queued = session.transaction.as_ref().map_or(-1, |transaction| transaction.commands.len().cast_signed());
    let _ = writeln!(
        line,
        "id={} addr=127.0.0.1:0 laddr=127.0.0.1:0 fd=-1 name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub={} \
         multi={queued} watch={} cmd={} user=default redir={redirect} resp={} lib-name={} lib-ver={}",
        session.id,
        text(&session.name),
        (context.now - session.created_ms) / 1000,
        (context.now - session.active_ms) / 1000,
        session.db,
        session.channels.len(),
        session.patterns.len(),
        session.shards.len(),
        session.watched.len(),
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
    let context = &*context;
    let waiting = context.state.blocked.sessions();
    let mut sessions: Vec<&Session> = context.state.sessions.values().collect();
    sessions.push(context.session);
    sessions.sort_by_key(|session| session.id);
    for session in sessions {
        let listed = wanted.as_ref().is_none_or(|ids| ids.iter().any(|&id| id.cast_unsigned() == session.id));
        let subscribes = session.subscriptions() > 0;
        if listed && kind.is_none_or(|kind| subscribes == is(kind, "pubsub")) {
            describe(&mut lines, context, session, waiting.contains(&session.id));
        }
    }
    Ok(bulk(lines))
}

fn client_info(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let mut line = String::new();
    describe(&mut line, context, context.session, false);
    Ok(bulk(line))
}

fn client_unblock(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let error = match args[3..] {
        [] => false,
        [word] if is(word, "TIMEOUT") => false,
        [word] if is(word, "ERROR") => true,
        [_] => return Err(Failure::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => {
            let word = text(args[1]);
            return Err(Failure::new(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try CLIENT HELP."
            )));
        }
    };
    let id = int(args[2])?;
    let reply =
        if error { Failure::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK").into_value() } else { Value::Nil };
    let ended = u64::try_from(id).map_or(0, |id| {
        let tickets = context.state.blocked.of_session(id);
        tickets.into_iter().filter(|&ticket| context.state.end_wait(ticket, reply.clone())).count()
    });
    Ok(flag(ended > 0))
}

/// Which clients `CLIENT KILL` is to end.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    pubsub: Option<bool>,
    /// No client is of this kind, has this address, or is this user.
    nobody: bool,
    spares_self: bool,
    address: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(words: &'a [&'a [u8]]) -> Result<Self, Failure> {
        let mut filter = Self { spares_self: true, ..Self::default() };
        let (pairs, rest) = words.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(SYNTAX);
        }
        for [word, value] in pairs {
            if is(word, "ID") {
                let invalid = Failure::fixed("ERR client-id should be greater than 0");
                let id = super::super::number::parse_int(value).filter(|&id| id > 0).ok_or(invalid)?;
                filter.id = Some(id.cast_unsigned());
            } else if is(word, "TYPE") {
                match () {
                    () if is(value, "normal") => filter.pubsub = Some(false),
                    () if is(value, "pubsub") => filter.pubsub = Some(true),
                    () if ["master", "replica", "slave"].iter().any(|kind| is(value, kind)) => filter.nobody = true,
                    () => return Err(Failure::new(format!("ERR Unknown client type '{}'", text(value)))),
                }
            } else if is(word, "USER") {
                if *value != b"default" {
                    return Err(Failure::new(format!("ERR No such user '{}'", text(value))));
                }
            } else if is(word, "ADDR") || is(word, "LADDR") {
                filter.address = Some(value);
            } else if is(word, "SKIPME") && (is(value, "yes") || is(value, "no")) {
                filter.spares_self = is(value, "yes");
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(filter)
    }

    fn meets(&self, session: &Session) -> bool {
        !self.nobody
            && self.id.is_none_or(|id| id == session.id)
            && self.pubsub.is_none_or(|pubsub| pubsub == (session.subscriptions() > 0))
            && self.address.is_none_or(|address| address == ADDRESS)
    }
}

/// What every client shows: there are Unix sockets, and clients without any.
pub(super) const ADDRESS: &[u8] = b"127.0.0.1:0";

/// Ends clients behind sockets. Those of this process have no connection that could be broken.
fn client_kill(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if let [address] = args[2..] {
        let filter = Filter { address: Some(address), ..Filter::default() };
        return if kill(context, &filter) == 0 { Err(Failure::fixed("ERR No such client")) } else { Ok(ok()) };
    }
    let filter = Filter::parse(&args[2..])?;
    Ok(Value::Int(kill(context, &filter)))
}

fn kill(context: &mut Context<'_>, filter: &Filter<'_>) -> i64 {
    let mut killed = 0;
    let met = context.state.sessions.values().filter(|session| session.is_remote && filter.meets(session));
    let sinks: Vec<_> = met.filter_map(|session| session.push.clone()).collect();
    for sink in sinks {
        context.state.pending.push(Pending::HangUp(sink));
        killed += 1;
    }
    if !filter.spares_self && context.session.is_remote && filter.meets(context.session) {
        // After its reply.
        context.session.quit = true;
        killed += 1;
    }
    killed
}

fn on_or_off(word: &[u8]) -> Result<bool, Failure> {
    if is(word, "ON") || is(word, "OFF") { Ok(is(word, "ON")) } else { Err(SYNTAX) }
}

/// Clients are never ended for the memory that they take: what may wait for one is bounded.
fn client_no_evict(_: &mut Context<'_>, args: Args<'_>) -> Answer {
    on_or_off(args[2])?;
    Ok(ok())
}

fn client_no_touch(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    context.session.no_touch = on_or_off(args[2])?;
    Ok(ok())
}
