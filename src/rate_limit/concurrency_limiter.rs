//! Limits of what goes on at one time.

use std::{sync::Arc, time::Duration};

use super::{
    counters::Counters,
    decision::Decision,
    options::{ConcurrencyLimiterOptions, whole},
};
use crate::{
    clock::{Clock, Moment},
    codec::option_text::within,
    connection::Link,
    error::{Error, Result},
    lock::{Holder, LossSink, Term, new_token},
    script::rate_limit::{ACQUIRE_SLOT, EXTEND_SLOT, RELEASE_SLOT},
};

/// Longest wait for a slot.
const MAX_WAIT_SECONDS: f64 = 3_600.0;

/// Gives out the slots of each key, on one server for all processes. A slot whose holder died is free after the lease.
/// Cheap to clone.
#[derive(Clone)]
pub struct ConcurrencyLimiter {
    counters: Counters,
    options: Arc<ConcurrencyLimiterOptions>,
    clock: Clock,
}

/// A slot that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub key: String,
    pub id: String,
    until: Moment,
}

impl ConcurrencyLimiter {
    pub fn new(link: Arc<dyn Link>, options: ConcurrencyLimiterOptions) -> Self {
        let clock = link.clock();
        let counters = Counters::new(link, &options.prefix, options.timeout);
        Self { counters, options: Arc::new(options), clock }
    }

    /// Takes a slot, waiting up to `wait` seconds for one.
    ///
    /// # Errors
    /// `InvalidArgument` for the key or the wait; what the connection gives.
    pub async fn acquire(&self, key: &str, wait: f64) -> Result<(Decision, Option<Slot>)> {
        let stored = self.counters.key(key)?;
        within(wait, [0.0, MAX_WAIT_SECONDS], false)
            .map_err(|allowed| Error::invalid_argument("wait", &wait.to_string(), &allowed))?;
        let end = self.clock.moment() + Duration::from_secs_f64(wait);
        let id = new_token();
        loop {
            let asked = self.clock.moment();
            let decision = match self.ask(&stored, &id).await {
                Ok(decision) => decision,
                Err(error) => {
                    // It may have been taken by a call without an answer.
                    let (this, key) = (self.clone(), key.to_owned());
                    crate::service::spawn(async move { this.release(&key, &id).await });
                    return Err(error);
                }
            };
            if decision.allowed {
                let until = Term::surely(asked, self.options.lease());
                return Ok((decision, Some(Slot { key: key.to_owned(), id, until })));
            }
            // Half to one and a half times, so that those who wait do not come together again.
            let pause = Duration::from_secs_f64(self.options.retry_delay_ms / 1_000.0 * (0.5 + fastrand::f64()));
            let pause = pause.min(decision.retry_after.max(Duration::from_millis(1)));
            if self.clock.moment() + pause > end {
                return Ok((decision, None));
            }
            self.clock.sleep(pause).await;
        }
    }

    /// How many slots are left.
    pub async fn peek(&self, key: &str) -> Result<Decision> {
        self.ask(&self.counters.key(key)?, "").await
    }

    /// Gives a holder the lease from now; whether it still held the slot.
    pub async fn extend(&self, key: &str, id: &str) -> Result<bool> {
        let (key, lease) = (self.counters.key(key)?, self.lease_ms());
        self.counters.is_done(EXTEND_SLOT.with([&key], [id.as_bytes(), lease.as_bytes()])).await
    }

    /// Gives a slot back; whether it was still held.
    pub async fn release(&self, key: &str, id: &str) -> Result<bool> {
        let key = self.counters.key(key)?;
        self.counters.is_done(RELEASE_SLOT.with([&key], [id.as_bytes()])).await
    }

    /// Takes the slots from all holders; whether there were any.
    pub async fn reset(&self, key: &str) -> Result<bool> {
        self.counters.forget(key).await
    }

    /// Extends a slot until the holder is stopped, or tells `sink` that it is lost.
    pub fn keep(&self, slot: &Slot, sink: Arc<dyn LossSink>) -> Holder {
        let Slot { key, id, until } = slot.clone();
        let term = Term { what: format!("slot of `{key}`"), resource: key.clone(), ttl: self.options.lease(), until };
        let limiter = self.clone();
        let extend = move || {
            let (limiter, key, id) = (limiter.clone(), key.clone(), id.clone());
            async move { limiter.extend(&key, &id).await }
        };
        Holder::start(self.clock.clone(), term, extend, sink)
    }

    async fn ask(&self, stored: &str, holder: &str) -> Result<Decision> {
        let (limit, lease) = (whole(self.options.limit), self.lease_ms());
        let arguments = [limit.as_bytes(), holder.as_bytes(), lease.as_bytes()];
        self.counters.decide(ACQUIRE_SLOT.with([stored], arguments)).await
    }

    fn lease_ms(&self) -> String {
        whole(self.options.lease * 1_000.0)
    }
}
