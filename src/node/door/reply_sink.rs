//! Replies of commands straight to JavaScript: no future, no allocation per command.

use std::sync::Arc;

use super::completions::Completions;
use crate::{codec::resp::Reply, connection::ReplySink, error::Result};

/// How strings of a reply reach JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    Text,
    Buffer,
}

/// How an aggregate of RESP3 becomes what RESP2 answers to the same command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyShape {
    /// Maps as flat lists; all else as it is.
    Plain,
    /// A list of pairs as a flat list: members and scores, fields and values.
    FlatPairs,
    /// A map as a list of pairs: streams and their entries.
    Pairs,
}

/// What a reply becomes for JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyStyle {
    pub(crate) form: ReplyForm,
    pub(crate) shape: ReplyShape,
}

/// The sink of every command batch of one environment.
pub(crate) struct DoorSink {
    completions: Arc<Completions>,
}

const BUFFER_FORM: u64 = 1 << 32;
const FLAT_PAIRS: u64 = 1 << 33;
const PAIRS: u64 = 1 << 34;

impl DoorSink {
    pub(super) fn new(completions: Arc<Completions>) -> Self {
        Self { completions }
    }

    /// The token under which a call's reply arrives.
    pub(crate) fn token(slot: u32, style: ReplyStyle) -> u64 {
        let form = if style.form == ReplyForm::Buffer { BUFFER_FORM } else { 0 };
        let shape = match style.shape {
            ReplyShape::Plain => 0,
            ReplyShape::FlatPairs => FLAT_PAIRS,
            ReplyShape::Pairs => PAIRS,
        };
        u64::from(slot) | form | shape
    }

    fn style(token: u64) -> ReplyStyle {
        let form = if token & BUFFER_FORM == 0 { ReplyForm::Text } else { ReplyForm::Buffer };
        let shape = match token & (FLAT_PAIRS | PAIRS) {
            0 => ReplyShape::Plain,
            FLAT_PAIRS => ReplyShape::FlatPairs,
            _ => ReplyShape::Pairs,
        };
        ReplyStyle { form, shape }
    }
}

impl ReplySink for DoorSink {
    #[expect(clippy::cast_possible_truncation, reason = "the slot is the lower half of the token")]
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        // A link may fail a command outside of a read, with no flush behind it.
        let failed = reply.is_err();
        self.completions.push(|load| load.reply(token as u32, reply, Self::style(token)));
        if failed {
            self.completions.wake();
        }
    }

    fn flush(&self) {
        self.completions.wake();
    }
}
