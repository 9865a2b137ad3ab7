//! Limiters on a real server or the embedded engine: what is allowed, when, and by whom.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use oxcart::{
    Error, ErrorCode,
    clock::Clock,
    connection::{self, Command, Link},
    embedded::Embedded,
    lock::LossSink,
    rate_limit::{ConcurrencyLimiter, ConcurrencyLimiterOptions, RateLimiter, RateLimiterOptions},
    service,
    testing::{Proxy, RedisServer},
};

/// An engine whose clock the test moves: a whole number of hours after 1970.
fn clocked() -> (Clock, Arc<dyn Link>) {
    let clock = Clock::manual(500_000 * 3_600_000);
    (clock.clone(), Embedded::private(clock).link(0))
}

fn limiter(link: &Arc<dyn Link>, options: &str) -> RateLimiter {
    RateLimiter::new(Arc::clone(link), RateLimiterOptions::from_json(options).unwrap())
}

fn slots(link: &Arc<dyn Link>, options: &str) -> ConcurrencyLimiter {
    ConcurrencyLimiter::new(Arc::clone(link), ConcurrencyLimiterOptions::from_json(options).unwrap())
}

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the test ends, and does not panic")
}

/// `allowed remaining ms-until-reset ms-until-allowed` of a call.
async fn told(limiter: &RateLimiter, clock: &Clock, cost: f64) -> String {
    let decision = limiter.consume("k", cost).await.unwrap();
    assert_eq!(decision.now_ms, clock.now_ms());
    format!(
        "{} {} {} {}",
        if decision.allowed { "yes" } else { "no" },
        decision.remaining,
        decision.reset_after.as_millis(),
        decision.retry_after.as_millis()
    )
}

