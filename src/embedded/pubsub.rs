//! Who subscribes to what.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hashbrown::DefaultHashBuilder;

use super::{data::Blob, glob::glob_matches, session::PushSink};

/// Sessions by number, so that they are told in the order in which they came.
pub(super) type Sinks = BTreeMap<u64, Arc<dyn PushSink>>;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Channel,
    Pattern,
    /// A sharded channel. There is one shard, so it is a second space of names.
    Shard,
}

/// Subscriptions of one kind, by name.
pub(super) type Names = HashMap<Blob, Sinks, DefaultHashBuilder>;

/// Subscriptions of all sessions.
#[derive(Default)]
pub(super) struct Board {
    pub channels: Names,
    pub patterns: Names,
    pub shards: Names,
}

/// A message on its way to one session.
pub(super) struct Delivery {
    pub sink: Arc<dyn PushSink>,
    pub named: Named,
    pub pattern: Option<Blob>,
    pub channel: Arc<[u8]>,
    pub payload: Arc<[u8]>,
}

impl Board {
    fn table(&mut self, named: Named) -> &mut Names {
        match named {
            Named::Channel => &mut self.channels,
            Named::Pattern => &mut self.patterns,
            Named::Shard => &mut self.shards,
        }
    }

    pub(super) fn add(&mut self, named: Named, name: &[u8], session: u64, sink: Arc<dyn PushSink>) {
        self.table(named).entry(name.into()).or_default().insert(session, sink);
    }

    pub(super) fn remove(&mut self, named: Named, name: &[u8], session: u64) {
        let table = self.table(named);
        if let Some(sinks) = table.get_mut(name) {
            sinks.remove(&session);
            if sinks.is_empty() {
                table.remove(name);
            }
        }
    }

    /// What a message becomes, one delivery for each subscription it meets.
    pub(super) fn publish(&self, channel: &[u8], payload: &[u8]) -> Vec<Delivery> {
        let by_channel =
            self.channels.get(channel).into_iter().flat_map(|sinks| sinks.values().map(|sink| (None, sink)));
        let patterns = self.patterns.iter().filter(|(pattern, _)| glob_matches(pattern, channel, false));
        let by_pattern = patterns.flat_map(|(pattern, sinks)| sinks.values().map(move |sink| (Some(pattern), sink)));
        let met: Vec<_> = by_channel.chain(by_pattern).collect();
        if met.is_empty() {
            return Vec::new();
        }
        let (channel, payload): (Arc<[u8]>, Arc<[u8]>) = (channel.into(), payload.into());
        met.into_iter()
            .map(|(pattern, sink)| Delivery {
                sink: Arc::clone(sink),
                named: if pattern.is_some() { Named::Pattern } else { Named::Channel },
                pattern: pattern.cloned(),
                channel: Arc::clone(&channel),
                payload: Arc::clone(&payload),
            })
            .collect()
    }

    /// The same for a sharded channel.
    pub(super) fn publish_sharded(&self, channel: &[u8], payload: &[u8]) -> Vec<Delivery> {
        let Some(sinks) = self.shards.get(channel) else { return Vec::new() };
        let (channel, payload): (Arc<[u8]>, Arc<[u8]>) = (channel.into(), payload.into());
        let delivery = |sink: &Arc<dyn PushSink>| Delivery {
            sink: Arc::clone(sink),
            named: Named::Shard,
            pattern: None,
            channel: Arc::clone(&channel),
            payload: Arc::clone(&payload),
        };
        sinks.values().map(delivery).collect()
    }
}
