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

/// What goes of that which a glob matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Swept {
    Entries,
    /// And the cache's own records, but those that are kept.
    Everything,
    /// Entries whose names have this among the parts that colons make of what follows `start`.
    Having {
        start: String,
        part: String,
    },
}

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

    /// Removes entries that match a glob of stored keys; how many there were.
    pub(super) fn sweep(&self, glob: String, of: Swept) -> impl Future<Output = Result<u64>> + Send + use<> {
        let sweep = Epochs::sweep(self.keys.prefix());
        // Alone: a fill that is on its way to Redis is found by the sweep, and one that is not sees the counter.
        gates::pass_alone(|| epochs().bump(sweep));
        let raised = scripts::raise_sweep(&self.link, &self.keys);
        let Self { link, keys } = self.clone();
        async move {
            let removed = match raised.await {
                Ok(()) => {
                    let goes_too = |key: &[u8]| of == Swept::Everything && !keys.is_kept(key);
                    let is_meant = |key: &[u8]| match &of {
                        Swept::Entries | Swept::Everything => true,
                        Swept::Having { start, part } => keys.name(key).is_some_and(|name| has_part(name, start, part)),
                    };
                    scanning::sweep(&link, &glob, goes_too, |key| keys.is_entry(key) && is_meant(key)).await
                }
                Err(error) => Err(error),
            };
            epochs().bump(sweep);
            removed
        }
    }
}

/// Whether a key begins with `start`, and has `part` between colons, or a colon and an end, in what follows; that is not
/// `part` alone.
pub(super) fn has_part(key: &str, start: &str, part: &str) -> bool {
    key.strip_prefix(start).is_some_and(|rest| rest != part && format!(":{rest}:").contains(&format!(":{part}:")))
}

fn bump_all(shards: &[Shard]) {
    for &shard in shards {
        epochs().bump(shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_stands_between_colons() {
        for key in ["av:7:thumb", "av:data:7", "av:list:7:page", "av:17:7", "av:7:7"] {
            assert!(has_part(key, "av:", "7"), "{key}");
        }
        for key in ["av:7", "av:17", "av:data:70", "av:list:71:7x", "u:data:7", "av:"] {
            assert!(!has_part(key, "av:", "7"), "{key}");
        }
        assert!(has_part("av:a:b:c", "av:", "b:c") && !has_part("av:ab:c", "av:", "b:c"));
        assert!(has_part("av:ba:a:a", "av:", "a:a"));
    }
}
