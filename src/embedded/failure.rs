//! Error replies.

use std::borrow::Cow;

use crate::{codec::resp::Value, error::Error};

/// The text of an error reply, starting with its code.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure(Cow<'static, str>);

/// What a command answers.
pub(super) type Answer = Result<Value, Failure>;

pub(super) const WRONG_TYPE: Failure =
    Failure::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(super) const SYNTAX: Failure = Failure::fixed("ERR syntax error");
pub(super) const NOT_AN_INTEGER: Failure = Failure::fixed("ERR value is not an integer or out of range");
pub(super) const NOT_A_FLOAT: Failure = Failure::fixed("ERR value is not a valid float");
pub(super) const NO_SUCH_KEY: Failure = Failure::fixed("ERR no such key");
pub(super) const INDEX_OUT_OF_RANGE: Failure = Failure::fixed("ERR index out of range");
pub(super) const OVERFLOW: Failure = Failure::fixed("ERR increment or decrement would overflow");
pub(super) const NOT_POSITIVE: Failure = Failure::fixed("ERR value is out of range, must be positive");
pub(super) const TOO_LONG: Failure = Failure::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

impl Failure {
    pub(super) const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// An error whose text names something. Line breaks cannot stand in an error reply.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self(Cow::Owned(if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text }))
    }

    pub(super) fn wrong_arity(command: &str) -> Self {
        Self::new(format!("ERR wrong number of arguments for '{command}' command"))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn into_value(self) -> Value {
        Value::Error(Error::from_reply(&self.0))
    }
}
