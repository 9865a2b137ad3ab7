//! Connections that break, servers that go silent or demote themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    codec::resp::Value,
    connection::{self, Command, LinkState},
    testing::{Proxy, RedisServer, eventually},
};

use crate::support::{command, maybe_executed, ready, through};

#[tokio::test]
async fn a_killed_server_fails_no_call_for_long_and_the_link_is_back_within_two_seconds() {
    const DEADLINE: Duration = Duration::from_secs(3);
    let mut server = RedisServer::builder().persistent().args(["--appendfsync", "always"]).start();
    let mut options = server.options();
    options.command_timeout = DEADLINE;
    let link = connection::open(options).unwrap();
    ready(&*link).await;
    let (done, possible, calls) =
        (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + Duration::from_millis(2500);
    let workers: Vec<_> = (0..30)
        .map(|worker| {
            let (link, done, possible, calls) =
                (Arc::clone(&link), Arc::clone(&done), Arc::clone(&possible), Arc::clone(&calls));
            oxcart::service::spawn(async move {
                while Instant::now() < until {
                    let started = Instant::now();
                    let replies = match worker % 3 {
                        0 => vec![link.call(command("INCR n")).await],
                        1 => link.call_many(&[command("INCR n"), command("INCR n"), command("INCR n")]).await,
                        _ => {
                            // May be repeated, so the caller never hears of the break.
                            let reply = link.call(command("GET n").repeatable()).await;
                            reply.unwrap();
                            vec![]
                        }
                    };
                    assert!(started.elapsed() < DEADLINE + Duration::from_millis(500));
                    calls.fetch_add(1, Ordering::Relaxed);
                    for reply in replies {
                        match reply {
                            Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                            Err(error) if maybe_executed(&error) == Some(true) => {
                                possible.fetch_add(1, Ordering::Relaxed)
                            }
                            Err(error) => panic!("{error:?}"),
                        };
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    eventually("the link notices", || link.state() != LinkState::Ready).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.restart();
    let back = Instant::now();
    ready(&*link).await;
    assert!(back.elapsed() < Duration::from_secs(2), "back after {:?}", back.elapsed());
    for worker in workers {
        worker.await.unwrap();
    }
    // Nothing ran twice, and nothing that was confirmed is missing.
    let count = link.call(command("GET n")).await.unwrap().into_int().unwrap();
    let (done, possible) = (done.load(Ordering::Relaxed), possible.load(Ordering::Relaxed));
    assert!((done..=done + possible).contains(&count), "{count} of {done} and {possible}");
    assert!(calls.load(Ordering::Relaxed) > 200);
}

#[tokio::test]
async fn a_silent_server_is_noticed_and_left() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(through(&proxy)).unwrap();
    ready(&*link).await;
    proxy.go_silent();
    let started = Instant::now();
    let error = link.call(command("INCR n")).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::CommandTimedOut, Some(true)));
    assert!(started.elapsed() < Duration::from_millis(800));
    eventually("the link leaves", || link.state() == LinkState::Reconnecting).await;
    assert!(started.elapsed() < Duration::from_secs(3), "left after {:?}", started.elapsed());
    proxy.go_on();
    ready(&*link).await;
    assert_eq!(link.call(command("PING")).await, Ok(Value::Simple("PONG".into())));
    assert!(proxy.accepted() >= 2);
}

#[tokio::test]
async fn a_silent_server_is_noticed_on_an_idle_link() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut options = through(&proxy);
    options.keep_alive = Some(Duration::from_millis(100));
    let link = connection::open(options).unwrap();
    ready(&*link).await;
    proxy.go_silent();
    eventually("the link leaves", || link.state() == LinkState::Reconnecting).await;
    proxy.go_on();
    ready(&*link).await;
}

/// A server that is busy is not silent: what was in flight is answered over the same connection.
#[tokio::test]
async fn a_slow_command_with_a_deadline_of_its_own_is_waited_for() {
    let server = RedisServer::builder().args(["--enable-debug-command", "yes"]).start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(through(&proxy)).unwrap();
    let slow = command("DEBUG SLEEP 2").deadline(Duration::from_secs(5));
    assert_eq!(link.call(slow).await, Ok(Value::Simple("OK".into())));
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn after_a_cut_what_may_be_repeated_is_and_the_rest_is_told() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut options = through(&proxy);
    options.command_timeout = Duration::from_secs(5);
    let link = connection::open(options).unwrap();
    link.call(command("SET k v")).await.unwrap();
    proxy.hold_replies();
    let cut = async {
        eventually("the server ran it", || server.ask("GET n").contains("$1")).await;
        proxy.cut();
        // Only then: what the proxy holds back for the old connection is to be lost.
        eventually("it connects again", || proxy.accepted() == 2).await;
        proxy.go_on();
    };
    let calls = [command("GET k").repeatable(), command("INCR n"), command("GET k").repeatable()];
    let (replies, ()) = tokio::join!(link.call_many(&calls), cut);
    assert_eq!(replies[0], Ok(Value::Bulk(b"v".to_vec())));
    let error = replies[1].as_ref().unwrap_err();
    assert_eq!((error.code(), maybe_executed(error)), (ErrorCode::ConnectionLost, Some(true)));
    assert_eq!(replies[2], Ok(Value::Bulk(b"v".to_vec())));
    assert_eq!(link.call(command("GET n")).await.unwrap().into_int(), Ok(1));
}

#[tokio::test]
async fn with_no_retries_a_break_is_told_to_repeatable_commands_too() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut options = through(&proxy);
    options.max_retries_per_request = Some(0);
    let link = connection::open(options).unwrap();
    ready(&*link).await;
    proxy.hold_replies();
    let cut = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.cut();
    };
    let (reply, ()) = tokio::join!(link.call(command("GET k").repeatable()), cut);
    assert_eq!(reply.unwrap_err().code(), ErrorCode::ConnectionLost);
}

#[tokio::test]
async fn a_demoted_primary_is_left() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(through(&proxy)).unwrap();
    ready(&*link).await;
    // Younger connections are kept, so that a replica is not reconnected to all the time.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    server.ask("REPLICAOF 127.0.0.1 1");
    let replies = link.call_many(&[command("SET k v"), command("PING")]).await;
    assert_eq!(replies[0].as_ref().unwrap_err().code(), ErrorCode::ReadOnlyServer);
    assert_eq!(replies[1], Ok(Value::Simple("PONG".into())));
    server.ask("REPLICAOF NO ONE");
    assert_eq!(link.call(command("SET k v")).await, Ok(Value::Simple("OK".into())));
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn attempts_to_connect_become_rarer() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    proxy.refuse(true);
    let link = connection::open(through(&proxy)).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!((3..=12).contains(&proxy.accepted()), "{} attempts", proxy.accepted());
    proxy.refuse(false);
    let back = Instant::now();
    ready(&*link).await;
    assert!(back.elapsed() < Duration::from_secs(2), "back after {:?}", back.elapsed());
}