#[test]
fn a_fixed_window_begins_with_its_first_call() {
    let (clock, link) = clocked();
    let limiter = limiter(&link, r#"{"algorithm":"fixed-window","limit":3,"window":10}"#);
    run(async move {
        clock.advance_ms(1_234);
        assert_eq!(told(&limiter, &clock, 0.0).await, "yes 3 0 0");
        assert_eq!(told(&limiter, &clock, 1.0).await, "yes 2 10000 0");
        clock.advance_ms(4_000);
        assert_eq!(told(&limiter, &clock, 2.0).await, "yes 0 6000 0");
        assert_eq!(told(&limiter, &clock, 1.0).await, "no 0 6000 6000");
        clock.advance_ms(5_999);
        assert_eq!(told(&limiter, &clock, 1.0).await, "no 0 1 1");
        clock.advance_ms(1);
        assert_eq!(told(&limiter, &clock, 3.0).await, "yes 0 10000 0");
        assert!(limiter.reset("k").await.unwrap());
        assert!(!limiter.reset("k").await.unwrap());
        assert_eq!(told(&limiter, &clock, 0.0).await, "yes 3 0 0");
    });
}

#[test]
fn a_sliding_window_forgets_evenly() {
    let (clock, link) = clocked();
    let limiter = limiter(&link, r#"{"limit":10,"window":10}"#);
    run(async move {
        assert_eq!(told(&limiter, &clock, 10.0).await, "yes 0 20000 0");
        // All of the present slot weighs fully until it is over.
        clock.advance_ms(9_000);
        assert_eq!(told(&limiter, &clock, 1.0).await, "no 0 11000 2000");
        clock.advance_ms(1_999);
        assert_eq!(told(&limiter, &clock, 1.0).await, "no 0 9001 1");
        clock.advance_ms(1);
        assert_eq!(told(&limiter, &clock, 1.0).await, "yes 0 19000 0");
        // 10 before, of which 40 % weigh, and 1 now.
        clock.advance_ms(5_000);
        assert_eq!(told(&limiter, &clock, 0.0).await, "yes 5 14000 0");
        assert_eq!(told(&limiter, &clock, 6.0).await, "no 5 14000 1000");
        clock.advance_ms(1_000);
        assert_eq!(told(&limiter, &clock, 6.0).await, "yes 0 13000 0");
        clock.advance_ms(13_000);
        assert_eq!(told(&limiter, &clock, 0.0).await, "yes 10 0 0");
    });
}

#[test]
fn never_more_is_allowed_when_it_is_asked_after_the_time_that_was_told() {
    let (clock, link) = clocked();
    run(async move {
        for algorithm in ["fixed-window", "sliding-window", "token-bucket"] {
            let options = format!(r#"{{"algorithm":"{algorithm}","limit":7,"window":3,"prefix":"{algorithm}:"}}"#);
            let limiter = limiter(&link, &options);
            let mut random = fastrand::Rng::with_seed(7);
            for _ in 0..2_000 {
                let cost = f64::from(random.u8(1..=7));
                let decision = limiter.consume("k", cost).await.unwrap();
                if !decision.allowed {
                    let wait = i64::try_from(decision.retry_after.as_millis()).unwrap();
                    assert!(wait > 0, "{algorithm}");
                    clock.advance_ms(wait - 1);
                    assert!(!limiter.consume("k", cost).await.unwrap().allowed, "{algorithm}: sooner than told");
                    clock.advance_ms(1);
                    assert!(limiter.consume("k", cost).await.unwrap().allowed, "{algorithm}: later than told");
                }
                clock.advance_ms(random.i64(0..1_500));
            }
        }
    });
}

#[test]
fn a_bucket_fills_evenly_up_to_its_burst() {
    let (clock, link) = clocked();
    let limiter = limiter(&link, r#"{"algorithm":"token-bucket","limit":7,"window":1,"burst":14}"#);
    run(async move {
        for left in (0..14).rev() {
            assert!(told(&limiter, &clock, 1.0).await.starts_with(&format!("yes {left} ")));
        }
        assert_eq!(told(&limiter, &clock, 1.0).await, "no 0 2000 143");
        clock.advance_ms(143);
        assert_eq!(told(&limiter, &clock, 1.0).await, "yes 0 2000 0");
        clock.advance_ms(60_000);
        assert_eq!(told(&limiter, &clock, 14.0).await, "yes 0 2000 0");
        let never = limiter.consume("k", 15.0).await.unwrap_err();
        assert_eq!(never.code(), ErrorCode::InvalidArgument);
    });
}

#[test]
fn all_processes_share_a_limit() {
    let server = RedisServer::start();
    let allowed = run(async move {
        let mut calls = tokio::task::JoinSet::new();
        for algorithm in ["fixed-window", "sliding-window", "token-bucket"] {
            for _ in 0..4 {
                let link = connection::open(server.options()).unwrap();
                let options =
                    format!(r#"{{"algorithm":"{algorithm}","limit":50,"window":3600,"prefix":"{algorithm}:"}}"#);
                let limiter = limiter(&link, &options);
                calls.spawn(async move {
                    let mut allowed = 0;
                    for _ in 0..40 {
                        allowed += usize::from(limiter.consume("k", 1.0).await.unwrap().allowed);
                    }
                    allowed
                });
            }
        }
        calls.join_all().await.into_iter().sum::<usize>()
    });
    assert_eq!(allowed, 150);
}

#[test]
fn slots_are_free_after_their_lease_at_the_latest() {
    let (clock, link) = clocked();
    let slots = slots(&link, r#"{"limit":2,"lease":10}"#);
    run(async move {
        let (first, one) = slots.acquire("k", 0.0).await.unwrap();
        assert_eq!((first.allowed, first.remaining), (true, 1));
        clock.advance_ms(4_000);
        let two = slots.acquire("k", 0.0).await.unwrap().1.unwrap();
        let (refused, none) = slots.acquire("k", 0.0).await.unwrap();
        assert!(none.is_none());
        assert_eq!((refused.allowed, refused.remaining, refused.retry_after.as_millis()), (false, 0, 6_000));
        assert_eq!(refused.reset_after.as_millis(), 10_000);
        let one = one.unwrap();
        assert!(slots.extend("k", &one.id).await.unwrap());
        clock.advance_ms(9_999);
        assert_eq!(slots.peek("k").await.unwrap().remaining, 0);
        clock.advance_ms(1);
        assert_eq!(slots.peek("k").await.unwrap().remaining, 2);
        assert!(!slots.extend("k", &one.id).await.unwrap(), "its time is over");
        assert!(!slots.release("k", &two.id).await.unwrap());
        let next = slots.acquire("k", 0.0).await.unwrap().1.unwrap();
        assert!(slots.release("k", &next.id).await.unwrap());
        assert!(!slots.release("k", &next.id).await.unwrap());
    });
}

struct Told(mpsc::Sender<Error>);

impl LossSink for Told {
    fn lost(&self, error: Error) {
        let _ = self.0.send(error);
    }
}

#[test]
fn a_kept_slot_outlives_its_lease_and_its_loss_is_told() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let slots = slots(&link, r#"{"limit":1,"lease":1}"#);
    let (sender, told) = mpsc::channel();
    let holder = run({
        let slots = slots.clone();
        async move {
            let slot = slots.acquire("k", 0.0).await.unwrap().1.unwrap();
            let holder = slots.keep(&slot, Arc::new(Told(sender)));
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            assert!(slots.acquire("k", 0.0).await.unwrap().1.is_none(), "still held");
            link.call(Command::new("DEL").key("concurrency:k")).await.unwrap();
            holder
        }
    });
    let error = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(error.code(), ErrorCode::LockLost);
    assert!(error.message().contains("slot of `k`"), "{error}");
    drop(holder);
}

#[test]
fn who_waits_gets_the_slot_that_is_given_back() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let slots = slots(&link, r#"{"limit":3,"retryDelayMs":10}"#);
    run(async move {
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (slots, inside) = (slots.clone(), Arc::clone(&inside));
            running.spawn(async move {
                let slot = slots.acquire("k", 30.0).await.unwrap().1.unwrap();
                assert!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3);
                tokio::time::sleep(Duration::from_millis(5)).await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                assert!(slots.release("k", &slot.id).await.unwrap());
            });
        }
        running.join_all().await;
    });
}

#[test]
fn a_silent_server_is_waited_for_as_long_as_was_said() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(connection::ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let limiter = limiter(&link, r#"{"limit":1,"window":60,"timeout":100}"#);
    run({
        let limiter = limiter.clone();
        async move { limiter.consume("k", 1.0).await.unwrap() }
    });
    proxy.go_silent();
    let began = std::time::Instant::now();
    let error = run(async move { limiter.consume("k", 1.0).await.unwrap_err() });
    assert_eq!(error.code(), ErrorCode::CommandTimedOut);
    assert!(began.elapsed() < Duration::from_secs(10));
}
