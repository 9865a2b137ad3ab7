//! Subscriptions of one service, each with a bound on what waits for its handlers.
//!
//! A message is *pending* from its arrival until the listener has acknowledged it. The listener is handed a window of them
//! at a time, the others wait in the subscription's [`Flow`]. One with too much pending drops messages or is ended, as
//! Redis itself ends a client that does not read, but only this one subscription and not silently. The link is never
//! slowed down, because others share it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Waker},
};

use super::{
    channel_prefix::ChannelPrefix,
    flow::{Admission, Flow, FlowStats, Waiting},
    options::{FlowOptions, PubSubOptions},
};
use crate::{
    connection::{Link, Message, MessageSink, SubscriptionKind, Subscriptions},
    error::{Error, Result},
};

/// A message for a listener.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The number that the listener gave the subscription.
    pub subscription: u32,
    /// Without the service's prefix.
    pub channel: &'a str,
    pub payload: &'a [u8],
}

/// A subscription that the server refused to restore. It is gone.
#[derive(Clone, Debug)]
pub struct Lost {
    pub subscription: u32,
    pub error: Error,
}

/// Messages were, or may have been, lost.
#[derive(Clone, Debug)]
pub enum Gap {
    /// The connection broke and is back. What was published meanwhile did not arrive.
    Reconnected { lost: Vec<Lost> },
    /// The handlers of a subscription are too slow; so many of its messages were dropped.
    Overflow { subscription: u32, dropped: u64 },
    /// The same, and the subscription is gone.
    Closed { subscription: u32, dropped: u64 },
}

/// Hears of messages, on the I/O thread or on one that acknowledges. Must neither block nor call the subscriber.
pub trait Listener: Send + Sync + 'static {
    fn message(&self, delivery: Delivery<'_>);
    fn gap(&self, gap: Gap);
}

/// The subscriptions of one service. Dropping it without [`Subscriber::close`] takes them off the link too.
pub struct Subscriber {
    inbox: Arc<Inbox>,
}

impl Subscriber {
    pub fn new(link: &Arc<dyn Link>, options: &PubSubOptions, listener: Arc<dyn Listener>) -> Self {
        Self::over(link.subscriptions(), options, listener)
    }

    fn over(link: Arc<dyn Subscriptions>, options: &PubSubOptions, listener: Arc<dyn Listener>) -> Self {
        let inbox = Arc::new_cyclic(|own| Inbox {
            own: Weak::clone(own),
            link,
            prefix: ChannelPrefix::new(&options.channel_prefix),
            options: options.clone(),
            flows: Mutex::default(),
            listener,
        });
        Self { inbox }
    }

    /// Subscribes under a number of the caller's choice; resolves when the server has confirmed.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty name or a subscription that exists; `UnsupportedCommand` for a sharded channel on a
    /// server that has none; what the connection gives.
    pub async fn subscribe(
        &self,
        kind: SubscriptionKind,
        name: &str,
        subscription: u32,
        options: FlowOptions,
    ) -> Result<()> {
        let argument = match kind {
            SubscriptionKind::Channel | SubscriptionKind::Shard => "channel",
            SubscriptionKind::Pattern => "pattern",
        };
        if name.is_empty() {
            return Err(Error::invalid_argument(argument, "empty", "a name"));
        }
        let inbox = &self.inbox;
        let full = inbox.prefix.add(kind, name);
        if !inbox.flows().add(kind, &full, Flow::new(subscription, &inbox.options, options)) {
            return Err(Error::invalid_argument(argument, "subscribed to already", "a new one"));
        }
        let outcome = inbox.link.subscribe(kind, &full, inbox.sink()).await;
        outcome.map_err(|error| {
            inbox.flows().remove(kind, &full);
            unsupported(error, kind).with(argument, name)
        })
    }

