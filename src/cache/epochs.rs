//! Epochs: how a delete on one thread is seen at once by every copy of the value in this process.
//!
//! A cached value has copies: one in the local tier, and one decoded object in each JavaScript thread that reads it. Finding
//! all copies of a deleted key would need a message to each thread. Instead, every key and every tag hashes to one of
//! [`SHARDS`] counters that the whole process shares; a copy remembers the counters' sum when its value was *asked for*,
//! and is valid only while that sum stays. Deleting is then: add one to a counter.
//!
//! The guarantee is stronger than dropping copies. A load that began before an invalidation still runs when it ends, and
//! must not bring the old value back:
//!
//! ```text
//! reader  takes the sum (7) ── reads v1 ─────────────────────── wants to store v1: the sum is 8, so v1 is dropped
//! writer                        updates the source, deletes: the sum becomes 8
//! ```
//!
//! Writers add one before they send their command, and once more when it was answered. The second is for a reader that
//! took the sum after the first but whose read overtook the command on its way to the server.
//!
//! Keys that share a counter invalidate each other: that costs a read of Redis, never a wrong value. Counters wrap after
//! 2³² invalidations of one shard; a copy would have to sleep through exactly that many to be mistaken for valid.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

/// How many counters the process has. 64 KiB of them.
pub const SHARDS: usize = 1 << SHARD_BITS;

const SHARD_BITS: u32 = 14;

/// Number of a counter.
pub type Shard = u32;

/// The counters of this process.
#[derive(Clone, Copy, Debug)]
pub struct Epochs {
    counters: &'static [AtomicU32],
}

/// The counters. Their memory is never freed: JavaScript threads read it directly, and may outlive everything else.
pub fn epochs() -> Epochs {
    static COUNTERS: OnceLock<&'static [AtomicU32]> = OnceLock::new();
    Epochs { counters: COUNTERS.get_or_init(|| Box::leak((0..SHARDS).map(|_| AtomicU32::new(0)).collect())) }
}

impl Epochs {
    /// The counter of a key or tag: `space` keeps the keys and tags of different caches apart.
    pub fn shard(space: &str, name: &str) -> Shard {
        // FNV-1a, folded: shards need an even spread and no resistance to collisions made on purpose, which only cost
        // the attacker's own cache hits.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in space.bytes().chain([0xff]).chain(name.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let folded = (hash >> 32) ^ hash;
        u32::try_from((folded ^ (folded >> SHARD_BITS)) & ((1 << SHARD_BITS) - 1)).unwrap_or(0)
    }

    /// The counter of everything in one space, which pattern deletes and flushes add to. No caller's key is empty.
    pub fn sweep(space: &str) -> Shard {
        Self::shard(space, "")
    }

    /// Adds one to a counter and gives its new value.
    pub fn bump(self, shard: Shard) -> u32 {
        self.counters[shard as usize].fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// The present value of a counter.
    pub fn current(self, shard: Shard) -> u32 {
        self.counters[shard as usize].load(Ordering::Acquire)
    }

    /// Where the counters lie, for threads that read them without a call.
    #[cfg_attr(not(feature = "node"), expect(dead_code, reason = "only Node-API reads the counters by address"))]
    pub(crate) fn address(self) -> *const AtomicU32 {
        self.counters.as_ptr()
    }
}

/// The counters that one value depends on: its key's, its cache's (bumped by pattern deletes and flushes) and its tags'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub key: Shard,
    pub sweep: Shard,
    pub tags: Box<[Shard]>,
}

impl Watch {
    /// The sum of the counters now. It only ever grows, so an equal sum means that none has moved.
    pub fn stamp(&self) -> u32 {
        let epochs = epochs();
        epochs.current(self.key).wrapping_add(epochs.current(self.sweep)).wrapping_add(self.tags_stamp())
    }

    /// The part of the sum that is the tags'.
    pub fn tags_stamp(&self) -> u32 {
        self.tags.iter().fold(0, |sum: u32, &tag| sum.wrapping_add(epochs().current(tag)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_spread_evenly() {
        let mut load = vec![0_u32; SHARDS];
        for n in 0..SHARDS * 8 {
            load[Epochs::shard("cache:", &format!("user:{n}")) as usize] += 1;
        }
        let empty = load.iter().filter(|&&keys| keys == 0).count();
        let fullest = load.iter().max().unwrap();
        // Eight keys a shard on average: chance leaves about e^-8 of the shards empty, and none far above the mean.
        assert!(empty < SHARDS / 500, "{empty} shards are empty");
        assert!(*fullest < 32, "a shard has {fullest} keys");
    }

    #[test]
    fn names_of_different_caches_are_different_names() {
        assert_ne!(Epochs::shard("a", "bc"), Epochs::shard("ab", "c"));
    }

    #[test]
    fn a_stamp_moves_with_each_counter_that_it_covers() {
        let watch = Watch {
            key: Epochs::shard("stamp", "key"),
            sweep: Epochs::shard("stamp", "sweep"),
            tags: Box::new([Epochs::shard("stamp", "tag")]),
        };
        for shard in [watch.key, watch.sweep, watch.tags[0]] {
            let before = watch.stamp();
            epochs().bump(shard);
            assert_ne!(watch.stamp(), before);
        }
    }
}
