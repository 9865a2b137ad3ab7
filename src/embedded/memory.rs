//! The bound on memory, and what goes when it is reached.
//!
//! What is counted is keys and values, by their own estimate: the process around the engine is not the engine's to count.
//! Which key goes is decided among a few drawn ones, as in Redis: nearly as good as knowing the order of all.

use super::{data::Blob, failure::Failure, keyspace::NEVER, notifications::EVICTED, state::State};

pub(super) const OUT_OF_MEMORY: Failure = Failure::fixed("OOM command not allowed when used memory > 'maxmemory'.");

/// Which keys go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Policy {
    #[default]
    NoEviction,
    AllKeysLru,
    AllKeysLfu,
    AllKeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

const POLICIES: [(&str, Policy); 8] = [
    ("volatile-lru", Policy::VolatileLru),
    ("volatile-lfu", Policy::VolatileLfu),
    ("volatile-random", Policy::VolatileRandom),
    ("volatile-ttl", Policy::VolatileTtl),
    ("allkeys-lru", Policy::AllKeysLru),
    ("allkeys-lfu", Policy::AllKeysLfu),
    ("allkeys-random", Policy::AllKeysRandom),
    ("noeviction", Policy::NoEviction),
];

impl Policy {
    pub(super) fn parse(name: &str) -> Option<Self> {
        POLICIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, policy)| *policy)
    }

    pub(super) fn name(self) -> &'static str {
        POLICIES.iter().find(|(_, policy)| *policy == self).map_or("", |(name, _)| name)
    }

    /// Every name, as errors list them.
    pub(super) fn names() -> String {
        POLICIES.map(|(name, _)| name).join(", ")
    }

    /// Whether it is decided by how often keys are used.
    pub(super) fn counts_use(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    /// Whether only keys go that end anyway.
    fn spares_lasting(self) -> bool {
        matches!(self, Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl)
    }
}

/// The bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Bytes; 0 for no bound.
    pub limit: usize,
    pub policy: Policy,
    /// Keys drawn for each that goes.
    pub samples: usize,
    /// The bound was reached when the command that runs began, and nothing could go.
    pub is_full: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { limit: 0, policy: Policy::default(), samples: 5, is_full: false }
    }
}

/// Bytes as settings write them: `100mb`, `1g`, `512`.
pub(super) fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: usize = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    // No digits are none, as C reads them.
    if digits.is_empty() { Some(0) } else { digits.parse::<usize>().ok()?.checked_mul(factor) }
}

impl State {
    /// Bytes of all keys; counted only while there is a bound.
    pub(super) fn used_memory(&self) -> usize {
        self.dbs.iter().map(super::keyspace::Db::weight).sum()
    }

    /// Sets the bound, and begins or ends the counting.
    pub(super) fn bound_memory(&mut self, limit: usize, now: i64) {
        if limit > 0 {
            self.dbs.iter_mut().for_each(|db| db.weigh_all(now));
        }
        self.memory.limit = limit;
    }

    pub(super) fn evict_by(&mut self, policy: Policy, now: i64) {
        self.memory.policy = policy;
        self.dbs.iter_mut().for_each(|db| db.count_use(policy.counts_use(), now));
    }

    /// Removes keys until the bound is kept; false where it cannot be.
    pub(super) fn make_room(&mut self, now: i64) -> bool {
        if self.memory.limit == 0 {
            return true;
        }
        while self.used_memory() > self.memory.limit {
            let Some((db, key)) = self.choose_victim(now) else { return false };
            if self.dbs[db].remove(&key, now).is_some() {
                self.counters.evicted += 1;
                self.touch(db, &key);
                self.notify(EVICTED, "evicted", db, &key);
                self.blocked.key_lost(db, &key);
                if let Some(journal) = &mut self.journal {
                    journal.group().push(db, &[b"DEL", &key]);
                }
            }
        }
        true
    }

    fn choose_victim(&self, now: i64) -> Option<(usize, Blob)> {
        let policy = self.memory.policy;
        if policy == Policy::NoEviction {
            return None;
        }
        let mut worst: Option<(i64, usize, &[u8])> = None;
        for (index, db) in self.dbs.iter().enumerate() {
            for _ in 0..self.memory.samples {
                let Some((key, expires, usage)) = db.draw(policy.spares_lasting()) else { break };
                let worth_losing = match policy {
                    Policy::AllKeysRandom | Policy::VolatileRandom | Policy::NoEviction => fastrand::i64(..),
                    Policy::VolatileTtl => NEVER - expires,
                    Policy::AllKeysLru | Policy::VolatileLru => usage.idle_ms(now),
                    Policy::AllKeysLfu | Policy::VolatileLfu => 255 - i64::from(usage.count(now)),
                };
                if worst.is_none_or(|(most, ..)| worth_losing > most) {
                    worst = Some((worth_losing, index, key));
                }
            }
        }
        worst.map(|(_, db, key)| (db, key.into()))
    }
}
