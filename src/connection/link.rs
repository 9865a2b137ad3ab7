//! The trait that every engine is written against. Redis implements it over sockets; Cluster, Sentinel and the embedded
//! engine stand behind the same trait.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::command::{Batch, Command};
#[cfg(unix)]
use super::lending::Lender;
use crate::{
    clock::Clock,
    codec::resp::{Reply, Value},
    error::{Error, ErrorCode, Result},
};

/// A boxed future, as traits give it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Receives the replies of a [`Batch`].
pub trait ReplySink: Send + Sync + 'static {
    /// Called exactly once for each token, on the I/O thread, on a thread that has borrowed the reading or, for an error
    /// known at once, on the submitting thread. Must not block. An error reply arrives as `Err`; errors inside aggregates stay in the reply.
    fn settle(&self, token: u64, reply: Result<Reply<'_>>);

    /// The same with a reply that is the sink's to keep.
    fn settle_owned(&self, token: u64, reply: Value) {
        match reply {
            Value::Error(error) => self.settle(token, Err(error)),
            reply => self.settle(token, Ok(reply.as_reply())),
        }
    }

    /// Called after a run of [`settle`](Self::settle) calls that one read of the socket caused.
    fn flush(&self) {}
}

/// What a link is doing. The names are the contract's `ConnectionState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Connecting,
    /// The socket is open; the handshake is running.
    Connected,
    Ready,
    Disconnecting,
    Disconnected,
    Reconnecting,
    /// Given up: `retryStrategy` said so, or the server refused the credentials.
    Error,
}

/// Hears of state changes of a link.
pub trait StateSink: Send + Sync + 'static {
    /// `error` is why, where the change is due to one. Must not block, nor watch a state itself.
    fn state(&self, state: LinkState, error: Option<&Error>);
}

/// How a subscription names its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionKind {
    Channel,
    Pattern,
    /// A sharded channel, which has a space of names of its own (Redis 7).
    Shard,
}

impl SubscriptionKind {
    /// The commands that begin and end such a subscription.
    pub fn verbs(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("SUBSCRIBE", "UNSUBSCRIBE"),
            Self::Pattern => ("PSUBSCRIBE", "PUNSUBSCRIBE"),
            Self::Shard => ("SSUBSCRIBE", "SUNSUBSCRIBE"),
        }
    }
}

/// A published message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The subscription that it came for: the channel, sharded or not, or the pattern.
    pub kind: SubscriptionKind,
    pub subscription: &'a str,
    pub channel: &'a str,
    pub payload: &'a [u8],
}

/// Receives what subscriptions deliver.
pub trait MessageSink: Send + Sync + 'static {
    fn message(&self, message: &Message<'_>);

    /// The connection broke and is back: messages published in between are lost. `lost` lists subscriptions that the
    /// server refused to restore, each with its error; they are no longer active.
    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]);
}

/// Learns which of the keys that a link has read are changed, whoever changes them.
pub trait ChangeSink: Send + Sync + 'static {
    /// The server tells from now on; what was read before may have changed. After every gap once more.
    fn began(&self);

    /// These keys (their full names), read since, were written, deleted or expired, by anybody but this link. Each is told
    /// once: to hear of it again, read it again.
    fn changed(&self, keys: &[&[u8]]);

    /// A database was emptied.
    fn emptied(&self);

    /// The server does not tell. It is asked again on the next connection.
    fn refused(&self, error: &Error);
}

/// Subscriptions over one link of their own, shared by all subscribers of the process.
pub trait Subscriptions: Send + Sync + 'static {
    /// Adds `sink` to a channel or pattern; resolves when the server has confirmed it (at once when it already had).
    fn subscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>>;

    /// Takes `sink` (the same `Arc`) off; the server is told when it was the last one.
    fn unsubscribe<'a>(
        &'a self,
        kind: SubscriptionKind,
        name: &'a str,
        sink: &'a Arc<dyn MessageSink>,
    ) -> BoxFuture<'a, Result<()>>;
}

/// A link of its own for blocking commands, one at a time.
pub trait BlockingLink: Send + Sync + 'static {
    /// Runs a command that blocks for at most `wait` on the server. Its reply is `Nil` when the wait ended with nothing.
    /// The client-side deadline is `wait` plus a margin, after which the link reconnects and the call gets
    /// `CommandTimedOut`. When the connection breaks, the call gets `ConnectionLost` once; the next call waits for the
    /// link to be back.
    fn block(&self, command: Command, wait: Duration) -> BoxFuture<'_, Result<Value>>;

    /// Ends a running [`block`](Self::block) early, as if its wait had ended. Does nothing when none is running.
    fn unblock(&self) -> BoxFuture<'_, ()>;
}

