//! Keeps calls in order although some begin with long work.
//!
//! A call sends its commands when it is made, so calls take effect in the order in which they were made. Compressing a large
//! value first takes milliseconds, which the JavaScript thread does not have: that call, with the sending, moves to a worker
//! thread, and the calls made until it has sent its commands wait for it.

use std::{cell::RefCell, sync::Arc};

use tokio::sync::Semaphore;

use super::cache::Work;
use crate::{cache::Cache, error::Error};

/// The calls of one cache of one thread.
#[derive(Default)]
pub(super) struct CallOrder {
    /// The last call that moved to another thread; its permit comes when its commands were sent.
    last: RefCell<Option<Arc<Semaphore>>>,
}

impl CallOrder {
    /// Makes a call after all that were made before.
    pub(super) fn next(&self, cache: &Cache, call: impl FnOnce(&Cache) -> Work + Send + 'static) -> Work {
        self.next_after(cache, false, call)
    }

    /// The same; `is_long` says that it belongs on a worker thread.
    pub(super) fn next_after(
        &self,
        cache: &Cache,
        is_long: bool,
        call: impl FnOnce(&Cache) -> Work + Send + 'static,
    ) -> Work {
        let mut last = self.last.borrow_mut();
        let before = last.take().filter(|sent| sent.available_permits() == 0);
        if before.is_none() && !is_long {
            return call(cache);
        }
        let sent = Arc::new(Semaphore::new(0));
        *last = Some(Arc::clone(&sent));
        let cache = cache.clone();
        Box::pin(async move {
            // Also when this is given up, so that nobody waits for ever.
            let sent = Sent(sent);
            if let Some(before) = before {
                let _ = before.acquire().await;
            }
            let work = if is_long {
                let calling = tokio::task::spawn_blocking(move || call(&cache));
                calling.await.map_err(|_| Error::closed("worker thread"))?
            } else {
                call(&cache)
            };
            drop(sent);
            work.await
        })
    }
}

/// Lets the calls after this one go.
struct Sent(Arc<Semaphore>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
