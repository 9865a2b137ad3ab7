//! Reading the events of queues, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use oxcart::{queue::QueueEvents, testing::RedisServer};
use support::*;

#[tokio::test]
async fn events_of_several_queues_are_read_from_now_or_from_a_place() {
    let server = RedisServer::start();
    let link = open(&server);
    let (one, two) = (queue(&link), queue(&link));
    add(&one, "before", "{}").await;
    let logs: [Arc<Log>; 3] = Default::default();
    let first = QueueEvents::subscribe(&one, None, Arc::clone(&logs[0]) as _).await.unwrap();
    let _second = QueueEvents::subscribe(&two, None, Arc::clone(&logs[1]) as _).await.unwrap();
    let _all = QueueEvents::subscribe(&one, Some("0-0".into()), Arc::clone(&logs[2]) as _).await.unwrap();
    add(&one, "n", "{}").await;
    add(&two, "n", "{}").await;
    eventually("events", || async {
        logs[0].lines() == ["added 2", "waiting 2"]
            && logs[1].lines() == ["added 1", "waiting 1"]
            && logs[2].lines() == ["added 1", "waiting 1", "added 2", "waiting 2"]
    })
    .await;
    drop(first);
    add(&one, "n", "{}").await;
    eventually("the last", || async { logs[2].lines().len() == 6 }).await;
    assert_eq!(logs[0].lines().len(), 2);
    assert!(QueueEvents::subscribe(&one, Some("x".into()), Arc::clone(&logs[0]) as _).await.is_err());
}
