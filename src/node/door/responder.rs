//! The duty to answer one call.

use std::{future::Future, sync::Arc};

use super::{answer::Answer, completions::Completions};
use crate::{
    error::{Error, ErrorCode, Result},
    service,
};

/// Answers one call, exactly once, from any thread. Dropped unused, for example by a panic, it answers `ERR_INTERNAL`.
pub(crate) struct Responder {
    completions: Option<Arc<Completions>>,
    slot: u32,
}

impl Responder {
    pub(super) fn new(completions: Arc<Completions>, slot: u32) -> Self {
        Self { completions: Some(completions), slot }
    }

    /// Gives the answer.
    pub(crate) fn settle<T: Into<Answer>>(mut self, answer: Result<T>) {
        self.answer(answer.map(Into::into));
    }

    /// Answers with an error.
    pub(crate) fn fail(mut self, error: Error) {
        self.answer(Err(error));
    }

    /// Runs `work` on the I/O thread and answers with its result.
    pub(crate) fn run<T: Into<Answer>>(self, work: impl Future<Output = Result<T>> + Send + 'static) {
        service::spawn(async move {
            let answer = work.await;
            self.settle(answer);
        });
    }

    /// Gives the duty away as the number under which the door's [`DoorSink`](super::DoorSink) takes the reply. The
    /// caller must see to it that the sink is given a reply for it.
    pub(crate) fn into_slot(mut self) -> u32 {
        self.completions = None;
        self.slot
    }

    fn answer(&mut self, answer: Result<Answer>) {
        if let Some(completions) = self.completions.take() {
            completions.push(|load| load.answer(self.slot, answer));
            completions.wake();
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.answer(Err(Error::new(ErrorCode::Internal, "a call was dropped without an answer")));
    }
}
