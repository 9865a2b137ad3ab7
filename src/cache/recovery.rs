//! What Redis missed while it was away, and how that is made up for.
//!
//! A delete whose command did not arrive leaves the old entry in Redis, where it waits for everyone when the server is back.
//! So what an invalidation or a write was about is remembered in this process, once however often it fails, and the first
//! thing that is done with a server that is back is to remove it there. Until that has happened, no cache of this process
//! reads from it:
//!
//! ```text
//! this process  delete k ── deadline: remembered ········ back: UNLINK k ── reads again
//! Redis           v1 ───── away ────────────────────────── v1 ── nothing
//! ```
//!
//! A write that was missed is made up for by removing its key, too, and never by writing the value. Between the write that
//! failed and the moment when it could be repeated, any other process may have stored something newer, also directly on the
//! server, and nothing in an entry says whose is the last: the clocks of processes differ, and entries of others have no
//! versions. To remove an entry that is newer costs one question to the source; to overwrite it would serve an old value for
//! its whole life. And as all that is remembered are removals, the order among them is of no account, nor does it harm to
//! do one twice.
//!
//! What is remembered is bounded. When it is too much, all entries below the prefix are removed instead. With an empty
//! prefix, where that would empty the whole database, the oldest is forgotten. Either is told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{
    bus::{Bus, News},
    keys::{Keys, MAX_TAGS},
    remover::{Remover, Swept},
    reporter::Reporter,
};
use crate::{
    connection::{LinkState, StateSink},
    error::{Error, ErrorCode, Result},
    service::Duty,
};

/// Pause after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Keys that are removed by one command.
const MOST_AT_ONCE: usize = 1_000;
/// Bytes of a name that count as one item.
const ITEM: usize = 512;

/// What a server missed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Missed {
    Key(String),
    Tag(String),
    /// A glob of stored keys, and what goes of them.
    Sweep(String, Swept),
}

impl Missed {
    fn weight(&self) -> usize {
        let (Self::Key(name) | Self::Tag(name) | Self::Sweep(name, _)) = self;
        1 + name.len() / ITEM
    }
}

/// The first of what is to be made up for, as one call does it.
enum Batch {
    Keys(Vec<String>),
    Tags(Vec<String>),
    Sweep(String, Swept),
}

/// Items in the order in which they were last missed.
#[derive(Default)]
struct Queue {
    last: u64,
    weight: usize,
    items: BTreeMap<u64, Missed>,
    places: HashMap<Missed, u64>,
}

impl Queue {
    fn put(&mut self, item: Missed) {
        self.last += 1;
        self.weight += item.weight();
        if let Some(before) = self.places.insert(item.clone(), self.last) {
            self.items.remove(&before);
            self.weight -= item.weight();
        }
        self.items.insert(self.last, item);
    }

    fn remove(&mut self, place: u64) {
        if let Some(item) = self.items.remove(&place) {
            self.weight -= item.weight();
            self.places.remove(&item);
        }
    }

    fn forget(&mut self, key: &str, mark: u64) {
        let place = self.places.get(&Missed::Key(key.to_owned())).copied();
        if let Some(place) = place.filter(|&place| place <= mark) {
            self.remove(place);
        }
    }

