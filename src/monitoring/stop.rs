//! [`Stop`]: how a caller who went away ends what runs on its behalf.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Ends a long call, from any thread. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<(AtomicBool, Notify)>,
}

impl Stop {
    /// Asks for the end. Twice is safe.
    pub fn stop(&self) {
        self.asked.0.store(true, Ordering::Release);
        self.asked.1.notify_waiters();
    }

    pub fn is_stopped(&self) -> bool {
        self.asked.0.load(Ordering::Acquire)
    }

    /// Resolves when somebody has asked.
    pub(super) async fn stopped(&self) {
        loop {
            let asked = self.asked.1.notified();
            tokio::pin!(asked);
            // Before the look, so that a question in between is heard.
            asked.as_mut().enable();
            if self.is_stopped() {
                return;
            }
            asked.await;
        }
    }
}
