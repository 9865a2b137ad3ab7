//! A RESP value, borrowed from the read buffer or owned.

use crate::error::{Error, Result};

/// A reply that borrows the read buffer. Scalars cost nothing; only aggregates allocate.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// As the server wrote it, so that no digit is lost.
    Double(&'a [u8]),
    BigNumber(&'a [u8]),
    /// A status such as `OK`.
    Simple(&'a [u8]),
    Bulk(&'a [u8]),
    /// An error inside an aggregate. A reply that *is* an error arrives as [`Error`].
    Error(&'a [u8]),
    Array(Vec<Reply<'a>>),
    Map(Vec<(Reply<'a>, Reply<'a>)>),
    Set(Vec<Reply<'a>>),
    /// Out of band data (RESP3), or a subscription message (RESP2 array on a subscriber link).
    Push(Vec<Reply<'a>>),
}

/// A reply that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Double(String),
    BigNumber(String),
    Simple(String),
    Bulk(Vec<u8>),
    /// An error inside an aggregate.
    Error(Error),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.message() == other.message()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn owned(items: &[Reply<'_>]) -> Vec<Value> {
    items.iter().map(Reply::to_value).collect()
}

impl Reply<'_> {
    pub fn to_value(&self) -> Value {
        match self {
            Self::Nil => Value::Nil,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(number) => Value::Int(*number),
            Self::Double(digits) => Value::Double(text(digits)),
            Self::BigNumber(digits) => Value::BigNumber(text(digits)),
            Self::Simple(line) => Value::Simple(text(line)),
            Self::Bulk(bytes) => Value::Bulk(bytes.to_vec()),
            Self::Error(line) => Value::Error(Error::from_reply(&text(line))),
            Self::Array(items) => Value::Array(owned(items)),
            Self::Map(pairs) => Value::Map(pairs.iter().map(|(k, v)| (k.to_value(), v.to_value())).collect()),
            Self::Set(items) => Value::Set(owned(items)),
            Self::Push(items) => Value::Push(owned(items)),
        }
    }
}

impl Value {
    /// The kind of value, for messages. Never the value itself, which may be somebody's data.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Double(_) => "a double",
            Self::BigNumber(_) => "a big number",
            Self::Simple(_) => "a status",
            Self::Bulk(_) => "a string",
            Self::Error(_) => "an error",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Set(_) => "a set",
            Self::Push(_) => "a push",
        }
    }

    /// A view that owns nothing. An error inside an aggregate keeps its text.
    pub fn as_reply(&self) -> Reply<'_> {
        fn view(items: &[Value]) -> Vec<Reply<'_>> {
            items.iter().map(Value::as_reply).collect()
        }
        match self {
            Self::Nil => Reply::Nil,
            Self::Bool(flag) => Reply::Bool(*flag),
            Self::Int(number) => Reply::Int(*number),
            Self::Double(digits) => Reply::Double(digits.as_bytes()),
            Self::BigNumber(digits) => Reply::BigNumber(digits.as_bytes()),
            Self::Simple(line) => Reply::Simple(line.as_bytes()),
            Self::Bulk(bytes) => Reply::Bulk(bytes),
            Self::Error(error) => Reply::Error(error.message().as_bytes()),
            Self::Array(items) => Reply::Array(view(items)),
            Self::Map(pairs) => Reply::Map(pairs.iter().map(|(k, v)| (k.as_reply(), v.as_reply())).collect()),
            Self::Set(items) => Reply::Set(view(items)),
            Self::Push(items) => Reply::Push(view(items)),
        }
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// An integer, also where the server wrote it as a string or boolean.
    pub fn into_int(self) -> Result<i64> {
        match self {
            Self::Int(number) => Ok(number),
            Self::Bool(flag) => Ok(i64::from(flag)),
            Self::Bulk(ref bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| Error::unexpected_reply("integer wanted", self.kind())),
            Self::Error(error) => Err(error),
            other => Err(Error::unexpected_reply("integer wanted", other.kind())),
        }
    }

    /// A string; a number or status as its text.
    pub fn into_text(self) -> Result<String> {
        match self {
            Self::Bulk(bytes) => Ok(String::from_utf8(bytes).unwrap_or_else(|error| text(error.as_bytes()))),
            Self::Simple(line) | Self::Double(line) | Self::BigNumber(line) => Ok(line),
            Self::Int(number) => Ok(number.to_string()),
            Self::Error(error) => Err(error),
            other => Err(Error::unexpected_reply("string wanted", other.kind())),
        }
    }

    /// A string, or `None` for nil.
    pub fn into_optional_text(self) -> Result<Option<String>> {
        if self.is_nil() { Ok(None) } else { self.into_text().map(Some) }
    }

    /// The items of an array, set or push; the keys and values of a map one after the other.
    pub fn into_items(self) -> Result<Vec<Value>> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Ok(items),
            Self::Map(pairs) => Ok(pairs.into_iter().flat_map(|(k, v)| [k, v]).collect()),
            Self::Error(error) => Err(error),
            other => Err(Error::unexpected_reply("array wanted", other.kind())),
        }
    }
}
