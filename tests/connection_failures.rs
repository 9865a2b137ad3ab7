//! Servers that die, go silent, load, demote themselves, or are no servers at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    codec::resp::{Reply, Value},
    connection::{
        self, Batch, BoxFuture, Command, ConnectionOptions, Link, LinkState, ReplySink, RetryStrategy, Secret,
        StateSink,
    },
    testing::{Proxy, RedisServer, eventually},
};
use tokio::io::AsyncWriteExt;

fn command(words: &str) -> Command {
    Command::default().args(words.split(' '))
}

fn maybe_executed(error: &Error) -> Option<bool> {
    let is = |flag: bool| error.details().contains(&("maybeExecuted", flag.into())).then_some(flag);
    is(true).or(is(false))
}

async fn ready(link: &dyn Link) {
    eventually("the link is ready", || link.state() == LinkState::Ready).await;
}

fn through(proxy: &Proxy) -> ConnectionOptions {
    let mut options = ConnectionOptions::tcp("127.0.0.1", proxy.port());
    options.command_timeout = Duration::from_millis(400);
    options.connect_timeout = Duration::from_millis(400);
    options
}

/// Nobody listens here any more.
fn dead_server() -> RedisServer {
    let mut server = RedisServer::start();
    server.kill();
    server
}

#[derive(Default)]
struct States(Mutex<Vec<(LinkState, Option<Error>)>>);

impl States {
    fn seen(&self) -> Vec<LinkState> {
        self.0.lock().unwrap().iter().map(|(state, _)| *state).collect()
    }

    fn errors(&self) -> Vec<ErrorCode> {
        self.0.lock().unwrap().iter().filter_map(|(_, error)| Some(error.as_ref()?.code())).collect()
    }
}

impl StateSink for States {
    fn state(&self, state: LinkState, error: Option<&Error>) {
        self.0.lock().unwrap().push((state, error.cloned()));
    }
}

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
    assert!(possible > 0 && (done..=done + possible).contains(&count), "{count} of {done} and {possible}");
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
async fn commands_wait_for_a_server_that_is_away() {
    let mut server = dead_server();
    let link = connection::open(server.options()).unwrap();
    let call = link.call(command("SET k v"));
    let (reply, ()) = tokio::join!(call, async {
        eventually("an attempt failed", || link.state() == LinkState::Reconnecting).await;
        server.restart();
    });
    assert_eq!(reply, Ok(Value::Simple("OK".into())));
}

#[tokio::test]
async fn a_command_that_waits_in_vain_times_out_unexecuted() {
    let server = dead_server();
    let mut options = server.options();
    options.command_timeout = Duration::from_millis(200);
    options.max_retries_per_request = None;
    let link = connection::open(options).unwrap();
    let started = Instant::now();
    let error = link.call(command("INCR n")).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::CommandTimedOut, Some(false)));
    assert!(error.message().contains("cannot connect to 127.0.0.1"), "{error}");
    assert!(started.elapsed() < Duration::from_millis(700));
}

#[tokio::test]
async fn a_command_fails_after_max_retries_per_request() {
    let server = dead_server();
    let mut options = server.options();
    options.max_retries_per_request = Some(2);
    let link = connection::open(options).unwrap();
    let started = Instant::now();
    let error = link.call(command("INCR n")).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::MaxRetriesReached, Some(false)));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn without_an_offline_queue_commands_fail_at_once() {
    let server = dead_server();
    let mut options = server.options();
    options.offline_queue = false;
    let link = connection::open(options).unwrap();
    let error = link.call(command("PING")).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::Offline, Some(false)));
}

#[tokio::test]
async fn the_offline_queue_is_bounded_in_bytes() {
    let server = dead_server();
    let mut options = server.options();
    options.max_offline_queue_bytes = 10_000;
    options.command_timeout = Duration::from_millis(300);
    let link = connection::open(options).unwrap();
    let value = vec![b'x'; 6_000];
    let set = || link.call(Command::new("SET").key("k").arg(&value));
    let (first, second) = tokio::join!(set(), set());
    assert_eq!(first.unwrap_err().code(), ErrorCode::CommandTimedOut);
    assert_eq!(second.unwrap_err().code(), ErrorCode::OfflineQueueFull);
    // What timed out no longer takes up room.
    assert_eq!(set().await.unwrap_err().code(), ErrorCode::CommandTimedOut);
}

