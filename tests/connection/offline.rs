//! Commands, and their callers, while there is no connection.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    codec::resp::Value,
    connection::{self, BoxFuture, Command, LinkState, RetryStrategy},
    testing::{RedisServer, eventually},
};

use crate::support::{States, command, dead_server, maybe_executed, ready};

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
async fn a_link_that_is_dropped_lets_go_of_its_options() {
    let server = dead_server();
    let strategy = Arc::new(ThreeTimes::default());
    let mut options = server.options();
    options.retry_strategy = Some(Arc::clone(&strategy) as _);
    let link = connection::open(options).unwrap();
    assert!(Arc::strong_count(&strategy) > 1);
    drop(link);
    eventually("nobody has the strategy", || Arc::strong_count(&strategy) == 1).await;
}
