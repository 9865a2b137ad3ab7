//! The cache behind the door.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use napi::{
    Env,
    bindgen_prelude::{Object, Unknown},
};
use napi_derive::napi;

use super::{
    cache_functions::CacheView,
    cache_order::CallOrder,
    door::{Answer, NativeDoor, Op, Responder, Target, TargetHandle},
    link_events::{LinkEvents, state_name},
};
use crate::{
    cache::{
        Acquire, Acquired, Cache, CacheOptions, CircuitState, Condition, Fill, Hit, Lease, Loaded, Write, format,
        open_process_only, ttl_argument,
    },
    connection::{self, BoxFuture, ConnectionOptions, DatabaseRole, Link},
    error::Result,
};

/// What is asked of the target; `ts/cache/engine.ts` has the same numbers.
mod code {
    pub(super) const LOAD: u16 = 0;
    pub(super) const LOAD_MANY: u16 = 1;
    pub(super) const FILL: u16 = 2;
    pub(super) const SET: u16 = 3;
    pub(super) const SET_MANY: u16 = 4;
    pub(super) const DELETE_MANY: u16 = 5;
    pub(super) const EXISTS: u16 = 6;
    pub(super) const TTL: u16 = 7;
    pub(super) const EXPIRE: u16 = 8;
    pub(super) const INCREMENT: u16 = 9;
    pub(super) const INVALIDATE_TAGS: u16 = 10;
    pub(super) const DELETE_PATTERN: u16 = 11;
    pub(super) const CLEAR: u16 = 12;
    pub(super) const FLUSH: u16 = 13;
    pub(super) const COUNT: u16 = 14;
    pub(super) const PING: u16 = 15;
    pub(super) const EXPIRING: u16 = 32;
    pub(super) const ACQUIRE: u16 = 16;
    pub(super) const ACQUIRE_MANY: u16 = 17;
    pub(super) const RELEASE: u16 = 18;
    pub(super) const DELETE_PART: u16 = 19;
}

/// The event of an error that no call had: its value. Read by `ts/cache/engine.ts`.
const ERROR_EVENT: u16 = 1;
/// The event that the circuit changed: lane a is its state, as [`circuit_number`] has it.
const CIRCUIT_EVENT: u16 = 2;

/// A cache of one JavaScript thread. Its entries are shared with the caches of other threads that have the same options.
#[napi]
pub struct NativeCache {
    handle: TargetHandle,
    view: Rc<CacheView>,
    link: RefCell<Option<Arc<dyn Link>>>,
    watch: RefCell<Option<Box<dyn Send + Sync>>>,
    describe: String,
}

