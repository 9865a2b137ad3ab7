//! Lua scripts, as `EVAL` runs them.

use crate::codec::resp::Value;

/// What a script can reach of the engine that runs it.
pub(super) trait ScriptHost {
    /// Runs one command, with its name as the first argument. An error reply is [`Value::Error`].
    fn call(&mut self, args: &[&[u8]]) -> Value;

    /// Which protocol the replies of [`call`](Self::call) are shaped by: 2, until the script asks for 3.
    fn set_protocol(&mut self, version: u8);
}
