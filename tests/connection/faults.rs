//! Faults of our own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    codec::resp::{Reply, Value},
    connection::{self, Batch, LinkState, ReplySink, StateSink},
    testing::{RedisServer, eventually},
};

use crate::support::{States, command, dead_server};

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
