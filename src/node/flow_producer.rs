//! Flow producers behind the door. Their jobs call their queues through them.

use std::{rc::Rc, sync::Arc};

use napi_derive::napi;

use super::{
    connect::{Watch, connect, watch},
    door::{NativeDoor, Op, Responder, Target, TargetHandle},
    queue::OpenQueue,
};
use crate::{
    connection::{Command, DatabaseRole, Link},
    error::Result,
    queue::{FlowNode, FlowProducer, QueueOptions},
};

/// Calls; `ts/flow-producer.ts` has the same numbers.
mod code {
    pub(super) const ADD: u16 = 0;
    /// Prefix or none, name of a queue and the code of one of its calls stand before the arguments.
    pub(super) const ON_QUEUE: u16 = 1;
    pub(super) const PING: u16 = 2;
    /// Does nothing: when it is answered, every call before it has begun.
    pub(super) const ARRIVE: u16 = 3;
}

/// Adds trees of jobs.
#[napi]
pub struct NativeFlowProducer {
    handle: TargetHandle,
}

#[napi]
impl NativeFlowProducer {
    /// `redis`, `options` (of queues) and `payloads` (of queues that have their own, by name) are JSON texts. With `as_bullmq` the database is that which BullMQ would use.
    #[napi(constructor)]
    pub fn new(
        door: &NativeDoor,
        redis: String,
        as_bullmq: bool,
        options: String,
        payloads: String,
    ) -> napi::Result<Self> {
        let (link, producer) = open(&redis, as_bullmq, &options, &payloads).map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = watch(&link, emitter);
            Rc::new(FlowTarget { producer, link, _watch: watch })
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

fn open(redis: &str, as_bullmq: bool, options: &str, payloads: &str) -> Result<(Arc<dyn Link>, FlowProducer)> {
    let mut options = QueueOptions::from_json(options)?;
    let (link, key_prefix) = connect(redis, (!as_bullmq).then_some(DatabaseRole::Queue))?;
    options.prefix.insert_str(0, &key_prefix);
    options.key_prefix = key_prefix;
    Ok((Arc::clone(&link), FlowProducer::new(link, options).with_payloads_from_json(payloads)?))
}

struct FlowTarget {
    producer: FlowProducer,
    link: Arc<dyn Link>,
    _watch: Watch,
}

impl Target for FlowTarget {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        match op.code() {
            code::ADD => match op.text() {
                Ok(text) => {
                    let producer = self.producer.clone();
                    reply.run(async move { producer.add(FlowNode::list_from_json(&text)?).await });
                }
                Err(error) => reply.fail(error),
            },
            code::ON_QUEUE => match self.on_queue(&mut op) {
                Ok(queue) => queue.accept(op, reply),
                Err(error) => reply.fail(error),
            },
            code::PING => {
                let pong = self.link.call(Command::new("PING").repeatable());
                reply.run(async move { pong.await?.into_text() });
            }
            code::ARRIVE => reply.settle(Ok(())),
            _ => reply.fail(op.unknown_code()),
        }
    }
}

impl FlowTarget {
    fn on_queue(&self, op: &mut Op<'_>) -> Result<OpenQueue> {
        let (prefix, name) = (op.optional_text()?, op.text()?);
        op.read_code()?;
        let queue = self.producer.queue(prefix.as_deref(), &name)?;
        Ok(OpenQueue::of(queue, Arc::clone(&self.link)))
    }
}
