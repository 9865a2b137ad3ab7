//! A clock that stands until somebody moves it, and who waits for it.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::service;

/// So many looks in a row without anything due in between find all that there is to find: one notes what has changed, one
/// acts on it, one sees what came of that.
const LOOKS: usize = 4;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something is due then.
    Exact,
    /// A look whether something has changed.
    Look,
}

/// Sleepers by time, and in order of arrival for the same time.
type Sleepers = BTreeMap<(i64, u64), Waker>;

#[derive(Default)]
struct Timers {
    exact: Sleepers,
    looks: Sleepers,
    numbers: u64,
    /// Looks in a row, since something was due.
    looked: usize,
}

impl Timers {
    fn of(&mut self, kind: Kind) -> &mut Sleepers {
        match kind {
            Kind::Exact => &mut self.exact,
            Kind::Look => &mut self.looks,
        }
    }

    /// The end of the next step towards `until`.
    fn next_step(&mut self, now: i64, until: i64) -> i64 {
        let first = |sleepers: &Sleepers| sleepers.first_key_value().map_or(i64::MAX, |(&(at, _), _)| at);
        let (due, look) = (first(&self.exact), first(&self.looks));
        let next = if look < due && self.looked < LOOKS { look } else { due };
        if next >= until {
            // Whoever moves the clock does something before the next time.
            self.looked = 0;
        } else {
            self.looked = if next == due { 0 } else { self.looked + 1 };
        }
        next.min(until).max(now)
    }

    fn next_due(&self) -> Option<i64> {
        self.exact.first_key_value().map(|(&(at, _), _)| at)
    }

    fn take_due(&mut self, now: i64) -> Vec<Waker> {
        let mut due = Vec::new();
        for sleepers in [&mut self.exact, &mut self.looks] {
            let later = sleepers.split_off(&(now + 1, 0));
            due.extend(std::mem::replace(sleepers, later).into_values());
        }
        due
    }
}

/// See [`Clock::manual`](super::Clock::manual).
#[derive(Default)]
pub(super) struct ManualClock {
    now: AtomicI64,
    timers: Mutex<Timers>,
    occupation: AtomicUsize,
    occupation_changed: Notify,
    next_due_changed: Notify,
}

impl ManualClock {
    pub(super) fn new(start_ms: i64) -> Arc<Self> {
        Arc::new(Self { now: AtomicI64::new(start_ms), ..Self::default() })
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now.load(Ordering::Acquire)
    }

    /// Moves on, never back, and wakes who waited for what has come.
    pub(super) fn move_to(&self, to: i64) {
        let mut timers = self.timers();
        let to = to.max(self.now_ms());
        self.now.store(to, Ordering::Release);
        let due = timers.take_due(to);
        drop(timers);
        for waker in due {
            waker.wake();
        }
    }

    /// Moves to the next due time, at most to `until`, and resolves when the I/O thread has done what is due then. True when
    /// that was the last step.
    pub(super) async fn step(&self, until: i64) -> bool {
        service::idle().await;
        let next = self.timers().next_step(self.now_ms(), until);
        self.move_to(next);
        service::idle().await;
        self.now_ms() >= until
    }

    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.timers().next_due()
    }

    pub(super) async fn next_due_changed(&self) {
        self.next_due_changed.notified().await;
    }

    pub(super) fn wait(self: &Arc<Self>, at: i64, kind: Kind) -> impl Future<Output = ()> + Send + use<> {
        Wait { clock: Arc::clone(self), kind, place: (at, 0) }
    }

    pub(super) fn occupy(&self, more: bool) {
        if more {
            self.occupation.fetch_add(1, Ordering::AcqRel);
        } else {
            self.occupation.fetch_sub(1, Ordering::AcqRel);
        }
        self.occupation_changed.notify_waiters();
    }

    pub(super) fn occupation(&self) -> usize {
        self.occupation.load(Ordering::Acquire)
    }

    pub(super) async fn occupation_changed(&self, known: usize) {
        loop {
            let changed = self.occupation_changed.notified();
            if self.occupation() != known {
                return;
            }
            changed.await;
        }
    }
}

