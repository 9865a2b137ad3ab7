//! What bounds a queue's data by default, and that removing much of it never holds the server up for long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use oxcart::{
    ErrorCode,
    connection::{Command, Link},
    queue::{JobState, KeepPolicy, NewJob, Outcome, Queue, Settlement, WorkerEvent, WorkerOptions},
    testing::RedisServer,
};
use support::*;

const MIB: usize = 1 << 20;

fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test]
async fn payloads_are_bounded() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let code = |result: Result<(), oxcart::Error>| result.unwrap_err().code();
    let large = json_of(16 * MIB + 1);
    let job = NewJob { name: "n".into(), data: large.clone(), options: support::job("n", "{}").options };
    assert_eq!(queue.add(vec![job.clone()]).await.remove(0).unwrap_err().code(), ErrorCode::JobTooLarge);
    let allowed = NewJob { options: support::job("n", r#"{"sizeLimit":33554432}"#).options, ..job };
    queue.add(vec![allowed]).await.remove(0).unwrap();
    let id = add(&queue, "n", "{}").await;
    assert_eq!(code(queue.update_data(&id, &large).await), ErrorCode::JobTooLarge);
    assert_eq!(code(queue.update_progress(&id, &large).await), ErrorCode::JobTooLarge);
    assert_eq!(code(queue.add_log(&id, &large, None).await.map(drop)), ErrorCode::JobTooLarge);
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_job_for_good() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let id = add(&queue, "n", r#"{"attempts":3}"#).await;
    let mut hands = Hands::start(&queue, options());
    let job = hands.job().await;
    hands.worker.report(&id, &job.token, Outcome::Completed { value: json_of(16 * MIB + 1) });
    let (settlement, refused) = hands
        .event("settled", |event| match event {
            WorkerEvent::Settled { settlement, refused, .. } => Some((settlement.clone(), refused.clone())),
            _ => None,
        })
        .await;
    assert_eq!(settlement, Settlement::Failed { attempts_made: 1 });
    assert_eq!(refused.unwrap().code(), ErrorCode::JobTooLarge);
    let reason = queue.get_job(&id).await.unwrap().unwrap().failed_reason.unwrap();
    assert!(reason.starts_with("the result has 16777217 bytes"), "{reason}");
}

#[tokio::test]
async fn logs_stack_traces_and_reasons_are_bounded() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let id = add(&queue, "n", r#"{"attempts":12}"#).await;
    let rows: Vec<String> = (0..10_000).map(|row| row.to_string()).collect();
    let logs = format!("{}:{id}:logs", queue.qualified_name());
    link.call(Command::new("RPUSH").key(logs).args(&rows)).await.unwrap();
    assert_eq!(queue.add_log(&id, "last", None).await.unwrap(), 10_000);
    assert_eq!(queue.get_logs(&id, 0, 0).await.unwrap(), (vec!["1".to_owned()], 10_000));

    let mut hands = Hands::start(&queue, options());
    for turn in 0..12 {
        let job = hands.job().await;
        let reason = format!("{turn} {}", "x".repeat(100_000));
        hands.settle(&job, failed(&reason)).await;
    }
    let job = queue.get_job(&id).await.unwrap().unwrap();
    let traces: Vec<String> = serde_json::from_str(job.stacktrace.as_deref().unwrap()).unwrap();
    assert_eq!(traces.len(), 10);
    assert!(traces[0].starts_with("Error: 2 ") && traces.iter().all(|trace| trace.len() <= 32 << 10));
    assert!(job.failed_reason.unwrap().ends_with(" ... (cut)"));
}

/// Completed jobs as a worker leaves them.
async fn seed_completed(link: &Arc<dyn Link>, queue: &Queue, count: usize) {
    let script = "for number = ARGV[1], ARGV[2] do local id = 'old' .. number
        redis.call('HSET', KEYS[1] .. id, 'name', 'n', 'data', '{}', 'opts', '{}', 'timestamp', '1', 'finishedOn', '2')
        redis.call('ZADD', KEYS[1] .. 'completed', 2, id) end";
    for first in (0..count).step_by(1000) {
        let command = Command::new("EVAL").arg(script).arg("1").key(format!("{}:", queue.qualified_name()));
        let last = (first + 999).min(count - 1);
        link.call(command.arg(first.to_string()).arg(last.to_string())).await.unwrap();
    }
}

/// A figure that the server gives of itself.
async fn info(link: &Arc<dyn Link>, queue: &Queue, section: &str, field: &str) -> f64 {
    let text = ask_text(link, queue, &format!("INFO {section}")).await;
    let at = text.find(field).unwrap() + field.len();
    text[at..].split([',', '\r']).next().unwrap().parse().unwrap()
}

/// Milliseconds of the server's CPU time so far. Wall time would depend on what else this machine does.
async fn server_ms(link: &Arc<dyn Link>, queue: &Queue) -> f64 {
    let (user, system) = ("used_cpu_user:", "used_cpu_sys:");
    (info(link, queue, "cpu", user).await + info(link, queue, "cpu", system).await) * 1000.0
}

#[tokio::test]
async fn much_is_removed_in_many_short_calls() {
    let server = RedisServer::start();
    let link = open(&server);
    for what in ["clean", "obliterate", "drain", "clean waiting"] {
        let queue = queue(&link);
        if what == "drain" || what == "clean waiting" {
            queue.add((0..6000).map(|_| job("n", "{}")).collect()).await;
        } else {
            seed_completed(&link, &queue, 6000).await;
        }
        // Let the server know the script before it is measured.
        queue.clean(0, 1, JobState::Failed).await.unwrap();
        ask(&link, &queue, "CONFIG RESETSTAT").await;
        let before = server_ms(&link, &queue).await;
        match what {
            "clean" => assert_eq!(queue.clean(0, 0, JobState::Completed).await.unwrap().len(), 6000),
            "clean waiting" => assert_eq!(queue.clean(-1, 0, JobState::Waiting).await.unwrap().len(), 6000),
            "drain" => queue.drain(false).await.unwrap(),
            _ => queue.obliterate(false).await.unwrap(),
        }
        let calls = info(&link, &queue, "commandstats", "cmdstat_evalsha:calls=").await;
        let ms = (server_ms(&link, &queue).await - before) / calls;
        // At most a hundred jobs a call, and none of the calls long.
        assert!(calls * 100.0 >= 6000.0 && ms < 5.0, "{what}: {calls} calls of {ms} ms each");
        let counts = queue.get_counts().await.unwrap();
        assert_eq!((counts.completed, counts.waiting), (0, 0), "{what}");
        let told: Vec<_> =
            stream(&link, &queue).await.into_iter().filter(|event| event.starts_with("cleaned")).collect();
        assert_eq!(told.len(), usize::from(what.starts_with("clean")), "{what}: {told:?}");
    }
}

#[tokio::test]
async fn what_a_keep_policy_removes_is_bounded_by_what_finishes() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    seed_completed(&link, &queue, 1000).await;
    let keep = KeepPolicy { count: Some(10), ..KeepPolicy::default() };
    let mut hands = Hands::start(&queue, WorkerOptions { remove_on_complete: keep, ..options() });
    let mut left = Vec::new();
    while left.last() != Some(&10) {
        add(&queue, "n", "{}").await;
        hands.complete_next().await;
        left.push(queue.get_counts().await.unwrap().completed);
        assert!(left.len() < 100, "{left:?}");
    }
    assert_eq!(left[..3], [951, 902, 853]);
}

#[test]
fn finished_jobs_are_bounded_by_default() {
    let defaults = WorkerOptions::from_json("{}").unwrap();
    assert_eq!(defaults.remove_on_complete.count, Some(100_000));
    assert_eq!(defaults.remove_on_fail.count, Some(100_000));
    assert_eq!(WorkerOptions::from_json(r#"{"removeOnComplete":false}"#).unwrap().remove_on_complete.count, None);
}
