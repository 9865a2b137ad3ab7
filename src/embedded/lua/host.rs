//! What a script asks of the engine that runs it.

use crate::codec::resp::Value;

/// The engine behind `redis.call`. One script borrows it for one run.
pub(in crate::embedded) trait ScriptHost {
    /// Runs a command. Every failure is a [`Value::Error`] whose message is the whole reply line, such as
    /// `WRONGTYPE Operation against a key holding the wrong kind of value`. What only scripts are told is the host's to
    /// say, too: `ERR Unknown Redis command called from script`,
    /// `ERR Wrong number of args calling Redis command from script`,
    /// `ERR This Redis command is not allowed from script` and
    /// `ERR Write commands are not allowed from read-only scripts.`
    fn call(&mut self, args: &[&[u8]]) -> Value;

    /// The script chose a protocol for the replies of its next calls: 2 or 3. Every script starts with 2.
    fn set_protocol(&mut self, _version: u8) {}

    /// A line of `redis.log`. Levels: 0 debug, 1 verbose, 2 notice, 3 warning.
    fn log(&mut self, level: u8, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        match level {
            0 => tracing::trace!(target: "oxcart::script", "{message}"),
            1 => tracing::debug!(target: "oxcart::script", "{message}"),
            2 => tracing::info!(target: "oxcart::script", "{message}"),
            _ => tracing::warn!(target: "oxcart::script", "{message}"),
        }
    }

    /// Whether a command of this name exists, for `redis.acl_check_cmd`.
    fn knows(&self, _name: &[u8]) -> bool {
        true
    }
}
