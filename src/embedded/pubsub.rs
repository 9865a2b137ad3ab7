//! Who subscribes to what.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hashbrown::DefaultHashBuilder;

use super::{data::Blob, glob::glob_matches, session::PushSink};

/// Sessions by number, so that they are told in the order in which they came.
type Sinks = BTreeMap<u64, Arc<dyn PushSink>>;

/// Subscriptions of all sessions.
#[derive(Default)]
pub(super) struct Board {
    pub channels: HashMap<Blob, Sinks, DefaultHashBuilder>,
    pub patterns: HashMap<Blob, Sinks, DefaultHashBuilder>,
}

/// A message on its way to one session.
pub(super) struct Delivery {
    pub sink: Arc<dyn PushSink>,
    pub pattern: Option<Blob>,
    pub channel: Arc<[u8]>,
    pub payload: Arc<[u8]>,
}

impl Board {
    fn table(&mut self, pattern: bool) -> &mut HashMap<Blob, Sinks, DefaultHashBuilder> {
        if pattern { &mut self.patterns } else { &mut self.channels }
    }

    pub(super) fn add(&mut self, pattern: bool, name: &[u8], session: u64, sink: Arc<dyn PushSink>) {
        self.table(pattern).entry(name.into()).or_default().insert(session, sink);
    }

    pub(super) fn remove(&mut self, pattern: bool, name: &[u8], session: u64) {
        let table = self.table(pattern);
        if let Some(sinks) = table.get_mut(name) {
            sinks.remove(&session);
            if sinks.is_empty() {
                table.remove(name);
            }
        }
    }

    /// What a message becomes, one delivery for each subscription it meets.
    pub(super) fn publish(&self, channel: &[u8], payload: &[u8]) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let (mut shared, mut add): (Option<(Arc<[u8]>, Arc<[u8]>)>, _) = (None, Vec::new());
        if let Some(sinks) = self.channels.get(channel) {
            add.extend(sinks.values().map(|sink| (None, sink)));
        }
        for (pattern, sinks) in &self.patterns {
            if glob_matches(pattern, channel, false) {
                add.extend(sinks.values().map(|sink| (Some(pattern), sink)));
            }
        }
        for (pattern, sink) in add {
            let (channel, payload) = shared.get_or_insert_with(|| (channel.into(), payload.into()));
            deliveries.push(Delivery {
                sink: Arc::clone(sink),
                pattern: pattern.cloned(),
                channel: Arc::clone(channel),
                payload: Arc::clone(payload),
            });
        }
        deliveries
    }
}
