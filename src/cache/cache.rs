//! A cache: what it is made of, and reading from it.

use std::{
    collections::{BTreeSet, HashMap},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    bus::{Bus, News},
    circuit::CircuitState,
    database::{DatabaseFigures, DatabaseTier},
    epochs::{Epochs, Shard, Watch, epochs},
    format,
    keys::Keys,
    lease::{Acquire, Acquired, LockKeeper},
    local_tier::{Keep, LocalEntry, LocalTier},
    options::{CacheOptions, CoherenceMode},
    ranked::PriorityTally,
    recovery::{Missed, Recovery},
    remote_tier::{RawEntry, Remaining, RemoteTier},
    remover::Remover,
    reporter::Reporter,
    scripts,
    tags::{self, Stored, TagLine},
    wakers::Wakers,
};
use crate::{
    clock::Clock,
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, ErrorCode, Result},
    service::spawn,
};

/// Values in this process and in Redis under one prefix. Cheap to clone.
///
/// Methods send their commands before they return; the future waits for the replies. So calls take effect in the order
/// in which they were made, whether or not the earlier ones were awaited.
#[derive(Clone)]
pub struct Cache {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) keys: Keys,
    pub(super) options: CacheOptions,
    pub(super) local: Option<Arc<LocalTier>>,
    bus: Option<Arc<Bus>>,
    pub(super) remote: Arc<RemoteTier>,
    pub(super) clock: Clock,
    pub(super) sweep: Shard,
    pub(super) reporter: Arc<Reporter>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) wakers: Arc<Wakers>,
    pub(super) database: Option<Arc<DatabaseTier>>,
    lock_keepers: Mutex<HashMap<String, LockKeeper>>,
}

/// When a write takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Always,
    /// Only where there is no entry.
    IfMissing,
    /// Only where there is one.
    IfExists,
}

impl Condition {
    /// The option of SET.
    pub(super) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Always => None,
            Self::IfMissing => Some("NX"),
            Self::IfExists => Some("XX"),
        }
    }
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// JSON, or text that someone else wrote.
    pub text: String,
    pub watch: Watch,
    /// Valid while `watch` adds up to this.
    pub stamp: u32,
    /// How long a copy may live in this process; zero when it must not be kept.
    pub life: Duration,
    /// How long it is fresh: zero for one that may only stand in for a source that fails; `None` for ever.
    pub fresh_for: Option<Duration>,
    /// How much longer it may stand in for a source that fails.
    pub stale_for: Duration,
    /// How long it took to load, in milliseconds, where it is to be refreshed early; else 0.
    pub load_ms: u32,
    /// Where it was found: 2 in Redis, 3 in the database.
    pub level: u8,
}

impl Hit {
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh_for.is_none_or(|left| !left.is_zero())
    }
}

/// The outcome of [`Cache::load`].
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    Hit(Hit),
    /// Not there, or dead by one of its tags. With the versions of the tags that a new value would carry, in their order.
    Miss(Vec<String>),
}

