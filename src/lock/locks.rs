//! Taking, extending and giving back locks.
//!
//! A lock is a key with the holder's token and an expiry. On several independent servers it is held by whoever has it on
//! a majority of them, for as long as the first of these copies lasts (the algorithm called Redlock; A. Kleppmann's
//! critique of it, "How to do distributed locking", is why every holder also has a number that only grows). No lock
//! with an expiry can stop a holder that stood still and does not know yet that its time is over. The store that is
//! protected can: it remembers the highest number that it saw, and refuses lower ones.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    holder::{Holder, LossSink, Term},
    keys::Keys,
    options::{Acquisition, LockOptions, Wait, ttl_argument},
    scripts::{self, Attempt},
};
use crate::{
    clock::{Clock, Moment},
    connection::Link,
    error::{Error, ErrorCode, Result},
    service,
};

/// Longest that a server is waited for, so that one that hangs costs little of a lock's time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Locks on one server or several. Cheap to clone.
#[derive(Clone)]
pub struct Locks {
    servers: Arc<[Arc<dyn Link>]>,
    keys: Keys,
    options: LockOptions,
    clock: Clock,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub resource: String,
    pub token: String,
    /// Higher than that of every earlier holder.
    pub fencing_token: u64,
    pub ttl: Duration,
    /// Until when it is surely held, if it is not extended.
    pub until: Moment,
}

/// What one attempt came to.
enum Tried {
    Taken(Held),
    /// What is left of the present holder's time, where known.
    Held(Option<Duration>),
}

impl Locks {
    /// Locks on `servers`, one or an odd number of servers that know nothing of each other.
    ///
    /// # Errors
    /// `InvalidOption` for no server, or an even number of them.
    pub fn new(servers: Vec<Arc<dyn Link>>, options: LockOptions) -> Result<Self> {
        if servers.len().is_multiple_of(2) {
            let got = format!("a list of {}", servers.len());
            return Err(Error::invalid_option("redis", &got, "one server, or an odd number of independent ones"));
        }
        let (keys, clock) = (Keys::new(options.prefix.clone()), servers[0].clock());
        Ok(Self { servers: servers.into(), keys, options, clock })
    }

    pub fn options(&self) -> &LockOptions {
        &self.options
    }

    /// Extends a lock until the holder is stopped, or tells `sink` that it is lost.
    pub fn keep(&self, held: &Held, sink: Arc<dyn LossSink>) -> Holder {
        let Held { resource, token, ttl, until, .. } = held.clone();
        let term = Term { what: format!("lock of `{resource}`"), resource: resource.clone(), ttl, until };
        let locks = self.clone();
        let extend = move || {
            let (locks, resource, token) = (locks.clone(), resource.clone(), token.clone());
            async move { locks.extend_held(&resource, &token, ttl).await }
        };
        Holder::start(self.clock.clone(), term, extend, sink)
    }

    /// Takes the lock of `resource`; `None` when somebody else held it to the end of the wait.
    ///
    /// # Errors
    /// `InvalidArgument` for the resource; what the connection gives when too few servers answer.
    pub async fn acquire(&self, resource: &str, how: &Acquisition) -> Result<Option<Held>> {
        self.keys.check(resource)?;
        let token = how.identifier.clone().unwrap_or_else(new_token);
        let began = self.clock.moment();
        let mut attempts = 0;
        loop {
            let left = match self.try_once(resource, &token, how.ttl).await? {
                Tried::Taken(held) => return Ok(Some(held)),
                Tried::Held(left) => left,
            };
            attempts += 1;
            // Half to one and a half times, so that those who wait do not come together again.
            let pause = how.retry_delay.mul_f64(0.5 + fastrand::f64());
            let pause = left.map_or(pause, |left| left.max(Duration::from_millis(1)).min(pause));
            match how.wait {
                Wait::Retries(retries) if attempts > retries => return Ok(None),
                Wait::For(wait) if self.clock.moment() + pause > began + wait => return Ok(None),
                Wait::Retries(_) | Wait::For(_) => self.clock.sleep(pause).await,
            }
        }
    }

    /// Gives a holder `seconds` from now; whether the lock is still held with that token.
    pub async fn extend(&self, resource: &str, token: &str, seconds: f64) -> Result<bool> {
        self.keys.check(resource)?;
        let ttl = ttl_argument(seconds)?;
        self.extend_held(resource, token, ttl).await
    }

    /// Gives the lock back; whether it was still held with that token.
    pub async fn release(&self, resource: &str, token: &str) -> Result<bool> {
        self.keys.check(resource)?;
        self.on_majority(|link, keys| {
            let (resource, token) = (resource.to_owned(), token.to_owned());
            async move { scripts::release(&*link, &keys, &resource, &token, PATIENCE).await }
        })
        .await
    }

