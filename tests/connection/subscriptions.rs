//! Subscriptions over connections that break.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Message, MessageSink, Secret, SubscriptionKind},
    testing::{Proxy, RedisServer, eventually},
};

use SubscriptionKind::{Channel, Pattern};

use crate::support::{command, sink};

fn patient(proxy: &Proxy) -> ConnectionOptions {
    ConnectionOptions {
        connect_timeout: Duration::from_millis(500),
        command_timeout: Duration::from_secs(1),
        ..ConnectionOptions::tcp("127.0.0.1", proxy.port())
    }
}

#[tokio::test]
async fn subscriptions_are_back_after_a_restart() {
    for arguments in [&[][..], &["--rename-command", "HELLO", ""]] {
        let mut server = RedisServer::builder().args(arguments.to_vec()).start();
        let link = connection::open(server.options()).unwrap();
        let subscriptions = link.subscriptions();
        let (one, two) = (sink(), sink());
        for name in ["a", "b"] {
            subscriptions.subscribe(Channel, name, one.clone()).await.unwrap();
        }
        subscriptions.subscribe(Pattern, "a*", two.clone()).await.unwrap();
        server.kill();
        server.restart();
        eventually("both are told", || one.restored() == [vec![]] && two.restored() == [vec![]]).await;
        assert!(server.ask("PUBLISH a 1").starts_with(":2"));
        server.ask("PUBLISH b 1");
        eventually("messages come", || one.heard("a:1") && one.heard("b:1") && two.heard("a*:1")).await;
    }
}

#[tokio::test]
async fn a_subscription_waits_for_a_server_that_is_away() {
    let mut server = RedisServer::start();
    server.kill();
    let link = connection::open(server.options()).unwrap();
    let subscriptions = link.subscriptions();
    let one = sink();
    let (subscribed, ()) = tokio::join!(subscriptions.subscribe(Channel, "c", one.clone()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.restart();
    });
    subscribed.unwrap();
    server.ask("PUBLISH c 1");
    eventually("the message comes", || one.heard("c:1")).await;
    // It was never active before, so nothing was restored.
    assert!(one.restored().is_empty());
}

#[tokio::test]
async fn a_subscription_that_is_not_confirmed_in_time_is_taken_back() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(patient(&proxy)).unwrap();
    let subscriptions = link.subscriptions();
    let (first, second) = (sink(), sink());
    subscriptions.subscribe(Channel, "first", first.clone()).await.unwrap();
    proxy.go_silent();
    let error = subscriptions.subscribe(Channel, "second", second.clone()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CommandTimedOut);
    proxy.go_on();
    eventually("the server knows of the first only", || {
        server.ask("PUBSUB NUMSUB first second").contains("first\r\n:1\r\n$6\r\nsecond\r\n:0")
    })
    .await;
}

#[tokio::test]
async fn a_silent_server_is_noticed_within_seconds() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let link = connection::open(patient(&proxy)).unwrap();
    let subscriptions = link.subscriptions();
    let one = sink();
    subscriptions.subscribe(Channel, "c", one.clone()).await.unwrap();
    let before = proxy.accepted();
    proxy.go_silent();
    let started = Instant::now();
    eventually("it connects again", || proxy.accepted() > before).await;
    assert!(started.elapsed() < Duration::from_secs(7), "after {:?}", started.elapsed());
    proxy.go_on();
    eventually("it is restored", || one.restored() == [vec![]]).await;
    server.ask("PUBLISH c 1");
    eventually("the message comes", || one.heard("c:1")).await;
}

#[tokio::test]
async fn a_quiet_connection_is_kept() {
    for arguments in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::builder().args(arguments.to_vec()).start();
        let proxy = Proxy::start(server.port());
        let link = connection::open(patient(&proxy)).unwrap();
        let subscriptions = link.subscriptions();
        let one = sink();
        subscriptions.subscribe(Channel, "c", one.clone()).await.unwrap();
        let before = proxy.accepted();
        // Long enough for a sign of life to be asked for, and to be missed.
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        assert_eq!(proxy.accepted(), before);
        assert!(one.restored().is_empty());
        server.ask("PUBLISH c 1");
        eventually("the message comes", || one.heard("c:1")).await;
    }
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_to_restore_is_reported_as_lost() {
    let server = RedisServer::start();
    server.ask("ACL SETUSER worker on >p ~* &a &b +@all");
    let mut options = server.options();
    (options.username, options.password) = (Some("worker".into()), Some(Secret("p".into())));
    let link = connection::open(options).unwrap();
    let subscriptions = link.subscriptions();
    let (one, two) = (sink(), sink());
    subscriptions.subscribe(Channel, "a", one.clone()).await.unwrap();
    subscriptions.subscribe(Channel, "b", one.clone()).await.unwrap();
    subscriptions.subscribe(Channel, "a", two.clone()).await.unwrap();
    let error = subscriptions.subscribe(Channel, "c", two.clone()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AuthenticationFailed);
    // The server ends connections that hold a subscription which is forbidden now.
    server.ask("ACL SETUSER worker resetchannels &a");
    let lost = vec![("b".to_owned(), ErrorCode::AuthenticationFailed)];
    eventually("both are told", || one.restored() == [lost.clone()] && two.restored() == [vec![]]).await;
    server.ask("PUBLISH b 1");
    server.ask("PUBLISH a 1");
    eventually("the message comes", || one.heard("a:1") && two.heard("a:1")).await;
    assert!(!one.heard("b:1") && !two.heard("c:1"));
}

