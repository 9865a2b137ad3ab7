//! The state of a link, and who hears of its changes.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::link::{LinkState, StateSink};
use crate::error::Error;

/// Holds the state. Cheap to share.
pub(super) struct StateBoard {
    current: Mutex<LinkState>,
    watchers: Mutex<Vec<Weak<Watcher>>>,
}

struct Watcher {
    sink: Arc<dyn StateSink>,
}

impl StateBoard {
    pub(super) fn new(state: LinkState) -> Self {
        Self { current: Mutex::new(state), watchers: Mutex::default() }
    }

    pub(super) fn current(&self) -> LinkState {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state and tells the watchers, when it is another one than before.
    pub(super) fn set(&self, state: LinkState, error: Option<&Error>) {
        let before = std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), state);
        if before == state {
            return;
        }
        tracing::debug!(?state, code = error.map(|error| error.code().as_str()), "link state");
        let watchers: Vec<_> = {
            let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|watcher| watcher.strong_count() > 0);
            watchers.iter().filter_map(Weak::upgrade).collect()
        };
        for watcher in watchers {
            watcher.sink.state(state, error);
        }
    }

    /// Calls `sink` on changes until the guard is dropped.
    pub(super) fn watch(&self, sink: Arc<dyn StateSink>) -> Box<dyn Send + Sync> {
        let watcher = Arc::new(Watcher { sink });
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watcher));
        Box::new(watcher)
    }
}
