//! Writing to a cache.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    cache::{Cache, Condition, Inner, Loaded},
    epochs::{Watch, epochs},
    format, gates,
    keys::Keys,
    lease::Lease,
    local_tier::Keep,
    registered,
    remote_tier::RemoteTier,
    scripts::{self, Tagged, TaggedWrite},
    tags::{self, TagLine},
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
    script::cache::FILL,
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

/// A value that a factory made after [`Cache::load`] found none.
#[derive(Clone, Debug, Default)]
pub struct Fill {
    pub key: String,
    /// JSON text.
    pub text: String,
    /// Seconds; `None` takes the default of the cache.
    pub ttl: Option<f64>,
    pub tags: Vec<String>,
    /// Versions of the tags, as `load` gave them.
    pub versions: Vec<String>,
    /// Sum of the counters before `load`.
    pub stamp: u32,
    /// [`Cache::gaps`], asked for after the stamp was taken.
    pub gaps: u32,
    /// What [`Cache::acquire`] gave: the entry is written only if the lease is still valid, and `versions` are its own.
    pub lease: Option<Lease>,
    /// Tags that the factory named while it ran.
    pub late_tags: Vec<String>,
    /// How much longer than `ttl` it may stand in for a source that fails, in seconds.
    pub stale: f64,
    /// How long it took to load, in milliseconds, if it is to be refreshed early; else 0.
    pub load_ms: u32,
    /// Keep it in this process only: `load` found Redis away, so that there are no versions either.
    pub local_only: bool,
}

impl Cache {
    /// Stores a value; false when the condition did not hold.
    pub fn set(&self, write: Write) -> impl Future<Output = Result<bool>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let sent = inner.check(&write.key, &write.tags, write.ttl).and_then(|ttl| {
            inner.check_value(&write.key, &write.text)?;
            Ok((inner.write(&write, ttl), ttl))
        });
        async move {
            let (writing, ttl) = sent?;
            let (pending, written) = writing.await;
            match written {
                Ok(true) => {
                    pending.keep(&inner, &write.key, write.text, ttl);
                    Ok(true)
                }
                // An entry that is dead by one of its tags still lies there, and does not count.
                Ok(false) if write.condition == Condition::IfMissing => inner.replace_dead(write, ttl).await,
                other => {
                    pending.end();
                    other
                }
            }
        }
    }

    /// Stores values in one round trip.
    pub fn set_many(
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
            let (pending, writing) = gates::pass(watches.iter().map(|watch| watch.key), || {
                let pending: Vec<_> = watches.iter().map(|watch| PendingWrite::begin(watch.clone())).collect();
                (pending, inner.write_entries(commands, &stored, &[]))
            });
            Ok((pending, writing, lives))
        });
        async move {
            let (pending, writing, lives) = sent?;
            let mut outcome = Ok(());
            for (((pending, reply), (key, text, _)), ttl) in
                pending.into_iter().zip(writing.await.replies).zip(writes).zip(lives)
            {
                match reply {
                    Ok(_) => pending.keep(&inner, &key, text, ttl),
                    Err(error) => {
                        pending.end();
                        outcome = outcome.and(Err(error));
                    }
                }
            }
            outcome
        }
    }

    /// Stores what a factory made, unless one of its counters has moved since `fill.stamp` was taken, by more than gaps,
    /// or its lease has ended; whether it did.
    /// When Redis cannot be written to, the value is still kept in this process.
    pub fn fill(&self, mut fill: Fill) -> impl Future<Output = Result<bool>> + Send + use<> {
        let cache = self.clone();
        // Here, because it may take long: callers choose the thread.
        let value = cache.inner.packed(&fill.text).into_owned();
        async move {
            let inner = &cache.inner;
            if let Some(lease) = &mut fill.lease {
                fill.versions = std::mem::take(&mut lease.versions);
                inner.lose_lock(&lease.lock);
            }
            let filled = inner.try_fill(&mut fill, &value).await;
            if !matches!(filled, Ok(true))
                && let Some(lease) = &fill.lease
            {
                cache.release(&fill.key, lease).await;
            }
            filled
        }
    }

    /// Adds to a number, which begins at 0, and keeps its expiry; the new number.
    pub fn increment(&self, key: &str, by: i64) -> impl Future<Output = Result<i64>> + Send + use<> {
        let inner = &self.inner;
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
            reply?.into_int()
        }
    }

    /// Gives an entry a new life in seconds; whether there was one.
    pub fn expire(&self, key: &str, seconds: f64) -> impl Future<Output = Result<bool>> + Send + use<> {
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
}

