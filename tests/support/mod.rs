//! Queues and workers on a private server, driven by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use oxcart::{
    codec::resp::Value,
    connection::{self, Command, Link},
    queue::{
        ActiveJob, JobOptions, JobSink, NewJob, Outcome, Queue, QueueEvent, QueueEventSink, QueueOptions, Retry,
        Settlement, Worker, WorkerEvent, WorkerOptions,
    },
    scheduler::NextIteration,
    testing::RedisServer,
};
use tokio::sync::mpsc;

/// Longest wait for anything that a test expects.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn open(server: &RedisServer) -> Arc<dyn Link> {
    connection::open(server.options()).unwrap()
}

pub(crate) fn queue(link: &Arc<dyn Link>) -> Queue {
    queue_with(link, QueueOptions::default())
}

pub(crate) fn queue_with(link: &Arc<dyn Link>, options: QueueOptions) -> Queue {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Queue::open(Arc::clone(link), &format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed)), options).unwrap()
}

pub(crate) fn job(name: &str, options: &str) -> NewJob {
    NewJob { name: name.to_owned(), data: "{}".to_owned(), options: JobOptions::from_json(options).unwrap() }
}

pub(crate) async fn add(queue: &Queue, name: &str, options: &str) -> String {
    queue.add(vec![job(name, options)]).await.remove(0).unwrap()
}

/// A command by its words; a `@` at a word's start stands for the prefix of the queue's keys.
pub(crate) async fn ask(link: &Arc<dyn Link>, queue: &Queue, words: &str) -> Value {
    let prefix = format!("{}:", queue.qualified_name());
    let words =
        words.split(' ').map(|word| word.strip_prefix('@').map_or(word.to_owned(), |key| format!("{prefix}{key}")));
    link.call(Command::default().args(words)).await.unwrap()
}

pub(crate) async fn ask_text(link: &Arc<dyn Link>, queue: &Queue, words: &str) -> String {
    ask(link, queue, words).await.into_optional_text().unwrap().unwrap_or_default()
}

pub(crate) async fn ask_int(link: &Arc<dyn Link>, queue: &Queue, words: &str) -> i64 {
    ask(link, queue, words).await.into_int().unwrap()
}

pub(crate) async fn ask_list(link: &Arc<dyn Link>, queue: &Queue, words: &str) -> Vec<String> {
    let items = ask(link, queue, words).await.into_items().unwrap();
    items.into_iter().map(|item| item.into_text().unwrap()).collect()
}

/// Names of the entries of the queue's event stream, with the job: `completed 1`.
pub(crate) async fn stream(link: &Arc<dyn Link>, queue: &Queue) -> Vec<String> {
    let entries = ask(link, queue, "XRANGE @events - +").await.into_items().unwrap();
    entries
        .into_iter()
        .map(|entry| {
            let fields: Vec<_> = entry.into_items().unwrap().remove(1).into_items().unwrap();
            let fields: Vec<_> = fields.into_iter().map(|field| field.into_text().unwrap()).collect();
            match fields.get(2).map(String::as_str) {
                Some("jobId") => format!("{} {}", fields[1], fields[3]),
                _ => fields[1].clone(),
            }
        })
        .collect()
}

/// Fails the test when `condition` does not come true in time.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < end, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn completed() -> Outcome {
    Outcome::Completed { value: "null".to_owned() }
}

pub(crate) fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        reason: reason.to_owned(),
        stack: Some(format!("Error: {reason}\n  at x")),
        retry: Retry::ByOptions,
    }
}

pub(crate) fn options() -> WorkerOptions {
    WorkerOptions { stalled_interval: Duration::from_secs(60), ..WorkerOptions::default() }
}

enum Heard {
    Job(Box<ActiveJob>),
    Event(WorkerEvent),
}

struct Ears(mpsc::UnboundedSender<Heard>);

impl JobSink for Ears {
    fn deliver(&self, jobs: Vec<ActiveJob>) {
        for job in jobs {
            let _ = self.0.send(Heard::Job(Box::new(job)));
        }
    }
    fn event(&self, event: WorkerEvent) {
        let _ = self.0.send(Heard::Event(event));
    }
}

/// A worker whose jobs the test finishes by hand.
pub(crate) struct Hands {
    pub worker: Arc<Worker>,
    heard: mpsc::UnboundedReceiver<Heard>,
    jobs: VecDeque<ActiveJob>,
    events: VecDeque<WorkerEvent>,
}

