//! Consumers of a group who wait, in the engine in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use oxcart::{
    clock::Clock,
    codec::resp::Value,
    connection::{Command, Link},
    embedded::Embedded,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn command(words: &str) -> Command {
    Command::default().args(words.split(' '))
}

async fn ask(link: &Arc<dyn Link>, words: &str) -> Value {
    link.call(command(words)).await.unwrap()
}

/// Starts a read that waits, and gives what becomes of it.
async fn wait_for_entries(link: &Arc<dyn Link>, words: &'static str) -> tokio::sync::oneshot::Receiver<String> {
    let blocking = link.open_blocking();
    let (sender, outcome) = tokio::sync::oneshot::channel();
    let wait = oxcart::service::spawn(async move {
        let reply = blocking.block(command(words), PATIENCE).await;
        let _ = sender.send(reply.map_or_else(|error| error.message().to_owned(), |reply| shown(&reply)));
    });
    drop(wait);
    let blocked = async {
        while !ask(link, "INFO clients").await.into_text().unwrap().contains("blocked_clients:1\r\n") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, blocked).await.unwrap();
    outcome
}

fn shown(reply: &Value) -> String {
    match reply {
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{}={}", shown(key), shown(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_consumer_that_waits_gets_what_no_other_of_its_group_has() {
    let link = Embedded::private(Clock::system()).link(0);
    ask(&link, "XADD s 1-1 f old").await;
    ask(&link, "XGROUP CREATE s g $").await;
    let waiting = wait_for_entries(&link, "XREADGROUP GROUP g ann BLOCK 0 STREAMS s >").await;
    // Another reads the first entry in the same moment in which it is added, and leaves the wait as it is.
    let script =
        "redis.call('XADD', 's', '2-1', 'f', 'x') redis.call('XREADGROUP', 'GROUP', 'g', 'bob', 'STREAMS', 's', '>')";
    link.call(Command::new("EVAL").arg(script).arg("0")).await.unwrap();
    ask(&link, "XADD s 3-1 f new").await;
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), "s=[[3-1 [f new]]]");
    assert_eq!(shown(&ask(&link, "XPENDING s g").await), "[Int(2) 2-1 3-1 [[ann 1] [bob 1]]]");
    assert_eq!(ask(&link, "XACK s g 2-1 3-1").await, Value::Int(2));
}

#[tokio::test]
async fn a_wait_ends_with_an_error_when_there_is_nothing_left_to_wait_for() {
    let link = Embedded::private(Clock::system()).link(0);
    for (end, error) in [
        ("XGROUP DESTROY s g", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("DEL s", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("FLUSHALL", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("PEXPIRE s 1", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("RENAME s t", "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("SET s text", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ] {
        ask(&link, "DEL s").await;
        ask(&link, "XGROUP CREATE s g $ MKSTREAM").await;
        let waiting = wait_for_entries(&link, "XREADGROUP GROUP g ann BLOCK 0 STREAMS s >").await;
        ask(&link, end).await;
        assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), error, "after {end}");
    }
}

#[tokio::test]
async fn what_a_dead_consumer_left_is_claimed_once_it_has_lain_long_enough() {
    let clock = Clock::manual(1_700_000_000_000);
    let link = Embedded::private(clock.clone()).link(0);
    ask(&link, "XGROUP CREATE s g $ MKSTREAM").await;
    for number in 1..=3 {
        ask(&link, &format!("XADD s {number}-0 f v{number}")).await;
    }
    ask(&link, "XREADGROUP GROUP g dead STREAMS s >").await;
    clock.advance_ms(60_000);
    ask(&link, "XDEL s 2-0").await;
    assert_eq!(shown(&ask(&link, "XAUTOCLAIM s g alive 60001 0").await), "[0-0 [] [2-0]]");
    clock.advance_ms(1000);
    assert_eq!(shown(&ask(&link, "XAUTOCLAIM s g alive 60001 0 COUNT 1").await), "[3-0 [[1-0 [f v1]]] []]");
    assert_eq!(
        shown(&ask(&link, "XPENDING s g - + 10").await),
        "[[1-0 alive Int(0) Int(2)] [3-0 dead Int(61000) Int(1)]]"
    );
}
