//! Publishing and subscribing.

use std::sync::Arc;

use super::super::{
    args::{Args, text},
    context::{Context, bulk, bulks, count},
    failure::{Answer, Failure},
    glob::glob_matches,
    pubsub::{Named, Names},
    state::Pending,
    table::{ALL, FAST, Keys, NO_SCRIPT, ONE, PUBSUB, Row, SUBSCRIBED},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("publish", 3, PUBSUB | FAST, Keys::None, publish),
    Row::new("subscribe", -2, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, subscribe),
    Row::new("psubscribe", -2, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, psubscribe),
    Row::new("unsubscribe", -1, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, unsubscribe),
    Row::new("punsubscribe", -1, PUBSUB | NO_SCRIPT | SUBSCRIBED, Keys::None, punsubscribe),
    Row::new("spublish", 3, PUBSUB | FAST, ONE, spublish),
    Row::new("ssubscribe", -2, PUBSUB | NO_SCRIPT | SUBSCRIBED, ALL, ssubscribe),
    Row::new("sunsubscribe", -1, PUBSUB | NO_SCRIPT | SUBSCRIBED, ALL, sunsubscribe),
    Row::container(
        "pubsub",
        &[
            Row::new("pubsub|channels", -2, PUBSUB, Keys::None, channels),
            Row::new("pubsub|numsub", -2, PUBSUB, Keys::None, numsub),
            Row::new("pubsub|numpat", 2, PUBSUB, Keys::None, numpat),
            Row::new("pubsub|shardchannels", -2, PUBSUB, Keys::None, shardchannels),
            Row::new("pubsub|shardnumsub", -2, PUBSUB, Keys::None, shardnumsub),
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

/// What a subscriber is told: the number of its subscriptions after each change. Sharded channels are counted by themselves.
fn confirmation(context: &Context<'_>, verb: &str, named: Named, name: Option<&[u8]>) -> Value {
    let session = &*context.session;
    let number =
        if named == Named::Shard { session.shards.len() } else { session.channels.len() + session.patterns.len() };
    let parts = vec![bulk(verb), name.map_or(Value::Nil, bulk), count(number)];
    if session.resp3 { Value::Push(parts) } else { Value::Array(parts) }
}

/// The first confirmation is the reply, the others follow it.
fn reply(context: &mut Context<'_>, confirmations: Vec<Value>) -> Value {
    let mut confirmations = confirmations.into_iter();
    let first = confirmations.next().unwrap_or(Value::Nil);
    context.session.more.extend(confirmations);
    first
}

fn add(context: &mut Context<'_>, args: Args<'_>, verb: &str, named: Named) -> Answer {
    let Some(sink) = context.session.push.clone() else {
        return Err(Failure::fixed("ERR this connection cannot subscribe"));
    };
    let mut confirmations = Vec::with_capacity(args.len() - 1);
    for name in &args[1..] {
        let session = &mut *context.session;
        let (id, known) = (session.id, session.names(named));
        if !known.contains(*name) {
            known.insert((*name).into());
            context.state.board.add(named, name, id, Arc::clone(&sink));
        }
        confirmations.push(confirmation(context, verb, named, Some(name)));
    }
    Ok(reply(context, confirmations))
}

fn remove(context: &mut Context<'_>, args: Args<'_>, verb: &str, named: Named) -> Value {
    let known = context.session.names(named);
    let doomed = if args.len() > 1 { Context::owned(&args[1..]) } else { known.iter().cloned().collect() };
    if doomed.is_empty() {
        return confirmation(context, verb, named, None);
    }
    let mut confirmations = Vec::with_capacity(doomed.len());
    for name in &doomed {
        if context.session.names(named).shift_remove(name) {
            context.state.board.remove(named, name, context.session.id);
        }
        confirmations.push(confirmation(context, verb, named, Some(name)));
    }
    reply(context, confirmations)
}

fn subscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args, "subscribe", Named::Channel)
}

fn psubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args, "psubscribe", Named::Pattern)
}

fn ssubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    add(context, args, "ssubscribe", Named::Shard)
}

fn unsubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(remove(context, args, "unsubscribe", Named::Channel))
}

fn punsubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(remove(context, args, "punsubscribe", Named::Pattern))
}

fn sunsubscribe(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(remove(context, args, "sunsubscribe", Named::Shard))
}

/// Ends every subscription of a client.
pub(super) fn remove_all(context: &mut Context<'_>) {
    for named in [Named::Channel, Named::Pattern, Named::Shard] {
        remove(context, &[b""], "", named);
    }
    context.session.more.clear();
}

fn spublish(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if let Some(published) = &context.state.published {
        published.note(args[1], args[2]);
    }
    let deliveries = context.state.board.publish_sharded(args[1], args[2]);
    let receivers = deliveries.len();
    context.state.pending.extend(deliveries.into_iter().map(Pending::Message));
    Ok(count(receivers))
}

/// The names that somebody subscribes to, or those among them that a pattern fits.
fn names(args: Args<'_>, names: &Names) -> Answer {
    if args.len() > 3 {
        return Err(Failure::new(format!(
            "ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.",
            text(args[1])
        )));
    }
    let fits = |name: &&[u8]| args.get(2).is_none_or(|pattern| glob_matches(pattern, name, false));
    Ok(bulks(names.keys().map(|name| &**name).filter(fits)))
}

/// How many subscribe to each of these names.
fn numbers(args: Args<'_>, names: &Names) -> Answer {
    let counts = args[2..]
        .iter()
        .flat_map(|name| [bulk(name), count(names.get(*name).map_or(0, std::collections::BTreeMap::len))]);
    Ok(Value::Array(counts.collect()))
}

fn channels(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    names(args, &context.state.board.channels)
}

fn numsub(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    numbers(args, &context.state.board.channels)
}

fn shardchannels(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    names(args, &context.state.board.shards)
}

fn shardnumsub(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    numbers(args, &context.state.board.shards)
}

fn numpat(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(count(context.state.board.patterns.len()))
}
