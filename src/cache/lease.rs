//! Leases: how an invalidation by one process keeps another from storing what it had asked for before.
//!
//! The counters of [`epochs`](super::epochs) see what happens in this process, and what the server tells of. A key that is
//! missing has no entry whose deletion could be told, so whoever misses it leaves a token in Redis, in a key of its own that
//! no reader of entries ever sees. Every write and every invalidation removes the token; a value is stored only where the
//! token of its load is still there, which one script looks at and does:
//!
//! ```text
//! process A  misses, leaves token 7 ── asks the source: v1 ────────────── fills with 7: refused
//! process B                              updates the source, deletes: the token goes
//! ```
//!
//! Those who miss at the same time share the token. It says nothing about who may ask the source. With an *exclusive* lease
//! one process asks it and holds a lock, which it extends while its load runs, and which is free soon after it died. The
//! others wait, and read the entry again when the server tells of it, or every fraction of a second.
//!
//! Pattern deletes and flushes raise one version for all keys instead, which each lease remembers.

use std::{slice, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    cache::{Cache, Hit, Inner},
    database::Seen,
    scripts,
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
    script::{
        cache::{LEASE_MISSING, RELEASE},
        lock::EXTEND_LOCK,
    },
    service::{Duty, spawn},
};

/// Longest time between a load's begin and its fill. A later fill is refused.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// After so long the lock of a process that died is free.
const LOCK_LIFE: Duration = Duration::from_secs(3);
/// How often those who wait look for themselves.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(150);

/// Leave to store what a source will give. Made by [`Cache::acquire`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    pub token: String,
    /// Version of the cache's last sweep when it was taken.
    pub swept: String,
    /// The server's time when it was taken, in microseconds.
    pub began: String,
    /// Of the lock, when this process alone asks the source; else empty.
    pub lock: String,
    /// Whether there was no entry at all, not even a stale or dead one.
    pub absent: bool,
    /// How far the table of level 3 had come, which says what a row may replace; empty where it was not read.
    pub seen: String,
    /// Versions of the tags.
    pub versions: Vec<String>,
}

/// What [`Cache::acquire`] is told.
#[derive(Clone, Debug, Default)]
pub struct Acquire {
    pub key: String,
    pub tags: Vec<String>,
    pub ttl: Option<f64>,
    /// Only one process is to ask the source; the others wait for so long before they ask it, too. Zero: do not wait.
    pub exclusive: Option<Duration>,
    /// Do not wait where something may stand in.
    pub stale_suffices: bool,
    /// The entry is to be refreshed although it is still fresh for so long: a hit is only one that is fresh for longer.
    pub refresh: Option<Duration>,
}

/// The outcome of [`Cache::acquire`].
#[derive(Clone, Debug, PartialEq)]
pub enum Acquired {
    Hit(Hit),
    /// Ask the source. With the value that may stand in for it should it fail.
    Miss(Option<Hit>, Lease),
    /// Another process asks the source, and there was no time to wait for it. With what may stand in.
    Busy(Option<Hit>, Lease),
    /// Redis did not answer within `level2.softTimeout`. Should it have a value, a copy will be kept.
    Unanswered,
}

/// Extends a lock for as long as it lives.
pub(super) struct LockKeeper {
    _duty: Duty,
}

impl Cache {
    /// Reads an entry; where there is no fresh one, takes a lease on it. The lease ends with the [`Fill`](super::Fill)
    /// that names it, or with [`release`](Self::release).
    pub async fn acquire(&self, acquire: Acquire) -> Result<Acquired> {
        let key = acquire.key.clone();
        let acquired = self.acquire_from_redis(acquire).await;
        let fresh = |hit: Hit| hit.is_fresh().then_some(Acquired::Hit(hit));
        if self.inner.database.is_some() && matches!(acquired, Ok(Acquired::Unanswered)) {
            let (_, mut hits) = Box::pin(self.inner.lift(&[key], None)).await;
            return Ok(hits.pop().flatten().and_then(fresh).unwrap_or(Acquired::Unanswered));
        }
        self.inner.or_database(&key, acquired, fresh).await
    }

