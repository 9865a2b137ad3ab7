//! Commands on their way to a server: encoded once, into the buffer that goes to the socket.

use std::{sync::Arc, time::Duration};

use super::link::ReplySink;
use crate::embedded::NativeScript;

/// Where a command may run. A single server ignores it; a cluster routes by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Hash slot of the command's keys; `None` when it has no key and any node will do.
    pub slot: Option<u16>,
    /// Whether a replica may answer.
    pub replica: bool,
}

/// What the connection layer must know of a command beyond its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandFlags {
    /// Running it twice leaves the same data and gives the same reply, so it is resent when a connection breaks.
    pub repeatable: bool,
    /// Belongs to the command before it in its batch, as `EXEC` and what stands between belong to `MULTI`: all of them
    /// are sent, over one connection, or none.
    pub chained: bool,
}

/// One command: its arguments, already encoded as bulk strings.
#[derive(Clone, Debug, Default)]
pub struct Command {
    argc: usize,
    body: Vec<u8>,
    /// Where it may run.
    pub route: Route,
    /// How a broken connection treats it.
    pub flags: CommandFlags,
    /// Time until its caller is told `CommandTimedOut`; `None` takes the connection's `commandTimeout`.
    pub deadline: Option<Duration>,
    /// What an engine in this process may run instead of the script that the command calls.
    pub(crate) native: Option<NativeScript>,
}

impl Command {
    /// A command by name. Words of a container command (`CLIENT SETNAME`) are separate arguments.
    pub fn new(name: &str) -> Self {
        Self::default().arg(name)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, bytes: impl AsRef<[u8]>) -> Self {
        push_bulk(&mut self.body, bytes.as_ref());
        self.argc += 1;
        self
    }

    /// Adds an integer argument.
    #[must_use]
    pub fn int(self, number: i64) -> Self {
        self.arg(itoa::Buffer::new().format(number))
    }

    /// Adds many arguments.
    #[must_use]
    pub fn args<T: AsRef<[u8]>>(mut self, many: impl IntoIterator<Item = T>) -> Self {
        for one in many {
            self = self.arg(one);
        }
        self
    }

    /// Adds all arguments of another command, whose route, flags and deadline do not count.
    #[must_use]
    pub fn append(mut self, tail: &Command) -> Self {
        self.body.extend_from_slice(&tail.body);
        self.argc += tail.argc;
        self
    }

    /// Adds a key: an argument by whose hash slot a cluster routes.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.route.slot = Some(key_slot(key.as_ref()));
        self.arg(key)
    }

    /// Marks the command as safe to resend after a connection broke.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.flags.repeatable = true;
        self
    }

    /// Ties the command to the one before it in its batch ([`CommandFlags::chained`]).
    #[must_use]
    pub fn chained(mut self) -> Self {
        self.flags.chained = true;
        self
    }

    /// Gives the command a deadline of its own.
    #[must_use]
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Gives an engine in this process what it may run instead of the script that this command calls.
    #[must_use]
    pub fn native(mut self, script: Option<NativeScript>) -> Self {
        self.native = script;
        self
    }

    /// Writes the whole command as RESP.
    pub fn encode(&self, into: &mut Vec<u8>) {
        push_header(into, b'*', self.argc);
        into.extend_from_slice(&self.body);
    }
}

/// Commands of one sink, one after the other in one buffer: what one flush of a JS thread, or one pipeline, submits.
pub struct Batch {
    /// RESP of all commands.
    pub bytes: Vec<u8>,
    /// One entry a command, in order.
    pub entries: Vec<Entry>,
    /// Who gets the replies.
    pub sink: Arc<dyn ReplySink>,
}

/// One command of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// End of its RESP in [`Batch::bytes`]; it starts where the previous one ends.
    pub end: usize,
    /// Given back to the sink with the reply.
    pub token: u64,
    pub route: Route,
    pub flags: CommandFlags,
    pub deadline: Option<Duration>,
    pub(crate) native: Option<NativeScript>,
}

impl Batch {
    pub fn new(sink: Arc<dyn ReplySink>) -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), sink }
    }

    /// Adds a command whose reply the sink gets under `token`.
    pub fn push(&mut self, command: &Command, token: u64) {
        command.encode(&mut self.bytes);
        self.entries.push(Entry {
            end: self.bytes.len(),
            token,
            route: command.route,
            flags: command.flags,
            deadline: command.deadline,
            native: command.native,
        });
    }
}

/// Writes `$5\r\n`, `*3\r\n` and the like.
pub fn push_header(into: &mut Vec<u8>, kind: u8, count: usize) {
    into.push(kind);
    into.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    into.extend_from_slice(b"\r\n");
}

/// Writes one argument.
pub fn push_bulk(into: &mut Vec<u8>, bytes: &[u8]) {
    push_header(into, b'$', bytes.len());
    into.extend_from_slice(bytes);
    into.extend_from_slice(b"\r\n");
}

/// The hash slot of a key: CRC16 of its hash tag, or of all of it, modulo 16384 (Redis Cluster specification).
pub fn key_slot(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key)
        .and_then(|open| {
            let rest = &key[open + 1..];
            memchr::memchr(b'}', rest).filter(|&length| length > 0).map(|length| &rest[..length])
        })
        .unwrap_or(key);
    crc16(tag) & 0x3fff
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0_u16; 256];
        let mut index = 0;
        while index < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "an index below 256, where try_from is not const")]
            let mut crc = (index as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(key_slot(b"123456789"), 0x31c3);
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"{user1000}.followers"));
        assert_eq!(key_slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") & 0x3fff);
        assert_eq!(key_slot(b"foo{{bar}}zap"), crc16(b"{bar") & 0x3fff);
    }

    #[test]
    fn a_command_is_encoded_as_an_array_of_bulk_strings() {
        let mut bytes = Vec::new();
        Command::new("SET").key("k").arg("").int(-7).encode(&mut bytes);
        assert_eq!(bytes, b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\n-7\r\n");
    }
}
