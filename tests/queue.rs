//! Queues and workers against a real server.

mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    clock::Clock,
    codec::resp::Value,
    connection::Command,
    queue::{
        JobOptions, JobState, KeepPolicy, Limiter, NewJob, Outcome, Queue, QueueEvent, QueueEventSink, QueueEvents,
        QueueOptions, Retry, Settlement, WorkerEvent, WorkerOptions,
    },
    testing::RedisServer,
};
use support::*;

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
    assert!((29_000..=30_000).contains(&ask_int(&link, &queue, "PTTL @1:lock").await));

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
    assert_eq!(queue.get_state(&id).await.unwrap(), Some(JobState::Delayed));
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
    queue.retry(&id, JobState::Failed, true).await.unwrap();
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
            WorkerEvent::NotSettled { error, .. } => Some(error.clone()),
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
    assert!(times[1] < 350 && times[2] >= 350 && times[4] >= 750, "{times:?}");
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

    assert!(queue.remove("2").await.unwrap());
    assert!(!queue.remove("2").await.unwrap());
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

#[derive(Default)]
struct Log(Mutex<Vec<QueueEvent>>);

impl QueueEventSink for Log {
    fn events(&self, events: Vec<QueueEvent>) {
        self.0.lock().unwrap().extend(events);
    }
    fn error(&self, _error: &oxcart::Error) {}
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .map(|event| format!("{} {}", event.name, event.fields.first().map_or("", |field| &field.1)))
            .collect()
    }
}

#[tokio::test]
async fn events_of_several_queues_are_read_from_now_or_from_a_place() {
    let server = RedisServer::start();
    let link = open(&server);
    let (one, two) = (queue(&link), queue(&link));
    add(&one, "before", "{}").await;
    let logs: [Arc<Log>; 3] = Default::default();
    let first = QueueEvents::subscribe(&one, None, Arc::clone(&logs[0]) as _).await.unwrap();
    let _second = QueueEvents::subscribe(&two, None, Arc::clone(&logs[1]) as _).await.unwrap();
    let _all = QueueEvents::subscribe(&one, Some("0-0".into()), Arc::clone(&logs[2]) as _).await.unwrap();
    add(&one, "n", "{}").await;
    add(&two, "n", "{}").await;
    eventually("events", || async {
        logs[0].lines() == ["added 2", "waiting 2"]
            && logs[1].lines() == ["added 1", "waiting 1"]
            && logs[2].lines() == ["added 1", "waiting 1", "added 2", "waiting 2"]
    })
    .await;
    drop(first);
    add(&one, "n", "{}").await;
    eventually("the last", || async { logs[2].lines().len() == 6 }).await;
    assert_eq!(logs[0].lines().len(), 2);
    assert!(QueueEvents::subscribe(&one, Some("x".into()), Arc::clone(&logs[0]) as _).await.is_err());
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
    let results = queue.add((0..3000).map(|_| job("n", "{}")).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    eventually("under way", || async { queue.get_counts().await.unwrap().completed > 200 }).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.restart();
    let back = Instant::now();
    let done = || async { queue.get_counts().await.map_or(0, |counts| counts.completed) };
    let before = done().await;
    eventually("goes on", || async { before == 3000 || done().await > before }).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    // The idle worker hears of new work, too.
    eventually("all completed", || async { done().await == 3000 }).await;
    let again = Instant::now();
    add(&queue, "n", "{}").await;
    eventually("the last one", || async { done().await == 3001 }).await;
    assert!(again.elapsed() < Duration::from_secs(2));
    eventually("every completion was told", || async {
        let ids: std::collections::HashSet<_> =
            log.lines().into_iter().filter(|line| line.starts_with("completed")).collect();
        ids.len() == 3001
    })
    .await;
    worker.close(PATIENCE).await;
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
    let closing = tokio::spawn(async move { worker.close(PATIENCE).await });
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
