//! The engine in this process by itself: waiting in order, expiry, pub/sub, transactions, sharing by name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use oxcart::{
    Error,
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link, LinkState, Message, MessageSink, SubscriptionKind},
    embedded::Embedded,
    testing::eventually,
};
use tokio::{sync::mpsc, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn command(words: &str) -> Command {
    Command::default().args(words.split(' '))
}

async fn ask(link: &Arc<dyn Link>, words: &str) -> Value {
    link.call(command(words)).await.unwrap()
}

async fn refusal(link: &Arc<dyn Link>, words: &str) -> String {
    link.call(command(words)).await.unwrap_err().message().to_owned()
}

fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// Waits until this many clients wait for a key.
async fn until_blocked(link: &Arc<dyn Link>, count: usize) {
    let wanted = format!("blocked_clients:{count}\r\n");
    loop {
        if ask(link, "INFO clients").await.into_text().unwrap().contains(&wanted) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ten_thousand_clients_are_served_in_the_order_in_which_they_came() {
    const CLIENTS: usize = 10_000;
    let link = Embedded::private(Clock::system()).link(0);
    let (served, mut order) = mpsc::unbounded_channel();
    for number in 0..CLIENTS {
        let (blocking, served) = (link.open_blocking(), served.clone());
        let wait = oxcart::service::spawn(async move {
            let reply = blocking.block(command("BLPOP line 0"), PATIENCE).await.unwrap();
            served.send((number, reply)).unwrap();
        });
        drop(wait);
    }
    timeout(PATIENCE, until_blocked(&link, CLIENTS)).await.unwrap();
    for batch in 0..CLIENTS / 1000 {
        let items = (batch * 1000..(batch + 1) * 1000).map(|number| number.to_string());
        link.call(Command::new("RPUSH").arg("line").args(items)).await.unwrap();
    }
    for number in 0..CLIENTS {
        let (client, reply) = timeout(PATIENCE, order.recv()).await.unwrap().unwrap();
        assert_eq!((client, reply), (number, Value::Array(vec![bulk("line"), bulk(&number.to_string())])));
    }
    assert_eq!(ask(&link, "EXISTS line").await, Value::Int(0));
    timeout(PATIENCE, until_blocked(&link, 0)).await.unwrap();
}

#[tokio::test]
async fn a_wait_ends_in_time_by_hand_or_with_its_caller() {
    let link = Embedded::private(Clock::system()).link(0);
    let blocking = link.open_blocking();
    assert_eq!(blocking.block(command("BZPOPMIN z 0.02"), Duration::from_millis(20)).await.unwrap(), Value::Nil);
    let waiting = link.open_blocking();
    let (reply, ()) = tokio::join!(waiting.block(command("BZPOPMIN z 0"), PATIENCE), async {
        timeout(PATIENCE, until_blocked(&link, 1)).await.unwrap();
        waiting.unblock().await;
    });
    assert_eq!(reply.unwrap(), Value::Nil);
    // A caller that goes away takes nothing with it.
    let abandoned = timeout(Duration::from_millis(20), blocking.block(command("BZPOPMIN z 0"), PATIENCE)).await;
    assert!(abandoned.is_err());
    timeout(PATIENCE, until_blocked(&link, 0)).await.unwrap();
    ask(&link, "ZADD z 1 job").await;
    assert_eq!(ask(&link, "ZCARD z").await, Value::Int(1));
    // Nor does one that a pushed value reaches through CLIENT UNBLOCK's error.
    let (reply, ()) = tokio::join!(blocking.block(command("BLPOP l 0"), PATIENCE), async {
        timeout(PATIENCE, until_blocked(&link, 1)).await.unwrap();
        let clients = ask(&link, "CLIENT LIST").await.into_text().unwrap();
        let id = clients.lines().filter(|line| line.contains("cmd=blpop")).find_map(|line| line.split(' ').next());
        let id = id.and_then(|id| id.strip_prefix("id=")).unwrap().to_owned();
        assert_eq!(ask(&link, &format!("CLIENT UNBLOCK {id} ERROR")).await, Value::Int(1));
    });
    assert!(reply.unwrap_err().message().starts_with("UNBLOCKED"));
}

#[tokio::test]
async fn a_stream_is_read_from_where_it_ended_when_the_wait_began() {
    let link = Embedded::private(Clock::manual(5000)).link(0);
    assert_eq!(ask(&link, "XADD x * f 1").await, bulk("5000-0"));
    let blocking = link.open_blocking();
    let (reply, ()) = tokio::join!(blocking.block(command("XREAD BLOCK 0 STREAMS x $"), PATIENCE), async {
        timeout(PATIENCE, until_blocked(&link, 1)).await.unwrap();
        assert_eq!(ask(&link, "XADD x * f 2").await, bulk("5000-1"));
    });
    let entry = Value::Array(vec![bulk("5000-1"), Value::Array(vec![bulk("f"), bulk("2")])]);
    assert_eq!(reply.unwrap(), Value::Map(vec![(bulk("x"), Value::Array(vec![entry]))]));
}

#[tokio::test]
async fn two_who_ask_for_the_time_in_one_millisecond_hear_different_ones() {
    let link = Embedded::private(Clock::manual(5_000)).link(0);
    let time = |seconds, micros| Value::Array(vec![bulk(seconds), bulk(micros)]);
    assert_eq!((ask(&link, "TIME").await, ask(&link, "TIME").await), (time("5", "0"), time("5", "1")));
    for _ in 0..1_000 {
        ask(&link, "TIME").await;
    }
    assert_eq!(ask(&link, "TIME").await, time("5", "999"));
}

#[tokio::test]
async fn keys_expire_by_the_clock_also_when_nobody_asks_for_them() {
    let clock = Clock::manual(1_000_000);
    let link = Embedded::private(clock.clone()).link(0);
    for words in ["SET a 1 PX 500", "SET b 1 EX 1", "HSET h f v", "PEXPIRE h 500", "SET stays 1"] {
        ask(&link, words).await;
    }
    clock.advance_ms(500);
    assert_eq!((ask(&link, "GET a").await, ask(&link, "PTTL a").await), (bulk("1"), Value::Int(0)));
    clock.advance_ms(1);
    assert_eq!((ask(&link, "GET a").await, ask(&link, "TTL a").await), (Value::Nil, Value::Int(-2)));
    assert_eq!(ask(&link, "PTTL b").await, Value::Int(499));
    clock.advance_ms(10_000);
    // DBSIZE counts what is stored: the others go without being asked for.
    timeout(PATIENCE, async { while ask(&link, "DBSIZE").await != Value::Int(1) {} }).await.unwrap();
    let stats = ask(&link, "INFO stats").await.into_text().unwrap();
    assert!(stats.contains("expired_keys:3\r\n"), "{stats}");
}

#[tokio::test]
async fn time_stands_still_within_a_script_and_a_transaction() {
    let link = Embedded::private(Clock::system()).link(0);
    let script = "local first = redis.call('TIME') for i = 1, 200000 do end local last = redis.call('TIME') \
                  return first[1] == last[1] and first[2] == last[2]";
    let eval = Command::new("EVAL").arg(script).arg("0");
    assert_eq!(link.call(eval).await.unwrap(), Value::Int(1));
    let replies = link.call_many(&["MULTI", "TIME", "TIME", "EXEC"].map(command)).await;
    let Ok(Value::Array(times)) = &replies[3] else { panic!("{replies:?}") };
    assert_eq!(times[0], times[1]);
}

#[tokio::test]
async fn a_watched_key_that_changes_or_expires_stops_the_transaction() {
    let clock = Clock::manual(0);
    let engine = Embedded::private(clock.clone());
    let (link, other) = (engine.link(0), engine.link(0));
    ask(&link, "SET k 1 PX 100").await;
    let transaction = ["MULTI", "INCR k", "EXEC"];
    ask(&link, "WATCH k").await;
    let replies = link.call_many(&transaction.map(command)).await;
    assert_eq!(replies[2], Ok(Value::Array(vec![Value::Int(2)])));
    ask(&link, "WATCH k").await;
    ask(&other, "INCR k").await;
    assert_eq!(link.call_many(&transaction.map(command)).await[2], Ok(Value::Nil));
    ask(&link, "WATCH k").await;
    clock.advance_ms(101);
    assert_eq!(link.call_many(&transaction.map(command)).await[2], Ok(Value::Nil));
    assert_eq!(ask(&link, "EXISTS k").await, Value::Int(0));
}

#[derive(Default)]
struct Recorded(Mutex<Vec<String>>);

impl MessageSink for Recorded {
    fn message(&self, message: &Message<'_>) {
        let payload = String::from_utf8_lossy(message.payload);
        self.0.lock().unwrap().push(format!("{} {} {payload}", message.subscription, message.channel));
    }

    fn restored(&self, _: &[(SubscriptionKind, String, Error)]) {}
}

#[tokio::test]
async fn messages_reach_channels_and_patterns_until_the_last_sink_is_off() {
    let engine = Embedded::private(Clock::system());
    let (link, publisher) = (engine.link(0), engine.link(0));
    let subscriptions = link.subscriptions();
    let (first, second) = (Arc::new(Recorded::default()), Arc::new(Recorded::default()));
    let (one, two): (Arc<dyn MessageSink>, Arc<dyn MessageSink>) = (Arc::clone(&first) as _, Arc::clone(&second) as _);
    subscriptions.subscribe(SubscriptionKind::Channel, "news", Arc::clone(&one)).await.unwrap();
    subscriptions.subscribe(SubscriptionKind::Channel, "news", Arc::clone(&two)).await.unwrap();
    subscriptions.subscribe(SubscriptionKind::Pattern, "n*", Arc::clone(&two)).await.unwrap();
    for number in 0..100 {
        // One client, twice: by channel and by pattern.
        assert_eq!(ask(&publisher, &format!("PUBLISH news {number}")).await, Value::Int(2));
    }
    eventually("all messages", || second.0.lock().unwrap().len() == 200).await;
    let expected: Vec<String> = (0..100).map(|number| format!("news news {number}")).collect();
    assert_eq!(*first.0.lock().unwrap(), expected);
    subscriptions.unsubscribe(SubscriptionKind::Channel, "news", &one).await.unwrap();
    assert_eq!(ask(&publisher, "PUBLISH news x").await, Value::Int(2));
    subscriptions.unsubscribe(SubscriptionKind::Channel, "news", &two).await.unwrap();
    assert_eq!(ask(&publisher, "PUBLISH news y").await, Value::Int(1));
    drop(subscriptions);
    drop(link);
    assert_eq!(ask(&publisher, "PUBLISH news z").await, Value::Int(0));
}

#[tokio::test]
async fn a_name_is_one_engine_until_the_process_ends() {
    let (one, other) = (Embedded::named("shared-by-name").link(0), Embedded::named("shared-by-name").link(0));
    let stranger = Embedded::named("another-name").link(0);
    assert_eq!(one.state(), LinkState::Ready);
    ask(&one, "SET k v").await;
    assert_eq!(ask(&other, "GET k").await, bulk("v"));
    assert_eq!(ask(&stranger, "GET k").await, Value::Nil);
    assert_eq!(ask(&Embedded::named("shared-by-name").link(1), "GET k").await, Value::Nil);
    drop((one, other));
    assert_eq!(ask(&Embedded::named("shared-by-name").link(0), "GET k").await, bulk("v"));
    let options = || ConnectionOptions::memory("shared-by-name");
    let (one, same) = (connection::open(options()).unwrap(), connection::open(options()).unwrap());
    assert!(std::ptr::addr_eq(Arc::as_ptr(&one), Arc::as_ptr(&same)));
    assert_eq!((ask(&one, "GET k").await, one.describe()), (bulk("v"), "memory://shared-by-name/0"));
}

#[tokio::test]
async fn a_scan_misses_nothing_that_stays_while_other_keys_come_and_go() {
    let link = Embedded::private(Clock::system()).link(0);
    for number in 0..1000 {
        ask(&link, &format!("SET stays:{number} 1")).await;
        ask(&link, &format!("SET goes:{number} 1")).await;
    }
    let (mut cursor, mut seen, mut round) = ("0".to_owned(), std::collections::HashSet::new(), 0);
    loop {
        let mut parts = ask(&link, &format!("SCAN {cursor} COUNT 20")).await.into_items().unwrap();
        let keys = parts.pop().unwrap().into_items().unwrap();
        seen.extend(keys.into_iter().map(|key| key.into_text().unwrap()));
        cursor = parts.pop().unwrap().into_text().unwrap();
        for number in round * 10..(round + 1) * 10 {
            ask(&link, &format!("DEL goes:{number}")).await;
            ask(&link, &format!("SET comes:{number} 1")).await;
        }
        round += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.iter().filter(|key| key.starts_with("stays:")).count(), 1000);
}

#[tokio::test]
async fn what_is_not_known_is_refused_as_redis_refuses_it() {
    let link = Embedded::private(Clock::system()).link(0);
    assert_eq!(refusal(&link, "NOSUCH a b").await, "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ");
    assert_eq!(refusal(&link, "GET").await, "ERR wrong number of arguments for 'get' command");
    assert_eq!(refusal(&link, "CONFIG GET").await, "ERR wrong number of arguments for 'config|get' command");
    assert_eq!(refusal(&link, "CONFIG FOO").await, "ERR unknown subcommand 'FOO'. Try CONFIG HELP.");
    assert!(refusal(&link, "SUBSCRIBE c").await.contains("cannot subscribe"));
}

#[tokio::test]
async fn a_script_that_never_ends_is_ended_and_the_engine_goes_on() {
    let link = Embedded::private(Clock::system()).link(0);
    let started = std::time::Instant::now();
    let eval = Command::new("EVAL").arg("redis.call('SET', 'k', 'v') while true do end").arg("0");
    assert!(link.call(eval).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(ask(&link, "GET k").await, bulk("v"));
}

#[tokio::test]
async fn the_guide_lists_every_command() {
    let link = Embedded::private(Clock::system()).link(0);
    let mut known: Vec<String> = ask(&link, "COMMAND LIST")
        .await
        .into_items()
        .unwrap()
        .into_iter()
        .map(|name| name.into_text().unwrap())
        .collect();
    known.sort();
    let guide = include_str!("../docs/learning/without-a-server.md").split("## Commands").nth(1).unwrap();
    let listed: Vec<String> = guide.split('`').skip(1).step_by(2).map(str::to_lowercase).collect();
    assert_eq!(listed, known);
}

#[tokio::test]
async fn clients_say_who_they_are_and_that_their_reading_is_no_use() {
    let link = Embedded::private(Clock::system()).link(0);
    assert_eq!(ask(&link, "CLIENT SETINFO LIB-NAME mine").await, Value::Simple("OK".to_owned()));
    assert_eq!(ask(&link, "CLIENT SETINFO LIB-VER 1.2").await, Value::Simple("OK".to_owned()));
    let info = ask(&link, "CLIENT INFO").await.into_text().unwrap();
    assert!(info.contains("lib-name=mine lib-ver=1.2"), "{info}");
    assert_eq!(refusal(&link, "CLIENT SETINFO LIB-NAM x").await, "ERR Unrecognized option 'LIB-NAM'");

    ask(&link, "CONFIG SET maxmemory-policy allkeys-lfu").await;
    ask(&link, "SET a 1").await;
    ask(&link, "CLIENT NO-TOUCH ON").await;
    let before = ask(&link, "OBJECT FREQ a").await.into_int().unwrap();
    for _ in 0..10_000 {
        ask(&link, "GET a").await;
    }
    assert_eq!(ask(&link, "OBJECT FREQ a").await, Value::Int(before));
    ask(&link, "CLIENT NO-TOUCH OFF").await;
    for _ in 0..10_000 {
        ask(&link, "GET a").await;
    }
    assert!(ask(&link, "OBJECT FREQ a").await.into_int().unwrap() > before);
    assert_eq!(refusal(&link, "CLIENT NO-TOUCH maybe").await, "ERR syntax error");
}

#[tokio::test]
async fn slow_commands_are_noted_and_no_password_with_them() {
    let link = Embedded::private(Clock::system()).link(0);
    ask(&link, "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3").await;
    ask(&link, "AUTH default secret").await;
    for key in ["a", "b", "c"] {
        ask(&link, &format!("SET {key} 1")).await;
    }
    let long = format!("MGET {}", vec!["k"; 40].join(" "));
    ask(&link, &long).await;
    ask(&link, &format!("ECHO {}", "x".repeat(200))).await;
    ask(&link, "CONFIG SET slowlog-log-slower-than 1000000").await;
    let noted = ask(&link, "SLOWLOG GET").await.into_items().unwrap();
    let words = |entry: &Value| -> Vec<String> {
        let args = entry.clone().into_items().unwrap().swap_remove(3).into_items().unwrap();
        args.into_iter().map(|arg| arg.into_text().unwrap()).collect()
    };
    assert_eq!(noted.len(), 3);
    assert_eq!(words(&noted[0])[1], format!("{}... (72 more bytes)", "x".repeat(128)));
    assert_eq!((words(&noted[1]).len(), &*words(&noted[1])[31]), (32, "... (10 more arguments)"));
    assert_eq!(words(&noted[2]), ["SET", "c", "1"]);
    assert_eq!(ask(&link, "SLOWLOG LEN").await, Value::Int(3));
    ask(&link, "SLOWLOG RESET").await;
    assert_eq!(ask(&link, "SLOWLOG LEN").await, Value::Int(0));
}

#[test]
fn a_hundred_threads_that_come_and_go_share_one_engine_and_leave_no_client_behind() {
    let link = Embedded::named("threads").link(0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..100 {
        std::thread::spawn(|| {
            let link = Embedded::named("threads").link(0);
            let (_blocking, _subscriptions) = (link.open_blocking(), link.subscriptions());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(ask(&link, "INCR rounds"));
        })
        .join()
        .unwrap();
    }
    assert_eq!(runtime.block_on(ask(&link, "GET rounds")), bulk("100"));
    let clients = runtime.block_on(ask(&link, "CLIENT LIST")).into_text().unwrap();
    assert_eq!(clients.lines().count(), 1, "{clients}");
}
