//! The bytes that a socket gave and that are not consumed yet, as frames.

use super::FrameScanner;
use crate::error::Result;

/// Room for an ordinary read.
const SMALL_READ: usize = 64 * 1024;
/// Most that one read takes, so that replies of one link do not hold up the others.
const LARGE_READ: usize = 256 * 1024;

/// Read buffer of one connection.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    /// Start of the first frame that is not consumed.
    start: usize,
    scanner: FrameScanner,
    /// The last read left no room, so more is likely to wait.
    was_filled: bool,
}

impl ReadBuffer {
    /// Where the next read goes: behind the current length, at most to the current capacity.
    pub fn space(&mut self) -> &mut Vec<u8> {
        let room = if self.was_filled { LARGE_READ } else { SMALL_READ };
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            // A large reply came and went.
            if self.bytes.capacity() > LARGE_READ {
                self.bytes = Vec::with_capacity(room);
            }
        } else if self.start > 0 {
            // Happens once for a frame: it stands at the front from now on.
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() - self.bytes.len() < room / 2 {
            self.bytes.reserve(room);
        }
        &mut self.bytes
    }

    /// Says that a read into [`space`](Self::space) is done.
    pub fn filled(&mut self) {
        self.was_filled = self.bytes.len() == self.bytes.capacity();
    }

    /// The next complete frame, to be parsed.
    ///
    /// # Errors
    /// `ProtocolViolation`; nothing more can be read.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>> {
        let start = self.start;
        if start == self.bytes.len() {
            return Ok(None);
        }
        let Some(length) = self.scanner.scan(&self.bytes[start..])? else { return Ok(None) };
        self.start += length;
        Ok(Some(&self.bytes[start..start + length]))
    }
}
