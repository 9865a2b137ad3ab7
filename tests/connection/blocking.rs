//! Blocking commands, and how they end.

use std::time::{Duration, Instant};

use oxcart::{
    ErrorCode,
    codec::resp::Value,
    connection::{self, Secret},
    testing::{RedisServer, eventually},
};

use crate::support::{command, dead_server, maybe_executed};

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
async fn a_blocking_command_returns_what_comes() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let blocking = link.open_blocking();
    let (popped, ()) = tokio::join!(blocking.block(command("BLPOP q 5"), Duration::from_secs(5)), async {
        eventually("the command blocks", || server.ask("INFO clients").contains("blocked_clients:1")).await;
        link.call(command("LPUSH q job")).await.unwrap();
    });
    assert_eq!(popped.unwrap().into_items().unwrap()[1], Value::Bulk(b"job".to_vec()));
    let started = Instant::now();
    assert_eq!(blocking.block(command("BLPOP q 0.05"), Duration::from_millis(50)).await, Ok(Value::Nil));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn unblocking_ends_a_blocking_command_early() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let blocking = link.open_blocking();
    let started = Instant::now();
    // At once, so that the server has not even seen the command.
    let (popped, ()) = tokio::join!(blocking.block(command("BLPOP q 60"), Duration::from_secs(60)), async {
        tokio::task::yield_now().await;
        blocking.unblock().await;
    });
    assert_eq!(popped, Ok(Value::Nil));
    let (popped, ()) = tokio::join!(blocking.block(command("BLPOP q 60"), Duration::from_secs(60)), async {
        eventually("the command blocks", || server.ask("INFO clients").contains("blocked_clients:1")).await;
        blocking.unblock().await;
    });
    assert_eq!(popped, Ok(Value::Nil));
    assert!(started.elapsed() < Duration::from_secs(5));
    // With nothing to end, nothing happens.
    blocking.unblock().await;
}
