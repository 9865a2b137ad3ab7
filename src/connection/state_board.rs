//! The state of a link, and who hears of its changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::link::{LinkState, StateSink};
use crate::error::Error;

/// Holds the state.
pub(super) struct StateBoard {
    current: Mutex<(LinkState, Option<Error>)>,
    /// Held while watchers are told, so that each hears of the changes in their order.
    watchers: Mutex<Vec<Weak<Watcher>>>,
}

struct Watcher {
    sink: Arc<dyn StateSink>,
}

impl StateBoard {
    pub(super) fn new(state: LinkState) -> Self {
        Self { current: Mutex::new((state, None)), watchers: Mutex::default() }
    }

    pub(super) fn current(&self) -> LinkState {
        self.lock().0
    }

    fn lock(&self) -> MutexGuard<'_, (LinkState, Option<Error>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state and tells the watchers, when it is another one than before.
    pub(super) fn set(&self, state: LinkState, error: Option<&Error>) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, _) = std::mem::replace(&mut *self.lock(), (state, error.cloned()));
        if before == state {
            return;
        }
        tracing::debug!(?state, code = error.map(|error| error.code().as_str()), "link state");
        watchers.retain(|watcher| match watcher.upgrade() {
            Some(watcher) => {
                watcher.sink.state(state, error);
                true
            }
            None => false,
        });
    }

    /// Calls `sink` on changes until the guard is dropped; at once when the present state is due to an error.
    pub(super) fn watch(&self, sink: Arc<dyn StateSink>) -> Box<dyn Send + Sync> {
        let watcher = Arc::new(Watcher { sink });
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(Arc::downgrade(&watcher));
        let (state, error) = self.lock().clone();
        if error.is_some() {
            watcher.sink.state(state, error.as_ref());
        }
        Box::new(watcher)
    }
}
