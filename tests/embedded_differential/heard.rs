//! The events of keys that an engine tells.

use std::sync::{Arc, Mutex};

use oxcart::{
    Error,
    connection::{Command, Link, Message, MessageSink, SubscriptionKind},
};
use tokio::sync::Notify;

const END: &str = "__key-end";

/// What was told, in order.
#[derive(Default)]
pub(crate) struct Heard {
    events: Mutex<Vec<String>>,
    ended: Notify,
}

impl MessageSink for Heard {
    fn message(&self, message: &Message<'_>) {
        if message.channel == END {
            self.ended.notify_one();
        } else {
            let payload = String::from_utf8_lossy(message.payload).into_owned();
            self.events.lock().unwrap().push(format!("{} {payload}", message.channel));
        }
    }

    fn restored(&self, _: &[(SubscriptionKind, String, Error)]) {}
}

impl Heard {
    /// Listens to every event of an engine.
    pub(crate) async fn of(link: &Arc<dyn Link>) -> Arc<Self> {
        let heard = Arc::<Self>::default();
        let sink = Arc::clone(&heard) as Arc<dyn MessageSink>;
        link.subscriptions().subscribe(SubscriptionKind::Pattern, "__key*", sink).await.unwrap();
        // Without `d`, so that a server whose setting is refused afterwards does not forget `n`, which it does beside all others.
        let setting = ["SET", "notify-keyspace-events", "KEg$lshzxetn"];
        link.call(Command::new("CONFIG").args(setting)).await.unwrap();
        heard
    }

    /// What was told since the last time.
    pub(crate) async fn take(&self, link: &Arc<dyn Link>) -> Vec<String> {
        link.call(Command::new("PUBLISH").arg(END).arg("")).await.unwrap();
        self.ended.notified().await;
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}
