//! Hearing on the [`bus`](super::bus) what other processes changed.
//!
//! A connection that broke, a subscription that was lost, a number that is left out, a message that cannot be read: after
//! any of them something may have been missed, and all copies end. So they do when a sender is heard of for the first time
//! that has told something before.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{
    bus::{self, Bus},
    copies::Copies,
};
use crate::{
    connection::{Message, MessageSink, SubscriptionKind, Subscriptions},
    error::Error,
    service::{self, Duty},
};

/// Senders that are remembered. With more they are all forgotten, which costs the copies, not the truth.
const MAX_SENDERS: usize = 4_096;
/// Between attempts to subscribe; each that fails doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Listens for as long as it lives.
pub(super) struct BusListener {
    ear: Arc<Ear>,
    sink: Arc<dyn MessageSink>,
    subscriptions: Arc<dyn Subscriptions>,
    channel: String,
    duty: Duty,
}

struct Ear {
    copies: Arc<Copies>,
    /// Our own messages come back, and tell us nothing.
    own: String,
    channel: String,
    subscribed: AtomicBool,
    lost: Notify,
    /// The last number of each sender.
    senders: Mutex<HashMap<String, u64>>,
}

impl BusListener {
    /// Begins; never waits.
    pub(super) fn start(bus: &Bus, copies: Arc<Copies>) -> Self {
        let channel = bus.channel().to_owned();
        let ear = Arc::new(Ear {
            copies,
            own: bus.name().to_owned(),
            channel: channel.clone(),
            subscribed: AtomicBool::new(false),
            lost: Notify::new(),
            senders: Mutex::default(),
        });
        let sink: Arc<dyn MessageSink> = Arc::<Ear>::clone(&ear);
        let subscriptions = bus.link().subscriptions();
        let duty = Duty::start(keep_subscribed(Arc::clone(&ear), Arc::clone(&subscriptions)));
        Self { ear, sink, subscriptions, channel, duty }
    }

    /// Whether messages arrive.
    pub(super) fn is_subscribed(&self) -> bool {
        self.ear.subscribed.load(Ordering::Relaxed)
    }
}

impl Drop for BusListener {
    fn drop(&mut self) {
        self.duty.stop();
        let (subscriptions, sink) = (Arc::clone(&self.subscriptions), Arc::clone(&self.sink));
        let channel = std::mem::take(&mut self.channel);
        service::spawn(async move {
            // Nobody is left who could be told.
            let _ = subscriptions.unsubscribe(SubscriptionKind::Channel, &channel, &sink).await;
        });
    }
}

async fn keep_subscribed(ear: Arc<Ear>, subscriptions: Arc<dyn Subscriptions>) {
    let sink: Arc<dyn MessageSink> = Arc::<Ear>::clone(&ear);
    let mut pause = PAUSE;
    loop {
        match subscriptions.subscribe(SubscriptionKind::Channel, &ear.channel, Arc::clone(&sink)).await {
            Ok(()) => {
                pause = PAUSE;
                ear.subscribed.store(true, Ordering::Relaxed);
                ear.copies.gap();
                ear.lost.notified().await;
            }
            Err(error) => {
                tracing::debug!(
                    code = error.code().as_str(),
                    "other processes' changes end no copies here before their ttl"
                );
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Ear {
    /// Notes a number; whether none was left out.
    fn follows(&self, from: &str, number: u64, tells: bool) -> bool {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = number - u64::from(tells && number > 0);
        if let Some(last) = senders.get_mut(from) {
            let follows = *last >= expected;
            *last = number.max(*last);
            return follows;
        }
        if senders.len() >= MAX_SENDERS {
            senders.clear();
        }
        senders.insert(from.to_owned(), number);
        expected == 0
    }
}

impl MessageSink for Ear {
    fn message(&self, message: &Message<'_>) {
        let Ok(message) = serde_json::from_slice::<bus::Message>(message.payload) else {
            self.copies.gap();
            return;
        };
        if message.from == self.own {
            return;
        }
        let tells = message.swept || !message.changed.is_empty();
        if !self.follows(&message.from, message.number, tells) {
            self.copies.gap();
        }
        self.copies.changed(message.changed.iter().map(String::as_str));
        if message.swept {
            self.copies.swept();
        }
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        self.copies.gap();
        if lost.iter().any(|(kind, name, _)| *kind == SubscriptionKind::Channel && *name == self.channel) {
            self.subscribed.store(false, Ordering::Relaxed);
            self.lost.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear(prefix: &str) -> Ear {
        Ear {
            copies: Arc::new(Copies::of(prefix)),
            own: "me".to_owned(),
            channel: "c".to_owned(),
            subscribed: AtomicBool::new(true),
            lost: Notify::new(),
            senders: Mutex::default(),
        }
    }

    /// How many gaps a message makes.
    fn gaps(ear: &Ear, payload: &str) -> u32 {
        let before = ear.copies.gaps();
        let message =
            Message { kind: SubscriptionKind::Channel, subscription: "c", channel: "c", payload: payload.as_bytes() };
        ear.message(&message);
        ear.copies.gaps() - before
    }

    #[test]
    fn a_number_that_is_left_out_is_a_gap_and_one_that_is_repeated_is_none() {
        let ear = ear("left-out:");
        let tell = |number: u64| gaps(&ear, &format!(r#"{{"from":"a","number":{number},"changed":["k"]}}"#));
        let repeat = |number: u64| gaps(&ear, &format!(r#"{{"from":"a","number":{number}}}"#));
        assert_eq!((tell(1), tell(2), tell(2), repeat(2)), (0, 0, 0, 0));
        assert_eq!((tell(4), tell(3), tell(5)), (1, 0, 0));
        assert_eq!((repeat(5), repeat(6), repeat(6), tell(7)), (0, 1, 0, 0));
    }

    #[test]
    fn a_sender_that_told_something_before_is_a_gap_and_so_is_what_nobody_can_read() {
        let ear = ear("unknown:");
        assert_eq!(gaps(&ear, r#"{"from":"new","number":1,"swept":true}"#), 0);
        assert_eq!(gaps(&ear, r#"{"from":"old","number":2,"changed":["k"]}"#), 1);
        assert_eq!(gaps(&ear, r#"{"from":"silent","number":1}"#), 1);
        assert_eq!(gaps(&ear, r#"{"from":"me","number":9}"#), 0);
        assert_eq!(gaps(&ear, "what is this"), 1);
    }

    #[test]
    fn senders_are_bounded() {
        let ear = ear("many:");
        for n in 0..MAX_SENDERS + 5 {
            assert_eq!(gaps(&ear, &format!(r#"{{"from":"{n}","number":1,"changed":["k"]}}"#)), 0);
        }
        assert!(ear.senders.lock().unwrap().len() < 10);
    }
}
