//! Telling other processes what was changed, where the server does not tell them.
//!
//! Whoever changes something publishes its name, once Redis has answered, on one channel for each prefix. Publishing may
//! fail, and nobody is told of a message that did not arrive. So each sender counts its messages: who hears number 9 after
//! number 7 knows that something was missed. That the *last* message was missed shows no later one, so a sender that was
//! active repeats its number after a second, and goes on until that got through.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    codec::resp::Value,
    connection::{Command, Link},
    error::Result,
    service,
};

/// Longest time that a write waits until its message has passed the server.
const DEADLINE: Duration = Duration::from_secs(1);
/// After a message its number is repeated. Each attempt that fails doubles the time to the next one.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Entries and records of tags' versions, by their names without the prefix.
    Changed(Vec<String>),
    /// Whatever a pattern matched.
    Swept,
}

/// A message on the channel, as JSON.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// Who sends.
    pub from: String,
    /// How many messages it has sent, with this one, unless this one only repeats the number.
    pub number: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swept: bool,
}

/// The sender of one prefix on one link: shared by all caches of the process that have both.
pub(super) struct Bus {
    link: Arc<dyn Link>,
    channel: String,
    name: String,
    sending: Mutex<Sending>,
    /// Itself, for what happens later.
    me: Weak<Self>,
}

#[derive(Default)]
struct Sending {
    number: u64,
    /// The number will be repeated.
    repeats: bool,
}

impl Bus {
    pub(super) fn shared(link: &Arc<dyn Link>, prefix: &str) -> Arc<Self> {
        type Buses = HashMap<(usize, Box<str>), Weak<Bus>>;
        static ALL: OnceLock<Mutex<Buses>> = OnceLock::new();
        let mut all = ALL.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        // The bus keeps the link alive, so no other link has its address.
        let identity = (Arc::as_ptr(link).cast::<()>() as usize, Box::from(prefix));
        if let Some(known) = all.get(&identity).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, bus| bus.strong_count() > 0);
        let new = Arc::new_cyclic(|me| Self {
            link: Arc::clone(link),
            channel: [prefix, "#bus"].concat(),
            name: Uuid::new_v4().simple().to_string(),
            sending: Mutex::default(),
            me: Weak::clone(me),
        });
        all.insert(identity, Arc::downgrade(&new));
        new
    }

    pub(super) fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// What this process calls itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Publishes at once; the future waits until the server has passed it on, or can not be waited for any longer.
    pub(super) fn tell(&self, news: News) -> impl Future<Output = ()> + Send + use<> {
        let (changed, swept) = match news {
            News::Changed(names) => (names, false),
            News::Swept => (Vec::new(), true),
        };
        let published = {
            let mut sending = self.sending();
            sending.number += 1;
            if !std::mem::replace(&mut sending.repeats, true) {
                service::spawn(repeat(Weak::clone(&self.me)));
            }
            self.publish(&Message { from: self.name.clone(), number: sending.number, changed, swept })
        };
        async move { drop(published.await) }
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call with `sending` held, so that numbers leave in their order.
    fn publish(&self, message: &Message) -> impl Future<Output = Result<Value>> + Send + use<> {
        let text = serde_json::to_vec(message).expect("strings and a number can be written as JSON to memory");
        // What arrives twice is no gap.
        self.link.call(Command::new("PUBLISH").arg(&self.channel).arg(text).repeatable().deadline(DEADLINE))
    }
}

/// Repeats the number of a sender until it has got through and no other has followed.
async fn repeat(bus: Weak<Bus>) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let (published, number) = {
            let Some(bus) = bus.upgrade() else { return };
            let sending = bus.sending();
            let number = sending.number;
            let message = Message { from: bus.name.clone(), number, changed: Vec::new(), swept: false };
            (bus.publish(&message), number)
        };
        let passed = published.await.is_ok();
        pause = if passed { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        let Some(bus) = bus.upgrade() else { return };
        let mut sending = bus.sending();
        if passed && sending.number == number {
            sending.repeats = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_no_more_than_it_must() {
        let mut message = Message { from: "a".into(), number: 7, changed: vec!["user:1".into()], swept: false };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(text, r#"{"from":"a","number":7,"changed":["user:1"]}"#);
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
        message.changed.clear();
        assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"from":"a","number":7}"#);
        message.swept = true;
        assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"from":"a","number":7,"swept":true}"#);
    }
}
