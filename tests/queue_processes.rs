//! Worker processes of which one is killed half-way: every job is completed, and only those of the dead one run twice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::HashMap,
    process::{Child, Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};

use oxcart::{
    connection::{self, Command, ConnectionOptions},
    queue::{JobState, Queue, QueueOptions, WorkerOptions},
    testing::RedisServer,
};
use support::*;

const PORT: &str = "OXCART_TEST_WORKER_PORT";
const NAME: &str = "OXCART_TEST_WORKER_NAME";
const JOBS: u64 = 10_000;

/// Not a test of its own: what each worker process runs, until it is killed. Does nothing when the file is run.
#[tokio::test]
async fn worker_process() {
    let (Ok(port), Ok(name)) = (std::env::var(PORT), std::env::var(NAME)) else { return };
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", port.parse().unwrap())).unwrap();
    let queue = Queue::open(Arc::clone(&link), "shared", QueueOptions::default()).unwrap();
    let options = WorkerOptions {
        concurrency: 20,
        lock_duration: Duration::from_secs(1),
        lock_renew_time: Duration::from_millis(500),
        stalled_interval: Duration::from_millis(500),
        ..options()
    };
    let _worker = automatic(&queue, options, move |job| {
        // Sent before the outcome on the same connection, so that it is there whenever the outcome is.
        drop(link.call(Command::new("RPUSH").key("ran").arg(format!("{name} {}", job.record.id))));
        completed()
    });
    // The parent kills it; should the parent be gone, it ends by itself.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// Killed when the test ends, however it ends.
struct WorkerProcess(Child);

impl WorkerProcess {
    fn start(server: &RedisServer, name: &str) -> Self {
        let child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_process"])
            .env(PORT, server.port().to_string())
            .env(NAME, name)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// `SIGKILL`.
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn a_killed_process_loses_no_job() {
    let server = RedisServer::start();
    let link = open(&server);
    let queue = Queue::open(Arc::clone(&link), "shared", QueueOptions::default()).unwrap();
    let results = queue.add((0..JOBS).map(|_| job("n", "{}")).collect()).await;
    assert!(results.iter().all(Result::is_ok));
    let mut workers: Vec<_> = ["a", "b", "c"].iter().map(|name| WorkerProcess::start(&server, name)).collect();
    let done = async || queue.get_counts().await.unwrap().completed;
    eventually("half is done", || async { done().await > JOBS / 3 }).await;
    workers[0].kill();
    eventually("all is done", || async { done().await == JOBS }).await;

    let mut runs: HashMap<String, Vec<String>> = HashMap::new();
    for line in ask_list(&link, &queue, "LRANGE ran 0 -1").await {
        let (worker, id) = line.split_once(' ').unwrap();
        runs.entry(id.to_owned()).or_default().push(worker.to_owned());
    }
    assert_eq!(runs.len() as u64, JOBS);
    for (id, workers) in runs.iter().filter(|(_, workers)| workers.len() > 1) {
        assert_eq!((workers.len(), workers[0].as_str()), (2, "a"), "job {id} ran on {workers:?}");
    }
    assert!(runs.values().flatten().any(|worker| worker == "a"), "the killed process had begun");
    assert_eq!(queue.get_jobs(&[JobState::Failed], 0, -1, true).await.unwrap(), []);
}
