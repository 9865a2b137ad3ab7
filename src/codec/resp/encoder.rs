//! Replies as a server writes them.

use super::Value;

/// How a client wants its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub resp3: bool,
    /// RESP2 has two nulls; whether this command's is the one of arrays.
    pub null_array: bool,
}

impl Value {
    /// Appends the reply. In RESP2, a map becomes a flat array, and what RESP2 lacks a string or a number.
    pub fn encode(&self, dialect: Dialect, into: &mut Vec<u8>) {
        let inner = Dialect { null_array: false, ..dialect };
        let resp3 = dialect.resp3;
        let all = |items: &[Self], into: &mut Vec<u8>| {
            for item in items {
                item.encode(inner, into);
            }
        };
        match self {
            Self::Nil if resp3 => into.extend_from_slice(b"_\r\n"),
            Self::Nil if dialect.null_array => into.extend_from_slice(b"*-1\r\n"),
            Self::Nil => into.extend_from_slice(b"$-1\r\n"),
            Self::Bool(flag) if resp3 => into.extend_from_slice(if *flag { b"#t\r\n" } else { b"#f\r\n" }),
            Self::Bool(flag) => header(into, b':', usize::from(*flag)),
            Self::Int(number) => line(into, b':', itoa::Buffer::new().format(*number).as_bytes()),
            Self::Double(digits) if resp3 => line(into, b',', digits.as_bytes()),
            Self::BigNumber(digits) if resp3 => line(into, b'(', digits.as_bytes()),
            Self::Double(text) | Self::BigNumber(text) => bulk(into, text.as_bytes()),
            Self::Simple(text) => line(into, b'+', text.as_bytes()),
            Self::Bulk(bytes) => bulk(into, bytes),
            Self::Error(error) => {
                let text = error.message();
                // A fault of our own has no code in front, which clients look for.
                if text.starts_with(|first: char| first.is_ascii_uppercase()) {
                    line(into, b'-', text.as_bytes());
                } else {
                    line(into, b'-', format!("ERR {text}").as_bytes());
                }
            }
            Self::Array(items) => {
                header(into, b'*', items.len());
                all(items, into);
            }
            Self::Set(items) => {
                header(into, if resp3 { b'~' } else { b'*' }, items.len());
                all(items, into);
            }
            Self::Push(items) => {
                header(into, if resp3 { b'>' } else { b'*' }, items.len());
                all(items, into);
            }
            Self::Map(pairs) => {
                if resp3 {
                    header(into, b'%', pairs.len());
                } else {
                    header(into, b'*', pairs.len() * 2);
                }
                for (key, value) in pairs {
                    key.encode(inner, into);
                    value.encode(inner, into);
                }
            }
        }
    }
}

fn header(into: &mut Vec<u8>, kind: u8, count: usize) {
    line(into, kind, itoa::Buffer::new().format(count).as_bytes());
}

fn line(into: &mut Vec<u8>, kind: u8, text: &[u8]) {
    into.push(kind);
    // A line break would end the reply early.
    into.extend(text.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    into.extend_from_slice(b"\r\n");
}

fn bulk(into: &mut Vec<u8>, bytes: &[u8]) {
    header(into, b'$', bytes.len());
    into.extend_from_slice(bytes);
    into.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Value};
    use crate::{codec::resp::parse, error::Error};

    fn written(value: &Value, resp3: bool, null_array: bool) -> String {
        let mut bytes = Vec::new();
        value.encode(Dialect { resp3, null_array }, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn writes_each_type_in_both_protocols() {
        let text = |text: &str| Value::Bulk(text.into());
        let rows: [(Value, &str, &str); 13] = [
            (Value::Nil, "$-1\r\n", "_\r\n"),
            (Value::Bool(true), ":1\r\n", "#t\r\n"),
            (Value::Int(-7), ":-7\r\n", ":-7\r\n"),
            (Value::Double("1.5".into()), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Value::BigNumber("12".into()), "$2\r\n12\r\n", "(12\r\n"),
            (Value::Simple("OK".into()), "+OK\r\n", "+OK\r\n"),
            (text(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Value::Error(Error::from_reply("ERR a\r\nb")), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (
                Value::Error(Error::closed("connection")),
                "-ERR connection is closed\r\n",
                "-ERR connection is closed\r\n",
            ),
            (Value::Array(vec![Value::Nil]), "*1\r\n$-1\r\n", "*1\r\n_\r\n"),
            (Value::Set(vec![text("a")]), "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
            (Value::Push(vec![text("a")]), "*1\r\n$1\r\na\r\n", ">1\r\n$1\r\na\r\n"),
            (Value::Map(vec![(text("a"), Value::Int(1))]), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
        ];
        for (value, resp2, resp3) in &rows {
            assert_eq!(written(value, false, false), *resp2);
            assert_eq!(written(value, true, false), *resp3);
            assert!(parse(resp3.as_bytes()).is_ok(), "{resp3}");
        }
        assert_eq!(written(&Value::Nil, false, true), "*-1\r\n");
        // Only the reply itself is the null array, never what is inside.
        assert_eq!(written(&Value::Array(vec![Value::Nil]), false, true), "*1\r\n$-1\r\n");
    }
}
