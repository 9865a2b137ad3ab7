//! What keeps a job from running, or from running on: cancellation from elsewhere, an expired start, too many starts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use oxcart::{
    clock::Clock,
    queue::{JobState, Settlement, WorkerEvent, WorkerOptions},
    testing::RedisServer,
};
use support::*;

fn requested(event: &WorkerEvent) -> Option<(String, String, Option<String>)> {
    match event {
        WorkerEvent::CancelRequested { job_id, token, reason } => Some((job_id.clone(), token.clone(), reason.clone())),
        _ => None,
    }
}

#[tokio::test]
async fn the_worker_that_runs_a_job_hears_that_it_is_to_be_cancelled() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut first = Hands::start(&queue, options());
    let id = add(&queue, "a", "{}").await;
    let job = first.job().await;
    let mut second = Hands::start(&queue, options());
    let other = add(&queue, "b", "{}").await;
    let other_job = second.job().await;

    eventually("a subscription", || async { queue.cancel_job(&id, Some("not \"wanted\"")).await.unwrap() }).await;
    let heard = first.event("a request", requested).await;
    assert_eq!(heard, (id.clone(), job.token.clone(), Some("not \"wanted\"".to_owned())));
    eventually("a subscription", || async { queue.cancel_job(&other, None).await.unwrap() }).await;
    let heard = second.event("a request", requested).await;
    assert_eq!(heard, (other, other_job.token, None));

    assert!(!queue.cancel_job("no such job", None).await.unwrap());
    first.settle(&job, completed()).await;
    assert!(!queue.cancel_job(&id, None).await.unwrap(), "it has finished");
}

#[tokio::test]
async fn a_request_for_an_earlier_run_is_not_taken_for_this_one() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    let id = add(&queue, "a", "{}").await;
    let job = hands.job().await;
    eventually("a subscription", || async { queue.cancel_job(&id, Some("this one")).await.unwrap() }).await;
    hands.event("a request", requested).await;
    let worker = job.token.rsplit_once(':').unwrap().0.to_owned();
    for message in [
        r#"{"id":"1","token":"another:0","reason":"stale"}"#.to_owned(),
        "nonsense".to_owned(),
        format!(r#"{{"id":"1","token":"{}"}}"#, job.token),
    ] {
        let prefix = queue.qualified_name();
        let publish = oxcart::connection::Command::new("PUBLISH").arg(format!("{prefix}:cancel:{worker}")).arg(message);
        assert_eq!(link.call(publish).await.unwrap().into_int().unwrap(), 1);
    }
    let heard = hands.event("a request", requested).await;
    assert_eq!(heard.2, None, "the stale request came through");
}

#[tokio::test]
async fn a_worker_without_remote_cancel_is_not_subscribed() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, WorkerOptions { skip_remote_cancel: true, ..options() });
    let id = add(&queue, "a", "{}").await;
    hands.job().await;
    assert!(!queue.cancel_job(&id, None).await.unwrap());
    assert_eq!(ask(&link, &queue, "PUBSUB CHANNELS").await.into_items().unwrap().len(), 0);
}

#[tokio::test]
async fn a_closed_worker_hears_nothing_more() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    let id = add(&queue, "a", "{}").await;
    hands.job().await;
    eventually("a subscription", || async { queue.cancel_job(&id, None).await.unwrap() }).await;
    hands.worker.close(Duration::ZERO).await;
    eventually("no subscription", || async { !queue.cancel_job(&id, None).await.unwrap() }).await;
}

#[tokio::test]
async fn a_job_that_expired_before_its_first_start_fails() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let now = Clock::system().now_ms();
    let id = add(&queue, "late", r#"{"expireAt":"2020-02-03T04:05:06Z","attempts":5}"#).await;
    let in_time = add(&queue, "in time", &format!(r#"{{"expireAt":{}}}"#, now + 600_000)).await;
    let mut hands = Hands::start(&queue, options());
    assert_eq!(hands.job().await.record.name, "in time");
    let reason = hands
        .event("a failure", |event| match event {
            WorkerEvent::FailedUndelivered { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "job expired: it was not started by 2020-02-03T04:05:06.000Z");
    eventually("the failure", || async { queue.get_state(&id).await.unwrap() == Some(JobState::Failed) }).await;
    let stored = queue.get_job(&id).await.unwrap().unwrap();
    assert_eq!(stored.failed_reason.as_deref(), Some(reason.as_str()));
    let opts: serde_json::Value = serde_json::from_str(&queue.get_job(&in_time).await.unwrap().unwrap().opts).unwrap();
    assert_eq!(opts["expireAt"], now + 600_000);
}

#[tokio::test]
async fn a_job_that_was_started_in_time_may_be_tried_again_later() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let expire_at = Clock::system().now_ms() + 2_000;
    add(&queue, "a", &format!(r#"{{"expireAt":{expire_at},"attempts":2,"backoff":2500}}"#)).await;
    let mut hands = Hands::start(&queue, options());
    let first = hands.job().await;
    assert!(matches!(hands.settle(&first, failed("once")).await, Settlement::Retrying { .. }));
    let second = hands.job().await;
    assert!(Clock::system().now_ms() > expire_at);
    assert_eq!(hands.settle(&second, completed()).await, Settlement::Completed);
}

#[tokio::test]
async fn a_job_is_not_started_more_often_than_it_may() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let id = add(&queue, "a", r#"{"attempts":10}"#).await;
    let mut hands = Hands::start(&queue, WorkerOptions { max_started_attempts: Some(2), ..options() });
    let first = hands.job().await;
    assert!(matches!(hands.settle(&first, failed("one")).await, Settlement::Retrying { .. }));
    let second = hands.job().await;
    assert_eq!(hands.settle(&second, failed("two")).await, Settlement::Failed { attempts_made: 2 });
    // One that comes back without having failed is refused when it is taken.
    queue.retry(&id, JobState::Failed, oxcart::queue::Reset::default()).await.unwrap();
    eventually("the refusal", || async {
        let stored = queue.get_job(&id).await.unwrap().unwrap();
        stored.failed_reason.as_deref() == Some("job started more than allowable limit")
    })
    .await;
}
