//! Taking values out of a cache. Every way moves the counters before it asks Redis, and once more when Redis answered.

use std::sync::Arc;

use super::{
    bus::News,
    cache::Cache,
    epochs::{Shard, epochs},
    gates,
    keys::Keys,
    scripts,
};
use crate::{
    connection::Command,
    error::{Error, Result},
};

impl Cache {
    /// Removes an entry; whether there was one.
    pub fn delete(&self, key: &str) -> impl Future<Output = Result<bool>> + Send + use<> {
        let removed = self.inner.keys.check(key).map(|()| self.unlink(&[key.to_owned()]));
        async move { Ok(removed?.await? > 0) }
    }

    /// Removes entries in one round trip; how many there were.
    pub fn delete_many(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = self.inner.check_bulk(keys).map(|()| (!keys.is_empty()).then(|| self.unlink(keys)));
        async move {
            match removed? {
                Some(removed) => removed.await,
                None => Ok(0),
            }
        }
    }

    fn unlink(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let shards: Vec<_> = keys.iter().map(|key| self.inner.watch(key, &[]).key).collect();
        let unlink = |name: fn(&Keys, &str) -> String| {
            keys.iter().fold(Command::new("UNLINK"), |command, key| command.key(name(&self.inner.keys, key)))
        };
        // The leases first: between the two, nothing that was asked for before can be stored.
        let commands = [unlink(Keys::lease).repeatable(), unlink(Keys::entry)];
        let replies = gates::pass(shards.iter().copied(), || {
            bump_all(&shards);
            self.inner.remote.link().call_many(&commands)
        });
        let (inner, keys) = (Arc::clone(&self.inner), keys.to_vec());
        async move {
            let replies = replies.await;
            bump_all(&shards);
            inner.tell_keys(&keys).await;
            let mut removed = 0;
            for reply in replies {
                removed = reply?.into_int()?;
            }
            Ok(u64::try_from(removed).unwrap_or(0))
        }
    }

    /// Kills every entry that carries one of `tags`; about how many keys were written under them since each was last
    /// invalidated (a `HyperLogLog` estimate, exact for a few hundred keys, else within 1 %).
    pub fn invalidate_tags(&self, tags: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let names: Vec<_> = tags.iter().map(|tag| Keys::tag_name(tag)).collect();
        let sent = Keys::check_tags(tags).map(|()| {
            (!tags.is_empty()).then(|| {
                let shards: Vec<_> = tags.iter().map(|tag| inner.tag(tag)).collect();
                bump_all(&shards);
                (scripts::invalidate_tags(inner.remote.link(), &inner.keys, tags), shards)
            })
        });
        async move {
            let Some((reply, shards)) = sent? else { return Ok(0) };
            let reply = reply.await;
            bump_all(&shards);
            inner.tell_keys(&names).await;
            reply
        }
    }

    /// Removes every entry whose key matches a glob (`*`, `?`, `[ab]`, `\` before a literal); how many there were. Walks
    /// the whole database in slices, and empties the level in this process.
    pub fn delete_pattern(&self, pattern: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = if pattern.is_empty() {
            Err(Error::invalid_argument("pattern", "empty", "a glob of at least one character"))
        } else {
            Ok(self.sweep(self.inner.keys.glob(pattern), false))
        };
        async move { removed?.await }
    }

    /// Removes every entry whose key begins with `namespace:`; how many there were.
    pub fn clear(&self, namespace: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        let checked = self.inner.keys.check(namespace);
        let removed = checked.map(|()| self.sweep(self.inner.keys.namespace_glob(namespace), false));
        async move { removed?.await }
    }

    /// Removes everything under the cache's prefix; how many entries there were.
    pub fn flush(&self) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = if self.inner.keys.prefix().is_empty() {
            Err(Error::invalid_option("prefix", "empty", "a prefix, because flush would empty the whole database"))
        } else {
            Ok(self.sweep(self.inner.keys.glob("*"), true))
        };
        async move { removed?.await }
    }

    /// `records` says whether the cache's own records go too.
    fn sweep(&self, glob: String, records: bool) -> impl Future<Output = Result<u64>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        // Alone: a fill that is on its way to Redis is found by the sweep, and one that is not sees the counter.
        gates::pass_alone(|| epochs().bump(inner.sweep));
        let raised = scripts::raise_sweep(inner.remote.link(), &inner.keys);
        async move {
            let removed = match raised.await {
                Ok(()) => {
                    let goes_too = |key: &[u8]| records && !inner.keys.is_kept(key);
                    inner.remote.sweep(&glob, goes_too, |key| inner.keys.is_entry(key)).await
                }
                Err(error) => Err(error),
            };
            epochs().bump(inner.sweep);
            if let Some(local) = &inner.local {
                local.clear();
            }
            inner.tell(&|| News::Swept).await;
            removed
        }
    }
}

fn bump_all(shards: &[Shard]) {
    for &shard in shards {
        epochs().bump(shard);
    }
}
