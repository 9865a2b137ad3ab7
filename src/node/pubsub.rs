//! Pub/sub behind the door.

use std::{rc::Rc, sync::Arc, time::Duration};

use napi_derive::napi;

use super::{
    connect::{Watch, connect, watch},
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    durable_channels::Groups,
};
use crate::{
    connection::{DatabaseRole, SubscriptionKind},
    error::{Error, Result},
    pubsub::{
        ChannelPrefix, Delivery, FlowOptions, FlowStats, Gap, Listener, PubSubOptions, Publisher, Subscriber,
        durable::DurableChannels,
    },
};

/// Calls and events; `ts/pubsub-service.ts` has the same numbers.
mod code {
    pub(super) const PUBLISH: u16 = 0;
    pub(super) const SUBSCRIBE: u16 = 1;
    pub(super) const UNSUBSCRIBE: u16 = 2;
    pub(super) const ACKNOWLEDGE: u16 = 3;
    pub(super) const COUNT_SUBSCRIBERS: u16 = 4;
    pub(super) const PING: u16 = 5;
    pub(super) const CLOSE: u16 = 6;
    pub(super) const COUNT_PATTERNS: u16 = 7;
    pub(super) const STATS: u16 = 8;

    pub(super) const MESSAGE: u16 = 0;
    pub(super) const OVERFLOW: u16 = 1;
    pub(super) const RECONNECTED: u16 = 2;
    pub(super) const CLOSED: u16 = 3;
}

/// A pub/sub service.
#[napi]
pub struct NativePubSub {
    handle: TargetHandle,
}

#[napi]
impl NativePubSub {
    /// `redis` and `options` are JSON texts.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, redis: String, options: String) -> napi::Result<Self> {
        let open = || {
            let options = PubSubOptions::from_json(&options)?;
            // Channels are no keys: the prefix of keys is theirs only where they are kept in streams.
            let (link, key_prefix) = connect(&redis, Some(DatabaseRole::Pubsub))?;
            Ok((options, link, key_prefix))
        };
        let (options, link, key_prefix) = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = watch(&link, emitter.clone());
            let publisher = Publisher::new(Arc::clone(&link), &options);
            let prefix = ChannelPrefix::new(&options.channel_prefix);
            let channels = DurableChannels::new(Arc::clone(&link), prefix, key_prefix);
            let groups = Groups::new(channels, emitter.clone());
            let subscriber = Arc::new(Subscriber::new(&link, &options, Arc::new(ToDoor { emitter })));
            Rc::new(PubSub { publisher, subscriber, groups, _watch: watch })
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

struct PubSub {
    publisher: Publisher,
    subscriber: Arc<Subscriber>,
    groups: Groups,
    _watch: Watch,
}

impl Target for PubSub {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let publisher = self.publisher.clone();
        let subscriber = Arc::clone(&self.subscriber);
        match op.code() {
            code::PUBLISH => match publication(&mut op) {
                Ok((channel, payload, sharded, timeout)) => {
                    reply.run(async move { publisher.publish(&channel, &payload, sharded, timeout).await });
                }
                Err(error) => reply.fail(error),
            },
            code::SUBSCRIBE => match subscription(&mut op).and_then(|name| Ok((name, flow(&mut op)?))) {
                Ok(((kind, name), (number, options))) => {
                    reply.run(async move { subscriber.subscribe(kind, &name, number, options).await });
                }
                Err(error) => reply.fail(error),
            },
            code::UNSUBSCRIBE => match subscription(&mut op) {
                Ok((kind, name)) => reply.run(async move { subscriber.unsubscribe(kind, &name).await }),
                Err(error) => reply.fail(error),
            },
            code::ACKNOWLEDGE => reply.settle(acknowledge(&subscriber, &mut op)),
            code::COUNT_SUBSCRIBERS => match op.text().and_then(|channel| Ok((channel, op.flag()?))) {
                Ok((channel, sharded)) => {
                    reply.run(async move { publisher.count_subscribers(&channel, sharded).await });
                }
                Err(error) => reply.fail(error),
            },
            code::COUNT_PATTERNS => reply.run(async move { publisher.count_patterns().await }),
            code::STATS => reply.settle(Ok(stats(&subscriber))),
            code::PING => reply.run(async move { publisher.ping().await }),
            code::CLOSE => reply.run(async move { subscriber.close().await }),
            _ => self.groups.accept(op, reply),
        }
    }
}

