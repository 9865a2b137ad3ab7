//! What happens in queues, read from their event streams by one blocking link for the whole process.

use std::sync::Arc;

use super::Queue;
use crate::error::{Error, Result};

/// One entry of a queue's event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEvent {
    /// Id in the stream; reading can resume after it.
    pub stream_id: String,
    /// `completed`, `failed`, `progress`, ...
    pub name: String,
    /// The other fields, as stored.
    pub fields: Vec<(String, String)>,
}

/// Receives events, on the I/O thread; must not block.
pub trait QueueEventSink: Send + Sync + 'static {
    fn events(&self, events: Vec<QueueEvent>);
    /// Reading failed and goes on by itself; nothing is skipped.
    fn error(&self, error: &Error);
}

/// Subscribes to events of queues.
pub struct QueueEvents;

/// Ends when dropped.
pub struct EventSubscription {}

impl QueueEvents {
    /// Events after `from` (a stream id; `None`: those that come from now on). Resolves when reading has its position,
    /// so that no event after that is missed.
    pub async fn subscribe(
        _queue: &Queue,
        _from: Option<String>,
        _sink: Arc<dyn QueueEventSink>,
    ) -> Result<EventSubscription> {
        todo!()
    }
}
