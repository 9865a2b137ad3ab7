//! The level in this process: serialized values, shared by every JavaScript thread, bounded by bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache as Moka};

use super::{
    coherence::Coherence,
    epochs::Watch,
    options::{CoherenceMode, EvictionStrategy, Level1Options},
    ranked::{PRIORITIES, Priorities, PriorityTally, RankedEntries},
};
use crate::{clock::Clock, connection::Link};

/// What moka, the allocator and we need for an entry beside its key and text: measured, and held to by `tests/cache_memory.rs`.
const OVERHEAD: usize = 536;

/// A value in this process.
#[derive(Debug)]
pub struct LocalEntry {
    /// JSON, or text that someone else wrote.
    pub text: String,
    /// Counters that the value depends on.
    pub watch: Watch,
    /// Their sum when the value was asked for.
    pub stamp: u32,
    /// When it expires here, in milliseconds since the epoch.
    pub expires_at_ms: i64,
    /// When its value is no longer fresh in Redis, which is not before that.
    pub fresh_until_ms: i64,
    /// Until when it can stand in for a source that fails.
    pub stale_until_ms: i64,
    /// How long it took to load, where it is to be refreshed early; else 0.
    pub load_ms: u32,
}

/// How long a copy may be used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    /// As an answer. `None`: for as long as the tier allows.
    pub life: Option<Duration>,
    /// How much longer in place of a source that fails.
    pub stale: Duration,
    pub load_ms: u32,
}

impl Keep {
    pub(super) fn for_life(life: Duration) -> Self {
        Self { life: Some(life), ..Self::default() }
    }
}

/// Frees entries that can no longer be of use.
struct Uselessness {
    clock: Clock,
}

