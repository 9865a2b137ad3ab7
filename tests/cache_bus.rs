//! Caches that tell each other of changes, because the server does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    Error,
    cache::{Cache, CacheOptions, Fill, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link, Message, MessageSink, SubscriptionKind},
    testing::{Proxy, RedisServer},
};
use serde_json::{Value as Json, json};

const SOON: Duration = Duration::from_secs(20);

fn cache(link: &Arc<dyn Link>, prefix: &str, mode: &str) -> Cache {
    let options = CacheOptions::from_json(&format!(r#"{{"prefix":"{prefix}","coherence":"{mode}"}}"#)).unwrap();
    Cache::new(Arc::clone(link), options, Clock::system(), Duration::from_secs(2)).unwrap()
}

/// Somebody else: a connection that no cache of this process knows.
fn stranger(server: &RedisServer) -> Arc<dyn Link> {
    let options = ConnectionOptions { connection_name: Some("stranger".to_owned()), ..server.options() };
    connection::open(options).unwrap()
}

/// A connection as a user who may do everything but ask the server to tell of changes.
fn as_plain_user(port: u16) -> Arc<dyn Link> {
    let options = format!(r#"{{"host":"127.0.0.1","port":{port},"username":"plain","password":"secret"}}"#);
    connection::open(ConnectionOptions::from_json(&options).unwrap()).unwrap()
}

async fn add_plain_user(admin: &Arc<dyn Link>) {
    raw(admin, "ACL SETUSER plain on >secret ~* &* +@all -client|tracking").await;
}

async fn raw(link: &Arc<dyn Link>, command: &str) -> Value {
    let mut words = command.split(' ');
    link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap()
}

async fn publish(link: &Arc<dyn Link>, channel: &str, message: Json) {
    link.call(Command::new("PUBLISH").arg(channel).arg(message.to_string())).await.unwrap();
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Stores a value of a stranger, and reads it until a copy stays.
async fn copy(cache: &Cache, stranger: &Arc<dyn Link>, stored: &str) {
    raw(stranger, &format!("SET {stored} 1")).await;
    let key = stored.split_once(':').unwrap().1;
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < SOON, "no copy of {key} stays");
        // Refused while the connection is away.
        let _ = cache.load(key, Vec::new(), None).await;
        if cache.peek(key).is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Who listens on a channel and writes down what is said.
#[derive(Default)]
struct Heard(Mutex<Vec<Json>>);

impl MessageSink for Heard {
    fn message(&self, message: &Message<'_>) {
        self.0.lock().unwrap().push(serde_json::from_slice(message.payload).unwrap());
    }

    fn restored(&self, _: &[(SubscriptionKind, String, Error)]) {}
}

impl Heard {
    async fn on(link: &Arc<dyn Link>, channel: &str) -> Arc<Self> {
        let heard = Arc::new(Self::default());
        let sink: Arc<dyn MessageSink> = Arc::<Self>::clone(&heard);
        link.subscriptions().subscribe(SubscriptionKind::Channel, channel, sink).await.unwrap();
        heard
    }

    /// What was told, without the numbers that were only repeated.
    fn news(&self) -> Vec<Json> {
        let told = |message: &&Json| message.get("changed").is_some() || message.get("swept").is_some();
        self.0.lock().unwrap().iter().filter(told).cloned().collect()
    }

    fn last_number(&self) -> u64 {
        self.0.lock().unwrap().last().map_or(0, |message| message["number"].as_u64().unwrap())
    }
}

fn write(key: &str, tags: &[&str]) -> Write {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    Write { key: key.into(), text: "1".into(), tags, ..Write::default() }
}

#[tokio::test]
async fn whatever_changes_something_is_told_and_counted() {
    let server = RedisServer::start();
    let stranger = stranger(&server);
    let heard = Heard::on(&stranger, "told:#bus").await;
    let link = connection::open(server.options()).unwrap();
    let cache = cache(&link, "told:", "bus");
    cache.set(write("a", &[])).await.unwrap();
    cache.set(write("b", &["t"])).await.unwrap();
    cache.set_many(["a", "b"].map(|key| (key.to_owned(), "1".to_owned(), None)).to_vec()).await.unwrap();
    let Loaded::Miss(_) = cache.load("made", Vec::new(), None).await.unwrap() else { panic!("it is missing") };
    let (stamp, gaps) = (cache.watch("made", &[]).stamp(), cache.gaps());
    assert!(cache.fill(Fill { key: "made".into(), text: "1".into(), stamp, gaps, ..Fill::default() }).await.unwrap());
    cache.increment("n", 1).await.unwrap();
    cache.expire("a", 60.0).await.unwrap();
    cache.delete("a").await.unwrap();
    cache.delete_many(&["a".to_owned(), "b".to_owned()]).await.unwrap();
    cache.invalidate_tags(&["t".to_owned(), "u".to_owned()]).await.unwrap();
    cache.delete_pattern("x*").await.unwrap();
    cache.clear("y").await.unwrap();
    cache.flush().await.unwrap();
    let changed = |names: &[&str]| ("changed", json!(names));
    let swept = || ("swept", json!(true));
    let expected = [
        changed(&["a"]),
        changed(&["b"]),
        changed(&["a", "b"]),
        changed(&["made"]),
        changed(&["n"]),
        changed(&["a"]),
        changed(&["a"]),
        changed(&["a", "b"]),
        changed(&["#tag:t", "#tag:u"]),
        swept(),
        swept(),
        swept(),
    ];
    eventually("all is told", || heard.news().len() >= expected.len()).await;
    let news = heard.news();
    assert_eq!(news.len(), expected.len(), "{news:?}");
    for (number, ((field, value), message)) in (1..).zip(expected.iter().zip(&news)) {
        assert_eq!((&message["number"], &message[field]), (&json!(number), value), "{message}");
        assert_eq!(message["from"], news[0]["from"]);
    }
    // What was refused changed nothing.
    cache.set(write("a", &[])).await.unwrap();
    let refused = Write { condition: oxcart::cache::Condition::IfMissing, ..write("a", &[]) };
    assert!(!cache.set(refused).await.unwrap());
    eventually("the write is told", || heard.news().len() > expected.len()).await;
    let quiet = || heard.0.lock().unwrap().last().is_some_and(|last| last.get("changed").is_none());
    eventually("its number is repeated", quiet).await;
    assert_eq!((heard.news().len(), heard.last_number()), (expected.len() + 1, 13));
}

#[tokio::test]
async fn what_another_process_tells_ends_the_copies_of_it_and_a_number_left_out_ends_all() {
    let server = RedisServer::start();
    let (stranger, link) = (stranger(&server), connection::open(server.options()).unwrap());
    let cache = cache(&link, "heard:", "bus");
    eventually("it listens", || cache.follows_changes()).await;
    let tell = async |message: Json| publish(&stranger, "heard:#bus", message).await;

    copy(&cache, &stranger, "heard:a").await;
    copy(&cache, &stranger, "heard:b").await;
    tell(json!({ "from": "x", "number": 1, "changed": ["a"] })).await;
    eventually("the copy ends", || cache.peek("a").is_none()).await;
    assert!(cache.peek("b").is_some());

    cache.set(write("tagged", &["t"])).await.unwrap();
    assert!(cache.peek("tagged").is_some());
    tell(json!({ "from": "x", "number": 2, "changed": ["#tag:t"] })).await;
    eventually("the copies of a tag end", || cache.peek("tagged").is_none()).await;
    assert!(cache.peek("b").is_some());

    let gaps = cache.gaps();
    tell(json!({ "from": "x", "number": 4, "changed": ["a"] })).await;
    eventually("all copies end", || cache.peek("b").is_none()).await;
    assert_eq!(cache.gaps(), gaps.wrapping_add(1));

    copy(&cache, &stranger, "heard:b").await;
    tell(json!({ "from": "x", "number": 4 })).await;
    tell(json!({ "from": "y", "number": 1, "swept": true })).await;
    eventually("a sweep ends all", || cache.peek("b").is_none()).await;
    assert_eq!(cache.gaps(), gaps.wrapping_add(1), "a sweep is no gap");

    copy(&cache, &stranger, "heard:b").await;
    // The last message was missed: its number comes again.
    tell(json!({ "from": "x", "number": 5 })).await;
    eventually("all copies end", || cache.peek("b").is_none()).await;
}

#[tokio::test]
async fn a_broken_connection_is_a_gap() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let (cache, stranger) = (cache(&link, "cut:", "bus"), stranger(&server));
    eventually("it listens", || cache.follows_changes()).await;
    copy(&cache, &stranger, "cut:a").await;
    let gaps = cache.gaps();
    proxy.refuse(true);
    proxy.cut();
    let began = Instant::now();
    while raw(&stranger, "PUBSUB NUMSUB cut:#bus").await
        != Value::Array(vec![Value::Bulk(b"cut:#bus".to_vec()), Value::Int(0)])
    {
        assert!(began.elapsed() < SOON, "somebody listens");
    }
    publish(&stranger, "cut:#bus", json!({ "from": "x", "number": 1, "changed": ["a"] })).await;
    assert!(cache.peek("a").is_some(), "it was told while nobody listened");
    proxy.refuse(false);
    eventually("the gap is over", || cache.gaps() != gaps).await;
    assert!(cache.peek("a").is_none());
    // It listens again.
    copy(&cache, &stranger, "cut:a").await;
    publish(&stranger, "cut:#bus", json!({ "from": "y", "number": 1, "changed": ["a"] })).await;
    eventually("the copy ends", || cache.peek("a").is_none()).await;
}

#[tokio::test]
async fn a_message_that_could_not_be_published_is_made_known_later() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let stranger = stranger(&server);
    let heard = Heard::on(&stranger, "late:#bus").await;
    let mut options = ConnectionOptions::tcp("127.0.0.1", proxy.port());
    options.command_timeout = Duration::from_millis(500);
    let link = connection::open(options).unwrap();
    let cache = cache(&link, "late:", "bus");
    cache.set(write("a", &[])).await.unwrap();
    eventually("the number is repeated", || heard.0.lock().unwrap().len() == 2).await;
    proxy.refuse(true);
    proxy.cut();
    assert!(cache.set(write("b", &[])).await.is_err());
    // Longer than the message waits for the connection.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(heard.last_number(), 1);
    proxy.refuse(false);
    // By the repetition, or by what makes up for the write that was missed: whichever comes first.
    eventually("the number is told", || heard.last_number() >= 2).await;
    let lost = heard.news().iter().all(|message| message["number"] != json!(2));
    assert!(lost, "what was to be told is lost, and a number says so");
}

#[tokio::test]
async fn where_the_server_refuses_to_tell_the_processes_do_and_where_it_no_longer_does_it_tells() {
    let server = RedisServer::builder().process().start();
    let stranger = stranger(&server);
    add_plain_user(&stranger).await;
    let heard = Heard::on(&stranger, "auto:#bus").await;
    let link = as_plain_user(server.port());
    let cache = cache(&link, "auto:", "auto");
    eventually("it listens", || cache.follows_changes()).await;
    cache.set(write("own", &[])).await.unwrap();
    assert!(cache.peek("own").is_some(), "what it tells itself ends no copy");
    eventually("it tells", || heard.news().len() == 1).await;
    copy(&cache, &stranger, "auto:a").await;
    raw(&stranger, "SET auto:a 2").await;
    publish(&stranger, "auto:#bus", json!({ "from": "x", "number": 1, "changed": ["a"] })).await;
    eventually("the copy ends", || cache.peek("a").is_none()).await;

    let gaps = cache.gaps();
    raw(&stranger, "ACL SETUSER plain +client|tracking").await;
    raw(&stranger, "CLIENT KILL USER plain").await;
    eventually("it is asked again", || cache.gaps() != gaps).await;
    // Everybody who writes is seen now.
    let began = Instant::now();
    loop {
        copy(&cache, &stranger, "auto:a").await;
        raw(&stranger, "SET auto:a 3").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if cache.peek("a").is_none() {
            break;
        }
        assert!(began.elapsed() < SOON, "the server does not tell");
    }
    let told = heard.news().len();
    cache.set(write("own", &[])).await.unwrap();
    cache.delete("own").await.unwrap();
    let marker = json!({ "from": "x", "number": 2, "changed": ["marker"] });
    publish(&stranger, "auto:#bus", marker).await;
    eventually("the marker is heard", || heard.news().len() > told).await;
    assert_eq!(heard.news().len(), told + 1, "nobody needs to be told by the cache");
}

#[tokio::test]
async fn where_nobody_may_tell_copies_live_as_long_as_they_may() {
    let server = RedisServer::builder().process().start();
    let stranger = stranger(&server);
    add_plain_user(&stranger).await;
    raw(&stranger, "ACL SETUSER plain resetchannels").await;
    let link = as_plain_user(server.port());
    let cache = cache(&link, "nobody:", "auto");
    assert!(cache.set(write("a", &[])).await.unwrap());
    copy(&cache, &stranger, "nobody:a").await;
    assert!(!cache.follows_changes());
    // Allowed meanwhile: found out by asking again.
    raw(&stranger, "ACL SETUSER plain allchannels").await;
    eventually("it listens", || cache.follows_changes()).await;
}

#[tokio::test]
async fn a_cache_without_copies_tells_all_the_same_and_one_that_is_told_to_be_quiet_does_not() {
    let server = RedisServer::start();
    let stranger = stranger(&server);
    let heard = Heard::on(&stranger, "no-copies:#bus").await;
    let link = connection::open(server.options()).unwrap();
    for mode in ["auto", "bus", "tracking", "none"] {
        let options = format!(r#"{{"prefix":"no-copies:","coherence":"{mode}","level1":{{"enabled":false}}}}"#);
        let options = CacheOptions::from_json(&options).unwrap();
        let cache = Cache::new(Arc::clone(&link), options, Clock::system(), Duration::from_secs(2)).unwrap();
        cache.set(write(mode, &[])).await.unwrap();
    }
    publish(&stranger, "no-copies:#bus", json!({ "from": "x", "number": 1, "changed": ["marker"] })).await;
    let named = || heard.news().iter().map(|message| message["changed"][0].clone()).collect::<Vec<_>>();
    eventually("the marker is heard", || named().last() == Some(&json!("marker"))).await;
    assert_eq!(named(), ["auto", "bus", "marker"]);
    let quiet = cache(&link, "no-copies:", "none");
    copy(&quiet, &stranger, "no-copies:a").await;
    assert!(!quiet.follows_changes());
}

#[tokio::test]
async fn a_server_without_resp3_leaves_it_to_the_processes() {
    let server = RedisServer::builder().process().args(["--rename-command", "HELLO", "NO_HELLO"]).start();
    let (stranger, link) = (stranger(&server), connection::open(server.options()).unwrap());
    let cache = cache(&link, "resp2:", "auto");
    eventually("it listens", || cache.follows_changes()).await;
    copy(&cache, &stranger, "resp2:a").await;
    publish(&stranger, "resp2:#bus", json!({ "from": "x", "number": 1, "changed": ["a"] })).await;
    eventually("the copy ends", || cache.peek("a").is_none()).await;
}
