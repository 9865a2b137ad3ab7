//! Lua scripts, as `EVAL` runs them: Lua 5.1 in Redis's scripting environment.

#![allow(clippy::unnecessary_wraps, reason = "functions that Lua calls have one shape, whether they can fail or not")]

mod allocator;
mod bit;
mod cjson;
mod cmsgpack;
mod convert;
mod environment;
mod general_number;
mod host;
mod interpreter;
mod library;
mod patterns;
mod random;
mod raw;
mod readonly;
mod redis_api;
mod runtime;
mod shebang;
mod structs;
#[cfg(test)]
mod tests;

pub(super) use host::ScriptHost;
pub(super) use redis_api::REDIS_VERSION;
pub(super) use runtime::{Limits, LuaRuntime, ScriptHash};
