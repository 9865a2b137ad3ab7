//! Looking over the entries of a cache, or a part of them, without stopping the server.

use std::time::Duration;

use super::{cache::Cache, scanning::scan};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, Result},
};

/// Slices of the database that are looked at to count keys: about a million keys.
const ROUNDS: usize = 1_000;

impl Cache {
    /// Counts the keys in Redis that begin with `start`, in slices, up to a million keys of the database; and whether that
    /// was all of it.
    pub async fn count_keys(&self, start: &str) -> Result<(u64, bool)> {
        let keys = &self.inner.keys;
        let glob = keys.starting_glob(start);
        self.inner.remote.count(&glob, ROUNDS, |key| keys.is_entry(key)).await
    }

    /// Entries in this process whose keys begin with `start`, and their bytes. Walks through all of them.
    pub fn local_size_of(&self, start: &str) -> (u64, u64) {
        self.inner.local.as_ref().map_or((0, 0), |local| local.size_of(start))
    }

    /// One slice of the entries that match `pattern` and expire within `within`, with the cursor of the next slice, which
    /// is `0` after the last. Begin with the cursor `0`. As with SCAN, an entry may come twice.
    pub async fn expiring(&self, cursor: &str, pattern: &str, within: Duration) -> Result<(String, Vec<String>)> {
        if pattern.is_empty() {
            return Err(Error::invalid_argument("pattern", "empty", "a glob of at least one character"));
        }
        let (keys, remote) = (&self.inner.keys, &self.inner.remote);
        let (next, mut found) = scan(remote.link(), cursor, &keys.glob(pattern)).await?;
        found.retain(|key| keys.is_entry(key));
        let asked: Vec<_> = found.iter().map(|key| Command::new("PTTL").key(key).repeatable()).collect();
        let mut expiring = Vec::new();
        for (key, life) in found.into_iter().zip(remote.link().call_many(&asked).await) {
            let life = life.and_then(Value::into_int)?;
            let Ok(life) = u64::try_from(life) else { continue };
            if Duration::from_millis(life) < within
                && let Some(name) = keys.name(&key)
            {
                expiring.push(name.to_owned());
            }
        }
        Ok((next, expiring))
    }
}