#[tokio::test]
async fn a_wrong_password_fails_a_subscription_at_once() {
    let server = RedisServer::builder().password("right").start();
    let options = ConnectionOptions { password: Some(Secret("wrong".into())), ..server.options() };
    let link = connection::open(options).unwrap();
    let subscriptions = link.subscriptions();
    let started = Instant::now();
    for _ in 0..2 {
        let error = subscriptions.subscribe(Channel, "c", sink()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::AuthenticationFailed);
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    server.ask("CONFIG SET requirepass wrong");
    let subscribed = async {
        while subscriptions.subscribe(Channel, "c", sink()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3), subscribed).await.unwrap();
}

#[tokio::test]
async fn comings_and_goings_end_where_they_should() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let subscriptions = link.subscriptions();
    let one: Arc<dyn MessageSink> = sink();
    for _ in 0..200 {
        subscriptions.subscribe(Channel, "c", Arc::clone(&one)).await.unwrap();
        subscriptions.unsubscribe(Channel, "c", &one).await.unwrap();
    }
    let last = sink();
    subscriptions.subscribe(Channel, "c", last.clone()).await.unwrap();
    assert!(server.ask("PUBLISH c 1").starts_with(":1"));
    eventually("the message comes", || last.heard("c:1")).await;
    let last: Arc<dyn MessageSink> = last;
    subscriptions.unsubscribe(Channel, "c", &last).await.unwrap();
    eventually("nobody is subscribed", || server.ask("PUBSUB CHANNELS") == "*0\r\n").await;
}

#[tokio::test]
async fn large_and_binary_messages_arrive_whole() {
    struct Payload(Mutex<Vec<Vec<u8>>>);
    impl MessageSink for Payload {
        fn message(&self, message: &Message<'_>) {
            self.0.lock().unwrap().push(message.payload.to_vec());
        }

        fn restored(&self, _lost: &[(SubscriptionKind, String, Error)]) {}
    }
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let payloads = Arc::new(Payload(Mutex::default()));
    link.subscriptions().subscribe(Channel, "c", payloads.clone()).await.unwrap();
    let sent = [vec![0, 255, b'\r', b'\n'], vec![b'x'; 3_000_000]];
    for payload in &sent {
        link.call(Command::new("PUBLISH").arg("c").arg(payload)).await.unwrap();
    }
    eventually("both come", || payloads.0.lock().unwrap().len() == 2).await;
    assert!(*payloads.0.lock().unwrap() == sent);
}

#[tokio::test]
async fn messages_reach_every_subscriber() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let subscriptions = link.subscriptions();
    let (one, two, pattern) = (sink(), sink(), sink());
    let two_sink: Arc<dyn MessageSink> = two.clone();
    subscriptions.subscribe(Channel, "c", one.clone()).await.unwrap();
    subscriptions.subscribe(Channel, "c", two_sink.clone()).await.unwrap();
    subscriptions.subscribe(Pattern, "c*", pattern.clone()).await.unwrap();
    assert_eq!(link.call(command("PUBLISH c hello")).await.unwrap(), Value::Int(2));
    eventually("the message comes", || pattern.heard("c*:hello")).await;
    assert!(one.heard("c:hello") && two.heard("c:hello"));
    subscriptions.unsubscribe(Channel, "c", &two_sink).await.unwrap();
    link.call(command("PUBLISH c again")).await.unwrap();
    eventually("the message comes", || one.heard("c:again")).await;
    assert!(!two.heard("c:again"));
    let one: Arc<dyn MessageSink> = one;
    subscriptions.unsubscribe(Channel, "c", &one).await.unwrap();
    eventually("the server is told", || server.ask("PUBSUB NUMSUB c").ends_with(":0\r\n")).await;
}
