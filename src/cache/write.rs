//! Writing to a cache.

use std::{borrow::Cow, slice, sync::Arc, time::Duration};

use super::{
    bus::News,
    cache::{Cache, Condition, Inner, Loaded},
    database::{Change, Outcome},
    epochs::{Watch, epochs},
    format, gates,
    lifting::row_value,
    local_tier::Keep,
    recovery::Missed,
    scripts::{self, Tagged, TaggedWrite},
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
    script::{ScriptCall, is_unknown_script},
};

/// A value that a caller sets.
#[derive(Clone, Debug, Default)]
pub struct Write {
    pub key: String,
    /// JSON text.
    pub text: String,
    /// Seconds; `None` takes the default of the cache.
    pub ttl: Option<f64>,
    pub condition: Condition,
    pub tags: Vec<String>,
}

impl Cache {
    /// Stores a value; false when the condition did not hold.
    pub fn set(&self, write: Write) -> impl Future<Output = Result<bool>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let checked =
            inner.check(&write.key, &write.tags, write.ttl).and_then(|_| inner.check_value(&write.key, &write.text));
        let row = inner.database.is_some().then(|| write.clone());
        let sent = checked.map(|()| {
            let ending = inner.begin_ending(|| Change::EndKeys(vec![write.key.clone()]));
            (ending, self.set_in_redis(write))
        });
        async move {
            let (ending, sent) = sent?;
            let (written, ended) = inner.ended(ending, sent.await).await?;
            if let Some(row) = row.filter(|_| written) {
                Box::pin(inner.store_written(vec![(row.key, row.text, row.ttl, row.tags)], ended)).await?;
            }
            Ok(written)
        }
    }

    fn set_in_redis(&self, write: Write) -> impl Future<Output = Result<bool>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let sent = inner.check(&write.key, &write.tags, write.ttl).and_then(|ttl| {
            inner.check_value(&write.key, &write.text)?;
            Ok((inner.recovery.mark(), inner.write(&write, ttl), ttl))
        });
        async move {
            let (mark, writing, ttl) = sent?;
            let (pending, written) = writing.await;
            // One that wants no entry leaves the one that is there as it was.
            if write.condition != Condition::IfMissing {
                inner.note_missed(&written, || [Missed::Key(write.key.clone())]);
            }
            let told = (!matches!(written, Ok(false))).then(|| inner.tell_keys(slice::from_ref(&write.key)));
            let written = match written {
                Ok(true) => {
                    inner.recovery.forget(&write.key, mark);
                    pending.keep(&inner, &write.key, write.text, ttl);
                    Ok(true)
                }
                // An entry that is dead by one of its tags still lies there, and does not count.
                Ok(false) if write.condition == Condition::IfMissing => inner.replace_dead(write, ttl).await,
                other => {
                    pending.end();
                    other
                }
            };
            if let Some(told) = told {
                told.await;
            }
            written
        }
    }

    /// Stores values in one round trip.
    pub fn set_many(
        &self,
        writes: Vec<(String, String, Option<f64>)>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let keys: Vec<String> = writes.iter().map(|(key, ..)| key.clone()).collect();
        let rows = inner.database.is_some().then(|| writes.clone());
        let checked = inner.check_bulk(&keys).and_then(|()| {
            writes.iter().try_for_each(|(key, text, ttl)| {
                inner.check(key, &[], *ttl)?;
                inner.check_value(key, text)
            })
        });
        let sent = checked.map(|()| {
            let ending = inner.begin_ending(|| Change::EndKeys(keys));
            (ending, self.set_many_in_redis(writes))
        });
        async move {
            let (ending, sent) = sent?;
            let ((), ended) = inner.ended(ending, sent.await).await?;
            let rows = rows.unwrap_or_default().into_iter().map(|(key, text, ttl)| (key, text, ttl, Vec::new()));
            Box::pin(inner.store_written(rows.collect(), ended)).await
        }
    }

    fn set_many_in_redis(
        &self,
        writes: Vec<(String, String, Option<f64>)>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let keys: Vec<&str> = writes.iter().map(|(key, ..)| key.as_str()).collect();
        let sent = inner.check_bulk(&keys).and_then(|()| {
            let mut commands = Vec::with_capacity(writes.len());
            let mut lives = Vec::with_capacity(writes.len());
            for (key, text, ttl) in &writes {
                let ttl = inner.check(key, &[], *ttl)?;
                inner.check_value(key, text)?;
                commands.push(inner.set_command(key, &inner.packed(text), ttl, Condition::Always));
                lives.push(ttl);
            }
            let watches: Vec<_> = keys.iter().map(|key| inner.watch(key, &[])).collect();
            let stored: Vec<_> = keys.iter().map(|key| inner.keys.entry(key)).collect();
            let mark = inner.recovery.mark();
            let (pending, writing) = gates::pass(watches.iter().map(|watch| watch.key), || {
                let pending: Vec<_> = watches.iter().map(|watch| PendingWrite::begin(watch.clone())).collect();
                (pending, inner.write_entries(commands, &stored))
            });
            Ok((mark, pending, writing, lives))
        });
        async move {
            let (mark, pending, writing, lives) = sent?;
            let replies = writing.await;
            let told = inner.tell(&|| News::Changed(writes.iter().map(|(key, ..)| key.clone()).collect()));
            let mut outcome = Ok(());
            for (((pending, reply), (key, text, _)), ttl) in pending.into_iter().zip(replies).zip(writes).zip(lives) {
                inner.note_missed(&reply, || [Missed::Key(key.clone())]);
                match reply {
                    Ok(_) => {
                        inner.recovery.forget(&key, mark);
                        pending.keep(&inner, &key, text, ttl);
                    }
                    Err(error) => {
                        pending.end();
                        outcome = outcome.and(Err(error));
                    }
                }
            }
            told.await;
            outcome
        }
    }

    /// Adds to a number, which begins at 0, and keeps its expiry; the new number.
    pub fn increment(&self, key: &str, by: i64) -> impl Future<Output = Result<i64>> + Send + use<> {
        let checked = self.inner.keys.check(key);
        let sent = checked.map(|()| {
            let ending = self.inner.begin_ending(|| Change::EndKeys(vec![key.to_owned()]));
            (Arc::clone(&self.inner), ending, self.increment_in_redis(key, by))
        });
        async move {
            let (inner, ending, sent) = sent?;
            Ok(inner.ended(ending, sent.await).await?.0)
        }
    }

    fn increment_in_redis(&self, key: &str, by: i64) -> impl Future<Output = Result<i64>> + Send + use<> {
        let (inner, name) = (Arc::clone(&self.inner), key.to_owned());
        let sent = inner.keys.check(key).map(|()| {
            let shard = inner.watch(key, &[]).key;
            let commands = [
                Command::new("UNLINK").key(inner.keys.lease(key)).repeatable(),
                Command::new("INCRBY").key(inner.keys.entry(key)).int(by),
            ];
            let replies = gates::pass([shard], || {
                epochs().bump(shard);
                inner.remote.link().call_many(&commands)
            });
            (shard, replies)
        });
        async move {
            let (shard, replies) = sent?;
            let reply = replies.await.pop().unwrap_or_else(|| Err(Error::closed("connection")));
            epochs().bump(shard);
            inner.tell_keys(&[name]).await;
            reply?.into_int()
        }
    }

    /// Gives an entry a new life in seconds; whether there was one.
    pub fn expire(&self, key: &str, seconds: f64) -> impl Future<Output = Result<bool>> + Send + use<> {
        let checked = super::ttl_argument(seconds).and_then(|_| self.inner.keys.check(key));
        let sent = checked.map(|()| {
            let ending = self.inner.begin_ending(|| Change::EndKeys(vec![key.to_owned()]));
            (Arc::clone(&self.inner), ending, self.expire_in_redis(key, seconds))
        });
        async move {
            let (inner, ending, sent) = sent?;
            Ok(inner.ended(ending, sent.await).await?.0)
        }
    }

    fn expire_in_redis(&self, key: &str, seconds: f64) -> impl Future<Output = Result<bool>> + Send + use<> {
        let (inner, name) = (Arc::clone(&self.inner), key.to_owned());
        let sent = super::ttl_argument(seconds).and_then(|ttl| {
            self.inner.keys.check(key)?;
            let shard = self.inner.watch(key, &[]).key;
            let command = Command::new("PEXPIRE").key(self.inner.keys.entry(key)).int(whole_millis(ttl));
            Ok((
                shard,
                gates::pass([shard], || {
                    epochs().bump(shard);
                    self.probe(key, command)
                }),
            ))
        });
        async move {
            let (shard, reply) = sent?;
            let reply = reply.await;
            epochs().bump(shard);
            inner.tell_keys(&[name]).await;
            Ok(reply?.map_or(Ok(0), Value::into_int)? == 1)
        }
    }
}

