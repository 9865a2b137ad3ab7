//! Compressed and encrypted payloads, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use oxcart::{
    ErrorCode,
    connection::Link,
    queue::{JobState, LetterFilter, NewJob, Outcome, Queue, QueueOptions, WorkerEvent},
    scheduler::{JobScheduler, NextIteration, RepeatOptions},
    testing::RedisServer,
};
use support::*;

const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const TWO: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn sealing(link: &Arc<dyn Link>, name: &str, current: &str, keys: &[(&str, &str)]) -> Queue {
    let keys: std::collections::BTreeMap<_, _> = keys.iter().copied().collect();
    let options = serde_json::json!({
        "payload": { "compression": { "threshold": 200 }, "encryption": { "key": current, "keys": keys } },
    });
    Queue::open(Arc::clone(link), name, QueueOptions::from_json(&options.to_string()).unwrap()).unwrap()
}

fn with_data(data: &str, options: &str) -> NewJob {
    NewJob { data: data.to_owned(), ..job("n", options) }
}

#[tokio::test]
async fn nothing_readable_is_stored_and_everything_is_read_back() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = sealing(&link, "q", "k1", &[("k1", ONE)]);
    let large = format!(r#"{{"card":"4111","rows":"{}"}}"#, "again ".repeat(500));
    let id = queue.add(vec![with_data(&large, "{}")]).await.remove(0).unwrap();
    let stored = ask_text(&link, &queue, &format!("HGET @{id} data")).await;
    assert!(stored.starts_with(r#"{"$oxcart":1,"zip":"lz4","key":"k1","data":""#) && stored.len() < 400, "{stored}");
    assert!(!stored.contains("4111"));
    assert_eq!(queue.get_job(&id).await.unwrap().unwrap().data, large);
    assert_eq!(queue.get_jobs(&[JobState::Waiting], 0, -1, true).await.unwrap()[0].data, large);
    // Who has no key lists the job all the same.
    let stranger = Queue::open(Arc::clone(&link), "q", QueueOptions::default()).unwrap();
    assert_eq!(stranger.get_job(&id).await.unwrap().unwrap().data, stored);

    let mut hands = Hands::start(&queue, options());
    let job = hands.job().await;
    assert_eq!(job.record.data, large);
    hands.settle(&job, Outcome::Completed { value: r#"{"secret":7}"#.into() }).await;
    let returned = ask_text(&link, &queue, &format!("HGET @{id} returnvalue")).await;
    assert!(returned.starts_with(r#"{"$oxcart":1,"key":"k1""#), "{returned}");
    assert_eq!(queue.get_job(&id).await.unwrap().unwrap().return_value.as_deref(), Some(r#"{"secret":7}"#));
    queue.update_data(&id, "[1]").await.unwrap();
    assert!(ask_text(&link, &queue, &format!("HGET @{id} data")).await.contains("\"key\":\"k1\""));
    assert_eq!(queue.get_job(&id).await.unwrap().unwrap().data, "[1]");
}

#[tokio::test]
async fn a_job_without_its_key_fails_and_is_not_lost() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = sealing(&link, "q", "k2", &[("k1", ONE), ("k2", TWO)]);
    let options_of_job = r#"{"attempts":3,"removeOnFail":true}"#;
    let id = queue.add(vec![with_data(r#"{"a":1}"#, options_of_job)]).await.remove(0).unwrap();
    for stranger in [sealing(&link, "q", "k1", &[("k1", ONE)]), sealing(&link, "q", "k2", &[("k2", ONE)])] {
        let mut hands = Hands::start(&stranger, options());
        let error = hands
            .event("the reason", |event| match event {
                WorkerEvent::Error(error) => Some(error.clone()),
                _ => None,
            })
            .await;
        assert_eq!(error.code(), ErrorCode::PayloadUnreadable);
        eventually("it has failed", || async { queue.get_state(&id).await.unwrap() == Some(JobState::Failed) }).await;
        let failed = queue.get_job(&id).await.unwrap().unwrap();
        assert!(failed.failed_reason.unwrap().contains("`k2`"));
        assert_eq!(failed.data, r#"{"a":1}"#);
        hands.worker.close(Duration::ZERO).await;
        queue
            .retry(&id, JobState::Failed, oxcart::queue::Reset { attempts_made: true, attempts_started: true })
            .await
            .unwrap();
    }
    let mut hands = Hands::start(&queue, options());
    assert_eq!(hands.job().await.record.data, r#"{"a":1}"#);
}

#[tokio::test]
async fn jobs_that_are_fetched_by_hand_are_read_sealed_and_buried_too() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = sealing(&link, "q", "k1", &[("k1", ONE)]);
    let options_of_job = r#"{"deadLetter":"dead","removeOnFail":true}"#;
    for _ in 0..3 {
        queue.add(vec![with_data("[1]", options_of_job)]).await.remove(0).unwrap();
    }
    let worker = options();
    let take = || queue.take_job(&worker, &NextIteration, "t");
    let first = take().await.unwrap().job.unwrap();
    assert_eq!(first.data, "[1]");
    let done = Outcome::Completed { value: "7".into() };
    let (_, next) = queue.finish_job(&worker, &NextIteration, &first.id, "t", done, true).await.unwrap();
    assert!(ask_text(&link, &queue, "HGET @1 returnvalue").await.starts_with(r#"{"$oxcart":1,"key":"k1""#));
    let second = next.unwrap().job.unwrap();
    let (_, next) = queue.finish_job(&worker, &NextIteration, &second.id, "t", failed("no"), true).await.unwrap();
    assert_eq!(next.unwrap().job.unwrap().id, "3");
    let dead = sealing(&link, "dead", "k1", &[("k1", ONE)]);
    let letters = dead.get_dead_letters(&LetterFilter::default(), 0, 10).await.unwrap();
    assert!(letters.jobs[0].data.contains(r#""originalJobId":"2","originalData":[1],"#), "{}", letters.jobs[0].data);
    // Without the key the job must fail.
    ask(&link, &queue, "RPOPLPUSH @active @wait").await;
    let stranger = Queue::open(Arc::clone(&link), "q", QueueOptions::default()).unwrap();
    let third = stranger.take_job(&worker, &NextIteration, "t").await.unwrap().job.unwrap();
    assert!(third.deferred_failure.unwrap().contains("`k1`"));
}

#[tokio::test]
async fn sizes_hold_before_and_after() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = sealing(&link, "q", "k1", &[("k1", ONE)]);
    let noise: String = std::iter::repeat_with(|| 'x').take(100).collect();
    let data = format!("\"{noise}\"");
    for limit in [50, 120] {
        // The data alone would pass the second one; its envelope does not.
        let options = format!(r#"{{"sizeLimit":{limit}}}"#);
        let error = queue.add(vec![with_data(&data, &options)]).await.remove(0).unwrap_err();
        assert_eq!(error.code(), ErrorCode::JobTooLarge);
    }
    assert!(queue.add(vec![with_data(&data, r#"{"sizeLimit":400}"#)]).await.remove(0).is_ok());
}

#[tokio::test]
async fn schedulers_and_dead_letters_keep_the_envelope() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = sealing(&link, "q", "k1", &[("k1", ONE)]);
    let dead = sealing(&link, "dead", "k1", &[("k1", ONE)]);
    let scheduler = JobScheduler::new(queue.clone());
    let repeat = RepeatOptions::from_json(r#"{"every":60000}"#, None).unwrap();
    let dying = oxcart::queue::JobOptions::from_json(r#"{"deadLetter":"dead"}"#).unwrap();
    scheduler.upsert("s", repeat, "n", r#"{"pin":42}"#, dying).await.unwrap();
    assert!(!ask_text(&link, &queue, "HGET @repeat:s data").await.contains("\"pin\""));
    assert_eq!(scheduler.get("s").await.unwrap().unwrap().data.as_deref(), Some(r#"{"pin":42}"#));
    let mut hands = Hands::start(&queue, options());
    let job = hands.job().await;
    assert_eq!(job.record.data, r#"{"pin":42}"#);
    hands.settle(&job, failed("no")).await;
    let letter = ask_list(&link, &dead, "LRANGE @wait 0 -1").await.remove(0);
    assert!(!ask_text(&link, &dead, &format!("HGET @{letter} data")).await.contains("\"pin\""));
    let found = dead.get_dead_letters(&LetterFilter::default(), 0, 10).await.unwrap();
    assert!(found.jobs[0].data.contains(r#""originalData":{"pin":42},"#), "{}", found.jobs[0].data);
    assert_eq!(dead.redrive(&LetterFilter::default(), None).await.unwrap().redriven, 1);
    assert_eq!(hands.job().await.record.data, r#"{"pin":42}"#);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    for json in [
        r#"{"payload":{"encryption":{"key":"a","keys":{}}}}"#,
        r#"{"payload":{"encryption":{"keys":{}}}}"#,
        r#"{"payload":{"compression":{"threshold":-1}}}"#,
        r#"{"payload":{"zip":true}}"#,
    ] {
        assert_eq!(QueueOptions::from_json(json).unwrap_err().code(), ErrorCode::InvalidOption, "{json}");
    }
}