    /// Ends a subscription; one that does not exist is no error.
    pub async fn unsubscribe(&self, kind: SubscriptionKind, name: &str) -> Result<()> {
        let full = self.inbox.prefix.add(kind, name);
        if self.inbox.flows().remove(kind, &full).is_none() {
            return Ok(());
        }
        self.inbox.link.unsubscribe(kind, &full, &self.inbox.sink()).await
    }

    /// The listener has done with messages of a subscription: so many, with so many bytes of payload. It is handed the
    /// next ones.
    pub fn acknowledge(&self, subscription: u32, messages: usize, bytes: usize) {
        self.inbox.acknowledge(subscription, messages, bytes);
    }

    /// Counts of every subscription, by its number.
    pub fn stats(&self) -> Vec<(u32, FlowStats)> {
        self.inbox.flows().by_number.values().map(|(flow, _)| (flow.subscription, flow.stats())).collect()
    }

    /// Ends every subscription.
    pub async fn close(&self) -> Result<()> {
        let mut outcome = Ok(());
        let names = self.inbox.flows().take_names();
        for (kind, name) in names {
            // One that fails must not keep the others subscribed.
            outcome = self.inbox.link.unsubscribe(kind, &name, &self.inbox.sink()).await.and(outcome);
        }
        outcome
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let names = self.inbox.flows().take_names();
        if names.is_empty() {
            return;
        }
        let (link, sink) = (Arc::clone(&self.inbox.link), self.inbox.sink());
        crate::service::spawn(async move {
            for (kind, name) in names {
                // Nobody is left who could be told.
                let _ = link.unsubscribe(kind, &name, &sink).await;
            }
        });
    }
}

/// Says of a server that knows no sharded channels what is wrong.
pub(super) fn unsupported(error: Error, kind: SubscriptionKind) -> Error {
    if kind != SubscriptionKind::Shard || !error.message().starts_with("ERR unknown command") {
        return error;
    }
    Error::new(crate::ErrorCode::UnsupportedCommand, "the server has no sharded channels: they need Redis 7")
        .caused_by(error)
}

/// The flows of a service.
#[derive(Default)]
struct Flows {
    channels: HashMap<Box<str>, u32>,
    patterns: HashMap<Box<str>, u32>,
    shards: HashMap<Box<str>, u32>,
    by_number: HashMap<u32, (Flow, Name)>,
    /// Bytes that wait in all.
    bytes: usize,
}

type Name = (SubscriptionKind, Box<str>);

impl Flows {
    fn of(&mut self, kind: SubscriptionKind) -> &mut HashMap<Box<str>, u32> {
        match kind {
            SubscriptionKind::Channel => &mut self.channels,
            SubscriptionKind::Pattern => &mut self.patterns,
            SubscriptionKind::Shard => &mut self.shards,
        }
    }

    /// False when there is one of that name or number already.
    fn add(&mut self, kind: SubscriptionKind, name: &str, flow: Flow) -> bool {
        if self.of(kind).contains_key(name) || self.by_number.contains_key(&flow.subscription) {
            return false;
        }
        self.of(kind).insert(name.into(), flow.subscription);
        self.by_number.insert(flow.subscription, (flow, (kind, name.into())));
        true
    }

    fn remove(&mut self, kind: SubscriptionKind, name: &str) -> Option<Flow> {
        let number = self.of(kind).remove(name)?;
        let (flow, _) = self.by_number.remove(&number)?;
        self.bytes -= flow.bytes();
        Some(flow)
    }

    fn take_names(&mut self) -> Vec<Name> {
        std::mem::take(self).by_number.into_values().map(|(_, name)| name).collect()
    }
}

struct Inbox {
    /// Itself, as the link knows it.
    own: Weak<Inbox>,
    link: Arc<dyn Subscriptions>,
    prefix: ChannelPrefix,
    options: PubSubOptions,
    /// Messages are handed over under this lock, so that those of one subscription keep their order.
    flows: Mutex<Flows>,
    listener: Arc<dyn Listener>,
}

