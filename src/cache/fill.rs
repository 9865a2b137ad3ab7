//! Storing what a source gave, unless it was written or invalidated meanwhile.

use std::{borrow::Cow, collections::BTreeMap, slice, time::Duration};

use super::{
    cache::{Cache, Condition, Inner},
    database::Seen,
    gates,
    keys::Keys,
    lease::Lease,
    lifting::row_value,
    local_tier::Keep,
    registered::Written,
    scripts,
    tags::{self, TagLine},
    write::whole_millis,
};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, Result},
    script::{ScriptCall, cache::FILL, is_unknown_script},
    service::spawn,
};

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
            if matches!(filled, Ok(true)) {
                inner.store_filled(&fill, &value);
            }
            if !matches!(filled, Ok(true))
                && let Some(lease) = &fill.lease
            {
                cache.release(&fill.key, lease).await;
            }
            filled
        }
    }
}

impl Inner {
    /// Stores the row as well, when there is time.
    fn store_filled(&self, fill: &Fill, value: &[u8]) {
        let seen = fill.lease.as_ref().and_then(|lease| Seen::from_text(&lease.seen));
        let (Some(tier), Some(seen)) = (&self.database, seen) else { return };
        let stale = Duration::try_from_secs_f64(fill.stale).unwrap_or_default();
        let head = self.row_line(&fill.tags, &fill.versions, stale, fill.load_ms);
        let life = self.row_life(tier, fill.ttl) + stale;
        drop(spawn(self.store_row(tier, &fill.key, row_value(&head, value), fill.tags.clone(), life, seen)));
    }

    pub(super) async fn try_fill(&self, fill: &mut Fill, value: &[u8]) -> Result<bool> {
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
        let stored = [self.keys.entry(&fill.key)];
        let sent = available.map(|available| {
            gates::pass([watch.key], || {
                let moved = watch.stamp().wrapping_sub(fill.stamp);
                let by_gaps = self.gaps().wrapping_sub(fill.gaps);
                (moved == by_gaps).then(|| {
                    available.then(|| {
                        let (writes, script) = self.fill_writes(fill, value, ttl, stale);
                        (self.send_writes(writes, &stored, &fill.tags), script)
                    })
                })
            })
        });
        let mut told = None;
        let written = match sent {
            Ok(None) => return Ok(false),
            Ok(Some(None)) => Ok(true),
            Ok(Some(Some((sent, script)))) => {
                let mut written = sent.await;
                if let Some(script) = script
                    && matches!(written.replies.first(), Some(Err(error)) if is_unknown_script(error))
                {
                    // All but the script has run. That it comes later is no matter: it looks at the lease.
                    written = self.send_writes(vec![script.by_text()], &stored, &fill.tags).await;
                }
                let Written { replies, versions } = written;
                told = Some(self.tell_keys(slice::from_ref(&fill.key)));
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
        if let Some(told) = told {
            told.await;
        }
        written
    }

    /// The commands that store an entry and count it as written under each of its tags. With a lease the first is the
    /// script that compares it, by its digest.
    fn fill_writes(
        &self,
        fill: &Fill,
        value: &[u8],
        ttl: Duration,
        stale: Duration,
    ) -> (Vec<Command>, Option<ScriptCall>) {
        let (deadline, stored) = (self.remote.deadline(), self.keys.entry(&fill.key));
        let versions: BTreeMap<_, _> = fill.tags.iter().cloned().zip(fill.versions.iter().cloned()).collect();
        let stale_ms = u64::try_from(stale.as_millis()).unwrap_or(0);
        let plain = versions.is_empty() && stale_ms == 0 && fill.load_ms == 0;
        let line = TagLine { versions, created_ms: self.clock.now_ms(), stale_ms, load_ms: u64::from(fill.load_ms) };
        let value = if plain { Cow::Borrowed(value) } else { Cow::Owned(tags::encode(&line, value)) };
        let kept = ttl + stale;
        let (mut writes, script) = if let Some(lease) = &fill.lease {
            let expiry = whole_millis(kept).to_string();
            let keys = [self.keys.lease(&fill.key), self.keys.lock(&fill.key), self.keys.sweep()];
            let absent: &[u8] = if lease.absent { b"1" } else { b"" };
            let (token, swept, lock) = (lease.token.as_bytes(), lease.swept.as_bytes(), lease.lock.as_bytes());
            let call = FILL
                .with([&stored, &keys[0], &keys[1], &keys[2]], [token, swept, lock, absent, &value, expiry.as_bytes()])
                .deadline(deadline);
            (vec![call.by_digest()], Some(call))
        } else {
            let set = self.set_command(&fill.key, &value, kept, Condition::Always).deadline(deadline);
            (vec![self.end_leases(slice::from_ref(&stored), &set), set], None)
        };
        writes.extend(fill.tags.iter().map(|tag| {
            Command::new("PFADD").key(self.keys.tag_members(tag)).arg(&stored).repeatable().deadline(deadline)
        }));
        (writes, script)
    }
}
