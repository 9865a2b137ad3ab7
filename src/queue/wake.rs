//! What stirs a worker's loop: reasons to fetch, and outcomes to store.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::connection::{LinkState, StateSink};

/// One worker's bell.
#[derive(Default)]
pub(super) struct Wake {
    bell: Notify,
    fetch: AtomicBool,
    /// Earliest time that a marker told of, milliseconds since the epoch; 0 for none.
    due: AtomicI64,
}

impl Wake {
    /// There may be work.
    pub(super) fn fetch(&self) {
        self.fetch.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// There will be work then.
    pub(super) fn due_at(&self, time: i64) {
        self.due.store(time, Ordering::Release);
        self.bell.notify_one();
    }

    /// Something else changed.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    pub(super) fn take_fetch(&self) -> bool {
        self.fetch.swap(false, Ordering::AcqRel)
    }

    pub(super) fn take_due(&self) -> Option<i64> {
        Some(self.due.swap(0, Ordering::AcqRel)).filter(|&due| due > 0)
    }
}

impl StateSink for Wake {
    /// A server that is back may have work, and its markers may be gone.
    fn state(&self, state: LinkState, _error: Option<&crate::Error>) {
        if state == LinkState::Ready {
            self.fetch();
        }
    }
}