#[napi]
impl NativeCache {
    /// `redis` and `options` are JSON texts; `lanes` is where `peek` says more than it returns.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        door: &NativeDoor,
        redis: String,
        options: String,
        #[napi(ts_arg_type = "Int32Array")] lanes: Unknown<'_>,
    ) -> napi::Result<Self> {
        let (cache, link) = open(&redis, &options).map_err(|error| door.js_error(&error))?;
        let describe = link.describe().to_owned();
        let view = Rc::new(CacheView::new(env, cache.clone(), lanes)?);
        let mut watch = None;
        let handle = door.add(|emitter| {
            let (errors, circuit) = (emitter.clone(), emitter.clone());
            cache.on_error(move |error| errors.emit(ERROR_EVENT, 0, 0, vec![Answer::Error(error)]));
            cache.on_circuit(move |state| circuit.emit(CIRCUIT_EVENT, circuit_number(state), 0, Vec::new()));
            watch = Some(link.watch_state(Arc::new(LinkEvents::new(emitter))));
            Rc::new(Behind { cache, order: CallOrder::default() })
        });
        Ok(Self { handle, view, link: RefCell::new(Some(link)), watch: RefCell::new(watch), describe })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Server and database, for messages.
    #[napi(getter)]
    pub fn describe(&self) -> String {
        self.describe.clone()
    }

    /// A `ConnectionState`; `DISCONNECTED` once closed.
    #[napi(getter)]
    pub fn state(&self) -> &'static str {
        self.link.borrow().as_ref().map_or("DISCONNECTED", |link| state_name(link.state()))
    }

    /// 0 while Redis is used, 1 while it is left alone because it did not answer, 2 while it is probed.
    #[napi(getter)]
    pub fn circuit(&self) -> i32 {
        self.view.cache.borrow().as_ref().map_or(0, |cache| circuit_number(cache.circuit()))
    }

    /// Writes and invalidations that Redis missed and is still to make up for.
    #[napi(getter)]
    pub fn missed(&self) -> f64 {
        self.view.cache.borrow().as_ref().map_or(0.0, |cache| count_of(cache.missed()))
    }

    /// Whether changes by others end the copies in this process.
    #[napi(getter)]
    pub fn follows_changes(&self) -> bool {
        self.view.cache.borrow().as_ref().is_some_and(Cache::follows_changes)
    }

    /// The shard of the epochs that pattern deletes and flushes of this cache move.
    #[napi(getter)]
    pub fn sweep_shard(&self) -> u32 {
        self.view.cache.borrow().as_ref().map_or(0, Cache::sweep_shard)
    }

    /// Longest life of a copy in this process in milliseconds, bytes that copies may take (0: there are none), and life of
    /// an entry whose writer names none in milliseconds.
    #[napi(getter)]
    pub fn limits(&self) -> Vec<f64> {
        let view = self.view.cache.borrow();
        let Some(options) = view.as_ref().map(Cache::options) else { return vec![0.0; 3] };
        let bytes = if options.level1.enabled { options.level1.max_size } else { 0.0 };
        vec![options.level1.ttl * 1000.0, bytes, options.default_ttl().as_secs_f64() * 1000.0]
    }

    /// Entries and bytes held in this process now.
    #[napi(getter)]
    pub fn local_size(&self) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no process holds 2^53 bytes")]
        let numbers = |(entries, bytes): (u64, u64)| vec![entries as f64, bytes as f64];
        numbers(self.view.cache.borrow().as_ref().map_or((0, 0), Cache::local_size))
    }

    /// Of level 3: rows and bytes as of the last write, what failed, values that were not stored, and 1 while it is closed.
    /// Empty where it is off.
    #[napi(getter)]
    pub fn database_figures(&self) -> Vec<f64> {
        let view = self.view.cache.borrow();
        let Some(figures) = view.as_ref().and_then(Cache::database_figures) else { return Vec::new() };
        [figures.rows, figures.bytes, figures.errors, figures.dropped, u64::from(figures.closed)].map(count).to_vec()
    }

    /// Entries and bytes of each priority, and how many gave way, the lowest first; empty where no prefix has one.
    #[napi(getter)]
    pub fn local_priorities(&self) -> Vec<f64> {
        let tallies = self.view.cache.borrow().as_ref().map_or_else(Vec::new, Cache::local_priorities);
        #[expect(clippy::cast_precision_loss, reason = "no process holds 2^53 bytes")]
        let numbers = |one: crate::cache::PriorityTally| [one.entries as f64, one.bytes as f64, one.evicted as f64];
        tallies.into_iter().flat_map(numbers).collect()
    }

    /// `localSize` of the entries whose keys begin with `start`.
    #[napi]
    pub fn local_size_of(&self, start: String) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no process holds 2^53 bytes")]
        let numbers = |(entries, bytes): (u64, u64)| vec![entries as f64, bytes as f64];
        numbers(self.view.cache.borrow().as_ref().map_or((0, 0), |cache| cache.local_size_of(&start)))
    }

    /// `peek`, `peekStale`, `touch` and `touchTags`.
    #[napi(ts_return_type = "{ peek(key: string, ...tags: readonly string[]): string | undefined; \
                             peekStale(key: string): string | undefined; \
                             touch(...keys: readonly string[]): void; touchTags(...tags: readonly string[]): void }")]
    pub fn functions<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.view.functions(env)
    }

    /// Leaves the connection at once. Calls in flight are still answered.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
        self.watch.take();
        self.link.take();
        self.view.cache.take();
    }
}

fn open(redis: &str, options: &str) -> Result<(Cache, Arc<dyn Link>)> {
    let mut options = CacheOptions::from_json(options)?;
    if !options.level2.enabled {
        let link = open_process_only(&mut options)?;
        let cache = Cache::new(Arc::clone(&link), options, link.clock(), Duration::MAX)?;
        return Ok((cache, link));
    }
    let mut redis = ConnectionOptions::from_json(redis)?.with_role(DatabaseRole::Cache);
    redis.tracked = true;
    options.prefix.insert_str(0, &redis.key_prefix);
    let deadline = redis.command_timeout;
    let link = connection::open(redis)?;
    let cache = Cache::new(Arc::clone(&link), options, link.clock(), deadline)?;
    Ok((cache, link))
}

