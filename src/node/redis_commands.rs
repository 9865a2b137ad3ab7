//! What a command line is to the connection: its number for JavaScript, where its keys are, whether it may be repeated.

use crate::connection::CommandFlags;

/// A command that `RedisService` has as a method.
pub(super) struct CommandSpec {
    pub(super) name: &'static str,
    pub(super) flags: CommandFlags,
    /// Whether all arguments are keys; else the first is.
    pub(super) all_keys: bool,
    pub(super) no_keys: bool,
}

const fn spec(name: &'static str, repeatable: bool, all_keys: bool, no_keys: bool) -> CommandSpec {
    CommandSpec { name, flags: CommandFlags { repeatable, chained: false }, all_keys, no_keys }
}

const TABLE: &[CommandSpec] = &[
    spec("GET", true, false, false),
    spec("SET", false, false, false),
    spec("DEL", false, true, false),
    spec("EXISTS", true, true, false),
    spec("INCR", false, false, false),
    spec("INCRBY", false, false, false),
    spec("EXPIRE", false, false, false),
    spec("TTL", true, false, false),
    spec("MGET", true, true, false),
    spec("PING", true, false, true),
];

pub(super) fn find(name: &str) -> Option<u16> {
    TABLE.iter().position(|spec| spec.name.eq_ignore_ascii_case(name)).and_then(|id| u16::try_from(id).ok())
}

pub(super) fn get(id: u16) -> Option<&'static CommandSpec> {
    TABLE.get(usize::from(id))
}