#[tokio::test]
async fn a_server_that_takes_nothing_more_overloads_the_link() {
    let server = RedisServer::start();
    let mut options = server.options();
    options.max_offline_queue_bytes = 1_000_000;
    options.command_timeout = Duration::from_millis(500);
    let link = connection::open(options).unwrap();
    ready(&*link).await;
    server.freeze();
    let value = vec![b'x'; 60_000];
    let commands: Vec<_> = (0..400).map(|_| Command::new("SET").key("k").arg(&value)).collect();
    let calls: Vec<_> = commands
        .into_iter()
        .map(|set| {
            let link = Arc::clone(&link);
            oxcart::service::spawn(async move { link.call(set).await })
        })
        .collect();
    let mut codes = Vec::new();
    for call in calls {
        codes.push(call.await.unwrap().unwrap_err().code());
    }
    server.go_on();
    assert!(codes.contains(&ErrorCode::Overloaded), "{codes:?}");
}

#[tokio::test]
async fn a_wrong_password_fails_calls_at_once_until_it_is_mended() {
    let server = RedisServer::builder().password("right").start();
    let mut options = server.options();
    options.password = Some(Secret("wrong".into()));
    let link = connection::open(options).unwrap();
    let states = Arc::new(States::default());
    let _guard = link.watch_state(Arc::clone(&states) as _);
    let started = Instant::now();
    let error = link.call(command("PING")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AuthenticationFailed);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!format!("{error:?}").contains("wrong\""), "{error:?}");
    eventually("the state says so", || link.state() == LinkState::Error).await;
    assert_eq!(link.call(command("PING")).await.unwrap_err().code(), ErrorCode::AuthenticationFailed);
    assert!(states.errors().contains(&ErrorCode::AuthenticationFailed));
    server.ask("CONFIG SET requirepass wrong");
    ready(&*link).await;
    assert_eq!(link.call(command("PING")).await, Ok(Value::Simple("PONG".into())));
}

#[tokio::test]
async fn a_missing_password_is_named() {
    let server = RedisServer::builder().password("right").start();
    let mut options = server.options();
    options.password = None;
    let error = connection::open(options).unwrap().call(command("PING")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AuthenticationFailed);
    assert!(error.message().contains("asks for a password"), "{error}");
}

#[tokio::test]
async fn a_peer_that_is_not_redis_is_named() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web_server = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    };
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", port)).unwrap();
    let error = tokio::select! {
        reply = link.call(command("PING")) => reply.unwrap_err(),
        () = web_server => unreachable!(),
    };
    assert_eq!(error.code(), ErrorCode::ProtocolViolation);
    eventually("the state says so", || link.state() == LinkState::Error).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_failed_connection() {
    let mut options = ConnectionOptions::tcp("no-such-host.invalid", 6379);
    options.max_retries_per_request = Some(1);
    let error = connection::open(options).unwrap().call(command("PING")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::MaxRetriesReached);
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
}

/// A server that loads a thousand keys, slowly.
fn loading_server() -> RedisServer {
    let slow = ["--key-load-delay", "700", "--loading-process-events-interval-bytes", "1024"];
    let debug = ["--enable-debug-command", "yes"];
    let mut server = RedisServer::builder().args(slow).args(debug).without_waiting().start();
    server.ask("DEBUG POPULATE 1000");
    server.ask("SAVE");
    server.restart();
    server
}

#[tokio::test]
async fn the_ready_check_waits_until_the_data_is_loaded() {
    let server = loading_server();
    let link = connection::open(server.options()).unwrap();
    assert_eq!(link.call(command("DBSIZE")).await, Ok(Value::Int(1000)));
}

#[tokio::test]
async fn without_the_ready_check_a_loading_server_is_seen() {
    let server = loading_server();
    let mut options = server.options();
    options.ready_check = false;
    let error = connection::open(options).unwrap().call(command("DBSIZE")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ServerLoading);
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

/// Waits a little, three times.
#[derive(Default)]
struct ThreeTimes(Mutex<Vec<u32>>);

impl RetryStrategy for ThreeTimes {
    fn delay(&self, times: u32) -> BoxFuture<'_, Option<Duration>> {
        self.0.lock().unwrap().push(times);
        Box::pin(std::future::ready((times <= 3).then_some(Duration::from_millis(1))))
    }
}

