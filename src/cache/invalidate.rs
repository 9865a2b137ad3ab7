//! Taking values out of a cache. What Redis missed of it is remembered, and made up for when it is back.

use std::sync::Arc;

use super::{bus::News, cache::Cache, database::Change, keys::Keys, recovery::Missed, remover::Swept};
use crate::error::{Error, Result};

impl Cache {
    /// Removes an entry; whether there was one.
    pub fn delete(&self, key: &str) -> impl Future<Output = Result<bool>> + Send + use<> {
        let removed = self.inner.keys.check(key).map(|()| self.end_keys(&[key.to_owned()]));
        async move { Ok(removed?.await? > 0) }
    }

    /// Removes entries in one round trip; how many there were.
    pub fn delete_many(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = self.inner.check_bulk(keys).map(|()| (!keys.is_empty()).then(|| self.end_keys(keys)));
        async move {
            match removed? {
                Some(removed) => removed.await,
                None => Ok(0),
            }
        }
    }

    fn end_keys(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let ending = self.inner.begin_ending(|| Change::EndKeys(keys.to_vec()));
        let (inner, sent) = (Arc::clone(&self.inner), self.unlink(keys));
        async move {
            let (removed, ended) = inner.ended(ending, sent.await).await?;
            // An entry may be in one of the levels, or in both.
            Ok(removed.max(ended.count))
        }
    }

    fn unlink(&self, keys: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removing = self.inner.remover().unlink(keys);
        let (inner, keys) = (Arc::clone(&self.inner), keys.to_vec());
        async move {
            let removed = removing.await;
            inner.note_missed(&removed, || keys.iter().cloned().map(Missed::Key));
            inner.tell_keys(&keys).await;
            removed
        }
    }

    /// Kills every entry that carries one of `tags`; about how many keys were written under them since each was last
    /// invalidated (a `HyperLogLog` estimate, exact for a few hundred keys, else within 1 %).
    pub fn invalidate_tags(&self, tags: &[String]) -> impl Future<Output = Result<u64>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let sent = Keys::check_tags(tags).map(|()| {
            (!tags.is_empty())
                .then(|| (inner.begin_ending(|| Change::EndTags(tags.to_vec())), inner.remover().invalidate_tags(tags)))
        });
        let tags = tags.to_vec();
        async move {
            let Some((ending, invalidating)) = sent? else { return Ok(0) };
            let invalidated = invalidating.await;
            inner.note_missed(&invalidated, || tags.iter().cloned().map(Missed::Tag));
            inner.tell(&|| News::Changed(tags.iter().map(|tag| Keys::tag_name(tag)).collect())).await;
            Ok(inner.ended(ending, invalidated).await?.0)
        }
    }

    /// Removes every entry whose key matches a glob (`*`, `?`, `[ab]`, `\` before a literal); how many there were. Walks
    /// the whole database in slices, and empties the level in this process.
    pub fn delete_pattern(&self, pattern: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = if pattern.is_empty() {
            Err(Error::invalid_argument("pattern", "empty", "a glob of at least one character"))
        } else {
            Ok(self.sweep(self.inner.keys.glob(pattern), Swept::Entries))
        };
        async move { removed?.await }
    }

    /// Removes every entry whose key begins with `start` and has `part` between colons, or a colon and an end, in what
    /// follows; how many there were. One walk through the database.
    pub fn delete_part(&self, start: &str, part: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = if part.is_empty() {
            Err(Error::invalid_argument("part", "empty", "a string of at least one character"))
        } else {
            let of = Swept::Having { start: start.to_owned(), part: part.to_owned() };
            Ok(self.sweep(self.inner.keys.containing_glob(start, part), of))
        };
        async move { removed?.await }
    }

    /// Removes every entry whose key begins with `namespace:`; how many there were.
    pub fn clear(&self, namespace: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        let checked = self.inner.keys.check(namespace);
        let removed = checked.map(|()| self.sweep(self.inner.keys.namespace_glob(namespace), Swept::Entries));
        async move { removed?.await }
    }

    /// Removes everything under the cache's prefix; how many entries there were.
    pub fn flush(&self) -> impl Future<Output = Result<u64>> + Send + use<> {
        let removed = if self.inner.keys.prefix().is_empty() {
            Err(Error::invalid_option("prefix", "empty", "a prefix, because flush would empty the whole database"))
        } else {
            Ok(self.sweep(self.inner.keys.glob("*"), Swept::Everything))
        };
        async move { removed?.await }
    }

    fn sweep(&self, glob: String, of: Swept) -> impl Future<Output = Result<u64>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let first = inner.database.is_none().then(|| inner.remover().sweep(glob.clone(), of.clone()));
        async move {
            let (removed, ended) = if let Some(sweeping) = first {
                (sweeping.await, Ok(0))
            } else {
                // Rows first: who reads one before it goes has a lease that the sweep of Redis ends.
                let ended = Box::pin(inner.sweep_database(&glob, &of)).await;
                (inner.remover().sweep(glob.clone(), of.clone()).await, ended)
            };
            inner.note_missed(&removed, || [Missed::Sweep(glob, of)]);
            if let Some(local) = &inner.local {
                local.clear();
            }
            inner.tell(&|| News::Swept).await;
            Ok(removed?.max(ended?))
        }
    }
}
