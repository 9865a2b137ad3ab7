//! Groups of jobs against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use oxcart::{
    ErrorCode,
    queue::{
        FlowNode, FlowProducer, GroupLimits, JobCounts, JobOptions, JobState, Limiter, Outcome, QueueOptions,
        WorkerOptions,
    },
    scheduler::{JobScheduler, RepeatOptions},
    testing::RedisServer,
};
use support::*;

fn of(group: &str) -> String {
    format!(r#"{{"group":{{"id":"{group}"}}}}"#)
}

fn limits(concurrency: Option<i64>, limit: Option<(i64, u64)>) -> WorkerOptions {
    let limit = limit.map(|(max, ms)| Limiter { max, duration: Duration::from_millis(ms) });
    WorkerOptions { group: Some(GroupLimits { concurrency, limit }), ..options() }
}

#[tokio::test]
async fn ungrouped_jobs_go_first_then_one_of_each_group_in_turn() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let jobs = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c")];
    queue.add(jobs.iter().map(|(name, group)| job(name, &of(group))).collect()).await;
    queue.add(vec![job("u1", "{}"), job("u2", r#"{"priority":5}"#)]).await;
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.prioritized), (7, 1));
    assert_eq!(queue.get_groups_jobs_count().await.unwrap(), 6);
    let mut hands = Hands::start(&queue, options());
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(hands.complete_next().await);
    }
    assert_eq!(order, ["u1", "u2", "a1", "b1", "c1", "a2", "b2", "a3"]);
    assert_eq!(queue.get_counts().await.unwrap().waiting, 0);
    // An empty group leaves nothing behind.
    let left = ask_list(&link, &queue, &format!("KEYS {}:groups*", queue.qualified_name())).await;
    assert_eq!(left, [format!("{}:groups:state", queue.qualified_name())]);
}

