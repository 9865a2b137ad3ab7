//! Ending the copies in this process of what others changed below one prefix.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    epochs::{Epochs, epochs},
    gates,
    wakers::Wakers,
};

pub(super) struct Copies {
    prefix: Box<str>,
    gaps: Arc<AtomicU32>,
    wakers: Arc<Wakers>,
}

impl Copies {
    pub(super) fn of(prefix: &str) -> Self {
        Self { prefix: prefix.into(), gaps: gaps_of(prefix), wakers: Wakers::of(prefix) }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// These changed; by their names without the prefix.
    pub(super) fn changed<'a>(&self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            epochs().bump(Epochs::shard(&self.prefix, name));
            self.wakers.wake(name);
        }
    }

    /// Nobody says what changed.
    pub(super) fn swept(&self) {
        gates::pass_alone(|| epochs().bump(Epochs::sweep(&self.prefix)));
    }

    /// Changes may have been missed.
    pub(super) fn gap(&self) {
        // Behind the gates a fill sees both numbers or neither; noting them, in the other order, sees at least the gap.
        gates::pass_alone(|| {
            self.gaps.fetch_add(1, Ordering::AcqRel);
            epochs().bump(Epochs::sweep(&self.prefix));
        });
    }

    /// How many gaps there were. Ask after the counters were noted, or behind a gate.
    pub(super) fn gaps(&self) -> u32 {
        self.gaps.load(Ordering::Acquire)
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
