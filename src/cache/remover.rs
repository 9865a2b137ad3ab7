//! Taking entries out of Redis. Every way moves the counters before it asks, and once more when Redis answered.

use std::sync::Arc;

use super::{
    epochs::{Epochs, Shard, epochs},
    gates,
    keys::Keys,
    scanning, scripts,
};
use crate::{
    connection::{Command, Link},
    error::Result,
};

/// Takes entries out of one cache on one server.
#[derive(Clone)]
pub(super) struct Remover {
    link: Arc<dyn Link>,
    keys: Keys,
}

impl Remover {
    pub(super) fn new(link: Arc<dyn Link>, keys: Keys) -> Self {
        Self { link, keys }
    }

    pub(super) fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Removes entries; how many there were.
    pub(super) fn unlink(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let shards: Vec<_> = keys.iter().map(|key| Epochs::shard(self.keys.prefix(), key)).collect();
        let unlink = |name: fn(&Keys, &str) -> String| {
            keys.iter().fold(Command::new("UNLINK"), |command, key| command.key(name(&self.keys, key)))
        };
        // The leases first: between the two, nothing that was asked for before can be stored.
        let commands = [unlink(Keys::lease).repeatable(), unlink(Keys::entry)];
        let replies = gates::pass(shards.iter().copied(), || {
            bump_all(&shards);
            self.link.call_many(&commands)
        });
        async move {
            let replies = replies.await;
            bump_all(&shards);
            let mut removed = 0;
            for reply in replies {
                removed = reply?.into_int()?;
            }
            Ok(u64::try_from(removed).unwrap_or(0))
        }
    }

    /// Gives tags new versions; about how many keys were written under them since the last time.
    pub(super) fn invalidate_tags(&self, tags: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let shard = |tag: &String| Epochs::shard(self.keys.prefix(), &Keys::tag_name(tag));
        let shards: Vec<_> = tags.iter().map(shard).collect();
        bump_all(&shards);
        let reply = scripts::invalidate_tags(&self.link, &self.keys, tags);
        async move {
            let reply = reply.await;
            bump_all(&shards);
            reply
        }
    }

    /// Removes the entries that match a glob of stored keys, and with `records` all else there, but what is kept; how many
    /// entries there were.
    pub(super) fn sweep(&self, glob: String, records: bool) -> impl Future<Output = Result<u64>> + Send + use<> {
        let sweep = Epochs::sweep(self.keys.prefix());
        // Alone: a fill that is on its way to Redis is found by the sweep, and one that is not sees the counter.
        gates::pass_alone(|| epochs().bump(sweep));
        let raised = scripts::raise_sweep(&self.link, &self.keys);
        let Self { link, keys } = self.clone();
        async move {
            let removed = match raised.await {
                Ok(()) => {
                    let goes_too = |key: &[u8]| records && !keys.is_kept(key);
                    scanning::sweep(&link, &glob, goes_too, |key| keys.is_entry(key)).await
                }
                Err(error) => Err(error),
            };
            epochs().bump(sweep);
            removed
        }
    }
}

fn bump_all(shards: &[Shard]) {
    for &shard in shards {
        epochs().bump(shard);
    }
}
