//! Rests between the slices of work that is long and not urgent, so that workers have most of the server meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Work that is done before needs no rests.
const FREE: u32 = 5;
/// A rest is so many times as long as the call before it took, all told.
const SHARE: u32 = 4;
const LONGEST: Duration = Duration::from_millis(50);

/// Of one operation.
#[derive(Debug, Default)]
pub(super) struct Rests {
    calls: u32,
    owed: Duration,
}

impl Rests {
    /// Makes the next call, after the rest that the one before it asks for.
    pub(super) async fn after<T>(&mut self, call: impl Future<Output = T>) -> T {
        if self.calls >= FREE {
            sleep(self.owed).await;
        }
        let began = Instant::now();
        let result = call.await;
        self.calls += 1;
        self.owed = (began.elapsed() * SHARE).min(LONGEST);
        result
    }
}
