//! What an engine answers to JavaScript.

use crate::error::Error;

/// The result of a call, or one value of an event. Strings are transcoded where the answer is given, off the
/// JavaScript thread when a future gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// JSON text, which JavaScript parses (V8 does it faster than any walk over objects). As an item of a list or as a
    /// value of an event it arrives as text.
    Json(String),
    /// A `Buffer`.
    Bytes(Vec<u8>),
    /// An error instance, as an item of a list or a value of an event. As a whole answer it is a rejection.
    Error(Error),
    List(Vec<Answer>),
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<bool> for Answer {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl From<f64> for Answer {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}
impl From<i64> for Answer {
    /// Exact up to 2^53, which no count of ours passes.
    #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other number; see the doc comment")]
    fn from(number: i64) -> Self {
        Self::Number(number as f64)
    }
}
impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Undefined
    }
}
impl<T: Into<Answer>> From<Option<T>> for Answer {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
impl<T: Into<Answer>> From<Vec<T>> for Answer {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
