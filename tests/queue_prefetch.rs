//! Jobs that a worker takes before it has slots for them, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use oxcart::{
    connection::{self, ConnectionOptions, Link},
    queue::{ActiveJob, JobSink, Queue, QueueOptions, Worker, WorkerEvent, WorkerOptions},
    scheduler::NextIteration,
    service,
    testing::{Proxy, RedisServer},
};
use support::*;

/// Completes jobs on another turn of the I/O thread, unless it is told to hold them.
#[derive(Default)]
struct Machine {
    worker: OnceLock<Arc<Worker>>,
    holds: AtomicBool,
    held: Mutex<Vec<ActiveJob>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    done: Mutex<Vec<String>>,
    /// Jobs that failed before they were delivered, with the reason.
    failed: Mutex<Vec<(String, String)>>,
}

/// The sink of a machine, which it outlives.
struct Belt(Arc<Machine>);

impl JobSink for Belt {
    fn deliver(&self, jobs: Vec<ActiveJob>) {
        let machine = Arc::clone(&self.0);
        let running = machine.running.fetch_add(jobs.len(), Ordering::SeqCst) + jobs.len();
        machine.most_running.fetch_max(running, Ordering::SeqCst);
        drop(service::spawn(async move {
            if machine.holds.load(Ordering::SeqCst) {
                machine.held.lock().unwrap().extend(jobs);
            } else {
                machine.complete(jobs);
            }
        }));
    }

    fn event(&self, event: WorkerEvent) {
        if let WorkerEvent::FailedUndelivered { job, reason } = event {
            self.0.failed.lock().unwrap().push((job.id, reason));
        }
    }
}

impl Machine {
    fn start(queue: &Queue, options: WorkerOptions) -> Arc<Self> {
        Self::default().run(queue, options)
    }

    fn run(self, queue: &Queue, options: WorkerOptions) -> Arc<Self> {
        let machine = Arc::new(self);
        let sink = Arc::new(Belt(Arc::clone(&machine)));
        let worker = Worker::start(queue, options, sink, Arc::new(NextIteration)).unwrap();
        machine.worker.set(worker).ok().unwrap();
        machine
    }

    fn complete(&self, jobs: Vec<ActiveJob>) {
        self.running.fetch_sub(jobs.len(), Ordering::SeqCst);
        self.done.lock().unwrap().extend(jobs.iter().map(|job| job.record.id.clone()));
        let outcomes = jobs.into_iter().map(|job| (job.record.id, job.token, completed())).collect();
        self.worker.wait().report_many(outcomes);
    }

    fn worker(&self) -> &Worker {
        self.worker.get().unwrap()
    }

    fn done(&self) -> usize {
        self.done.lock().unwrap().len()
    }
}

async fn add_many(queue: &Queue, count: usize) {
    for result in queue.add((0..count).map(|_| job("n", "{}")).collect()).await {
        result.unwrap();
    }
}

async fn calls(link: &Arc<dyn Link>, queue: &Queue) -> usize {
    let stats = ask_text(link, queue, "INFO commandstats").await;
    let counted = stats.lines().find_map(|row| row.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    counted.split(',').next().unwrap().parse().unwrap()
}

fn two_at_once() -> WorkerOptions {
    WorkerOptions { concurrency: 2, ..options() }
}

#[tokio::test]
async fn quick_jobs_are_taken_ahead_and_never_more_run_than_allowed() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    add_many(&queue, 3000).await;
    let before = calls(&link, &queue).await;
    let machine = Machine::start(&queue, two_at_once());
    eventually("all are done", || async { machine.done() == 3000 }).await;
    assert_eq!(machine.most_running.load(Ordering::SeqCst), 2);
    assert_eq!(machine.worker().close(PATIENCE).await, 0);
    let calls = calls(&link, &queue).await - before;
    assert!(calls < 1000, "{calls} calls for 3000 jobs, two at a time");
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.completed, counts.active, counts.waiting), (3000, 0, 0));
}

#[tokio::test]
async fn jobs_that_do_not_begin_go_back_in_their_order() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    add_many(&queue, 4000).await;
    let machine = Machine::start(&queue, two_at_once());
    eventually("it is at work", || async { machine.done() >= 1000 }).await;
    machine.holds.store(true, Ordering::SeqCst);
    eventually("only what runs is active", || async {
        machine.held.lock().unwrap().len() == 2 && ask_int(&link, &queue, "LLEN @active").await == 2
    })
    .await;
    // Nothing of what comes next was lost or overtaken.
    let waiting: Vec<u32> =
        ask_list(&link, &queue, "LRANGE @wait 0 -1").await.iter().map(|id| id.parse().unwrap()).collect();
    let oldest_first: Vec<u32> = waiting.iter().rev().copied().collect();
    assert!(oldest_first.is_sorted(), "{:?}", &oldest_first[..20]);
    assert_eq!(waiting.len() + machine.done() + 2, 4000);
    let next = queue.get_job(&oldest_first[0].to_string()).await.unwrap().unwrap();
    assert_eq!((next.attempts_started, next.attempts_made), (0, 0));

    machine.holds.store(false, Ordering::SeqCst);
    machine.complete(std::mem::take(&mut *machine.held.lock().unwrap()));
    eventually("all are done", || async { machine.done() == 4000 }).await;
    machine.worker().close(PATIENCE).await;
    assert_eq!(queue.get_counts().await.unwrap().completed, 4000);
}