impl PendingWrite {
    /// Call behind the gate of the key's shard.
    fn begin(watch: Watch) -> Self {
        let began_at = epochs().bump(watch.key);
        let others = watch.stamp().wrapping_sub(began_at);
        Self { watch, began_at, others }
    }

    /// Ends the write, and keeps a copy of the value if it is surely the last one, and its end would be heard of.
    fn keep(self, inner: &Inner, key: &str, text: String, ttl: Duration) {
        let now = epochs().bump(self.watch.key);
        // The script that writes a tagged entry cannot read it so that the server would remember.
        let heard_of = self.watch.tags.is_empty() || !inner.is_told();
        if now == self.began_at.wrapping_add(1)
            && heard_of
            && let Some(local) = &inner.local
        {
            local.insert(key, text, self.watch, now.wrapping_add(self.others), Keep::for_life(ttl));
        }
    }

    fn end(self) {
        epochs().bump(self.watch.key);
    }
}

/// A fill on its way.
enum Sent<A, B> {
    Plain(A),
    Leased(B),
}

/// What the server answered to writes of entries.
struct Written {
    replies: Vec<Result<Value>>,
    /// Versions of the tags afterwards, where they were asked for.
    versions: Option<Vec<Option<String>>>,
}

impl Inner {
    #[expect(clippy::cast_precision_loss, reason = "no text has 2^53 bytes")]
    fn check_value(&self, key: &str, text: &str) -> Result<()> {
        let limit = self.options.limits.max_value_size;
        // A text has at least as many bytes as the value that it stands for.
        if text.len() as f64 > limit && format::size(text) as f64 > limit {
            let message = format!("a cache value of {} bytes is too large; allowed: {limit}", format::size(text));
            return Err(Error::new(ErrorCode::CacheValueTooLarge, message).with("key", key).with("limit", limit));
        }
        Ok(())
    }

