//! Time that tests move, and everything that waits for it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    cache::{Cache, CacheOptions, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link},
    embedded::{Embedded, TestEngine},
    queue::{ActiveJob, JobOptions, JobState, Outcome, Queue, Retry, WorkerOptions},
    scheduler::{JobScheduler, RepeatOptions},
};
use support::*;

const NEW_YEAR: i64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z
const HOUR: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(86_400);

fn stage() -> (Clock, Arc<dyn Link>, Queue) {
    let clock = Clock::manual(NEW_YEAR);
    let link = Embedded::private(clock.clone()).link(0);
    let queue = queue(&link);
    (clock, link, queue)
}

type Runs = Arc<Mutex<Vec<(String, i64)>>>;

/// Notes the name of each job and when it ran.
fn noting(clock: &Clock) -> (Runs, impl Fn(&ActiveJob) -> Outcome + Send + Sync + 'static) {
    let (runs, clock) = (Runs::default(), clock.clone());
    let noted = Arc::clone(&runs);
    (runs, move |job| {
        noted.lock().unwrap().push((job.record.name.clone(), clock.now_ms()));
        completed()
    })
}

fn times(runs: &Runs, since: i64) -> Vec<i64> {
    runs.lock().unwrap().iter().map(|(_, at)| at - since).collect()
}

#[tokio::test]
async fn a_link_brings_its_clock_to_what_is_opened_on_it() {
    let (clock, link, queue) = stage();
    add(&queue, "n", "{}").await;
    assert_eq!(queue.get_job("1").await.unwrap().unwrap().timestamp, NEW_YEAR);
    let cache = Cache::new(Arc::clone(&link), CacheOptions::default(), link.clock(), PATIENCE).unwrap();
    cache.set(Write { key: "k".into(), text: "1".into(), ttl: Some(60.0), ..Write::default() }).await.unwrap();
    assert!(cache.peek("k").is_some());
    clock.advance(Duration::from_millis(59_999)).await;
    assert!(cache.peek("k").is_some() && cache.exists("k").await.unwrap());
    clock.advance(Duration::from_millis(2)).await;
    assert!(cache.peek("k").is_none() && !cache.exists("k").await.unwrap());
}

