//! Publishing and subscribing.

use std::sync::Arc;

use super::super::{
    args::{Args, is},
    context::{Context, bulk, bulks, count},
    failure::{Answer, Failure},
    glob::glob_matches,
    state::Pending,
    table::{FAST, Keys, NO_SCRIPT, PUBSUB, Row, SUBSCRIBED},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("publish", 3, PUBSUB | FAST, Keys::None, publish),
    Row::new("subscribe", -2, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, subscribe),
    Row::new("psubscribe", -2, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, psubscribe),
    Row::new("unsubscribe", -1, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, unsubscribe),
    Row::new("punsubscribe", -1, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, punsubscribe),
    Row::container(
        "pubsub",
        &[
            Row::new("pubsub|channels", -2, PUBSUB, Keys::None, channels),
            Row::new("pubsub|numsub", -2, PUBSUB, Keys::None, numsub),
            Row::new("pubsub|numpat", 2, PUBSUB, Keys::None, numpat),
        ],
    ),
];

fn publish(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if let Some(published) = &context.state.published {
        published.note(args[1], args[2]);
    }
    let deliveries = context.state.board.publish(args[1], args[2]);
    let receivers = deliveries.len();
    context.state.pending.extend(deliveries.into_iter().map(Pending::Message));
    Ok(count(receivers))
}

/// What a subscriber is told: the number of its subscriptions after each change.
fn confirmation(context: &Context<'_>, kind: &str, name: Option<&[u8]>) -> Value {
    let parts = vec![bulk(kind), name.map_or(Value::Nil, bulk), count(context.session.subscriptions())];
    if context.session.resp3 { Value::Push(parts) } else { Value::Array(parts) }
}

/// The first confirmation is the reply, the others follow it.
fn reply(context: &mut Context<'_>, confirmations: Vec<Value>) -> Value {
    let mut confirmations = confirmations.into_iter();
    let first = confirmations.next().unwrap_or(Value::Nil);
    context.session.more.extend(confirmations);
    first
}

fn add(context: &mut Context<'_>, args: Args<'_>, pattern: bool) -> Answer {
    let Some(sink) = context.session.push.clone() else {
        return Err(Failure::fixed("ERR this connection cannot subscribe"));
    };
    let kind = if pattern { "psubscribe" } else { "subscribe" };
    let mut confirmations = Vec::with_capacity(args.len() - 1);
    for name in &args[1..] {
        let session = &mut *context.session;
        let names = if pattern { &mut session.patterns } else { &mut session.channels };
        if !names.contains(*name) {
            names.insert((*name).into());
            context.state.board.add(pattern, name, session.id, Arc::clone(&sink));
        }
        confirmations.push(confirmation(context, kind, Some(name)));
    }
    Ok(reply(context, confirmations))
}

fn remove(context: &mut Context<'_>, args: Args<'_>, pattern: bool) -> Value {
    let kind = if pattern { "punsubscribe" } else { "unsubscribe" };
    let session = &mut *context.session;
    let names = if pattern { &mut session.patterns } else { &mut session.channels };
    let doomed = if args.len() > 1 { Context::owned(&args[1..]) } else { names.iter().cloned().collect() };
    if doomed.is_empty() {
        return confirmation(context, kind, None);
    }
    let mut confirmations = Vec::with_capacity(doomed.len());
    for name in &doomed {
        let session = &mut *context.session;
        let names = if pattern { &mut session.patterns } else { &mut session.channels };
        if names.shift_remove(name) {
            context.state.board.remove(pattern, name, session.id);
        }
        confirmations.push(confirmation(context, kind, Some(name)));
    }
    reply(context, confirmations)
}

fn subscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args, false)
}

fn psubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args, true)
}

fn unsubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(remove(context, args, false))
}

fn punsubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(remove(context, args, true))
}

/// Ends every subscription of a client.
pub(super) fn remove_all(context: &mut Context<'_>) {
    for pattern in [false, true] {
        remove(context, &[b""], pattern);
    }
    context.session.more.clear();
}

fn channels(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if args.len() > 3 {
        let word = if is(args[1], "channels") { "channels" } else { "" };
        return Err(Failure::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
        )));
    }
    let fits = |name: &&[u8]| args.get(2).is_none_or(|pattern| glob_matches(pattern, name, false));
    Ok(bulks(context.state.board.channels.keys().map(|name| &**name).filter(fits)))
}

fn numsub(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let board = &context.state.board;
    let counts = args[2..]
        .iter()
        .flat_map(|name| [bulk(name), count(board.channels.get(*name).map_or(0, std::collections::BTreeMap::len))]);
    Ok(Value::Array(counts.collect()))
}

fn numpat(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(count(context.state.board.patterns.len()))
}