    /// What is stored for a text.
    fn packed<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        format::pack(text, self.options.compression)
    }

    /// Moves the counter and sends the write; afterwards the counter still has to move once more.
    fn write(
        self: &Arc<Self>,
        write: &Write,
        ttl: Duration,
    ) -> impl Future<Output = (PendingWrite, Result<bool>)> + Send + use<> {
        enum Sent<A, B> {
            Plain(A),
            Tagged(B),
        }
        let watch = self.watch(&write.key, &write.tags);
        let inner = Arc::clone(self);
        let tags = write.tags.clone();
        let value = &*self.packed(&write.text);
        let (pending, sent) = gates::pass([watch.key], || {
            let pending = PendingWrite::begin(watch);
            let link = self.remote.link();
            let sent = if write.tags.is_empty() {
                let command = self.set_command(&write.key, value, ttl, write.condition);
                Sent::Plain(self.write_entries(vec![command], &[self.keys.entry(&write.key)], &[]))
            } else {
                let (key, tags) = (&write.key, &write.tags);
                let created_ms = self.clock.now_ms();
                let write = TaggedWrite { key, value, ttl, condition: write.condition, created_ms, tags };
                Sent::Tagged(scripts::write_tagged(link, &self.keys, &write))
            };
            (pending, sent)
        });
        async move {
            let written = match sent {
                // SET answers nil when its condition does not hold.
                Sent::Plain(writing) => {
                    let reply = writing.await.replies.pop().unwrap_or_else(|| Err(Error::closed("connection")));
                    reply.map(|reply| !reply.is_nil())
                }
                Sent::Tagged(reply) => {
                    let outcome = reply.await;
                    if matches!(outcome, Ok(Tagged::WrittenAndChanged)) && inner.is_told() {
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
        if matches!(written, Ok(true)) {
            pending.keep(self, &write.key, write.text, ttl);
        } else {
            pending.end();
        }
        written
    }

    /// Sends commands that write the entries `stored`, which carry `tags`; one reply each.
    fn write_entries(
        &self,
        writes: Vec<Command>,
        stored: &[String],
        tags: &[String],
    ) -> impl Future<Output = Written> + Send + use<> {
        let (count, told) = (writes.len(), self.is_told());
        let tagged = told && !tags.is_empty();
        // Who asks the source at this moment may bring an older value.
        let mut leases =
            stored.iter().fold(Command::new("UNLINK"), |command, key| command.key(self.keys.lease_of(key)));
        let mut writes = writes;
        (leases.flags, leases.deadline) = (writes[0].flags, writes[0].deadline);
        writes.insert(0, leases);
        let commands = if told {
            let mut reads = vec![stored.iter().fold(Command::new("EXISTS"), Command::key)];
            reads.extend(tagged.then(|| RemoteTier::versions_command(&self.keys, tags)));
            registered::commands(writes, reads)
        } else {
            writes
        };
        let replies = self.remote.link().call_many(&commands);
        async move {
            let mut replies = replies.await;
            if !told {
                drop(replies.remove(0));
                return Written { replies, versions: None };
            }
            match registered::replies(replies) {
                Ok(mut replies) => {
                    let versions = replies.pop().filter(|_| tagged);
                    let versions = versions.and_then(|reply| RemoteTier::versions(reply.ok()?).ok());
                    replies.truncate(count + 1);
                    drop(replies.remove(0));
                    Written { replies, versions }
                }
                Err(error) => Written { replies: vec![Err(error); count], versions: None },
            }
        }
    }

    async fn try_fill(&self, fill: &mut Fill, value: &[u8]) -> Result<bool> {
        let ttl = self.check(&fill.key, &fill.tags, fill.ttl)?;
        Keys::check_tags(&fill.late_tags)?;
        self.check_value(&fill.key, &fill.text)?;
        let stale = if fill.stale > 0.0 { super::ttl_argument(fill.stale)? } else { Duration::ZERO };
        if !fill.local_only && fill.versions.len() != fill.tags.len() {
            let got = format!("a list of {}", fill.versions.len());
            return Err(Error::invalid_argument("versions", &got, "one version for each tag"));
        }
        let mut watch = self.watch(&fill.key, &fill.tags);
        if !fill.late_tags.is_empty() {
            // Their counters now: what moved them before is seen by the versions in Redis, or, without it, is no matter of
            // the load that is in this process alone.
            let late = std::mem::take(&mut fill.late_tags);
            let late_watch = self.watch(&fill.key, &late);
            fill.stamp = fill.stamp.wrapping_add(late_watch.tags_stamp());
            if let Some(lease) = &fill.lease {
                let (link, deadline) = (self.remote.link(), self.remote.deadline());
                let read = scripts::tags_since(link, &self.keys, &late, &lease.began, ttl + stale, deadline).await;
                match self.remote.observe(read)? {
                    Some(versions) => fill.versions.extend(versions),
                    None => return Ok(false),
                }
            }
            fill.tags.extend(late);
            watch = self.watch(&fill.key, &fill.tags);
        }
        let available = if fill.local_only { Ok(false) } else { self.remote.available().map(|()| true) };
        let sent = available.map(|available| {
            let stored = self.keys.entry(&fill.key);
            gates::pass([watch.key], || {
                let moved = watch.stamp().wrapping_sub(fill.stamp);
                let by_gaps = self.gaps().wrapping_sub(fill.gaps);
                (moved == by_gaps).then(|| {
                    available.then(|| match &fill.lease {
                        Some(lease) => Sent::Leased(self.fill_leased(fill, lease, value, ttl, stale)),
                        None => {
                            Sent::Plain(self.write_entries(self.fill_commands(fill, value, ttl), &[stored], &fill.tags))
                        }
                    })
                })
            })
        });
        let written = match sent {
            Ok(None) => return Ok(false),
            Ok(Some(None)) => Ok(true),
            Ok(Some(Some(sent))) => {
                let Written { replies, versions } = match sent {
                    Sent::Plain(writing) => writing.await,
                    Sent::Leased(writing) => writing.await,
                };
                let written = self.remote.observe(replies.into_iter().collect::<Result<Vec<_>>>());
                if fill.lease.is_some() && written.as_ref().is_ok_and(|replies| replies.first() == Some(&Value::Int(0)))
                {
                    return Ok(false);
                }
                if let (Ok(_), Some(now)) = (&written, versions) {
                    self.end_unless_same(&fill.tags, &fill.versions, &now);
                }
                written.map(|_| true)
            }
            Err(error) => Err(error),
        };
        if let Some(local) = &self.local {
            let keep = Keep { life: Some(ttl), stale, load_ms: fill.load_ms };
            local.insert(&fill.key, std::mem::take(&mut fill.text), watch, fill.stamp, keep);
        }
        written
    }

    /// Sends the compare-and-set of an entry against its lease; the first reply is the script's.
    fn fill_leased(
        &self,
        fill: &Fill,
        lease: &Lease,
        value: &[u8],
        ttl: Duration,
        stale: Duration,
    ) -> impl Future<Output = Written> + Send + use<> {
        let (deadline, stored) = (self.remote.deadline(), self.keys.entry(&fill.key));
        let versions: BTreeMap<_, _> = fill.tags.iter().cloned().zip(fill.versions.iter().cloned()).collect();
        let stale_ms = u64::try_from(stale.as_millis()).unwrap_or(0);
        let plain = versions.is_empty() && stale_ms == 0 && fill.load_ms == 0;
        let line = TagLine { versions, created_ms: self.clock.now_ms(), stale_ms, load_ms: u64::from(fill.load_ms) };
        let value = if plain { value.to_vec() } else { tags::encode(&line, value) };
        let expiry = whole_millis(ttl + stale).to_string();
        let keys = [stored.clone(), self.keys.lease(&fill.key), self.keys.lock(&fill.key), self.keys.sweep()];
        let absent: &[u8] = if lease.absent { b"1" } else { b"" };
        let (token, swept, lock) = (lease.token.as_bytes(), lease.swept.as_bytes(), lease.lock.as_bytes());
        let call = FILL
            .with([&keys[0], &keys[1], &keys[2], &keys[3]], [token, swept, lock, absent, &value, expiry.as_bytes()])
            .deadline(deadline);
        // With its text: a transaction cannot be told that the server does not know it.
        let mut commands = vec![call.by_text()];
        commands.extend(fill.tags.iter().map(|tag| {
            Command::new("PFADD").key(self.keys.tag_members(tag)).arg(&stored).repeatable().deadline(deadline)
        }));
        let (count, told, tagged) = (commands.len(), self.is_told(), !fill.tags.is_empty());
        if told {
            let mut reads = vec![Command::new("EXISTS").key(&stored)];
            reads.extend(tagged.then(|| RemoteTier::versions_command(&self.keys, &fill.tags)));
            commands = registered::commands(commands, reads);
        }
        let replies = self.remote.link().call_many(&commands);
        async move {
            let replies = replies.await;
            if !told {
                return Written { replies, versions: None };
            }
            match registered::replies(replies) {
                Ok(mut replies) => {
                    let versions = replies.pop().filter(|_| tagged);
                    let versions = versions.and_then(|reply| RemoteTier::versions(reply.ok()?).ok());
                    replies.truncate(count);
                    Written { replies, versions }
                }
                Err(error) => Written { replies: vec![Err(error); count], versions: None },
            }
        }
    }

    fn set_command(&self, key: &str, value: &[u8], ttl: Duration, condition: Condition) -> Command {
        let command = Command::new("SET").key(self.keys.entry(key)).arg(value).arg("PX").int(whole_millis(ttl));
        match condition.word() {
            // Running it twice gives a different reply.
            Some(word) => command.arg(word),
            None => command.repeatable(),
        }
    }

    /// The entry, counted as written under each of its tags.
    fn fill_commands(&self, fill: &Fill, value: &[u8], ttl: Duration) -> Vec<Command> {
        let deadline = self.remote.deadline();
        if fill.tags.is_empty() {
            return vec![self.set_command(&fill.key, value, ttl, Condition::Always).deadline(deadline)];
        }
        let line = TagLine {
            versions: fill.tags.iter().cloned().zip(fill.versions.iter().cloned()).collect(),
            created_ms: self.clock.now_ms(),
            ..TagLine::default()
        };
        let value = tags::encode(&line, value);
        let mut commands = vec![self.set_command(&fill.key, &value, ttl, Condition::Always).deadline(deadline)];
        let stored = self.keys.entry(&fill.key);
        commands.extend(fill.tags.iter().map(|tag| {
            Command::new("PFADD").key(self.keys.tag_members(tag)).arg(&stored).repeatable().deadline(deadline)
        }));
        commands
    }
}

/// At least 1: Redis refuses an expiry of 0.
fn whole_millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1)
}