    async fn acquire_from_redis(&self, acquire: Acquire) -> Result<Acquired> {
        let inner = &self.inner;
        let ttl = inner.check(&acquire.key, &acquire.tags, acquire.ttl)?;
        let newer = |hit: &Hit| match (acquire.refresh, hit.fresh_for) {
            (Some(known), Some(left)) => left > known + Duration::from_millis(100),
            _ => hit.is_fresh(),
        };
        let key = &acquire.key;
        let Some(mut found) = inner.remote.softly(inner.read_all(vec![key.clone()])).await? else {
            return Ok(Acquired::Unanswered);
        };
        if let Some(hit) = found.pop().flatten()
            && newer(&hit)
        {
            return Ok(Acquired::Hit(hit));
        }
        let give_up = acquire.exclusive.map(|wait| Instant::now() + wait);
        let mut look = FIRST_LOOK;
        let mut database = None;
        loop {
            let taking = {
                let (inner, acquire) = (Arc::clone(inner), acquire.clone());
                async move { inner.take(&acquire).await }
            };
            // One that is taken too late is in nobody's way: its lock runs out, and its token is the next one's, too.
            let Some((mut lease, mut stale)) = inner.remote.softly(taking).await? else {
                return Ok(Acquired::Unanswered);
            };
            if let Some(hit) = stale.as_ref().filter(|hit| newer(hit)) {
                inner.give_back(key, &lease).await;
                return Ok(Acquired::Hit(hit.clone()));
            }
            if inner.database.is_some() {
                let (seen, older) = if let Some(looked) = database {
                    looked
                } else {
                    let (seen, mut hits) = Box::pin(inner.lift(slice::from_ref(key), Some(&[&lease]))).await;
                    let hit = hits.pop().flatten();
                    if let Some(hit) = hit.as_ref().filter(|hit| newer(hit)) {
                        inner.give_back(key, &lease).await;
                        return Ok(Acquired::Hit(hit.clone()));
                    }
                    (seen, hit)
                };
                lease.seen = seen.map(Seen::to_text).unwrap_or_default();
                stale = stale.or_else(|| older.clone());
                database = Some((seen, older));
            }
            if lease.versions.len() != acquire.tags.len() {
                lease.versions = inner.versions(&acquire.tags, ttl).await?;
            }
            match give_up {
                Some(give_up) if lease.lock.is_empty() => {
                    let now = Instant::now();
                    if now >= give_up || (acquire.stale_suffices && stale.is_some()) {
                        return Ok(Acquired::Busy(stale, lease));
                    }
                    let mut told = inner.wakers.wait(key);
                    tokio::select! {
                        () = told.woken() => {}
                        () = sleep(look.min(give_up - now)) => {}
                    }
                    look = (look * 2).min(LAST_LOOK);
                }
                _ => {
                    inner.keep_lock(key, &lease);
                    return Ok(Acquired::Miss(stale, lease));
                }
            }
        }
    }

    /// Reads entries, and takes a lease on each that is missing, in one round trip (two if entries have tags or are stale).
    /// In the order of the keys; the versions of `tags` are in every lease.
    pub async fn acquire_many(&self, keys: Vec<String>, tags: Vec<String>, ttl: Option<f64>) -> Result<Vec<Acquired>> {
        let inner = &self.inner;
        inner.check_bulk(&keys)?;
        let ttl = ttl.map_or_else(|| Ok(inner.options.default_ttl()), super::ttl_argument)?;
        super::keys::Keys::check_tags(&tags)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (count, inner) = (keys.len(), Arc::clone(inner));
        let acquired = self.inner.remote.softly(async move { inner.take_many(keys, tags, ttl).await }).await?;
        Ok(acquired.unwrap_or_else(|| vec![Acquired::Unanswered; count]))
    }

    /// Gives back a lease under which nothing is stored: the source failed, or had nothing.
    pub fn release(&self, key: &str, lease: &Lease) -> impl Future<Output = ()> + Send + use<> {
        let (inner, key, lease) = (Arc::clone(&self.inner), key.to_owned(), lease.clone());
        async move { inner.give_back(&key, &lease).await }
    }
}

impl Inner {
    /// Reads entries, fresh or not, and keeps copies.
    fn read_all(self: &Arc<Self>, keys: Vec<String>) -> impl Future<Output = Result<Vec<Option<Hit>>>> + Send + use<> {
        let (inner, reading) = (Arc::clone(self), self.begin(&keys));
        async move { inner.finish_all(keys, reading.await?).await }
    }

