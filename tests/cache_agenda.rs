//! The agenda of a cache against a real Redis: work is done once, by one at a time, the last version last, whoever dies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{future::Future, sync::Arc, time::Duration};

use oxcart::{
    ErrorCode,
    cache::{Agenda, AgendaOptions, Claimed, WorkSink},
    clock::Clock,
    connection::{self, Command, Link},
    service,
    testing::RedisServer,
};
use tokio::sync::mpsc;

const CLAIM: Duration = Duration::from_secs(60);

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(30)).expect("the test ends, and does not panic")
}

/// One process: an agenda and what it was handed.
struct Process {
    agenda: Agenda,
    items: mpsc::UnboundedReceiver<Claimed>,
    _duty: service::Duty,
}

struct Sink(mpsc::UnboundedSender<Claimed>);

impl WorkSink for Sink {
    fn due(&self, items: Vec<Claimed>) {
        for item in items {
            let _ = self.0.send(item);
        }
    }
}

impl Process {
    async fn next(&mut self) -> Claimed {
        self.items.recv().await.unwrap()
    }

    fn nothing(&mut self) -> bool {
        self.items.try_recv().is_err()
    }
}

fn options() -> AgendaOptions {
    AgendaOptions {
        key_prefix: String::new(),
        prefix: "cache:".to_owned(),
        name: "work".to_owned(),
        claim: CLAIM,
        max_items: 100,
        concurrency: 2,
        keeps_due: true,
    }
}

fn start(server: &RedisServer, clock: &Clock, options: AgendaOptions) -> Process {
    let link: Arc<dyn Link> = connection::open(server.options()).unwrap();
    let agenda = Agenda::new(link, options, clock.clone());
    let (sender, items) = mpsc::unbounded_channel();
    let duty = agenda.start(Arc::new(Sink(sender)));
    Process { agenda, items, _duty: duty }
}

#[test]
fn an_item_is_handed_out_when_it_is_due_and_is_gone_when_it_is_settled() {
    let server = RedisServer::start();
    run(async move {
        let clock = Clock::manual(1_000);
        let mut process = start(&server, &clock, options());
        process.agenda.put("a", "first:with:colons", 5_000).await.unwrap();
        assert!(process.nothing());
        clock.advance_ms(4_000);
        let item = process.next().await;
        assert_eq!((&*item.id, item.attempts, &*item.payload), ("a", 0, "first:with:colons"));
        assert_eq!(process.agenda.count().await.unwrap(), 1);
        assert!(process.agenda.settle(&item, None).await.unwrap());
        assert_eq!(process.agenda.count().await.unwrap(), 0);
        assert_eq!(process.agenda.peek("a").await.unwrap(), None);
    });
}

#[test]
fn what_replaces_an_item_that_is_being_done_waits_for_its_end() {
    let server = RedisServer::start();
    run(async move {
        let clock = Clock::manual(1_000);
        let mut process = start(&server, &clock, options());
        process.agenda.put("a", "old", 0).await.unwrap();
        let old = process.next().await;
        let version = process.agenda.put("a", "new", 0).await.unwrap();
        assert_eq!(process.agenda.peek("a").await.unwrap(), Some((version, "new".to_owned())));
        // A look of anybody finds nothing to do.
        let mut other = start(&server, &clock, options());
        other.agenda.put("b", "x", 0).await.unwrap();
        let mut found = vec![];
        while found.is_empty() {
            tokio::task::yield_now().await;
            found.extend(other.items.try_recv().ok().or_else(|| process.items.try_recv().ok()));
        }
        assert_eq!(found[0].id, "b");
        // The old one's end is no end of the item, and what the attempts at it were does not count.
        assert!(!process.agenda.settle(&old, Some(1_000_000)).await.unwrap());
        let new = tokio::select! { item = process.next() => item, item = other.next() => item };
        assert_eq!((&*new.payload, new.attempts), ("new", 0));
    });
}

#[test]
fn the_work_of_a_process_that_died_is_done_by_another_after_its_claim() {
    let server = RedisServer::start();
    run(async move {
        let clock = Clock::manual(1_000);
        let mut dead = start(&server, &clock, options());
        dead.agenda.put("a", "x", 0).await.unwrap();
        let lost = dead.next().await;
        let agenda = dead.agenda.clone();
        drop(dead);
        let mut heir = start(&server, &clock, options());
        clock.advance_ms(59_000);
        heir.agenda.put("b", "y", 0).await.unwrap();
        assert_eq!(heir.next().await.id, "b");
        assert!(heir.nothing());
        clock.advance_ms(2_000);
        let item = heir.next().await;
        assert_eq!((&*item.id, &*item.payload), ("a", "x"));
        // The first one was only slow: its word no longer counts.
        assert!(!agenda.settle(&lost, None).await.unwrap());
        assert_eq!(heir.agenda.count().await.unwrap(), 2);
        assert!(heir.agenda.settle(&item, None).await.unwrap());
    });
}

#[test]
fn an_item_that_is_tried_again_counts_its_attempts_and_so_many_are_done_at_a_time() {
    let server = RedisServer::start();
    run(async move {
        let clock = Clock::manual(1_000);
        let mut process = start(&server, &clock, options());
        for id in ["a", "b", "c"] {
            process.agenda.put(id, id, 0).await.unwrap();
        }
        let (first, second) = (process.next().await, process.next().await);
        assert!(process.nothing(), "two at a time");
        assert!(!process.agenda.settle(&first, Some(31_000)).await.unwrap());
        let third = process.next().await;
        assert!(process.agenda.settle(&second, None).await.unwrap());
        assert!(process.agenda.settle(&third, None).await.unwrap());
        clock.advance_ms(30_000);
        let again = process.next().await;
        assert_eq!((again.id, again.attempts), (first.id, 1));
    });
}

#[test]
fn an_agenda_takes_so_many_items_and_a_newer_one_in_place_of_an_old() {
    let server = RedisServer::start();
    run(async move {
        let clock = Clock::manual(1_000);
        let process = start(&server, &clock, AgendaOptions { max_items: 1, ..options() });
        process.agenda.put("a", "x", 9_000).await.unwrap();
        let error = process.agenda.put("b", "x", 9_000).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Overloaded);
        process.agenda.put("a", "y", 99_000).await.unwrap();
        let link = connection::open(server.options()).unwrap();
        let due = |link: Arc<dyn Link>| async move {
            let score = Command::new("ZSCORE").key("#cache:{cache:work}:due").arg("a");
            link.call(score).await.unwrap().into_text().unwrap()
        };
        assert_eq!(due(Arc::clone(&link)).await, "9000", "the time of what was there");
        let moving = start(&server, &clock, AgendaOptions { keeps_due: false, ..options() });
        moving.agenda.put("a", "y", 99_000).await.unwrap();
        assert_eq!(due(link).await, "99000");
    });
}
