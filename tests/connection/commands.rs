//! The shared link against a real server: commands, pipelines, subscriptions, blocking commands.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    codec::resp::{Reply, Value},
    connection::{self, Batch, Command, Link, LinkState, ReplySink, SubscriptionKind},
    testing::{RedisServer, eventually},
};

use crate::support::{command, sink};

async fn text(link: &dyn Link, words: &str) -> String {
    link.call(command(words)).await.unwrap().into_text().unwrap()
}

#[tokio::test]
async fn commands_are_answered_in_order() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    assert_eq!(link.call(command("SET k v")).await.unwrap(), Value::Simple("OK".into()));
    assert_eq!(link.call(command("GET k")).await.unwrap(), Value::Bulk(b"v".to_vec()));
    assert_eq!(link.call(command("GET missing")).await.unwrap(), Value::Nil);
    assert_eq!(link.state(), LinkState::Ready);
    let error = link.call(command("INCR k")).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (ErrorCode::Reply, "ERR value is not an integer or out of range"));
    let replies = link.call_many(&[command("INCR n"), command("LPUSH k x"), command("INCR n")]).await;
    assert_eq!(replies[0], Ok(Value::Int(1)));
    assert!(replies[1].as_ref().unwrap_err().message().starts_with("WRONGTYPE"));
    assert_eq!(replies[2], Ok(Value::Int(2)));
}

#[tokio::test]
async fn a_pipeline_of_100_000_commands_is_answered() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let commands: Vec<_> = (0..100_000).map(|number| Command::new("ECHO").int(number)).collect();
    let replies = link.call_many(&commands).await;
    for (number, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.unwrap(), Value::Bulk(number.to_string().into_bytes()));
    }
}

#[tokio::test]
async fn a_reply_of_64_mb_is_answered() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let value = vec![b'x'; 64 << 20];
    let set = Command::new("SET").key("big").arg(&value);
    link.call(set).await.unwrap();
    assert!(link.call(command("GET big")).await.unwrap() == Value::Bulk(value));
}

#[tokio::test]
async fn links_with_the_same_options_are_one() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let mut options = server.options();
    options.key_prefix = "app:".into();
    assert!(Arc::ptr_eq(&link, &connection::open(options).unwrap()));
    let mut options = server.options();
    options.db = Some(1);
    assert!(!Arc::ptr_eq(&link, &connection::open(options).unwrap()));
}

#[tokio::test]
async fn the_last_owner_closes_the_sockets() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let subscriptions = link.subscriptions();
    let sink = sink();
    subscriptions.subscribe(SubscriptionKind::Channel, "c", sink.clone()).await.unwrap();
    let blocking = link.open_blocking();
    blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10)).await.unwrap();
    assert_eq!(connected_clients(&server), 3);
    drop((blocking, subscriptions, link));
    eventually("the sockets close", || connected_clients(&server) == 0).await;
}

/// Connections beside the one that asks.
fn connected_clients(server: &RedisServer) -> usize {
    server.ask("CLIENT LIST").lines().filter(|line| line.contains("addr=")).count() - 1
}

#[tokio::test]
async fn a_transaction_runs_on_the_shared_link() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let transaction =
        [command("MULTI"), command("INCR n").chained(), command("INCR n").chained(), command("EXEC").chained()];
    let replies = link.call_many(&transaction).await;
    assert_eq!(replies[3], Ok(Value::Array(vec![Value::Int(1), Value::Int(2)])));
}

#[tokio::test]
async fn threads_that_submit_at_once_get_their_own_replies() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let link = Arc::clone(&link);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for round in 0..500 {
                    let words: Vec<_> = (0..=(round % 5)).map(|part| format!("{thread}-{round}-{part}")).collect();
                    let commands: Vec<_> = words.iter().map(|word| Command::new("ECHO").arg(word)).collect();
                    let replies = runtime.block_on(link.call_many(&commands));
                    for (reply, word) in replies.into_iter().zip(words) {
                        assert_eq!(reply.unwrap().into_text().unwrap(), word);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// redis-rs 1.8.1 took such a push for a reply and gave every later caller somebody else's value.
#[tokio::test]
async fn a_push_is_never_taken_for_a_reply() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    link.call(command("CLIENT TRACKING ON BCAST")).await.unwrap();
    // Each SET makes the server push an invalidation between the replies.
    let commands: Vec<_> = (0..1000)
        .flat_map(|number| [command(&format!("SET k{number} {number}")), command(&format!("GET k{number}"))])
        .collect();
    let replies = link.call_many(&commands).await;
    for (number, pair) in replies.chunks(2).enumerate() {
        assert_eq!(pair[1].clone().unwrap().into_text().unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn a_late_reply_is_discarded_in_its_place() {
    let server = RedisServer::builder().args(["--enable-debug-command", "yes"]).start();
    let link = connection::open(server.options()).unwrap();
    let slow = command("DEBUG SLEEP 0.3").deadline(Duration::from_millis(50));
    let started = Instant::now();
    let (slow, next) = tokio::join!(link.call(slow), link.call(command("ECHO mine")));
    let error = slow.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CommandTimedOut);
    assert!(error.details().contains(&("maybeExecuted", true.into())));
    assert_eq!(next.unwrap().into_text().unwrap(), "mine");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_link_that_is_dropped_answers_what_is_in_flight() {
    let server = RedisServer::builder().args(["--enable-debug-command", "yes"]).start();
    let link = connection::open(server.options()).unwrap();
    text(&*link, "ECHO ready").await;
    let (sink, reply) = Replies::new();
    let mut batch = Batch::new(sink);
    batch.push(&command("DEBUG SLEEP 0.1"), 0);
    batch.push(&command("INCR n"), 1);
    link.submit(batch);
    drop(link);
    assert_eq!(reply.await.unwrap(), Ok(Value::Int(1)));
}

/// Passes on the reply of token 1.
struct Replies(Mutex<Option<tokio::sync::oneshot::Sender<Result<Value, Error>>>>);

impl Replies {
    fn new() -> (Arc<Self>, tokio::sync::oneshot::Receiver<Result<Value, Error>>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (Arc::new(Self(Mutex::new(Some(sender)))), receiver)
    }
}

impl ReplySink for Replies {
    fn settle(&self, token: u64, reply: Result<Reply<'_>, Error>) {
        if token == 1 {
            let _ = self.0.lock().unwrap().take().unwrap().send(reply.map(|reply| reply.to_value()));
        }
    }
}

/// One call at a time is what latency is measured with: it must not wait for another thread before it is written.
#[tokio::test]
async fn a_command_on_an_idle_link_is_written_by_the_calling_thread() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    text(&*link, "ECHO ready").await;
    let (go_on, stopped) = std::sync::mpsc::channel::<()>();
    // The I/O thread does nothing until it is told to.
    let stuck = oxcart::service::spawn(async move { stopped.recv_timeout(Duration::from_secs(5)).unwrap() });
    let reply = link.call(command("SET k v"));
    let limit = Instant::now() + Duration::from_secs(3);
    while !server.ask("GET k").contains('v') {
        assert!(Instant::now() < limit, "the server did not get it");
    }
    go_on.send(()).unwrap();
    stuck.await.unwrap();
    assert_eq!(reply.await, Ok(Value::Simple("OK".into())));
}
