//! Worker processes are killed at random while jobs of every kind go through them: every job ends in exactly one state, the
//! one that it must end in, every parent after its children, and every slot of a schedule has exactly one job.
//!
//! `OXCART_CHAOS_SECONDS` and `OXCART_CHAOS_JOBS` make it longer and larger.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::{HashMap, HashSet},
    process::{Child, Command as Process, Stdio},
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use oxcart::{
    clock::Clock,
    connection::{self, ConnectionOptions, Link},
    queue::{
        ActiveJob, FlowNode, FlowProducer, JobRecord, JobSink, JobState, KeepPolicy, NewJob, Outcome, Queue,
        QueueOptions, Worker, WorkerEvent, WorkerOptions,
    },
    scheduler::{JobScheduler, MissedRuns, NextIteration, RepeatOptions, RunPolicy},
    service,
    testing::RedisServer,
};
use support::*;

const PORT: &str = "OXCART_TEST_CHAOS_PORT";
const QUEUE: &str = "chaos";
const WORKERS: usize = 3;
/// What one of the workers is doing anyway: longer than any test of this file takes by default.
const LIFE: Duration = Duration::from_secs(3600);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// Reports each job after a moment, on another turn of the I/O thread.
struct Busy(OnceLock<Weak<Worker>>);

impl JobSink for Belt {
    fn deliver(&self, jobs: Vec<ActiveJob>) {
        for job in jobs {
            let busy = Arc::clone(&self.0);
            drop(service::spawn(async move {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..15))).await;
                if let Some(worker) = busy.0.get().and_then(Weak::upgrade) {
                    worker.report(&job.record.id, &job.token, outcome(&job.record));
                }
            }));
        }
    }
    fn event(&self, _event: WorkerEvent) {}
}

struct Belt(Arc<Busy>);

/// The data of a job says how often it fails.
fn outcome(job: &JobRecord) -> Outcome {
    let fails: i64 = job.data.parse().unwrap_or(0);
    if job.attempts_made < fails { failed("as it was told") } else { completed() }
}

/// Not a test of its own: what each worker process runs, until it is killed. Does nothing when the file is run.
#[tokio::test]
async fn worker_process() {
    let Ok(port) = std::env::var(PORT) else { return };
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", port.parse().unwrap())).unwrap();
    let queue = Queue::open(link, QUEUE, QueueOptions::default()).unwrap();
    let options = WorkerOptions {
        concurrency: 20,
        lock_duration: Duration::from_millis(1500),
        lock_renew_time: Duration::from_millis(500),
        stalled_interval: Duration::from_millis(500),
        // Dying is what the workers do here, not what the jobs do to them.
        max_stalled_count: 1_000_000,
        remove_on_complete: KeepPolicy::default(),
        remove_on_fail: KeepPolicy::default(),
        ..options()
    };
    let busy = Arc::new(Busy(OnceLock::new()));
    let sink = Arc::new(Belt(Arc::clone(&busy)));
    // Jobs that come before the worker is known are lost to this process: the lock expires, as if it had died.
    let worker = Worker::start(&queue, options, sink, Arc::new(NextIteration)).unwrap();
    busy.0.set(Arc::downgrade(&worker)).unwrap();
    tokio::time::sleep(LIFE).await;
}

/// Killed when the test ends, however it ends.
struct WorkerProcess(Child);

