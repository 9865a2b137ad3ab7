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

/// The sink of every command batch of one environment.
pub(crate) struct DoorSink {
    completions: Arc<Completions>,
}

const BUFFER_FORM: u64 = 1 << 32;

impl DoorSink {
    pub(super) fn new(completions: Arc<Completions>) -> Self {
        Self { completions }
    }

    /// The token under which a call's reply arrives.
    pub(crate) fn token(slot: u32, form: ReplyForm) -> u64 {
        u64::from(slot) | if form == ReplyForm::Buffer { BUFFER_FORM } else { 0 }
    }
}

impl ReplySink for DoorSink {
    #[expect(clippy::cast_possible_truncation, reason = "the slot is the lower half of the token")]
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        let form = if token & BUFFER_FORM == 0 { ReplyForm::Text } else { ReplyForm::Buffer };
        // A link may fail a command outside of a read, with no flush behind it.
        let failed = reply.is_err();
        self.completions.push(|load| load.reply(token as u32, reply, form));
        if failed {
            self.completions.wake();
        }
    }

    fn flush(&self) {
        self.completions.wake();
    }
}