#[tokio::test]
async fn priorities_and_last_in_first_out_hold_within_a_group() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let group = |rest: &str| format!(r#"{{"group":{{"id":"g:1"{rest}}}}}"#);
    for (name, options) in [
        ("p9", group(r#","priority":9"#)),
        ("p2", group(r#","priority":2"#)),
        ("first", group("")),
        ("second", group("")),
        ("p2b", group(r#","priority":2"#)),
        ("lifo", r#"{"lifo":true,"group":{"id":"g:1"}}"#.to_owned()),
    ] {
        add(&queue, name, &options).await;
    }
    assert_eq!(queue.get_counts_per_priority_for_group("g:1", &[0, 2, 9, 5]).await.unwrap(), [3, 2, 1, 0]);
    let names: Vec<_> = queue.get_group_jobs("g:1", 0, 2).await.unwrap().into_iter().map(|job| job.name).collect();
    assert_eq!(names, ["lifo", "first", "second"]);
    let last = queue.get_group_jobs("g:1", -1, -1).await.unwrap().remove(0);
    queue.change_priority(&last.id, 1, false).await.unwrap();
    let mut hands = Hands::start(&queue, options());
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(hands.complete_next().await);
    }
    assert_eq!(order, ["lifo", "first", "second", "p9", "p2", "p2b"]);
}

#[tokio::test]
async fn a_group_never_runs_more_jobs_than_it_may_while_others_go_on() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    queue.add((0..60).map(|number| job("n", &of(["big", "small"][usize::from(number % 6 == 0)]))).collect()).await;
    queue.add(vec![job("n", &of("wide")); 6]).await;
    queue.set_group_concurrency("wide", Some(3)).await.unwrap();
    assert_eq!(queue.get_group_concurrency("wide").await.unwrap(), Some(3));
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 20, ..limits(Some(2), None) });
    let mut second = Hands::start(&queue, WorkerOptions { concurrency: 20, ..limits(Some(2), None) });
    let mut held = Vec::new();
    for _ in 0..7 {
        let job = tokio::select! { job = hands.job() => (0, job), job = second.job() => (1, job) };
        held.push(job);
    }
    assert!(hands.no_job_for(100).await && second.no_job_for(100).await);
    let mut running: HashMap<String, i64> = HashMap::new();
    for (_, job) in &held {
        let opts: serde_json::Value = serde_json::from_str(&job.record.opts).unwrap();
        *running.entry(opts["group"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(running, HashMap::from([("big".into(), 2), ("small".into(), 2), ("wide".into(), 3)]));
    assert_eq!(queue.get_group_active_count("big").await.unwrap(), 2);
    assert_eq!(queue.get_group_concurrency("big").await.unwrap(), Some(2));
    let states = queue.get_groups(0, -1).await.unwrap();
    assert!(states.iter().all(|group| group.status == "maxed"), "{states:?}");
    // A wider bound lets the group go on at once.
    queue.set_group_concurrency("big", Some(4)).await.unwrap();
    for _ in 0..2 {
        held.push(tokio::select! { job = hands.job() => (0, job), job = second.job() => (1, job) });
    }
    assert!(hands.no_job_for(100).await && second.no_job_for(100).await);
    for (of, job) in held {
        let owner = if of == 0 { &mut hands } else { &mut second };
        owner.settle(&job, completed()).await;
    }
    hands.worker.close(Duration::ZERO).await;
    second.worker.close(Duration::ZERO).await;
}

#[tokio::test]
async fn thousands_of_groups_are_served_and_leave_nothing() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    for part in 0..8 {
        let jobs = (0..500).map(|number| job("n", &of(&format!("g{}", (part * 500 + number) % 2000)))).collect();
        assert!(queue.add(jobs).await.iter().all(Result::is_ok));
    }
    let running: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let seen = Arc::clone(&running);
    let worker = automatic(&queue, WorkerOptions { concurrency: 64, ..limits(Some(1), None) }, move |job| {
        let opts: serde_json::Value = serde_json::from_str(&job.record.opts).unwrap();
        *seen.lock().unwrap().entry(opts["group"]["id"].to_string()).or_default() += 1;
        completed()
    });
    eventually("all have run", || async { queue.get_counts().await.unwrap().completed == 4000 }).await;
    worker.close(PATIENCE).await;
    assert!(running.lock().unwrap().len() == 2000 && running.lock().unwrap().values().all(|&runs| runs == 2));
    assert_eq!(ask_int(&link, &queue, "EXISTS @groups @groups:sizes @groups:active @groups:running").await, 0);
    assert_eq!(ask_text(&link, &queue, "HGET @groups:state waiting").await, "0");
}

#[tokio::test]
async fn a_group_beyond_its_rate_rests_and_goes_on_by_itself() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    queue.add(["a", "a", "a", "b", "free", "free"].map(|group| job(group, &of(group))).into()).await;
    let own = Limiter { max: 100, duration: Duration::from_secs(1) };
    queue.set_group_rate_limit("free", Some(own)).await.unwrap();
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 10, ..limits(None, Some((1, 700))) });
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(hands.complete_next().await);
    }
    first.sort();
    assert_eq!(first, ["a", "b", "free", "free"]);
    assert!(hands.no_job_for(250).await);
    let rest = queue.get_group_rate_limit_ttl("a").await.unwrap();
    assert!((1..=700).contains(&rest), "{rest}");
    assert_eq!(queue.get_groups(0, -1).await.unwrap()[0].status, "limited");
    let start = std::time::Instant::now();
    hands.complete_next().await;
    hands.complete_next().await;
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_group_can_be_held_by_hand() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    assert!(queue.pause_group("a").await.unwrap());
    assert!(!queue.pause_group("a").await.unwrap());
    queue.add(["a", "b"].map(|group| job(group, &of(group))).into()).await;
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 3, ..options() });
    assert_eq!(hands.complete_next().await, "b");
    assert!(hands.no_job_for(150).await);
    assert_eq!(queue.get_groups(0, -1).await.unwrap()[0].status, "paused");
    assert!(queue.resume_group("a").await.unwrap());
    assert!(!queue.resume_group("a").await.unwrap());
    let job = hands.job().await;
    // As a processor does whose service says "too many requests".
    queue.rate_limit_group("a", 400).await.unwrap();
    hands.settle(&job, Outcome::Waiting).await;
    assert!(hands.no_job_for(200).await);
    assert_eq!(queue.get_group_active_count("a").await.unwrap(), 0);
    let again = hands.job().await;
    assert_eq!((again.record.id, again.record.attempts_made), (job.record.id, 0));
}

