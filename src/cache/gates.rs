//! Keeps the order of counters and commands the same.
//!
//! A fill must not be sent after an invalidation that it does not know of. Looking at the counter and sending the fill are
//! two steps, as are adding to the counter and sending the invalidation; with two threads, the invalidation's two could
//! fall between the fill's. So each pair happens behind the gate of its shard. Sending only queues, so nobody waits long.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::epochs::Shard;

const GATES: u32 = 64;

static CLOSED: [Mutex<()>; GATES as usize] = [const { Mutex::new(()) }; GATES as usize];

/// Does `act` while nobody else passes with one of `shards`.
pub(super) fn pass<T>(shards: impl IntoIterator<Item = Shard>, act: impl FnOnce() -> T) -> T {
    // In order, so that two callers never wait for each other.
    let mut gates: Vec<u32> = shards.into_iter().map(|shard| shard % GATES).collect();
    gates.sort_unstable();
    gates.dedup();
    let _held: Vec<MutexGuard<'_, ()>> =
        gates.into_iter().map(|gate| CLOSED[gate as usize].lock().unwrap_or_else(PoisonError::into_inner)).collect();
    act()
}

/// Does `act` while nobody else passes at all.
pub(super) fn pass_alone<T>(act: impl FnOnce() -> T) -> T {
    pass(0..GATES, act)
}