struct Behind {
    cache: Cache,
    order: CallOrder,
}

impl Target for Behind {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        // The commands are sent here, so that they keep the order of the calls; only waiting happens elsewhere.
        match self.start(&mut op) {
            Ok(work) => reply.run(work),
            Err(error) => reply.fail(error),
        }
    }
}

/// What a call comes to, once its commands were sent.
pub(super) type Work = BoxFuture<'static, Result<Answer>>;

fn work<T: Into<Answer>>(work: impl Future<Output = Result<T>> + Send + 'static) -> Work {
    Box::pin(async move { work.await.map(Into::into) })
}

fn counting(work: impl Future<Output = Result<u64>> + Send + 'static) -> Work {
    Box::pin(async move { work.await.map(count).map(Into::into) })
}

impl Behind {
    fn start(&self, op: &mut Op<'_>) -> Result<Work> {
        let cache = &self.cache;
        Ok(match op.code() {
            code::LOAD => self.load(op)?,
            code::LOAD_MANY => self.load_many(op)?,
            code::FILL => self.fill(op)?,
            code::SET => self.set(op)?,
            code::SET_MANY => self.set_many(op)?,
            code::DELETE_MANY => self.texts(op, |cache, keys| counting(cache.delete_many(&keys)))?,
            code::EXISTS => self.text(op, |cache, key| work(cache.exists(&key)))?,
            code::TTL => self.text(op, |cache, key| work(cache.ttl(&key)))?,
            code::EXPIRE => {
                let (key, seconds) = (op.text()?, op.number()?);
                self.order.next(cache, move |cache| work(cache.expire(&key, seconds)))
            }
            code::INCREMENT => {
                let (key, by) = (op.text()?, op.integer()?);
                self.order.next(cache, move |cache| work(cache.increment(&key, by)))
            }
            code::INVALIDATE_TAGS => self.texts(op, |cache, tags| counting(cache.invalidate_tags(&tags)))?,
            code::DELETE_PATTERN => self.text(op, |cache, pattern| counting(cache.delete_pattern(&pattern)))?,
            code::DELETE_PART => {
                let (start, part) = (op.text()?, op.text()?);
                self.order.next(cache, move |cache| counting(cache.delete_part(&start, &part)))
            }
            code::CLEAR => self.text(op, |cache, namespace| counting(cache.clear(&namespace)))?,
            code::FLUSH => self.order.next(cache, |cache| counting(cache.flush())),
            code::COUNT => self.count(op)?,
            code::EXPIRING => self.expiring(op)?,
            code::PING => work(cache.ping()),
            code::ACQUIRE => self.acquire(op)?,
            code::ACQUIRE_MANY => self.acquire_many(op)?,
            code::RELEASE => {
                let (key, lease) = (op.text()?, lease(op)?);
                self.order.next(cache, move |cache| {
                    let releasing = lease.map(|lease| cache.release(&key, &lease));
                    work(async move {
                        if let Some(releasing) = releasing {
                            releasing.await;
                        }
                        Ok(())
                    })
                })
            }
            _ => return Err(op.unknown_code()),
        })
    }

    /// `key, ttl, ...tags`: the entry; or, when it is missing, the versions of the tags.
    fn load(&self, op: &mut Op<'_>) -> Result<Work> {
        let (key, ttl, tags) = (op.text()?, op.optional_number()?, op.rest_of_texts()?);
        Ok(self.order.next(&self.cache, move |cache| {
            let loading = cache.load(&key, tags, ttl);
            work(async move {
                Ok(match loading.await? {
                    Loaded::Hit(hit) => Answer::Text(told(&hit)),
                    Loaded::Miss(versions) if versions.is_empty() => Answer::Null,
                    Loaded::Miss(versions) => Answer::from(versions),
                })
            })
        }))
    }

    /// `...keys`.
    fn load_many(&self, op: &mut Op<'_>) -> Result<Work> {
        self.texts(op, |cache, keys| {
            let loading = cache.load_many(keys);
            work(async move {
                let hits = loading.await?;
                Ok(Answer::List(hits.iter().map(|hit| hit.as_ref().map(told).into()).collect()))
            })
        })
    }

