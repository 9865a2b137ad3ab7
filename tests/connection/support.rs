//! What the tests of the connection share.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use oxcart::{
    Error, ErrorCode,
    connection::{Command, ConnectionOptions, Link, LinkState, Message, MessageSink, StateSink, SubscriptionKind},
    testing::{Proxy, RedisServer, eventually},
};

pub(crate) fn command(words: &str) -> Command {
    Command::default().args(words.split(' '))
}

pub(crate) fn maybe_executed(error: &Error) -> Option<bool> {
    let is = |flag: bool| error.details().contains(&("maybeExecuted", flag.into())).then_some(flag);
    is(true).or(is(false))
}

pub(crate) async fn ready(link: &dyn Link) {
    eventually("the link is ready", || link.state() == LinkState::Ready).await;
}

pub(crate) fn through(proxy: &Proxy) -> ConnectionOptions {
    let mut options = ConnectionOptions::tcp("127.0.0.1", proxy.port());
    options.command_timeout = Duration::from_millis(400);
    options.connect_timeout = Duration::from_millis(400);
    options
}

/// Nobody listens here any more.
pub(crate) fn dead_server() -> RedisServer {
    let mut server = RedisServer::start();
    server.kill();
    server
}

#[derive(Default)]
pub(crate) struct States(Mutex<Vec<(LinkState, Option<Error>)>>);

impl States {
    pub(crate) fn seen(&self) -> Vec<LinkState> {
        self.0.lock().unwrap().iter().map(|(state, _)| *state).collect()
    }

    pub(crate) fn errors(&self) -> Vec<ErrorCode> {
        self.0.lock().unwrap().iter().filter_map(|(_, error)| Some(error.as_ref()?.code())).collect()
    }
}

impl StateSink for States {
    fn state(&self, state: LinkState, error: Option<&Error>) {
        self.0.lock().unwrap().push((state, error.cloned()));
    }
}

/// Remembers what it hears.
#[derive(Default)]
pub(crate) struct Messages {
    heard: Mutex<Vec<String>>,
    restored: Mutex<Vec<Vec<(String, ErrorCode)>>>,
}

impl Messages {
    pub(crate) fn heard(&self, text: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|heard| heard == text)
    }

    pub(crate) fn restored(&self) -> Vec<Vec<(String, ErrorCode)>> {
        self.restored.lock().unwrap().clone()
    }
}

impl MessageSink for Messages {
    fn message(&self, message: &Message<'_>) {
        let payload = String::from_utf8_lossy(message.payload);
        self.heard.lock().unwrap().push(format!("{}:{payload}", message.subscription));
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        self.restored.lock().unwrap().push(lost.iter().map(|(_, name, error)| (name.clone(), error.code())).collect());
    }
}

pub(crate) fn sink() -> Arc<Messages> {
    Arc::default()
}