    fn clear(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// What is first, with all of its kind that follow it directly, and the places of all these.
    fn first(&self) -> Option<(Vec<u64>, Batch)> {
        let (_, first) = self.items.first_key_value()?;
        let most = match first {
            Missed::Key(_) => MOST_AT_ONCE,
            Missed::Tag(_) => MAX_TAGS,
            Missed::Sweep(..) => 1,
        };
        let kind = std::mem::discriminant(first);
        let alike = self.items.iter().take_while(|(_, item)| std::mem::discriminant(*item) == kind).take(most);
        let (places, items): (Vec<u64>, Vec<Missed>) = alike.map(|(place, item)| (*place, item.clone())).unzip();
        let names =
            || items.iter().map(|(Missed::Key(name) | Missed::Tag(name) | Missed::Sweep(name, _))| name.clone());
        let batch = match first {
            Missed::Key(_) => Batch::Keys(names().collect()),
            Missed::Tag(_) => Batch::Tags(names().collect()),
            Missed::Sweep(glob, of) => Batch::Sweep(glob.clone(), of.clone()),
        };
        Some((places, batch))
    }
}

/// What one server missed of one cache.
pub(super) struct Recovery {
    remover: Remover,
    queue: Mutex<Queue>,
    /// Items in the queue, for those who only want to know whether there are any.
    len: AtomicUsize,
    signal: Arc<Signal>,
    reporters: Mutex<Vec<Weak<Reporter>>>,
    /// Where other processes are told, by whichever of the caches has it.
    bus: OnceLock<Arc<Bus>>,
    /// Begun by the first item.
    duty: OnceLock<(Duty, Box<dyn Send + Sync>)>,
}

/// Something was missed, or the connection changed its state.
#[derive(Default)]
struct Signal {
    notify: Notify,
}

impl StateSink for Signal {
    fn state(&self, _: LinkState, _: Option<&Error>) {
        self.notify.notify_one();
    }
}

/// When to go on.
enum Next {
    AtOnce,
    WhenTold,
    Later,
}

impl Recovery {
    /// That of a cache on a server: one for all its caches in the process. `reporter` hears of what cannot be made up for.
    pub(super) fn shared(remover: Remover, reporter: &Arc<Reporter>, bus: Option<&Arc<Bus>>) -> Arc<Self> {
        type Identity = (usize, String);
        static ALL: OnceLock<Mutex<HashMap<Identity, Weak<Recovery>>>> = OnceLock::new();
        let identity = (Arc::as_ptr(remover.link()).cast::<()>() as usize, remover.keys().prefix().to_owned());
        let mut all = lock(ALL.get_or_init(Mutex::default));
        let recovery = all.get(&identity).and_then(Weak::upgrade).unwrap_or_else(|| {
            all.retain(|_, recovery| recovery.strong_count() > 0);
            // It holds the link, so that no other link can have its address.
            let new = Arc::new(Self {
                remover,
                queue: Mutex::default(),
                len: AtomicUsize::new(0),
                signal: Arc::default(),
                reporters: Mutex::default(),
                bus: OnceLock::new(),
                duty: OnceLock::new(),
            });
            all.insert(identity, Arc::downgrade(&new));
            new
        });
        if let Some(bus) = bus {
            let _ = recovery.bus.set(Arc::clone(bus));
        }
        let mut reporters = lock(&recovery.reporters);
        reporters.retain(|reporter| reporter.strong_count() > 0);
        reporters.push(Arc::downgrade(reporter));
        drop(reporters);
        recovery
    }

    pub(super) fn remover(&self) -> &Remover {
        &self.remover
    }

    /// How much is to be made up for.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// For [`forget`](Self::forget): before a write is sent.
    pub(super) fn mark(&self) -> u64 {
        if self.len() == 0 { 0 } else { lock(&self.queue).last }
    }

    /// A key was written after `mark`, so what was missed of it before is no matter any more.
    pub(super) fn forget(&self, key: &str, mark: u64) {
        if self.len() == 0 {
            return;
        }
        let mut queue = lock(&self.queue);
        queue.forget(key, mark);
        self.count(&queue);
    }

    /// Remembers what a call was about that failed, where the server may have missed it: `most` items in all.
    pub(super) fn note<T, I: IntoIterator<Item = Missed>>(
        self: &Arc<Self>,
        outcome: &Result<T>,
        most: usize,
        items: impl FnOnce() -> I,
    ) {
        if !outcome.as_ref().is_err_and(is_missed) {
            return;
        }
        let mut queue = lock(&self.queue);
        items().into_iter().for_each(|item| queue.put(item));
        let overflow = queue.weight > most;
        if overflow {
            self.shrink(&mut queue, most);
        }
        self.count(&queue);
        drop(queue);
        if overflow {
            self.tell(&too_much(most, self.remover.keys().prefix()));
        }
        self.duty.get_or_init(|| {
            let watching = self.remover.link().watch_state(Arc::clone(&self.signal) as Arc<dyn StateSink>);
            (Duty::start(run(Arc::downgrade(self), Arc::clone(&self.signal))), watching)
        });
        self.signal.notify.notify_one();
    }

    fn shrink(&self, queue: &mut Queue, most: usize) {
        let keys = self.remover.keys();
        if keys.prefix().is_empty() {
            while queue.weight > most
                && let Some((&oldest, _)) = queue.items.first_key_value()
            {
                queue.remove(oldest);
            }
        } else {
            let everything = keys.glob("*");
            let flushed = Missed::Sweep(everything.clone(), Swept::Everything);
            let instead =
                if queue.places.contains_key(&flushed) { flushed } else { Missed::Sweep(everything, Swept::Entries) };
            queue.clear();
            queue.put(instead);
        }
    }

    fn count(&self, queue: &MutexGuard<'_, Queue>) {
        self.len.store(queue.items.len(), Ordering::Release);
    }

    fn tell(&self, error: &Error) {
        let reporters: Vec<_> = lock(&self.reporters).iter().filter_map(Weak::upgrade).collect();
        for reporter in reporters {
            reporter.tell(|| error.clone());
        }
    }

