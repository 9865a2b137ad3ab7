//! Dead letters against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use oxcart::{
    ErrorCode,
    connection::{Command, Link},
    queue::{
        DeadLetter, JobCounts, JobState, LetterFilter, NewJob, Outcome, Queue, QueueOptions, Retry, Settlement,
        WorkerOptions,
    },
    testing::RedisServer,
};
use serde_json::{Value as Json, json};
use support::*;

fn named(link: &Arc<dyn Link>, name: &str) -> Queue {
    Queue::open(Arc::clone(link), name, QueueOptions::default()).unwrap()
}

fn to_dead(limit: Option<i64>) -> WorkerOptions {
    WorkerOptions { dead_letter: Some(DeadLetter::To { queue: "dead".into(), limit }), ..options() }
}

#[expect(clippy::needless_pass_by_value, reason = "reads like a literal at each call")]
fn filter(json: Json) -> LetterFilter {
    LetterFilter::from_json(&json.to_string()).unwrap()
}

async fn letters(dead: &Queue, json: Json) -> Vec<Json> {
    let found = dead.get_dead_letters(&filter(json), 0, 1000).await.unwrap();
    found.jobs.iter().map(|job| serde_json::from_str(&job.data).unwrap()).collect()
}

#[tokio::test]
async fn a_job_that_failed_for_good_is_moved_with_what_is_known_and_comes_back_whole() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    let options = r#"{"attempts":2,"priority":4,"jobId":"mine","deadLetter":"dead"}"#;
    let data = r#"{"list":[],"big":12345678901234567890,"text":"a/b"}"#;
    let new = NewJob { data: data.into(), ..job("welcome", options) };
    queue.add(vec![new]).await.remove(0).unwrap();
    let mut hands = Hands::start(&queue, support::options());
    let first = hands.job().await;
    hands.settle(&first, failed("one")).await;
    let second = hands.job().await;
    assert_eq!(hands.settle(&second, failed("two")).await, Settlement::Failed { attempts_made: 2 });

    assert_eq!(queue.get_job("mine").await.unwrap(), None);
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.failed, counts.active, counts.waiting), (0, 0, 0));
    let events = stream(&link, &queue).await;
    assert_eq!(events[events.len() - 3..], ["failed mine", "retries-exhausted mine", "drained"]);
    let found = dead.get_dead_letters(&LetterFilter::default(), 0, 10).await.unwrap();
    assert_eq!((found.jobs.len(), found.next, found.jobs[0].name.as_str()), (1, None, "failed-job"));
    assert!(found.jobs[0].data.contains(&format!(r#""originalData":{data},"#)), "{}", found.jobs[0].data);
    let content: Json = serde_json::from_str(&found.jobs[0].data).unwrap();
    assert_eq!(content["originalQueue"], "mail");
    assert_eq!(content["originalJobType"], "welcome");
    assert_eq!(content["originalJobId"], "mine");
    assert_eq!((&content["error"], &content["reason"]), (&json!("two"), &json!("failed")));
    assert_eq!(content["attemptsMade"], 2);
    assert_eq!(content["stacktrace"].as_array().unwrap().len(), 2);
    assert!(content["failedAt"].as_str().unwrap().ends_with('Z'));

    let done = dead.redrive(&LetterFilter::default(), None).await.unwrap();
    assert_eq!((done.redriven, done.skipped), (1, 0));
    assert_eq!(dead.get_counts().await.unwrap().waiting, 0);
    let again = hands.job().await.record;
    assert_eq!((again.id.as_str(), again.data.as_str(), again.priority), ("mine", data, 4));
    assert_eq!((again.attempts_made, again.attempts_started), (0, 1));
    let opts: Json = serde_json::from_str(&again.opts).unwrap();
    assert_eq!((&opts["attempts"], &opts["deadLetter"]["queue"]), (&json!(2), &json!("dead")));
}

#[tokio::test]
async fn letters_say_why_and_filters_choose_by_it() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    let mut hands = Hands::start(&queue, to_dead(None));
    for (name, reason, retry) in [
        ("a", "no disk", Retry::ByOptions),
        ("b", "no such user", Retry::Never),
        // What a processor says of others decides nothing.
        ("c", "call of billing ran longer than its timeout of 5 ms", Retry::ByOptions),
    ] {
        add(&queue, name, "{}").await;
        let job = hands.job().await;
        hands.settle(&job, Outcome::Failed { reason: reason.into(), stack: None, retry }).await;
    }
    add(&queue, "timeout", "{}").await;
    let job = hands.job().await;
    hands.settle(&job, Outcome::TimedOut { reason: "too slow".into(), stack: None, retry: Retry::ByOptions }).await;
    // Its worker died too often.
    let id = add(&queue, "d", r#"{"delay":600000}"#).await;
    let stalled = Command::new("HSET").arg(format!("bull:mail:{id}")).arg("defa");
    link.call(stalled.arg("job stalled more than allowable limit")).await.unwrap();
    queue.promote(&id).await.unwrap();
    eventually("five letters", || async { dead.get_counts().await.unwrap().waiting == 5 }).await;

    let reasons: Vec<_> = letters(&dead, json!({})).await.iter().map(|one| one["reason"].clone()).collect();
    assert_eq!(reasons, ["failed", "unrecoverable", "failed", "timeout", "stalled"]);
    let chosen = letters(&dead, json!({"name": "b", "queue": "mail", "error": "such"})).await;
    assert_eq!(chosen.len(), 1);
    assert!(letters(&dead, json!({"queue": "other"})).await.is_empty());
    assert_eq!(letters(&dead, json!({"reason": "timeout"})).await.len(), 1);
    assert_eq!(letters(&dead, json!({"ids": ["1", "3"]})).await.len(), 2);
    assert!(letters(&dead, json!({"until": 1000})).await.is_empty());
    assert_eq!(letters(&dead, json!({"since": 1000})).await.len(), 5);
    // Only what is chosen goes back, in its order.
    queue.pause().await.unwrap();
    assert_eq!(dead.redrive(&filter(json!({"error": "no "})), None).await.unwrap().redriven, 2);
    assert_eq!(ask_list(&link, &queue, "LRANGE @wait 0 -1").await, ["2", "1"]);
    assert_eq!(letters(&dead, json!({})).await.len(), 3);
    let error = LetterFilter::from_json(r#"{"resaon":"x"}"#).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
}

#[tokio::test]
async fn many_letters_are_listed_and_put_back_in_slices() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    let names = |number: usize| if number.is_multiple_of(3) { "third" } else { "other" };
    queue.add((0..450).map(|number| job(names(number), "{}")).collect()).await;
    let worker = automatic(&queue, WorkerOptions { concurrency: 50, ..to_dead(None) }, |_| failed("no"));
    eventually("all are dead", || async { dead.get_counts().await.unwrap().waiting == 450 }).await;
    worker.close(PATIENCE).await;
    let mut seen = 0;
    let mut start = Some(0);
    while let Some(from) = start {
        let page = dead.get_dead_letters(&filter(json!({"name": "third"})), from, 40).await.unwrap();
        seen += page.jobs.len();
        start = page.next;
    }
    assert_eq!(seen, 150);
    queue.pause().await.unwrap();
    assert_eq!(dead.redrive(&filter(json!({"name": "third"})), Some(7)).await.unwrap().redriven, 7);
    assert_eq!(dead.redrive(&filter(json!({"name": "third"})), None).await.unwrap().redriven, 143);
    assert_eq!(dead.redrive(&LetterFilter::default(), None).await.unwrap().redriven, 300);
    let waiting = ask_list(&link, &queue, "LRANGE @wait 0 -1").await;
    assert_eq!(waiting.len(), 450);
    assert_eq!(dead.get_counts().await.unwrap().waiting, 0);
    let keys = ask_list(&link, &dead, "KEYS bull:dead:[0-9]*").await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn the_oldest_letters_go_when_there_are_too_many() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    queue.add((0..20).map(|_| job("n", "{}")).collect()).await;
    let worker = automatic(&queue, to_dead(Some(5)), |_| failed("no"));
    eventually("all have failed", || async { queue.get_counts().await.unwrap() == JobCounts::default() }).await;
    worker.close(PATIENCE).await;
    let ids: Vec<_> = letters(&dead, json!({})).await.iter().map(|one| one["originalJobId"].clone()).collect();
    assert_eq!(ids, ["16", "17", "18", "19", "20"]);
}

#[tokio::test]
async fn a_letter_whose_job_is_there_again_stays() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    add(&queue, "n", r#"{"jobId":"mine","deadLetter":{"queue":"dead"}}"#).await;
    let mut hands = Hands::start(&queue, options());
    let job = hands.job().await;
    hands.settle(&job, failed("no")).await;
    hands.worker.close(PATIENCE).await;
    add(&queue, "n", r#"{"jobId":"mine"}"#).await;
    let done = dead.redrive(&LetterFilter::default(), None).await.unwrap();
    assert_eq!((done.redriven, done.skipped), (0, 1));
    assert_eq!(letters(&dead, json!({})).await.len(), 1);
}

#[tokio::test]
async fn a_job_says_more_than_its_worker_and_a_failed_one_can_be_moved_later() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    let id = add(&queue, "n", r#"{"deadLetter":false}"#).await;
    let mut hands = Hands::start(&queue, to_dead(None));
    let job = hands.job().await;
    assert!(!queue.bury(&id, "dead", None).await.unwrap());
    hands.settle(&job, failed("no")).await;
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Failed));
    assert!(queue.bury(&id, "dead", None).await.unwrap());
    assert!(!queue.bury(&id, "dead", None).await.unwrap());
    assert_eq!(letters(&dead, json!({})).await[0]["error"], "no");
    assert_eq!(queue.bury(&id, "a:b", None).await.unwrap_err().code(), ErrorCode::InvalidOption);
}

#[tokio::test]
async fn a_late_failure_of_a_job_that_others_have_buries_nothing() {
    let server = RedisServer::start();
    let link = open(&server);
    let (queue, dead) = (named(&link, "mail"), named(&link, "dead"));
    let id = add(&queue, "n", "{}").await;
    let mut hands = Hands::start(&queue, WorkerOptions { lock_duration: Duration::from_secs(20), ..to_dead(None) });
    let job = hands.job().await;
    ask(&link, &queue, &format!("SET @{id}:lock other")).await;
    hands.worker.report(&job.record.id, &job.token, failed("late"));
    let code = hands
        .event("a refusal", |event| match event {
            oxcart::queue::WorkerEvent::NotSettled { error, .. } => Some(error.code()),
            _ => None,
        })
        .await;
    assert_eq!(code, ErrorCode::JobLockLost);
    assert_eq!(dead.get_counts().await.unwrap().waiting, 0);
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Active));
}
