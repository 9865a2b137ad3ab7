//! How copies in this process end when another process, or anything else that writes to Redis, changes their entries.
//!
//! The server tells of every entry and every tag's version that was read, when somebody else changes it, and each moves
//! its counter ([`epochs`](super::epochs)). That comes over another connection than the reads, which is safe: a read takes
//! its counters before it is sent, so a change that it did not see moves them afterwards, whichever arrives first. Our own
//! writes move the counters themselves; a value that is to be kept is read again in the transaction that writes it.
//!
//! Where the server refuses to tell, processes tell each other, over a [`bus`](super::bus).
//!
//! A gap (the first connection, a reconnect, a message that was missed) makes all copies invalid once it is over. Until then, and until it is noticed,
//! at most five seconds when a server went silent, copies live on: that is what lets a cache answer while Redis is away.
//! Unlike a flush, a gap does not call off what factories are making: nothing says that their sources changed. So gaps
//! are counted once more, and [`Cache::fill`](super::Cache::fill) takes their number from what the counters moved.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{bus::Bus, bus_listener::BusListener, copies::Copies, keys::Keys, options::CoherenceMode};
use crate::{
    connection::{ChangeSink, Link},
    error::Error,
};

/// Follows what changes below one prefix for as long as it lives.
pub(super) struct Coherence {
    follower: Arc<Follower>,
    _following: Option<Box<dyn Send + Sync>>,
}

struct Follower {
    copies: Arc<Copies>,
    /// The server tells.
    tracked: AtomicBool,
    /// What is listened to while the server does not.
    bus: Option<Arc<Bus>>,
    listener: Mutex<Option<BusListener>>,
}

impl Coherence {
    /// Begins; never waits.
    pub(super) fn follow(link: &Arc<dyn Link>, prefix: &str, mode: CoherenceMode) -> Self {
        let follower = Arc::new(Follower {
            copies: Arc::new(Copies::of(prefix)),
            tracked: AtomicBool::new(false),
            bus: mode.uses_bus().then(|| Bus::shared(link, prefix)),
            listener: Mutex::default(),
        });
        let following = match mode {
            CoherenceMode::Auto | CoherenceMode::Tracking => {
                Some(link.follow_changes(Arc::clone(&follower) as Arc<dyn ChangeSink>))
            }
            CoherenceMode::Bus => {
                follower.listen();
                None
            }
            CoherenceMode::None => None,
        };
        Self { follower, _following: following }
    }

    /// Whether the server tells of changes to what was read.
    pub(super) fn is_tracked(&self) -> bool {
        self.follower.tracked.load(Ordering::Relaxed)
    }

    /// Whether changes by other processes end the copies here.
    pub(super) fn is_told(&self) -> bool {
        self.is_tracked() || self.follower.listener().as_ref().is_some_and(BusListener::is_subscribed)
    }

    /// How many gaps there were. Ask after the counters were noted, or behind a gate.
    pub(super) fn gaps(&self) -> u32 {
        self.follower.copies.gaps()
    }
}

impl Follower {
    fn listener(&self) -> MutexGuard<'_, Option<BusListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) {
        if let Some(bus) = &self.bus {
            self.listener().get_or_insert_with(|| BusListener::start(bus, Arc::clone(&self.copies)));
        }
    }
}

impl ChangeSink for Follower {
    fn changed(&self, keys: &[&[u8]]) {
        let prefix = self.copies.prefix().as_bytes();
        self.copies.changed(keys.iter().filter_map(|key| Keys::dependent(key.strip_prefix(prefix)?)));
    }

    fn emptied(&self) {
        self.copies.swept();
    }

    fn began(&self) {
        self.tracked.store(true, Ordering::Relaxed);
        drop(self.listener().take());
        self.copies.gap();
    }

    fn refused(&self, error: &Error) {
        self.tracked.store(false, Ordering::Relaxed);
        tracing::debug!(code = error.code().as_str(), "the server does not tell of changes");
        self.listen();
    }
}