/// A write whose counter has moved once, and must move again when it was answered.
struct PendingWrite {
    watch: Watch,
    began_at: u32,
    /// Sum of the other counters when the write began.
    others: u32,
    /// Whether a change by another process would be heard of, where such are.
    is_heard_of: bool,
}

impl PendingWrite {
    /// Call behind the gate of the key's shard.
    fn begin(watch: Watch) -> Self {
        let began_at = epochs().bump(watch.key);
        let others = watch.stamp().wrapping_sub(began_at);
        Self { watch, began_at, others, is_heard_of: true }
    }

    /// Ends the write, and keeps a copy of the value if it is surely the last one, and its end would be heard of.
    fn keep(self, inner: &Inner, key: &str, text: String, ttl: Duration) {
        let now = epochs().bump(self.watch.key);
        if now == self.began_at.wrapping_add(1)
            && self.is_heard_of
            && let Some(local) = &inner.local
        {
            local.insert(key, text, self.watch, now.wrapping_add(self.others), Keep::for_life(ttl));
        }
    }

    fn end(self) {
        epochs().bump(self.watch.key);
    }
}

/// A write on its way.
enum Sent<A, B> {
    Plain(A),
    Tagged(B, ScriptCall),
}

impl Inner {
    /// Stores rows of what was written to Redis. `ended` is how their keys ended in the table before. Where somebody else
    /// ended a key since, nobody knows whose value Redis has, and so the table gets none.
    async fn store_written(
        self: &Arc<Self>,
        rows: Vec<(String, String, Option<f64>, Vec<String>)>,
        ended: Outcome,
    ) -> Result<()> {
        let Some(tier) = self.database.clone().filter(|_| ended != Outcome::default()) else { return Ok(()) };
        let storing: Vec<_> = rows
            .into_iter()
            .map(|(key, text, ttl, tags)| {
                let head = self.row_line(&tags, &[], Duration::ZERO, 0);
                let value = row_value(&head, &self.packed(&text));
                let life = self.row_life(&tier, ttl);
                let stored = self.store_row(&tier, &key, value, tags, life, ended.seen);
                (key, stored)
            })
            .collect();
        let mut overtaken = Vec::new();
        for (key, stored) in storing {
            // What failed or found no room stored nothing, but nobody knows that it never will.
            if stored.await.is_none_or(|stored| stored.count == 0) {
                overtaken.push(key);
            }
        }
        if overtaken.is_empty() {
            return Ok(());
        }
        let ending = self.begin_ending(|| Change::EndKeys(overtaken));
        self.ended(ending, Ok(())).await.map(|_| ())
    }

