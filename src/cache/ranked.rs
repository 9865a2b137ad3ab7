//! Copies of which some are worth more than others: when the bound is reached, the least recently used one of the lowest
//! priority goes first, and a higher one only where no lower one is left.
//!
//! moka knows no priorities. One moka for each, with a share of the bound, would leave room empty that its priority does not
//! need, and drop what matters most while what matters least stays. One ordered map of (priority, last use) says exactly what
//! goes next; the lock around it costs less than moka does, with the few threads of a process. Without priorities moka stays:
//! it can also choose by frequency.
//!
//! A copy that can no longer be used must not outlive lower ones because its priority is high: the oldest of each priority are
//! looked at first.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::local_tier::LocalEntry;

/// How many priorities there are: 1 is the lowest.
pub(super) const PRIORITIES: usize = 4;
/// Of keys for which none is named.
const DEFAULT: u8 = 2;
/// What an entry needs beside its key and text: measured, and held to by `tests/cache_memory.rs`.
const OVERHEAD: usize = 336;
/// Copies that are looked at in one go.
const SLICE: usize = 1_000;

/// Which keys have which priority, by what they begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Priorities(Vec<(String, u8)>);

impl Priorities {
    pub(super) fn new(prefixes: impl Iterator<Item = (String, u8)>) -> Self {
        let mut prefixes: Vec<_> = prefixes.collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(prefixes)
    }

    /// By the longest prefix.
    fn of(&self, key: &str) -> u8 {
        self.0.iter().find(|(prefix, _)| key.starts_with(prefix)).map_or(DEFAULT, |&(_, priority)| priority)
    }
}

/// What there is of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityTally {
    pub entries: u64,
    pub bytes: u64,
    /// How many gave way to others.
    pub evicted: u64,
}

/// Priority and last use.
type Place = (u8, u64);

pub(super) struct RankedEntries {
    max_bytes: u64,
    priorities: Priorities,
    core: Mutex<Core>,
}

#[derive(Default)]
struct Core {
    slots: HashMap<Arc<str>, Slot>,
    /// What goes first is first.
    order: BTreeMap<Place, Arc<str>>,
    uses: u64,
    tallies: [PriorityTally; PRIORITIES],
}

struct Slot {
    entry: Arc<LocalEntry>,
    place: Place,
    bytes: u64,
}

impl RankedEntries {
    pub(super) fn new(max_bytes: u64, priorities: Priorities) -> Self {
        Self { max_bytes, priorities, core: Mutex::default() }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<LocalEntry>> {
        let mut core = self.core();
        core.uses += 1;
        let uses = core.uses;
        let slot = core.slots.get_mut(key)?;
        let entry = Arc::clone(&slot.entry);
        let before = std::mem::replace(&mut slot.place.1, uses);
        let place = slot.place;
        if let Some(name) = core.order.remove(&(place.0, before)) {
            core.order.insert(place, name);
        }
        Some(entry)
    }

    pub(super) fn insert(&self, key: &str, entry: Arc<LocalEntry>, now_ms: i64) {
        let (priority, bytes) = (self.priorities.of(key), bytes_of(key, &entry));
        // Freed when the lock is: a text may be long.
        let mut gone = Vec::new();
        let mut core = self.core();
        gone.extend(core.remove(key));
        if bytes > self.max_bytes {
            return;
        }
        core.uses += 1;
        let (place, name) = ((priority, core.uses), Arc::<str>::from(key));
        core.order.insert(place, Arc::clone(&name));
        core.slots.insert(name, Slot { entry, place, bytes });
        let tally = core.tally(priority);
        tally.entries += 1;
        tally.bytes += bytes;
        while core.bytes() > self.max_bytes
            && let Some(place) = core.next_to_go(now_ms)
        {
            let name = core.order.get(&place).cloned();
            gone.extend(name.and_then(|name| core.remove(&name)));
            core.tally(place.0).evicted += 1;
        }
        drop(core);
    }

    pub(super) fn remove(&self, key: &str) {
        let gone = self.core().remove(key);
        drop(gone);
    }

    pub(super) fn clear(&self) {
        let mut core = self.core();
        let gone = (std::mem::take(&mut core.slots), std::mem::take(&mut core.order));
        for tally in &mut core.tallies {
            (tally.entries, tally.bytes) = (0, 0);
        }
        drop(core);
        drop(gone);
    }

    /// Entries and bytes of what `wanted` says.
    pub(super) fn count(&self, wanted: impl Fn(&str, &LocalEntry) -> bool) -> (u64, u64) {
        let (mut entries, mut bytes) = (0, 0);
        let mut after = Bound::Unbounded;
        // In slices, because readers wait meanwhile.
        loop {
            let core = self.core();
            let mut last = None;
            for (place, name) in core.order.range((after, Bound::Unbounded)).take(SLICE) {
                if let Some(slot) = core.slots.get(name).filter(|slot| wanted(name, &slot.entry)) {
                    entries += 1;
                    bytes += slot.bytes;
                }
                last = Some(*place);
            }
            match last {
                Some(place) => after = Bound::Excluded(place),
                None => return (entries, bytes),
            }
        }
    }

    /// The lowest priority first.
    pub(super) fn tallies(&self) -> [PriorityTally; PRIORITIES] {
        self.core().tallies
    }
}

impl Core {
    fn tally(&mut self, priority: u8) -> &mut PriorityTally {
        &mut self.tallies[usize::from(priority) - 1]
    }

    fn bytes(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.bytes).sum()
    }

