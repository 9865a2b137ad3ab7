//! Subscriptions of one service, each with a bound on what waits for its handlers.
//!
//! A message is *pending* from the moment it is handed to the listener until the listener has acknowledged it. A
//! subscription with too much pending drops what arrives, as Redis itself drops a client that does not read, but only
//! for this one subscription and not silently: the first dropped message is reported at once, the others as one number
//! when there is room again. The link is never slowed down, because others share it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{channel_prefix::ChannelPrefix, options::PubSubOptions};
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
}

/// Hears of messages, on the I/O thread. Must not block.
pub trait Listener: Send + Sync + 'static {
    fn message(&self, delivery: Delivery<'_>);
    fn gap(&self, gap: Gap);
}

/// The subscriptions of one service. Dropping it without [`Subscriber::close`] takes them off the link too.
pub struct Subscriber {
    link: Arc<dyn Subscriptions>,
    inbox: Arc<Inbox>,
    sink: Arc<dyn MessageSink>,
}

impl Subscriber {
    pub fn new(link: &Arc<dyn Link>, options: &PubSubOptions, listener: Arc<dyn Listener>) -> Self {
        let inbox = Arc::new(Inbox {
            prefix: ChannelPrefix::new(&options.channel_prefix),
            max_messages: options.max_pending_messages,
            max_bytes: options.max_pending_bytes,
            flows: Mutex::default(),
            listener,
        });
        let sink: Arc<dyn MessageSink> = Arc::<Inbox>::clone(&inbox);
        Self { link: link.subscriptions(), inbox, sink }
    }

    /// Subscribes under a number of the caller's choice; resolves when the server has confirmed.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty name or a subscription that exists; what the connection gives.
    pub async fn subscribe(&self, kind: SubscriptionKind, name: &str, subscription: u32) -> Result<()> {
        let argument = match kind {
            SubscriptionKind::Channel => "channel",
            SubscriptionKind::Pattern => "pattern",
        };
        if name.is_empty() {
            return Err(Error::invalid_argument(argument, "empty", "a name"));
        }
        let full = self.inbox.prefix.add(kind, name);
        {
            let mut flows = self.inbox.flows();
            if flows.contains_key(&(kind, full.clone())) {
                return Err(Error::invalid_argument(argument, "subscribed to already", "a new one"));
            }
            flows.insert((kind, full.clone()), Flow::new(subscription));
        }
        let outcome = self.link.subscribe(kind, &full, Arc::clone(&self.sink)).await;
        if let Err(error) = outcome {
            self.inbox.flows().remove(&(kind, full));
            return Err(error.with(argument, name));
        }
        Ok(())
    }

    /// Ends a subscription; one that does not exist is no error.
    pub async fn unsubscribe(&self, kind: SubscriptionKind, name: &str) -> Result<()> {
        let full = self.inbox.prefix.add(kind, name);
        if self.inbox.flows().remove(&(kind, full.clone())).is_none() {
            return Ok(());
        }
        self.link.unsubscribe(kind, &full, &self.sink).await
    }

    /// The listener has done with messages of a subscription: so many, with so many bytes of payload.
    pub fn acknowledge(&self, subscription: u32, messages: usize, bytes: usize) {
        let dropped = {
            let mut flows = self.inbox.flows();
            let Some(flow) = flows.values_mut().find(|flow| flow.subscription == subscription) else { return };
            flow.messages = flow.messages.saturating_sub(messages);
            flow.bytes = flow.bytes.saturating_sub(bytes);
            flow.overflowing = false;
            std::mem::take(&mut flow.dropped)
        };
        if dropped > 0 {
            self.inbox.listener.gap(Gap::Overflow { subscription, dropped });
        }
    }

    /// Ends every subscription.
    pub async fn close(&self) -> Result<()> {
        let names: Vec<_> = self.inbox.flows().drain().map(|(name, _)| name).collect();
        let mut outcome = Ok(());
        for (kind, name) in names {
            // One that fails must not keep the others subscribed.
            outcome = self.link.unsubscribe(kind, &name, &self.sink).await.and(outcome);
        }
        outcome
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let names: Vec<_> = self.inbox.flows().drain().map(|(name, _)| name).collect();
        if names.is_empty() {
            return;
        }
        let (link, sink) = (Arc::clone(&self.link), Arc::clone(&self.sink));
        crate::service::spawn(async move {
            for (kind, name) in names {
                // Nobody is left who could be told.
                let _ = link.unsubscribe(kind, &name, &sink).await;
            }
        });
    }
}

/// What waits for the handlers of one subscription.
struct Flow {
    subscription: u32,
    messages: usize,
    bytes: usize,
    /// Dropped and not yet reported.
    dropped: u64,
    overflowing: bool,
}

