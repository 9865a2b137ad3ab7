//! What is extended on behalf of JavaScript until it lets go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::door::Emitter;
use crate::{
    error::Error,
    lock::{Holder, LossSink},
};

/// By the number that JavaScript gave each.
#[derive(Default)]
pub(super) struct Holders {
    open: Mutex<HashMap<i32, Holder>>,
}

impl Holders {
    pub(super) fn insert(&self, number: i32, holder: Holder) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, holder);
    }

    pub(super) fn end(&self, number: i32) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

/// Tells JavaScript, as the event 0, the number of what is lost.
struct LossEvent {
    number: i32,
    emitter: Emitter,
}

impl LossSink for LossEvent {
    fn lost(&self, error: Error) {
        const LOST: u16 = 0;
        self.emitter.emit(LOST, self.number, 0, vec![error.into()]);
    }
}

pub(super) fn loss_event(number: i32, emitter: Emitter) -> Arc<dyn LossSink> {
    Arc::new(LossEvent { number, emitter })
}
