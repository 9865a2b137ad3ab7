//! What Redis missed while it was away: made up for when it is back, before it is read again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    cache::{Cache, CacheOptions, Condition, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link},
    testing::{Proxy, RedisServer, eventually},
};

const LONG: Duration = Duration::from_secs(20);
/// Of commands that wait for a server that is away.
const PATIENCE: Duration = Duration::from_millis(300);

fn link(port: u16) -> Arc<dyn Link> {
    connection::open(ConnectionOptions { command_timeout: PATIENCE, ..ConnectionOptions::tcp("127.0.0.1", port) })
        .unwrap()
}

fn cache(link: &Arc<dyn Link>, options: &str) -> Cache {
    Cache::new(Arc::clone(link), CacheOptions::from_json(options).unwrap(), Clock::system(), LONG).unwrap()
}

/// Somebody else: a connection that no cache of this process knows, with a deadline for busy machines.
fn stranger(server: &RedisServer) -> Arc<dyn Link> {
    let options = ConnectionOptions::tcp("127.0.0.1", server.port());
    connection::open(ConnectionOptions { connection_name: Some("stranger".to_owned()), ..options }).unwrap()
}

async fn raw(link: &Arc<dyn Link>, command: &str) -> Value {
    let mut words = command.split(' ');
    link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap()
}

fn write(key: &str, text: &str, tags: &[&str]) -> Write {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    Write { key: key.to_owned(), text: text.to_owned(), tags, ..Write::default() }
}

