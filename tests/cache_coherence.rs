//! Copies in this process, and everybody else who writes to Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use oxcart::{
    cache::{Cache, CacheOptions, Fill, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link},
    testing::{Proxy, RedisServer},
};

const SOON: Duration = Duration::from_secs(10);

fn cache(link: &Arc<dyn Link>, prefix: &str) -> Cache {
    let options = CacheOptions::from_json(&format!(r#"{{"prefix":"{prefix}"}}"#)).unwrap();
    Cache::new(Arc::clone(link), options, Clock::system(), Duration::from_secs(2)).unwrap()
}

/// Somebody else: a connection that no cache of this process knows.
fn stranger(server: &RedisServer) -> Arc<dyn Link> {
    let options = ConnectionOptions { connection_name: Some("stranger".to_owned()), ..server.options() };
    connection::open(options).unwrap()
}

async fn raw(link: &Arc<dyn Link>, command: &str) -> Value {
    let mut words = command.split(' ');
    link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Reads until a copy stays, which tells that the server's word on earlier writes has come.
async fn copy(cache: &Cache, key: &str) -> String {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < SOON, "no copy of {key} stays");
        // Refused while the connection is away.
        let _ = cache.load(key, Vec::new(), None).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(entry) = cache.peek(key) {
            return entry.text.clone();
        }
    }
}

#[tokio::test]
async fn any_writer_ends_the_copies_of_a_key_and_of_no_other() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let (cache, stranger) = (cache(&link, "w:"), stranger(&server));
    eventually("the server tells", || cache.follows_changes()).await;
    for (number, change) in
        ["SET w:a 2", "DEL w:a", "PEXPIRE w:a 1", "RENAME w:a w:b", "APPEND w:a 3"].iter().enumerate()
    {
        raw(&stranger, "SET w:a 1").await;
        raw(&stranger, "SET w:other 1").await;
        assert_eq!((copy(&cache, "a").await, copy(&cache, "other").await), ("1".to_owned(), "1".to_owned()));
        raw(&stranger, change).await;
        eventually(change, || cache.peek("a").is_none()).await;
        assert!(cache.peek("other").is_some(), "{number}: {change}");
    }
    // An entry that expires in Redis.
    raw(&stranger, "SET w:a 1 PX 300").await;
    copy(&cache, "a").await;
    eventually("it expires", || cache.peek("a").is_none()).await;
    // Everything.
    raw(&stranger, "SET w:a 1").await;
    copy(&cache, "a").await;
    raw(&stranger, "FLUSHALL").await;
    eventually("all is gone", || cache.peek("a").is_none()).await;
}

#[tokio::test]
async fn a_tag_that_another_process_invalidates_ends_the_copies_that_carry_it() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let (cache, stranger) = (cache(&link, "t:"), stranger(&server));
    eventually("the server tells", || cache.follows_changes()).await;
    let tagged = Write { key: "a".into(), text: "1".into(), tags: vec!["red".into()], ..Write::default() };
    cache.set(tagged).await.unwrap();
    cache.set(Write { key: "b".into(), text: "1".into(), ..Write::default() }).await.unwrap();
    copy(&cache, "a").await;
    copy(&cache, "b").await;
    raw(&stranger, "INCR t:#tag:red").await;
    eventually("the tag's copies end", || cache.peek("a").is_none()).await;
    assert!(cache.peek("b").is_some());
    assert_eq!(cache.load("a", Vec::new(), None).await.unwrap(), Loaded::Miss(Vec::new()));
}

#[tokio::test]
async fn a_gap_ends_all_copies_and_calls_off_no_factory() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let (cache, stranger) = (cache(&link, "g:"), stranger(&server));
    eventually("the server tells", || cache.follows_changes()).await;
    raw(&stranger, "SET g:a 1").await;
    copy(&cache, "a").await;

    let stamp = cache.watch("made", &[]).stamp();
    let gaps = cache.gaps();
    proxy.cut();
    raw(&stranger, "SET g:a 2").await;
    eventually("the gap is over", || cache.gaps() != gaps).await;
    assert!(cache.peek("a").is_none());
    assert_eq!(copy(&cache, "a").await, "2");

    let fill = Fill { key: "made".into(), text: "1".into(), stamp, gaps, ..Fill::default() };
    assert!(cache.fill(fill.clone()).await.unwrap());
    assert_eq!(raw(&stranger, "GET g:made").await, Value::Bulk(b"1".to_vec()));
    // A flush is no gap: what a factory read before may be what was flushed for.
    raw(&stranger, "FLUSHALL").await;
    eventually("the flush is known", || cache.watch("made", &[]).stamp() != stamp.wrapping_add(1)).await;
    assert!(!cache.fill(fill).await.unwrap());
    assert_eq!(raw(&stranger, "GET g:made").await, Value::Nil);
}

#[tokio::test]
async fn caches_of_several_prefixes_hear_each_of_its_own() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let stranger = stranger(&server);
    let caches = ["x:", "x:y:", "z:"].map(|prefix| cache(&link, prefix));
    for cache in &caches {
        eventually("the server tells", || cache.follows_changes()).await;
    }
    for key in ["x:k", "x:y:k", "z:k"] {
        raw(&stranger, &format!("SET {key} 1")).await;
    }
    for cache in &caches {
        copy(cache, "k").await;
    }
    raw(&stranger, "SET x:y:k 2").await;
    eventually("it is told", || caches[1].peek("k").is_none()).await;
    assert!(caches[0].peek("k").is_some() && caches[2].peek("k").is_some());
    let [above, below, _aside] = caches;
    drop(above);
    copy(&below, "k").await;
    raw(&stranger, "SET x:y:k 3").await;
    eventually("it is told", || below.peek("k").is_none()).await;
}