impl Inbox {
    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> Arc<dyn MessageSink> {
        self.own.upgrade().expect("it is borrowed from its `Arc`")
    }

    fn acknowledge(&self, subscription: u32, messages: usize, bytes: usize) {
        let mut guard = self.flows();
        let flows = &mut *guard;
        let Some((flow, (kind, name))) = flows.by_number.get_mut(&subscription) else { return };
        flow.acknowledge(messages, bytes, &mut flows.bytes);
        while let Some(message) = flow.next() {
            let channel = match kind {
                SubscriptionKind::Pattern => message.channel.as_deref().unwrap_or_default(),
                SubscriptionKind::Channel | SubscriptionKind::Shard => name,
            };
            self.hand_over(subscription, channel, &message.payload);
        }
        self.report(flow);
    }

    fn hand_over(&self, subscription: u32, channel: &str, payload: &[u8]) {
        let channel = self.prefix.strip(SubscriptionKind::Channel, channel);
        self.listener.message(Delivery { subscription, channel, payload });
    }

    fn report(&self, flow: &mut Flow) {
        if let Some(dropped) = flow.take_report() {
            self.listener.gap(Gap::Overflow { subscription: flow.subscription, dropped });
        }
    }

    /// Ends a subscription whose handlers are too slow.
    fn end(&self, kind: SubscriptionKind, name: &str) {
        let sink = self.sink();
        let mut leaving = self.link.unsubscribe(kind, name, &sink);
        // Whoever subscribes anew must come after this, so that it is begun here.
        let is_pending = leaving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        drop(leaving);
        if is_pending {
            let (link, name) = (Arc::clone(&self.link), name.to_owned());
            crate::service::spawn(async move {
                let _ = link.unsubscribe(kind, &name, &sink).await;
            });
        }
    }
}