    #[expect(clippy::cast_precision_loss, reason = "no text has 2^53 bytes")]
    pub(super) fn check_value(&self, key: &str, text: &str) -> Result<()> {
        let limit = self.options.limits.max_value_size;
        // A text has at least as many bytes as the value that it stands for.
        if text.len() as f64 > limit && format::size(text) as f64 > limit {
            let message = format!("a cache value of {} bytes is too large; allowed: {limit}", format::size(text));
            return Err(Error::new(ErrorCode::CacheValueTooLarge, message).with("key", key).with("limit", limit));
        }
        Ok(())
    }

    /// What is stored for a text.
    pub(super) fn packed<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        format::pack(text, self.options.compression)
    }

    /// Moves the counter and sends the write; afterwards the counter still has to move once more.
    fn write(
        self: &Arc<Self>,
        write: &Write,
        ttl: Duration,
    ) -> impl Future<Output = (PendingWrite, Result<bool>)> + Send + use<> {
        let watch = self.watch(&write.key, &write.tags);
        let inner = Arc::clone(self);
        let tags = write.tags.clone();
        let value = &*self.packed(&write.text);
        let stored = [self.keys.entry(&write.key)];
        let (mut pending, sent) = gates::pass([watch.key], || {
            let pending = PendingWrite::begin(watch);
            let sent = if write.tags.is_empty() {
                let command = self.set_command(&write.key, value, ttl, write.condition);
                Sent::Plain(self.write_entries(vec![command], &stored))
            } else {
                let (key, tags) = (&write.key, &write.tags);
                let created_ms = self.clock.now_ms();
                let write = TaggedWrite { key, value, ttl, condition: write.condition, created_ms, tags };
                let script = scripts::write_tagged(&self.keys, &write);
                Sent::Tagged(self.send_writes(vec![script.by_digest()], &stored, tags), script)
            };
            (pending, sent)
        });
        async move {
            let written = match sent {
                // SET answers nil when its condition does not hold.
                Sent::Plain(writing) => {
                    let reply = writing.await.pop().unwrap_or_else(|| Err(Error::closed("connection")));
                    reply.map(|reply| !reply.is_nil())
                }
                Sent::Tagged(writing, script) => {
                    let mut all = writing.await;
                    if matches!(all.replies.first(), Some(Err(error)) if is_unknown_script(error)) {
                        all = inner.send_writes(vec![script.by_text()], &stored, &tags).await;
                    }
                    // The versions were read with the write: the server goes on telling of them, and of the entry.
                    pending.is_heard_of = all.versions.is_some() || !inner.is_tracked();
                    let reply = all.replies.pop().unwrap_or_else(|| Err(Error::closed("connection")));
                    let outcome = reply.and_then(scripts::tagged);
                    if matches!(outcome, Ok(Tagged::WrittenAndChanged)) && !pending.is_heard_of {
                        // Their copies are read again, and so heard of again.
                        inner.end_tags(&tags);
                    }
                    outcome.map(|outcome| outcome != Tagged::Refused)
                }
            };
            (pending, written)
        }
    }

    /// Writes where a dead entry was in the way of a write that wants none; false when the entry is alive.
    async fn replace_dead(self: &Arc<Self>, write: Write, ttl: Duration) -> Result<bool> {
        let cache = Cache { inner: Arc::clone(self) };
        if let Loaded::Hit(_) = cache.load(&write.key, Vec::new(), None).await? {
            epochs().bump(self.watch(&write.key, &[]).key);
            return Ok(false);
        }
        cache.delete(&write.key).await?;
        let (pending, written) = self.write(&write, ttl).await;
        let told = self.tell_keys(slice::from_ref(&write.key));
        if matches!(written, Ok(true)) {
            pending.keep(self, &write.key, write.text, ttl);
        } else {
            pending.end();
        }
        told.await;
        written
    }

    /// Sends commands that write the entries `stored`; one reply each.
    fn write_entries(
        &self,
        mut writes: Vec<Command>,
        stored: &[String],
    ) -> impl Future<Output = Vec<Result<Value>>> + Send + use<> {
        writes.insert(0, self.end_leases(stored, &writes[0]));
        let sent = self.send_writes(writes, stored, &[]);
        async move {
            let mut replies = sent.await.replies;
            drop(replies.remove(0));
            replies
        }
    }

    /// Ends the leases on entries, as one with `write`: who asks the source at this moment may bring an older value.
    pub(super) fn end_leases(&self, stored: &[String], write: &Command) -> Command {
        let leases = stored.iter().map(|key| self.keys.lease_of(key));
        let mut command = leases.fold(Command::new("UNLINK"), Command::key);
        (command.flags, command.deadline) = (write.flags, write.deadline);
        command
    }

    pub(super) fn set_command(&self, key: &str, value: &[u8], ttl: Duration, condition: Condition) -> Command {
        let command = Command::new("SET").key(self.keys.entry(key)).arg(value).arg("PX").int(whole_millis(ttl));
        match condition.word() {
            // Running it twice gives a different reply.
            Some(word) => command.arg(word),
            None => command.repeatable(),
        }
    }
}

/// At least 1: Redis refuses an expiry of 0.
pub(super) fn whole_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}