    async fn take_many(self: &Arc<Self>, keys: Vec<String>, tags: Vec<String>, ttl: Duration) -> Result<Vec<Acquired>> {
        let (inner, remote) = (self, &self.remote);
        let reading = inner.read_all(keys.clone());
        let token = new_token();
        let life = LIFE.as_millis().to_string();
        let prefixes = [inner.keys.lease(""), inner.keys.entry("")];
        let leasing = LEASE_MISSING
            .with([&prefixes[0], &prefixes[1]], [token.as_bytes(), life.as_bytes()], &keys)
            .deadline(remote.deadline())
            .repeatable()
            .start(Arc::clone(remote.link()));
        let mut more = vec![Command::new("GET").key(inner.keys.sweep()), Command::new("TIME")];
        more.extend((!tags.is_empty()).then(|| super::remote_tier::RemoteTier::versions_command(&inner.keys, &tags)));
        let more: Vec<_> = more.into_iter().map(|command| command.deadline(remote.deadline()).repeatable()).collect();
        let more = remote.link().call_many(&more);
        let all = keys.clone();
        let hits = reading.await?;
        let tokens = remote.observe(leasing.await)?.into_items()?;
        let mut more = remote.observe(more.await.into_iter().collect::<Result<Vec<_>>>())?.into_iter();
        let swept = more.next().unwrap_or(Value::Nil).into_optional_text()?.unwrap_or_default();
        let began = micros(more.next().unwrap_or(Value::Nil))?;
        let known = more.next().map(super::remote_tier::RemoteTier::versions).transpose()?.unwrap_or_default();
        let versions = match known.into_iter().collect::<Option<Vec<String>>>() {
            Some(versions) if versions.len() == tags.len() => versions,
            _ => inner.versions(&tags, ttl).await?,
        };
        let mut outcomes = Vec::with_capacity(keys.len());
        for ((hit, token), key) in hits.into_iter().zip(tokens).zip(keys) {
            let token = token.into_text()?;
            outcomes.push(match hit {
                Some(hit) if hit.is_fresh() => Acquired::Hit(hit),
                stale if token.is_empty() => {
                    // Something lies there that is stale or dead, which the script cannot tell.
                    let acquire = Acquire { key, tags: tags.clone(), ..Acquire::default() };
                    let (lease, _) = inner.take(&acquire).await?;
                    Acquired::Miss(stale, Lease { versions: versions.clone(), ..lease })
                }
                stale => {
                    let (swept, began, versions) = (swept.clone(), began.clone(), versions.clone());
                    Acquired::Miss(
                        stale,
                        Lease { token, swept, began, versions, absent: true, seen: String::new(), lock: String::new() },
                    )
                }
            });
        }
        if inner.database.is_some() {
            Box::pin(inner.lift_missing(&all, &mut outcomes)).await;
        }
        Ok(outcomes)
    }

    /// Gives the keys that are missing in Redis what level 3 has.
    async fn lift_missing(self: &Arc<Self>, keys: &[String], outcomes: &mut [Acquired]) {
        let missing = |outcome: &Acquired| matches!(outcome, Acquired::Miss(..));
        let at: Vec<_> = (0..keys.len()).filter(|&at| missing(&outcomes[at])).collect();
        if at.is_empty() {
            return;
        }
        let wanted: Vec<_> = at.iter().map(|&at| keys[at].clone()).collect();
        let leases: Vec<Lease> = at
            .iter()
            .filter_map(|&at| if let Acquired::Miss(_, lease) = &outcomes[at] { Some(lease.clone()) } else { None })
            .collect();
        let (seen, hits) = self.lift(&wanted, Some(&leases.iter().collect::<Vec<_>>())).await;
        for (at, hit) in at.into_iter().zip(hits) {
            let fresh = hit.as_ref().is_some_and(Hit::is_fresh);
            match (&mut outcomes[at], hit) {
                (outcome, Some(hit)) if fresh => {
                    if let Acquired::Miss(_, lease) = outcome {
                        let (inner, key, lease) = (Arc::clone(self), keys[at].clone(), lease.clone());
                        drop(spawn(async move { inner.give_back(&key, &lease).await }));
                    }
                    *outcome = Acquired::Hit(hit);
                }
                (Acquired::Miss(stale, lease), hit) => {
                    lease.seen = seen.map(Seen::to_text).unwrap_or_default();
                    *stale = stale.take().or(hit);
                }
                _ => {}
            }
        }
    }

