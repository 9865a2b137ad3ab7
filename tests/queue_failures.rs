//! Workers that die, locks that are lost, servers that go away: nothing is lost, and nothing is told twice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    connection::{self, ConnectionOptions, Link},
    queue::{JobState, Queue, QueueEvents, QueueOptions, Settlement, WorkerEvent, WorkerOptions},
    testing::{Proxy, RedisServer},
};
use support::*;

#[tokio::test]
async fn a_lost_lock_is_told_and_refused() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let short = WorkerOptions {
        lock_duration: Duration::from_millis(400),
        lock_renew_time: Duration::from_millis(200),
        ..options()
    };
    let mut hands = Hands::start(&queue, short);
    let id = add(&queue, "n", "{}").await;
    let job = hands.job().await;
    // Renewed: longer than the lock lives.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(ask_text(&link, &queue, &format!("GET @{id}:lock")).await, job.token);
    // Another worker has it now.
    ask(&link, &queue, &format!("SET @{id}:lock foreign")).await;
    hands.event("lock lost", |event| matches!(event, WorkerEvent::LockLost { .. }).then_some(())).await;
    hands.worker.report(&id, &job.token, completed());
    let error = hands
        .event("refused", |event| match event {
            WorkerEvent::NotSettled { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error.code(), ErrorCode::JobLockLost);
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Active));
}

