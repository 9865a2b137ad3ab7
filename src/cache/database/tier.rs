//! The level in a database, and how a cache behaves when the database does not.
//!
//! Reads and the storing of what was loaded can be done without: they are refused at once for a second after one of them
//! failed. What ends rows cannot: where it fails, nothing here reads or stores rows until one change has ended all rows that
//! there were, which is tried again until it succeeds ([`miss`](DatabaseTier::miss), [`end_all`](DatabaseTier::end_all)).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    options::Settings,
    session::Pool,
    table::{Change, Look, Outcome, Seen, Table},
    writer::{self, Order},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorCode, Result},
    service::{io_thread, spawn},
};

/// How long a database that failed is left alone by what can be done without.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes that wait for the writer, and bytes of their values.
const QUEUE: usize = 1_024;
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// What a level in a database has to tell of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Rows, with the marks of what was invalidated, and their bytes, as of the last write of this process.
    pub rows: u64,
    pub bytes: u64,
    /// Reads and writes that failed.
    pub errors: u64,
    /// Values that were not stored, because the database failed or could not follow.
    pub dropped: u64,
    /// An invalidation did not reach the table, and it is not read until all its rows are ended.
    pub closed: bool,
}

/// What the writer has, too.
pub(super) struct Shared {
    pub pool: Pool,
    table: Table,
    settings: Settings,
    clock: Clock,
    made: AtomicBool,
    rows: AtomicI64,
    bytes: AtomicI64,
    errors: AtomicU64,
    dropped: AtomicU64,
    resting_until: Mutex<Option<Instant>>,
}

/// The rows of one prefix in one table.
pub(in crate::cache) struct DatabaseTier {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    /// How many changes that end rows did not reach the table, and how many of these were made up for.
    missed: AtomicU64,
    made_up: AtomicU64,
    /// Somebody is making up for them.
    pub(in crate::cache) mending: AtomicBool,
}

/// What makes two caches share their connections.
type Identity = (String, String, String, String);

