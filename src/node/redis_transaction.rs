//! `MULTI` to `EXEC` as one batch: the replies of the commands come out of the reply of `EXEC`.

use std::sync::{Arc, Mutex, PoisonError};

use super::door::{DoorSink, ReplyForm, ReplyShape, ReplyStyle, Responder};
use crate::{
    codec::resp::{Reply, Value},
    connection::{Batch, CommandFlags, Entry, ReplySink, Route, push_bulk, push_header},
    error::{Error, ErrorCode, Result},
};

/// Commands that JavaScript hands over one by one before it says `EXEC`.
#[derive(Default)]
pub(super) struct Collected {
    /// `MULTI` and what follows.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Who gets the reply of each command.
    tokens: Vec<u64>,
    route: Route,
    failed: bool,
}

impl Collected {
    /// Where the next command is to be written.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.is_empty() {
            push_header(&mut self.bytes, b'*', 1);
            push_bulk(&mut self.bytes, b"MULTI");
            self.ends.push(self.bytes.len());
        }
        // A panic may have left half a command.
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
        &mut self.bytes
    }

    /// A command was written.
    pub(super) fn add(&mut self, token: u64, route: Route) {
        self.ends.push(self.bytes.len());
        self.tokens.push(token);
        self.route.slot = self.route.slot.or(route.slot);
    }

    /// A command was refused: none of them will be sent.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// The batch, if all `count` commands are there; else all are told so.
    pub(super) fn into_batch(mut self, count: usize, door: &Arc<DoorSink>, exec: Responder) -> Option<Batch> {
        if self.failed || self.tokens.len() != count {
            let error =
                Error::new(ErrorCode::InvalidArgument, "a command of the transaction was refused; none was sent");
            for &token in &self.tokens {
                door.settle(token, Err(error.clone()));
            }
            exec.fail(error);
            return None;
        }
        self.bytes();
        push_header(&mut self.bytes, b'*', 1);
        push_bulk(&mut self.bytes, b"EXEC");
        self.ends.push(self.bytes.len());
        let style = ReplyStyle { form: ReplyForm::Text, shape: ReplyShape::Plain };
        let sink = TransactionSink {
            door: Arc::clone(door),
            exec: DoorSink::token(exec.into_slot(), style),
            waiting: Mutex::new(self.tokens.into_iter().map(Some).collect()),
        };
        let mut batch = Batch::new(Arc::new(sink) as _);
        batch.bytes = self.bytes;
        batch.entries = self
            .ends
            .iter()
            .enumerate()
            .map(|(index, &end)| Entry {
                end,
                token: index as u64,
                route: self.route,
                flags: CommandFlags { repeatable: false, chained: index > 0 },
                deadline: None,
                native: None,
            })
            .collect();
        Some(batch)
    }
}

/// Takes the replies of `MULTI` (token 0), of the commands and of `EXEC` (the last token).
struct TransactionSink {
    door: Arc<DoorSink>,
    exec: u64,
    /// Who is not answered yet, by place. A command that could not be queued is answered with its error at once.
    waiting: Mutex<Vec<Option<u64>>>,
}

impl TransactionSink {
    fn finish(&self, waiting: &mut [Option<u64>], reply: Result<Reply<'_>>) {
        let all = |waiting: &mut [Option<u64>], reply: &Result<Reply<'_>>| {
            for token in waiting.iter_mut().filter_map(Option::take) {
                self.door.settle(token, reply.clone());
            }
            self.door.settle(self.exec, reply.clone());
        };
        match reply {
            Ok(Reply::Array(items)) if items.len() == waiting.len() => {
                let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
                for (token, item) in waiting.iter_mut().zip(items) {
                    let Some(token) = token.take() else { continue };
                    let reply = match item {
                        Reply::Error(text) => Err(Error::from_reply(&String::from_utf8_lossy(text))),
                        item => Ok(item),
                    };
                    self.door.settle(token, reply);
                }
                self.door.settle(self.exec, Ok(Reply::Int(count)));
            }
            Ok(Reply::Array(_)) => {
                all(waiting, &Err(Error::unexpected_reply("EXEC", "a list of another length")));
            }
            reply => all(waiting, &reply),
        }
    }
}

impl ReplySink for TransactionSink {
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        let waiting = &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(token).unwrap_or(usize::MAX);
        if place > waiting.len() {
            return self.finish(waiting, reply);
        }
        // The reply to MULTI tells nothing that the others do not.
        let Some(command) = place.checked_sub(1) else { return };
        // `QUEUED` is no answer yet.
        let Err(error) = reply else { return };
        if let Some(token) = waiting[command].take() {
            self.door.settle(token, Err(error));
        }
    }

    fn settle_owned(&self, token: u64, reply: Value) {
        match reply {
            Value::Error(error) => self.settle(token, Err(error)),
            reply => self.settle(token, Ok(reply.as_reply())),
        }
    }

    fn flush(&self) {
        self.door.flush();
    }
}