    /// Takes a lease, and the lock if nobody holds it; with the entry, read once more afterwards.
    async fn take(self: &Arc<Self>, acquire: &Acquire) -> Result<(Lease, Option<Hit>)> {
        self.remote.available()?;
        let key = &acquire.key;
        let (lease, lock, token) = (self.keys.lease(key), self.keys.lock(key), new_token());
        let set = |key: &str, life: Duration| {
            let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
            Command::new("SET").key(key).arg(&token).arg("NX").arg("PX").int(life)
        };
        // Read after it was written: the server then tells when somebody else removes it, and what is sent twice after a
        // connection broke finds its own token.
        let mut commands = vec![set(&lease, LIFE), Command::new("GET").key(&lease)];
        commands.push(Command::new("GET").key(self.keys.sweep()));
        commands.push(Command::new("TIME"));
        let exclusive = acquire.exclusive.is_some();
        if exclusive {
            commands.push(set(&lock, LOCK_LIFE));
        }
        let tagged = !acquire.tags.is_empty();
        if tagged {
            commands.push(super::remote_tier::RemoteTier::versions_command(&self.keys, &acquire.tags));
        }
        let commands: Vec<_> =
            commands.into_iter().map(|one| one.deadline(self.remote.deadline()).repeatable()).collect();
        let replies = self.remote.link().call_many(&commands);
        let reading = self.begin(slice::from_ref(key));
        let replies = self.remote.observe(replies.await.into_iter().collect::<Result<Vec<_>>>())?;
        let mut replies = replies.into_iter().skip(1);
        let mut next = || replies.next().unwrap_or(Value::Nil);
        let shared = next().into_optional_text()?.unwrap_or_default();
        let swept = next().into_optional_text()?.unwrap_or_default();
        let began = micros(next())?;
        let locked = exclusive && !next().is_nil();
        let versions = if tagged { super::remote_tier::RemoteTier::versions(next())? } else { Vec::new() };
        let read = reading.await?;
        let absent = read.first().is_none_or(|(.., entry)| entry.is_none());
        let stale = self.finish_all(vec![key.clone()], read).await?.pop().flatten();
        let lock = if locked { token } else { String::new() };
        let versions = versions.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default();
        Ok((Lease { token: shared, swept, began, lock, absent, seen: String::new(), versions }, stale))
    }

    /// The outcome; where Redis is away, what level 3 has instead of the error.
    pub(super) async fn or_database<T>(
        self: &Arc<Self>,
        key: &str,
        outcome: Result<T>,
        answer: impl FnOnce(Hit) -> Option<T>,
    ) -> Result<T> {
        let error = match outcome {
            Err(error) if self.database.is_some() && error.is_retryable() => error,
            outcome => return outcome,
        };
        let (_, mut hits) = Box::pin(self.lift(&[key.to_owned()], None)).await;
        hits.pop().flatten().and_then(answer).ok_or(error)
    }

    /// The versions of tags, which get one where they have none.
    pub(super) async fn versions(&self, tags: &[String], ttl: Duration) -> Result<Vec<String>> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let read = scripts::read_tags(self.remote.link(), &self.keys, tags, ttl, self.remote.deadline()).await;
        let (versions, changed) = self.remote.observe(read)?;
        if changed && self.is_tracked() {
            self.hear_of_tags_again(tags, &versions).await?;
        }
        Ok(versions)
    }

    async fn give_back(&self, key: &str, lease: &Lease) {
        self.lose_lock(&lease.lock);
        if self.remote.available().is_err() {
            return;
        }
        let keys = [self.keys.lease(key), self.keys.lock(key)];
        let call = RELEASE.with([&keys[0], &keys[1]], [lease.token.as_bytes(), lease.lock.as_bytes()]);
        // What is left behind expires.
        let given = call.deadline(self.remote.deadline()).repeatable().start(Arc::clone(self.remote.link())).await;
        drop(self.remote.observe(given));
    }

    /// Extends the lock of a lease, if it has one, until [`lose_lock`](Self::lose_lock).
    fn keep_lock(self: &Arc<Self>, key: &str, lease: &Lease) {
        if lease.lock.is_empty() {
            return;
        }
        let (inner, stored, token) = (Arc::downgrade(self), self.keys.lock(key), lease.lock.clone());
        let duty = Duty::start(async move {
            let began = Instant::now();
            while began.elapsed() < LIFE {
                sleep(LOCK_LIFE / 3).await;
                let Some(inner) = inner.upgrade() else { return };
                let life = LOCK_LIFE.as_millis().to_string();
                let call = EXTEND_LOCK.with([&stored], [token.as_bytes(), life.as_bytes()]);
                let extended = call.deadline(inner.remote.deadline()).start(Arc::clone(inner.remote.link())).await;
                if extended.is_ok_and(|reply| reply == Value::Int(0)) {
                    return;
                }
            }
        });
        self.lock_keepers().insert(lease.lock.clone(), LockKeeper { _duty: duty });
    }

    pub(super) fn lose_lock(&self, token: &str) {
        if !token.is_empty() {
            self.lock_keepers().remove(token);
        }
    }
}

fn new_token() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The reply to TIME in microseconds.
fn micros(reply: Value) -> Result<String> {
    let mut parts = reply.into_items()?.into_iter().map(Value::into_text);
    let (Some(seconds), Some(micros)) = (parts.next(), parts.next()) else {
        return Err(Error::new(ErrorCode::UnexpectedReply, "TIME was not answered with two numbers"));
    };
    Ok(format!("{}{:0>6}", seconds?, micros?))
}
