//! Late, overlapping and lost runs of job schedulers, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{sync::Arc, time::Duration};

use oxcart::{
    clock::Clock,
    connection::Link,
    queue::{JobOptions, JobState, Queue, QueueOptions, WorkerEvent, WorkerOptions},
    scheduler::{JobScheduler, RepeatOptions},
    testing::RedisServer,
};
use support::*;

const NOON: i64 = 1_767_268_800_000; // 2026-01-01T12:00:00Z
const MINUTE: i64 = 60_000;

struct Stage {
    _server: RedisServer,
    link: Arc<dyn Link>,
    clock: Clock,
    queue: Queue,
    scheduler: JobScheduler,
}

fn stage() -> Stage {
    let server = RedisServer::start();
    let link = open(&server);
    let clock = Clock::manual(NOON);
    let queue = queue_with(&link, QueueOptions { clock: clock.clone(), ..QueueOptions::default() });
    Stage { _server: server, scheduler: JobScheduler::new(queue.clone()), link, clock, queue }
}

impl Stage {
    async fn upsert(&self, json: &str, options: &str) -> String {
        let options = JobOptions::from_json(options).unwrap();
        let repeat = RepeatOptions::from_json(json, None).unwrap();
        self.scheduler.upsert("s", repeat, "n", "{}", options).await.unwrap().unwrap()
    }

    async fn next(&self) -> i64 {
        self.scheduler.get("s").await.unwrap().unwrap().next.unwrap()
    }

    async fn next_becomes(&self, run: i64) {
        eventually(&format!("the next run is {run}"), || async { self.next().await == run }).await;
    }

    async fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.scheduler.get("s").await.unwrap().unwrap().to_json()).unwrap()
    }
}

fn run(minutes: i64) -> String {
    format!("repeat:s:{}", NOON + minutes * MINUTE)
}

/// Lets the clock go on by itself, slowly, as long as what it returns lives: sweeps come by the clock.
fn ticking(clock: &Clock) -> tokio::task::JoinHandle<()> {
    let clock = clock.clone();
    #[expect(clippy::disallowed_methods, reason = "the test's own thread")]
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            clock.advance_ms(5);
        }
    })
}

fn sweeping() -> WorkerOptions {
    WorkerOptions { stalled_interval: Duration::from_millis(60), ..WorkerOptions::default() }
}

