//! Job schedulers against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    clock::Clock,
    connection::Link,
    queue::{JobOptions, JobState, Queue, QueueOptions},
    scheduler::{JobScheduler, RepeatOptions},
    testing::RedisServer,
};
use support::*;

const NOON: i64 = 1_767_268_800_000; // 2026-01-01T12:00:00Z

fn repeat(json: &str) -> RepeatOptions {
    RepeatOptions::from_json(json, None).unwrap()
}

struct Stage {
    _server: RedisServer,
    link: Arc<dyn Link>,
    clock: Clock,
    queue: Queue,
    scheduler: JobScheduler,
}

fn stage(clock: Clock) -> Stage {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue_with(&link, QueueOptions { clock: clock.clone(), ..QueueOptions::default() });
    Stage { _server: server, scheduler: JobScheduler::new(queue.clone()), link, clock, queue }
}

impl Stage {
    async fn upsert(&self, json: &str) -> Option<String> {
        self.scheduler.upsert("s", repeat(json), "n", r#"{"a":1}"#, JobOptions::default()).await.unwrap()
    }
}

#[tokio::test]
async fn an_interval_comes_again_and_again_without_drift() {
    let stage = stage(Clock::system());
    let mut hands = Hands::start(&stage.queue, options());
    let start = Instant::now();
    stage.upsert(r#"{"every":150}"#).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..5 {
        let job = hands.job().await;
        assert_eq!((job.record.name.as_str(), job.record.data.as_str()), ("n", r#"{"a":1}"#));
        assert_eq!(job.record.scheduler_id.as_deref(), Some("s"));
        runs.push(job.record.id.rsplit(':').next().unwrap().parse::<i64>().unwrap());
        hands.settle(&job, completed()).await;
    }
    assert!((600..2000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(runs.windows(2).all(|pair| (pair[1] - pair[0]) % 150 == 0 && pair[1] > pair[0]), "{runs:?}");
    let record = stage.scheduler.get("s").await.unwrap().unwrap();
    assert!(record.iterations >= 5);
    assert_eq!(record.repeat.offset, Some(runs[0] % 150));
    assert!(stage.scheduler.remove("s").await.unwrap());
    assert!(hands.no_job_for(400).await);
}

#[tokio::test]
async fn a_pattern_with_a_zone_makes_the_next_run_when_one_is_taken() {
    let stage = stage(Clock::manual(NOON));
    let id = stage.upsert(r#"{"pattern":"0 9 * * *","tz":"America/New_York"}"#).await.unwrap();
    let nine = NOON + 2 * 3_600_000; // 14:00 UTC
    assert_eq!(id, format!("repeat:s:{nine}"));
    assert_eq!(stage.queue.get_state(&id).await.unwrap(), Some(JobState::Delayed));
    stage.clock.advance_ms(2 * 3_600_000);
    let mut hands = Hands::start(&stage.queue, options());
    let job = hands.job().await;
    assert_eq!(job.record.id, id);
    hands.settle(&job, completed()).await;
    let tomorrow = nine + 24 * 3_600_000;
    eventually("the next run", || async { stage.scheduler.get("s").await.unwrap().unwrap().next == Some(tomorrow) })
        .await;
    let next = stage.queue.get_job(&format!("repeat:s:{tomorrow}")).await.unwrap().unwrap();
    let opts: serde_json::Value = serde_json::from_str(&next.opts).unwrap();
    assert_eq!(opts["repeat"]["count"], 2);
    assert_eq!(opts["repeat"]["tz"], "America/New_York");
    assert_eq!(next.delay, 24 * 3_600_000);
}

#[tokio::test]
async fn an_upsert_replaces_the_pending_job() {
    let stage = stage(Clock::manual(NOON));
    let first = stage.upsert(r#"{"every":60000}"#).await.unwrap();
    assert_eq!(first, format!("repeat:s:{NOON}"));
    stage.clock.advance_ms(5_000);
    // The same interval keeps its slot, another one begins anew.
    assert_eq!(stage.upsert(r#"{"every":60000,"limit":9}"#).await.unwrap(), first);
    let second = stage.upsert(r#"{"every":30000}"#).await.unwrap();
    assert_eq!(second, format!("repeat:s:{}", NOON + 5_000));
    assert_eq!(stage.queue.get_job(&first).await.unwrap(), None);
    assert_eq!(stage.scheduler.count().await.unwrap(), 1);
    let third = stage.upsert(r#"{"pattern":"0 0 * * *","tz":"UTC"}"#).await.unwrap();
    let counts = stage.queue.get_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.delayed), (0, 1));
    assert_eq!(third, format!("repeat:s:{}", NOON + 12 * 3_600_000));
    assert_eq!(stage.queue.remove(&third, true).await.unwrap_err().code(), ErrorCode::JobBelongsToScheduler);
    stage.queue.drain(true).await.unwrap();
    assert!(stage.queue.get_job(&third).await.unwrap().is_some());
}

#[tokio::test]
async fn a_run_that_is_with_a_worker_is_not_replaced() {
    let stage = stage(Clock::manual(NOON));
    let first = stage.upsert(r#"{"every":1000,"offset":0}"#).await.unwrap();
    // Taken by a worker that knows nothing of schedulers.
    ask(&stage.link, &stage.queue, &format!("LREM @wait 0 {first}")).await;
    ask(&stage.link, &stage.queue, &format!("LPUSH @active {first}")).await;
    assert_eq!(stage.upsert(r#"{"every":1000,"offset":0}"#).await.unwrap(), format!("repeat:s:{}", NOON + 1000));
    assert_eq!(stage.queue.get_state(&first).await.unwrap(), Some(JobState::Active));
}

#[tokio::test]
async fn limits_and_ends_stop_a_series() {
    let stage = stage(Clock::system());
    let mut hands = Hands::start(&stage.queue, options());
    stage.upsert(r#"{"every":50,"limit":2}"#).await.unwrap();
    hands.complete_next().await;
    hands.complete_next().await;
    assert!(hands.no_job_for(300).await);
    assert_eq!(stage.scheduler.count().await.unwrap(), 1);
    let past = stage.clock.now_ms() - 1;
    assert_eq!(stage.upsert(&format!(r#"{{"every":50,"endDate":{past}}}"#)).await, None);
    let start = stage.clock.now_ms() + 200;
    let id = stage.upsert(&format!(r#"{{"every":60000,"startDate":{start}}}"#)).await.unwrap();
    assert_eq!(id, format!("repeat:s:{start}"));
}

#[tokio::test]
async fn a_run_that_finished_already_is_passed_over() {
    let stage = stage(Clock::manual(NOON));
    let first = stage.upsert(r#"{"every":1000,"offset":0}"#).await.unwrap();
    ask(&stage.link, &stage.queue, &format!("HSET @repeat:s:{} finishedOn 1", NOON + 1000)).await;
    let mut hands = Hands::start(&stage.queue, options());
    assert_eq!(hands.job().await.record.id, first);
    eventually("passed over", || async { stage.scheduler.get("s").await.unwrap().unwrap().next == Some(NOON + 2000) })
        .await;
}

#[tokio::test]
async fn schedulers_are_listed_by_their_next_run() {
    let stage = stage(Clock::manual(NOON));
    let options = JobOptions::from_json(r#"{"priority":3,"attempts":2}"#).unwrap();
    for (id, json) in
        [("late", r#"{"every":5000,"startDate":"2026-01-03"}"#), ("soon", r#"{"pattern":"*/5 * * * *","tz":"UTC"}"#)]
    {
        stage.scheduler.upsert(id, repeat(json), "job", "[1]", options.clone()).await.unwrap();
    }
    let list = stage.scheduler.list(0, -1, true).await.unwrap();
    assert_eq!(list.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["soon", "late"]);
    let json: serde_json::Value = serde_json::from_str(&list[0].to_json()).unwrap();
    assert_eq!(json["pattern"], "*/5 * * * *");
    assert_eq!(json["next"], NOON + 300_000);
    assert_eq!(json["template"]["data"][0], 1);
    assert_eq!(json["template"]["opts"]["priority"], 3);
    assert_eq!(stage.scheduler.list(0, 0, false).await.unwrap()[0].id, "late");
    let job = stage.queue.get_job(&format!("repeat:soon:{}", NOON + 300_000)).await.unwrap().unwrap();
    assert_eq!(job.priority, 3);
    assert!(!stage.scheduler.remove("none").await.unwrap());
    assert_eq!(stage.scheduler.get("none").await.unwrap(), None);
}

#[tokio::test]
async fn of_two_workers_one_makes_the_next_job() {
    let stage = stage(Clock::system());
    let workers: Vec<_> = (0..2).map(|_| automatic(&stage.queue, options(), |_| completed())).collect();
    stage.upsert(r#"{"every":40}"#).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    stage.scheduler.remove("s").await.unwrap();
    let done = ask_list(&stage.link, &stage.queue, "ZRANGE @completed 0 -1").await;
    assert!((8..=16).contains(&done.len()), "{done:?}");
    let counts = stage.queue.get_counts().await.unwrap();
    assert_eq!((counts.delayed, counts.waiting), (0, 0));
    for worker in workers {
        worker.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn what_a_scheduler_sets_itself_is_refused() {
    let stage = stage(Clock::system());
    for json in [r#"{"jobId":"x"}"#, r#"{"delay":5}"#] {
        let options = JobOptions::from_json(json).unwrap();
        let error = stage.scheduler.upsert("s", repeat(r#"{"every":1000}"#), "n", "", options).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption);
    }
    let error =
        stage.scheduler.upsert("", repeat(r#"{"every":1000}"#), "n", "", JobOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn a_repeatable_job_of_an_older_version_is_left_alone() {
    let stage = stage(Clock::manual(NOON));
    ask(&stage.link, &stage.queue, "ZADD @repeat 900 s").await;
    let options = JobOptions::default();
    let error = stage.scheduler.upsert("s", repeat(r#"{"every":1000}"#), "n", "", options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::IncompatibleData);
    assert_eq!(ask_text(&stage.link, &stage.queue, "ZSCORE @repeat s").await, "900");
}