struct Wait {
    clock: Arc<ManualClock>,
    kind: Kind,
    /// Its number is 0 until it is among the sleepers.
    place: (i64, u64),
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = Arc::clone(&self.clock);
        let mut timers = clock.timers();
        if clock.now_ms() >= self.place.0 {
            return Poll::Ready(());
        }
        if self.place.1 == 0 {
            timers.numbers += 1;
            self.place.1 = timers.numbers;
        }
        let before = timers.next_due();
        timers.of(self.kind).insert(self.place, context.waker().clone());
        if timers.next_due() != before {
            clock.next_due_changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.place.1 != 0 {
            self.clock.timers().of(self.kind).remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    /// Notes when it woke, `times` times.
    fn sleeper(
        clock: &Clock,
        name: &'static str,
        every: u64,
        times: usize,
        log: &Arc<Mutex<Vec<(&'static str, i64)>>>,
    ) {
        let (clock, log) = (clock.clone(), Arc::clone(log));
        drop(service::spawn(async move {
            for _ in 0..times {
                match name {
                    "look" => clock.rest(Duration::from_millis(every)).await,
                    _ => clock.sleep(Duration::from_millis(every)).await,
                }
                log.lock().unwrap().push((name, clock.now_ms()));
            }
        }));
    }

    #[tokio::test]
    async fn what_is_due_on_the_way_happens_in_order_and_at_its_own_time() {
        let (clock, log) = (Clock::manual(1_000), Arc::default());
        sleeper(&clock, "slow", 30, 2, &log);
        sleeper(&clock, "quick", 20, 3, &log);
        clock.advance(Duration::from_millis(59)).await;
        assert_eq!(*log.lock().unwrap(), [("quick", 1_020), ("slow", 1_030), ("quick", 1_040)]);
        assert_eq!((clock.now_ms(), clock.next_due_ms()), (1_059, Some(1_060)));
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(log.lock().unwrap()[3..], [("slow", 1_060), ("quick", 1_060)]);
        assert_eq!(clock.next_due_ms(), None);
    }

    #[tokio::test]
    async fn looks_that_find_nothing_new_are_left_out() {
        let (clock, log) = (Clock::manual(0), Arc::default());
        sleeper(&clock, "look", 10, usize::MAX, &log);
        sleeper(&clock, "due", 5_000, 1, &log);
        clock.advance(Duration::from_secs(10)).await;
        let log = log.lock().unwrap();
        let times: Vec<i64> = log.iter().filter(|(name, _)| *name == "look").map(|&(_, at)| at).collect();
        assert_eq!(times, [10, 20, 30, 40, 5_000, 5_010, 5_020, 5_030, 5_040, 10_000]);
    }

    #[tokio::test]
    async fn a_jump_wakes_all_and_time_never_goes_back() {
        let (clock, log) = (Clock::manual(0), Arc::default());
        sleeper(&clock, "one", 10, 1, &log);
        sleeper(&clock, "two", 20, 1, &log);
        service::idle().await;
        clock.advance_ms(100);
        service::idle().await;
        assert_eq!(*log.lock().unwrap(), [("one", 100), ("two", 100)]);
        clock.advance_ms(-50);
        assert_eq!(clock.now_ms(), 100);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let clock = Clock::manual(0);
        let waiting = tokio::time::timeout(Duration::from_millis(5), clock.sleep(Duration::from_secs(1)));
        assert!(waiting.await.is_err());
        assert_eq!(clock.next_due_ms(), None);
    }

    #[tokio::test]
    async fn occupation_is_counted_and_its_changes_are_told() {
        let clock = Clock::manual(0);
        let guard = clock.occupied();
        assert_eq!(clock.occupation(), 1);
        let told = service::spawn({
            let clock = clock.clone();
            async move { clock.occupation_changed(1).await }
        });
        drop(guard);
        tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
        assert_eq!(clock.occupation(), 0);
        assert!(Clock::system().occupied().is_none());
    }
}
