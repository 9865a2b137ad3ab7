//! The cache engine against a real Redis: what is stored, which copies are valid, and what happens when Redis is away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    cache::{Cache, CacheOptions, Condition, Fill, Hit, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, Link},
    service,
    testing::{Proxy, RedisServer},
};

const DEADLINE: Duration = Duration::from_millis(500);

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(30)).expect("the test ends, and does not panic")
}

/// The server of this file, for as long as a test holds it: a static would outlive the process.
fn shared_server() -> Arc<RedisServer> {
    static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
    share(&SERVER, RedisServer::start)
}

/// One with a socket, for a proxy in front of it.
fn shared_process() -> Arc<RedisServer> {
    static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
    share(&SERVER, || RedisServer::builder().process().start())
}

fn share(server: &Mutex<Weak<RedisServer>>, start: fn() -> RedisServer) -> Arc<RedisServer> {
    let mut shared = server.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *shared = Arc::downgrade(&server);
        server
    })
}

fn open(port: u16) -> Arc<dyn Link> {
    connection::open(oxcart::connection::ConnectionOptions::tcp("127.0.0.1", port)).unwrap()
}

fn unique_prefix(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn cache_with(link: &Arc<dyn Link>, options: &str) -> Cache {
    let options = CacheOptions::from_json(options).unwrap();
    Cache::new(Arc::clone(link), options, Clock::system(), DEADLINE).unwrap()
}

/// A cache under a prefix of its own, the link under it, the prefix, and the server to hold.
fn fresh(name: &str) -> (Cache, Arc<dyn Link>, String, Arc<RedisServer>) {
    let server = shared_server();
    let link = connection::open(server.options()).unwrap();
    let prefix = unique_prefix(name);
    (cache_with(&link, &format!(r#"{{"prefix":"{prefix}"}}"#)), link, prefix, server)
}

fn write(key: &str, text: &str) -> Write {
    Write { key: key.to_owned(), text: text.to_owned(), ..Write::default() }
}

fn tagged(key: &str, text: &str, tags: &[&str]) -> Write {
    Write { tags: texts(tags), ..write(key, text) }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// What a reader of the cache would see: the local copy, else Redis.
async fn read(cache: &Cache, key: &str) -> Option<String> {
    if let Some(entry) = cache.peek(key) {
        return Some(entry.text.clone());
    }
    match cache.load(key, Vec::new(), None).await.unwrap() {
        Loaded::Hit(Hit { text, .. }) => Some(text),
        Loaded::Miss(_) => None,
    }
}

async fn raw(link: &Arc<dyn Link>, words: &[&str]) -> Value {
    let (name, rest) = words.split_first().unwrap();
    link.call(Command::new(name).args(rest)).await.unwrap()
}

async fn raw_text(link: &Arc<dyn Link>, words: &[&str]) -> Option<String> {
    raw(link, words).await.into_optional_text().unwrap()
}

#[test]
fn values_are_plain_json_that_any_client_reads() {
    let (cache, link, prefix, _server) = fresh("plain");
    run(async move {
        assert!(cache.set(write("user:1", r#"{"name":"Ada"}"#)).await.unwrap());
        assert_eq!(raw_text(&link, &["GET", &format!("{prefix}user:1")]).await.unwrap(), r#"{"name":"Ada"}"#);
        raw(&link, &["SET", &format!("{prefix}foreign"), "just text"]).await;
        assert_eq!(read(&cache, "foreign").await.unwrap(), "just text");
        assert_eq!(read(&cache, "nobody").await, None);
    });
}

#[test]
fn a_copy_stays_until_its_key_is_written_and_ends_with_its_entry() {
    let (cache, link, prefix, _server) = fresh("copy");
    run(async move {
        coherent(&[&cache]).await;
        cache.set(write("a", "1")).await.unwrap();
        assert_eq!(cache.peek("a").unwrap().text, "1");
        assert!(!cache.set(Write { condition: Condition::IfMissing, ..write("a", "2") }).await.unwrap());
        assert!(cache.set(Write { condition: Condition::IfExists, ..write("a", "3") }).await.unwrap());
        assert!(!cache.set(Write { condition: Condition::IfExists, ..write("b", "3") }).await.unwrap());
        assert_eq!(read(&cache, "a").await.unwrap(), "3");
        assert!(cache.delete("a").await.unwrap());
        assert!(!cache.delete("a").await.unwrap());
        assert_eq!(read(&cache, "a").await, None);
        // An entry that someone else gave a short life.
        raw(&link, &["SET", &format!("{prefix}short"), "1", "PX", "60"]).await;
        let Loaded::Hit(hit) = cache.load("short", Vec::new(), None).await.unwrap() else { panic!("it is there") };
        assert!(hit.life <= Duration::from_millis(60), "{:?}", hit.life);
        assert!(cache.peek("short").is_some());
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(read(&cache, "short").await, None);
    });
}

#[test]
fn lives_are_those_of_redis() {
    let (cache, link, prefix, _server) = fresh("lives");
    run(async move {
        cache.set(Write { ttl: Some(0.25), ..write("a", "1") }).await.unwrap();
        let left = raw(&link, &["PTTL", &format!("{prefix}a")]).await.into_int().unwrap();
        assert!((1..=250).contains(&left), "{left}");
        cache.set(write("b", "1")).await.unwrap();
        assert_eq!(cache.ttl("b").await.unwrap(), 3600);
        assert!(cache.expire("b", 100.0).await.unwrap());
        assert_eq!(cache.ttl("b").await.unwrap(), 100);
        assert!(!cache.expire("none", 100.0).await.unwrap());
        assert_eq!(cache.ttl("none").await.unwrap(), -2);
        assert_eq!(cache.increment("counter", 5).await.unwrap(), 5);
        assert_eq!(cache.ttl("counter").await.unwrap(), -1);
        // The copy follows the new life.
        assert!(read(&cache, "b").await.is_some());
        cache.expire("b", 0.05).await.unwrap();
        read(&cache, "b").await.unwrap();
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(read(&cache, "b").await, None);
    });
}

#[test]
fn counters_keep_their_life_and_no_stale_copy() {
    let (cache, _link, _, _server) = fresh("counters");
    run(async move {
        cache.set(Write { ttl: Some(100.0), ..write("n", "41") }).await.unwrap();
        assert_eq!(cache.increment("n", 1).await.unwrap(), 42);
        assert_eq!(read(&cache, "n").await.unwrap(), "42");
        assert_eq!(cache.increment("n", -2).await.unwrap(), 40);
        assert_eq!(read(&cache, "n").await.unwrap(), "40");
        assert_eq!(cache.ttl("n").await.unwrap(), 100);
        cache.set(write("text", "\"x\"")).await.unwrap();
        assert_eq!(cache.increment("text", 1).await.unwrap_err().code(), ErrorCode::Reply);
    });
}

#[test]
fn a_tag_kills_every_entry_that_carries_it() {
    let (cache, link, prefix, _server) = fresh("tags");
    run(async move {
        for (key, tags) in [("a", &["red"][..]), ("b", &["red", "big"]), ("c", &["big"]), ("d", &[])] {
            cache.set(tagged(key, "1", tags)).await.unwrap();
        }
        assert_eq!(cache.invalidate_tags(&texts(&["red"])).await.unwrap(), 2);
        let mut alive = String::new();
        for key in ["a", "b", "c", "d"] {
            if read(&cache, key).await.is_some() {
                alive.push_str(key);
                assert!(cache.exists(key).await.unwrap());
            } else {
                assert!(!cache.exists(key).await.unwrap());
                assert_eq!(cache.ttl(key).await.unwrap(), -2);
                assert!(!cache.expire(key, 10.0).await.unwrap());
            }
        }
        assert_eq!(alive, "cd");
        // The count begins again, and a key that is written twice counts once.
        assert_eq!(cache.invalidate_tags(&texts(&["red"])).await.unwrap(), 0);
        cache.set(tagged("a", "2", &["red"])).await.unwrap();
        cache.set(tagged("a", "3", &["red"])).await.unwrap();
        assert_eq!(read(&cache, "a").await.unwrap(), "3");
        assert_eq!(cache.invalidate_tags(&texts(&["red", "big"])).await.unwrap(), 3);
        assert_eq!(read(&cache, "c").await, None);
        // No record of a tag stays for ever.
        for record in ["#tag:red", "#tagged:red", "#tag:big", "#tagged:big"] {
            let left = raw(&link, &["TTL", &format!("{prefix}{record}")]).await.into_int().unwrap();
            assert!(left > 86_000, "{record}: {left}");
        }
    });
}

#[test]
fn a_lost_tag_version_never_brings_an_old_entry_back() {
    let (cache, link, prefix, _server) = fresh("lost");
    run(async move {
        cache.set(tagged("a", "1", &["t"])).await.unwrap();
        let first: u64 = raw_text(&link, &["GET", &format!("{prefix}#tag:t")]).await.unwrap().parse().unwrap();
        raw(&link, &["DEL", &format!("{prefix}#tag:t")]).await;
        let other = cache_with(&link, &format!(r#"{{"prefix":"{prefix}","level1":{{"enabled":false}}}}"#));
        assert_eq!(read(&other, "a").await, None);
        other.set(tagged("b", "1", &["t"])).await.unwrap();
        let second: u64 = raw_text(&link, &["GET", &format!("{prefix}#tag:t")]).await.unwrap().parse().unwrap();
        assert!(second > first);
        assert_eq!(read(&other, "a").await, None);
        // Versions grow though the clock of the server were behind them.
        let ahead = second + 10_000_000_000_000;
        raw(&link, &["SET", &format!("{prefix}#tag:t"), &ahead.to_string()]).await;
        other.invalidate_tags(&texts(&["t"])).await.unwrap();
        assert_eq!(raw_text(&link, &["GET", &format!("{prefix}#tag:t")]).await.unwrap(), (ahead + 1).to_string());
    });
}

#[test]
fn a_dead_entry_is_no_obstacle_to_a_write_that_wants_none() {
    let (cache, _link, _, _server) = fresh("dead");
    run(async move {
        for tags in [&[][..], &["other"]] {
            cache.set(tagged("a", "1", &["t"])).await.unwrap();
            let write = Write { condition: Condition::IfMissing, ..tagged("a", "2", tags) };
            assert!(!cache.set(write.clone()).await.unwrap());
            assert_eq!(read(&cache, "a").await.unwrap(), "1");
            cache.invalidate_tags(&texts(&["t"])).await.unwrap();
            assert!(cache.set(write).await.unwrap());
            assert_eq!(read(&cache, "a").await.unwrap(), "2");
            cache.delete("a").await.unwrap();
        }
    });
}

#[test]
fn an_entry_that_cannot_be_read_counts_as_missing() {
    let (cache, link, prefix, _server) = fresh("broken");
    run(async move {
        raw(&link, &["SET", &format!("{prefix}a"), "\u{1}not json\n1"]).await;
        assert_eq!(read(&cache, "a").await, None);
        raw(&link, &["HSET", &format!("{prefix}hash"), "f", "v"]).await;
        let error = cache.load("hash", Vec::new(), None).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Reply);
        // In a bulk read it does not take the others with it.
        cache.set(write("good", "1")).await.unwrap();
        let hits = cache.load_many(texts(&["hash", "good", "a"])).await.unwrap();
        assert_eq!(hits.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    });
}

/// How a fill may be overtaken.
type Invalidation = fn(Cache) -> connection::BoxFuture<'static, Result<(), Error>>;

#[test]
fn a_fill_that_was_overtaken_by_an_invalidation_is_dropped() {
    let cases: [(&str, Invalidation); 7] = [
        ("delete", |cache| Box::pin(async move { cache.delete("k").await.map(|_| ()) })),
        ("set", |cache| Box::pin(async move { cache.set(write("k", "\"new\"")).await.map(|_| ()) })),
        ("mset", |cache| Box::pin(async move { cache.set_many(vec![("k".into(), "\"new\"".into(), None)]).await })),
        ("tag", |cache| Box::pin(async move { cache.invalidate_tags(&texts(&["t"])).await.map(|_| ()) })),
        ("pattern", |cache| Box::pin(async move { cache.delete_pattern("k*").await.map(|_| ()) })),
        ("flush", |cache| Box::pin(async move { cache.flush().await.map(|_| ()) })),
        ("increment", |cache| Box::pin(async move { cache.increment("k", 1).await.map(|_| ()) })),
    ];
    for (name, invalidate) in cases {
        let (cache, link, prefix, _server) = fresh("overtaken");
        run(async move {
            let tags = texts(&["t"]);
            let stamp = cache.watch("k", &tags).stamp();
            let Loaded::Miss(versions) = cache.load("k", tags.clone(), None).await.unwrap() else {
                panic!("not there")
            };
            // The factory reads its source here; then the source changes, and whoever changed it invalidates.
            invalidate(cache.clone()).await.unwrap();
            let text = "\"old\"".to_owned();
            let fill = Fill { key: "k".into(), text, tags, versions, stamp, ..Fill::default() };
            assert!(!cache.fill(fill.clone()).await.unwrap(), "{name}");
            let seen = read(&cache, "k").await;
            assert_ne!(seen.as_deref(), Some("\"old\""), "{name}");
            let stored = raw_text(&link, &["GET", &format!("{prefix}k")]).await.unwrap_or_default();
            assert!(!stored.contains("old"), "{name}: {stored}");
            // Nor when Redis is passed over.
            assert!(!cache.fill(Fill { local_only: true, ..fill }).await.unwrap(), "{name}");
            assert_ne!(read(&cache, "k").await.as_deref(), Some("\"old\""), "{name}");
        });
    }
}

#[test]
fn a_read_that_overtook_a_write_on_its_way_leaves_no_copy() {
    let cases: [(&str, Invalidation); 7] = [
        ("delete", |cache| Box::pin(async move { cache.delete("k").await.map(|_| ()) })),
        ("set", |cache| Box::pin(async move { cache.set(write("k", "\"new\"")).await.map(|_| ()) })),
        ("tagged set", |cache| Box::pin(async move { cache.set(tagged("k", "5", &["t"])).await.map(|_| ()) })),
        ("mset", |cache| Box::pin(async move { cache.set_many(vec![("k".into(), "5".into(), None)]).await })),
        ("tag", |cache| Box::pin(async move { cache.invalidate_tags(&texts(&["t"])).await.map(|_| ()) })),
        ("pattern", |cache| Box::pin(async move { cache.delete_pattern("k*").await.map(|_| ()) })),
        ("expire", |cache| Box::pin(async move { cache.expire("k", 0.001).await.map(|_| ()) })),
    ];
    let server = shared_process();
    let port = server.port();
    for (name, invalidate) in cases {
        run(async move {
            let proxy = Proxy::start(port);
            let (slow, direct) = (open(proxy.port()), open(port));
            let options = format!(r#"{{"prefix":"{}"}}"#, unique_prefix("overtook"));
            let (writer, reader) = (cache_with(&slow, &options), cache_with(&direct, &options));
            reader.set(tagged("k", "1", &["t"])).await.unwrap();
            writer.ping().await.unwrap();
            proxy.hold_requests();
            let writing = service::spawn(invalidate(writer));
            tokio::time::sleep(Duration::from_millis(30)).await;
            // The write has begun and Redis does not know of it yet.
            assert_eq!(read(&reader, "k").await.unwrap(), "1");
            assert!(reader.peek("k").is_some(), "{name}: the copy is as new as Redis is");
            proxy.go_on();
            writing.await.unwrap().unwrap();
            assert!(reader.peek("k").is_none(), "{name}");
        });
    }
}

#[test]
fn a_fill_from_redis_that_was_overtaken_leaves_no_copy() {
    let server = shared_process();
    let port = server.port();
    run(async move {
        let proxy = Proxy::start(port);
        let (slow, direct) = (open(proxy.port()), open(port));
        let prefix = unique_prefix("slow");
        let options = format!(r#"{{"prefix":"{prefix}"}}"#);
        let (reader, writer) = (cache_with(&slow, &options), cache_with(&direct, &options));
        writer.set(write("k", "1")).await.unwrap();
        reader.ping().await.unwrap();
        for round in 0..3 {
            writer.set(write("k", "1")).await.unwrap();
            proxy.hold_replies();
            let loading = service::spawn(reader.load("k", Vec::new(), None));
            // The read has its answer, which is on its way; now the value changes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            match round {
                0 => writer.set(write("k", "2")).await.map(|_| ()).unwrap(),
                1 => writer.delete("k").await.map(|_| ()).unwrap(),
                _ => writer.delete_pattern("*").await.map(|_| ()).unwrap(),
            }
            proxy.go_on();
            let Loaded::Hit(hit) = loading.await.unwrap().unwrap() else { panic!("it read the old value") };
            assert_eq!(hit.text, "1");
            assert_ne!(hit.watch.stamp(), hit.stamp);
            assert!(reader.peek("k").is_none(), "round {round}");
        }
    });
}

#[test]
fn copies_of_one_cache_are_shared_and_of_others_are_not() {
    let (cache, link, prefix, _server) = fresh("shared");
    run(async move {
        let twin = cache_with(&link, &format!(r#"{{"prefix":"{prefix}"}}"#));
        let stranger = cache_with(&link, &format!(r#"{{"prefix":"{prefix}x:"}}"#));
        let sized = cache_with(&link, &format!(r#"{{"prefix":"{prefix}","level1":{{"maxSize":1000}}}}"#));
        coherent(&[&cache, &twin, &stranger, &sized]).await;
        cache.set(write("a", "1")).await.unwrap();
        assert_eq!(twin.peek("a").unwrap().text, "1");
        assert!(stranger.peek("a").is_none() && sized.peek("a").is_none());
        assert_eq!(read(&sized, "a").await.unwrap(), "1");
        twin.delete("a").await.unwrap();
        assert!(cache.peek("a").is_none() && sized.peek("a").is_none());
    });
}

#[test]
fn patterns_remove_what_they_match_below_the_prefix_and_nothing_else() {
    let server = shared_server();
    let link = connection::open(server.options()).unwrap();
    run(async move {
        // A prefix full of characters that mean something in a glob, and a neighbour that the unescaped one would match.
        let (prefix, neighbour) = ("p*[a]?\\:", "pX[a]Y\\:");
        let cache = cache_with(&link, &format!(r#"{{"prefix":{prefix:?}}}"#));
        for key in ["user:1", "user:2", "users", "story:1", "story:*"] {
            cache.set(write(key, "1")).await.unwrap();
            raw(&link, &["SET", &format!("{neighbour}{key}"), "1"]).await;
        }
        cache.set(tagged("tagged:1", "1", &["t"])).await.unwrap();
        assert_eq!(cache.delete_pattern("user:*").await.unwrap(), 2);
        assert_eq!(cache.delete_pattern("story:\\*").await.unwrap(), 1);
        assert_eq!(read(&cache, "user:1").await, None);
        assert_eq!(read(&cache, "users").await.unwrap(), "1");
        assert_eq!(read(&cache, "story:1").await.unwrap(), "1");
        assert_eq!(cache.delete_pattern("nothing*").await.unwrap(), 0);
        assert_eq!(cache.delete_pattern("").await.unwrap_err().code(), ErrorCode::InvalidArgument);
        // Everything of the callers, and not the versions of the tags.
        assert_eq!(cache.count_keys("").await.unwrap(), (3, true));
        assert_eq!(cache.delete_pattern("*").await.unwrap(), 3);
        assert!(raw_text(&link, &["GET", &format!("{prefix}#tag:t")]).await.is_some());
        cache.set(write("last", "1")).await.unwrap();
        cache.flush().await.unwrap();
        assert_eq!(read(&cache, "last").await, None);
        assert!(raw_text(&link, &["GET", &format!("{prefix}#tag:t")]).await.is_none());
        let kept = raw(&link, &["EXISTS", &format!("{neighbour}user:1"), &format!("{neighbour}story:*")]).await;
        assert_eq!(kept.into_int().unwrap(), 2);
    });
}

#[test]
fn a_namespace_is_cleared_literally() {
    let (cache, _link, _, _server) = fresh("namespace");
    run(async move {
        for key in ["a*:1", "a*:2", "ab:1", "a*"] {
            cache.set(write(key, "1")).await.unwrap();
        }
        assert_eq!(cache.clear("a*").await.unwrap(), 2);
        assert!(read(&cache, "ab:1").await.is_some() && read(&cache, "a*").await.is_some());
    });
}

#[test]
fn many_thousand_keys_are_swept_in_slices_and_counted_right() {
    let (cache, link, prefix, _server) = fresh("many");
    run(async move {
        for slice in 0..5 {
            let pairs: Vec<_> = (0..1_000).flat_map(|n| [format!("{prefix}k{slice}-{n}"), "1".to_owned()]).collect();
            link.call(Command::new("MSET").args(pairs)).await.unwrap();
        }
        assert_eq!(cache.count_keys("").await.unwrap(), (5_000, true));
        assert_eq!(cache.delete_pattern("k*").await.unwrap(), 5_000);
        assert_eq!(cache.count_keys("").await.unwrap(), (0, true));
    });
}

#[test]
fn an_empty_prefix_has_no_flush() {
    let server = shared_server();
    let link = connection::open(server.options()).unwrap();
    run(async move {
        let cache = cache_with(&link, r#"{"prefix":""}"#);
        cache.set(write("bare-key", "1")).await.unwrap();
        assert_eq!(raw_text(&link, &["GET", "bare-key"]).await.unwrap(), "1");
        assert_eq!(cache.flush().await.unwrap_err().code(), ErrorCode::InvalidOption);
        assert!(cache.delete("bare-key").await.unwrap());
    });
}

#[test]
fn bulk_calls_take_one_round_trip() {
    let server = shared_process();
    let port = server.port();
    run(async move {
        let proxy = Proxy::start(port);
        let link = open(proxy.port());
        let cache = cache_with(&link, &format!(r#"{{"prefix":"{}"}}"#, unique_prefix("bulk")));
        cache.ping().await.unwrap();
        proxy.delay(Duration::from_millis(40));
        let started = Instant::now();
        let writes = (0..100).map(|n| (format!("k{n}"), n.to_string(), None)).collect();
        cache.set_many(writes).await.unwrap();
        let keys: Vec<_> = (0..101).map(|n| format!("k{n}")).collect();
        let hits = cache.load_many(keys.clone()).await.unwrap();
        assert_eq!(cache.delete_many(&keys).await.unwrap(), 100);
        // Three calls of two delays each; a fourth round trip would pass 300 ms.
        assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
        assert_eq!(hits[7].as_ref().unwrap().text, "7");
        assert!(hits[100].is_none());
        proxy.delay(Duration::ZERO);
        assert_eq!(cache.delete_many(&[]).await.unwrap(), 0);
        assert_eq!(cache.load_many(Vec::new()).await.unwrap(), []);
    });
}

#[test]
fn limits_have_errors_of_their_own() {
    let server = shared_server();
    let link = connection::open(server.options()).unwrap();
    run(async move {
        let limits = r#"{"prefix":"limits:","limits":{"maxKeyLength":4,"maxValueSize":5,"maxBulkKeys":2}}"#;
        let cache = cache_with(&link, limits);
        let code = |result: Result<bool, Error>| result.unwrap_err().code();
        assert_eq!(code(cache.set(write("12345", "1")).await), ErrorCode::CacheKeyTooLong);
        assert_eq!(code(cache.set(write("1234", "123456")).await), ErrorCode::CacheValueTooLarge);
        assert_eq!(code(cache.set(write("", "1")).await), ErrorCode::InvalidArgument);
        assert_eq!(code(cache.set(write("#tag", "1")).await), ErrorCode::InvalidArgument);
        assert_eq!(code(cache.set(Write { ttl: Some(-1.0), ..write("a", "1") }).await), ErrorCode::InvalidArgument);
        assert_eq!(code(cache.set(tagged("a", "1", &[""])).await), ErrorCode::InvalidArgument);
        assert_eq!(code(cache.expire("a", f64::NAN).await), ErrorCode::InvalidArgument);
        let three = texts(&["a", "b", "c"]);
        assert_eq!(cache.load_many(three.clone()).await.unwrap_err().code(), ErrorCode::CacheBulkTooLarge);
        assert_eq!(cache.delete_many(&three).await.unwrap_err().code(), ErrorCode::CacheBulkTooLarge);
        let writes = three.iter().map(|key| (key.clone(), "1".to_owned(), None)).collect();
        assert_eq!(cache.set_many(writes).await.unwrap_err().code(), ErrorCode::CacheBulkTooLarge);
        // A bulk write with one bad entry writes none.
        let writes = vec![("a".into(), "1".into(), None), ("b".into(), "123456".into(), None)];
        assert_eq!(cache.set_many(writes).await.unwrap_err().code(), ErrorCode::CacheValueTooLarge);
        assert_eq!(read(&cache, "a").await, None);
        let fill = Fill { key: "a".into(), text: "1".into(), tags: texts(&["t"]), ..Fill::default() };
        assert_eq!(code(cache.fill(fill).await), ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_server_that_is_gone_fails_reads_at_once_and_keeps_what_factories_make() {
    let mut server = RedisServer::builder().process().start();
    let port = server.port();
    let (cache, link) = run(async move {
        let link = open(port);
        let cache = cache_with(&link, r#"{"prefix":"gone:"}"#);
        wait_for(|| cache.follows_changes()).await;
        cache.set(write("known", "1")).await.unwrap();
        (cache, link)
    });
    server.kill();
    run(async move {
        wait_for(|| link.state() != connection::LinkState::Ready).await;
        assert_eq!(cache.peek("known").unwrap().text, "1", "copies outlive the server");
        let started = Instant::now();
        assert_eq!(cache.load("a", Vec::new(), None).await.unwrap_err().code(), ErrorCode::Offline);
        assert_eq!(cache.load_many(texts(&["a"])).await.unwrap_err().code(), ErrorCode::Offline);
        assert_eq!(cache.exists("a").await.unwrap_err().code(), ErrorCode::Offline);
        let stamp = cache.watch("a", &[]).stamp();
        let fill = Fill { key: "a".into(), text: "1".into(), stamp, ..Fill::default() };
        assert_eq!(cache.fill(fill).await.unwrap_err().code(), ErrorCode::Offline);
        assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
        assert_eq!(cache.peek("a").unwrap().text, "1");
        // An invalidation still ends the copies, and waits for the server until its deadline.
        let deleting = service::spawn(cache.delete("known"));
        assert!(cache.peek("known").is_none());
        let _server = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        })
        .await
        .unwrap();
        deleting.await.unwrap().unwrap();
    });
}

#[test]
fn a_server_that_hangs_is_left_alone_for_a_second() {
    let server = shared_process();
    let port = server.port();
    run(async move {
        let proxy = Proxy::start(port);
        let link = open(proxy.port());
        let cache = cache_with(&link, &format!(r#"{{"prefix":"{}"}}"#, unique_prefix("hangs")));
        cache.set(write("a", "1")).await.unwrap();
        cache.delete("b").await.unwrap();
        proxy.go_silent();
        let started = Instant::now();
        assert_eq!(cache.load("b", Vec::new(), None).await.unwrap_err().code(), ErrorCode::CommandTimedOut);
        let first = started.elapsed();
        assert!(first >= DEADLINE && first < DEADLINE * 2, "{first:?}");
        for _ in 0..100 {
            assert_eq!(cache.load("b", Vec::new(), None).await.unwrap_err().code(), ErrorCode::Offline);
        }
        assert!(started.elapsed() < first + Duration::from_millis(200));
        proxy.go_on();
        wait_for(|| started.elapsed() > first + Duration::from_millis(1_050)).await;
        assert!(cache.load("b", Vec::new(), None).await.is_ok());
    });
}

#[test]
fn what_has_a_part_goes_in_one_walk() {
    let server = RedisServer::builder().process().start();
    let link = open(server.port());
    let cache = cache_with(&link, r#"{"prefix":"parts*:"}"#);
    run(async move {
        for key in ["av:7:thumb", "av:data:7", "av:list:7:page", "av:7", "av:17", "av:data:70", "u:data:7"] {
            cache.set(write(key, "1")).await.unwrap();
        }
        assert_eq!(cache.delete_part("av:", "7").await.unwrap(), 3);
        for key in ["av:7", "av:17", "av:data:70", "u:data:7"] {
            assert_eq!(read(&cache, key).await.as_deref(), Some("1"), "{key}");
        }
        assert_eq!(cache.delete_part("av:", "*").await.unwrap(), 0);
        assert_eq!(cache.delete_part("av:", "").await.unwrap_err().code(), ErrorCode::InvalidArgument);
        let stats = raw_text(&link, &["INFO", "commandstats"]).await.unwrap();
        assert!(stats.contains("cmdstat_scan:calls=2,"), "{stats}");
    });
}

/// Waits until the server tells of changes, which ends every copy once. The engine in this process tells of none.
async fn coherent(caches: &[&Cache]) {
    if std::env::var("OXCART_TEST_ENGINE").is_err() {
        wait_for(|| caches.iter().all(|cache| cache.follows_changes())).await;
    }
}

async fn wait_for(mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < Duration::from_secs(10), "it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