/// How a cache writes the keys `a` and `b`.
type Writing = fn(Cache) -> connection::BoxFuture<'static, ()>;

#[tokio::test]
async fn what_was_written_here_is_kept_and_ends_with_the_next_change_elsewhere() {
    let ways: [(&str, Writing); 4] = [
        ("set", |cache| {
            Box::pin(async move {
                set(&cache, "a", &[]).await;
                set(&cache, "b", &[]).await;
            })
        }),
        ("tagged", |cache| {
            Box::pin(async move {
                set(&cache, "a", &["t"]).await;
                set(&cache, "b", &["t"]).await;
            })
        }),
        ("mset", |cache| {
            Box::pin(async move {
                let both = ["a", "b"].map(|key| (key.to_owned(), "1".to_owned(), None));
                cache.set_many(both.to_vec()).await.unwrap();
            })
        }),
        ("fill", |cache| {
            Box::pin(async move {
                for (key, tags) in [("a", vec![]), ("b", vec!["t".to_owned()])] {
                    let stamp = cache.watch(key, &tags).stamp();
                    let gaps = cache.gaps();
                    let Loaded::Miss(versions) = cache.load(key, tags.clone(), None).await.unwrap() else {
                        panic!("{key}")
                    };
                    let fill =
                        Fill { key: key.into(), text: "1".into(), tags, versions, stamp, gaps, ..Fill::default() };
                    assert!(cache.fill(fill).await.unwrap());
                }
            })
        }),
    ];
    let server = RedisServer::start();
    let stranger = stranger(&server);
    let link = connection::open(server.options()).unwrap();
    let cache = cache(&link, "own:");
    eventually("the server tells", || cache.follows_changes()).await;
    for (name, write) in ways {
        raw(&stranger, "FLUSHALL").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        write(cache.clone()).await;
        assert!(cache.peek("a").is_some() && cache.peek("b").is_some(), "{name}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(cache.peek("a").is_some() && cache.peek("b").is_some(), "{name}: its own echo ends no copy");
        raw(&stranger, "SET own:a 2").await;
        eventually(name, || cache.peek("a").is_none()).await;
        assert!(cache.peek("b").is_some(), "{name}");
        if name == "tagged" || name == "fill" {
            raw(&stranger, "INCR own:#tag:t").await;
        } else {
            raw(&stranger, "DEL own:b").await;
        }
        eventually(name, || cache.peek("b").is_none()).await;
    }
}

async fn set(cache: &Cache, key: &str, tags: &[&str]) {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    assert!(cache.set(Write { key: key.into(), text: "1".into(), tags, ..Write::default() }).await.unwrap());
}

#[tokio::test]
async fn after_any_mix_of_writers_no_copy_differs_from_its_entry() {
    const KEYS: u32 = 8;
    let seed = std::env::var("OXCART_COHERENCE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut random = fastrand::Rng::with_seed(seed);
    let server = RedisServer::start();
    let stranger = stranger(&server);
    let link = connection::open(server.options()).unwrap();
    let cache = cache(&link, "mix:");
    eventually("the server tells", || cache.follows_changes()).await;
    for round in 0..40 {
        let mut running = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (cache, stranger) = (cache.clone(), Arc::clone(&stranger));
            let key = format!("k{}", random.u32(..KEYS));
            let text = format!("{}", round * 1000 + number);
            match random.u32(..6) {
                0 | 1 => drop(running.spawn(async move {
                    raw(&stranger, &format!("SET mix:{key} {text}")).await;
                })),
                2 => drop(running.spawn(async move {
                    raw(&stranger, &format!("DEL mix:{key}")).await;
                })),
                3 => drop(running.spawn(async move {
                    cache.set(Write { key, text, ..Write::default() }).await.unwrap();
                })),
                4 => drop(running.spawn(async move {
                    cache.delete(&key).await.unwrap();
                })),
                _ => drop(running.spawn(async move {
                    cache.load(&key, Vec::new(), None).await.unwrap();
                })),
            }
        }
        running.join_all().await;
        for key in (0..KEYS).map(|key| format!("k{key}")) {
            let stored = raw(&stranger, &format!("GET mix:{key}")).await.into_optional_text().unwrap();
            eventually(&format!("{key} is as stored, round {round}, OXCART_COHERENCE_SEED={seed}"), || {
                cache.peek(&key).is_none_or(|entry| Some(&entry.text) == stored.as_ref())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_server_that_tells_of_nothing_leaves_copies_their_ttl() {
    let server = RedisServer::builder().process().start();
    let admin = stranger(&server);
    raw(&admin, "ACL SETUSER plain on >secret ~* &* +@all -client|tracking").await;
    let options = ConnectionOptions::from_json(&format!(
        r#"{{"host":"127.0.0.1","port":{},"username":"plain","password":"secret"}}"#,
        server.port()
    ));
    let link = connection::open(options.unwrap()).unwrap();
    let options = CacheOptions::from_json(r#"{"prefix":"s:","coherence":"tracking"}"#).unwrap();
    let cache = Cache::new(link, options, Clock::system(), Duration::from_secs(2)).unwrap();
    cache.set(Write { key: "a".into(), text: "1".into(), ..Write::default() }).await.unwrap();
    assert_eq!(copy(&cache, "a").await, "1");
    assert!(!cache.follows_changes());
    // Allowed meanwhile: found out on the next connection.
    raw(&admin, "ACL SETUSER plain +client|tracking").await;
    raw(&admin, "CLIENT KILL TYPE pubsub").await;
    raw(&admin, "CLIENT KILL USER plain").await;
    eventually("it is asked again", || cache.follows_changes()).await;
}