impl MessageSink for Inbox {
    fn message(&self, message: &Message<'_>) {
        let (kind, payload) = (message.kind, message.payload);
        {
            let mut guard = self.flows();
            let flows = &mut *guard;
            // A message of a subscription that just ended is nobody's.
            let Some(&number) = flows.of(kind).get(message.subscription) else { return };
            let Some((flow, _)) = flows.by_number.get_mut(&number) else { return };
            match flow.admit(payload.len(), &mut flows.bytes, self.options.max_total_pending_bytes) {
                Admission::Deliver => self.hand_over(number, message.channel, payload),
                Admission::Wait => flow.wait(Waiting {
                    channel: (kind == SubscriptionKind::Pattern).then(|| message.channel.into()),
                    payload: payload.into(),
                }),
                Admission::Drop => {}
                Admission::Close => {
                    // The message that was too many is lost as well.
                    let dropped = flow.rest() + 1;
                    flows.remove(kind, message.subscription);
                    self.listener.gap(Gap::Closed { subscription: number, dropped });
                    drop(guard);
                    self.end(kind, message.subscription);
                    return;
                }
            }
            self.report(flow);
        }
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        let lost = {
            let mut flows = self.flows();
            lost.iter()
                .filter_map(|(kind, name, error)| {
                    let flow = flows.remove(*kind, name)?;
                    Some(Lost { subscription: flow.subscription, error: error.clone() })
                })
                .collect()
        };
        self.listener.gap(Gap::Reconnected { lost });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::Overflow;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Listener for Heard {
        fn message(&self, delivery: Delivery<'_>) {
            let line = format!("{} {} {}", delivery.subscription, delivery.channel, delivery.payload.len());
            self.0.lock().unwrap().push(line);
        }
        fn gap(&self, gap: Gap) {
            let line = match gap {
                Gap::Reconnected { lost } => format!("reconnected, lost {}", lost.len()),
                Gap::Overflow { subscription, dropped } => format!("overflow {subscription} {dropped}"),
                Gap::Closed { subscription, dropped } => format!("closed {subscription} {dropped}"),
            };
            self.0.lock().unwrap().push(line);
        }
    }

    struct NoServer;

    impl Subscriptions for NoServer {
        fn subscribe<'a>(
            &'a self,
            _kind: SubscriptionKind,
            name: &'a str,
            _sink: Arc<dyn MessageSink>,
        ) -> crate::connection::BoxFuture<'a, Result<()>> {
            Box::pin(async move {
                if name.ends_with("refused") {
                    return Err(Error::from_reply("NOPERM this user has no permissions"));
                }
                Ok(())
            })
        }
        fn unsubscribe<'a>(
            &'a self,
            _kind: SubscriptionKind,
            _name: &'a str,
            _sink: &'a Arc<dyn MessageSink>,
        ) -> crate::connection::BoxFuture<'a, Result<()>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn subscriber_with(options: &PubSubOptions) -> (Subscriber, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let options = PubSubOptions { channel_prefix: "shop".to_owned(), ..options.clone() };
        (Subscriber::over(Arc::new(NoServer), &options, Arc::<Heard>::clone(&heard)), heard)
    }

    fn subscriber(max_pending_messages: usize, max_pending_bytes: usize) -> (Subscriber, Arc<Heard>) {
        subscriber_with(&PubSubOptions { max_pending_messages, max_pending_bytes, ..PubSubOptions::default() })
    }

    async fn subscribe(subscriber: &Subscriber, channel: &str, number: u32) -> Result<()> {
        subscriber.subscribe(SubscriptionKind::Channel, channel, number, FlowOptions::default()).await
    }

    fn send(subscriber: &Subscriber, channel: &str, bytes: usize) {
        let payload = vec![b'x'; bytes];
        subscriber.inbox.message(&Message {
            kind: SubscriptionKind::Channel,
            subscription: channel,
            channel,
            payload: &payload,
        });
    }

    fn heard(heard: &Heard) -> Vec<String> {
        std::mem::take(&mut *heard.0.lock().unwrap())
    }

    #[tokio::test]
    async fn a_full_subscription_drops_and_says_how_many() {
        let (subscriber, listener) = subscriber(2, 1000);
        subscribe(&subscriber, "orders", 7).await.unwrap();
        subscribe(&subscriber, "users", 8).await.unwrap();
        for _ in 0..5 {
            send(&subscriber, "shop:orders", 1);
        }
        send(&subscriber, "shop:users", 1);
        assert_eq!(heard(&listener), ["7 orders 1", "overflow 7 1", "8 users 1"]);
        subscriber.acknowledge(7, 1, 1);
        assert_eq!(heard(&listener), ["7 orders 1"]);
        subscriber.acknowledge(7, 1, 1);
        send(&subscriber, "shop:orders", 1);
        assert_eq!(heard(&listener), ["overflow 7 2", "7 orders 1"]);
        let stats: HashMap<_, _> = subscriber.stats().into_iter().collect();
        assert_eq!(stats[&7], FlowStats { received: 6, dropped: 3, pending: 1, pending_bytes: 1 });
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_large_message_passes() {
        let (subscriber, listener) = subscriber(100, 10);
        subscribe(&subscriber, "orders", 1).await.unwrap();
        send(&subscriber, "shop:orders", 50);
        send(&subscriber, "shop:orders", 1);
        assert_eq!(heard(&listener), ["1 orders 50", "overflow 1 1"]);
        subscriber.acknowledge(1, 1, 50);
        send(&subscriber, "shop:orders", 1);
        assert_eq!(heard(&listener), ["1 orders 1"]);
    }

    #[tokio::test]
    async fn a_subscription_that_is_lost_can_be_made_again() {
        let (subscriber, listener) = subscriber(2, 10);
        subscribe(&subscriber, "orders", 1).await.unwrap();
        let error = Error::from_reply("NOPERM no");
        subscriber.inbox.restored(&[(SubscriptionKind::Channel, "shop:orders".to_owned(), error)]);
        assert_eq!(heard(&listener), ["reconnected, lost 1"]);
        subscribe(&subscriber, "orders", 2).await.unwrap();
    }

    #[tokio::test]
    async fn a_refused_subscription_leaves_nothing_behind() {
        let (subscriber, listener) = subscriber(2, 10);
        let error = subscribe(&subscriber, "refused", 1).await.unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::AuthenticationFailed);
        send(&subscriber, "shop:refused", 1);
        assert!(heard(&listener).is_empty());
    }

    #[tokio::test]
    async fn an_empty_name_is_refused() {
        let (subscriber, _) = subscriber(2, 10);
        let error = subscriber.subscribe(SubscriptionKind::Pattern, "", 1, FlowOptions::default()).await.unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::InvalidArgument);
    }

    #[tokio::test]
    async fn the_oldest_can_be_dropped_instead() {
        let (subscriber, listener) =
            subscriber_with(&PubSubOptions { max_pending_messages: 8, ..PubSubOptions::default() });
        let oldest = FlowOptions { overflow: Some(Overflow::DropOldest), ..FlowOptions::default() };
        subscriber.subscribe(SubscriptionKind::Channel, "orders", 1, oldest).await.unwrap();
        for bytes in 1..=20 {
            send(&subscriber, "shop:orders", bytes);
        }
        assert_eq!(heard(&listener), ["1 orders 1", "1 orders 2", "overflow 1 1"]);
        let mut bytes = 3;
        let mut handled = Vec::new();
        while bytes > 0 {
            subscriber.acknowledge(1, 2, bytes);
            let lines = heard(&listener);
            let sizes: Vec<usize> =
                lines.iter().filter_map(|line| line.strip_prefix("1 orders ")?.parse().ok()).collect();
            bytes = sizes.iter().sum();
            handled.extend(sizes);
            if bytes == 0 {
                assert_eq!(lines, ["overflow 1 11"]);
            }
        }
        assert_eq!(handled, [15, 16, 17, 18, 19, 20]);
    }

    #[tokio::test]
    async fn the_subscription_can_be_ended_instead_and_made_again() {
        let (subscriber, listener) = subscriber(2, 1000);
        let close = FlowOptions { overflow: Some(Overflow::Close), ..FlowOptions::default() };
        subscriber.subscribe(SubscriptionKind::Shard, "orders", 1, close).await.unwrap();
        subscribe(&subscriber, "orders", 2).await.unwrap();
        for _ in 0..4 {
            subscriber.inbox.message(&Message {
                kind: SubscriptionKind::Shard,
                subscription: "shop:orders",
                channel: "shop:orders",
                payload: b"x",
            });
        }
        assert_eq!(heard(&listener), ["1 orders 1", "closed 1 2"]);
        assert_eq!(subscriber.inbox.flows().bytes, 0);
        subscriber.subscribe(SubscriptionKind::Shard, "orders", 3, close).await.unwrap();
    }

    #[tokio::test]
    async fn all_subscriptions_together_are_bounded() {
        let options = PubSubOptions { max_total_pending_bytes: 100, ..PubSubOptions::default() };
        let (subscriber, listener) = subscriber_with(&options);
        for (number, channel) in (1..).zip(["a", "b", "c"]) {
            subscribe(&subscriber, channel, number).await.unwrap();
            send(&subscriber, &format!("shop:{channel}"), 50);
        }
        assert_eq!(heard(&listener), ["1 a 50", "2 b 50", "overflow 3 1"]);
        subscriber.unsubscribe(SubscriptionKind::Channel, "a").await.unwrap();
        send(&subscriber, "shop:c", 50);
        assert_eq!(heard(&listener), ["3 c 50"]);
        subscriber.close().await.unwrap();
        assert_eq!(subscriber.inbox.flows().bytes, 0);
    }
}