#[tokio::test]
async fn retries_delays_and_stalled_jobs_stay_in_their_group() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let retried =
        add(&queue, "retried", r#"{"attempts":3,"backoff":{"type":"fixed","delay":300},"group":{"id":"g"}}"#).await;
    let delayed = add(&queue, "delayed", r#"{"delay":600000,"group":{"id":"g"}}"#).await;
    assert_eq!(queue.get_state(&delayed).await.unwrap(), Some(JobState::Delayed));
    assert_eq!(ask_int(&link, &queue, "ZCARD @delayed").await, 0);
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 5, ..limits(Some(1), None) });
    let job = hands.job().await;
    hands.settle(&job, failed("once")).await;
    assert_eq!(queue.get_state(&retried).await.unwrap(), Some(JobState::Delayed));
    assert_eq!(queue.get_counts().await.unwrap().delayed, 2);
    assert_eq!(queue.get_jobs(&[JobState::Delayed], 0, -1, true).await.unwrap().len(), 2);
    let job = hands.job().await;
    assert_eq!((job.record.id.as_str(), job.record.attempts_made), (retried.as_str(), 1));
    queue.promote(&delayed).await.unwrap();
    // The group's only place is taken.
    assert!(hands.no_job_for(150).await);
    assert_eq!(queue.get_state(&delayed).await.unwrap(), Some(JobState::Waiting));
    hands.worker.close(Duration::ZERO).await;
    // Its worker is gone: another one finds the job, in front of the group.
    ask(&link, &queue, &format!("DEL @{retried}:lock @stalled-check")).await;
    let sweeping = WorkerOptions { stalled_interval: Duration::from_millis(60), ..limits(Some(1), None) };
    let mut hands = Hands::start(&queue, sweeping);
    let job = hands.job().await;
    assert_eq!((job.record.id.as_str(), job.record.stalled_count), (retried.as_str(), 1));
    assert_eq!(queue.get_group_active_count("g").await.unwrap(), 1);
    hands.settle(&job, completed()).await;
    assert_eq!(hands.complete_next().await, "delayed");
    assert_eq!(ask_int(&link, &queue, "EXISTS @groups:active @groups:running @groups:delayed").await, 0);
}

#[tokio::test]
async fn a_group_that_a_stock_worker_left_too_narrow_is_mended() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    add(&queue, "n", &of("g")).await;
    // A stock worker found the job stalled, and has finished it.
    ask(&link, &queue, "HSET @groups:active g 1").await;
    ask(&link, &queue, "HSET @groups:running old g").await;
    let sweeping = WorkerOptions { stalled_interval: Duration::from_millis(60), ..limits(Some(1), None) };
    let mut hands = Hands::start(&queue, sweeping);
    assert_eq!(hands.complete_next().await, "n");
}

