//! Servers that refuse the login, that are not ready, that are no servers at all.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    codec::resp::Value,
    connection::{self, ConnectionOptions, LinkState, Secret},
    testing::{RedisServer, eventually},
};
use tokio::io::AsyncWriteExt;

use crate::support::{States, command, ready};

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
