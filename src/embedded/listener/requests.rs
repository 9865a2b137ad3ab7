//! Commands out of the bytes of a client, while they arrive in pieces.

use crate::codec::resp::FrameScanner;

/// Longest command.
const MAX_REQUEST: usize = 512 * 1024 * 1024;
/// Longest command without the framing of RESP.
const MAX_INLINE: usize = 64 * 1024;

/// Bytes of a client that were not worked on yet.
#[derive(Default)]
pub(super) struct Requests {
    /// What was read; everything before `start` is done.
    bytes: Vec<u8>,
    start: usize,
    scanner: FrameScanner,
}

/// One command.
#[derive(Debug, PartialEq)]
pub(super) enum Request<'a> {
    /// An array of bulk strings, or something else in RESP, which is an error.
    Frame(&'a [u8]),
    /// A line, as it is typed into a bare terminal.
    Inline(Vec<Vec<u8>>),
}

impl Requests {
    /// Where to read the next piece to.
    pub(super) fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(16 * 1024);
        &mut self.bytes
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The next command, if all of it has arrived. An error ends the connection.
    pub(super) fn next(&mut self) -> Result<Option<Request<'_>>, &'static str> {
        loop {
            let rest = &self.bytes[self.start..];
            let Some(&first) = rest.first() else { return Ok(None) };
            if first == b'*' {
                let Some(length) = self.scanner.scan(rest).map_err(|_| "invalid multibulk request")? else {
                    return if rest.len() > MAX_REQUEST { Err("too big request") } else { Ok(None) };
                };
                let frame = self.start..self.start + length;
                self.start = frame.end;
                // An empty array asks for nothing.
                if matches!(&self.bytes[frame.clone()], b"*0\r\n" | b"*-1\r\n") {
                    continue;
                }
                return Ok(Some(Request::Frame(&self.bytes[frame])));
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                return if rest.len() > MAX_INLINE { Err("too big inline request") } else { Ok(None) };
            };
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let words = words(line).ok_or("unbalanced quotes in request")?;
            self.start += end + 1;
            if !words.is_empty() {
                return Ok(Some(Request::Inline(words)));
            }
        }
    }
}

/// The words of a line. Quotes hold words together; double quotes know `\n \r \t \b \a \xHH \" \\`, single ones `\'`.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return Some(words) };
        let mut word = Vec::new();
        if first == b'"' || first == b'\'' {
            rest = quoted(&rest[1..], first, &mut word)?;
            // A closing quote ends the word.
            if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                return None;
            }
        } else {
            while let [byte, after @ ..] = rest {
                if byte.is_ascii_whitespace() {
                    break;
                }
                if *byte == b'"' || *byte == b'\'' {
                    return None;
                }
                word.push(*byte);
                rest = after;
            }
        }
        words.push(word);
    }
}

/// Reads up to the closing quote and gives what is behind it.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [byte, after @ ..] if *byte == quote => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
                word.push(u8::try_from(digit(*high) * 16 + digit(*low)).unwrap_or(0));
                after
            }
            [b'\\', escaped, after @ ..] if quote == b'"' => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Requests};

    fn inline(words: &[&[u8]]) -> Request<'static> {
        Request::Inline(words.iter().map(|word| word.to_vec()).collect())
    }

    #[test]
    fn finds_commands_however_they_are_cut() {
        let stream = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n\r\n*0\r\nPING \"a\\x41 b\" 'c'\r\n*1\r\n$4\r\nQUIT\r\n";
        for piece in 1..stream.len() {
            let (mut requests, mut found) = (Requests::default(), Vec::new());
            for bytes in stream.chunks(piece) {
                requests.space().extend_from_slice(bytes);
                while let Some(request) = requests.next().unwrap() {
                    found.push(match request {
                        Request::Frame(frame) => format!("{}", frame.escape_ascii()),
                        Request::Inline(words) => format!("{words:?}"),
                    });
                }
            }
            assert_eq!(found.len(), 3, "pieces of {piece}: {found:?}");
            assert_eq!(found[0], "*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n");
            assert_eq!(found[1], format!("{:?}", vec![b"PING".to_vec(), b"aA b".to_vec(), b"c".to_vec()]));
            assert_eq!(requests.len(), 0);
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        for (bytes, why) in [
            (&b"SET 'a\r\n"[..], "unbalanced quotes in request"),
            (b"SET a\"b\"\r\n", "unbalanced quotes in request"),
            (b"SET \"a\"b\r\n", "unbalanced quotes in request"),
            (b"*x\r\n", "invalid multibulk request"),
            (b"*1\r\n$9999999999\r\n", "invalid multibulk request"),
        ] {
            let mut requests = Requests::default();
            requests.space().extend_from_slice(bytes);
            assert_eq!(requests.next(), Err(why), "{}", bytes.escape_ascii());
        }
        let mut requests = Requests::default();
        requests.space().extend_from_slice(&vec![b'a'; 70_000]);
        assert_eq!(requests.next(), Err("too big inline request"));
        let mut requests = Requests::default();
        requests.space().extend_from_slice(b"ping\n");
        assert_eq!(requests.next(), Ok(Some(inline(&[b"ping"]))));
    }
}
