//! Client side caching: `CLIENT TRACKING` and what tells of it.

use super::super::{
    args::{Args, int, is},
    context::{Context, bulk, ok},
    failure::{Answer, Failure, SYNTAX},
};
use crate::codec::resp::Value;

const NO_SUCH_CLIENT: Failure = Failure::fixed("ERR The client ID you want redirect to does not exist");
const DEFAULT_MODE_ONLY: Failure =
    Failure::fixed("ERR CLIENT TRACKING knows only REDIRECT and NOLOOP here, not BCAST, PREFIX, OPTIN and OPTOUT");

/// `CLIENT TRACKING`
pub(super) fn switch(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let (mut redirect, mut no_loop) = (None, false);
    let mut rest = args[3..].iter();
    while let Some(word) = rest.next() {
        if is(word, "NOLOOP") {
            no_loop = true;
        } else if ["BCAST", "PREFIX", "OPTIN", "OPTOUT"].iter().any(|mode| is(word, mode)) {
            return Err(DEFAULT_MODE_ONLY);
        } else if is(word, "REDIRECT")
            && let Some(id) = rest.next()
        {
            if redirect.is_some() {
                return Err(Failure::fixed("ERR A client can only redirect to a single other client"));
            }
            let id = u64::try_from(int(id)?).map_err(|_| NO_SUCH_CLIENT)?;
            let own = context.session.id == id;
            let known = own || context.state.sessions.contains_key(&id);
            if !known {
                return Err(NO_SUCH_CLIENT);
            }
            redirect = Some(id);
        } else {
            return Err(SYNTAX);
        }
    }
    if is(args[2], "ON") {
        let id = context.session.id;
        let own = context.session.push.clone();
        let to = redirect.filter(|to| *to != id).and_then(|to| {
            let sink = context.state.sessions.get(&to)?.push.clone()?;
            Some((to, sink))
        });
        context.state.tracking.begin(id, own, to, no_loop);
    } else if is(args[2], "OFF") {
        context.state.tracking.end(context.session.id);
    } else {
        return Err(SYNTAX);
    }
    Ok(ok())
}

/// `CLIENT TRACKINGINFO`
pub(super) fn info(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let (mut flags, mut redirect) = (vec!["off"], -1);
    if let Some(tracker) = context.state.tracking.clients.get(&context.session.id) {
        flags = vec!["on"];
        if tracker.no_loop {
            flags.push("noloop");
        }
        if tracker.is_broken() {
            flags.push("broken_redirect");
        }
        redirect = tracker.redirect.map_or(0, u64::cast_signed);
    }
    let flags = context.set_of(flags.into_iter().map(bulk).collect());
    Ok(context.map(vec![
        (bulk("flags"), flags),
        (bulk("redirect"), Value::Int(redirect)),
        (bulk("prefixes"), Value::Array(Vec::new())),
    ]))
}

/// `CLIENT GETREDIR`
pub(super) fn redirect(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    let tracker = context.state.tracking.clients.get(&context.session.id);
    Ok(Value::Int(tracker.map_or(-1, |tracker| tracker.redirect.map_or(0, u64::cast_signed))))
}