    /// `key, ttl, milliseconds to wait for another process, milliseconds that it is known to be fresh, whether something
    /// stale is better than to wait, ...tags`.
    fn acquire(&self, op: &mut Op<'_>) -> Result<Work> {
        let (key, ttl) = (op.text()?, op.optional_number()?);
        let (exclusive, refresh, stale_suffices) = (millis(op)?, millis(op)?, op.flag()?);
        let tags = op.rest_of_texts()?;
        Ok(self.order.next(&self.cache, move |cache| {
            let cache = cache.clone();
            work(async move {
                cache.acquire(Acquire { key, tags, ttl, exclusive, stale_suffices, refresh }).await.map(acquired)
            })
        }))
    }

    /// `ttl, number of tags, ...tags, ...keys`.
    fn acquire_many(&self, op: &mut Op<'_>) -> Result<Work> {
        let ttl = op.optional_number()?;
        let count = usize::try_from(op.integer()?).unwrap_or(0);
        let mut tags = op.rest_of_texts()?;
        let keys = tags.split_off(count.min(tags.len()));
        Ok(self.order.next(&self.cache, move |cache| {
            let cache = cache.clone();
            work(async move {
                // Flat, because answers do not nest: each with the number of its parts in front.
                let mut flat = Vec::new();
                for outcome in cache.acquire_many(keys, tags, ttl).await? {
                    let parts = acquired_parts(outcome);
                    flat.push(count_of(parts.len()).into());
                    flat.extend(parts);
                }
                Ok(Answer::List(flat))
            })
        }))
    }

    /// `key, text, ttl, stamp, gaps, seconds that it may be stale, milliseconds of its load, local only, lease in seven parts
    /// and its versions, number of tags, ...tags, ...late tags`.
    fn fill(&self, op: &mut Op<'_>) -> Result<Work> {
        let (key, text, ttl) = (op.text()?, op.text()?, op.optional_number()?);
        let (stamp, gaps) = (counter(op)?, counter(op)?);
        let (stale, load) = (op.number()?, op.integer()?);
        let load_ms = u32::try_from(load).unwrap_or(0);
        let local_only = op.flag()?;
        let lease = lease(op)?;
        let count = usize::try_from(op.integer()?).unwrap_or(0);
        let mut tags = op.rest_of_texts()?;
        let late_tags = tags.split_off(count.min(tags.len()));
        let versions = Vec::new();
        let fill = Fill { key, text, ttl, tags, versions, stamp, gaps, lease, late_tags, stale, load_ms, local_only };
        let is_long = self.is_long(&fill.text);
        Ok(self.order.next_after(&self.cache, is_long, move |cache| work(cache.fill(fill))))
    }

    /// `key, text, ttl, condition, ...tags`.
    fn set(&self, op: &mut Op<'_>) -> Result<Work> {
        let (key, text, ttl) = (op.text()?, op.text()?, op.optional_number()?);
        let condition = match op.optional_text()?.as_deref() {
            Some("NX") => Condition::IfMissing,
            Some("XX") => Condition::IfExists,
            _ => Condition::Always,
        };
        let write = Write { key, text, ttl, condition, tags: op.rest_of_texts()? };
        let is_long = self.is_long(&write.text);
        Ok(self.order.next_after(&self.cache, is_long, move |cache| work(cache.set(write))))
    }

    /// `key, text, ttl` of each.
    fn set_many(&self, op: &mut Op<'_>) -> Result<Work> {
        let mut writes = Vec::with_capacity(op.remaining() / 3);
        while op.remaining() > 0 {
            writes.push((op.text()?, op.text()?, op.optional_number()?));
        }
        let is_long = writes.iter().any(|(_, text, _)| self.is_long(text));
        Ok(self.order.next_after(&self.cache, is_long, move |cache| work(cache.set_many(writes))))
    }

    /// Whether a value is packed on a thread of its own.
    fn is_long(&self, text: &str) -> bool {
        format::is_long_to_pack(text, self.cache.options().compression)
    }

    fn text(&self, op: &mut Op<'_>, call: impl FnOnce(&Cache, String) -> Work + Send + 'static) -> Result<Work> {
        let text = op.text()?;
        Ok(self.order.next(&self.cache, move |cache| call(cache, text)))
    }