#[tokio::test]
async fn administration_knows_groups() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let full = r#"{"group":{"id":"a","maxSize":2}}"#;
    add(&queue, "one", full).await;
    let two = add(&queue, "two", full).await;
    let refused = queue.add(vec![job("three", full)]).await.remove(0).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::GroupFull);
    queue.add(vec![job("u", "{}"), job("b", &of("b"))]).await;
    let names = |start, end| {
        let queue = queue.clone();
        async move {
            let jobs = queue.get_jobs(&[JobState::Waiting], start, end, true).await.unwrap();
            jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(0, -1).await, ["u", "b", "one", "two"]);
    assert_eq!(names(1, 2).await, ["b", "one"]);
    assert_eq!(names(3, 9).await, ["two"]);
    assert!(queue.remove(&two, false).await.unwrap());
    assert_eq!(queue.get_state(&two).await.unwrap(), None);
    add(&queue, "later", r#"{"delay":60000,"group":{"id":"a"}}"#).await;
    assert_eq!(queue.clean(-1000, 1, JobState::Waiting).await.unwrap().len(), 1);
    assert_eq!(queue.clean(-1000, 0, JobState::Waiting).await.unwrap().len(), 2);
    assert_eq!(queue.clean(-1000, 0, JobState::Delayed).await.unwrap().len(), 1);
    assert_eq!(queue.get_groups_jobs_count().await.unwrap(), 0);
    for group in ["a", "b", "c"] {
        queue.add(vec![job("n", &of(group)); 3]).await;
    }
    add(&queue, "later", r#"{"delay":60000,"group":{"id":"a"}}"#).await;
    queue.drain(false).await.unwrap();
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.delayed), (0, 1));
    queue.drain(true).await.unwrap();
    assert_eq!(queue.get_counts().await.unwrap(), JobCounts::default());
    queue.add(vec![job("n", &of("a")); 3]).await;
    add(&queue, "later", r#"{"delay":60000,"group":{"id":"a"}}"#).await;
    queue.set_group_concurrency("a", Some(1)).await.unwrap();
    queue.obliterate(false).await.unwrap();
    let left = ask_list(&link, &queue, &format!("KEYS {}:*", queue.qualified_name())).await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn jobs_of_flows_keep_their_groups_turn_and_bounds() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let flows = FlowProducer::new(Arc::clone(&link), QueueOptions::default());
    let node = |parent, name: &str, options: &str| FlowNode {
        parent,
        prefix: None,
        queue: queue.name().to_owned(),
        job: job(name, options),
    };
    let ids = flows
        .add(vec![
            node(None, "parent", &of("a")),
            node(Some(0), "a1", &of("a")),
            node(Some(0), "a2", &of("a")),
            node(Some(0), "b1", &of("b")),
        ])
        .await
        .unwrap();
    assert_eq!(queue.get_state(&ids[0]).await.unwrap(), Some(JobState::WaitingChildren));
    assert_eq!(queue.get_groups_jobs_count().await.unwrap(), 3);
    add(&queue, "c1", &of("c")).await;
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 9, ..limits(Some(1), None) });
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(hands.job().await);
    }
    let names: Vec<&str> = running.iter().map(|job| job.record.name.as_str()).collect();
    assert_eq!(names, ["a1", "b1", "c1"]);
    assert!(hands.no_job_for(100).await);
    for job in &running {
        hands.settle(job, completed()).await;
    }
    assert_eq!(hands.complete_next().await, "a2");
    // The last child is done: its parent waits in its group, and a stock worker finds nothing.
    let parent = hands.job().await;
    assert_eq!((parent.record.id.as_str(), queue.get_group_active_count("a").await.unwrap()), (ids[0].as_str(), 1));
    // A parent that waits for further children leaves its group's place to others.
    let child = FlowNode {
        job: job(
            "late",
            &format!(r#"{{"group":{{"id":"a"}},"parent":{{"id":"{}","queue":"{}"}}}}"#, ids[0], queue.qualified_name()),
        ),
        ..node(None, "", "{}")
    };
    flows.add(vec![child]).await.unwrap();
    hands.settle(&parent, Outcome::WaitingChildren).await;
    assert_eq!(hands.complete_next().await, "late");
    assert_eq!(hands.complete_next().await, "parent");
    assert_eq!(ask_int(&link, &queue, "EXISTS @groups @groups:active @groups:running @groups:sizes").await, 0);

    let full = vec![
        node(None, "parent", "{}"),
        node(Some(0), "x", r#"{"group":{"id":"x","maxSize":1}}"#),
        node(Some(0), "y", r#"{"group":{"id":"x","maxSize":1}}"#),
    ];
    assert_eq!(flows.add(full).await.unwrap_err().code(), ErrorCode::GroupFull);
    assert_eq!(queue.get_counts().await.unwrap(), JobCounts { completed: 6, ..JobCounts::default() });
}

#[tokio::test]
async fn jobs_of_schedulers_keep_their_groups_turn_and_bounds() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let scheduler = JobScheduler::new(queue.clone());
    let every = |json: &str| RepeatOptions::from_json(json, None).unwrap();
    let grouped = || JobOptions::from_json(r#"{"group":{"id":"g","priority":2}}"#).unwrap();
    scheduler.upsert("s", every(r#"{"every":100}"#), "run", "", grouped()).await.unwrap();
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 5, ..limits(Some(1), None) });
    let run = hands.job().await;
    assert_eq!(
        ask(&link, &queue, &format!("HMGET @{} gid priority", run.record.id)).await.into_items().unwrap().len(),
        2
    );
    assert_eq!(queue.get_group_active_count("g").await.unwrap(), 1);
    // The next run is due, but its group has no place for it.
    eventually("the next run waits in its group", || async { queue.get_group_jobs_count("g").await.unwrap() == 1 })
        .await;
    assert!(hands.no_job_for(150).await);
    assert_eq!(ask_int(&link, &queue, "ZCARD @delayed").await + ask_int(&link, &queue, "LLEN @wait").await, 0);
    hands.settle(&run, completed()).await;
    let next = hands.job().await;
    assert!(next.record.id > run.record.id);
    hands.settle(&next, completed()).await;
    hands.worker.close(Duration::ZERO).await;
    // Changing and removing the series takes its pending job out of the group.
    scheduler.upsert("s", every(r#"{"every":3600000}"#), "run", "", grouped()).await.unwrap();
    assert!(
        queue.get_group_jobs_count("g").await.unwrap() + ask_int(&link, &queue, "ZCARD @groups:delayed").await <= 2
    );
    assert!(scheduler.remove("s").await.unwrap());
    let left = queue.get_counts().await.unwrap();
    assert_eq!((left.waiting, left.delayed), (0, 0), "{left:?}");
    let bounded = JobOptions::from_json(r#"{"group":{"id":"g","maxSize":2}}"#).unwrap();
    let error = scheduler.upsert("s", every(r#"{"every":100}"#), "run", "", bounded).await.unwrap_err();
    assert!(error.details().contains(&("option", "group.maxSize".into())), "{error:?}");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    for (json, path) in [
        (r#"{"group":{"id":""}}"#, "group.id"),
        (r#"{"group":{"id":"a","maxSize":0}}"#, "group.maxSize"),
        (r#"{"group":{"id":"a","priority":-1}}"#, "group.priority"),
        (r#"{"group":{"id":"a"},"priority":3}"#, "priority"),
        (r#"{"group":{"id":"a","size":3}}"#, "group.size"),
    ] {
        let error = oxcart::queue::JobOptions::from_json(json).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption, "{json}");
        assert!(error.details().iter().any(|(_, detail)| *detail == path.into()), "{json}: {error:?}");
    }
    assert_eq!(queue.pause_group("").await.unwrap_err().code(), ErrorCode::InvalidArgument);
    for json in [r#"{"group":{"concurrency":0}}"#, r#"{"group":{"limit":{"max":1,"duration":0}}}"#] {
        assert_eq!(WorkerOptions::from_json(json).unwrap_err().code(), ErrorCode::InvalidOption, "{json}");
    }
}
