//! Lua scripts.

use super::super::{
    args::{Args, Split, int, is},
    context::{Context, bulk, flag, ok},
    failure::{Answer, Failure},
    scripting::{Access, run},
    table::{Keys, NO_SCRIPT, Row},
};
use crate::{codec::resp::Value, embedded::lua::ScriptHash};

pub(super) const ROWS: &[Row] = &[
    Row::new("eval", -3, NO_SCRIPT, Keys::Counted(2), eval),
    Row::new("evalsha", -3, NO_SCRIPT, Keys::Counted(2), evalsha),
    Row::new("eval_ro", -3, NO_SCRIPT, Keys::Counted(2), eval_ro),
    Row::new("evalsha_ro", -3, NO_SCRIPT, Keys::Counted(2), evalsha_ro),
    Row::container(
        "script",
        &[
            Row::new("script|load", 3, NO_SCRIPT, Keys::None, load),
            Row::new("script|exists", -3, NO_SCRIPT, Keys::None, exists),
            Row::new("script|flush", -2, NO_SCRIPT, Keys::None, flush),
            Row::new("script|kill", 2, NO_SCRIPT, Keys::None, kill),
        ],
    ),
];

/// Keys and arguments behind their count.
fn split<'a>(args: &'a [&'a [u8]]) -> Split<'a> {
    let keys = int(args[2])?;
    let Ok(keys) = usize::try_from(keys) else { return Err(Failure::fixed("ERR Number of keys can't be negative")) };
    if keys > args.len() - 3 {
        return Err(Failure::fixed("ERR Number of keys can't be greater than number of args"));
    }
    Ok(args[3..].split_at(keys))
}

fn by_text(context: &mut Context<'_>, args: Args<'_>, access: Access) -> Answer {
    let (keys, arguments) = split(args)?;
    let hash = match context.state.scripts.runtime().load_transient(args[1]) {
        Ok(hash) => hash,
        Err(error) => return Ok(Value::Error(error)),
    };
    Ok(run(context, &hash, keys, arguments, access))
}

fn by_hash(context: &mut Context<'_>, args: Args<'_>, access: Access) -> Answer {
    let missing = Failure::fixed("NOSCRIPT No matching script. Please use EVAL.");
    let hash = ScriptHash::parse(args[1]).ok_or(missing.clone())?;
    let (keys, arguments) = split(args)?;
    if !context.state.scripts.runtime().contains(&hash) {
        return Err(missing);
    }
    Ok(run(context, &hash, keys, arguments, access))
}

fn eval(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_text(context, args, Access::Write)
}

fn evalsha(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_hash(context, args, Access::Write)
}

fn eval_ro(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_text(context, args, Access::Read)
}

fn evalsha_ro(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    by_hash(context, args, Access::Read)
}

fn load(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    Ok(match context.state.scripts.runtime().load(args[2]) {
        Ok(hash) => bulk(hash.as_str()),
        Err(error) => Value::Error(error),
    })
}

fn exists(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let runtime = context.state.scripts.runtime();
    let known = |digits: &&[u8]| flag(ScriptHash::parse(digits).is_some_and(|hash| runtime.contains(&hash)));
    Ok(Value::Array(args[2..].iter().map(known).collect()))
}

fn flush(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    match args[2..] {
        [] => {}
        [mode] if is(mode, "SYNC") || is(mode, "ASYNC") => {}
        _ => return Err(Failure::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    }
    context.state.scripts.runtime().flush();
    Ok(ok())
}

fn kill(_: &mut Context<'_>, _: Args<'_>) -> Answer {
    Err(Failure::fixed("NOTBUSY No scripts in execution right now."))
}
