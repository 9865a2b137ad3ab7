//! Which subscriptions are wanted, by whom, and what the server knows of them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::link::{MessageSink, SubscriptionKind};
use crate::error::{Error, Result};

/// Kind and name of a subscription.
pub(super) type Name = (SubscriptionKind, Box<str>);

/// Sinks of one subscription, shared with a delivery that is under way.
pub(super) type Sinks = Arc<[Arc<dyn MessageSink>]>;

/// What the server was last told, or is to be told, of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    Nothing,
    /// A request is under way.
    Asked,
    Subscribed,
}

/// A caller of `subscribe`, with the sink that it brought.
type Waiting = (Arc<dyn MessageSink>, oneshot::Sender<Result<()>>);

/// A subscription that the server did not restore.
pub(super) type Lost = (SubscriptionKind, String, Error);

struct Subscription {
    sinks: Sinks,
    /// Those who wait for the server's word.
    waiting: Vec<Waiting>,
    knows: Knows,
    /// It was active before the connection broke.
    to_restore: bool,
}

/// All subscriptions of one link.
#[derive(Default)]
pub(super) struct SubscriptionsTable {
    channels: HashMap<Box<str>, Subscription>,
    patterns: HashMap<Box<str>, Subscription>,
    shards: HashMap<Box<str>, Subscription>,
    /// How many are to be restored yet: asked after each read of the socket, so they are not searched for.
    restoring: usize,
    /// Names whose wish and knowledge may differ.
    changed: HashSet<Name>,
    /// Those who are told once a new connection has restored what it could.
    losses: Vec<(SubscriptionKind, String, Error, Sinks)>,
}

/// What `subscribe` has to wait for.
pub(super) enum Joined {
    Active,
    Waits(oneshot::Receiver<Result<()>>),
}

