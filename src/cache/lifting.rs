//! Carrying values up from level 3.
//!
//! A row is read under a lease that was taken in Redis before, so that whatever ends the key or the cache's entries by a
//! pattern meanwhile keeps it from Redis ([`lease`](super::lease), [`ending`](super::ending)). Without Redis there is no
//! lease: the row is the answer, and its copy in this process lives as long as any copy does while Redis is away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    cache::{Hit, Inner},
    database::{Change, DatabaseTier, Outcome, Row, Seen},
    epochs::Watch,
    fill::Fill,
    format,
    keys::Keys,
    lease::Lease,
    remote_tier::Remaining,
    tags::{self, Stored, TagLine},
};
use crate::{codec::resp::Value, connection::Command, error::Result, service::spawn};

/// The versions that tags have in Redis; `None` where it cannot be asked.
type Versions = Option<BTreeMap<String, String>>;

/// A row, taken apart.
struct Candidate {
    at: usize,
    row: Row,
    line: TagLine,
    text: String,
    /// Where in the row the value begins.
    value_at: usize,
    watch: Watch,
    stamp: u32,
}

impl Inner {
    /// Rows of keys that Redis has no entries of, in their order, and what a load has to know that begins now. With the
    /// leases on the keys what is fresh is carried up to Redis; with `None`, Redis is away.
    pub(super) async fn lift(
        self: &Arc<Self>,
        keys: &[String],
        leases: Option<&[&Lease]>,
    ) -> (Option<Seen>, Vec<Option<Hit>>) {
        let mut hits: Vec<Option<Hit>> = keys.iter().map(|_| None).collect();
        let Some(tier) = self.database.clone() else { return (None, hits) };
        let begun: Vec<_> = keys
            .iter()
            .map(|key| {
                let watch = self.watch(key, &[]);
                let stamp = watch.stamp();
                (watch, stamp)
            })
            .collect();
        let gaps = self.gaps();
        let open = match leases {
            Some(_) => match self.not_ending(keys).await {
                Ok(Some(open)) => open,
                Ok(None) => {
                    self.mend();
                    return (None, hits);
                }
                Err(_) => return (None, hits),
            },
            None => keys.iter().collect(),
        };
        let names: Vec<String> = open.into_iter().cloned().collect();
        let Some(mut look) = tier.look(&names).await else { return (None, hits) };
        let now_ms = self.clock.now_ms();
        let mut candidates = Vec::new();
        for (at, ((watch, stamp), key)) in begun.into_iter().zip(keys).enumerate() {
            if let Some(row) = look.rows.remove(key) {
                candidates.extend(self.candidate(at, key, row, watch, stamp).await);
            }
        }
        let wanted: BTreeSet<String> = candidates.iter().flat_map(|one| one.line.versions.keys().cloned()).collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        let Some((versions, marks)) = self.say_of_tags(&tier, &wanted, leases.is_some()).await else {
            return (look.seen, hits);
        };
        let mut lifting = Vec::new();
        for one in candidates {
            let judgement = judge(&one, &versions, marks.as_ref());
            if matches!(judgement, Judgement::Ended) {
                continue;
            }
            let left = u64::try_from(one.row.expires_at_ms - now_ms).unwrap_or(0);
            let Candidate { at, row, line, text, value_at, watch, stamp } = one;
            let mut hit = self.hit(text, watch, stamp, Remaining::For(Duration::from_millis(left)), Some(&line));
            hit.level = 3;
            match (leases, judgement) {
                (Some(leases), Judgement::CarryUp(versions)) if hit.is_fresh() => {
                    let fresh = hit.fresh_for.unwrap_or_default().min(self.options.default_ttl());
                    let fill = Fill {
                        key: keys[at].clone(),
                        text: hit.text.clone(),
                        ttl: Some(fresh.as_secs_f64().max(0.001)),
                        tags: line.versions.into_keys().collect(),
                        versions,
                        stamp,
                        gaps,
                        lease: Some(leases[at].clone()),
                        stale: if fresh == hit.fresh_for.unwrap_or_default() {
                            hit.stale_for.as_secs_f64()
                        } else {
                            0.0
                        },
                        load_ms: hit.load_ms,
                        ..Fill::default()
                    };
                    lifting.push((at, spawn(Arc::clone(self).carry_up(fill, row.value, value_at))));
                }
                (None, _) => {
                    if let Some(local) = self.local.as_ref().filter(|_| hit.is_fresh()) {
                        let keep = super::cache::keep_of(&hit);
                        local.insert(&keys[at], hit.text.clone(), hit.watch.clone(), stamp, keep);
                    }
                }
                _ => hit.life = Duration::ZERO,
            }
            hits[at] = Some(hit);
        }
        for (at, lifted) in lifting {
            // What was refused or failed is the answer to those who asked, and kept nowhere.
            if !lifted.await.is_ok_and(|kept| kept)
                && let Some(hit) = &mut hits[at]
            {
                hit.life = Duration::ZERO;
            }
        }
        (look.seen, hits)
    }

    /// Takes a row apart; `None` when it cannot be read. The counters of its tags are noted now, before their versions are.
    async fn candidate(&self, at: usize, key: &str, row: Row, mut watch: Watch, stamp: u32) -> Option<Candidate> {
        let (line, value) = match tags::parse(&row.value) {
            Stored::Plain(value) => (TagLine::default(), value),
            Stored::Tagged(line, value) => (line, value),
            Stored::Broken => return None,
        };
        let value_at = row.value.len() - value.len();
        let text = match format::unpack(value, self.options.max_value_size()).await {
            Ok(text) => text,
            Err(error) => {
                self.reporter.tell(|| error.with("key", key));
                return None;
            }
        };
        watch.tags = line.versions.keys().map(|tag| self.tag(tag)).collect();
        let stamp = stamp.wrapping_add(watch.tags_stamp());
        Some(Candidate { at, row, line, text, value_at, watch, stamp })
    }

