//! Channels that are kept, on a real server: at least once for each group, whoever dies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    connection::{self, Command, ConnectionOptions, Link},
    pubsub::{
        ChannelPrefix,
        durable::{DurableChannels, DurableDelivery, GroupEvent, GroupListener, GroupOptions, GroupReader},
    },
    service,
    testing::{Proxy, RedisServer},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the test ends, and does not panic")
}

fn channels(link: &Arc<dyn Link>) -> DurableChannels {
    DurableChannels::new(Arc::clone(link), ChannelPrefix::new("shop"), "app:".to_owned())
}

fn options(claim_after: u64) -> GroupOptions {
    GroupOptions {
        from: "start".to_owned(),
        claim_after,
        retry_delay: 50,
        max_deliveries: 3,
        ..GroupOptions::default()
    }
}

struct Heard {
    messages: Sender<DurableDelivery>,
    events: Sender<String>,
}

impl GroupListener for Heard {
    fn message(&self, delivery: DurableDelivery) {
        let _ = self.messages.send(delivery);
    }

    fn event(&self, event: GroupEvent) {
        let _ = self.events.send(match event {
            GroupEvent::Dead { deliveries, .. } => format!("dead after {deliveries}"),
            GroupEvent::Trimmed(count) => format!("trimmed {count}"),
            GroupEvent::Reset => "reset".to_owned(),
            GroupEvent::Failed(error) => format!("failed: {error}"),
        });
    }
}

struct Member {
    reader: Arc<GroupReader>,
    messages: Receiver<DurableDelivery>,
    events: Receiver<String>,
}

impl Member {
    fn next(&self) -> DurableDelivery {
        self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no message, but {:?}", self.events.try_recv()))
    }

    fn event(&self) -> String {
        self.events.recv_timeout(PATIENCE).expect("an event comes")
    }
}

fn join(channels: &DurableChannels, options: GroupOptions) -> Member {
    let ((to_messages, messages), (to_events, events)) = (mpsc::channel(), mpsc::channel());
    let channels = channels.clone();
    let listener = Arc::new(Heard { messages: to_messages, events: to_events });
    let reader = run(async move { channels.join("orders", "mail", options, listener).await.unwrap() });
    Member { reader: Arc::new(reader), messages, events }
}

fn publish(channels: &DurableChannels, texts: &[&str]) -> Vec<String> {
    let (channels, texts) = (channels.clone(), texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    run(async move {
        let mut ids = Vec::new();
        for text in texts {
            ids.push(channels.append("orders", text.as_bytes(), 1_000).await.unwrap());
        }
        ids
    })
}

fn ask(link: &Arc<dyn Link>, command: &'static str) -> i64 {
    let link = Arc::clone(link);
    run(async move {
        let mut words = command.split(' ');
        link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap().into_int().unwrap()
    })
}

#[test]
fn what_a_member_had_when_it_died_is_taken_over() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let (one, other) = (channels(&link), channels(&link));
    let ids = publish(&one, &["a", "b"]);
    let dying = join(&one, options(1_500));
    assert_eq!((dying.next().id, dying.next().id), (ids[0].clone(), ids[1].clone()));
    dying.reader.settle(&ids[0], true);
    let heir = join(&other, options(1_500));
    // Nothing is taken from a member that lives, however long it works.
    assert!(heir.messages.recv_timeout(Duration::from_secs(4)).is_err());
    drop(dying);
    let taken = heir.next();
    assert_eq!((taken.id, taken.deliveries, taken.payload), (ids[1].clone(), 2, b"b".to_vec()));
    heir.reader.settle(&ids[1], true);
    let deadline = Instant::now() + PATIENCE;
    while run({
        let other = other.clone();
        async move { other.groups("orders").await.unwrap()[0].pending }
    }) > 0
    {
        assert!(Instant::now() < deadline, "both are acknowledged");
        std::thread::yield_now();
    }
}

#[test]
fn a_member_that_leaves_gives_the_rest_at_once() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let (one, other) = (channels(&link), channels(&link));
    let ids = publish(&one, &["a", "b"]);
    let leaving = join(&one, options(60_000));
    leaving.next();
    leaving.next();
    leaving.reader.settle(&ids[0], true);
    let reader = Arc::clone(&leaving.reader);
    run(async move { reader.leave().await.unwrap() });
    let began = Instant::now();
    let heir = join(&other, options(60_000));
    let taken = heir.next();
    assert_eq!((taken.id, taken.deliveries), (ids[1].clone(), 2));
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // Whoever had nothing left is forgotten.
    heir.reader.settle(&ids[1], true);
    let reader = Arc::clone(&heir.reader);
    run(async move { reader.leave().await.unwrap() });
    let groups = run(async move { other.groups("orders").await.unwrap() });
    assert_eq!((groups[0].pending, groups[0].consumers), (0, 1), "{groups:?}");
}