/// Stores an entry, however slow the machine is at the moment.
async fn put(cache: &Cache, key: &str, text: &str, tags: &[&str]) {
    let began = Instant::now();
    while cache.set(write(key, text, tags)).await.is_err() || cache.missed() > 0 {
        assert!(began.elapsed() < LONG, "{key} is stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads until Redis is read again, and never anything but what may be there.
async fn read(cache: &Cache, key: &str) -> Option<String> {
    let began = Instant::now();
    loop {
        match cache.load(key, Vec::new(), None).await {
            Ok(Loaded::Hit(hit)) => return Some(hit.text),
            Ok(Loaded::Miss(_)) => return None,
            Err(_) => assert!(began.elapsed() < LONG, "{key} is read"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn all_missed(cache: &Cache) -> impl Future<Output = ()> + use<'_> {
    eventually("what was missed is made up for", || cache.missed() == 0)
}

#[tokio::test]
async fn what_a_server_missed_while_it_was_dead_is_gone_before_it_is_read_again() {
    let mut server = RedisServer::builder().process().persistent().args(["--appendfsync", "always"]).start();
    let link = link(server.port());
    let cache = cache(&link, r#"{"prefix":"d:","level1":{"enabled":false}}"#);
    let changes = ["delete", "many", "tag", "pattern", "clear:k", "res:x:7", "set", "set many", "set xx"];
    for key in changes {
        put(&cache, key, "\"old\"", if key == "tag" { &["t"] } else { &[] }).await;
    }
    put(&cache, "other", "\"stays\"", &["other"]).await;
    put(&cache, "nx", "\"stays\"", &[]).await;
    put(&cache, "res:x:17", "\"stays\"", &[]).await;
    server.kill();
    eventually("the loss is seen", || link.state() != connection::LinkState::Ready).await;

    assert!(cache.delete("delete").await.is_err());
    assert!(cache.delete_many(&["many".to_owned()]).await.is_err());
    assert!(cache.invalidate_tags(&["t".to_owned()]).await.is_err());
    assert!(cache.delete_pattern("patt*").await.is_err());
    assert!(cache.clear("clear").await.is_err());
    assert!(cache.delete_part("res:", "7").await.is_err());
    assert!(cache.set(write("set", "\"new\"", &[])).await.is_err());
    assert!(cache.set_many(vec![("set many".to_owned(), "\"new\"".to_owned(), None)]).await.is_err());
    assert!(cache.set(Write { condition: Condition::IfExists, ..write("set xx", "1", &[]) }).await.is_err());
    // Nothing that lies there is old because of these.
    assert!(cache.set(Write { condition: Condition::IfMissing, ..write("nx", "1", &[]) }).await.is_err());
    assert!(cache.increment("n", 1).await.is_err());
    // Once more is no more.
    assert!(cache.delete("delete").await.is_err());
    assert_eq!(cache.missed(), changes.len());

    server.restart();
    for key in changes {
        assert_eq!(read(&cache, key).await, None, "{key}");
    }
    assert_eq!(cache.missed(), 0);
    for key in ["other", "nx", "res:x:17"] {
        assert_eq!(read(&cache, key).await.as_deref(), Some("\"stays\""), "{key}");
    }
}

#[tokio::test]
async fn a_server_that_was_silent_is_told_before_any_cache_of_the_process_reads_it() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = link(proxy.port());
    let options = r#"{"prefix":"s:","level1":{"enabled":false},"level2":{"circuitBreaker":{"duration":0.05}}}"#;
    let (here, there) = (cache(&link, options), cache(&link, options));
    put(&here, "k", "\"old\"", &[]).await;
    proxy.go_silent();
    assert!(here.delete("k").await.is_err());
    assert_eq!((here.missed(), there.missed()), (1, 1));
    assert_eq!(there.load("k", Vec::new(), None).await.unwrap_err().code(), ErrorCode::Offline);
    proxy.go_on();
    proxy.cut();
    assert_eq!(read(&there, "k").await, None);
    assert_eq!(here.missed(), 0);
    put(&here, "k", "\"new\"", &[]).await;
    assert_eq!(read(&there, "k").await.as_deref(), Some("\"new\""));
}

#[tokio::test]
async fn a_write_that_was_missed_never_replaces_a_newer_one() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = link(proxy.port());
    let (cache, stranger) = (cache(&link, r#"{"prefix":"n:"}"#), stranger(&server));
    put(&cache, "k", "\"old\"", &[]).await;
    proxy.refuse(true);
    proxy.cut();
    eventually("the loss is seen", || link.state() != connection::LinkState::Ready).await;
    assert!(cache.set(write("k", "\"mine\"", &[])).await.is_err());
    raw(&stranger, "SET n:k \"newer\"").await;
    proxy.refuse(false);
    all_missed(&cache).await;
    // It cannot be told which is newer, so the source is asked.
    assert_eq!(raw(&stranger, "GET n:k").await, Value::Nil);
    assert!(cache.peek("k").is_none());
}

#[tokio::test]
async fn a_flood_is_bounded_and_costs_all_entries_of_the_prefix() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = link(proxy.port());
    let cache = cache(&link, r#"{"prefix":"f:","level2":{"recoveryQueue":{"maxSize":100}}}"#);
    let errors = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&errors);
    cache.on_error(move |error| log.lock().unwrap().push(error.code()));
    let stranger = stranger(&server);
    put(&cache, "never named", "1", &[]).await;
    raw(&stranger, "SET foreign 1").await;
    proxy.refuse(true);
    proxy.cut();
    eventually("the loss is seen", || link.state() != connection::LinkState::Ready).await;
    for round in 0..10 {
        let keys: Vec<_> = (0..1_000).map(|n| format!("k{round}-{n}")).collect();
        assert!(cache.delete_many(&keys).await.is_err());
        assert!((1..=100).contains(&cache.missed()), "{} are remembered", cache.missed());
    }
    assert!(errors.lock().unwrap().contains(&ErrorCode::Overloaded));
    proxy.refuse(false);
    all_missed(&cache).await;
    assert_eq!(read(&cache, "never named").await, None);
    assert_eq!(raw(&stranger, "GET foreign").await, Value::Bulk(b"1".to_vec()));
}

#[tokio::test]
async fn with_an_empty_prefix_a_flood_forgets_the_oldest_and_removes_nothing_else() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = link(proxy.port());
    let cache = cache(&link, r#"{"prefix":"","level2":{"recoveryQueue":{"maxSize":2}}}"#);
    for key in ["a", "b", "c", "d"] {
        put(&cache, key, "1", &[]).await;
    }
    proxy.refuse(true);
    proxy.cut();
    eventually("the loss is seen", || link.state() != connection::LinkState::Ready).await;
    for key in ["a", "b", "c"] {
        assert!(cache.delete(key).await.is_err());
    }
    assert_eq!(cache.missed(), 2);
    proxy.refuse(false);
    all_missed(&cache).await;
    let mut left = Vec::new();
    for key in ["a", "b", "c", "d"] {
        left.extend(read(&cache, key).await.map(|_| key));
    }
    assert_eq!(left, ["a", "d"]);
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_told_and_holds_up_nobody() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = link(proxy.port());
    let cache = cache(&link, r#"{"prefix":"r:"}"#);
    let errors = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&errors);
    cache.on_error(move |error| log.lock().unwrap().push(error.message().to_owned()));
    put(&cache, "k", "1", &[]).await;
    proxy.refuse(true);
    proxy.cut();
    eventually("the loss is seen", || link.state() != connection::LinkState::Ready).await;
    assert!(cache.delete("k").await.is_err());
    raw(&stranger(&server), "ACL SETUSER default -unlink").await;
    proxy.refuse(false);
    all_missed(&cache).await;
    assert_eq!(read(&cache, "k").await.as_deref(), Some("1"));
    let errors = errors.lock().unwrap();
    assert!(errors.iter().any(|message| message.contains("making up for")), "{errors:?}");
}

#[tokio::test]
async fn a_server_without_memory_has_the_old_entry_removed() {
    let server = RedisServer::builder().process().start();
    let link = link(server.port());
    let (cache, stranger) = (cache(&link, r#"{"prefix":"o:"}"#), stranger(&server));
    put(&cache, "k", "\"old\"", &[]).await;
    raw(&stranger, "CONFIG SET maxmemory 1").await;
    assert!(cache.set(write("k", "\"new\"", &[])).await.is_err());
    all_missed(&cache).await;
    assert_eq!(raw(&stranger, "GET o:k").await, Value::Nil);
}