impl Cache {
    /// A cache on `link`. Never waits for the server. No call that can be done without takes longer than `deadline`.
    pub fn new(link: Arc<dyn Link>, options: CacheOptions, clock: Clock, deadline: Duration) -> Result<Self> {
        options.check()?;
        let local = options
            .level1
            .enabled
            .then(|| LocalTier::shared(&link, &options.prefix, &options.level1, options.coherence));
        let bus = options.coherence.uses_bus().then(|| Bus::shared(&link, &options.prefix));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and above 0")]
        let keys = Keys::new(options.prefix.clone(), options.limits.max_key_length as usize);
        let sweep = Epochs::sweep(&options.prefix);
        let database = options.level3.checked()?;
        let database =
            database.map(|chosen| DatabaseTier::shared(chosen, &options.prefix, clock.clone())).transpose()?;
        let reporter = Arc::new(Reporter::default());
        let recovery = Recovery::shared(Remover::new(Arc::clone(&link), keys.clone()), &reporter, bus.as_ref());
        let remote = Arc::new(RemoteTier::new(link, &options.level2, deadline, Arc::clone(&recovery)));
        let (wakers, lock_keepers) = (Wakers::of(keys.prefix()), Mutex::default());
        let inner = Inner {
            keys,
            options,
            local,
            bus,
            remote,
            clock,
            sweep,
            reporter,
            recovery,
            wakers,
            database,
            lock_keepers,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has `listener` told of what no call asked for, at most once a second: stored entries that cannot be read and so count
    /// as missing, and what Redis missed while it was away and then refused, or was too much to be remembered.
    pub fn on_error(&self, listener: impl Fn(Error) + Send + Sync + 'static) {
        self.inner.reporter.listen(Box::new(listener));
    }

    /// Has `listener` told when Redis is left alone, probed and used again.
    pub fn on_circuit(&self, listener: impl Fn(CircuitState) + Send + Sync + 'static) {
        self.inner.remote.circuit().listen(Box::new(listener));
    }

    /// Whether Redis is used, left alone because it did not answer, or probed.
    pub fn circuit(&self) -> CircuitState {
        self.inner.remote.circuit_state()
    }

    /// How many writes and invalidations Redis missed and is still to make up for. It is not read until it has.
    pub fn missed(&self) -> usize {
        self.inner.recovery.len()
    }

    /// The counters that a value under `key` with `tags` depends on.
    pub fn watch(&self, key: &str, tags: &[String]) -> Watch {
        self.inner.watch(key, tags)
    }

    /// The counter of a tag.
    pub fn tag_shard(&self, tag: &str) -> Shard {
        self.inner.tag(tag)
    }

    /// The counter that pattern deletes and flushes move.
    pub fn sweep_shard(&self) -> Shard {
        self.inner.sweep
    }

    /// The time by which entries expire, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// What it was told.
    pub fn options(&self) -> &CacheOptions {
        &self.inner.options
    }

    /// A valid value in this process. Never waits.
    pub fn peek(&self, key: &str) -> Option<Arc<LocalEntry>> {
        self.inner.local.as_ref()?.get(key)
    }

    /// A value in this process that was not invalidated, though it may be stale: for when the source fails.
    pub fn peek_stale(&self, key: &str) -> Option<Arc<LocalEntry>> {
        self.inner.local.as_ref()?.get_stale(key)
    }

    /// Reads an entry from Redis and keeps a copy. When it is missing and `tags` is not empty, their versions are read
    /// too, for the [`Fill`](super::Fill) that follows.
    pub fn load(
        &self,
        key: &str,
        tags: Vec<String>,
        ttl: Option<f64>,
    ) -> impl Future<Output = Result<Loaded>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let key = key.to_owned();
        let named = ttl;
        let sent = inner.check(&key, &tags, ttl).map(|ttl| (inner.begin(slice::from_ref(&key)), ttl));
        async move {
            let (reading, ttl) = sent?;
            let read = async { inner.finish(vec![key.clone()], reading.await?).await };
            let found = read.await.map(|mut hits| hits.pop().flatten());
            let found = inner.or_database(&key, found, |hit| hit.is_fresh().then_some(Some(hit))).await?;
            if let Some(hit) = found {
                return Ok(Loaded::Hit(hit));
            }
            if inner.database.is_some() {
                let cache = Self { inner };
                let acquire = Acquire { key, tags, ttl: named, ..Acquire::default() };
                return Box::pin(cache.load_through(acquire)).await;
            }
            if tags.is_empty() {
                return Ok(Loaded::Miss(Vec::new()));
            }
            let remote = &inner.remote;
            let read = scripts::read_tags(remote.link(), &inner.keys, &tags, ttl, remote.deadline()).await;
            let (versions, changed) = remote.observe(read)?;
            if changed && inner.is_tracked() {
                inner.hear_of_tags_again(&tags, &versions).await?;
            }
            Ok(Loaded::Miss(versions))
        }
    }

    /// Reads entries from Redis in one round trip (two if some have tags) and keeps copies; in the order of the keys.
    pub fn load_many(&self, keys: Vec<String>) -> impl Future<Output = Result<Vec<Option<Hit>>>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let sent = inner.check_bulk(&keys).map(|()| inner.begin(&keys));
        async move {
            let sent = sent?;
            if inner.database.is_none() {
                return inner.finish(keys, sent.await?).await;
            }
            let read = async { inner.finish(keys.clone(), sent.await?).await };
            let read = read.await;
            Box::pin(Self { inner }.load_many_through(keys, read)).await
        }
    }