fn same(one: &Arc<dyn MessageSink>, other: &Arc<dyn MessageSink>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl SubscriptionsTable {
    fn of(&mut self, kind: SubscriptionKind) -> &mut HashMap<Box<str>, Subscription> {
        match kind {
            SubscriptionKind::Channel => &mut self.channels,
            SubscriptionKind::Pattern => &mut self.patterns,
            SubscriptionKind::Shard => &mut self.shards,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Subscription> {
        self.channels.values().chain(self.patterns.values()).chain(self.shards.values())
    }

    /// Adds a sink.
    pub(super) fn join(&mut self, kind: SubscriptionKind, name: &str, sink: Arc<dyn MessageSink>) -> Joined {
        let subscription = self.of(kind).entry(name.into()).or_insert_with(|| Subscription {
            sinks: Arc::new([]),
            waiting: Vec::new(),
            knows: Knows::Nothing,
            to_restore: false,
        });
        if !subscription.sinks.iter().any(|other| same(other, &sink)) {
            subscription.sinks = subscription.sinks.iter().chain([&sink]).map(Arc::clone).collect();
        }
        if subscription.knows == Knows::Subscribed {
            return Joined::Active;
        }
        let (sender, receiver) = oneshot::channel();
        subscription.waiting.push((sink, sender));
        self.changed.insert((kind, name.into()));
        Joined::Waits(receiver)
    }

    /// Takes a sink off.
    pub(super) fn leave(&mut self, kind: SubscriptionKind, name: &str, sink: &Arc<dyn MessageSink>) {
        if let Some(subscription) = self.of(kind).get_mut(name) {
            subscription.sinks = subscription.sinks.iter().filter(|other| !same(other, sink)).map(Arc::clone).collect();
            subscription.waiting.retain(|(other, _)| !same(other, sink));
            if subscription.sinks.is_empty() && subscription.knows == Knows::Nothing {
                // Nobody wants it and nobody knows of it, so that nothing piles up while there is no connection.
                self.restoring -= usize::from(subscription.to_restore);
                self.of(kind).remove(name);
                self.changed.remove(&(kind, name.into()));
            } else {
                self.changed.insert((kind, name.into()));
            }
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty() || !self.shards.is_empty()
    }

    /// Takes the names of which the server has to be told, with whether they are wanted.
    pub(super) fn take_requests(&mut self) -> Vec<(Name, bool)> {
        let mut requests = Vec::new();
        let mut given_up = 0;
        for (kind, name) in std::mem::take(&mut self.changed) {
            let of_kind = self.of(kind);
            let Some(subscription) = of_kind.get_mut(&name) else { continue };
            let wanted = !subscription.sinks.is_empty();
            match (wanted, subscription.knows) {
                (true, Knows::Nothing) | (false, Knows::Subscribed) => {
                    subscription.knows = Knows::Asked;
                    requests.push(((kind, name), wanted));
                }
                (false, Knows::Nothing) => {
                    given_up += usize::from(subscription.to_restore);
                    of_kind.remove(&name);
                }
                // The answer that is under way brings it up again.
                (_, Knows::Asked) | (true, Knows::Subscribed) => {}
            }
        }
        self.restoring -= given_up;
        requests
    }

    /// The server's answer to a request.
    pub(super) fn answered(&mut self, (kind, name): Name, wanted: bool, answer: Result<()>) {
        let Some(subscription) = self.of(kind).get_mut(&name) else { return };
        let restored = std::mem::take(&mut subscription.to_restore);
        let mut loss = None;
        match answer {
            Ok(()) if wanted => {
                subscription.knows = Knows::Subscribed;
                for (_, caller) in subscription.waiting.drain(..) {
                    // A caller that went away keeps its sink until it is taken off.
                    let _ = caller.send(Ok(()));
                }
            }
            Err(error) if wanted => {
                for (_, caller) in subscription.waiting.drain(..) {
                    let _ = caller.send(Err(error.clone()));
                }
                let sinks = std::mem::replace(&mut subscription.sinks, Arc::new([]));
                subscription.knows = Knows::Nothing;
                if restored {
                    loss = Some((kind, name.to_string(), error, sinks));
                }
            }
            // A server that does not let go of a name forgets it with the connection.
            Ok(()) | Err(_) => subscription.knows = Knows::Nothing,
        }
        self.losses.extend(loss);
        self.restoring -= usize::from(restored);
        self.changed.insert((kind, name));
    }

    /// The server dropped a subscription of its own accord.
    pub(super) fn dropped_by_server(&mut self, kind: SubscriptionKind, name: &str) {
        if let Some(subscription) = self.of(kind).get_mut(name).filter(|found| found.knows == Knows::Subscribed) {
            subscription.knows = Knows::Nothing;
            let news = !std::mem::replace(&mut subscription.to_restore, true);
            self.restoring += usize::from(news);
            self.changed.insert((kind, name.into()));
        }
    }

    /// The connection broke: the server knows nothing any more. True when something was active.
    pub(super) fn forget_connection(&mut self) -> bool {
        self.restoring = 0;
        self.changed.clear();
        for (kind, of_kind) in [
            (SubscriptionKind::Channel, &mut self.channels),
            (SubscriptionKind::Pattern, &mut self.patterns),
            (SubscriptionKind::Shard, &mut self.shards),
        ] {
            of_kind.retain(|_, subscription| !subscription.sinks.is_empty());
            for (name, subscription) in of_kind {
                subscription.to_restore |= subscription.knows == Knows::Subscribed;
                self.restoring += usize::from(subscription.to_restore);
                subscription.knows = Knows::Nothing;
                self.changed.insert((kind, name.clone()));
            }
        }
        self.is_restoring()
    }

    /// Whether the restoration is still under way.
    pub(super) fn is_restoring(&self) -> bool {
        self.restoring > 0
    }

    /// The sinks of a name.
    pub(super) fn sinks(&self, kind: SubscriptionKind, name: &str) -> Option<Sinks> {
        let of_kind = match kind {
            SubscriptionKind::Channel => &self.channels,
            SubscriptionKind::Pattern => &self.patterns,
            SubscriptionKind::Shard => &self.shards,
        };
        of_kind.get(name).map(|subscription| Arc::clone(&subscription.sinks))
    }

    /// Every sink, once, with what it lost since the last call.
    pub(super) fn take_restored(&mut self) -> Vec<(Arc<dyn MessageSink>, Vec<Lost>)> {
        let mut told: Vec<(Arc<dyn MessageSink>, Vec<_>)> = Vec::new();
        for sink in self
            .all()
            .flat_map(|found| found.sinks.iter())
            .chain(self.losses.iter().flat_map(|(.., sinks)| sinks.iter()))
        {
            if !told.iter().any(|(other, _)| same(other, sink)) {
                told.push((Arc::clone(sink), Vec::new()));
            }
        }
        for (kind, name, error, sinks) in self.losses.drain(..) {
            for (sink, lost) in &mut told {
                if sinks.iter().any(|other| same(other, sink)) {
                    lost.push((kind, name.clone(), error.clone()));
                }
            }
        }
        told
    }

    /// Tells every caller that waits.
    pub(super) fn fail_waiting(&mut self, error: &Error) {
        let all = self.channels.values_mut().chain(self.patterns.values_mut()).chain(self.shards.values_mut());
        for subscription in all {
            for (_, caller) in subscription.waiting.drain(..) {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Message;

    struct Nowhere;

    impl MessageSink for Nowhere {
        fn message(&self, _message: &Message<'_>) {}

        fn restored(&self, _lost: &[Lost]) {}
    }

    #[test]
    fn nothing_piles_up_while_there_is_no_connection() {
        let mut table = SubscriptionsTable::default();
        let sink: Arc<dyn MessageSink> = Arc::new(Nowhere);
        for number in 0..1000 {
            let name = format!("c{number}");
            table.join(SubscriptionKind::Channel, &name, Arc::clone(&sink));
            table.join(SubscriptionKind::Channel, "kept", Arc::clone(&sink));
            table.leave(SubscriptionKind::Channel, &name, &sink);
        }
        assert_eq!((table.channels.len(), table.changed.len()), (1, 1));
        let requests = table.take_requests();
        assert_eq!(requests, [((SubscriptionKind::Channel, "kept".into()), true)]);
    }

    #[test]
    fn a_wish_that_changes_while_the_server_answers_is_told_next() {
        let mut table = SubscriptionsTable::default();
        let sink: Arc<dyn MessageSink> = Arc::new(Nowhere);
        let name: Name = (SubscriptionKind::Channel, "c".into());
        table.join(name.0, "c", Arc::clone(&sink));
        assert_eq!(table.take_requests(), [(name.clone(), true)]);
        table.leave(name.0, "c", &sink);
        assert_eq!(table.take_requests(), []);
        table.answered(name.clone(), true, Ok(()));
        assert_eq!(table.take_requests(), [(name.clone(), false)]);
        table.join(name.0, "c", Arc::clone(&sink));
        assert_eq!(table.take_requests(), []);
        table.answered(name.clone(), false, Ok(()));
        assert_eq!(table.take_requests(), [(name, true)]);
    }

    #[test]
    fn what_is_given_up_while_it_is_restored_is_waited_for_no_more() {
        let mut table = SubscriptionsTable::default();
        let sink: Arc<dyn MessageSink> = Arc::new(Nowhere);
        for kind in [SubscriptionKind::Channel, SubscriptionKind::Pattern, SubscriptionKind::Shard] {
            for name in ["a", "b", "c"] {
                table.join(kind, name, Arc::clone(&sink));
            }
        }
        for (name, wanted) in table.take_requests() {
            table.answered(name, wanted, Ok(()));
        }
        assert!(table.forget_connection());
        table.leave(SubscriptionKind::Shard, "a", &sink);
        for (name, wanted) in table.take_requests() {
            table.leave(name.0, &name.1, &sink);
            assert!(table.is_restoring());
            table.answered(name, wanted, Ok(()));
        }
        assert!(!table.is_restoring());
    }

    #[test]
    fn a_subscription_that_the_server_drops_is_asked_for_again() {
        let mut table = SubscriptionsTable::default();
        let name: Name = (SubscriptionKind::Pattern, "c*".into());
        table.join(name.0, "c*", Arc::new(Nowhere));
        table.take_requests();
        table.answered(name.clone(), true, Ok(()));
        assert_eq!(table.take_requests(), []);
        table.dropped_by_server(name.0, "c*");
        assert!(table.is_restoring());
        assert_eq!(table.take_requests(), [(name.clone(), true)]);
        table.answered(name, true, Ok(()));
        assert!(!table.is_restoring());
        assert_eq!(table.take_restored().len(), 1);
    }
}