fn publication(op: &mut Op<'_>) -> Result<(String, Vec<u8>, bool, Option<Duration>)> {
    let (channel, payload, sharded) = (op.text()?, op.bytes()?, op.flag()?);
    let timeout = op.optional_number()?.map(|ms| {
        let allowed = 1.0..=86_400_000.0;
        if allowed.contains(&ms) {
            return Ok(Duration::from_secs_f64(ms / 1_000.0));
        }
        Err(Error::invalid_argument("timeout", &ms.to_string(), "1 to 86400000 milliseconds"))
    });
    Ok((channel, payload, sharded, timeout.transpose()?))
}

fn subscription(op: &mut Op<'_>) -> Result<(SubscriptionKind, String)> {
    let kind = match op.integer()? {
        0 => SubscriptionKind::Channel,
        1 => SubscriptionKind::Pattern,
        2 => SubscriptionKind::Shard,
        other => return Err(op.wrong(&other.to_string(), "a kind of subscription")),
    };
    Ok((kind, op.text()?))
}

/// Number and options of a subscription.
fn flow(op: &mut Op<'_>) -> Result<(u32, FlowOptions)> {
    let number = u32::try_from(op.integer()?).map_err(|_| op.wrong("out of range", "a number of a subscription"))?;
    Ok((number, FlowOptions::from_json(&op.text()?)?))
}

/// Number, received, dropped, pending, bytes of it; of each subscription.
fn stats(subscriber: &Subscriber) -> Answer {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    let numbers = subscriber.stats().into_iter().flat_map(|(number, stats)| {
        let FlowStats { received, dropped, pending, pending_bytes } = stats;
        [f64::from(number), received as f64, dropped as f64, pending as f64, pending_bytes as f64]
    });
    Answer::List(numbers.map(Answer::from).collect())
}

fn acknowledge(subscriber: &Subscriber, op: &mut Op<'_>) -> Result<()> {
    let mut number = || Ok(usize::try_from(op.integer()?).unwrap_or(0));
    let (subscription, messages, bytes) = (number()?, number()?, number()?);
    subscriber.acknowledge(u32::try_from(subscription).unwrap_or(u32::MAX), messages, bytes);
    Ok(())
}

/// Hands messages to JavaScript.
struct ToDoor {
    emitter: Emitter,
}

impl Listener for ToDoor {
    fn message(&self, delivery: Delivery<'_>) {
        let payload = match std::str::from_utf8(delivery.payload) {
            Ok(text) => Answer::from(text),
            Err(_) => Answer::Bytes(delivery.payload.to_vec()),
        };
        let values = vec![payload, Answer::from(delivery.channel)];
        self.emitter.emit(code::MESSAGE, delivery.subscription.cast_signed(), lane(delivery.payload.len()), values);
    }

    fn gap(&self, gap: Gap) {
        match gap {
            Gap::Overflow { subscription, dropped } => self.dropped(code::OVERFLOW, subscription, dropped),
            Gap::Closed { subscription, dropped } => self.dropped(code::CLOSED, subscription, dropped),
            Gap::Reconnected { lost } => {
                // More than an event can carry is told in several.
                let mut chunks = lost.chunks(500).peekable();
                if chunks.peek().is_none() {
                    self.emitter.emit(code::RECONNECTED, 0, 0, Vec::new());
                }
                for chunk in chunks {
                    let values = chunk
                        .iter()
                        .flat_map(|lost| {
                            [Answer::Number(f64::from(lost.subscription)), Answer::Error(lost.error.clone())]
                        })
                        .collect();
                    self.emitter.emit(code::RECONNECTED, 0, 0, values);
                }
            }
        }
    }
}

impl ToDoor {
    fn dropped(&self, event: u16, subscription: u32, dropped: u64) {
        let dropped = lane(usize::try_from(dropped).unwrap_or(usize::MAX));
        self.emitter.emit(event, subscription.cast_signed(), dropped, Vec::new());
    }
}

fn lane(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