impl Flow {
    fn new(subscription: u32) -> Self {
        Self { subscription, messages: 0, bytes: 0, dropped: 0, overflowing: false }
    }
}

struct Inbox {
    prefix: ChannelPrefix,
    max_messages: usize,
    max_bytes: usize,
    flows: Mutex<HashMap<(SubscriptionKind, String), Flow>>,
    listener: Arc<dyn Listener>,
}

enum Admission {
    Deliver(u32),
    ReportDrop(u32),
    Drop,
}

impl Inbox {
    fn flows(&self) -> MutexGuard<'_, HashMap<(SubscriptionKind, String), Flow>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, message: &Message<'_>) -> Admission {
        let mut flows = self.flows();
        // A message of a subscription that just ended is nobody's.
        let Some(flow) = flows.get_mut(&(message.kind, message.subscription.to_owned())) else {
            return Admission::Drop;
        };
        // One message larger than the byte bound must still pass when nothing waits.
        let full = flow.messages >= self.max_messages
            || (flow.messages > 0 && flow.bytes + message.payload.len() > self.max_bytes);
        if !full {
            flow.messages += 1;
            flow.bytes += message.payload.len();
            return Admission::Deliver(flow.subscription);
        }
        if flow.overflowing {
            flow.dropped += 1;
            return Admission::Drop;
        }
        flow.overflowing = true;
        Admission::ReportDrop(flow.subscription)
    }
}

impl MessageSink for Inbox {
    fn message(&self, message: &Message<'_>) {
        match self.admit(message) {
            Admission::Deliver(subscription) => self.listener.message(Delivery {
                subscription,
                channel: self.prefix.strip(SubscriptionKind::Channel, message.channel),
                payload: message.payload,
            }),
            Admission::ReportDrop(subscription) => self.listener.gap(Gap::Overflow { subscription, dropped: 1 }),
            Admission::Drop => {}
        }
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        let lost = {
            let mut flows = self.flows();
            lost.iter()
                .filter_map(|(kind, name, error)| {
                    let flow = flows.remove(&(*kind, name.clone()))?;
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

    fn subscriber(max_messages: usize, max_bytes: usize) -> (Subscriber, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let inbox = Arc::new(Inbox {
            prefix: ChannelPrefix::new("shop"),
            max_messages,
            max_bytes,
            flows: Mutex::default(),
            listener: Arc::<Heard>::clone(&heard),
        });
        let sink: Arc<dyn MessageSink> = Arc::<Inbox>::clone(&inbox);
        (Subscriber { link: Arc::new(NoServer), inbox, sink }, heard)
    }

    fn send(subscriber: &Subscriber, channel: &str, bytes: usize) {
        let payload = vec![b'x'; bytes];
        subscriber.sink.message(&Message {
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
        subscriber.subscribe(SubscriptionKind::Channel, "orders", 7).await.unwrap();
        subscriber.subscribe(SubscriptionKind::Channel, "users", 8).await.unwrap();
        for _ in 0..5 {
            send(&subscriber, "shop:orders", 1);
        }
        send(&subscriber, "shop:users", 1);
        assert_eq!(heard(&listener), ["7 orders 1", "7 orders 1", "overflow 7 1", "8 users 1"]);
        subscriber.acknowledge(7, 2, 2);
        send(&subscriber, "shop:orders", 1);
        assert_eq!(heard(&listener), ["overflow 7 2", "7 orders 1"]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_large_message_passes() {
        let (subscriber, listener) = subscriber(100, 10);
        subscriber.subscribe(SubscriptionKind::Channel, "orders", 1).await.unwrap();
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
        subscriber.subscribe(SubscriptionKind::Channel, "orders", 1).await.unwrap();
        let error = Error::from_reply("NOPERM no");
        subscriber.sink.restored(&[(SubscriptionKind::Channel, "shop:orders".to_owned(), error)]);
        assert_eq!(heard(&listener), ["reconnected, lost 1"]);
        subscriber.subscribe(SubscriptionKind::Channel, "orders", 2).await.unwrap();
    }

    #[tokio::test]
    async fn a_refused_subscription_leaves_nothing_behind() {
        let (subscriber, listener) = subscriber(2, 10);
        let error = subscriber.subscribe(SubscriptionKind::Channel, "refused", 1).await.unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::AuthenticationFailed);
        send(&subscriber, "shop:refused", 1);
        assert!(heard(&listener).is_empty());
    }

    #[tokio::test]
    async fn an_empty_name_is_refused() {
        let (subscriber, _) = subscriber(2, 10);
        let error = subscriber.subscribe(SubscriptionKind::Pattern, "", 1).await.unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::InvalidArgument);
    }
}
