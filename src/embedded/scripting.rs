//! Running scripts on the data: what `redis.call` reaches.

use super::{
    context::{Context, Origin},
    failure::Failure,
    lua::{Limits, LuaRuntime, ScriptHash, ScriptHost},
    native,
    number::parse_float,
    state::{perform, resolve},
    table::{self, GROWS, NO_SCRIPT, WRITE},
};
use crate::codec::resp::Value;

/// The Lua state of an engine, made when the first script comes.
#[derive(Default)]
pub(super) struct Scripts {
    runtime: Option<LuaRuntime>,
}

impl Scripts {
    pub(super) fn runtime(&mut self) -> &mut LuaRuntime {
        self.runtime.get_or_insert_with(|| LuaRuntime::new(Limits::default()))
    }

    /// Bytes that Lua holds.
    pub(super) fn memory(&self) -> usize {
        self.runtime.as_ref().map_or(0, LuaRuntime::memory)
    }
}

/// What a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Runs a script that is loaded.
pub(super) fn run(
    context: &mut Context<'_>,
    hash: &ScriptHash,
    keys: &[&[u8]],
    args: &[&[u8]],
    access: Access,
) -> Value {
    if let Some(script) = context.native.take_if(|_| access == Access::Write)
        && let Some(reply) = native::run(context, script, keys, args)
    {
        return reply;
    }
    // The state is lent to the script, and Lua is part of it.
    let Some(mut runtime) = context.state.scripts.runtime.take() else {
        return Failure::fixed("NOSCRIPT No matching script. Please use EVAL.").into_value();
    };
    let read_only = access == Access::Read || runtime.flags(hash).is_some_and(|flags| flags.no_writes);
    let (db, resp3) = (context.session.db, std::mem::replace(&mut context.session.resp3, false));
    let origin = std::mem::replace(&mut context.origin, Origin::Script);
    let reply = runtime.run(hash, keys, args, &mut Host { context, read_only, wrote: false });
    context.origin = origin;
    // A script's SELECT and protocol are its own.
    context.session.db = db;
    context.session.resp3 = resp3;
    context.state.scripts.runtime = Some(runtime);
    if resp3 { reply } else { in_resp2(reply) }
}

struct Host<'c, 's> {
    context: &'c mut Context<'s>,
    read_only: bool,
    /// It wrote: from then on it may finish what it began, also without memory.
    wrote: bool,
}

impl ScriptHost for Host<'_, '_> {
    fn call(&mut self, args: &[&[u8]]) -> Value {
        let row = match resolve(args) {
            Ok(row) => row,
            Err(failure) => return refusal(&failure).into_value(),
        };
        if row.has(NO_SCRIPT) {
            return Failure::fixed("ERR This Redis command is not allowed from script").into_value();
        }
        if self.read_only && row.has(WRITE) {
            return Failure::fixed("ERR Write commands are not allowed from read-only scripts.").into_value();
        }
        if row.has(GROWS) && self.context.state.memory.is_full && !self.wrote {
            return super::memory::OUT_OF_MEMORY.into_value();
        }
        self.wrote |= row.has(WRITE);
        perform(self.context, row, args).unwrap_or_else(Failure::into_value)
    }

    fn set_protocol(&mut self, version: u8) {
        self.context.session.resp3 = version == 3;
    }

    fn knows(&self, name: &[u8]) -> bool {
        table::find(name).is_some()
    }
}

/// What a script is told of a command that cannot be run.
fn refusal(failure: &Failure) -> Failure {
    Failure::fixed(if failure.text().starts_with("ERR wrong number") {
        "ERR Wrong number of args calling Redis command from script"
    } else {
        "ERR Unknown Redis command called from script"
    })
}

/// A reply in the types that RESP2 has.
fn in_resp2(value: Value) -> Value {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            Value::Array(items.into_iter().map(in_resp2).collect())
        }
        Value::Map(pairs) => {
            Value::Array(pairs.into_iter().flat_map(|(name, value)| [in_resp2(name), in_resp2(value)]).collect())
        }
        Value::Bool(true) => Value::Int(1),
        Value::Bool(false) => Value::Nil,
        Value::Double(digits) => {
            // Written as any score is.
            let number = parse_float(digits.as_bytes()).map(super::number::float_text);
            Value::Bulk(number.unwrap_or(digits).into_bytes())
        }
        Value::BigNumber(digits) => Value::Bulk(digits.into_bytes()),
        other => other,
    }
}
