//! `MULTI`, `EXEC` and `WATCH`.

use std::{sync::Arc, time::Instant};

use super::super::{
    args::Args,
    context::{Context, Origin, ok},
    failure::{Answer, Failure},
    session::Transaction,
    state::{perform, resolve},
    table::{ALL, FAST, IN_MULTI, Keys, NIL_ARRAY, NO_SCRIPT, Row},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[
    Row::new("multi", 1, NO_SCRIPT | FAST | IN_MULTI, Keys::None, multi),
    Row::new("exec", 1, NO_SCRIPT | IN_MULTI | NIL_ARRAY, Keys::None, exec),
    Row::new("discard", 1, NO_SCRIPT | FAST | IN_MULTI, Keys::None, discard),
    Row::new("watch", -2, NO_SCRIPT | FAST | IN_MULTI, ALL, watch),
    Row::new("unwatch", 1, NO_SCRIPT | FAST, Keys::None, unwatch),
];

fn multi(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    if context.session.transaction.is_some() {
        return Err(Failure::fixed("ERR MULTI calls can not be nested"));
    }
    context.session.transaction = Some(Transaction::default());
    Ok(ok())
}

fn exec(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let Some(transaction) = context.session.transaction.take() else {
        return Err(Failure::fixed("ERR EXEC without MULTI"));
    };
    let now = context.now;
    let gone = context.session.watched.iter().any(|(db, key, was)| *was && !context.state.dbs[*db].contains(key, now));
    let touched = gone || context.session.watch.is_touched();
    context.state.unwatch(context.session);
    if transaction.broken {
        return Err(Failure::fixed("EXECABORT Transaction discarded because of previous errors."));
    }
    if touched {
        return Ok(Value::Nil);
    }
    let origin = std::mem::replace(&mut context.origin, Origin::Transaction);
    let mut replies = Vec::with_capacity(transaction.commands.len());
    for command in &transaction.commands {
        let args: Vec<&[u8]> = command.iter().map(|arg| &**arg).collect();
        let began = Instant::now();
        let answer = resolve(&args).and_then(|row| perform(context, row, &args));
        context.note_duration(began, &args);
        replies.push(answer.unwrap_or_else(Failure::into_value));
    }
    context.origin = origin;
    Ok(Value::Array(replies))
}

fn discard(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    if context.session.transaction.take().is_none() {
        return Err(Failure::fixed("ERR DISCARD without MULTI"));
    }
    context.state.unwatch(context.session);
    Ok(ok())
}

fn watch(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    if context.session.transaction.is_some() {
        return Err(Failure::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    let db = context.session.db;
    for &key in &args[1..] {
        if context.session.watched.iter().any(|(of, watched, _)| *of == db && **watched == *key) {
            continue;
        }
        let there = context.contains(key);
        context.session.watched.push((db, key.into(), there));
        let watch = Arc::clone(&context.session.watch);
        context.state.watchers.entry((db, key.into())).or_default().push(watch);
    }
    Ok(ok())
}

fn unwatch(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    context.state.unwatch(context.session);
    Ok(ok())
}