    fn remove(&mut self, key: &str) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.order.remove(&slot.place);
        let tally = self.tally(slot.place.0);
        tally.entries -= 1;
        tally.bytes -= slot.bytes;
        Some(slot)
    }

    fn next_to_go(&self, now_ms: i64) -> Option<Place> {
        let oldest = (1_u8..).take(PRIORITIES).filter_map(|rank| self.order.range((rank, 0)..=(rank, u64::MAX)).next());
        let useless =
            |(_, name): &(&Place, &Arc<str>)| self.slots.get(*name).is_some_and(|slot| !slot.entry.is_of_use(now_ms));
        let useless = oldest.into_iter().find(useless).map(|(place, _)| *place);
        useless.or_else(|| self.order.first_key_value().map(|(place, _)| *place))
    }
}

fn bytes_of(key: &str, entry: &LocalEntry) -> u64 {
    (key.len() + entry.text.len() + size_of_val(&*entry.watch.tags) + OVERHEAD) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::epochs::{Epochs, Watch, epochs};

    /// Bytes of every entry here.
    const EACH: u64 = OVERHEAD as u64 + 20;
    /// Life of what is kept here.
    const LIFE: i64 = 1_000;

    fn ranked(entries: u64) -> RankedEntries {
        let priorities = [("low:", 1), ("high:", 3), ("high:but:", 1), ("top:", 4)];
        let priorities = Priorities::new(priorities.map(|(prefix, rank)| (prefix.to_owned(), rank)).into_iter());
        RankedEntries::new(entries * EACH, priorities)
    }

    fn keep(ranked: &RankedEntries, key: &str, now_ms: i64) {
        let watch = Watch { key: Epochs::shard("ranked", key), sweep: Epochs::sweep("ranked"), tags: Box::default() };
        let (text, stamp, until) = ("x".repeat(20 - key.len()), watch.stamp(), now_ms + LIFE);
        let (expires_at_ms, fresh_until_ms, stale_until_ms) = (until, until, until);
        let entry = LocalEntry { text, watch, stamp, expires_at_ms, fresh_until_ms, stale_until_ms, load_ms: 0 };
        ranked.insert(key, Arc::new(entry), now_ms);
    }

    fn kept(ranked: &RankedEntries) -> Vec<String> {
        ranked.core().order.values().map(|name| (**name).to_owned()).collect()
    }

    #[test]
    fn the_lowest_priority_goes_first_and_of_it_what_was_unused_for_longest() {
        let ranked = ranked(5);
        for key in ["top:1", "high:1", "plain", "low:1", "low:2"] {
            keep(&ranked, key, 0);
        }
        assert!(ranked.get("low:1").is_some());
        keep(&ranked, "high:2", 0);
        assert_eq!(kept(&ranked), ["low:1", "plain", "high:1", "high:2", "top:1"]);
        keep(&ranked, "plain2", 0);
        keep(&ranked, "top:2", 0);
        assert_eq!(kept(&ranked), ["plain2", "high:1", "high:2", "top:1", "top:2"]);
        // What is lower than all that is there finds no room.
        keep(&ranked, "low:3", 0);
        keep(&ranked, "high:but:low", 0);
        assert_eq!(kept(&ranked), ["plain2", "high:1", "high:2", "top:1", "top:2"]);
        let evicted = ranked.tallies().map(|tally| tally.evicted);
        assert_eq!(evicted, [4, 1, 0, 0]);
    }

    #[test]
    fn what_is_of_no_use_goes_before_all_else() {
        let ranked = ranked(3);
        keep(&ranked, "top:expired", -LIFE);
        keep(&ranked, "low:1", 0);
        keep(&ranked, "low:2", 0);
        keep(&ranked, "low:3", 0);
        assert_eq!(kept(&ranked), ["low:1", "low:2", "low:3"]);
        keep(&ranked, "top:1", 0);
        epochs().bump(Epochs::shard("ranked", "top:1"));
        keep(&ranked, "low:4", 0);
        assert_eq!(kept(&ranked), ["low:2", "low:3", "low:4"]);
    }

    #[test]
    fn what_is_held_is_counted() {
        let ranked = ranked(10);
        for key in ["low:1", "low:2", "low:2", "plain", "top:1"] {
            keep(&ranked, key, 0);
        }
        let tally = |entries| PriorityTally { entries, bytes: entries * EACH, evicted: 0 };
        assert_eq!(ranked.tallies(), [tally(2), tally(1), tally(0), tally(1)]);
        ranked.remove("low:1");
        ranked.remove("low:1");
        assert_eq!(ranked.count(|key, _| key.starts_with("low:")), (1, EACH));
        assert_eq!(ranked.count(|_, _| true), (3, 3 * EACH));
        ranked.clear();
        assert_eq!((ranked.tallies(), kept(&ranked)), ([tally(0); 4], Vec::new()));
    }

    #[test]
    fn what_is_larger_than_the_bound_is_not_kept_and_takes_its_old_copy_with_it() {
        let ranked = RankedEntries::new(EACH - 1, Priorities::new(std::iter::empty()));
        keep(&ranked, "a", 0);
        assert!(ranked.get("a").is_none());
        let ranked = RankedEntries::new(EACH + 30, Priorities::new(std::iter::empty()));
        keep(&ranked, "a", 0);
        assert!(ranked.get("a").is_some());
        let entry = ranked.get("a").unwrap();
        let long = LocalEntry { text: "x".repeat(500), watch: entry.watch.clone(), ..*entry };
        ranked.insert("a", Arc::new(long), 0);
        assert!(ranked.get("a").is_none());
    }
}