impl moka::Expiry<Box<str>, Arc<LocalEntry>> for Uselessness {
    fn expire_after_create(&self, _: &Box<str>, entry: &Arc<LocalEntry>, _: std::time::Instant) -> Option<Duration> {
        let left = entry.stale_until_ms.max(entry.expires_at_ms) - self.clock.now_ms();
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    fn expire_after_update(
        &self,
        key: &Box<str>,
        entry: &Arc<LocalEntry>,
        at: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

impl LocalEntry {
    fn can_stand_in(&self, now_ms: i64) -> bool {
        self.stale_until_ms > now_ms && self.watch.stamp() == self.stamp
    }

    /// Whether anybody may still read it.
    pub(super) fn is_of_use(&self, now_ms: i64) -> bool {
        self.expires_at_ms.max(self.stale_until_ms) > now_ms && self.watch.stamp() == self.stamp
    }

    fn is_valid(&self, now_ms: i64) -> bool {
        self.expires_at_ms > now_ms && self.watch.stamp() == self.stamp
    }
}

/// The copies, bounded by bytes.
enum Entries {
    /// All alike.
    Equal(Moka<Box<str>, Arc<LocalEntry>>),
    Ranked(RankedEntries),
}

impl Entries {
    fn get(&self, key: &str) -> Option<Arc<LocalEntry>> {
        match self {
            Self::Equal(entries) => entries.get(key),
            Self::Ranked(entries) => entries.get(key),
        }
    }

    fn remove(&self, key: &str) {
        match self {
            Self::Equal(entries) => entries.invalidate(key),
            Self::Ranked(entries) => entries.remove(key),
        }
    }
}

/// The values of one prefix on one server.
pub(super) struct LocalTier {
    entries: Entries,
    ttl: Duration,
    clock: Clock,
    /// Tells of changes by others.
    coherence: Option<Coherence>,
    /// Keeps the address alive by which [`shared`](Self::shared) tells servers apart.
    _link: Option<Arc<dyn Link>>,
}

/// What makes two caches share their values: the same link, prefix and settings.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    link: usize,
    prefix: String,
    max_size: u64,
    ttl: Duration,
    strategy: EvictionStrategy,
    coherence: CoherenceMode,
    priorities: Option<Priorities>,
}

/// Bytes that an entry takes.
fn weight(key: &str, entry: &LocalEntry) -> u32 {
    let tags = entry.watch.tags.len() * size_of::<u32>();
    u32::try_from(key.len() + entry.text.len() + tags + OVERHEAD).unwrap_or(u32::MAX)
}

impl LocalTier {
    pub(super) fn new(options: &Level1Options, clock: Clock) -> Self {
        let ttl = Duration::from_secs_f64(options.ttl);
        if let Some(priorities) = options.priorities() {
            let entries = Entries::Ranked(RankedEntries::new(max_size(options), priorities));
            return Self { entries, ttl, clock, coherence: None, _link: None };
        }
        let policy = match options.strategy {
            EvictionStrategy::LeastRecentlyUsed => EvictionPolicy::lru(),
            EvictionStrategy::LeastFrequentlyUsed => EvictionPolicy::tiny_lfu(),
        };
        #[expect(clippy::borrowed_box, reason = "moka shows the key as it holds it")]
        let builder = Moka::builder()
            .max_capacity(max_size(options))
            .weigher(|key: &Box<str>, entry: &Arc<LocalEntry>| weight(key, entry))
            .eviction_policy(policy);
        // Frees what nobody asks for again; an entry's own expiry is checked when it is read. By the system's time.
        let builder =
            if clock.is_manual() { builder } else { builder.expire_after(Uselessness { clock: clock.clone() }) };
        Self { entries: Entries::Equal(builder.build()), ttl, clock, coherence: None, _link: None }
    }

    /// The tier that all caches with this link, prefix and settings in the process share; it goes with the last of them.
    pub(super) fn shared(
        link: &Arc<dyn Link>,
        prefix: &str,
        options: &Level1Options,
        mode: CoherenceMode,
    ) -> Arc<Self> {
        static TIERS: OnceLock<Mutex<HashMap<Identity, Weak<LocalTier>>>> = OnceLock::new();
        let identity = Identity {
            link: Arc::as_ptr(link).cast::<()>() as usize,
            prefix: prefix.to_owned(),
            max_size: max_size(options),
            ttl: Duration::from_secs_f64(options.ttl),
            strategy: options.strategy,
            coherence: mode,
            priorities: options.priorities(),
        };
        let mut tiers = TIERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tier) = tiers.get(&identity).and_then(Weak::upgrade) {
            return tier;
        }
        tiers.retain(|_, tier| tier.strong_count() > 0);
        let coherence = Some(Coherence::follow(link, prefix, mode));
        let tier = Self { coherence, _link: Some(Arc::clone(link)), ..Self::new(options, link.clock()) };
        let tier = Arc::new(tier);
        tiers.insert(identity, Arc::downgrade(&tier));
        tier
    }

    /// Whether changes by other processes end the copies.
    pub(super) fn follows_changes(&self) -> bool {
        self.coherence.as_ref().is_some_and(Coherence::is_told)
    }

    /// Whether the server tells of changes to what was read.
    pub(super) fn is_tracked(&self) -> bool {
        self.coherence.as_ref().is_some_and(Coherence::is_tracked)
    }

    /// How often all copies became invalid because changes by others may have been missed.
    pub(super) fn gaps(&self) -> u32 {
        self.coherence.as_ref().map_or(0, Coherence::gaps)
    }

    /// Entries whose keys begin with `start`, and their bytes.
    pub(super) fn size_of(&self, start: &str) -> (u64, u64) {
        let now_ms = self.clock.now_ms();
        let wanted = |key: &str, entry: &LocalEntry| key.starts_with(start) && entry.is_valid(now_ms);
        match &self.entries {
            Entries::Equal(entries) => entries
                .iter()
                .filter(|(key, entry)| wanted(key, entry))
                .fold((0, 0), |(entries, bytes), (key, entry)| (entries + 1, bytes + u64::from(weight(&key, &entry)))),
            Entries::Ranked(entries) => entries.count(wanted),
        }
    }

    /// What there is of each priority, the lowest first; `None` where all copies are alike.
    pub(super) fn priorities(&self) -> Option<[PriorityTally; PRIORITIES]> {
        match &self.entries {
            Entries::Equal(_) => None,
            Entries::Ranked(entries) => Some(entries.tallies()),
        }
    }

    /// A value that is neither expired nor invalidated.
    pub(super) fn get(&self, key: &str) -> Option<Arc<LocalEntry>> {
        let entry = self.entries.get(key)?;
        if entry.is_valid(self.clock.now_ms()) {
            return Some(entry);
        }
        if !entry.can_stand_in(self.clock.now_ms()) {
            self.entries.remove(key);
        }
        None
    }

    /// A value that was not invalidated, fresh or not.
    pub(super) fn get_stale(&self, key: &str) -> Option<Arc<LocalEntry>> {
        self.entries.get(key).filter(|entry| entry.can_stand_in(self.clock.now_ms()))
    }

    /// Keeps a value for as long as `keep` says, or the tier's own limit if that is shorter, provided that the counters of
    /// `watch` still add up to `stamp`.
    pub(super) fn insert(&self, key: &str, text: String, watch: Watch, stamp: u32, keep: Keep) {
        if watch.stamp() != stamp {
            return;
        }
        let now = self.clock.now_ms();
        let after = |life: Duration| now.saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let fresh_until_ms = keep.life.map_or(i64::MAX, after);
        let expires_at_ms = fresh_until_ms.min(after(self.ttl));
        let stale_until_ms = match keep.life {
            Some(life) if !keep.stale.is_zero() => after(life + keep.stale),
            _ => expires_at_ms,
        };
        let entry =
            LocalEntry { text, watch, stamp, expires_at_ms, fresh_until_ms, stale_until_ms, load_ms: keep.load_ms };
        match &self.entries {
            Entries::Equal(entries) => entries.insert(key.into(), Arc::new(entry)),
            Entries::Ranked(entries) => entries.insert(key, Arc::new(entry), now),
        }
    }

    /// Frees what a sweep has already made invalid.
    pub(super) fn clear(&self) {
        match &self.entries {
            Entries::Equal(entries) => entries.invalidate_all(),
            Entries::Ranked(entries) => entries.clear(),
        }
    }

    /// Entries and bytes held.
    pub(super) fn size(&self) -> (u64, u64) {
        match &self.entries {
            Entries::Equal(entries) => {
                entries.run_pending_tasks();
                (entries.entry_count(), entries.weighted_size())
            }
            Entries::Ranked(entries) => {
                let tallies = entries.tallies();
                tallies.iter().fold((0, 0), |(entries, bytes), tally| (entries + tally.entries, bytes + tally.bytes))
            }
        }
    }
}

/// Checked to be a whole number when the cache was made.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a whole number above 0")]
fn max_size(options: &Level1Options) -> u64 {
    options.max_size as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::epochs::{Epochs, epochs};

    fn watch(key: &str) -> Watch {
        Watch {
            key: Epochs::shard("local", key),
            sweep: Epochs::shard("local", "sweep"),
            tags: Box::new([Epochs::shard("local", "tag")]),
        }
    }

    fn tier(clock: &Clock) -> LocalTier {
        LocalTier::new(&Level1Options { max_size: 10_000.0, ttl: 60.0, ..Level1Options::default() }, clock.clone())
    }

    fn insert(tier: &LocalTier, key: &str, life: Option<Duration>) {
        let watch = watch(key);
        let stamp = watch.stamp();
        tier.insert(key, "1".to_owned(), watch, stamp, Keep { life, ..Keep::default() });
    }

    #[test]
    fn any_counter_of_an_entry_invalidates_it() {
        let tier = tier(&Clock::system());
        for shard in [watch("a").key, watch("a").sweep, watch("a").tags[0]] {
            insert(&tier, "a", None);
            assert!(tier.get("a").is_some());
            epochs().bump(shard);
            assert!(tier.get("a").is_none());
        }
    }

    #[test]
    fn a_value_asked_for_before_an_invalidation_is_not_kept() {
        let tier = tier(&Clock::system());
        let watch = watch("late");
        let stamp = watch.stamp();
        epochs().bump(watch.key);
        tier.insert("late", "1".to_owned(), watch, stamp, Keep::default());
        assert!(tier.get("late").is_none());
    }

    #[test]
    fn a_copy_lives_no_longer_than_its_entry_in_redis_or_the_tier_allows() {
        let clock = Clock::manual(1_000);
        let tier = tier(&clock);
        insert(&tier, "short", Some(Duration::from_millis(500)));
        insert(&tier, "long", Some(Duration::from_secs(3600)));
        insert(&tier, "endless", None);
        clock.advance_ms(499);
        assert!(tier.get("short").is_some());
        clock.advance_ms(1);
        assert!(tier.get("short").is_none());
        clock.advance_ms(59_499);
        assert!(tier.get("long").is_some() && tier.get("endless").is_some());
        clock.advance_ms(1);
        assert!(tier.get("long").is_none() && tier.get("endless").is_none());
    }

    #[test]
    fn it_is_bounded_by_bytes() {
        let tier = tier(&Clock::system());
        for n in 0..1_000 {
            insert(&tier, &format!("key-{n}"), None);
        }
        let (entries, bytes) = tier.size();
        assert!(bytes <= 10_000 && entries < 100 && entries > 0, "{entries} entries of {bytes} bytes");
    }
}
