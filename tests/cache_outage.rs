//! A cache whose Redis is silent, slow or away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    cache::{Acquire, Acquired, Cache, CacheOptions, CircuitState, Loaded, Write, open_process_only},
    clock::Clock,
    connection::{self, ConnectionOptions, Link},
    service,
    testing::{Proxy, RedisServer, eventually},
};

const LONG: Duration = Duration::from_secs(20);

fn cache(link: &Arc<dyn Link>, options: &str) -> Cache {
    Cache::new(Arc::clone(link), CacheOptions::from_json(options).unwrap(), Clock::system(), LONG).unwrap()
}

/// A server behind a proxy, with a link that has used it.
async fn proxied() -> (RedisServer, Proxy, Arc<dyn Link>) {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    eventually("a connection", || link.state() == connection::LinkState::Ready).await;
    (server, proxy, link)
}

fn write(key: &str, text: &str) -> Write {
    Write { key: key.to_owned(), text: text.to_owned(), ..Write::default() }
}

fn acquire(key: &str) -> Acquire {
    Acquire { key: key.to_owned(), ..Acquire::default() }
}

async fn load(cache: &Cache, key: &str) -> Result<Option<String>, ErrorCode> {
    match cache.load(key, Vec::new(), None).await {
        Ok(Loaded::Hit(hit)) => Ok(Some(hit.text)),
        Ok(Loaded::Miss(_)) => Ok(None),
        Err(error) => Err(error.code()),
    }
}

