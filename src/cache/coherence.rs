//! How copies in this process end when another process, or anything else that writes to Redis, changes their entries.
//!
//! The server tells of every entry and every tag's version that was read, when somebody else changes it, and each moves
//! its counter ([`epochs`](super::epochs)). That comes over another connection than the reads, which is safe: a read takes
//! its counters before it is sent, so a change that it did not see moves them afterwards, whichever arrives first. Our own
//! writes move the counters themselves; a value that is to be kept is read again in the transaction that writes it.
//!
//! A gap (the first connection, a reconnect) makes all copies invalid once it is over. Until then, and until it is noticed,
//! at most five seconds when a server went silent, copies live on: that is what lets a cache answer while Redis is away.
//! Unlike a flush, a gap does not call off what factories are making: nothing says that their sources changed. So gaps
//! are counted once more, and [`Cache::fill`](super::Cache::fill) takes their number from what the counters moved.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use super::{
    epochs::{Epochs, epochs},
    gates,
    keys::Keys,
    wakers::Wakers,
};
use crate::{
    connection::{ChangeSink, Link},
    error::Error,
};

/// Follows what changes below one prefix for as long as it lives.
pub(super) struct Coherence {
    follower: Arc<Follower>,
    _following: Box<dyn Send + Sync>,
}

struct Follower {
    prefix: Box<str>,
    told: AtomicBool,
    gaps: Arc<AtomicU32>,
    wakers: Arc<Wakers>,
}

impl Coherence {
    /// Begins; never waits.
    pub(super) fn follow(link: &Arc<dyn Link>, prefix: &str) -> Self {
        let (gaps, wakers) = (gaps_of(prefix), Wakers::of(prefix));
        let follower = Follower { prefix: prefix.into(), told: AtomicBool::new(false), gaps, wakers };
        let follower = Arc::new(follower);
        let following = link.follow_changes(Arc::clone(&follower) as Arc<dyn ChangeSink>);
        Self { follower, _following: following }
    }

    /// Whether the server tells of changes.
    pub(super) fn is_told(&self) -> bool {
        self.follower.told.load(Ordering::Relaxed)
    }

    /// How many gaps there were. Ask after the counters were noted, or behind a gate.
    pub(super) fn gaps(&self) -> u32 {
        self.follower.gaps.load(Ordering::Acquire)
    }
}

/// The gaps of one prefix: counted for all who share its counters, whatever their servers and settings.
fn gaps_of(prefix: &str) -> Arc<AtomicU32> {
    static GAPS: OnceLock<Mutex<HashMap<Box<str>, Weak<AtomicU32>>>> = OnceLock::new();
    let mut gaps = GAPS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = gaps.get(prefix).and_then(Weak::upgrade) {
        return known;
    }
    gaps.retain(|_, gaps| gaps.strong_count() > 0);
    let new = Arc::new(AtomicU32::new(0));
    gaps.insert(prefix.into(), Arc::downgrade(&new));
    new
}

impl ChangeSink for Follower {
    fn changed(&self, keys: &[&[u8]]) {
        let names = keys.iter().filter_map(|key| Keys::dependent(key.strip_prefix(self.prefix.as_bytes())?));
        for name in names {
            epochs().bump(Epochs::shard(&self.prefix, name));
            self.wakers.wake(name);
        }
    }

    fn emptied(&self) {
        gates::pass_alone(|| epochs().bump(Epochs::sweep(&self.prefix)));
    }

    fn began(&self) {
        self.told.store(true, Ordering::Relaxed);
        // Behind the gates a fill sees both numbers or neither; noting them, in the other order, sees at least the gap.
        gates::pass_alone(|| {
            self.gaps.fetch_add(1, Ordering::AcqRel);
            epochs().bump(Epochs::sweep(&self.prefix));
        });
    }

    fn refused(&self, error: &Error) {
        self.told.store(false, Ordering::Relaxed);
        tracing::debug!(code = error.code().as_str(), "other processes' changes end no copies here before their ttl");
    }
}