#[tokio::test]
async fn a_scheduler_without_policies_is_stored_as_ever() {
    let stage = stage();
    let id = stage.upsert(r#"{"every":60000}"#, "{}").await;
    let mut fields = ask_list(&stage.link, &stage.queue, "HKEYS @repeat:s").await;
    fields.sort();
    assert_eq!(fields, ["data", "every", "ic", "name", "offset", "opts"]);
    let job = stage.queue.get_job(&id).await.unwrap().unwrap();
    let opts: serde_json::Value = serde_json::from_str(&job.opts).unwrap();
    assert_eq!(opts["repeat"], serde_json::json!({"every": 60000, "offset": NOON % MINUTE, "count": 1}));
    let mut hands = Hands::start(&stage.queue, options());
    let job = hands.job().await;
    hands.settle(&job, completed()).await;
    stage.next_becomes(NOON + MINUTE).await;
    assert_eq!(ask_int(&stage.link, &stage.queue, "HEXISTS @repeat:s lastRun").await, 0);
}

#[tokio::test]
async fn a_missed_run_is_let_go_and_the_series_goes_on() {
    let stage = stage();
    stage.upsert(r#"{"every":60000,"missedRuns":"skip","missedAfter":10000,"trackRuns":true}"#, "{}").await;
    stage.clock.advance_ms(3 * 60_000 + 20_000);
    let mut hands = Hands::start(&stage.queue, options());
    stage.next_becomes(NOON + 4 * MINUTE).await;
    eventually("the late job is gone", || async { stage.queue.get_job(&run(0)).await.unwrap().is_none() }).await;
    assert!(hands.no_job_for(100).await);
    assert_eq!(stage.json().await["skippedRuns"], 1);
    assert_eq!(ask_int(&stage.link, &stage.queue, "LLEN @active").await, 0);
    // On time, or late by less than that, it runs.
    stage.clock.advance_ms(40_000 + 5_000);
    hands.worker.set_concurrency(2);
    assert_eq!(hands.job().await.record.id, run(4));
}

#[tokio::test]
async fn every_missed_run_is_made_up_for_up_to_the_bound() {
    let stage = stage();
    stage.upsert(r#"{"every":60000,"missedRuns":"runAll","maxMissedRuns":3}"#, "{}").await;
    stage.clock.advance_ms(10 * 60_000 + 5_000);
    let mut hands = Hands::start(&stage.queue, options());
    for minute in 0..=3 {
        let job = hands.job().await;
        assert_eq!(job.record.id, run(minute));
        hands.settle(&job, completed()).await;
    }
    stage.next_becomes(NOON + 11 * MINUTE).await;
    assert!(hands.no_job_for(100).await);
}

#[tokio::test]
async fn times_that_come_while_a_run_lasts_are_left_out() {
    let stage = stage();
    stage.upsert(r#"{"every":60000,"overlap":"skip"}"#, "{}").await;
    let mut hands = Hands::start(&stage.queue, WorkerOptions { concurrency: 4, ..options() });
    let first = hands.job().await;
    stage.clock.advance_ms(150_000);
    hands.worker.set_concurrency(4);
    assert!(hands.no_job_for(150).await, "two runs at once");
    assert_eq!(stage.next().await, NOON);
    hands.settle(&first, completed()).await;
    assert_eq!(stage.next().await, NOON + 3 * MINUTE);
    stage.clock.advance_ms(30_000);
    hands.worker.set_concurrency(4);
    assert_eq!(hands.job().await.record.id, run(3));
}

#[tokio::test]
async fn one_run_waits_for_the_end_of_the_one_before() {
    let stage = stage();
    stage.upsert(r#"{"every":60000,"overlap":"queue"}"#, r#"{"attempts":2}"#).await;
    let mut hands = Hands::start(&stage.queue, WorkerOptions { concurrency: 4, ..options() });
    let first = hands.job().await;
    stage.clock.advance_ms(150_000);
    hands.worker.set_concurrency(4);
    assert!(hands.no_job_for(150).await, "two runs at once");
    // An attempt that failed is not the end.
    hands.settle(&first, failed("once")).await;
    let again = hands.job().await;
    assert_eq!((again.record.id.as_str(), again.record.attempts_made), (run(0).as_str(), 1));
    assert_eq!(stage.next().await, NOON);
    hands.settle(&again, failed("twice")).await;
    // The times up to its second start are its own.
    stage.next_becomes(NOON + 3 * MINUTE).await;
    stage.clock.advance_ms(40_000);
    hands.worker.set_concurrency(4);
    let third = hands.job().await;
    assert_eq!(third.record.id, run(3));
    stage.clock.advance_ms(120_000);
    hands.settle(&third, completed()).await;
    let queued = hands.job().await;
    assert_eq!(queued.record.id, run(4));
    hands.settle(&queued, completed()).await;
    stage.next_becomes(NOON + 6 * MINUTE).await;
}

#[tokio::test]
async fn jitter_moves_a_job_but_not_its_series() {
    let stage = stage();
    stage.clock.advance_ms(1);
    let id = stage.upsert(r#"{"pattern":"* * * * *","tz":"UTC","jitter":20000}"#, "{}").await;
    assert_eq!(id, run(1));
    let job = stage.queue.get_job(&id).await.unwrap().unwrap();
    assert!((59_999..=79_999).contains(&job.delay), "{}", job.delay);
    stage.clock.advance_ms(80_000);
    let mut hands = Hands::start(&stage.queue, options());
    assert_eq!(hands.job().await.record.id, id);
    stage.next_becomes(NOON + 2 * MINUTE).await;
}

#[tokio::test]
async fn the_last_run_is_recorded_and_outlives_an_upsert() {
    let stage = stage();
    let schedule = r#"{"every":60000,"trackRuns":true}"#;
    stage.upsert(schedule, "{}").await;
    let mut hands = Hands::start(&stage.queue, options());
    let job = hands.job().await;
    eventually("its start", || async { stage.json().await["lastRun"]["status"] == "active" }).await;
    stage.clock.advance_ms(5_000);
    hands.settle(&job, failed("why")).await;
    eventually("its end", || async { stage.json().await["lastRun"]["status"] == "failed" }).await;
    let last = stage.json().await["lastRun"].clone();
    let expected = serde_json::json!({
        "jobId": run(0), "scheduledFor": NOON, "startedAt": NOON, "finishedAt": NOON + 5_000, "status": "failed",
        "attemptsMade": 1, "failedReason": "why",
    });
    assert_eq!(last, expected);
    stage.upsert(schedule, "{}").await;
    assert_eq!(stage.json().await["lastRun"], last);
}

#[tokio::test]
async fn a_scheduler_whose_next_job_vanished_is_repaired_without_using_a_time_twice() {
    let stage = stage();
    let id = stage.upsert(r#"{"pattern":"* * * * *","tz":"UTC"}"#, "{}").await;
    assert_eq!(id, run(1));
    // Removed behind the scheduler's back, before its time.
    ask(&stage.link, &stage.queue, &format!("ZREM @delayed {id}")).await;
    ask(&stage.link, &stage.queue, &format!("DEL @{id}")).await;
    let mut hands = Hands::start(&stage.queue, sweeping());
    let ticks = ticking(&stage.clock);
    let repaired = |event: &WorkerEvent| match event {
        WorkerEvent::SchedulersRepaired { ids } => Some(ids.clone()),
        _ => None,
    };
    assert_eq!(hands.event("a repair", repaired).await, ["s"]);
    assert_eq!(stage.queue.get_state(&id).await.unwrap(), Some(JobState::Delayed));
    assert_eq!(stage.next().await, NOON + MINUTE);
    // Its worker died between removing the finished job and making the next: the time is used.
    ask(&stage.link, &stage.queue, &format!("ZREM @delayed {id}")).await;
    ask(&stage.link, &stage.queue, &format!("DEL @{id}")).await;
    stage.clock.advance_ms(90_000);
    assert_eq!(hands.event("a repair", repaired).await, ["s"]);
    assert_eq!(stage.next().await, NOON + 2 * MINUTE);
    assert_eq!(stage.queue.get_job(&id).await.unwrap(), None);
    // A job that is in no list is put back as it is.
    ask(&stage.link, &stage.queue, &format!("ZREM @delayed {}", run(2))).await;
    stage.clock.advance_ms(120_000);
    assert_eq!(hands.event("a repair", repaired).await, ["s"]);
    assert_eq!(hands.job().await.record.id, run(2));
    ticks.abort();
}

#[tokio::test]
async fn a_scheduler_in_good_order_is_left_alone() {
    let stage = stage();
    stage.upsert(r#"{"every":60000,"limit":1}"#, "{}").await;
    stage.queue.pause().await.unwrap();
    let mut hands = Hands::start(&stage.queue, sweeping());
    let ticks = ticking(&stage.clock);
    // Overdue, but waiting.
    stage.clock.advance_ms(600_000);
    assert!(hands.no_job_for(400).await);
    stage.queue.resume().await.unwrap();
    assert_eq!(hands.complete_next().await, "n");
    // The series is over.
    assert!(hands.no_job_for(400).await);
    let counts = stage.queue.get_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.delayed, counts.completed), (0, 0, 1));
    assert_eq!(stage.next().await, NOON);
    ticks.abort();
}
