//! `SLOWLOG`

use super::super::{
    args::{Args, text},
    context::{Context, bulk, count, ok},
    failure::{Answer, Failure},
    number::parse_int,
    table::{ADMIN, Keys, Row},
};
use crate::codec::resp::Value;

pub(super) const ROWS: &[Row] = &[Row::container(
    "slowlog",
    &[
        Row::new("slowlog|get", -2, ADMIN, Keys::None, get),
        Row::new("slowlog|len", 2, ADMIN, Keys::None, len),
        Row::new("slowlog|reset", 2, ADMIN, Keys::None, reset),
    ],
)];

/// Commands that are shown where nobody says how many.
const USUAL: usize = 10;

fn get(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let most = match args[2..] {
        [] => USUAL,
        [most] => {
            let refused = Failure::fixed("ERR count should be greater than or equal to -1");
            let most = parse_int(most).filter(|&most| most >= -1).ok_or(refused)?;
            usize::try_from(most).unwrap_or(usize::MAX)
        }
        _ => {
            let word = text(args[1]);
            return Err(Failure::new(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try SLOWLOG HELP."
            )));
        }
    };
    let commands = context.state.slow_log.commands().take(most).map(|command| {
        Value::Array(vec![
            Value::Int(i64::try_from(command.id).unwrap_or(i64::MAX)),
            Value::Int(command.at),
            Value::Int(i64::try_from(command.took.as_micros()).unwrap_or(i64::MAX)),
            Value::Array(command.args.iter().map(bulk).collect()),
            bulk(super::clients::ADDRESS),
            bulk(&command.client_name),
        ])
    });
    Ok(Value::Array(commands.collect()))
}

fn len(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    Ok(count(context.state.slow_log.len()))
}

fn reset(context: &mut Context<'_>, _: Args<'_>) -> Answer {
    context.state.slow_log.reset();
    Ok(ok())
}