#[test]
fn what_fails_too_often_is_dead_and_what_is_trimmed_is_told() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let one = channels(&link);
    let ids = publish(&one, &["bad", "good"]);
    let member = join(&one, options(10_000));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let delivery = member.next();
        member.reader.settle(&delivery.id, delivery.payload == b"good");
        seen.push((delivery.id, delivery.deliveries));
    }
    assert_eq!(seen, [(ids[0].clone(), 1), (ids[1].clone(), 1), (ids[0].clone(), 2), (ids[0].clone(), 3)]);
    assert_eq!(member.event(), "dead after 3");
    let (dead, none) = run({
        let one = one.clone();
        async move {
            let dead = one.dead("orders", "mail", "", 10).await.unwrap();
            let none = one.dead("orders", "mail", &dead[0].place, 10).await.unwrap();
            (dead, none)
        }
    });
    assert_eq!((dead.len(), &dead[0].id, dead[0].deliveries, &*dead[0].payload), (1, &ids[0], 3, &b"bad"[..]));
    assert_eq!(none, []);
    publish(&one, &["gone"]);
    let gone = member.next();
    assert_eq!(ask(&link, "XTRIM app:channel:{shop:orders} MAXLEN 0"), 3);
    member.reader.settle(&gone.id, false);
    assert_eq!(member.event(), "trimmed 1");
}

#[test]
fn what_is_pushed_out_before_a_group_saw_it_is_counted_once() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let one = channels(&link);
    publish(&one, &["seen"]);
    let how = || options(30_000);
    let member = join(&one, how());
    let seen = member.next();
    member.reader.settle(&seen.id, true);
    let reader = Arc::clone(&member.reader);
    run(async move { reader.leave().await.unwrap() });
    drop(member);
    publish(&one, &["a", "b", "c", "d", "e"]);
    assert_eq!(ask(&link, "XTRIM app:channel:{shop:orders} MAXLEN 2"), 4);
    let (first, second) = (join(&one, how()), join(&channels(&link), how()));
    let told = |member: &Member| member.events.recv_timeout(Duration::from_secs(3)).into_iter().collect::<Vec<_>>();
    let mut events = told(&first);
    events.extend(told(&second));
    assert_eq!(events, ["trimmed 3"]);
    let mut left: Vec<_> = first.messages.try_iter().chain(second.messages.try_iter()).map(|one| one.payload).collect();
    left.sort();
    assert_eq!(left, [b"d".to_vec(), b"e".to_vec()]);
}

#[test]
fn a_group_that_is_deleted_is_made_again() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let one = channels(&link);
    let member = join(&one, options(10_000));
    assert_eq!(ask(&link, "DEL app:channel:{shop:orders}"), 1);
    let ids = publish(&one, &["after"]);
    assert_eq!(member.event(), "reset");
    assert_eq!(member.next().id, ids[0]);
}

#[test]
fn nothing_is_lost_while_connections_break() {
    let server = RedisServer::builder().process().start();
    let proxy = Arc::new(Proxy::start(server.port()));
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", proxy.port())).unwrap();
    let direct = connection::open(server.options()).unwrap();
    let (publisher, reader) = (channels(&direct), channels(&link));
    let member = join(&reader, options(300));
    let writing = std::thread::spawn(move || {
        let texts: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        let mut ids = Vec::new();
        for part in texts.chunks(10) {
            ids.extend(publish(&publisher, &part.iter().map(String::as_str).collect::<Vec<_>>()));
            std::thread::park_timeout(Duration::from_millis(30));
        }
        ids
    });
    let mut arrived: Vec<String> = Vec::new();
    let mut cut = Instant::now();
    while arrived.len() < 300 {
        if cut.elapsed() > Duration::from_millis(100) && !writing.is_finished() {
            proxy.cut();
            cut = Instant::now();
        }
        let Ok(delivery) = member.messages.recv_timeout(Duration::from_millis(100)) else {
            assert!(cut.elapsed() < PATIENCE, "{} arrived", arrived.len());
            continue;
        };
        member.reader.settle(&delivery.id, true);
        if !arrived.contains(&delivery.id) {
            arrived.push(delivery.id);
        }
    }
    arrived.sort();
    let mut expected = writing.join().unwrap();
    expected.sort();
    assert_eq!(arrived, expected);
}

#[test]
fn wrong_arguments_are_refused() {
    let server = RedisServer::start();
    let one = channels(&connection::open(server.options()).unwrap());
    run(async move {
        for error in [
            one.append("", b"", 5).await.unwrap_err(),
            one.append("c", b"", 0).await.unwrap_err(),
            one.replay("c", "g", "yesterday").await.unwrap_err(),
            one.replay("c", "", "new").await.unwrap_err(),
            one.dead("c", "g", "", 0).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        }
        assert_eq!(one.groups("c").await.unwrap(), []);
        assert_eq!(one.replay("c", "g", "new").await.unwrap_err().code(), ErrorCode::Reply);
    });
}
