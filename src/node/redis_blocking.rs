//! Connections for commands that wait on the server: each such command has one for itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    connection::{BlockingLink, Link},
    error::{Error, ErrorCode, Result},
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

    /// Lets go of idle links, and ends the waits as if their time were over.
    pub(super) async fn close(self: Arc<Self>) {
        let busy = {
            let mut state = self.lock();
            state.closed = true;
            state.idle.clear();
            state.busy.clone()
        };
        for link in busy {
            link.unblock().await;
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
