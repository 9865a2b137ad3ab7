//! Wakes those who wait for another process to store an entry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use tokio::sync::Notify;

/// Who waits under one prefix, by key.
#[derive(Default)]
pub(super) struct Wakers {
    waiting: Mutex<HashMap<Box<str>, Weak<Notify>>>,
}

/// One who waits.
pub(super) struct Waiting {
    notify: Arc<Notify>,
}

impl Waiting {
    pub(super) async fn woken(&mut self) {
        self.notify.notified().await;
    }
}

impl Wakers {
    /// Those of a prefix: one for all caches of the process.
    pub(super) fn of(prefix: &str) -> Arc<Self> {
        static ALL: OnceLock<Mutex<HashMap<Box<str>, Weak<Wakers>>>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(prefix).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, wakers| wakers.strong_count() > 0);
        let new = Arc::new(Self::default());
        all.insert(prefix.into(), Arc::downgrade(&new));
        new
    }

    pub(super) fn wait(&self, key: &str) -> Waiting {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = waiting.get(key).and_then(Weak::upgrade) {
            return Waiting { notify };
        }
        if waiting.len() > 1_000 {
            waiting.retain(|_, notify| notify.strong_count() > 0);
        }
        let notify = Arc::new(Notify::new());
        waiting.insert(key.into(), Arc::downgrade(&notify));
        Waiting { notify }
    }

    /// The entry of a key changed.
    pub(super) fn wake(&self, key: &str) {
        let notify = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(notify) = notify.as_ref().and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }
}