    async fn carry_up(self: Arc<Self>, mut fill: Fill, value: Vec<u8>, value_at: usize) -> bool {
        self.try_fill(&mut fill, &value[value_at..]).await.unwrap_or(false)
    }

    /// The keys without a token; `None` when no row may be used.
    async fn not_ending<'a>(&self, keys: &'a [String]) -> Result<Option<Vec<&'a String>>> {
        let tokens = self.tokens(keys.iter().map(|key| self.keys.ending(key))).await?;
        Ok(tokens
            .map(|tokens| keys.iter().zip(tokens).filter(|(_, is_ending)| !is_ending).map(|(key, _)| key).collect()))
    }

    async fn tokens(&self, names: impl Iterator<Item = String>) -> Result<Option<Vec<bool>>> {
        let get = Command::new("MGET").key(self.keys.database_closed());
        let get = names.fold(get, Command::key);
        let reply = self.remote.link().call(get.deadline(self.remote.deadline()).repeatable()).await;
        let mut there = self.remote.observe(reply)?.into_items()?.into_iter().map(|value| value != Value::Nil);
        let closed = there.next().unwrap_or(true);
        Ok((!closed).then(|| there.collect()))
    }

    /// The versions that tags have in Redis, and then their marks in the table: in this order, so that an invalidation of
    /// which a version tells nothing is seen by its token or its mark. `None` when nothing can be said.
    async fn say_of_tags(
        &self,
        tier: &DatabaseTier,
        wanted: &[String],
        with_redis: bool,
    ) -> Option<(Versions, Option<(Seen, BTreeMap<String, i64>)>)> {
        if wanted.is_empty() {
            return Some((None, None));
        }
        let mut versions = None;
        if with_redis {
            let mut now = BTreeMap::new();
            let mut missing = Vec::new();
            let known = self.remote.tag_versions(&self.keys, wanted).await.ok()?;
            for (tag, version) in wanted.iter().zip(known) {
                match version {
                    Some(version) => drop(now.insert(tag.clone(), version)),
                    None => missing.push(tag.clone()),
                }
            }
            let made = self.versions(&missing, self.options.default_ttl()).await.ok()?;
            now.extend(missing.into_iter().zip(made));
            let tokens = self.tokens(wanted.iter().map(|tag| self.keys.ending(&Keys::tag_name(tag)))).await.ok()??;
            // What is being ended is not carried up; whether it is the answer, its mark decides.
            for (tag, is_ending) in wanted.iter().zip(tokens) {
                if is_ending {
                    now.remove(tag);
                }
            }
            versions = Some(now);
        }
        Some((versions, Some(tier.tags(wanted.to_vec()).await?)))
    }

    /// Stores in the table what a source gave, or a caller set, unless it was overtaken.
    pub(super) fn store_row(
        &self,
        tier: &DatabaseTier,
        key: &str,
        value: Vec<u8>,
        tags: Vec<String>,
        life: Duration,
        seen: Seen,
    ) -> impl Future<Output = Option<Outcome>> + Send + use<> {
        let expires_at_ms = self.clock.now_ms().saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        tier.store(Change::Store { name: key.to_owned(), value, tags, expires_at_ms, seen })
    }

    /// How long a row lives whose writer named `ttl`, or none.
    pub(super) fn row_life(&self, tier: &DatabaseTier, ttl: Option<f64>) -> Duration {
        let named = ttl.or(self.options.default_ttl).map(Duration::from_secs_f64);
        named.map_or(tier.ttl(), |named| named.min(tier.ttl()))
    }

    /// The line in front of a row. The versions are those of an entry in Redis, and decide nothing here.
    pub(super) fn row_line(&self, tags: &[String], versions: &[String], stale: Duration, load_ms: u32) -> TagLine {
        let version = |at: usize| versions.get(at).cloned().unwrap_or_default();
        TagLine {
            versions: tags.iter().enumerate().map(|(at, tag)| (tag.clone(), version(at))).collect(),
            created_ms: self.clock.now_ms(),
            stale_ms: u64::try_from(stale.as_millis()).unwrap_or(0),
            load_ms: u64::from(load_ms),
        }
    }
}

/// What becomes of a row.
enum Judgement {
    /// A tag was invalidated since its load began.
    Ended,
    /// It is the answer, and no more.
    Answer,
    /// It may be carried up under these versions of its tags.
    CarryUp(Vec<String>),
}

fn judge(one: &Candidate, versions: &Versions, marks: Option<&(Seen, BTreeMap<String, i64>)>) -> Judgement {
    if one.line.versions.is_empty() {
        return Judgement::CarryUp(Vec::new());
    }
    let Some((state, marks)) = marks else { return Judgement::Ended };
    let own = one.row.seen;
    let ended = |tag: &String| marks.get(tag).is_some_and(|&mark| own.seq < mark);
    if own.era != state.era || own.seq < state.seq || one.line.versions.keys().any(ended) {
        return Judgement::Ended;
    }
    let Some(now) = versions else { return Judgement::Answer };
    let versions: Option<Vec<_>> = one.line.versions.keys().map(|tag| now.get(tag).cloned()).collect();
    versions.map_or(Judgement::Answer, Judgement::CarryUp)
}

/// What is stored of a value.
pub(super) fn row_value(line: &TagLine, value: &[u8]) -> Vec<u8> {
    if line.versions.is_empty() && line.stale_ms == 0 && line.load_ms == 0 {
        value.to_vec()
    } else {
        tags::encode(line, value)
    }
}