impl Hands {
    pub(crate) fn start(queue: &Queue, options: WorkerOptions) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let worker = Worker::start(queue, options, Arc::new(Ears(sender)), Arc::new(NextIteration)).unwrap();
        Self { worker, heard, jobs: VecDeque::new(), events: VecDeque::new() }
    }

    async fn hear(&mut self, what: &str) {
        match tokio::time::timeout(PATIENCE, self.heard.recv()).await {
            Ok(Some(Heard::Job(job))) => self.jobs.push_back(*job),
            Ok(Some(Heard::Event(event))) => self.events.push_back(event),
            _ => panic!("did not come: {what}; jobs {:?}, events {:?}", self.jobs, self.events),
        }
    }

    pub(crate) async fn job(&mut self) -> ActiveJob {
        loop {
            if let Some(job) = self.jobs.pop_front() {
                return job;
            }
            self.hear("a job").await;
        }
    }

    /// The first event for which `pick` gives something.
    pub(crate) async fn event<T>(&mut self, what: &str, mut pick: impl FnMut(&WorkerEvent) -> Option<T>) -> T {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(picked) = pick(&event) {
                    return picked;
                }
            }
            self.hear(what).await;
        }
    }

    /// Whether no job comes for a while. What is not there cannot be waited for.
    pub(crate) async fn no_job_for(&mut self, ms: u64) -> bool {
        let end = tokio::time::Instant::now() + Duration::from_millis(ms);
        while let Ok(Some(heard)) = tokio::time::timeout_at(end, self.heard.recv()).await {
            match heard {
                Heard::Job(job) => self.jobs.push_back(*job),
                Heard::Event(event) => self.events.push_back(event),
            }
        }
        self.jobs.is_empty()
    }

    pub(crate) async fn settle(&mut self, job: &ActiveJob, outcome: Outcome) -> Settlement {
        self.worker.report(&job.record.id, &job.token, outcome);
        let (id, token) = (job.record.id.clone(), job.token.clone());
        self.event("the outcome is stored", |event| match event {
            WorkerEvent::Settled { job_id, token: other, settlement, .. } if *job_id == id && *other == token => {
                Some(settlement.clone())
            }
            WorkerEvent::NotSettled { job_id, error, .. } if *job_id == id => panic!("{error:?}"),
            _ => None,
        })
        .await
    }

    /// Takes the next job and completes it; gives its name.
    pub(crate) async fn complete_next(&mut self) -> String {
        let job = self.job().await;
        self.settle(&job, completed()).await;
        job.record.name
    }
}

type Processor = dyn Fn(&ActiveJob) -> Outcome + Send + Sync;

struct Machine {
    process: Box<Processor>,
    worker: OnceLock<Weak<Worker>>,
    pending: std::sync::Mutex<Vec<ActiveJob>>,
}

impl Machine {
    fn run(&self, jobs: Vec<ActiveJob>) {
        let Some(worker) = self.worker.get() else {
            return self.pending.lock().unwrap().extend(jobs);
        };
        if let Some(worker) = worker.upgrade() {
            let outcomes = jobs.iter().map(|job| (job.record.id.clone(), job.token.clone(), (self.process)(job)));
            worker.report_many(outcomes.collect());
        }
    }
}

impl JobSink for Machine {
    fn deliver(&self, jobs: Vec<ActiveJob>) {
        self.run(jobs);
    }
    fn event(&self, _event: WorkerEvent) {}
}

/// A worker that finishes each job at once.
pub(crate) fn automatic(
    queue: &Queue,
    options: WorkerOptions,
    process: impl Fn(&ActiveJob) -> Outcome + Send + Sync + 'static,
) -> Arc<Worker> {
    let machine =
        Arc::new(Machine { process: Box::new(process), worker: OnceLock::new(), pending: std::sync::Mutex::default() });
    let worker = Worker::start(queue, options, Arc::clone(&machine) as _, Arc::new(NextIteration)).unwrap();
    machine.worker.set(Arc::downgrade(&worker)).unwrap();
    let early = std::mem::take(&mut *machine.pending.lock().unwrap());
    machine.run(early);
    worker
}

/// Keeps what a subscription heard.
#[derive(Default)]
pub(crate) struct Log(pub std::sync::Mutex<Vec<QueueEvent>>);

impl QueueEventSink for Log {
    fn events(&self, events: Vec<QueueEvent>) {
        self.0.lock().unwrap().extend(events);
    }
    fn error(&self, _error: &oxcart::Error) {}
}

impl Log {
    /// Name and first field of each event.
    pub(crate) fn lines(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        events
            .iter()
            .map(|event| format!("{} {}", event.name, event.fields.first().map_or("", |field| &field.1)))
            .collect()
    }
}
