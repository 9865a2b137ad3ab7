//! Keeping for as long as it is needed what is held for a time only.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Moment},
    error::{Error, ErrorCode, Result},
    service::Duty,
};

/// Until a server that failed is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Learns that a lock is lost.
pub trait LossSink: Send + Sync + 'static {
    /// Called once at most, and not after the holder was stopped. `error` is `LockLost`.
    fn lost(&self, error: Error);
}

/// What is held, and for how long at first.
#[derive(Clone, Debug)]
pub struct Term {
    /// As an error names it: ``lock of `order:1` ``.
    pub what: String,
    pub resource: String,
    pub ttl: Duration,
    /// Until when it is surely held, if it is not extended.
    pub until: Moment,
}

impl Term {
    /// Until when it is surely held, when its time was set in answer to what was asked at `asked`: servers count whole
    /// milliseconds, and clocks differ.
    pub fn surely(asked: Moment, ttl: Duration) -> Moment {
        asked + ttl.saturating_sub(ttl / 100 + Duration::from_millis(2))
    }
}

/// Extends on the I/O thread, three times within the time given, until it is stopped, dropped, or what it holds is lost. So
/// a thread that is busy keeps what it holds.
pub struct Holder {
    duty: Duty,
}

impl Holder {
    /// `extend` gives `term.ttl` from now, and says whether it was still held.
    pub fn start<E, F>(clock: Clock, term: Term, extend: E, sink: Arc<dyn LossSink>) -> Self
    where
        E: Fn() -> F + Send + 'static,
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        Self {
            duty: Duty::start(async move {
                let error = keep(&clock, &term, extend).await;
                sink.lost(error);
            }),
        }
    }

    /// Ends the extensions. Giving back what is held is left to the caller.
    pub fn stop(&self) {
        self.duty.stop();
    }
}

/// Returns why it is lost.
async fn keep<F: Future<Output = Result<bool>>>(clock: &Clock, term: &Term, extend: impl Fn() -> F) -> Error {
    let mut until = term.until;
    let mut pause = term.ttl / 3;
    loop {
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = clock.sleep_until(until) => {}
        }
        let asked = clock.moment();
        let extended = tokio::select! {
            extended = extend() => Some(extended),
            // What was asked for after its time is up to the server: nobody may have taken it yet.
            () = clock.sleep_until(until), if asked < until => None,
        };
        match extended {
            Some(Ok(true)) => {
                until = Term::surely(asked, term.ttl);
                pause = term.ttl / 3;
            }
            Some(Ok(false)) => return lost(term, "it was taken away or its time was over"),
            Some(Err(error)) if clock.moment() >= until => {
                return lost(term, "it could not be extended in time").caused_by(error);
            }
            None => return lost(term, "it could not be extended in time"),
            Some(Err(_)) => pause = PAUSE,
        }
    }
}

fn lost(term: &Term, why: &str) -> Error {
    Error::new(ErrorCode::LockLost, format!("the {} is lost: {why}", term.what))
        .with("resource", term.resource.as_str())
}
