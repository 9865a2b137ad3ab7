//! What a client is still to be sent: replies, and messages that arise on any thread.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::{
    codec::resp::{Dialect, Value},
    embedded::{session::PushSink, tracking::Notice},
};

/// Beyond this much unsent, no further command of the client is run.
const HIGH_WATER: usize = 1024 * 1024;
/// A subscriber that is this far behind is given up, as Redis does.
const MAX_BEHIND: usize = 32 * 1024 * 1024;

/// Bytes for one client, and the wakes around them.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    /// The client's protocol, for messages, which arise without its session.
    resp3: AtomicBool,
    /// It subscribes to something, which in RESP2 lets it tell messages from replies.
    subscribes: AtomicBool,
    /// There is something to send, or no more will come.
    filled: Notify,
    /// Room for replies again.
    emptied: Notify,
    /// The client is too far behind.
    lost: Notify,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Nothing is added any more.
    closed: bool,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_protocol(&self, resp3: bool, subscribes: bool) {
        self.resp3.store(resp3, Ordering::Relaxed);
        self.subscribes.store(subscribes, Ordering::Relaxed);
    }

    pub(super) fn resp3(&self) -> bool {
        self.resp3.load(Ordering::Relaxed)
    }

    /// Adds a reply.
    pub(super) fn reply(&self, reply: &Value, dialect: Dialect) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            reply.encode(dialect, &mut waiting.bytes);
            self.filled.notify_one();
        }
    }

    /// Adds a last push for a client that can tell one from a reply; then no more.
    pub(super) fn say_goodbye(&self, push: &[u8]) {
        if self.resp3() {
            let mut waiting = self.waiting();
            if !waiting.closed {
                waiting.bytes.extend_from_slice(push);
            }
        }
        self.close();
    }

    /// Ends the connection, with nothing more sent.
    pub(super) fn give_up(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.bytes = Vec::new();
        self.lost.notify_one();
    }

    /// No more will be added. What waits is still sent.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.filled.notify_one();
    }

    /// Waits for something to send; `None` when there will be no more.
    pub(super) async fn take(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut waiting = self.waiting();
                if !waiting.bytes.is_empty() {
                    self.emptied.notify_one();
                    return Some(std::mem::take(&mut waiting.bytes));
                }
                if waiting.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    fn push(&self, parts: Vec<Value>) {
        self.reply(&Value::Push(parts), Dialect { resp3: self.resp3(), null_array: false });
        if self.waiting().bytes.len() > MAX_BEHIND {
            self.give_up();
        }
    }

    /// Waits until the client is so far behind that it is given up.
    pub(super) async fn given_up(&self) {
        self.lost.notified().await;
    }

    /// Waits until the client has taken enough of what it was sent.
    pub(super) async fn room(&self) {
        while self.waiting().bytes.len() > HIGH_WATER {
            self.emptied.notified().await;
        }
    }
}

impl PushSink for Outbox {
    fn message(&self, pattern: Option<&[u8]>, channel: &[u8], payload: &[u8]) {
        let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
        let parts = match pattern {
            Some(pattern) => vec![bulk(b"pmessage"), bulk(pattern), bulk(channel), bulk(payload)],
            None => vec![bulk(b"message"), bulk(channel), bulk(payload)],
        };
        self.push(parts);
    }

    fn sharded(&self, channel: &[u8], payload: &[u8]) {
        let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
        self.push(vec![bulk(b"smessage"), bulk(channel), bulk(payload)]);
    }

    fn hang_up(&self) {
        self.give_up();
    }

    fn notice(&self, notice: &Notice) {
        let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
        let keys = match notice {
            Notice::Changed(key) => Value::Array(vec![bulk(key)]),
            Notice::Emptied => Value::Nil,
            Notice::RedirectBroken(id) => {
                if self.resp3() {
                    self.push(vec![bulk(b"tracking-redir-broken"), Value::Int(id.cast_signed())]);
                }
                return;
            }
        };
        if self.resp3() {
            self.push(vec![bulk(b"invalidate"), keys]);
        } else if self.subscribes.load(Ordering::Relaxed) {
            self.push(vec![bulk(b"message"), bulk(b"__redis__:invalidate"), keys]);
        }
    }
}
