//! The bound on the memory of the engine in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use oxcart::{
    clock::Clock,
    codec::resp::Value,
    connection::{Command, Link},
    embedded::Embedded,
};

const NOW: i64 = 1_700_000_000_000;
const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

fn command(words: &str) -> Command {
    Command::default().args(words.split(' '))
}

async fn ask(link: &Arc<dyn Link>, words: &str) -> Value {
    link.call(command(words)).await.unwrap()
}

async fn refusal(link: &Arc<dyn Link>, words: &str) -> String {
    link.call(command(words)).await.unwrap_err().message().to_owned()
}

async fn exists(link: &Arc<dyn Link>, key: &str) -> bool {
    ask(link, &format!("EXISTS {key}")).await == Value::Int(1)
}

async fn used(link: &Arc<dyn Link>) -> usize {
    let info = ask(link, "INFO memory").await.into_text().unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().parse().unwrap()
}

async fn fill(link: &Arc<dyn Link>, from: usize, until: usize, more: &str) {
    for number in from..until {
        ask(link, &format!("SET key:{number} {}{more}", "x".repeat(1000))).await;
    }
}

async fn bounded(policy: &str) -> (Arc<dyn Link>, Clock) {
    let clock = Clock::manual(NOW);
    let link = Embedded::private(clock.clone()).link(0);
    ask(&link, &format!("CONFIG SET maxmemory 100kb maxmemory-policy {policy} maxmemory-samples 10")).await;
    (link, clock)
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let (link, clock) = bounded("allkeys-lru").await;
    fill(&link, 0, 50, "").await;
    for number in 50..400 {
        clock.advance_ms(1000);
        ask(&link, "GET key:1").await;
        fill(&link, number, number + 1, "").await;
        assert!(used(&link).await <= 100 * 1024 + 2000);
    }
    assert!(exists(&link, "key:1").await, "it was used all the time");
    assert!(!exists(&link, "key:2").await && !exists(&link, "key:30").await);
    assert!(exists(&link, "key:399").await);
    assert_eq!(ask(&link, "OBJECT IDLETIME key:399").await, Value::Int(0));
    let info = ask(&link, "INFO stats").await.into_text().unwrap();
    assert!(!info.contains("evicted_keys:0\r\n"), "{info}");
}

#[tokio::test]
async fn what_was_used_least_often_goes_first() {
    let (link, clock) = bounded("allkeys-lfu").await;
    fill(&link, 0, 40, "").await;
    for _ in 0..300 {
        ask(&link, "GET key:7").await;
    }
    clock.advance_ms(1000);
    fill(&link, 40, 300, "").await;
    assert!(exists(&link, "key:7").await, "it was used often, if long ago");
    let Value::Int(count) = ask(&link, "OBJECT FREQ key:7").await else { panic!("a count is wanted") };
    assert!((8..100).contains(&count), "{count}");
    assert!(refusal(&link, "OBJECT IDLETIME key:7").await.starts_with("ERR An LFU maxmemory policy is selected"));
}

#[tokio::test]
async fn keys_that_stay_are_spared_where_only_others_may_go() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let (link, _) = bounded(policy).await;
        fill(&link, 0, 30, "").await;
        fill(&link, 1000, 1040, " EX 1000").await;
        ask(&link, "SET soon 1 EX 10").await;
        fill(&link, 1040, 1100, " EX 1000").await;
        for number in 0..30 {
            assert!(exists(&link, &format!("key:{number}")).await, "{policy}");
        }
        if policy == "volatile-ttl" {
            assert!(!exists(&link, "soon").await, "what ends soonest goes first");
        }
        let mut lasting = 30;
        let refused = loop {
            match link.call(command(&format!("SET key:{lasting} {}", "x".repeat(1000)))).await {
                Ok(_) => lasting += 1,
                Err(error) => break error,
            }
            assert!(lasting < 200, "nothing is refused");
        };
        assert_eq!(refused.message(), OOM);
        assert_eq!(ask(&link, "DBSIZE").await, Value::Int(lasting), "all that may go is gone");
    }
}

#[tokio::test]
async fn without_eviction_what_takes_memory_is_refused_until_there_is_some() {
    let (link, _) = bounded("noeviction").await;
    let mut written = 0;
    while link.call(command(&format!("SET key:{written} {}", "x".repeat(1000)))).await.is_ok() {
        written += 1;
        assert!(written < 200, "nothing is refused");
    }
    assert!(written > 60, "{written}");
    for refused in ["SET a 1", "LPUSH l 1", "HSET h f v", "XADD s * f v", "INCR n"] {
        assert_eq!(refusal(&link, refused).await, OOM, "{refused}");
    }
    let script = Command::new("EVAL").arg("return redis.call('SET', 'a', '1')").arg("0");
    assert!(link.call(script).await.unwrap_err().message().starts_with(OOM));
    assert_eq!(ask(&link, "MULTI").await, Value::Simple("OK".into()));
    assert_eq!(refusal(&link, "SET a 1").await, OOM);
    assert!(refusal(&link, "EXEC").await.starts_with("EXECABORT"));
    // What reads and what frees is not refused, nor what a script does that freed something first.
    assert!(exists(&link, "key:1").await);
    let script = Command::new("EVAL").arg("redis.call('DEL', 'key:1') return redis.call('SET', 'a', '1')").arg("0");
    assert_eq!(link.call(script).await.unwrap(), Value::Simple("OK".into()));
    ask(&link, "DEL key:2 key:3 key:4").await;
    ask(&link, "SET b 1").await;
    ask(&link, "CONFIG SET maxmemory 0").await;
    fill(&link, 1000, 1200, "").await;
}

#[tokio::test]
async fn all_types_are_counted_as_they_grow_and_shrink() {
    let (link, _) = bounded("noeviction").await;
    ask(&link, "CONFIG SET maxmemory 1gb").await;
    let before = used(&link).await;
    let long = "v".repeat(500);
    for number in 0..300 {
        for line in [
            format!("APPEND text {long}"),
            format!("RPUSH list {number}{long}"),
            format!("HSET hash f{number} {long}"),
            format!("SADD set {number}{long}"),
            format!("ZADD zset {number} {number}{long}"),
            format!("XADD stream {}-1 f {long}", number + 1),
        ] {
            ask(&link, &line).await;
        }
    }
    let full = used(&link).await;
    assert!((6 * 300 * 500..6 * 300 * 900).contains(&(full - before)), "{full}");
    for number in 0..300 {
        for line in [
            format!("LREM list 1 {number}{long}"),
            format!("HDEL hash f{number}"),
            format!("SREM set {number}{long}"),
            format!("ZREM zset {number}{long}"),
            format!("XDEL stream {}-1", number + 1),
        ] {
            assert_eq!(ask(&link, &line).await, Value::Int(1), "{line}");
        }
    }
    ask(&link, "DEL text stream").await;
    assert_eq!(used(&link).await, before, "nothing is counted that is gone");
}
