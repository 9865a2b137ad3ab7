//! Which of the keys that a link has read are changed by others: the server's client side caching.
//!
//! The server remembers every key that the command link reads, and tells the subscriber link, once, when somebody else
//! writes it (`CLIENT TRACKING ON REDIRECT … NOLOOP`). Broadcasting all writes below a prefix was the other choice. It would
//! tell every process of every write, and of its own, so that nothing that was just written could be kept; with `NOLOOP`,
//! it does not tell the first of two connections that write one key in the same turn of the server's event loop.
//!
//! With `NOLOOP` here, the link's own write of a key ends what the server remembers of it: who wants to hear of the key after
//! writing it reads it in the same transaction.
//!
//! Two connections take part, and either may break. Whenever one is back, the server is asked anew, and the followers are
//! told that it began: what was read before may have changed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use super::{
    command::{Batch, Command},
    command_link::CommandLink,
    link::{ChangeSink, LinkState, ReplySink, StateSink},
};
use crate::{
    codec::resp::Reply,
    error::{Error, ErrorCode, Result},
    service,
};

/// Until the server is asked again after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// All followers of one link.
pub(super) struct ChangeTracker {
    commands: Weak<CommandLink>,
    core: Mutex<Core>,
    /// Itself, for what happens later.
    me: Weak<Self>,
}

#[derive(Default)]
struct Core {
    followers: Vec<Arc<dyn ChangeSink>>,
    /// The server's number for the subscriber connection, while there is one.
    redirect: Option<i64>,
    /// Number of the last request: an answer to an earlier one says nothing any more.
    asked: u64,
    /// The server tells, over the connections that there are now.
    active: bool,
    /// Why the server cannot tell on the present subscriber connection.
    refusal: Option<Error>,
}

/// Takes a follower off when it is dropped.
struct Following {
    tracker: Arc<ChangeTracker>,
    sink: Arc<dyn ChangeSink>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.tracker.lock().followers.retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&self.sink)));
    }
}

impl ChangeTracker {
    pub(super) fn new(commands: &Arc<CommandLink>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { commands: Arc::downgrade(commands), core: Mutex::default(), me: Weak::clone(me) })
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(self: &Arc<Self>, sink: Arc<dyn ChangeSink>) -> Box<dyn Send + Sync> {
        let (active, refusal) = {
            let mut core = self.lock();
            core.followers.push(Arc::clone(&sink));
            (core.active, core.refusal.clone())
        };
        match refusal {
            _ if active => sink.began(),
            Some(error) => sink.refused(&error),
            None => self.ask(),
        }
        Box::new(Following { tracker: Arc::clone(self), sink })
    }

    /// There is a subscriber connection.
    pub(super) fn connected(&self, client_id: Option<i64>, resp3: bool) {
        let id = client_id.filter(|_| resp3);
        {
            let mut core = self.lock();
            core.redirect = id;
            core.active = false;
            core.refusal = None;
        }
        if id.is_some() {
            self.ask();
        } else {
            self.refuse(&Error::new(ErrorCode::UnsupportedCommand, "a server without RESP3 tells of no changed keys"));
        }
    }

    /// It is gone.
    pub(super) fn disconnected(&self) {
        let mut core = self.lock();
        core.redirect = None;
        core.active = false;
    }

    pub(super) fn refuse(&self, error: &Error) {
        let followers = {
            let mut core = self.lock();
            core.refusal = Some(error.clone());
            core.active = false;
            core.followers.clone()
        };
        for sink in followers {
            sink.refused(error);
        }
    }

    pub(super) fn changed(&self, keys: &[&[u8]]) {
        for sink in self.followers() {
            sink.changed(keys);
        }
    }

    pub(super) fn emptied(&self) {
        for sink in self.followers() {
            sink.emptied();
        }
    }

    fn followers(&self) -> Vec<Arc<dyn ChangeSink>> {
        self.lock().followers.clone()
    }

    /// Asks the server, if both connections are there.
    fn ask(&self) {
        let Some(commands) = self.commands.upgrade() else { return };
        let (number, redirect) = {
            let mut core = self.lock();
            let Some(redirect) = core.redirect.filter(|_| !core.followers.is_empty()) else { return };
            core.asked += 1;
            (core.asked, redirect)
        };
        if commands.board().current() != LinkState::Ready {
            return;
        }
        let Some(me) = self.me.upgrade() else { return };
        let mut batch = Batch::new(me);
        let request = Command::new("CLIENT").arg("TRACKING").arg("ON").arg("REDIRECT").int(redirect).arg("NOLOOP");
        batch.push(&request, number);
        commands.submit(batch);
    }

    fn ask_later(&self) {
        let me = Weak::clone(&self.me);
        service::spawn(async move {
            tokio::time::sleep(PAUSE).await;
            if let Some(tracker) = me.upgrade() {
                tracker.ask();
            }
        });
    }
}

impl ReplySink for ChangeTracker {
    fn settle(&self, number: u64, reply: Result<Reply<'_>>) {
        let followers = {
            let mut core = self.lock();
            if core.asked != number || core.redirect.is_none() {
                return;
            }
            core.active = reply.is_ok();
            core.followers.clone()
        };
        match reply {
            Ok(_) => {
                for sink in followers {
                    sink.began();
                }
            }
            Err(error) if matches!(error.code(), ErrorCode::Reply | ErrorCode::AuthenticationFailed) => {
                self.refuse(&error);
            }
            // A connection that broke asks again when it is back.
            Err(_) => self.ask_later(),
        }
    }
}

impl StateSink for ChangeTracker {
    fn state(&self, state: LinkState, _: Option<&Error>) {
        if state == LinkState::Ready {
            let me = Weak::clone(&self.me);
            // Whoever tells of states must not be kept.
            service::spawn(async move {
                if let Some(tracker) = me.upgrade() {
                    tracker.ask();
                }
            });
        } else {
            self.lock().active = false;
        }
    }
}
