//! [`Clock`], which everything that stores time has.

use std::{
    fmt,
    ops::Add,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::manual::{Kind, ManualClock};

/// Where an engine gets the time that it stores, compares with stored time or waits for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Clock {
    manual: Option<Arc<ManualClock>>,
}

/// A point on a clock that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// When the process first asked.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `start_ms` (milliseconds since the epoch) until it is moved. It is never moved back.
    pub fn manual(start_ms: i64) -> Self {
        Self { manual: Some(ManualClock::new(start_ms)) }
    }

    /// Whether it has to be moved by hand.
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }

    /// This clock, where it is not simply the system's; else `other`.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        if self.is_manual() { self } else { other }
    }

    /// Milliseconds since the Unix epoch.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    pub fn now_ms(&self) -> i64 {
        match &self.manual {
            Some(clock) => clock.now_ms(),
            None => i64::try_from(
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_epoch| since_epoch.as_millis()),
            )
            .unwrap_or(i64::MAX),
        }
    }

    /// Now, for waits. Setting the system's time does not change it.
    pub fn moment(&self) -> Moment {
        match &self.manual {
            Some(clock) => Moment(Duration::from_millis(u64::try_from(clock.now_ms()).unwrap_or(0))),
            None => Moment(Instant::now().saturating_duration_since(origin())),
        }
    }

    /// Waits until a moment of this clock.
    pub async fn sleep_until(&self, moment: Moment) {
        match &self.manual {
            Some(clock) => clock.wait(whole_ms(moment.0), Kind::Exact).await,
            None => tokio::time::sleep_until((origin() + moment.0).into()).await,
        }
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.moment() + duration).await;
    }

    /// Waits before something is looked at again that would have made itself known. [`Clock::advance`] leaves such looks
    /// out that would find the same as the last ones.
    pub async fn rest(&self, duration: Duration) {
        match &self.manual {
            Some(clock) => clock.wait(whole_ms((self.moment() + duration).0), Kind::Look).await,
            None => tokio::time::sleep(duration).await,
        }
    }

    /// Moves a manual clock at once, whatever was due in between; the system's clock cannot be moved.
    pub fn advance_ms(&self, by: i64) {
        if let Some(clock) = &self.manual {
            clock.move_to(clock.now_ms().saturating_add(by));
        }
    }

    /// Moves a manual clock from one due time to the next, and lets the I/O thread do at each what is due then.
    pub async fn advance(&self, by: Duration) {
        let Some(clock) = &self.manual else { return };
        let until = clock.now_ms().saturating_add(whole_ms(by));
        while !clock.step(until).await {}
    }

    /// One step of [`advance`](Self::advance). True when the clock has reached `until_ms`, where nothing is due any more.
    pub async fn step(&self, until_ms: i64) -> bool {
        match &self.manual {
            Some(clock) => clock.step(until_ms).await,
            None => true,
        }
    }

    /// When the next thing is due that waits for a manual clock, in milliseconds since the epoch.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.manual.as_ref()?.next_due_ms()
    }

    /// Resolves when [`next_due_ms`](Self::next_due_ms) comes sooner than before. For one waiter.
    pub async fn next_due_changed(&self) {
        match &self.manual {
            Some(clock) => clock.next_due_changed().await,
            None => std::future::pending().await,
        }
    }

    /// Notes, for whoever moves the clock, that work goes on until the guard is dropped. `None` with the system's clock.
    pub(crate) fn occupied(&self) -> Option<Occupied> {
        self.manual.as_ref().map(|clock| {
            clock.occupy(true);
            Occupied(Arc::clone(clock))
        })
    }

    /// How much of that work goes on.
    pub fn occupation(&self) -> usize {
        self.manual.as_ref().map_or(0, |clock| clock.occupation())
    }

    /// Resolves when [`occupation`](Self::occupation) is not `known` (any more).
    pub async fn occupation_changed(&self, known: usize) {
        match &self.manual {
            Some(clock) => clock.occupation_changed(known).await,
            None => std::future::pending().await,
        }
    }
}

/// Work that goes on outside of this library's threads.
pub(crate) struct Occupied(Arc<ManualClock>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.occupy(false);
    }
}

/// Rounded up: what is due a fraction later is not due yet.
fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_manual() { "Clock(manual)" } else { "Clock(system)" })
    }
}