#[tokio::test]
async fn the_jobs_of_a_dead_worker_come_back_until_they_stalled_too_often() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let id = add(&queue, "n", "{}").await;
    let quick = || WorkerOptions {
        lock_duration: Duration::from_millis(200),
        lock_renew_time: Duration::from_millis(100),
        stalled_interval: Duration::from_millis(100),
        ..options()
    };
    for stalled in 0..2 {
        let mut hands = Hands::start(&queue, quick());
        let job = hands.job().await;
        assert_eq!(job.record.stalled_count, stalled);
        // By force: nobody renews the lock any more.
        assert_eq!(hands.worker.close(Duration::ZERO).await, 1);
    }
    let mut hands = Hands::start(&queue, quick());
    let ids = hands
        .event("stalled", |event| match event {
            WorkerEvent::Stalled { job_ids } => Some(job_ids.clone()),
            _ => None,
        })
        .await;
    assert_eq!(ids, [id.as_str()]);
    let reason = hands
        .event("failed for stalling", |event| match event {
            WorkerEvent::FailedUndelivered { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "job stalled more than allowable limit");
    eventually("stored as failed", || async { queue.get_state(&id).await.unwrap() == Some(JobState::Failed) }).await;
}

#[tokio::test]
async fn two_workers_finish_10_000_jobs_each_once() {
    let server = RedisServer::start();
    let link = open(&server);
    let other = open(&server);
    let queue = queue(&link);
    let seen: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let workers: Vec<_> = [&link, &other]
        .into_iter()
        .map(|link| {
            let queue = Queue::open(Arc::clone(link), queue.name(), QueueOptions::default()).unwrap();
            let seen = Arc::clone(&seen);
            automatic(&queue, WorkerOptions { concurrency: 50, ..options() }, move |job| {
                *seen.lock().unwrap().entry(job.record.id.clone()).or_default() += 1;
                completed()
            })
        })
        .collect();
    let results = queue.add((0..10_000).map(|_| job("n", "{}")).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    eventually("all completed", || async { queue.get_counts().await.unwrap().completed == 10_000 }).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 10_000);
    assert!(seen.values().all(|&times| times == 1));
    assert_eq!(ask_int(&link, &queue, "EXISTS @active @wait @stalled").await, 0);
    for worker in workers {
        worker.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn an_id_without_a_job_is_dropped() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    ask(&link, &queue, "RPUSH @wait ghost").await;
    ask(&link, &queue, "ZADD @prioritized 1 ghost2").await;
    ask(&link, &queue, "ZADD @delayed 1 ghost3").await;
    add(&queue, "n", "{}").await;
    let mut hands = Hands::start(&queue, options());
    assert_eq!(hands.complete_next().await, "n");
    eventually("dropped", || async { ask_int(&link, &queue, "EXISTS @wait @prioritized @delayed").await == 0 }).await;
    assert_eq!(ask_int(&link, &queue, "EXISTS @ghost @ghost2 @ghost3 @active").await, 0);
}

#[tokio::test]
async fn nothing_is_lost_when_the_server_dies_and_returns() {
    let mut server = RedisServer::builder().persistent().args(["--appendfsync", "always"]).start();
    let link = open(&server);
    let queue = queue(&link);
    let log: Arc<Log> = Arc::default();
    let _events = QueueEvents::subscribe(&queue, None, Arc::clone(&log) as _).await.unwrap();
    let quick = WorkerOptions {
        concurrency: 20,
        lock_duration: Duration::from_secs(3),
        lock_renew_time: Duration::from_millis(1500),
        stalled_interval: Duration::from_millis(500),
        ..options()
    };
    let worker = automatic(&queue, quick, |_| completed());
    let results = queue.add((0..1000).map(|_| job("n", "{}")).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    eventually("under way", || async { queue.get_counts().await.unwrap().completed > 100 }).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.restart();
    let back = Instant::now();
    let done = || async { queue.get_counts().await.map_or(0, |counts| counts.completed) };
    let before = done().await;
    eventually("goes on", || async { before == 1000 || done().await > before }).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    // The idle worker hears of new work, too.
    eventually("all completed", || async { done().await == 1000 }).await;
    let again = Instant::now();
    add(&queue, "n", "{}").await;
    eventually("the last one", || async { done().await == 1001 }).await;
    assert!(again.elapsed() < Duration::from_secs(2));
    eventually("every completion was told", || async {
        let ids: std::collections::HashSet<_> =
            log.lines().into_iter().filter(|line| line.starts_with("completed")).collect();
        ids.len() == 1001
    })
    .await;
    worker.close(PATIENCE).await;
}

/// A worker behind a proxy, while the test itself sees the server directly.
struct Behind {
    link: Arc<dyn Link>,
    queue: Queue,
    proxy: Proxy,
    hands: Hands,
    _server: RedisServer,
}

fn behind_a_proxy(options: WorkerOptions) -> Behind {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = open(&server);
    let queue = queue(&link);
    let mut through = ConnectionOptions::tcp("127.0.0.1", proxy.port());
    through.command_timeout = Duration::from_millis(700);
    let far = connection::open(through).unwrap();
    let far = Queue::open(far, queue.name(), QueueOptions::default()).unwrap();
    Behind { hands: Hands::start(&far, options), link, queue, proxy, _server: server }
}

#[tokio::test]
async fn an_outcome_whose_reply_was_lost_is_told_as_stored() {
    for options in ["{}", r#"{"removeOnComplete":true}"#, r#"{"attempts":3,"backoff":60000}"#] {
        let mut stage = behind_a_proxy(support::options());
        // Once, so that the server knows the scripts.
        add(&stage.queue, "first", r#"{"removeOnComplete":true}"#).await;
        stage.hands.complete_next().await;
        let id = add(&stage.queue, "n", options).await;
        let job = stage.hands.job().await;
        stage.proxy.hold_replies();
        let outcome = if options.contains("attempts") { failed("no") } else { completed() };
        stage.hands.worker.report(&id, &job.token, outcome);
        eventually("stored", || async { stage.queue.get_counts().await.unwrap().active == 0 }).await;
        stage.proxy.cut();
        stage.proxy.go_on();
        let settlement = stage
            .hands
            .event("told as stored", |event| match event {
                WorkerEvent::Settled { settlement, .. } => Some(settlement.clone()),
                WorkerEvent::NotSettled { error, .. } => panic!("{options}: {error:?}"),
                _ => None,
            })
            .await;
        assert_eq!(settlement == Settlement::Completed, !options.contains("attempts"));
        let completions =
            stream(&stage.link, &stage.queue).await.iter().filter(|event| event.starts_with("completed")).count();
        assert_eq!(completions, 1 + usize::from(!options.contains("attempts")));
    }
}

#[tokio::test]
async fn an_outcome_that_was_never_sent_is_stored_when_the_link_is_back() {
    let mut stage = behind_a_proxy(options());
    let id = add(&stage.queue, "n", "{}").await;
    let job = stage.hands.job().await;
    stage.proxy.refuse(true);
    stage.proxy.cut();
    stage.hands.event("the link is down", |event| matches!(event, WorkerEvent::Error(_)).then_some(())).await;
    stage.hands.worker.report(&id, &job.token, completed());
    stage.proxy.refuse(false);
    let back = Instant::now();
    stage.hands.event("stored", |event| matches!(event, WorkerEvent::Settled { .. }).then_some(())).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_link_that_stays_away_costs_the_lock() {
    let short = WorkerOptions {
        lock_duration: Duration::from_millis(600),
        lock_renew_time: Duration::from_millis(300),
        ..options()
    };
    let mut stage = behind_a_proxy(short);
    let id = add(&stage.queue, "n", "{}").await;
    let job = stage.hands.job().await;
    stage.proxy.refuse(true);
    stage.proxy.cut();
    stage.hands.worker.report(&id, &job.token, completed());
    let error = stage
        .hands
        .event("given up", |event| match event {
            WorkerEvent::NotSettled { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error.code(), ErrorCode::JobLockLost);
    assert_eq!(stage.hands.worker.running(), 0);
}

#[tokio::test]
async fn a_silent_link_is_noticed_and_work_goes_on() {
    let mut stage = behind_a_proxy(options());
    add(&stage.queue, "a", "{}").await;
    stage.hands.complete_next().await;
    stage.proxy.go_silent();
    add(&stage.queue, "b", "{}").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stage.proxy.cut();
    stage.proxy.go_on();
    let back = Instant::now();
    assert_eq!(stage.hands.complete_next().await, "b");
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

#[tokio::test]
async fn jobs_that_were_taken_when_the_link_broke_are_delivered_after_all() {
    let mut stage = behind_a_proxy(options());
    // Once, so that the server knows the scripts.
    add(&stage.queue, "first", "{}").await;
    stage.hands.complete_next().await;
    stage.hands.worker.pause(true).await;
    // No look at the empty queue is under way any more.
    assert!(stage.hands.no_job_for(200).await);
    add(&stage.queue, "n", "{}").await;
    stage.proxy.hold_replies();
    stage.hands.worker.resume();
    eventually("taken", || async { stage.queue.get_counts().await.unwrap().active == 1 }).await;
    stage.proxy.cut();
    stage.proxy.go_on();
    let job = stage.hands.job().await;
    assert_eq!((job.record.name.as_str(), job.record.attempts_started, job.record.stalled_count), ("n", 1, 0));
    stage.hands.settle(&job, completed()).await;
}

#[tokio::test]
async fn a_link_that_keeps_breaking_costs_no_job() {
    const JOBS: u64 = 3000;
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = open(&server);
    let all_events = QueueOptions { max_len_events: 100_000, ..QueueOptions::default() };
    let queue = queue_with(&link, all_events.clone());
    let far = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let far = Queue::open(far, queue.name(), all_events).unwrap();
    let quick = WorkerOptions {
        concurrency: 4,
        lock_duration: Duration::from_secs(2),
        lock_renew_time: Duration::from_secs(1),
        stalled_interval: Duration::from_secs(1),
        max_stalled_count: 100,
        ..options()
    };
    let worker = automatic(&far, quick, |_| completed());
    queue.add((0..JOBS).map(|_| job("n", "{}")).collect()).await;
    let done = async || queue.get_counts().await.unwrap().completed;
    for round in 0..30 {
        if round % 3 == 0 {
            proxy.hold_replies();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy.cut();
        proxy.go_on();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(done().await > 0);
    eventually("all completed", || async { done().await == JOBS }).await;
    let events = stream(&link, &queue).await;
    let completions = events.iter().filter(|event| event.starts_with("completed ")).count() as u64;
    assert_eq!(completions, JOBS);
    assert_eq!(worker.close(PATIENCE).await, 0);
    assert_eq!(ask_int(&link, &queue, "EXISTS @active @wait").await, 0);
}

#[tokio::test]
async fn an_outcome_that_the_server_refuses_stops_no_other() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    queue.add((0..3).map(|_| job("n", "{}")).collect()).await;
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 3, ..options() });
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        let job = hands.job().await;
        outcomes.push((job.record.id.clone(), job.token, completed()));
    }
    // Of a type that the script cannot use.
    ask(&link, &queue, "SET @2:dependencies x").await;
    hands.worker.report_many(outcomes);
    let mut settled = Vec::new();
    for _ in 0..3 {
        let end = hands
            .event("an end", |event| match event {
                WorkerEvent::Settled { job_id, .. } => Some((job_id.clone(), true)),
                WorkerEvent::NotSettled { job_id, .. } => Some((job_id.clone(), false)),
                _ => None,
            })
            .await;
        settled.push(end);
    }
    settled.sort();
    assert_eq!(settled, [("1".to_owned(), true), ("2".to_owned(), false), ("3".to_owned(), true)]);
    assert_eq!(ask_list(&link, &queue, "ZRANGE @completed 0 -1").await, ["1", "3"]);
    assert_eq!(hands.worker.running(), 0);
    add(&queue, "more", "{}").await;
    assert_eq!(hands.complete_next().await, "more");
}