#[tokio::test]
async fn a_retry_strategy_decides_how_often() {
    let mut server = dead_server();
    let strategy = Arc::new(ThreeTimes::default());
    let mut options = server.options();
    options.retry_strategy = Some(Arc::clone(&strategy) as _);
    let link = connection::open(options.clone()).unwrap();
    let error = link.call(command("PING")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionFailed);
    assert!(error.message().contains("gave up"), "{error}");
    assert_eq!(*strategy.0.lock().unwrap(), [1, 2, 3, 4]);
    eventually("the state says so", || link.state() == LinkState::Error).await;
    // It gave up for good; who asks anew gets a new link.
    server.restart();
    assert_eq!(link.call(command("PING")).await.unwrap_err().code(), ErrorCode::ConnectionFailed);
    let anew = connection::open(options).unwrap();
    assert_eq!(anew.call(command("PING")).await, Ok(Value::Simple("PONG".into())));
}

#[tokio::test]
async fn states_are_told_in_order() {
    use LinkState::{Connected, Disconnected, Disconnecting, Ready, Reconnecting};
    let mut server = dead_server();
    let link = connection::open(server.options()).unwrap();
    let states = Arc::new(States::default());
    let guard = link.watch_state(Arc::clone(&states) as _);
    eventually("an attempt failed", || link.state() == Reconnecting).await;
    server.restart();
    ready(&*link).await;
    assert_eq!(states.seen(), [Reconnecting, Connected, Ready]);
    server.kill();
    eventually("the link notices", || link.state() == Reconnecting).await;
    server.restart();
    ready(&*link).await;
    drop(link);
    eventually("it is closed", || states.seen().last() == Some(&Disconnected)).await;
    assert_eq!(states.seen()[3..], [Reconnecting, Connected, Ready, Disconnecting, Disconnected]);
    assert_eq!(states.errors(), [ErrorCode::ConnectionFailed, ErrorCode::ConnectionLost]);
    drop(guard);
}

#[tokio::test]
async fn a_blocking_command_has_a_deadline_and_the_next_one_works() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let blocking = link.open_blocking();
    blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10)).await.unwrap();
    server.freeze();
    let started = Instant::now();
    let error = blocking.block(command("BLPOP q 0.1"), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::CommandTimedOut, Some(true)));
    assert!((2000..6000).contains(&started.elapsed().as_millis()), "after {:?}", started.elapsed());
    server.go_on();
    assert_eq!(blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10)).await, Ok(Value::Nil));
}

#[tokio::test]
async fn a_broken_blocking_connection_is_told_once() {
    let mut server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let blocking = link.open_blocking();
    let (reply, ()) = tokio::join!(blocking.block(command("BLPOP q 30"), Duration::from_secs(30)), async {
        eventually("the command blocks", || server.ask("INFO clients").contains("blocked_clients:1")).await;
        server.kill();
    });
    let error = reply.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::ConnectionLost, Some(true)));
    let next = blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10));
    let (reply, ()) = tokio::join!(next, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.restart();
    });
    assert_eq!(reply, Ok(Value::Nil));
}

#[tokio::test]
async fn a_blocking_command_waits_for_a_connection_no_longer_than_it_may() {
    let server = dead_server();
    let mut options = server.options();
    options.command_timeout = Duration::from_millis(200);
    let link = connection::open(options).unwrap();
    let blocking = link.open_blocking();
    let started = Instant::now();
    let error = blocking.block(command("BLPOP q 0.1"), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((error.code(), maybe_executed(&error)), (ErrorCode::ConnectionFailed, Some(false)));
    assert!(started.elapsed() < Duration::from_millis(700));
    // One that waits for the connection can be ended too.
    let (reply, ()) = tokio::join!(blocking.block(command("BLPOP q 60"), Duration::from_secs(60)), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        blocking.unblock().await;
    });
    assert_eq!(reply, Ok(Value::Nil));
}