/// A connection to a server (later: a cluster, or the embedded engine). Shared by every service of the process that has
/// the same options; the last one to drop it closes its sockets.
pub trait Link: Send + Sync + 'static {
    /// Sends commands, in order, from any thread, without waiting. Replies go to the batch's sink.
    fn submit(&self, batch: Batch);

    /// A new link for blocking commands, with a socket of its own.
    fn open_blocking(&self) -> Arc<dyn BlockingLink>;

    /// A connection that only shows: under this name in the server's list of clients, until it is dropped. Nothing where
    /// there is no such list.
    fn show(&self, _name: &str) -> Box<dyn Send + Sync> {
        Box::new(())
    }

    /// The shared subscriber link, connected on first use.
    fn subscriptions(&self) -> Arc<dyn Subscriptions>;

    /// Tells `sink` of changes to keys that were read over this link, until the returned guard is dropped. Never waits.
    fn follow_changes(&self, sink: Arc<dyn ChangeSink>) -> Box<dyn Send + Sync> {
        sink.refused(&Error::new(ErrorCode::UnsupportedCommand, "this engine tells of no changed keys"));
        Box::new(())
    }

    fn state(&self) -> LinkState;

    /// Calls `sink` on every change of state until the returned guard is dropped, and at once when the present state is
    /// due to an error.
    fn watch_state(&self, sink: Arc<dyn StateSink>) -> Box<dyn Send + Sync>;

    /// Lends the reading of its connection to a thread that waits for one reply at a time, where there is one socket and
    /// that is plain.
    #[cfg(unix)]
    fn lender(&self) -> Option<Lender> {
        None
    }

    /// The time by which what is stored there expires and becomes due: the system's, but for an engine in this process
    /// that was given another.
    fn clock(&self) -> Clock {
        Clock::system()
    }

    /// Where it points, for messages: `127.0.0.1:6379/0`. Never a credential.
    fn describe(&self) -> &str;
}

impl dyn Link {
    /// Sends one command at once; the future waits for its reply. An error reply is an `Err`.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the command in place")]
    pub fn call(&self, command: Command) -> impl Future<Output = Result<Value>> + Send + use<> {
        let (sink, reply) = OneReply::new();
        let mut batch = Batch::new(sink);
        batch.push(&command, 0);
        self.submit(batch);
        async move { reply.await.unwrap_or_else(|_| Err(Error::closed("connection"))) }
    }

    /// Sends commands at once, in one go; the future waits for all replies, each of which may be an error.
    pub fn call_many(&self, commands: &[Command]) -> impl Future<Output = Vec<Result<Value>>> + Send + use<> {
        let count = commands.len();
        let (sink, replies) = ManyReplies::new(count);
        if count > 0 {
            let mut batch = Batch::new(sink);
            for (token, command) in commands.iter().enumerate() {
                batch.push(command, token as u64);
            }
            self.submit(batch);
        }
        async move {
            match replies.await {
                Ok(replies) => replies,
                Err(_) => (0..count).map(|_| Err(Error::closed("connection"))).collect(),
            }
        }
    }
}

/// Sink of one command.
pub(super) struct OneReply {
    caller: std::sync::Mutex<Option<oneshot::Sender<Result<Value>>>>,
}

impl OneReply {
    pub(super) fn new() -> (Arc<Self>, oneshot::Receiver<Result<Value>>) {
        let (sender, receiver) = oneshot::channel();
        (Arc::new(Self { caller: std::sync::Mutex::new(Some(sender)) }), receiver)
    }
}

impl OneReply {
    fn answer(&self, reply: impl FnOnce() -> Result<Value>) {
        let caller = self.caller.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(caller) = caller {
            // A caller that went away no longer wants the reply.
            let _ = caller.send(reply());
        }
    }
}

/// An error reply is an error.
fn owned(reply: Value) -> Result<Value> {
    match reply {
        Value::Error(error) => Err(error),
        reply => Ok(reply),
    }
}

impl ReplySink for OneReply {
    fn settle(&self, _token: u64, reply: Result<Reply<'_>>) {
        self.answer(|| reply.map(|reply| reply.to_value()));
    }

    fn settle_owned(&self, _token: u64, reply: Value) {
        self.answer(|| owned(reply));
    }
}

/// Sink of a pipeline: answers when every command has.
struct ManyReplies {
    pending: std::sync::Mutex<Pending>,
}

struct Pending {
    replies: Vec<Option<Result<Value>>>,
    missing: usize,
    caller: Option<oneshot::Sender<Vec<Result<Value>>>>,
}

impl ManyReplies {
    fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<Vec<Result<Value>>>) {
        let (sender, receiver) = oneshot::channel();
        let pending = Pending { replies: (0..count).map(|_| None).collect(), missing: count, caller: Some(sender) };
        (Arc::new(Self { pending: std::sync::Mutex::new(pending) }), receiver)
    }
}

impl ReplySink for ManyReplies {
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        self.answer(token, || reply.map(|reply| reply.to_value()));
    }

    fn settle_owned(&self, token: u64, reply: Value) {
        self.answer(token, || owned(reply));
    }
}

impl ManyReplies {
    fn answer(&self, token: u64, reply: impl FnOnce() -> Result<Value>) {
        let mut pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let index = usize::try_from(token).unwrap_or(usize::MAX);
        let Some(place @ None) = pending.replies.get_mut(index) else { return };
        *place = Some(reply());
        pending.missing -= 1;
        if pending.missing == 0 {
            let replies = std::mem::take(&mut pending.replies).into_iter().flatten().collect();
            if let Some(caller) = pending.caller.take() {
                let _ = caller.send(replies);
            }
        }
    }
}