    /// Makes up for what is first.
    async fn step(&self) -> Next {
        let Some((places, batch)) = lock(&self.queue).first() else { return Next::WhenTold };
        if self.remover.link().state() != LinkState::Ready {
            return Next::Later;
        }
        let (outcome, news) = match batch {
            Batch::Keys(keys) => (self.remover.unlink(&keys).await, News::Changed(keys)),
            Batch::Tags(tags) => {
                let names = tags.iter().map(|tag| Keys::tag_name(tag)).collect();
                (self.remover.invalidate_tags(&tags).await, News::Changed(names))
            }
            Batch::Sweep(glob, of) => (self.remover.sweep(glob, of).await, News::Swept),
        };
        if outcome.as_ref().is_err_and(is_missed) {
            return Next::Later;
        }
        if let Some(bus) = self.bus.get() {
            bus.tell(news).await;
        }
        let mut queue = lock(&self.queue);
        // What was missed once more meanwhile has another place.
        for place in places {
            queue.remove(place);
        }
        self.count(&queue);
        drop(queue);
        if let Err(refused) = outcome {
            self.tell(&refused.during("making up for what redis missed"));
        }
        Next::AtOnce
    }
}

async fn run(recovery: Weak<Recovery>, signal: Arc<Signal>) {
    loop {
        let next = match recovery.upgrade() {
            Some(recovery) => recovery.step().await,
            None => return,
        };
        match next {
            Next::AtOnce => {}
            Next::WhenTold => signal.notify.notified().await,
            Next::Later => {
                tokio::select! {
                    () = signal.notify.notified() => {}
                    () = sleep(PAUSE) => {}
                }
            }
        }
    }
}

/// Whether a server that said this, or nothing, may be asked the same again with another outcome.
fn is_missed(error: &Error) -> bool {
    const PASSING: [&str; 8] =
        ["OOM", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "LOADING"];
    error.is_retryable()
        || matches!(error.code(), ErrorCode::Closed | ErrorCode::StorageFailed)
        || (error.code() == ErrorCode::Reply && PASSING.iter().any(|word| error.message().starts_with(word)))
}

fn too_much(most: usize, prefix: &str) -> Error {
    let instead = if prefix.is_empty() {
        "the oldest are forgotten, and old entries may be read again"
    } else {
        "all entries below the prefix will be removed instead"
    };
    let message = format!("redis missed more than {most} writes and invalidations; {instead}");
    #[expect(clippy::cast_precision_loss, reason = "a limit of whole numbers below 2^53")]
    Error::new(ErrorCode::Overloaded, message).with("limit", most as f64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Missed {
        Missed::Key(name.to_owned())
    }

    fn names(batch: Option<(Vec<u64>, Batch)>) -> Vec<String> {
        match batch.map(|(_, batch)| batch) {
            Some(Batch::Keys(names) | Batch::Tags(names)) => names,
            Some(Batch::Sweep(glob, _)) => vec![glob],
            None => Vec::new(),
        }
    }

    #[test]
    fn what_is_missed_again_is_done_once_and_last() {
        let mut queue = Queue::default();
        for name in ["a", "b", "a"] {
            queue.put(key(name));
        }
        assert_eq!((queue.weight, names(queue.first())), (2, vec!["b".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn a_batch_is_of_one_kind_and_leaves_what_was_missed_meanwhile() {
        let mut queue = Queue::default();
        queue.put(key("a"));
        queue.put(Missed::Tag("t".to_owned()));
        queue.put(key("b"));
        let (places, batch) = queue.first().unwrap();
        assert!(matches!(batch, Batch::Keys(names) if names == ["a"]));
        queue.put(key("a"));
        for place in places {
            queue.remove(place);
        }
        assert_eq!(names(queue.first()), ["t"]);
        let (places, _) = queue.first().unwrap();
        queue.remove(places[0]);
        assert_eq!(names(queue.first()), ["b", "a"]);
        queue.clear();
        assert_eq!((queue.weight, names(queue.first())), (0, Vec::new()));
    }

    #[test]
    fn a_newer_write_settles_what_was_missed_before_it_and_nothing_later() {
        let mut queue = Queue::default();
        queue.put(key("a"));
        let mark = queue.last;
        queue.put(key("b"));
        queue.forget("b", mark);
        assert_eq!(names(queue.first()), ["a", "b"]);
        queue.forget("a", mark);
        assert_eq!(names(queue.first()), ["b"]);
    }

    #[test]
    fn long_names_count_for_several() {
        let mut queue = Queue::default();
        queue.put(key(&"k".repeat(3 * ITEM)));
        queue.put(Missed::Sweep("*".repeat(ITEM - 1), Swept::Entries));
        assert_eq!(queue.weight, 5);
    }
}
