//! Makes the changes of a table, many in one transaction.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use super::{
    table::{Change, Outcome, SLICE},
    tier::Shared,
};
use crate::error::Result;

/// Changes of one transaction.
const BATCH: usize = 64;
/// How often expired rows are looked for, and how soon again where there were more than one slice holds.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
const EXPIRE_AGAIN: Duration = Duration::from_millis(20);

/// A change and who waits for it.
pub(super) struct Order {
    pub change: Change,
    pub reply: oneshot::Sender<Result<Outcome>>,
    /// Room in the queue that its value takes.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Runs until nobody can send any more, and then closes the connections.
pub(super) async fn run(shared: Arc<Shared>, mut orders: mpsc::Receiver<Order>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut expire_at = Instant::now();
    loop {
        let used = shared.is_made();
        let waited = if used { timeout_at(expire_at, orders.recv_many(&mut batch, BATCH)).await.ok() } else { None };
        let received = match waited {
            Some(received) => received,
            None if used => {
                let again =
                    matches!(shared.apply(&[Change::Expire]).await, Ok(done) if done[0].count >= SLICE.unsigned_abs());
                expire_at = Instant::now() + if again { EXPIRE_AGAIN } else { EXPIRE_EVERY };
                continue;
            }
            None => orders.recv_many(&mut batch, BATCH).await,
        };
        if received == 0 {
            break;
        }
        let (changes, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|order| (order.change, (order.reply, order.room))).unzip();
        match shared.apply(&changes).await {
            Ok(outcomes) => {
                for ((reply, _), outcome) in replies.into_iter().zip(outcomes) {
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                for (reply, _) in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
    // A connection that hangs must not keep this task for ever.
    let _ = timeout(Duration::from_secs(5), shared.pool.close()).await;
}