impl WorkerProcess {
    fn start(server: &RedisServer) -> Self {
        let child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process"])
            .env(PORT, server.port().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A job of some kind, and how it must end.
fn any_job(index: u64) -> (NewJob, JobState) {
    let mut options = Vec::new();
    if index.is_multiple_of(5) {
        options.push(format!(r#""priority":{}"#, 1 + index % 10));
    }
    if index.is_multiple_of(7) {
        options.push(format!(r#""delay":{}"#, 50 + index % 400));
    }
    if index.is_multiple_of(11) {
        options.push(r#""lifo":true"#.to_owned());
    }
    let (fails, attempts) = (index % 4, 1 + index % 3);
    options.push(format!(r#""attempts":{attempts}"#));
    if index.is_multiple_of(2) {
        options.push(r#""backoff":{"type":"fixed","delay":30}"#.to_owned());
    }
    let mut job = job("n", &format!("{{{}}}", options.join(",")));
    job.data = fails.to_string();
    (job, if fails < attempts { JobState::Completed } else { JobState::Failed })
}

fn a_flow() -> Vec<FlowNode> {
    let node = |parent: Option<usize>| FlowNode {
        parent,
        queue: QUEUE.to_owned(),
        job: job("n", "{}"),
        ..FlowNode::default()
    };
    vec![node(None), node(Some(0)), node(Some(0)), node(Some(1))]
}

/// All of what was added, a slice after the other for as long as the time lasts.
async fn produce(
    link: Arc<dyn Link>,
    queue: Queue,
    jobs: u64,
    time: Duration,
) -> (HashMap<String, JobState>, Vec<Vec<String>>) {
    let producer = FlowProducer::new(link, QueueOptions::default());
    let (mut expected, mut flows) = (HashMap::new(), Vec::new());
    let (began, slices) = (Instant::now(), 50);
    for slice in 0..slices {
        let range = jobs * slice / slices..jobs * (slice + 1) / slices;
        let (new, ends): (Vec<_>, Vec<_>) = range.map(any_job).unzip();
        for (id, end) in queue.add(new).await.into_iter().zip(ends) {
            expected.insert(id.unwrap(), end);
        }
        for _ in 0..jobs / slices / 20 {
            let ids = producer.add(a_flow()).await.unwrap();
            expected.extend(ids.iter().map(|id| (id.clone(), JobState::Completed)));
            flows.push(ids);
        }
        tokio::time::sleep_until((began + time * u32::try_from(slice + 1).unwrap() / 50).into()).await;
    }
    (expected, flows)
}

async fn ids_of(link: &Arc<dyn Link>, queue: &Queue, state: &str) -> Vec<String> {
    ask_list(link, queue, &format!("ZRANGE @{state} 0 -1")).await
}

async fn finished_on(queue: &Queue, id: &str) -> i64 {
    queue.get_job(id).await.unwrap().unwrap().finished_on.unwrap()
}

#[tokio::test]
async fn killed_workers_lose_and_double_nothing() {
    if std::env::var(PORT).is_ok() {
        return;
    }
    let (seconds, jobs) = (setting("OXCART_CHAOS_SECONDS", 10), setting("OXCART_CHAOS_JOBS", 4000));
    let time = Duration::from_secs(seconds);
    let server = RedisServer::start();
    let link = open(&server);
    let queue = Queue::open(Arc::clone(&link), QUEUE, QueueOptions::default()).unwrap();
    let scheduler = JobScheduler::new(queue.clone());
    let every_second = RepeatOptions {
        pattern: Some("* * * * * *".to_owned()),
        policy: RunPolicy {
            missed_runs: Some(MissedRuns::RunAll),
            max_missed_runs: Some(1000),
            ..RunPolicy::default()
        },
        ..RepeatOptions::default()
    };
    scheduler.upsert("tick", every_second, "tick", "{}", support::job("n", "{}").options).await.unwrap();

    let mut workers: Vec<_> = (0..WORKERS).map(|_| WorkerProcess::start(&server)).collect();
    let producing = tokio::task::LocalSet::new();
    let began = Instant::now();
    let (expected, flows) = producing
        .run_until(async {
            let work = tokio::task::spawn_local(produce(Arc::clone(&link), queue.clone(), jobs, time));
            while began.elapsed() < time || !work.is_finished() {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(200..900))).await;
                let victim = fastrand::usize(..WORKERS);
                // The old one is killed where it stands.
                workers[victim] = WorkerProcess::start(&server);
            }
            work.await.unwrap()
        })
        .await;

    let ended = Instant::now() + Duration::from_secs(60) + time;
    loop {
        let counts = queue.get_counts().await.unwrap();
        let ticks =
            ids_of(&link, &queue, "completed").await.iter().filter(|id| id.starts_with("repeat:")).count() as u64;
        if counts.completed + counts.failed == expected.len() as u64 + ticks && ticks >= seconds {
            break;
        }
        assert!(Instant::now() < ended, "not all jobs ended: {counts:?}, expected {} and ticks", expected.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(workers);

    let (all_completed, all_failed) = (ids_of(&link, &queue, "completed").await, ids_of(&link, &queue, "failed").await);
    let (completed, failed): (HashSet<_>, HashSet<_>) =
        (all_completed.iter().cloned().collect(), all_failed.iter().cloned().collect());
    for (id, end) in &expected {
        let states = (completed.contains(id), failed.contains(id));
        assert_eq!(states, (*end == JobState::Completed, *end == JobState::Failed), "job {id} should be {end:?}");
    }
    assert_eq!(failed.len() + completed.iter().filter(|id| !id.starts_with("repeat:")).count(), expected.len());
    // What ended is nowhere else, whether as an id or as the lock of a worker.
    for list in ["wait", "active", "paused"] {
        for id in ask_list(&link, &queue, &format!("LRANGE @{list} 0 -1")).await {
            assert!(id.starts_with("repeat:"), "job {id} is in {list}");
        }
    }
    for set in ["delayed", "prioritized", "waiting-children"] {
        for id in ids_of(&link, &queue, set).await {
            assert!(id.starts_with("repeat:"), "job {id} is in {set}");
        }
    }
    // Attempts are counted by their outcomes, not by the deaths of those who made them.
    for id in all_failed.iter().chain(&all_completed).filter(|id| expected.contains_key(*id)) {
        let job = queue.get_job(id).await.unwrap().unwrap();
        let fails: i64 = job.data.parse().unwrap_or(0);
        let attempts =
            job.to_json().split(r#""attempts":"#).nth(1).map_or(1, |rest| i64::from(rest.as_bytes()[0] - b'0'));
        assert_eq!(job.attempts_made, attempts.max(1).min(fails + 1), "job {id}");
        assert!(job.attempts_started >= job.attempts_made, "job {id}");
    }
    for [root, left, right, below] in flows.iter().map(|ids| <[String; 4]>::try_from(ids.clone()).unwrap()) {
        let ended = async |id: &str| finished_on(&queue, id).await;
        assert!(ended(&root).await >= ended(&left).await.max(ended(&right).await), "flow {root}");
        assert!(ended(&left).await >= ended(&below).await, "flow {left}");
    }
    let mut slots: Vec<i64> = all_completed
        .iter()
        .filter_map(|id| id.strip_prefix("repeat:tick:"))
        .map(|slot| slot.parse().unwrap())
        .collect();
    slots.sort_unstable();
    let pairs = slots.windows(2).filter(|pair| pair[1] - pair[0] != 1000).collect::<Vec<_>>();
    assert!(pairs.is_empty(), "slots that are missing or doubled: {pairs:?}");
    assert!(slots[0] <= Clock::system().now_ms() - i64::try_from(seconds * 1000).unwrap());
}