#[tokio::test]
async fn a_blocking_caller_that_goes_away_takes_nothing_with_it() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let blocking = link.open_blocking();
    let call = blocking.block(command("BLPOP q 30"), Duration::from_secs(30));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    eventually("nothing blocks any more", || server.ask("INFO clients").contains("blocked_clients:0")).await;
    link.call(command("LPUSH q job")).await.unwrap();
    let reply = blocking.block(command("BLPOP q 5"), Duration::from_secs(5)).await.unwrap();
    assert_eq!(reply.into_items().unwrap()[1], Value::Bulk(b"job".to_vec()));
}

#[tokio::test]
async fn a_sink_that_panics_harms_nobody_else() {
    struct Panics;
    impl ReplySink for Panics {
        fn settle(&self, _token: u64, _reply: Result<Reply<'_>, Error>) {
            panic!("on purpose");
        }
        fn flush(&self) {
            panic!("on purpose");
        }
    }
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let mut batch = Batch::new(Arc::new(Panics));
    batch.push(&command("PING"), 0);
    batch.push(&command("BLPOP q 1").deadline(Duration::from_millis(50)), 1);
    link.submit(batch);
    assert_eq!(link.call(command("PING")).await, Ok(Value::Simple("PONG".into())));
    assert_eq!(link.state(), LinkState::Ready);
}

/// A fault of ours may end a link, but not the hope of its callers.
#[tokio::test]
async fn a_link_that_ended_by_a_fault_leaves_nobody_waiting() {
    struct PanicsWhenReady;
    impl StateSink for PanicsWhenReady {
        fn state(&self, state: LinkState, _error: Option<&Error>) {
            assert!(state != LinkState::Ready, "on purpose");
        }
    }
    let mut server = dead_server();
    let link = connection::open(server.options()).unwrap();
    let waits = link.call(command("PING"));
    eventually("an attempt failed", || link.state() == LinkState::Reconnecting).await;
    let states = Arc::new(States::default());
    let _guards = (link.watch_state(Arc::clone(&states) as _), link.watch_state(Arc::new(PanicsWhenReady)));
    server.restart();
    let started = Instant::now();
    assert_eq!(waits.await.unwrap_err().code(), ErrorCode::Internal);
    assert_eq!(link.call(command("PING")).await.unwrap_err().code(), ErrorCode::Internal);
    assert!(started.elapsed() < Duration::from_secs(3));
    eventually("the state says so", || states.seen().last() == Some(&LinkState::Error)).await;
    let anew = connection::open(server.options()).unwrap();
    assert_eq!(anew.call(command("PING")).await, Ok(Value::Simple("PONG".into())));
}

#[tokio::test]
async fn a_blocking_command_ends_early_even_where_the_server_cannot_be_asked() {
    let server = RedisServer::start();
    server.ask("ACL SETUSER worker on >p ~* &* +@all -client");
    let mut options = server.options();
    (options.username, options.password) = (Some("worker".into()), Some(Secret("p".into())));
    let link = connection::open(options).unwrap();
    let blocking = link.open_blocking();
    let started = Instant::now();
    let (reply, ()) = tokio::join!(blocking.block(command("BLPOP q 60"), Duration::from_secs(60)), async {
        eventually("the command blocks", || server.ask("INFO clients").contains("blocked_clients:1")).await;
        blocking.unblock().await;
    });
    assert_eq!(reply.unwrap_err().code(), ErrorCode::ConnectionLost);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_is_busy_with_a_script_is_tried_again() {
    let server = RedisServer::builder().args(["--lua-time-limit", "50"]).start();
    let mut options = server.options();
    (options.db, options.command_timeout) = (Some(1), Duration::from_secs(8));
    let runaway = connection::open(server.options()).unwrap();
    // Sent here and now, waited for below.
    let endless = runaway.call(command("EVAL").arg("while true do end").int(0).deadline(Duration::from_secs(8)));
    eventually("the server is busy", || server.ask("PING").contains("BUSY")).await;
    let link = connection::open(options).unwrap();
    let mend = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_ne!(link.state(), LinkState::Error);
        server.ask("SCRIPT KILL");
    };
    let (endless, reply, ()) = tokio::join!(endless, link.call(command("PING")), mend);
    assert!(endless.is_err());
    assert_eq!(reply, Ok(Value::Simple("PONG".into())));
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
                    assert!(started.elapsed() < Duration::from_millis(800), "after {:?}", started.elapsed());
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
