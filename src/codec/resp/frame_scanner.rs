//! Finds where a reply ends, while it arrives in pieces.
//!
//! A reply of 100 MB arrives in thousands of reads. The scanner remembers how far it got (a position, the values still
//! missing at each open level), so that every byte is looked at once, however the reply was cut: O(n) in total. It
//! checks the framing; what stands inside a frame is checked by [`super::parse`].

use super::{MAX_DEPTH, MAX_FRAME, violation};
use crate::error::Result;

/// Longest status, error or number, and longest header.
const MAX_LINE: usize = 1024 * 1024;
/// Longest header: a type byte and the digits of a length.
const MAX_HEADER: usize = 32;

/// Scanner of one stream. Made once per connection.
#[derive(Debug, Default)]
pub struct FrameScanner {
    /// Start of the value or header that is not understood yet, counted from the start of the frame.
    at: usize,
    /// Where the search for the end of the line goes on.
    searched: usize,
    /// End of the string whose header was read, with its line break; 0 between values.
    body_end: usize,
    /// Values still missing at each open level.
    open: Vec<usize>,
}

impl FrameScanner {
    /// Goes on with `frame`, which starts where the frame starts and holds at least what the last call was given.
    /// `Some(length)` when the frame is complete; the scanner then stands at the next one.
    ///
    /// # Errors
    /// `ProtocolViolation`; the stream cannot be read on.
    pub fn scan(&mut self, frame: &[u8]) -> Result<Option<usize>> {
        loop {
            if self.body_end > 0 {
                if frame.len() < self.body_end {
                    return Ok(None);
                }
                if &frame[self.body_end - 2..self.body_end] != b"\r\n" {
                    return Err(violation("a string does not end where its length says"));
                }
                self.move_to(self.body_end);
            } else {
                let Some(line_end) = self.find_line_end(frame)? else { return Ok(None) };
                let (kind, line) = (frame[self.at], &frame[self.at + 1..line_end]);
                self.move_to(line_end + 2);
                if self.enter(kind, line)? {
                    continue;
                }
            }
            if self.close_value() {
                let length = self.at;
                self.move_to(0);
                return Ok(Some(length));
            }
        }
    }

    fn move_to(&mut self, position: usize) {
        (self.at, self.searched, self.body_end) = (position, position, 0);
    }

    /// Takes in a header. True when more has to come before its value is complete.
    fn enter(&mut self, kind: u8, line: &[u8]) -> Result<bool> {
        match kind {
            b'$' | b'!' | b'=' => {
                let Some(length) = length(line, kind == b'$')? else { return Ok(false) };
                self.body_end = self.at + length + 2;
                if self.body_end > MAX_FRAME {
                    return Err(violation("a reply is longer than 2 GiB"));
                }
                Ok(true)
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let Some(count) = length(line, kind == b'*')? else { return Ok(false) };
                let values = match kind {
                    b'%' => count * 2,
                    // Attributes stand in front of the value that they describe.
                    b'|' => count * 2 + 1,
                    _ => count,
                };
                if values == 0 {
                    return Ok(false);
                }
                if self.open.len() == MAX_DEPTH {
                    return Err(violation("a reply is nested too deeply"));
                }
                self.open.push(values);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Counts a complete value. True when it completes the frame.
    fn close_value(&mut self) -> bool {
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    /// Position of the `\r\n` that ends the line at `at`.
    fn find_line_end(&mut self, frame: &[u8]) -> Result<Option<usize>> {
        let Some(kind) = frame.get(self.at) else { return Ok(None) };
        let limit = match kind {
            b'+' | b'-' | b',' | b'(' => MAX_LINE,
            b':' | b'_' | b'#' | b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => MAX_HEADER,
            _ => return Err(violation("a reply starts with an unknown type")),
        };
        let found = memchr::memchr2(b'\r', b'\n', &frame[self.searched..]);
        self.searched = found.map_or(frame.len(), |offset| self.searched + offset);
        if self.searched - self.at > limit {
            return Err(violation("a line is too long"));
        }
        if self.at + self.searched > MAX_FRAME {
            return Err(violation("a reply is longer than 2 GiB"));
        }
        match frame.get(self.searched..) {
            Some([b'\r', b'\n', ..]) => Ok(Some(self.searched)),
            Some([] | [b'\r']) => Ok(None),
            _ => Err(violation("a line does not end in CR LF")),
        }
    }
}

/// A length or count; `None` is the nil of RESP2, where `nil_allowed`.
pub(super) fn length(line: &[u8], nil_allowed: bool) -> Result<Option<usize>> {
    if nil_allowed && line == b"-1" {
        return Ok(None);
    }
    let digits = !line.is_empty() && line.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(line)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|&length| length <= MAX_FRAME)
        .map(Some)
        .ok_or_else(|| violation("a length is not a number in range"))
}
