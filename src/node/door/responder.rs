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
        // Nearly every call was answered: an error made for nothing would cost each of them an allocation.
        if self.completions.is_some() {
            self.answer(Err(Error::new(ErrorCode::Internal, "a call was dropped without an answer")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::door::completions::{Kind, Load};

    fn given(use_it: impl FnOnce(Responder)) -> Load {
        let completions = Arc::new(Completions::new());
        use_it(Responder::new(Arc::clone(&completions), 7));
        let mut load = Load::default();
        completions.take(&mut load);
        load
    }

    #[test]
    fn an_answer_is_given_once() {
        let load = given(|reply| reply.settle(Ok(true)));
        assert_eq!(load.records.len(), 1);
        assert_eq!((load.records[0].kind, load.records[0].slot), (Kind::True, 7));
    }

    #[test]
    fn a_call_that_is_dropped_is_answered_with_an_error() {
        let load = given(drop);
        assert_eq!((load.records.len(), load.records[0].kind), (1, Kind::Error));
        assert!(String::from_utf8_lossy(&load.narrow).contains("ERR_INTERNAL"));
    }

    #[test]
    fn a_call_whose_future_panics_is_answered_with_an_error() {
        let completions = Arc::new(Completions::new());
        Responder::new(Arc::clone(&completions), 1).run(async {
            assert!(Arc::strong_count(&Arc::new(())) > 1, "a panic that this test wants");
            Ok(())
        });
        let mut load = Load::default();
        for _ in 0..1000 {
            completions.take(&mut load);
            if !load.records.is_empty() {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        assert_eq!(load.records.first().map(|record| record.kind), Some(Kind::Error));
    }

    #[test]
    fn a_slot_that_is_given_away_is_not_answered() {
        let load = given(|reply| assert_eq!(reply.into_slot(), 7));
        assert!(load.records.is_empty());
    }

    #[test]
    fn after_the_environment_closed_answers_go_nowhere() {
        let completions = Arc::new(Completions::new());
        let reply = Responder::new(Arc::clone(&completions), 7);
        completions.close();
        reply.settle(Ok(true));
        let mut load = Load::default();
        completions.take(&mut load);
        assert!(load.records.is_empty());
    }
}