#[tokio::test]
async fn a_worker_that_pauses_or_closes_gives_back_what_has_not_begun() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    add_many(&queue, 20_000).await;
    let machine = Machine::start(&queue, two_at_once());
    eventually("it is at work", || async { machine.done() >= 500 }).await;
    machine.worker().pause(false).await;
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.active, counts.waiting + counts.completed), (0, 20_000));
    machine.worker().resume();
    let done = machine.done();
    eventually("it is at work again", || async { machine.done() >= done + 500 }).await;
    assert_eq!(machine.worker().close(PATIENCE).await, 0);
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.active, counts.waiting + counts.completed), (0, 20_000));
    assert_eq!(usize::try_from(counts.completed).unwrap(), machine.done());
}

#[tokio::test]
async fn nothing_is_taken_ahead_where_that_is_not_wanted() {
    let server = RedisServer::start();
    let link = open(&server);
    for (options, global) in [
        (WorkerOptions { concurrency: 1, ..options() }, None),
        (WorkerOptions { prefetch: false, ..two_at_once() }, None),
        (two_at_once(), Some(2)),
    ] {
        let queue = queue(&link);
        queue.set_global_concurrency(global).await.unwrap();
        add_many(&queue, 1000).await;
        let at_once = i64::try_from(options.concurrency).unwrap();
        let machine = Machine::start(&queue, options);
        while machine.done() < 1000 {
            let active = ask_int(&link, &queue, "LLEN @active").await;
            assert!(active <= at_once, "{active}");
        }
        tokio::time::timeout(Duration::from_secs(10), machine.worker().close(PATIENCE)).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_was_taken_ahead_is_cancelled_before_it_begins() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = queue(&link);
    let machine = Machine::start(&queue, two_at_once());
    let (mut added, end) = (0, tokio::time::Instant::now() + PATIENCE);
    // What is taken ahead goes back in milliseconds, so not every request finds it.
    let cancelled = loop {
        assert!(tokio::time::Instant::now() < end, "nothing that was taken ahead was cancelled");
        add_many(&queue, 1000).await;
        added += 1000;
        eventually("it is at work", || async { machine.done() + 700 > added }).await;
        machine.holds.store(true, Ordering::SeqCst);
        eventually("its slots are taken", || async { machine.held.lock().unwrap().len() == 2 }).await;
        let begun: Vec<String> = machine.held.lock().unwrap().iter().map(|job| job.record.id.clone()).collect();
        let ahead = ask_list(&link, &queue, "LRANGE @active 0 -1").await.into_iter().find(|id| !begun.contains(id));
        if let Some(id) = ahead {
            queue.cancel_job(&id, Some("not wanted")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        machine.holds.store(false, Ordering::SeqCst);
        machine.complete(std::mem::take(&mut *machine.held.lock().unwrap()));
        if let Some((id, reason)) = machine.failed.lock().unwrap().pop() {
            assert_eq!(reason, "not wanted");
            break id;
        }
    };
    eventually("all others are done", || async { machine.done() == added - 1 }).await;
    machine.worker().close(PATIENCE).await;
    assert!(!machine.done.lock().unwrap().contains(&cancelled));
    let job = queue.get_job(&cancelled).await.unwrap().unwrap();
    assert_eq!((job.failed_reason.as_deref(), job.attempts_made), (Some("not wanted"), 1));
    let counts = queue.get_counts().await.unwrap();
    assert_eq!((counts.completed, counts.failed, counts.active), (added as u64 - 1, 1, 0));
}

/// Two hundred jobs run, their outcomes are reported in two halves, and the server's answers are held back.
async fn with_two_calls_under_way(end: impl FnOnce(&Proxy)) {
    let server = RedisServer::builder().process().start();
    let link = open(&server);
    let proxy = Proxy::start(server.port());
    let behind = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let [own, seen] = [behind, link].map(|link| Queue::open(link, "two", QueueOptions::default()).unwrap());
    add_many(&seen, 400).await;
    let machine = Machine { holds: AtomicBool::new(true), ..Machine::default() }
        .run(&own, WorkerOptions { concurrency: 200, prefetch: false, ..options() });
    let all_run = || async { machine.held.lock().unwrap().len() == 200 };
    eventually("its slots are taken", all_run).await;
    // Once, so that the server knows the script.
    machine.complete(machine.held.lock().unwrap().drain(..1).collect());
    eventually("its slots are taken again", all_run).await;
    proxy.hold_replies();
    for half in 1..=2 {
        machine.complete(machine.held.lock().unwrap().drain(..100).collect());
        // The server has the second half though it answered nothing.
        eventually(&format!("half {half} is stored"), || async {
            seen.get_counts().await.unwrap().completed == half * 100 + 1
        })
        .await;
    }
    machine.holds.store(false, Ordering::SeqCst);
    end(&proxy);
    eventually("all are done", || async { machine.done() == 400 }).await;
    assert_eq!(machine.worker().close(PATIENCE).await, 0);
    assert_eq!(seen.get_counts().await.unwrap().completed, 400);
    let mut done = std::mem::take(&mut *machine.done.lock().unwrap());
    done.sort_unstable();
    done.dedup();
    assert_eq!(done.len(), 400, "none ran twice");
}

#[tokio::test]
async fn outcomes_do_not_wait_for_the_answer_to_the_call_before() {
    with_two_calls_under_way(Proxy::go_on).await;
}

#[tokio::test]
async fn a_connection_lost_under_two_calls_loses_no_job_and_runs_none_twice() {
    with_two_calls_under_way(|proxy| {
        proxy.cut();
        proxy.go_on();
    })
    .await;
}
