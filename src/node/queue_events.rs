//! Events of queues behind the door.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use napi_derive::napi;

use super::{
    connect::Watch,
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    queue::OpenQueue,
};
use crate::{
    error::Error,
    queue::{EventSubscription, QueueEvent, QueueEventSink, QueueEvents},
};

/// Calls and events; `ts/queue-events.ts` has the same numbers.
mod code {
    pub(super) const RUN: u16 = 100;

    pub(super) const EVENTS: u16 = 0;
    pub(super) const ERROR: u16 = 1;
}

/// Stream id, name and fields.
const EVENT_WIDTH: usize = 3;
/// Values of one event of the door, at most.
const MOST_VALUES: usize = 1020;

/// Reads the events of a queue.
#[napi]
pub struct NativeQueueEvents {
    handle: TargetHandle,
}

#[napi]
impl NativeQueueEvents {
    /// `redis` and `options` are JSON texts.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, name: String, redis: String, as_bullmq: bool, options: String) -> napi::Result<Self> {
        let queue = OpenQueue::open(&name, &redis, as_bullmq, &options).map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = queue.watch(emitter.clone());
            let sink = Arc::new(ToDoor { emitter });
            Rc::new(EventsTarget { queue, sink, subscription: Arc::default(), _watch: watch })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct EventsTarget {
    queue: OpenQueue,
    sink: Arc<ToDoor>,
    /// Shared with the call that makes it: when the target goes first, the subscription goes with the call.
    subscription: Arc<Mutex<Option<EventSubscription>>>,
    _watch: Watch,
}

impl Target for EventsTarget {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if op.code() != code::RUN {
            self.queue.accept(op, reply);
            return;
        }
        match op.optional_text() {
            Ok(from) => {
                let queue = self.queue.queue.clone();
                let sink = Arc::clone(&self.sink) as Arc<dyn QueueEventSink>;
                let place = Arc::clone(&self.subscription);
                reply.run(async move {
                    let subscription = QueueEvents::subscribe(&queue, from, sink).await?;
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscription);
                    Ok(())
                });
            }
            Err(error) => reply.fail(error),
        }
    }
}

/// Hands events to JavaScript.
struct ToDoor {
    emitter: Emitter,
}

impl QueueEventSink for ToDoor {
    fn events(&self, events: Vec<QueueEvent>) {
        for events in events.chunks(MOST_VALUES / EVENT_WIDTH) {
            let values = events
                .iter()
                .flat_map(|event| {
                    let fields: serde_json::Map<String, serde_json::Value> =
                        event.fields.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                    [
                        Answer::from(event.stream_id.as_str()),
                        Answer::from(event.name.as_str()),
                        Answer::Text(serde_json::Value::Object(fields).to_string()),
                    ]
                })
                .collect();
            self.emitter.emit(code::EVENTS, 0, 0, values);
        }
    }

    fn error(&self, error: &Error) {
        self.emitter.emit(code::ERROR, 0, 0, vec![Answer::Error(error.clone())]);
    }
}
