//! Lua scripts: assembled from `lua/` at build time, called by name with an arity that the compiler checks.

mod catalogue;
mod script;

#[allow(unused_imports, reason = "an engine without a script yet has no module here")]
pub(crate) use catalogue::*;
pub use catalogue::{ALL, ScriptInfo};
pub(crate) use script::is_unknown_script;
pub use script::{Script, ScriptCall, Source, call_many};
