//! The scripts, one constant each, as `build.rs` assembled them.

use super::script::{Script, Source};

/// What a script says about itself.
#[derive(Clone, Copy, Debug)]
pub struct ScriptInfo {
    /// Path below `lua/` without extension.
    pub name: &'static str,
    /// Names of its keys and arguments, in order.
    pub keys: &'static [&'static str],
    pub args: &'static [&'static str],
    /// Name of the variadic last argument.
    pub rest: Option<&'static str>,
    /// Names of the errors that it replies with.
    pub errors: &'static [&'static str],
    /// What is sent.
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));
