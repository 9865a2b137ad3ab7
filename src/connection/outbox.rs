//! Hands outcomes to sinks. A sink that panics, which is a fault of ours, must not take a link, and the callers of others,
//! with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::link::ReplySink;
use crate::{
    codec::resp::Reply,
    error::{Error, Result},
};

/// Errors for callers, held back until the link's books are in order: a caller that tries again at once must find the
/// room that it gave up.
#[derive(Default)]
pub(super) struct Outbox {
    errors: Vec<(Arc<dyn ReplySink>, u64, Error)>,
}

impl Outbox {
    pub(super) fn put(&mut self, sink: &Arc<dyn ReplySink>, token: u64, error: Error) {
        self.errors.push((Arc::clone(sink), token, error));
    }

    pub(super) fn deliver(self) {
        let mut previous: Option<Arc<dyn ReplySink>> = None;
        for (sink, token, error) in self.errors {
            if let Some(done) = previous.replace(Arc::clone(&sink)).filter(|done| !is_same(done, &sink)) {
                flush(&done);
            }
            settle(&sink, token, Err(error));
        }
        if let Some(done) = previous {
            flush(&done);
        }
    }
}

pub(super) fn is_same(one: &Arc<dyn ReplySink>, other: &Arc<dyn ReplySink>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

pub(super) fn settle(sink: &Arc<dyn ReplySink>, token: u64, reply: Result<Reply<'_>>) {
    if catch_unwind(AssertUnwindSafe(|| sink.settle(token, reply))).is_err() {
        tracing::error!("a sink panicked at a reply");
    }
}

pub(super) fn flush(sink: &Arc<dyn ReplySink>) {
    if catch_unwind(AssertUnwindSafe(|| sink.flush())).is_err() {
        tracing::error!("a sink panicked when it was flushed");
    }
}
