//! Keeping a lock for as long as it is needed.

use std::{sync::Arc, time::Duration};

use super::locks::{Held, Locks};
use crate::{
    error::{Error, ErrorCode},
    service::Duty,
};

/// Until a server that failed is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Learns that a lock is lost.
pub trait LossSink: Send + Sync + 'static {
    /// Called once at most, and not after the holder was stopped. `error` is `LockLost`.
    fn lost(&self, error: Error);
}

/// Extends a lock on the I/O thread, three times within its time, until it is stopped, dropped, or the lock is lost. So a
/// thread that is busy keeps its locks.
pub struct Holder {
    duty: Duty,
}

impl Holder {
    pub fn start(locks: Locks, held: Held, sink: Arc<dyn LossSink>) -> Self {
        Self {
            duty: Duty::start(async move {
                let error = keep(&locks, held).await;
                sink.lost(error);
            }),
        }
    }

    /// Ends the extensions. The lock itself is given back by [`Locks::release`].
    pub fn stop(&self) {
        self.duty.stop();
    }
}

/// Returns why the lock is lost.
async fn keep(locks: &Locks, held: Held) -> Error {
    let clock = locks.clock();
    let mut until = held.until;
    let mut pause = held.ttl / 3;
    loop {
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = clock.sleep_until(until) => {}
        }
        let asked = clock.moment();
        let extended = tokio::select! {
            extended = locks.extend_held(&held.resource, &held.token, held.ttl) => Some(extended),
            // What was asked for after its time is up to the server: nobody may have taken the lock yet.
            () = clock.sleep_until(until), if asked < until => None,
        };
        match extended {
            Some(Ok(true)) => {
                until = asked + held.ttl.saturating_sub(held.ttl / 100 + Duration::from_millis(2));
                pause = held.ttl / 3;
            }
            Some(Ok(false)) => return lost(&held, "it was taken away or its time was over"),
            Some(Err(error)) if clock.moment() >= until => {
                return lost(&held, "it could not be extended in time").caused_by(error);
            }
            None => return lost(&held, "it could not be extended in time"),
            Some(Err(_)) => pause = PAUSE,
        }
    }
}

fn lost(held: &Held, why: &str) -> Error {
    Error::new(ErrorCode::LockLost, format!("the lock of `{}` is lost: {why}", held.resource))
        .with("resource", held.resource.as_str())
}