    /// Reads an entry that Redis has not, through level 3.
    async fn load_through(&self, acquire: Acquire) -> Result<Loaded> {
        let key = acquire.key.clone();
        match self.acquire(acquire).await? {
            Acquired::Hit(hit) => Ok(Loaded::Hit(hit)),
            Acquired::Miss(_, lease) | Acquired::Busy(_, lease) => {
                drop(spawn(self.release(&key, &lease)));
                Ok(Loaded::Miss(lease.versions))
            }
            // Redis said already that it has none.
            Acquired::Unanswered => Ok(Loaded::Miss(Vec::new())),
        }
    }

    /// The same for what is missing of many.
    async fn load_many_through(&self, keys: Vec<String>, read: Result<Vec<Option<Hit>>>) -> Result<Vec<Option<Hit>>> {
        let fresh = |hit: Option<Hit>| hit.filter(Hit::is_fresh);
        let mut hits = match read {
            Ok(hits) => hits,
            Err(error) if error.is_retryable() => {
                let hits: Vec<_> = self.inner.lift(&keys, None).await.1.into_iter().map(fresh).collect();
                return if hits.iter().any(Option::is_some) { Ok(hits) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        let missing: Vec<_> = (0..keys.len()).filter(|&at| hits[at].is_none()).collect();
        let wanted = missing.iter().map(|&at| keys[at].clone()).collect();
        for (at, outcome) in missing.into_iter().zip(self.acquire_many(wanted, Vec::new(), None).await?) {
            match outcome {
                Acquired::Hit(hit) => hits[at] = Some(hit),
                Acquired::Unanswered => {}
                Acquired::Miss(_, lease) | Acquired::Busy(_, lease) => drop(spawn(self.release(&keys[at], &lease))),
            }
        }
        Ok(hits)
    }

    /// Whether there is a live entry.
    pub fn exists(&self, key: &str) -> impl Future<Output = Result<bool>> + Send + use<> {
        let probed = self.probe_now(key, Command::new("EXISTS").key(self.inner.keys.entry(key)));
        let (cache, key) = (self.clone(), key.to_owned());
        async move {
            let is_there = probed.await?.map_or(Ok(0), Value::into_int)? == 1;
            Ok(is_there || cache.in_database(key).await?.is_some())
        }
    }

    /// Seconds until an entry expires: -1 when it never does, -2 when there is none.
    pub fn ttl(&self, key: &str) -> impl Future<Output = Result<i64>> + Send + use<> {
        let probed = self.probe_now(key, Command::new("TTL").key(self.inner.keys.entry(key)));
        let (cache, key) = (self.clone(), key.to_owned());
        async move {
            let left = probed.await?.map_or(Ok(-2), Value::into_int)?;
            let hit = if left == -2 { cache.in_database(key).await? } else { None };
            let seconds = |left: Duration| i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            Ok(hit.map_or(left, |hit| hit.fresh_for.map_or(-1, seconds)))
        }
    }

    /// What level 3 has of a key that Redis has no entry of.
    async fn in_database(&self, key: String) -> Result<Option<Hit>> {
        if self.inner.database.is_none() {
            return Ok(None);
        }
        match Box::pin(self.load_through(Acquire { key, ..Acquire::default() })).await? {
            Loaded::Hit(hit) => Ok(Some(hit)),
            Loaded::Miss(_) => Ok(None),
        }
    }

    /// Like [`probe`](Self::probe), for what can be done without.
    fn probe_now(&self, key: &str, command: Command) -> impl Future<Output = Result<Option<Value>>> + Send + use<> {
        let remote = Arc::clone(&self.inner.remote);
        let sent = remote.available().map(|()| self.probe(key, command.deadline(remote.deadline())));
        async move { remote.observe(sent?.await) }
    }

    /// Runs `command`, which names the stored key of `key`; `None` when the entry there is dead by one of its tags.
    pub(super) fn probe(
        &self,
        key: &str,
        command: Command,
    ) -> impl Future<Output = Result<Option<Value>>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let sent = inner.keys.check(key).map(|()| inner.begin_probe(key, command));
        let key = key.to_owned();
        async move {
            let [reply, first] = sent?.await;
            let reply = reply?;
            // An error here means that the key is no string, and so no entry with tags.
            let tagged = matches!(first, Ok(Value::Bulk(byte)) if byte == [tags::TAGGED]);
            if tagged {
                let reading = inner.begin(slice::from_ref(&key));
                if inner.finish(vec![key], reading.await?).await?.pop().flatten().is_none() {
                    return Ok(None);
                }
            }
            Ok(Some(reply))
        }
    }

    /// Whether changes by other processes end the copies here. Becomes true soon after a connection. Otherwise a copy may
    /// be as old as `level1.ttl`.
    pub fn follows_changes(&self) -> bool {
        self.inner.local.as_ref().is_none_or(|local| local.follows_changes())
    }

    /// How often all copies here became invalid because changes by others may have been missed: for
    /// [`Fill::gaps`](super::Fill::gaps), to be asked for after the stamp was taken.
    pub fn gaps(&self) -> u32 {
        self.inner.gaps()
    }

    /// Entries and bytes in this process.
    pub fn local_size(&self) -> (u64, u64) {
        self.inner.local.as_ref().map_or((0, 0), |local| local.size())
    }

    /// What there is in this process of each priority, the lowest first; empty where no prefix has one.
    pub fn local_priorities(&self) -> Vec<PriorityTally> {
        self.inner.local.as_ref().and_then(|local| local.priorities()).map_or_else(Vec::new, Vec::from)
    }

    /// What level 3 tells of itself, where it is on.
    pub fn database_figures(&self) -> Option<DatabaseFigures> {
        self.inner.database.as_ref().map(|tier| tier.figures())
    }

    /// Asks the server for a sign of life.
    pub fn ping(&self) -> impl Future<Output = Result<String>> + Send + use<> {
        let reply = self.inner.remote.link().call(Command::new("PING").repeatable());
        async move { reply.await?.into_text() }
    }
}

impl Inner {
    /// Takes entries out of Redis.
    pub(super) fn remover(&self) -> &Remover {
        self.recovery.remover()
    }

    /// Remembers what a call was about that failed.
    pub(super) fn note_missed<T, I: IntoIterator<Item = Missed>>(
        &self,
        outcome: &Result<T>,
        items: impl FnOnce() -> I,
    ) {
        self.recovery.note(outcome, self.options.most_missed(), items);
    }

    pub(super) fn lock_keepers(&self) -> MutexGuard<'_, HashMap<String, LockKeeper>> {
        self.lock_keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self, key: &str, tags: &[String]) -> Watch {
        let space = self.keys.prefix();
        Watch {
            key: Epochs::shard(space, key),
            sweep: self.sweep,
            tags: tags.iter().map(|tag| self.tag(tag)).collect(),
        }
    }

    /// The counter of a tag: that of the record of its version, which is no caller's key.
    pub(super) fn tag(&self, tag: &str) -> Shard {
        Epochs::shard(self.keys.prefix(), &Keys::tag_name(tag))
    }

    /// Reads the versions of tags once more, after a script of ours wrote their records: that ended what the server
    /// remembers of them, while copies that carry the tags are still here.
    pub(super) async fn hear_of_tags_again(&self, tags: &[String], versions: &[String]) -> Result<()> {
        let now = self.remote.tag_versions(&self.keys, tags).await?;
        self.end_unless_same(tags, versions, &now);
        Ok(())
    }

    /// Ends what carries the tags when somebody else invalidated one unheard. Whether there was no need.
    pub(super) fn end_unless_same(&self, tags: &[String], before: &[String], now: &[Option<String>]) -> bool {
        let same = before.iter().eq(now.iter().flatten());
        if !same {
            self.end_tags(tags);
        }
        same
    }

    /// Ends every copy that carries one of the tags.
    pub(super) fn end_tags(&self, tags: &[String]) {
        for tag in tags {
            epochs().bump(self.tag(tag));
        }
    }

    /// Whether the server tells of changes to what is kept here.
    pub(super) fn is_tracked(&self) -> bool {
        self.local.as_ref().is_some_and(|local| local.is_tracked())
    }

    /// Tells other processes of what was changed, where the server may not. Published at once.
    pub(super) fn tell(&self, news: &dyn Fn() -> News) -> impl Future<Output = ()> + Send + use<> {
        let told = self.bus.as_ref().filter(|_| !self.is_tracked()).map(|bus| bus.tell(news()));
        // Without copies here nothing says whether anybody listens, which is seldom worth a wait.
        let waits = self.local.is_some() || self.options.coherence == CoherenceMode::Bus;
        async move {
            if let Some(told) = told.filter(|_| waits) {
                told.await;
            }
        }
    }

    pub(super) fn tell_keys(&self, keys: &[String]) -> impl Future<Output = ()> + Send + use<> {
        self.tell(&|| News::Changed(keys.to_vec()))
    }

    pub(super) fn gaps(&self) -> u32 {
        self.local.as_ref().map_or(0, |local| local.gaps())
    }

    /// Refuses a key, tags or life that may not be.
    pub(super) fn check(&self, key: &str, tags: &[String], ttl: Option<f64>) -> Result<Duration> {
        self.keys.check(key)?;
        Keys::check_tags(tags)?;
        ttl.map_or_else(|| Ok(self.options.default_ttl()), super::ttl_argument)
    }

    #[expect(clippy::cast_precision_loss, reason = "no list has 2^53 items")]
    pub(super) fn check_bulk<T: AsRef<str>>(&self, keys: &[T]) -> Result<()> {
        let limit = self.options.limits.max_bulk_keys;
        if keys.len() as f64 > limit {
            let message = format!("a bulk call with {} keys; allowed: at most {limit}", keys.len());
            return Err(Error::new(ErrorCode::CacheBulkTooLarge, message).with("limit", limit));
        }
        keys.iter().try_for_each(|key| self.keys.check(key.as_ref()))
    }

    /// Notes the counters and sends the reads.
    pub(super) fn begin(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<(Watch, u32, Option<RawEntry>)>>> + Send + use<> {
        let watches: Vec<_> = keys
            .iter()
            .map(|key| {
                let watch = self.watch(key, &[]);
                let stamp = watch.stamp();
                (watch, stamp)
            })
            .collect();
        let stored: Vec<_> = keys.iter().map(|key| self.keys.entry(key)).collect();
        let reading = self.remote.read(&stored);
        async move {
            let entries = reading.await?;
            Ok(watches.into_iter().zip(entries).map(|((watch, stamp), entry)| (watch, stamp, entry)).collect())
        }
    }

    /// Drops what is stale, or dead by its tags, and keeps copies of the rest.
    pub(super) async fn finish(
        &self,
        keys: Vec<String>,
        read: Vec<(Watch, u32, Option<RawEntry>)>,
    ) -> Result<Vec<Option<Hit>>> {
        let hits = self.finish_all(keys, read).await?;
        Ok(hits.into_iter().map(|hit| hit.filter(Hit::is_fresh)).collect())
    }

    /// Drops what is dead by its tags, and keeps copies of what is fresh.
    pub(super) async fn finish_all(
        &self,
        keys: Vec<String>,
        read: Vec<(Watch, u32, Option<RawEntry>)>,
    ) -> Result<Vec<Option<Hit>>> {
        // The tags' counters are noted before their versions are asked for: an invalidation in between moves one of them.
        let mut pending = Vec::with_capacity(read.len());
        for ((mut watch, mut stamp, entry), key) in read.into_iter().zip(&keys) {
            let Some(entry) = entry else {
                pending.push(None);
                continue;
            };
            let (line, value) = match tags::parse(&entry.bytes) {
                Stored::Plain(value) => (None, Ok(value)),
                Stored::Tagged(line, value) => (Some(line), Ok(value)),
                Stored::Broken => (None, Err(format::unreadable("has a first line that names no tags"))),
            };
            let text = match value {
                Ok(value) => format::unpack(value, self.options.max_value_size()).await,
                Err(error) => Err(error),
            };
            if let Some(line) = &line {
                watch.tags = line.versions.keys().map(|tag| self.tag(tag)).collect();
                // The sum of the tags' counters now, and of the others as they were when the read was sent.
                stamp = stamp.wrapping_add(watch.tags_stamp());
            }
            pending.push(match text {
                Ok(text) => Some((self.hit(text, watch, stamp, entry.remaining, line.as_ref()), line)),
                Err(error) => {
                    self.reporter.tell(|| error.with("key", key.as_str()));
                    None
                }
            });
        }
        let wanted: BTreeSet<&String> = pending
            .iter()
            .flatten()
            .filter_map(|(_, line)| line.as_ref())
            .flat_map(|line| line.versions.keys())
            .collect();
        let wanted: Vec<String> = wanted.into_iter().cloned().collect();
        let current =
            if wanted.is_empty() { Vec::new() } else { self.remote.tag_versions(&self.keys, &wanted).await? };
        let version = |tag: &String| wanted.binary_search(tag).ok().and_then(|at| current.get(at)?.clone());
        Ok(pending
            .into_iter()
            .zip(keys)
            .map(|(found, key)| {
                let (hit, line) = found?;
                if let Some(line) = line {
                    let now: Vec<_> = line.versions.keys().map(version).collect();
                    if !tags::holds(&line, &now) {
                        return None;
                    }
                }
                if !hit.life.is_zero()
                    && let Some(local) = &self.local
                {
                    local.insert(&key, hit.text.clone(), hit.watch.clone(), hit.stamp, keep_of(&hit));
                }
                Some(hit)
            })
            .collect())
    }

    /// What is known of an entry that was read.
    pub(super) fn hit(
        &self,
        text: String,
        watch: Watch,
        stamp: u32,
        remaining: Remaining,
        line: Option<&TagLine>,
    ) -> Hit {
        let stale = Duration::from_millis(line.map_or(0, |line| line.stale_ms));
        let (fresh_for, stale_for) = match remaining {
            Remaining::For(left) => (Some(left.saturating_sub(stale)), stale.min(left)),
            // It expires at this moment, or is no entry of ours.
            Remaining::Unknown | Remaining::Endless => (None, Duration::ZERO),
        };
        let usable = fresh_for.map_or_else(|| self.life(remaining), |left| self.life(Remaining::For(left)));
        let load_ms = line.map_or(0, |line| u32::try_from(line.load_ms).unwrap_or(u32::MAX));
        Hit { text, watch, stamp, life: usable, fresh_for, stale_for, load_ms, level: 2 }
    }

    /// How long a copy of an entry may live here.
    pub(super) fn life(&self, remaining: Remaining) -> Duration {
        let longest = Duration::from_secs_f64(self.options.level1.ttl);
        match remaining {
            Remaining::Unknown => Duration::ZERO,
            Remaining::For(remaining) => remaining.min(longest),
            Remaining::Endless => longest,
        }
    }

    fn begin_probe(&self, key: &str, command: Command) -> impl Future<Output = [Result<Value>; 2]> + Send + use<> {
        let stored = self.keys.entry(key);
        let mut first_byte = Command::new("GETRANGE").key(&stored).int(0).int(0).repeatable();
        first_byte.deadline = command.deadline;
        let commands = [command.repeatable(), first_byte];
        let replies = self.remote.link().call_many(&commands);
        async move {
            let mut replies = replies.await.into_iter();
            let mut next = || replies.next().unwrap_or_else(|| Err(Error::closed("connection")));
            [next(), next()]
        }
    }
}

/// How long a copy of what was found may be used.
pub(super) fn keep_of(hit: &Hit) -> Keep {
    Keep { life: hit.fresh_for, stale: hit.stale_for, load_ms: hit.load_ms }
}
