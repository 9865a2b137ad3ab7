//! What workers do with jobs, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    clock::Clock,
    queue::{
        ActiveJob, JobOptions, JobSink, JobState, KeepPolicy, Limiter, NewJob, Outcome, QueueOptions, Retry,
        Settlement, Worker, WorkerEvent, WorkerOptions,
    },
    scheduler::NextIteration,
    testing::RedisServer,
};
use support::*;

struct Deaf;

impl JobSink for Deaf {
    fn deliver(&self, _jobs: Vec<ActiveJob>) {}
    fn event(&self, _event: WorkerEvent) {}
}

#[tokio::test]
async fn a_job_lives_from_add_to_completed() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let new = NewJob { name: "resize".into(), data: r#"{"w":1}"#.into(), options: JobOptions::default() };
    let id = queue.add(vec![new]).await.remove(0).unwrap();
    assert_eq!(id, "1");
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Waiting));

    let mut hands = Hands::start(&queue, WorkerOptions { name: Some("w1".into()), ..options() });
    let job = hands.job().await;
    assert_eq!((job.record.name.as_str(), job.record.data.as_str()), ("resize", r#"{"w":1}"#));
    assert_eq!(job.record.attempts_started, 1);
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Active));
    assert_eq!(ask_text(&link, &queue, "GET @1:lock").await, job.token);
    assert!((20_000..=30_000).contains(&ask_int(&link, &queue, "PTTL @1:lock").await));

    let settlement = hands.settle(&job, Outcome::Completed { value: r#"{"ok":true}"#.into() }).await;
    assert_eq!(settlement, Settlement::Completed);
    let stored = queue.get_job(&id).await.unwrap().unwrap();
    assert_eq!(stored.return_value.as_deref(), Some(r#"{"ok":true}"#));
    assert_eq!((stored.attempts_made, stored.attempts_started), (1, 1));
    assert_eq!(stored.processed_by.as_deref(), Some("w1"));
    assert!(stored.finished_on >= stored.processed_on && stored.processed_on.unwrap() >= stored.timestamp);
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Completed));
    assert_eq!(ask_int(&link, &queue, "EXISTS @1:lock @active").await, 0);
    assert_eq!(stream(&link, &queue).await, ["added 1", "waiting 1", "active 1", "completed 1", "drained"]);
    hands.event("drained", |event| matches!(event, WorkerEvent::Drained).then_some(())).await;
    assert_eq!(hands.worker.close(PATIENCE).await, 0);
}

#[tokio::test]
async fn an_idle_worker_takes_a_job_at_once() {
    let server = RedisServer::start();
    let link = open(&server);
    let (one, two) = (queue(&link), queue(&link));
    let mut first = Hands::start(&one, options());
    let mut second = Hands::start(&two, options());
    for round in 0..20 {
        // Either queue alone, so that the watcher must know both.
        let (queue, hands) = if round % 2 == 0 { (&one, &mut first) } else { (&two, &mut second) };
        let start = Instant::now();
        add(queue, "n", "{}").await;
        hands.complete_next().await;
        assert!(start.elapsed() < Duration::from_secs(1), "round {round}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_worker_is_listed_while_it_runs() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let named = WorkerOptions { name: Some("w1".into()), visible_to_bullmq: true, ..options() };
    let (plain, shown) = (Hands::start(&queue, options()), Hands::start(&queue, named));
    let shown_as = |clients: String| clients.lines().filter(|line| line.contains(":w:w1")).count();
    // Who looks at the engine in this process with another package does so from elsewhere: nobody is shown there.
    let listed_there = usize::from(std::env::var("OXCART_TEST_ENGINE").is_err());
    eventually("both are listed, one to BullMQ", || async {
        let clients = ask_text(&link, &queue, "CLIENT LIST").await;
        queue.get_workers().await.unwrap().len() == 2 && shown_as(clients) == listed_there
    })
    .await;
    let listed = queue.get_workers().await.unwrap().concat();
    assert!(
        listed.contains(r#""name":"w1""#) && listed.contains(&format!(r#""pid":{}"#, std::process::id())),
        "{listed}"
    );

    shown.worker.close(PATIENCE).await;
    eventually("the one that closed is gone", || async {
        queue.get_workers().await.unwrap().len() == 1 && shown_as(ask_text(&link, &queue, "CLIENT LIST").await) == 0
    })
    .await;
    plain.worker.close(PATIENCE).await;
    assert!(queue.get_workers().await.unwrap().is_empty());

    let blank = WorkerOptions { name: Some("w 1".into()), visible_to_bullmq: true, ..options() };
    let refused = Worker::start(&queue, blank, Arc::new(Deaf), Arc::new(NextIteration));
    assert_eq!(refused.map(drop).map_err(|error| error.code()), Err(ErrorCode::InvalidOption));
}

#[tokio::test]
async fn jobs_go_by_priority_then_age_and_lifo_first() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let names = [
        ("p3", r#"{"priority":3}"#),
        ("a", "{}"),
        ("p1", r#"{"priority":1}"#),
        ("b", "{}"),
        ("p1b", r#"{"priority":1}"#),
        ("l", r#"{"lifo":true}"#),
    ];
    queue.add(names.iter().map(|(name, options)| job(name, options)).collect()).await;
    assert_eq!(queue.get_counts().await.unwrap().prioritized, 3);
    let mut hands = Hands::start(&queue, options());
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(hands.complete_next().await);
    }
    assert_eq!(order, ["l", "a", "b", "p1", "p1b", "p3"]);
}

#[tokio::test]
async fn delayed_jobs_come_when_due_in_order() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    let start = Instant::now();
    queue.add(vec![job("c", r#"{"delay":400}"#), job("a", r#"{"delay":200}"#), job("b", r#"{"delay":200}"#)]).await;
    assert_eq!(queue.get_counts().await.unwrap().delayed, 3);
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(hands.complete_next().await);
        let least = if order.len() == 3 { 400 } else { 200 };
        let late = start.elapsed().as_millis();
        assert!((least..least + 1500).contains(&late), "{order:?} after {late} ms");
    }
    assert_eq!(order, ["a", "b", "c"]);
}

#[tokio::test]
async fn failures_are_retried_with_backoff_and_end() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    let id =
        add(&queue, "n", r#"{"attempts":3,"backoff":{"type":"exponential","delay":60},"stackTraceLimit":2}"#).await;
    let job = hands.job().await;
    assert_eq!(hands.settle(&job, failed("one")).await, Settlement::Retrying { attempts_made: 1, delay_ms: 60 });
    assert!(stream(&link, &queue).await.contains(&"delayed 1".to_owned()));
    let job = hands.job().await;
    assert_eq!((job.record.attempts_made, job.record.attempts_started), (1, 2));
    assert_eq!(hands.settle(&job, failed("two")).await, Settlement::Retrying { attempts_made: 2, delay_ms: 120 });
    let job = hands.job().await;
    assert_eq!(hands.settle(&job, failed("three")).await, Settlement::Failed { attempts_made: 3 });
    let stored = queue.get_job(&id).await.unwrap().unwrap();
    assert_eq!(stored.failed_reason.as_deref(), Some("three"));
    let traces: Vec<String> = serde_json::from_str(stored.stacktrace.as_deref().unwrap()).unwrap();
    assert_eq!(traces.len(), 2);
    assert!(traces[1].contains("three"));
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Failed));
    let events = stream(&link, &queue).await;
    assert_eq!(events[events.len() - 3..], ["failed 1", "retries-exhausted 1", "drained"]);
    // Put back by hand, it has all its attempts again.
    queue
        .retry(&id, JobState::Failed, oxcart::queue::Reset { attempts_made: true, attempts_started: true })
        .await
        .unwrap();
    let job = hands.job().await;
    assert_eq!(job.record.attempts_made, 0);
    assert_eq!(job.record.failed_reason, None);
    hands.settle(&job, completed()).await;
}

#[tokio::test]
async fn a_failure_can_be_final_or_wait_as_a_strategy_says() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    let fail = |retry| Outcome::Failed { reason: "no".into(), stack: None, retry };
    add(&queue, "n", r#"{"attempts":5}"#).await;
    let job = hands.job().await;
    assert_eq!(
        hands.settle(&job, fail(Retry::ByOptions)).await,
        Settlement::Retrying { attempts_made: 1, delay_ms: 0 }
    );
    let job = hands.job().await;
    let after = Retry::After(Duration::from_millis(30));
    assert_eq!(hands.settle(&job, fail(after)).await, Settlement::Retrying { attempts_made: 2, delay_ms: 30 });
    let job = hands.job().await;
    assert_eq!(hands.settle(&job, fail(Retry::Never)).await, Settlement::Failed { attempts_made: 3 });

    add(&queue, "n", r#"{"attempts":5,"backoff":{"type":"mine"}}"#).await;
    let job = hands.job().await;
    hands.worker.report(&job.record.id, &job.token, fail(Retry::ByOptions));
    let error = hands
        .event("the strategy is unknown", |event| match event {
            WorkerEvent::Error(error) => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error.code(), ErrorCode::InvalidOption);
}

#[tokio::test]
async fn jobs_can_steer_themselves() {
    let server = RedisServer::start();
    let link = open(&server);
    let clock = Clock::system();
    let queue = queue_with(&link, QueueOptions { clock: clock.clone(), ..QueueOptions::default() });
    let mut hands = Hands::start(&queue, options());
    let id = add(&queue, "n", "{}").await;
    let job = hands.job().await;
    assert_eq!(hands.settle(&job, Outcome::Delayed { until_ms: clock.now_ms() + 80 }).await, Settlement::Moved);
    let job = hands.job().await;
    assert_eq!((job.record.attempts_made, job.record.attempts_started), (0, 2));
    hands.settle(&job, Outcome::Waiting).await;
    let job = hands.job().await;
    // A child is unfinished: wait for it.
    ask(&link, &queue, &format!("SADD @{id}:dependencies bull:other:1")).await;
    hands.worker.report(&id, &job.token, completed());
    let error = hands
        .event("refused", |event| match event {
            // It is stored as a failure that says why.
            WorkerEvent::Settled { refused, .. } => refused.clone(),
            _ => None,
        })
        .await;
    assert_eq!(error.code(), ErrorCode::JobHasChildren);
}

#[tokio::test]
async fn finished_jobs_are_kept_as_their_policy_says() {
    let server = RedisServer::start();
    let link = open(&server);
    let clock = Clock::manual(1_000_000_000_000);
    let queue = queue_with(&link, QueueOptions { clock: clock.clone(), ..QueueOptions::default() });
    let keep = KeepPolicy { count: Some(3), ..KeepPolicy::default() };
    let mut hands = Hands::start(&queue, WorkerOptions { remove_on_complete: keep, ..options() });
    for _ in 0..5 {
        add(&queue, "n", "{}").await;
        hands.complete_next().await;
        clock.advance_ms(1000);
    }
    assert_eq!(ask_list(&link, &queue, "ZRANGE @completed 0 -1").await, ["3", "4", "5"]);
    assert_eq!(ask_int(&link, &queue, "EXISTS @1 @2").await, 0);
    // Its own policy comes first: gone at once, with its log.
    let id = add(&queue, "n", r#"{"removeOnComplete":true}"#).await;
    let job = hands.job().await;
    queue.add_log(&id, "row", None).await.unwrap();
    hands.settle(&job, completed()).await;
    assert_eq!(ask_int(&link, &queue, "EXISTS @6 @6:logs @6:lock").await, 0);
    // By age, in seconds.
    clock.advance_ms(10_000);
    add(&queue, "n", r#"{"removeOnComplete":{"age":5}}"#).await;
    hands.complete_next().await;
    assert_eq!(ask_list(&link, &queue, "ZRANGE @completed 0 -1").await, ["7"]);
    let id = add(&queue, "n", r#"{"removeOnFail":true}"#).await;
    let job = hands.job().await;
    hands.settle(&job, failed("x")).await;
    assert_eq!(queue.get_job(&id).await.unwrap(), None);
    assert_eq!(ask_int(&link, &queue, "EXISTS @failed").await, 0);
}

#[tokio::test]
async fn a_paused_worker_finishes_what_it_has() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    add(&queue, "a", "{}").await;
    let job = hands.job().await;
    hands.worker.pause(true).await;
    add(&queue, "b", "{}").await;
    hands.settle(&job, completed()).await;
    hands.worker.pause(false).await;
    assert!(hands.no_job_for(100).await);
    hands.worker.resume();
    assert_eq!(hands.complete_next().await, "b");
}

#[tokio::test]
async fn global_concurrency_bounds_all_workers() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    queue.set_global_concurrency(Some(2)).await.unwrap();
    queue.add((0..4).map(|_| job("n", "{}")).collect()).await;
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 10, ..options() });
    let mut others = Hands::start(&queue, WorkerOptions { concurrency: 10, ..options() });
    eventually("two active", || async { queue.get_counts().await.unwrap().active == 2 }).await;
    hands.no_job_for(150).await;
    others.no_job_for(10).await;
    assert_eq!(queue.get_counts().await.unwrap().active, 2);
    queue.set_global_concurrency(None).await.unwrap();
    eventually("all active", || async { queue.get_counts().await.unwrap().active == 4 }).await;
}

#[tokio::test]
async fn a_limiter_starts_so_many_a_period() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let limiter = Some(Limiter { max: 2, duration: Duration::from_millis(400) });
    queue.add((0..5).map(|_| job("n", "{}")).collect()).await;
    let start = Instant::now();
    let mut hands = Hands::start(&queue, WorkerOptions { concurrency: 5, limiter, ..options() });
    let mut times = Vec::new();
    for _ in 0..5 {
        hands.complete_next().await;
        times.push(start.elapsed().as_millis());
    }
    assert!(times[2] >= 350 && times[4] >= 750, "{times:?}");
}

#[tokio::test]
async fn the_end_of_a_child_frees_its_parent() {
    let server = RedisServer::start();
    let link = open(&server);
    for (flag, state, field) in [
        ("", JobState::WaitingChildren, ""),
        (r#","fpof":true"#, JobState::Waiting, "defa"),
        (r#","cpof":true"#, JobState::Waiting, ""),
        (r#","idof":true"#, JobState::Waiting, ""),
        (r#","rdof":true"#, JobState::Waiting, ""),
    ] {
        let (parents, children) = (queue(&link), queue(&link));
        let parent_queue = parents.qualified_name().to_owned();
        ask(&link, &parents, "HSET @p name parent data {} opts {} timestamp 1 delay 0 priority 0").await;
        ask(&link, &parents, "ZADD @waiting-children 1 p").await;
        let mut names = Vec::new();
        for id in ["c1", "c2"] {
            let hash = format!(
                "HSET @{id} name {id} data {{}} opts {{}} timestamp 1 delay 0 priority 0 parentKey {parent_queue}:p parent {{\"id\":\"p\",\"queueKey\":\"{parent_queue}\"{flag}}}"
            );
            ask(&link, &children, &hash).await;
            ask(&link, &children, &format!("LPUSH @wait {id}")).await;
            ask(&link, &parents, &format!("SADD @p:dependencies {}:{id}", children.qualified_name())).await;
        }
        let mut hands = Hands::start(&children, options());
        let first = hands.job().await;
        hands.settle(&first, Outcome::Completed { value: "7".into() }).await;
        names.push(first.record.name);
        assert_eq!(parents.get_state("p").await.unwrap(), Some(JobState::WaitingChildren));
        assert_eq!(ask_list(&link, &parents, "HVALS @p:processed").await, ["7"]);
        let second = hands.job().await;
        hands.settle(&second, failed("bad")).await;
        assert_eq!(parents.get_state("p").await.unwrap(), Some(state), "{flag}");
        if !field.is_empty() {
            let reason = ask_text(&link, &parents, &format!("HGET @p {field}")).await;
            assert!(reason.contains(&format!("{}:c2", children.qualified_name())), "{reason}");
        }
        assert_eq!(ask_int(&link, &parents, "SCARD @p:dependencies").await, i64::from(flag.is_empty()), "{flag}");
    }
}

#[tokio::test]
async fn closing_waits_for_running_jobs_but_not_for_ever() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    add(&queue, "a", "{}").await;
    add(&queue, "b", "{}").await;
    let running = hands.job().await;
    let worker = Arc::clone(&hands.worker);
    let closing = oxcart::service::spawn(async move { worker.close(PATIENCE).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    hands.settle(&running, completed()).await;
    assert_eq!(closing.await.unwrap(), 0);
    assert_eq!(hands.worker.close(PATIENCE).await, 0);
    hands.event("closed", |event| matches!(event, WorkerEvent::Closed).then_some(())).await;
    // The one that was not taken waits for others.
    assert_eq!(queue.get_counts().await.unwrap().waiting, 1);

    let mut hands = Hands::start(&queue, options());
    hands.job().await;
    let start = Instant::now();
    assert_eq!(hands.worker.close(Duration::from_millis(100)).await, 1);
    assert!(start.elapsed() < Duration::from_secs(1));
}

/// Jobs that the server handed over just when the worker was told to close were left to the stalled check.
#[tokio::test]
async fn closing_waits_for_jobs_on_their_way() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut taken = 0;
    for round in 0..100 {
        add(&queue, "a", "{}").await;
        let mut hands = Hands::start(&queue, options());
        let worker = Arc::clone(&hands.worker);
        let mut closing = oxcart::service::spawn(async move {
            for _ in 0..round % 10 {
                tokio::task::yield_now().await;
            }
            worker.close(PATIENCE).await
        });
        tokio::select! {
            left = &mut closing => assert_eq!(left.unwrap(), 0),
            job = hands.job() => {
                taken += 1;
                hands.settle(&job, completed()).await;
                assert_eq!(closing.await.unwrap(), 0);
            }
        }
        assert_eq!(queue.get_counts().await.unwrap().active, 0, "round {round}");
    }
    assert!(taken > 0, "no close met a job on its way");
}

#[tokio::test]
async fn a_worker_can_rest_by_itself() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let mut hands = Hands::start(&queue, options());
    add(&queue, "a", "{}").await;
    hands.complete_next().await;
    hands.worker.rate_limit(Duration::from_millis(300)).await.unwrap();
    let start = Instant::now();
    add(&queue, "b", "{}").await;
    hands.complete_next().await;
    assert!(start.elapsed() >= Duration::from_millis(280), "{:?}", start.elapsed());
}

#[tokio::test]
async fn concurrency_can_be_changed_while_it_runs() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    queue.add((0..4).map(|_| job("n", "{}")).collect()).await;
    let mut hands = Hands::start(&queue, options());
    let first = hands.job().await;
    assert!(hands.no_job_for(100).await);
    hands.worker.set_concurrency(3);
    hands.job().await;
    hands.job().await;
    assert!(hands.no_job_for(100).await);
    hands.settle(&first, completed()).await;
    hands.job().await;
    assert_eq!(hands.worker.running(), 3);
}
