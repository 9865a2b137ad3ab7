//! Tells of what no call asked for: stored entries that cannot be read, and what Redis missed and now refuses.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Error;

/// A cache full of entries that another version wrote is told of now and then, not for each of them.
const PAUSE: Duration = Duration::from_secs(1);

type Listener = Box<dyn Fn(Error) + Send + Sync>;

/// Who is told, and when it was told last.
#[derive(Default)]
pub(super) struct Reporter {
    told: Mutex<(Option<Listener>, Option<Instant>)>,
}

impl Reporter {
    pub(super) fn listen(&self, listener: Listener) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(listener);
    }

    pub(super) fn tell(&self, error: impl FnOnce() -> Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(listener), last) = &*told else { return };
        let now = Instant::now();
        if last.is_none_or(|last| now.duration_since(last) >= PAUSE) {
            listener(error());
            told.1 = Some(now);
        }
    }
}
