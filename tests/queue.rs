//! Adding jobs, looking at them and administration, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use oxcart::{
    ErrorCode,
    clock::Clock,
    codec::resp::Value,
    connection::Command,
    queue::{JobOptions, JobState, KeepPolicy, NewJob, QueueOptions, WorkerOptions},
    testing::RedisServer,
};
use support::*;

#[tokio::test]
async fn a_paused_queue_rests_until_resumed() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    queue.pause().await.unwrap();
    queue.pause().await.unwrap();
    assert!(queue.is_paused().await.unwrap());
    add(&queue, "n", "{}").await;
    assert!(hands.no_job_for(200).await);
    assert_eq!(queue.get_counts().await.unwrap().waiting, 1);
    // What version 5 set aside comes back too, before what came later.
    ask(&link, &queue, "HSET @old name old data {} opts {} timestamp 1 delay 0 priority 0").await;
    ask(&link, &queue, "LPUSH @paused old").await;
    queue.resume().await.unwrap();
    assert_eq!(hands.complete_next().await, "old");
    assert_eq!(hands.complete_next().await, "n");
    let events = stream(&link, &queue).await;
    assert_eq!(events.iter().filter(|event| *event == "paused").count(), 1);
    assert!(events.contains(&"resumed".to_owned()));
}

#[tokio::test]
async fn custom_ids_are_added_once() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let options = r#"{"jobId":"order-7"}"#;
    assert_eq!(add(&queue, "a", options).await, "order-7");
    assert_eq!(add(&queue, "b", options).await, "order-7");
    assert_eq!(queue.get_counts().await.unwrap().waiting, 1);
    assert_eq!(queue.get_job("order-7").await.unwrap().unwrap().name, "a");
    assert!(stream(&link, &queue).await.contains(&"duplicated order-7".to_owned()));
    for id in ["7", "a:b", "", "0:a:b"] {
        let options = JobOptions { job_id: Some(id.into()), ..JobOptions::default() };
        let error =
            queue.add(vec![NewJob { name: "n".into(), data: String::new(), options }]).await.remove(0).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption, "{id}");
    }
}