#[tokio::test]
async fn a_job_that_is_delayed_by_a_day_runs_a_day_later() {
    let (clock, _link, queue) = stage();
    let (runs, process) = noting(&clock);
    let _worker = automatic(&queue, options(), process);
    let begun = Instant::now();
    add(&queue, "late", r#"{"delay":86400000}"#).await;
    add(&queue, "soon", r#"{"delay":1000}"#).await;
    clock.advance(Duration::from_millis(86_399_999)).await;
    assert_eq!(*runs.lock().unwrap(), [("soon".to_owned(), NEW_YEAR + 1_000)]);
    clock.advance(Duration::from_millis(1)).await;
    assert_eq!(runs.lock().unwrap()[1], ("late".to_owned(), NEW_YEAR + 24 * HOUR));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_schedule_of_a_month_runs_at_each_of_its_times() {
    let (clock, _link, queue) = stage();
    let (runs, process) = noting(&clock);
    let _worker = automatic(&queue, options(), process);
    let repeat = RepeatOptions::from_json(r#"{"pattern":"0 * * * *","tz":"UTC"}"#, None).unwrap();
    let scheduler = JobScheduler::new(queue.clone());
    scheduler.upsert("hourly", repeat, "n", "{}", JobOptions::default()).await.unwrap();
    clock.advance(DAY * 30).await;
    let expected: Vec<i64> = (1..=30 * 24).map(|hour| hour * HOUR).collect();
    assert_eq!(times(&runs, NEW_YEAR), expected);
}

#[tokio::test]
async fn attempts_back_off_by_the_clock() {
    let (clock, _link, queue) = stage();
    let (tries, now) = (Runs::default(), clock.clone());
    let noted = Arc::clone(&tries);
    let _worker = automatic(&queue, options(), move |_| {
        noted.lock().unwrap().push((String::new(), now.now_ms()));
        Outcome::Failed { reason: "no".into(), stack: None, retry: Retry::ByOptions }
    });
    add(&queue, "n", r#"{"attempts":4,"backoff":{"type":"exponential","delay":60000}}"#).await;
    clock.advance(DAY).await;
    assert_eq!(times(&tries, NEW_YEAR), [0, 60_000, 180_000, 420_000]);
    assert_eq!(queue.get_state("1").await.unwrap(), Some(JobState::Failed));
}

#[tokio::test]
async fn limits_are_waited_for_by_the_clock() {
    let (clock, _link, queue) = stage();
    let (runs, process) = noting(&clock);
    let limiter = oxcart::queue::Limiter { max: 2, duration: Duration::from_secs(60) };
    let _worker = automatic(
        &queue,
        WorkerOptions { limiter: Some(limiter), maximum_rate_limit_delay: DAY, ..options() },
        process,
    );
    queue.add((0..6).map(|_| job("n", "{}")).collect()).await;
    clock.advance(Duration::from_secs(600)).await;
    let minutes: Vec<i64> = times(&runs, NEW_YEAR).iter().map(|ms| ms / 60_000).collect();
    assert_eq!(minutes, [0, 0, 1, 1, 2, 2]);
}

#[tokio::test]
async fn running_jobs_keep_their_locks_while_time_flies_and_those_of_the_dead_come_back() {
    let (clock, link, queue) = stage();
    let stalling = || WorkerOptions { stalled_interval: Duration::from_secs(30), ..WorkerOptions::default() };
    let mut first = Hands::start(&queue, stalling());
    add(&queue, "n", "{}").await;
    let job = first.job().await;
    clock.advance(Duration::from_secs(600)).await;
    assert_eq!(ask_int(&link, &queue, "EXISTS @1:lock").await, 1);
    assert_eq!(queue.get_state("1").await.unwrap(), Some(JobState::Active));
    assert_eq!(clock.occupation(), 1);

    first.worker.close(Duration::ZERO).await;
    let mut second = Hands::start(&queue, stalling());
    clock.advance(Duration::from_secs(90)).await;
    let again = second.job().await;
    assert_eq!((again.record.id.as_str(), again.record.attempts_started), (job.record.id.as_str(), 2));
    second.settle(&again, completed()).await;
}

#[tokio::test]
async fn what_expires_is_gone_when_its_time_has_come() {
    let (clock, link, _queue) = stage();
    for command in ["SET k v PX 1000", "HSET h f v", "PEXPIRE h 2000"] {
        link.call(Command::default().args(command.split(' '))).await.unwrap();
    }
    let exists = async |key: &str| link.call(Command::new("EXISTS").key(key)).await.unwrap() == Value::Int(1);
    clock.advance(Duration::from_millis(1_001)).await;
    assert!(!exists("k").await && exists("h").await);
    clock.advance(Duration::from_secs(1)).await;
    assert!(!exists("h").await);
    let time = link.call(Command::new("TIME")).await.unwrap().into_items().unwrap();
    assert_eq!(time[0], Value::Bulk(((NEW_YEAR + 2_001) / 1_000).to_string().into_bytes()));
}

#[tokio::test]
async fn the_engine_of_a_test_is_found_by_its_name_until_the_test_is_over() {
    let (one, other) = (TestEngine::start(NEW_YEAR), TestEngine::start(NEW_YEAR));
    let by_name = || connection::open(ConnectionOptions::memory(one.name()));
    let link = by_name().unwrap();
    link.call(Command::new("SET").key("k").arg("v")).await.unwrap();
    link.call(Command::new("PUBLISH").arg("c").arg("m")).await.unwrap();
    assert_eq!(one.published(), [(b"c".to_vec(), b"m".to_vec())]);
    assert_eq!(other.published(), []);
    let elsewhere = other.embedded().link(0);
    assert_eq!(elsewhere.call(Command::new("EXISTS").key("k")).await, Ok(Value::Int(0)));
    one.clock().advance_ms(5);
    assert_eq!((link.clock().now_ms(), elsewhere.clock().now_ms()), (NEW_YEAR + 5, NEW_YEAR));
    let name = one.name().to_owned();
    drop(one);
    let over = connection::open(ConnectionOptions::memory(name)).err().map(|error| error.code());
    assert_eq!(over, Some(ErrorCode::Closed));
    // Who has it keeps it.
    assert_eq!(link.call(Command::new("EXISTS").key("k")).await, Ok(Value::Int(1)));
}
