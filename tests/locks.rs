//! Locks on real servers: one holder at a time, numbered, told when the lock is lost.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    connection::{self, Command, ConnectionOptions, Link},
    lock::{Acquisition, LockOptions, Locks, LossSink},
    service,
    testing::{Proxy, RedisServer},
};

fn options() -> LockOptions {
    LockOptions::default()
}

fn once(ttl: f64) -> Acquisition {
    Acquisition::new(&options(), ttl, None, Some(0.0), None, None).unwrap()
}

fn waiting(ttl: f64, wait: f64) -> Acquisition {
    Acquisition::new(&options(), ttl, None, None, Some(10.0), Some(wait)).unwrap()
}

fn on(servers: &[&RedisServer]) -> Locks {
    let links = servers.iter().map(|server| connection::open(server.options()).unwrap()).collect();
    Locks::new(links, options()).unwrap()
}

async fn ask(link: &Arc<dyn Link>, command: &str) -> String {
    let mut words = command.split(' ');
    let reply = link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap();
    format!("{reply:?}")
}

struct Told(mpsc::Sender<(Error, Instant)>);

impl LossSink for Told {
    fn lost(&self, error: Error) {
        let _ = self.0.send((error, Instant::now()));
    }
}

fn told() -> (Arc<Told>, mpsc::Receiver<(Error, Instant)>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(Told(sender)), receiver)
}

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the test ends, and does not panic")
}

#[test]
fn one_at_a_time_holds_it_and_each_has_a_higher_number() {
    let server = RedisServer::start();
    let locks = on(&[&server]);
    run(async move {
        let (inside, highest, entered) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicUsize::new(0));
        let shared = Arc::new((inside, highest, entered));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (locks, shared) = (locks.clone(), Arc::clone(&shared));
            running.spawn(async move {
                let held = locks.acquire("order:1", &waiting(30.0, 30.0)).await.unwrap().unwrap();
                let (inside, highest, entered) = &*shared;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                assert!(highest.swap(held.fencing_token, Ordering::SeqCst) < held.fencing_token);
                tokio::time::sleep(Duration::from_millis(2)).await;
                entered.fetch_add(1, Ordering::SeqCst);
                inside.fetch_sub(1, Ordering::SeqCst);
                assert!(locks.release("order:1", &held.token).await.unwrap());
            });
        }
        running.join_all().await;
        assert_eq!(shared.2.load(Ordering::SeqCst), 40);
    });
}

#[test]
fn a_lock_belongs_to_its_token_until_its_time_is_over() {
    let server = RedisServer::start();
    let locks = on(&[&server]);
    let link = connection::open(server.options()).unwrap();
    run(async move {
        let how = Acquisition { identifier: Some("me".to_owned()), ..once(1.0) };
        let held = locks.acquire("r", &how).await.unwrap().unwrap();
        assert_eq!(held.token, "me");
        assert_eq!(ask(&link, "GET lock:r").await, format!("{:?}", connection_bulk("me")));
        assert!(locks.acquire("r", &once(1.0)).await.unwrap().is_none(), "held by another");
        assert!(locks.acquire("r", &how).await.unwrap().is_none(), "not even by the same name twice");
        assert!(!locks.release("r", "another").await.unwrap());
        assert!(!locks.extend("r", "another", 10.0).await.unwrap());
        assert!(locks.extend("r", "me", 2.0).await.unwrap());
        let began = Instant::now();
        let next = locks.acquire("r", &waiting(30.0, 10.0)).await.unwrap().unwrap();
        let waited = began.elapsed();
        assert!(waited > Duration::from_millis(1_800) && waited < Duration::from_secs(5), "{waited:?}");
        assert!(next.fencing_token > held.fencing_token);
        assert!(!locks.release("r", "me").await.unwrap(), "its time was over");
        assert!(locks.release("r", &next.token).await.unwrap());
        // A number that was lost is followed by a higher one all the same.
        ask(&link, "FLUSHALL").await;
        let last = locks.acquire("r", &once(1.0)).await.unwrap().unwrap();
        assert!(last.fencing_token > next.fencing_token);
        // And though the server's clock were behind.
        locks.release("r", &last.token).await.unwrap();
        let ahead = last.fencing_token + 10_000_000_000_000;
        ask(&link, &format!("SET {{lock:r}}:fence {ahead}")).await;
        assert_eq!(locks.acquire("r", &once(1.0)).await.unwrap().unwrap().fencing_token, ahead + 1);
    });
}

fn connection_bulk(text: &str) -> oxcart::codec::resp::Value {
    oxcart::codec::resp::Value::Bulk(text.as_bytes().to_vec())
}