    fn texts(&self, op: &mut Op<'_>, call: impl FnOnce(&Cache, Vec<String>) -> Work + Send + 'static) -> Result<Work> {
        let texts = op.rest_of_texts()?;
        Ok(self.order.next(&self.cache, move |cache| call(cache, texts)))
    }

    /// Keys in Redis that begin with the text, and whether all of the database was looked at.
    fn count(&self, op: &mut Op<'_>) -> Result<Work> {
        let cache = self.cache.clone();
        let start = op.text()?;
        Ok(work(async move {
            let (keys, complete) = cache.count_keys(&start).await?;
            Ok(Answer::List(vec![count(keys).into(), complete.into()]))
        }))
    }

    /// `cursor, pattern, seconds`: the next cursor, and keys.
    fn expiring(&self, op: &mut Op<'_>) -> Result<Work> {
        let cache = self.cache.clone();
        let (cursor, pattern, within) = (op.text()?, op.text()?, ttl_argument(op.number()?)?);
        Ok(work(async move {
            let (next, mut keys) = cache.expiring(&cursor, &pattern, within).await?;
            keys.insert(0, next);
            Ok(keys)
        }))
    }
}

/// Read by `ts/cache/engine.ts`.
fn circuit_number(state: CircuitState) -> i32 {
    match state {
        CircuitState::Closed => 0,
        CircuitState::Open => 1,
        CircuitState::HalfOpen => 2,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no server holds 2^53 keys")]
fn count(keys: u64) -> f64 {
    keys as f64
}

/// A counter of 32 bits, which JavaScript has as a signed number.
fn counter(op: &mut Op<'_>) -> Result<u32> {
    #[expect(clippy::cast_possible_truncation, reason = "it has 32 bits")]
    let bits = op.integer()? as i32;
    Ok(bits.cast_unsigned())
}

fn count_of(parts: usize) -> f64 {
    count(parts as u64)
}

fn millis(op: &mut Op<'_>) -> Result<Option<Duration>> {
    Ok(op.optional_integer()?.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

/// `token, swept, began, lock, absent, seen in level 3, number of versions, ...versions`; without one, a null.
fn lease(op: &mut Op<'_>) -> Result<Option<Lease>> {
    let Some(token) = op.optional_text()? else { return Ok(None) };
    let (swept, began, lock, absent, seen) = (op.text()?, op.text()?, op.text()?, op.flag()?, op.text()?);
    let versions = (0..op.integer()?).map(|_| op.text()).collect::<Result<_>>()?;
    Ok(Some(Lease { token, swept, began, lock, absent, seen, versions }))
}

fn acquired(outcome: Acquired) -> Answer {
    Answer::List(acquired_parts(outcome))
}

/// A hit alone; nothing when Redis did not answer in time; else whether another process asks the source, what may stand in, and the lease as [`lease`] reads it.
fn acquired_parts(outcome: Acquired) -> Vec<Answer> {
    let (busy, stale, lease) = match outcome {
        Acquired::Hit(hit) => return vec![told(&hit).into()],
        Acquired::Unanswered => return Vec::new(),
        Acquired::Miss(stale, lease) => (false, stale, lease),
        Acquired::Busy(stale, lease) => (true, stale, lease),
    };
    let Lease { token, swept, began, lock, absent, seen, versions } = lease;
    let mut parts = vec![busy.into(), stale.as_ref().map(told).into(), token.into(), swept.into(), began.into()];
    parts.extend([lock.into(), absent.into(), seen.into(), count_of(versions.len()).into()]);
    parts.extend(versions.into_iter().map(Answer::from));
    parts
}

/// A hit in one string: `stamp,life in ms,fresh for ms or -1,stale for ms,load ms,level,shards of tags` on the first line, then
/// its text.
fn told(hit: &Hit) -> String {
    let number = |duration: Duration| duration.as_millis().min(1 << 53);
    let life = hit.life.as_millis().min(i32::MAX as u128);
    let fresh = hit.fresh_for.map_or_else(|| "-1".to_owned(), |left| number(left).to_string());
    let mut told =
        format!("{},{life},{fresh},{},{},{}", hit.stamp.cast_signed(), number(hit.stale_for), hit.load_ms, hit.level);
    for shard in &hit.watch.tags {
        told.push(',');
        told.push_str(itoa::Buffer::new().format(*shard));
    }
    told.reserve(1 + hit.text.len());
    told.push('\n');
    told.push_str(&hit.text);
    told
}