/// Whatever a network does, a caller gets its own reply or an error, in time.
#[tokio::test]
async fn replies_never_reach_the_wrong_caller() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(through(&proxy)).unwrap();
    ready(&*link).await;
    let until = Instant::now() + Duration::from_secs(4);
    let answered = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..16_u64)
        .map(|worker| {
            let (link, answered) = (Arc::clone(&link), Arc::clone(&answered));
            oxcart::service::spawn(async move {
                let mut random = fastrand::Rng::with_seed(worker);
                for round in 0.. {
                    if Instant::now() >= until {
                        return;
                    }
                    let words: Vec<_> =
                        (0..random.usize(1..20)).map(|part| format!("{worker}-{round}-{part}")).collect();
                    let echo = |word: &String| {
                        let echo = Command::new("ECHO").arg(word).deadline(Duration::from_millis(random.u64(5..300)));
                        if random.bool() { echo.repeatable() } else { echo }
                    };
                    let commands: Vec<_> = words.iter().map(echo).collect();
                    let started = Instant::now();
                    let replies = link.call_many(&commands).await;
                    assert!(started.elapsed() < Duration::from_secs(3), "after {:?}", started.elapsed());
                    for (reply, word) in replies.into_iter().zip(words) {
                        if let Ok(reply) = reply {
                            assert_eq!(reply.into_text().unwrap(), word);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(4);
    while Instant::now() < until {
        match random.u8(..5) {
            0 => proxy.cut(),
            1 => proxy.go_silent(),
            2 => proxy.hold_replies(),
            3 => proxy.delay(Duration::from_millis(random.u64(..20))),
            _ => proxy.delay(Duration::ZERO),
        }
        tokio::time::sleep(Duration::from_millis(random.u64(20..150))).await;
        proxy.go_on();
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 1000);
    assert!(proxy.accepted() > 3);
    proxy.delay(Duration::ZERO);
    assert_eq!(
        link.call(command("ECHO end").deadline(Duration::from_secs(3))).await.unwrap().into_text().unwrap(),
        "end"
    );
}