#[tokio::test]
async fn the_circuit_opens_after_its_threshold_and_one_probe_closes_it() {
    let (_server, proxy, link) = proxied().await;
    let options = r#"{"prefix":"c:","level2":{"timeout":1,"circuitBreaker":{"threshold":2,"duration":0.5}}}"#;
    let cache = cache(&link, options);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    cache.on_circuit(move |state| log.lock().unwrap().push(state));
    assert_eq!(load(&cache, "k").await, Ok(None));
    proxy.go_silent();
    assert_eq!(load(&cache, "k").await, Err(ErrorCode::CommandTimedOut));
    assert_eq!(cache.circuit(), CircuitState::Closed);
    assert_eq!(load(&cache, "k").await, Err(ErrorCode::CommandTimedOut));
    assert_eq!(load(&cache, "k").await, Err(ErrorCode::Offline));
    assert_eq!(*told.lock().unwrap(), [CircuitState::Open]);

    // Of many who ask after the pause, one waits for the server.
    eventually("the pause is over", || cache.circuit() == CircuitState::HalfOpen).await;
    let loads = (0..20).map(|_| {
        let cache = cache.clone();
        service::spawn(async move { load(&cache, "k").await })
    });
    let mut timeouts = 0;
    for load in loads.collect::<Vec<_>>() {
        match load.await.unwrap() {
            Err(ErrorCode::CommandTimedOut) => timeouts += 1,
            outcome => assert_eq!(outcome, Err(ErrorCode::Offline)),
        }
    }
    assert_eq!(timeouts, 1);

    proxy.go_on();
    let began = Instant::now();
    while load(&cache, "k").await != Ok(None) {
        assert!(began.elapsed() < LONG, "it is used again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cache.circuit(), CircuitState::Closed);
    let told = told.lock().unwrap();
    assert_eq!(told[..3], [CircuitState::Open, CircuitState::HalfOpen, CircuitState::Open]);
    assert_eq!(told.last(), Some(&CircuitState::Closed));
}

#[tokio::test]
async fn a_bulk_read_counts_as_one_call() {
    let (_server, proxy, link) = proxied().await;
    let options = r#"{"prefix":"b:","level2":{"timeout":0.1,"circuitBreaker":{"threshold":2}}}"#;
    let cache = cache(&link, options);
    proxy.go_silent();
    let keys: Vec<_> = (0..50).map(|n| format!("k{n}")).collect();
    assert_eq!(cache.load_many(keys.clone()).await.unwrap_err().code(), ErrorCode::CommandTimedOut);
    assert_eq!(cache.circuit(), CircuitState::Closed);
    assert_eq!(cache.load_many(keys).await.unwrap_err().code(), ErrorCode::CommandTimedOut);
    assert_eq!(cache.circuit(), CircuitState::Open);
}

#[tokio::test]
async fn a_soft_timeout_sends_callers_on_while_the_read_goes_on() {
    let (_server, proxy, link) = proxied().await;
    let cache = cache(&link, r#"{"prefix":"s:","level2":{"timeout":10,"softTimeout":0.05}}"#);
    eventually("the server tells of changes", || cache.follows_changes()).await;
    cache.set(write("k", "1")).await.unwrap();
    // Only its copy in Redis is left.
    let cache = {
        drop(cache);
        let options = r#"{"prefix":"s:","level1":{"ttl":59},"level2":{"timeout":10,"softTimeout":0.05}}"#;
        self::cache(&link, options)
    };
    assert!(cache.peek("k").is_none());
    proxy.hold_replies();
    assert_eq!(cache.acquire(acquire("k")).await.unwrap(), Acquired::Unanswered);
    let keys = vec!["k".to_owned(), "other".to_owned()];
    let many = cache.acquire_many(keys, Vec::new(), None).await.unwrap();
    assert_eq!(many, [Acquired::Unanswered, Acquired::Unanswered]);
    assert_eq!(cache.circuit(), CircuitState::Closed, "a soft timeout says nothing of the server");
    proxy.go_on();
    eventually("what the read brings is kept", || cache.peek("k").is_some_and(|entry| entry.text == "1")).await;
    let began = Instant::now();
    while !matches!(cache.acquire(acquire("k")).await.unwrap(), Acquired::Hit(hit) if hit.text == "1") {
        assert!(began.elapsed() < LONG, "an answer within the soft timeout");
    }
}

#[tokio::test]
async fn a_hard_timeout_bounds_what_can_be_done_without_and_nothing_else() {
    let (_server, proxy, link) = proxied().await;
    let cache = cache(&link, r#"{"prefix":"h:","level2":{"timeout":1}}"#);
    assert_eq!(load(&cache, "k").await, Ok(None));
    proxy.hold_replies();
    let began = Instant::now();
    assert_eq!(cache.acquire(acquire("k")).await.unwrap_err().code(), ErrorCode::CommandTimedOut);
    assert!(began.elapsed() < Duration::from_secs(10));
    let writing = service::spawn({
        let cache = cache.clone();
        async move { cache.set(write("k", "1")).await }
    });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!writing.is_finished(), "a write has the deadline of the connection");
    proxy.go_on();
    assert!(writing.await.unwrap().unwrap());
}

#[tokio::test]
async fn without_level_2_a_cache_does_all_in_this_process() {
    let open = |json: &str| {
        let mut options = CacheOptions::from_json(json).unwrap();
        let link = open_process_only(&mut options).unwrap();
        let cache = Cache::new(Arc::clone(&link), options, link.clock(), LONG).unwrap();
        (cache, link)
    };
    let json = r#"{"prefix":"alone:","level1":{"maxSize":1000000},"level2":{"enabled":false}}"#;
    let ((one, link), (two, _)) = (open(json), open(json));
    assert!(link.describe().starts_with("memory://"), "{}", link.describe());
    assert!(one.set(Write { tags: vec!["t".into()], ..write("k", "1") }).await.unwrap());
    // Two caches with the same options share what they have, and others share nothing.
    assert_eq!(load(&two, "k").await, Ok(Some("1".to_owned())));
    let (other, _) = open(r#"{"prefix":"alone:","level1":{"maxSize":2000000},"level2":{"enabled":false}}"#);
    assert_eq!(load(&other, "k").await, Ok(None));
    assert_eq!(two.invalidate_tags(&["t".to_owned()]).await.unwrap(), 1);
    assert_eq!(load(&one, "k").await, Ok(None));
    assert_eq!(one.increment("n", 3).await.unwrap(), 3);
    assert_eq!(one.delete_pattern("n*").await.unwrap(), 1);
    // It is bounded: what was used longest ago goes.
    let text = format!("\"{}\"", "x".repeat(1_000));
    for n in 0..2_000 {
        one.set(write(&format!("k{n}"), &text)).await.unwrap();
    }
    let (keys, _) = one.count_keys("").await.unwrap();
    assert!((100..1_000).contains(&keys), "{keys} keys of 1 kB in 750 kB");
    assert_eq!(load(&one, "k1999").await, Ok(Some(text)));
    // It goes with the last of its caches.
    drop((one, two, link));
    assert_eq!(load(&open(json).0, "k1999").await, Ok(None));
}

#[test]
fn a_cache_has_at_least_one_level() {
    let mut options = CacheOptions::from_json(r#"{"level1":{"enabled":false},"level2":{"enabled":false}}"#).unwrap();
    let Err(error) = open_process_only(&mut options) else { panic!("it opens") };
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    assert!(error.message().contains("`level2.enabled`"), "{error}");
}
