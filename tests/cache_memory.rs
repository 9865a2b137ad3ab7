//! What level 1 holds: how many bytes, and which entries. In a process of its own, because it measures all that is allocated.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::VecDeque, time::Duration};

use oxcart::{
    cache::{Cache, CacheOptions, Fill},
    clock::Clock,
    connection::{self, ConnectionOptions},
    service,
};

fn cache(prefix: &str, max_size: usize, strategy: &str) -> Cache {
    let how = match strategy {
        "priorities" => r#""priorities":{"other:":3}"#.to_owned(),
        strategy => format!(r#""strategy":"{strategy}""#),
    };
    let options = format!(r#"{{"prefix":"{prefix}","level1":{{"maxSize":{max_size},"ttl":3600,{how}}}}}"#);
    let link = connection::open(ConnectionOptions::from_json(r#"{"url":"memory://"}"#).unwrap()).unwrap();
    Cache::new(link, CacheOptions::from_json(&options).unwrap(), Clock::system(), Duration::from_secs(1)).unwrap()
}

/// Keeps a value in this process alone.
async fn keep(cache: &Cache, key: &str, text: String) {
    let stamp = cache.watch(key, &[]).stamp();
    let gaps = cache.gaps();
    let _ = cache.fill(Fill { key: key.to_owned(), text, stamp, gaps, local_only: true, ..Fill::default() }).await;
}

fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(120)).expect("the test ends, and does not panic")
}

/// Both measures in one test: they must not run beside each other.
#[test]
fn level_1_holds_what_it_may_and_what_is_asked_for() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    run(bytes());
    run(hits());
}

/// Bytes that the process has allocated, with what the allocator needs for them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn allocated() -> usize {
    // SAFETY: it only counts.
    let counts = unsafe { libc::mallinfo2() };
    counts.uordblks + counts.hblkhd
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
async fn bytes() {
    const MAX: usize = 16 * 1024 * 1024;
    keep(&cache("warm:", MAX, "LRU"), "warm", "1".to_owned()).await;
    for (strategy, size) in
        ["LRU", "priorities"].into_iter().flat_map(|one| [50, 200, 1_000, 10_000].map(|size| (one, size)))
    {
        let before = allocated();
        let cache = cache(&format!("bytes-{strategy}-{size}:"), MAX, strategy);
        for n in 0..MAX * 5 / 4 / (size + 200) {
            keep(&cache, &format!("key:{n:010}"), "x".repeat(size)).await;
        }
        // Housekeeping goes in slices.
        let mut told = cache.local_size();
        while std::mem::replace(&mut told, cache.local_size()) != told {}
        let part = |bytes: usize| bytes * 100 / MAX;
        let held = part(allocated() - before);
        assert!((85..=105).contains(&held), "{strategy}, values of {size} bytes: {held} % of maxSize are allocated");
        assert!((95..=100).contains(&part(usize::try_from(told.1).unwrap())), "{told:?} are told");
    }
}

/// How many hits a trace has: a plain list of the most recently used, and the best possible choice.
fn references(trace: &[usize], keys: usize, capacity: usize) -> (usize, usize) {
    let (mut recent, mut lru) = (VecDeque::new(), 0);
    for &key in trace {
        if let Some(at) = recent.iter().position(|&other| other == key) {
            recent.remove(at);
            lru += 1;
        } else if recent.len() == capacity {
            recent.pop_back();
        }
        recent.push_front(key);
    }
    // The best choice drops what is needed again last.
    let mut next = vec![usize::MAX; trace.len()];
    let mut seen = vec![usize::MAX; keys];
    for (at, &key) in trace.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[key], at);
    }
    let mut needed: std::collections::BTreeSet<(usize, usize)> = std::collections::BTreeSet::new();
    let (mut held, mut best) = (vec![None; keys], 0);
    for (at, &key) in trace.iter().enumerate() {
        if let Some(again) = held[key].take() {
            needed.remove(&(again, key));
            best += 1;
        }
        needed.insert((next[at], key));
        held[key] = Some(next[at]);
        if needed.len() > capacity
            && let Some((_, dropped)) = needed.pop_last()
        {
            held[dropped] = None;
        }
    }
    (lru, best)
}

/// Requests whose frequency falls with the rank, the same each time.
fn zipf(keys: usize, length: usize) -> Vec<usize> {
    #[expect(clippy::cast_precision_loss, reason = "there are few keys")]
    let weights = (1..=keys).map(|rank| 1.0 / (rank as f64).powf(0.9));
    let sums: Vec<f64> = weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| sums.partition_point(|&sum| sum < random.f64() * sums[keys - 1]).min(keys - 1)).collect()
}

async fn hits() {
    const KEYS: usize = 5_000;
    let trace = zipf(KEYS, 60_000);
    let percent = |hits: usize| hits * 1_000 / trace.len();
    let capacity = KEYS / 10;
    let (lru, best) = references(&trace, KEYS, capacity);
    for strategy in ["LRU", "LFU", "priorities"] {
        let entry = 8 + 1 + if strategy == "priorities" { 336 } else { 536 };
        let cache = cache(&format!("hits-{strategy}:"), capacity * entry, strategy);
        let mut hits = 0;
        for key in &trace {
            let key = format!("{key:08}");
            if cache.peek(&key).is_some() {
                hits += 1;
            } else {
                keep(&cache, &key, "1".to_owned()).await;
            }
        }
        // Tenths of a percent. On requests that never change their mind, frequency is the better guide.
        let (hits, lru, best) = (percent(hits), percent(lru), percent(best));
        assert!(hits <= best, "{strategy}: {hits} of a best {best}: it holds more than it may");
        if strategy == "LFU" {
            assert!(hits > lru, "LFU: {hits}, a plain LRU {lru}, the best {best}");
        } else {
            assert!(hits.abs_diff(lru) <= 15, "{strategy}: {hits}, a plain LRU {lru}, the best {best}");
        }
    }
}