#[test]
fn a_call_tries_as_often_and_as_long_as_it_was_told() {
    let server = RedisServer::start();
    let locks = on(&[&server]);
    run(async move {
        locks.acquire("r", &once(30.0)).await.unwrap().unwrap();
        let how = Acquisition::new(&options(), 30.0, None, Some(4.0), Some(50.0), None).unwrap();
        let began = Instant::now();
        assert!(locks.acquire("r", &how).await.unwrap().is_none());
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(100) && waited < Duration::from_secs(3), "{waited:?}");
        let began = Instant::now();
        assert!(locks.acquire("r", &waiting(30.0, 0.3)).await.unwrap().is_none());
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(locks.acquire("", &how).await.unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(locks.extend("r", "x", 0.0).await.unwrap_err().code(), ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_holder_keeps_its_lock_and_is_told_when_it_is_taken_away() {
    let server = RedisServer::start();
    let locks = on(&[&server]);
    let link = connection::open(server.options()).unwrap();
    let (sink, told) = told();
    run(async move {
        let held = locks.acquire("r", &once(1.0)).await.unwrap().unwrap();
        let token = held.token.clone();
        let holder = locks.keep(&held, sink);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(told.try_recv().is_err());
        assert_eq!(ask(&link, "GET lock:r").await, format!("{:?}", connection_bulk(&token)));
        let began = Instant::now();
        ask(&link, "DEL lock:r").await;
        let (error, when) =
            tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(10))).await.unwrap().unwrap();
        assert_eq!(error.code(), ErrorCode::LockLost);
        assert!(when - began < Duration::from_secs(1), "within one period: {:?}", when - began);
        drop(holder);
    });
}

#[test]
fn a_holder_that_reaches_no_server_is_told_before_somebody_else_can_hold() {
    let server = RedisServer::builder().process().start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let locks = Locks::new(vec![link], options()).unwrap();
    let others = on(&[&server]);
    let (sink, told) = told();
    run(async move {
        let held = locks.acquire("r", &once(1.0)).await.unwrap().unwrap();
        let _holder = locks.keep(&held, sink);
        proxy.go_silent();
        let other = others.acquire("r", &waiting(30.0, 20.0)).await.unwrap().unwrap();
        let taken = Instant::now();
        let (error, when) = told.try_recv().expect("it was told already");
        assert_eq!(error.code(), ErrorCode::LockLost);
        assert!(when <= taken);
        others.release("r", &other.token).await.unwrap();
    });
}

#[test]
fn a_majority_of_independent_servers_decides() {
    let mut servers: Vec<RedisServer> = (0..3).map(|_| RedisServer::builder().process().start()).collect();
    let locks = on(&servers.iter().collect::<Vec<_>>());
    let links: Vec<_> = servers.iter().map(|server| connection::open(server.options()).unwrap()).collect();
    let (first, second) = run({
        let (locks, links) = (locks.clone(), links.clone());
        async move {
            let held = locks.acquire("r", &once(30.0)).await.unwrap().unwrap();
            // Everywhere the number of the last holder is at least his, though the clocks differ.
            assert!(locks.acquire("r", &once(30.0)).await.unwrap().is_none());
            ask(&links[0], "DEL lock:r").await;
            assert!(locks.acquire("r", &once(30.0)).await.unwrap().is_none(), "two still have it");
            assert!(locks.extend("r", &held.token, 30.0).await.unwrap());
            assert!(locks.release("r", &held.token).await.unwrap());
            // A server that is far ahead numbers the holder; another majority goes on from there.
            let ahead = held.fencing_token + 50_000_000_000_000;
            ask(&links[0], &format!("SET {{lock:r}}:fence {ahead}")).await;
            let first = locks.acquire("r", &once(30.0)).await.unwrap().unwrap();
            assert_eq!(first.fencing_token, ahead + 1);
            locks.release("r", &first.token).await.unwrap();
            (first, held)
        }
    });
    assert!(first.fencing_token > second.fencing_token);
    servers[0].kill();
    run({
        let locks = locks.clone();
        async move {
            let next = locks.acquire("r", &waiting(30.0, 20.0)).await.unwrap().unwrap();
            assert!(next.fencing_token > first.fencing_token, "though the server that was ahead is gone");
            locks.release("r", &next.token).await.unwrap();
        }
    });
    servers[1].kill();
    run(async move {
        let began = Instant::now();
        let error = locks.acquire("r", &once(30.0)).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    });
    assert_eq!(
        Locks::new(links[..2].to_vec(), options()).err().unwrap().code(),
        ErrorCode::InvalidOption,
        "an even number has no majority that outlives one server"
    );
}

#[test]
fn a_frozen_holder_never_passes_the_fencing_check_beside_the_next() {
    let server = RedisServer::builder().process().start();
    let locks = on(&[&server]);
    run(async move {
        let held = locks.acquire("r", &once(1.0)).await.unwrap().unwrap();
        // It stands still past its time, and somebody else comes in.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let next = locks.acquire("r", &waiting(30.0, 10.0)).await.unwrap().unwrap();
        // The store that is protected has seen the next one's number.
        assert!(held.fencing_token < next.fencing_token);
        assert!(!locks.extend("r", &held.token, 10.0).await.unwrap());
        assert!(!locks.release("r", &held.token).await.unwrap());
        assert!(locks.release("r", &next.token).await.unwrap());
    });
}