impl DatabaseTier {
    /// The tier that all caches with these settings and prefix in the process share. Connects when it is first used.
    pub(in crate::cache) fn shared(settings: Settings, space: &str, clock: Clock) -> Result<Arc<Self>> {
        static TIERS: OnceLock<Mutex<HashMap<Identity, Weak<DatabaseTier>>>> = OnceLock::new();
        if space.contains('\0') {
            return Err(Error::invalid_option("prefix", "with a NUL", "no NUL where `level3` is on"));
        }
        let Settings { place, table, ttl, max_rows, max_bytes, timeout } = &settings;
        let bounds = format!("{ttl:?} {max_rows} {max_bytes} {timeout:?} {}", clock.is_manual());
        let identity = (place.identity().to_owned(), table.clone(), space.to_owned(), bounds);
        let mut tiers = TIERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tier) = tiers.get(&identity).and_then(Weak::upgrade).filter(|_| !clock.is_manual()) {
            return Ok(tier);
        }
        tiers.retain(|_, tier| tier.strong_count() > 0);
        let _runtime = io_thread().enter();
        let shared = Arc::new(Shared {
            pool: Pool::new(&settings),
            table: Table::new(space, &settings),
            settings,
            clock,
            made: AtomicBool::new(false),
            rows: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            errors: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            resting_until: Mutex::default(),
        });
        let (orders, received) = mpsc::channel(QUEUE);
        drop(spawn(writer::run(Arc::clone(&shared), received)));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let (missed, made_up) = (AtomicU64::new(0), AtomicU64::new(0));
        let tier = Arc::new(Self { shared, orders, room, missed, made_up, mending: AtomicBool::new(false) });
        tiers.insert(identity, Arc::downgrade(&tier));
        Ok(tier)
    }

    pub(in crate::cache) fn figures(&self) -> DatabaseFigures {
        let Shared { rows, bytes, errors, dropped, .. } = &*self.shared;
        let number = |number: &AtomicI64| u64::try_from(number.load(Ordering::Relaxed)).unwrap_or(0);
        DatabaseFigures {
            rows: number(rows),
            bytes: number(bytes),
            errors: errors.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            closed: self.is_closed(),
        }
    }

    /// Longest life of a row.
    pub(in crate::cache) fn ttl(&self) -> Duration {
        self.shared.settings.ttl
    }

    pub(in crate::cache) fn is_closed(&self) -> bool {
        self.missed.load(Ordering::Acquire) != self.made_up.load(Ordering::Acquire)
    }

    /// Whether what can be done without should be tried.
    fn is_worth_trying(&self) -> bool {
        !self.is_closed() && self.shared.rest().is_none_or(|until| Instant::now() >= until)
    }

    /// Rows that are valid but for their tags; none where the database is not to be asked or fails.
    pub(in crate::cache) async fn look(&self, names: &[String]) -> Option<Look> {
        if !self.is_worth_trying() {
            return None;
        }
        let names: Vec<String> = names.iter().filter(|name| self.shared.table.fits(name)).cloned().collect();
        let shared = Arc::clone(&self.shared);
        let now_ms = shared.clock.now_ms();
        let look = self.read(async move {
            let mut session = shared.pool.session().await?;
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            shared.table.look(&mut session, &names, now_ms).await
        });
        let look = look.await?;
        if look.seen.is_none() {
            // A new table, or one that a crash emptied: the next load finds a state.
            let _ = self.send(Change::Begin, None);
        }
        // A change may have failed to end one of the rows meanwhile.
        (!self.is_closed()).then_some(look)
    }

    /// The numbers of tags' marks, with the era and the floor of rows.
    pub(in crate::cache) async fn tags(&self, tags: Vec<String>) -> Option<(Seen, BTreeMap<String, i64>)> {
        let shared = Arc::clone(&self.shared);
        let marks = self.read(async move {
            let mut session = shared.pool.session().await?;
            let tags: Vec<&str> = tags.iter().filter(|tag| shared.table.fits(tag)).map(|tag| &**tag).collect();
            shared.table.tags(&mut session, &tags).await
        });
        marks.await.filter(|_| !self.is_closed())
    }

    /// One slice of the names that begin with `start`.
    pub(in crate::cache) async fn names(&self, start: String, after: String) -> Result<Vec<String>> {
        let shared = Arc::clone(&self.shared);
        let reading = self.try_read(async move {
            let mut session = shared.pool.session().await?;
            shared.table.names(&mut session, &start, &after).await
        });
        reading.await
    }

    async fn read<T: Send + 'static>(
        &self,
        reading: impl Future<Output = sqlx::Result<T>> + Send + 'static,
    ) -> Option<T> {
        self.try_read(reading).await.ok()
    }

    async fn try_read<T: Send + 'static>(
        &self,
        reading: impl Future<Output = sqlx::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        // On the I/O thread, whoever asks.
        let task = spawn(async move {
            shared
                .within_time(async {
                    shared.make().await?;
                    reading.await
                })
                .await
        });
        task.await.unwrap_or_else(|_| Err(self.shared.failed("stopped", true)))
    }

    /// Stores a row later, unless it was overtaken by then; what becomes of it.
    pub(in crate::cache) fn store(&self, store: Change) -> impl Future<Output = Option<Outcome>> + Send + use<> {
        let bytes = u32::try_from(store.bytes()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok();
        let fits = matches!(&store, Change::Store { name, tags, .. }
            if self.shared.table.fits(name) && tags.iter().all(|tag| self.shared.table.fits(tag)));
        let sent = match room {
            Some(room) if fits && self.is_worth_trying() => self.send(store, Some(room)).ok(),
            _ => None,
        };
        let shared = Arc::clone(&self.shared);
        async move {
            let outcome = match sent {
                Some(sent) => sent.await.ok().and_then(Result::ok),
                None => None,
            };
            if fits && outcome.is_none() {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            outcome
        }
    }

    /// Makes a change that ends rows. On an error it counts as missed, and the tier is closed.
    pub(in crate::cache) fn end(
        self: &Arc<Self>,
        change: Change,
    ) -> impl Future<Output = Result<Outcome>> + Send + use<> {
        let tier = Arc::clone(self);
        // What is to be made up for covers this one too.
        let sent = if self.is_closed() {
            self.miss();
            Err(self.shared.error("an earlier invalidation has not reached it"))
        } else {
            self.send(change, None).inspect_err(|_| self.miss())
        };
        async move {
            let answer = timeout(tier.shared.settings.timeout, sent?).await;
            match answer {
                Ok(Ok(Ok(outcome))) => Ok(outcome),
                Ok(Ok(Err(error))) => {
                    tier.miss();
                    Err(error)
                }
                Ok(Err(_)) | Err(_) => {
                    tier.miss();
                    Err(tier.shared.failed("does not answer", false))
                }
            }
        }
    }

    /// Notes that something did not end that should have.
    pub(in crate::cache) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends all rows that there are; makes up for all that was missed before the call.
    pub(in crate::cache) async fn end_all(&self) -> Result<()> {
        let missed = self.missed.load(Ordering::Acquire);
        let sent = self.send(Change::EndLoads(true), None)?;
        // By the writer, which has a deadline.
        sent.await.unwrap_or_else(|_| Err(self.shared.error("is closed")))?;
        self.made_up.fetch_max(missed, Ordering::AcqRel);
        Ok(())
    }

    fn send(
        &self,
        change: Change,
        room: Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Result<oneshot::Receiver<Result<Outcome>>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.try_send(Order { change, reply, room });
        sent.map(|()| answer).map_err(|_| self.shared.error("cannot follow"))
    }
}

impl Shared {
    pub(super) fn is_made(&self) -> bool {
        self.made.load(Ordering::Acquire)
    }

    async fn make(&self) -> sqlx::Result<()> {
        if !self.is_made() {
            self.table.make(&self.pool).await?;
            self.made.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes changes in one transaction.
    pub(super) async fn apply(&self, changes: &[Change]) -> Result<Vec<Outcome>> {
        let now_ms = self.clock.now_ms();
        let applied = self.within_time(async {
            self.make().await?;
            let mut session = self.pool.session().await?;
            self.table.apply(&mut session, changes, now_ms).await
        });
        let (outcomes, size) = applied.await?;
        self.rows.store(size.rows, Ordering::Relaxed);
        self.bytes.store(size.bytes, Ordering::Relaxed);
        Ok(outcomes)
    }

    fn rest(&self) -> Option<Instant> {
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn within_time<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        match timeout(self.settings.timeout, work).await {
            Ok(Ok(done)) => {
                *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(done)
            }
            Ok(Err(error)) => Err(self.failed(&why(&error), true)),
            Err(_) => Err(self.failed("does not answer", true)),
        }
    }

    fn failed(&self, why: &str, rests: bool) -> Error {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if rests {
            *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
        }
        self.error(why)
    }

    fn error(&self, why: &str) -> Error {
        Error::new(ErrorCode::CacheDatabaseFailed, format!("the database of the cache, {}: {why}", self.settings.place))
    }
}

/// What went wrong, without a word of a statement, its arguments or the URL.
fn why(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("refused with code {code}"),
            None => "refused".to_owned(),
        },
        sqlx::Error::Io(error) => format!("{}", error.kind()),
        sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
        sqlx::Error::Tls(_) => "no TLS".to_owned(),
        _ => "failed".to_owned(),
    }
}