#[tokio::test]
async fn options_are_refused_with_their_path() {
    for (json, path) in [
        (r#"{"prioritty":1}"#, "prioritty"),
        (r#"{"priority":-1}"#, "priority"),
        (r#"{"priority":2097152}"#, "priority"),
        (r#"{"delay":"soon"}"#, "delay"),
        (r#"{"delay":-5}"#, "delay"),
        (r#"{"attempts":1.5}"#, "attempts"),
        (r#"{"backoff":{"type":"fixed","jitter":2}}"#, "backoff.jitter"),
        (r#"{"backoff":"fast"}"#, "backoff"),
        (r#"{"removeOnComplete":{"count":1,"agee":2}}"#, "removeOnComplete"),
        (r#"{"jobId":"12"}"#, "jobId"),
    ] {
        let error = JobOptions::from_json(json).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption, "{json}");
        assert!(
            error.details().iter().any(|(name, detail)| *name == "option" && *detail == path.into()),
            "{json}: {error:?}"
        );
    }
    for (json, path) in [
        (r#"{"concurrency":0}"#, "concurrency"),
        (r#"{"limiter":{"max":1}}"#, "limiter"),
        (r#"{"lockDuration":1000,"lockRenewTime":2000}"#, "lockRenewTime"),
        (r#"{"nope":1}"#, "nope"),
    ] {
        let error = WorkerOptions::from_json(json).unwrap_err();
        assert!(
            error.details().iter().any(|(name, detail)| *name == "option" && *detail == path.into()),
            "{json}: {error:?}"
        );
    }
    let all = r#"{"delay":5,"priority":2,"attempts":3,"backoff":100,"lifo":true,"removeOnComplete":5,"removeOnFail":{"count":1,"age":2},"keepLogs":3,"stackTraceLimit":1,"sizeLimit":10,"jobId":"x","timestamp":7}"#;
    let options = JobOptions::from_json(all).unwrap();
    assert_eq!(options.backoff.as_ref().map(|backoff| backoff.kind.as_str()), Some("fixed"));
    assert_eq!(options.remove_on_fail, Some(KeepPolicy { count: Some(1), age: Some(2), limit: None }));
}

#[tokio::test]
async fn data_beyond_its_limit_is_refused() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut big = job("n", r#"{"sizeLimit":10}"#);
    big.data = "\"12345678901\"".into();
    let results = queue.add(vec![job("a", "{}"), big, job("b", "{}")]).await;
    assert_eq!(results[1].as_ref().unwrap_err().code(), ErrorCode::JobTooLarge);
    assert_eq!((results[0].as_deref(), results[2].as_deref()), (Ok("1"), Ok("2")));
}

#[tokio::test]
async fn jobs_are_listed_changed_and_removed() {
    let server = RedisServer::start();
    let link = open(&server);
    let clock = Clock::manual(1_000_000_000_000);
    let queue = queue_with(&link, QueueOptions { clock: clock.clone(), ..QueueOptions::default() });
    queue.add(vec![job("a", "{}"), job("b", "{}"), job("d", r#"{"delay":5000}"#), job("e", r#"{"delay":1000}"#)]).await;
    let names = async |states: &[JobState], ascending| {
        let jobs = queue.get_jobs(states, 0, -1, ascending).await.unwrap();
        jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&[JobState::Waiting], true).await, ["a", "b"]);
    assert_eq!(names(&[JobState::Waiting, JobState::Delayed], false).await, ["b", "a", "d", "e"]);
    assert_eq!(queue.get_jobs(&[JobState::Waiting], 0, 0, true).await.unwrap()[0].name, "a");

    queue.update_data("1", "[1]").await.unwrap();
    queue.update_progress("1", "50").await.unwrap();
    assert_eq!(queue.add_log("1", "x", None).await.unwrap(), 1);
    assert_eq!(queue.add_log("1", "y", Some(1)).await.unwrap(), 1);
    assert_eq!(queue.get_logs("1", 0, -1).await.unwrap(), (vec!["y".to_owned()], 1));
    let changed = queue.get_job("1").await.unwrap().unwrap();
    assert_eq!((changed.data.as_str(), changed.progress.as_deref()), ("[1]", Some("50")));

    queue.promote("3").await.unwrap();
    assert_eq!(queue.promote("3").await.unwrap_err().code(), ErrorCode::JobNotInState);
    assert_eq!(queue.promote("99").await.unwrap_err().code(), ErrorCode::JobNotFound);
    queue.change_priority("2", 1, false).await.unwrap();
    assert_eq!(queue.get_state("2").await.unwrap(), Some(JobState::Prioritized));
    queue.change_delay("4", 0).await.unwrap();

    assert!(queue.remove("2", true).await.unwrap());
    assert!(!queue.remove("2", true).await.unwrap());
    assert_eq!(names(&JobState::ALL, true).await, ["a", "d", "e"]);
    clock.advance_ms(60_000);
    assert_eq!(queue.clean(120_000, 0, JobState::Waiting).await.unwrap(), Vec::<String>::new());
    let mut cleaned = queue.clean(1000, 0, JobState::Waiting).await.unwrap();
    cleaned.sort();
    assert_eq!(cleaned, ["1", "3"]);
    queue.drain(true).await.unwrap();
    assert_eq!(names(&JobState::ALL, true).await, Vec::<String>::new());
    add(&queue, "z", "{}").await;
    queue.obliterate(false).await.unwrap();
    assert_eq!(link.call(Command::new("DBSIZE")).await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn one_job_stands_for_all_with_its_deduplication_id() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let simple = r#"{"deduplication":{"id":"d"}}"#;
    assert_eq!(add(&queue, "a", simple).await, "1");
    assert_eq!(add(&queue, "b", simple).await, "1");
    let mut hands = Hands::start(&queue, options());
    assert_eq!(hands.complete_next().await, "a");
    // Its end closes the window.
    assert_eq!(add(&queue, "c", simple).await, "3");
    assert_eq!(hands.complete_next().await, "c");
    // The last one handed in while the first runs comes after it.
    let keep = r#"{"deduplication":{"id":"k","keepLastIfActive":true}}"#;
    let first = add(&queue, "first", keep).await;
    let running = hands.job().await;
    assert_eq!(add(&queue, "second", keep).await, first);
    assert_eq!(add(&queue, "third", keep).await, first);
    hands.settle(&running, completed()).await;
    let job = hands.job().await;
    assert_eq!((job.record.name.as_str(), job.record.deduplication_id.as_deref()), ("third", Some("k")));
    hands.settle(&job, completed()).await;
    assert!(hands.no_job_for(100).await);
    assert_eq!(ask_int(&link, &queue, "EXISTS @de:k @dn:k @de:d").await, 0);

    for json in [
        r#"{"deduplication":{"id":""}}"#,
        r#"{"deduplication":{"id":"a","ttl":0}}"#,
        r#"{"deduplication":{"key":"a"}}"#,
    ] {
        assert_eq!(oxcart::queue::JobOptions::from_json(json).unwrap_err().code(), ErrorCode::InvalidOption, "{json}");
    }
}
