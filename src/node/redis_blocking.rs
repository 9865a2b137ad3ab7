//! Connections for commands that wait on the server: each such command has one for itself.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    connection::{BlockingLink, Link},
    error::{Error, ErrorCode, Result},
    service,
};

/// Commands of one service that wait at the same time.
const MOST: usize = 50;
/// Connections that are kept for the next one.
const MOST_IDLE: usize = 5;

/// The blocking links of one service.
#[derive(Default)]
pub(super) struct BlockingLinks {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Arc<dyn BlockingLink>>,
    busy: Vec<Arc<dyn BlockingLink>>,
    closed: bool,
}

impl BlockingLinks {
    /// A link for one command; it goes back when the loan is dropped.
    ///
    /// # Errors
    /// `Overloaded` when as many commands wait as may.
    pub(super) fn take(self: &Arc<Self>, link: &Arc<dyn Link>) -> Result<Loan> {
        let mut state = self.lock();
        if state.busy.len() >= MOST {
            let message = format!("{MOST} commands of this service already wait on the server");
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        let link = state.idle.pop().unwrap_or_else(|| link.open_blocking());
        state.busy.push(Arc::clone(&link));
        Ok(Loan { links: Arc::clone(self), link })
    }

    /// Lets go of idle links, and ends the waits as if their time were over; the future waits until they are. Twice is once.
    pub(super) fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let busy = {
            let mut state = self.lock();
            state.idle.clear();
            if std::mem::replace(&mut state.closed, true) { Vec::new() } else { state.busy.clone() }
        };
        // All at a time: a server that does not answer takes each of them its whole deadline.
        let ends: Vec<_> = busy.into_iter().map(|link| service::spawn(async move { link.unblock().await })).collect();
        async move {
            for end in ends {
                // One that panicked has ended, too.
                let _ = end.await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A link that one command has.
pub(super) struct Loan {
    links: Arc<BlockingLinks>,
    pub(super) link: Arc<dyn BlockingLink>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut state = self.links.lock();
        state.busy.retain(|other| !Arc::ptr_eq(other, &self.link));
        if !state.closed && state.idle.len() < MOST_IDLE {
            state.idle.push(Arc::clone(&self.link));
        }
    }
}