    async fn extend_held(&self, resource: &str, token: &str, ttl: Duration) -> Result<bool> {
        let deadline = PATIENCE.min(ttl / 2);
        self.on_majority(|link, keys| {
            let (resource, token) = (resource.to_owned(), token.to_owned());
            async move { scripts::extend(&*link, &keys, &resource, &token, ttl, deadline).await }
        })
        .await
    }

    async fn try_once(&self, resource: &str, token: &str, ttl: Duration) -> Result<Tried> {
        let began = self.clock.moment();
        let deadline = PATIENCE.min(ttl / 2);
        let answers = self
            .ask(|link, keys| {
                let (resource, token) = (resource.to_owned(), token.to_owned());
                async move { scripts::acquire(&*link, &keys, &resource, &token, ttl, deadline).await }
            })
            .await;
        let mut numbers = Vec::new();
        let (mut left, mut failure) = (None::<Duration>, None);
        for answer in answers {
            match answer {
                Ok(Attempt::Taken(number)) => numbers.push(number),
                Ok(Attempt::Held(other)) => left = Some(left.map_or(other, |left| left.min(other))),
                Err(error) => failure = Some(error),
            }
        }
        if numbers.len() >= self.majority() {
            let fencing_token = numbers.iter().copied().max().unwrap_or_default();
            let until = Term::surely(began, ttl);
            if self.agree(resource, token, &numbers, fencing_token, deadline).await && self.clock.moment() < until {
                let (resource, token) = (resource.to_owned(), token.to_owned());
                return Ok(Tried::Taken(Held { resource, token, fencing_token, ttl, until }));
            }
        }
        // What was taken, or may have been by a call without an answer, is nobody's: others need not wait for its end.
        if !numbers.is_empty() || failure.is_some() {
            self.take_back(resource, token);
        }
        match failure {
            // Those who answered do not say that somebody holds it.
            Some(error) if left.is_none() || self.servers.len() == 1 => Err(error),
            _ => Ok(Tried::Held(left)),
        }
    }

    /// Makes every next holder's number higher than this one's, on a majority. Nothing to do on one server.
    async fn agree(&self, resource: &str, token: &str, numbers: &[u64], highest: u64, deadline: Duration) -> bool {
        if numbers.len() == self.servers.len() && numbers.iter().all(|&number| number == highest) {
            return true;
        }
        let agreed = self
            .on_majority(|link, keys| {
                let (resource, token) = (resource.to_owned(), token.to_owned());
                async move { scripts::raise_fence(&*link, &keys, &resource, &token, highest, deadline).await }
            })
            .await;
        matches!(agreed, Ok(true))
    }

    /// In the background: whoever waits for the lock looks again anyway.
    fn take_back(&self, resource: &str, token: &str) {
        let (locks, resource, token) = (self.clone(), resource.to_owned(), token.to_owned());
        service::spawn(async move {
            if let Err(error) = locks.release(&resource, &token).await {
                tracing::debug!(
                    code = error.code().as_str(),
                    "a lock that was not wanted stays until its time is over"
                );
            }
        });
    }

    fn majority(&self) -> usize {
        self.servers.len() / 2 + 1
    }

    /// Whether a majority of the servers says yes; an error when so many fail that it can not be told.
    async fn on_majority<F>(&self, ask: impl Fn(Arc<dyn Link>, Keys) -> F) -> Result<bool>
    where
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        let (mut yes, mut no, mut failure) = (0, 0, None);
        for answer in self.ask(ask).await {
            match answer {
                Ok(true) => yes += 1,
                Ok(false) => no += 1,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if yes < self.majority() && no < self.majority() => Err(error),
            _ => Ok(yes >= self.majority()),
        }
    }

    /// Asks all servers at once.
    async fn ask<T, F>(&self, ask: impl Fn(Arc<dyn Link>, Keys) -> F) -> Vec<Result<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        if let [only] = &*self.servers {
            return vec![ask(Arc::clone(only), self.keys.clone()).await];
        }
        let mut running = JoinSet::new();
        for link in &*self.servers {
            running.spawn(ask(Arc::clone(link), self.keys.clone()));
        }
        let mut answers = Vec::with_capacity(self.servers.len());
        while let Some(answer) = running.join_next().await {
            answers.push(answer.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "a call of a lock ended"))));
        }
        answers
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn new_token() -> String {
    format!("{:032x}", fastrand::u128(..))
}
