//! Queues with a bound on waiting jobs, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use oxcart::{
    Error, ErrorCode,
    connection::Link,
    queue::{JobState, Overload, OverloadPolicy, Queue, QueueOptions},
    testing::RedisServer,
};
use support::*;

fn bounded(link: &Arc<dyn Link>, max_waiting: i64, policy: OverloadPolicy, timeout_ms: u64) -> Queue {
    let overload = Overload { max_waiting, policy, timeout: Duration::from_millis(timeout_ms) };
    queue_with(link, QueueOptions { overload: Some(overload), ..QueueOptions::default() })
}

async fn waiting(queue: &Queue) -> Vec<String> {
    let jobs = queue.get_jobs(&[JobState::Waiting, JobState::Prioritized], 0, -1, true).await.unwrap();
    jobs.into_iter().map(|job| job.name).collect()
}

fn is_overloaded(result: &Result<String, Error>) -> bool {
    matches!(result, Err(error) if error.code() == ErrorCode::Overloaded && error.is_retryable())
}

#[tokio::test]
async fn jobs_beyond_the_bound_are_refused_and_others_are_not() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = bounded(&link, 3, OverloadPolicy::Reject, 0);
    let jobs = vec![
        job("a", "{}"),
        job("b", r#"{"priority":2}"#),
        job("later", r#"{"delay":60000}"#),
        job("g", r#"{"group":{"id":"g"}}"#),
        job("refused", "{}"),
        job("refused too", r#"{"group":{"id":"g"}}"#),
        job("also later", r#"{"delay":60000}"#),
    ];
    let results = queue.add(jobs).await;
    let refused: Vec<bool> = results.iter().map(is_overloaded).collect();
    assert_eq!(refused, [false, false, false, false, true, true, false]);
    assert_eq!(waiting(&queue).await, ["a", "g", "b"]);
    assert_eq!(queue.get_counts().await.unwrap().delayed, 2);
    // A job that is there already takes no room.
    add(&queue_of(&queue, &link), "same", r#"{"jobId":"same"}"#).await;
    assert_eq!(queue.add(vec![job("same", r#"{"jobId":"same"}"#)]).await.remove(0).unwrap(), "same");
    let mut hands = Hands::start(&queue, options());
    hands.complete_next().await;
    hands.complete_next().await;
    hands.worker.close(Duration::ZERO).await;
    assert!(queue.add(vec![job("now", "{}")]).await.remove(0).is_ok());
}

/// The same queue without a bound.
fn queue_of(queue: &Queue, link: &Arc<dyn Link>) -> Queue {
    Queue::open(Arc::clone(link), queue.name(), QueueOptions::default()).unwrap()
}

#[tokio::test]
async fn many_producers_do_not_exceed_it_together() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = bounded(&link, 50, OverloadPolicy::Reject, 0);
    let adding: Vec<_> = (0..20).map(|_| queue.add((0..10).map(|_| job("n", "{}")).collect())).collect();
    let mut added = 0;
    for results in adding {
        added += results.await.iter().filter(|result| result.is_ok()).count();
    }
    assert_eq!((added, queue.get_counts().await.unwrap().waiting), (50, 50));
}

#[tokio::test]
async fn the_oldest_makes_room() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = bounded(&link, 3, OverloadPolicy::DropOldest, 0);
    let ids = queue.add(["a", "b", "c", "d", "e"].map(|name| job(name, "{}")).into()).await;
    assert!(ids.iter().all(Result::is_ok));
    assert_eq!(waiting(&queue).await, ["c", "d", "e"]);
    assert_eq!(queue.get_job(ids[0].as_ref().unwrap()).await.unwrap(), None);
    assert!(stream(&link, &queue).await.contains(&"removed 1".to_owned()));
    // Only prioritized ones wait: that which would run last goes.
    queue.drain(false).await.unwrap();
    for priority in [2, 9, 5, 1] {
        add(&queue, &format!("p{priority}"), &format!(r#"{{"priority":{priority}}}"#)).await;
    }
    assert_eq!(waiting(&queue).await, ["p1", "p2", "p5"]);
}

#[tokio::test]
async fn a_producer_waits_for_room_but_not_for_ever() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = bounded(&link, 2, OverloadPolicy::Wait, 300);
    let start = std::time::Instant::now();
    let results = queue.add(["a", "b", "c"].map(|name| job(name, "{}")).into()).await;
    assert!(results[0].is_ok() && results[1].is_ok() && is_overloaded(&results[2]));
    assert!(start.elapsed() >= Duration::from_millis(300));
    let patient = bounded(&link, 2, OverloadPolicy::Wait, 10_000);
    add(&patient, "a", "{}").await;
    add(&patient, "b", "{}").await;
    let adding = patient.add(["c", "d", "e"].map(|name| job(name, "{}")).into());
    let mut hands = Hands::start(&patient, options());
    let finishing = async {
        for _ in 0..5 {
            hands.complete_next().await;
        }
    };
    let (results, ()) = tokio::join!(adding, finishing);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    for json in [
        r#"{"overload":{"maxWaiting":0}}"#,
        r#"{"overload":{"maxWaiting":5,"policy":"block"}}"#,
        r#"{"overload":{"maxWaiting":5,"timeout":100}}"#,
        r#"{"overload":{}}"#,
    ] {
        assert_eq!(QueueOptions::from_json(json).unwrap_err().code(), ErrorCode::InvalidOption, "{json}");
    }
}
