//! Cancelling a running job from another process: a message on a channel of the worker that runs it.
//!
//! The lock of a job says which worker that is, so exactly one process hears, and whoever cancels learns whether
//! anybody did. Other workers, stock ones among them, have no such channel and are not disturbed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{Queue, WorkerEvent, worker_core::Core};
use crate::{
    codec::resp::Value,
    connection::{Command, Message, MessageSink, SubscriptionKind},
    error::{Error, Result},
    service::{self, Duty},
};

/// Before a subscription that was refused is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize, Serialize)]
struct Request {
    id: String,
    /// Value of the job's lock: the run that is meant, not a later one of the same job.
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Asks whichever worker runs the job to cancel it. False when none runs it, or one that hears no such thing.
pub(super) async fn cancel(queue: &Queue, id: &str, reason: Option<&str>) -> Result<bool> {
    let storage = queue.storage();
    let lock = Command::new("GET").key(storage.keys.lock(id)).repeatable();
    let Some(token) = storage.link.call(lock).await?.into_optional_text()? else { return Ok(false) };
    let Some((worker, _)) = token.rsplit_once(':') else { return Ok(false) };
    let channel = channel(&storage.keys.prefix, worker);
    let request = Request { id: id.to_owned(), token, reason: reason.map(str::to_owned) };
    let message = serde_json::to_string(&request)
        .map_err(|error| Error::new(crate::ErrorCode::Internal, "a request has no JSON form").caused_by(error))?;
    // Twice is once: the second message finds the signal aborted.
    let heard = storage.link.call(Command::new("PUBLISH").arg(channel).arg(message).repeatable()).await;
    Ok(heard.and_then(Value::into_int)? > 0)
}

fn channel(prefix: &str, worker: &str) -> String {
    format!("{prefix}cancel:{worker}")
}

/// Listens while it lives.
pub(super) struct CancelListener {
    channel: String,
    sink: Arc<dyn MessageSink>,
    core: Arc<Core>,
    duty: Duty,
}

impl CancelListener {
    pub(super) fn start(core: &Arc<Core>) -> Self {
        let channel = channel(&core.queue.storage().keys.prefix, &core.id);
        let lost = Arc::new(Notify::new());
        let sink: Arc<dyn MessageSink> = Arc::new(Requests { core: Arc::downgrade(core), lost: Arc::clone(&lost) });
        let duty = Duty::start(listen(Arc::clone(core), channel.clone(), Arc::clone(&sink), lost));
        Self { channel, sink, core: Arc::clone(core), duty }
    }
}

impl Drop for CancelListener {
    fn drop(&mut self) {
        self.duty.stop();
        let subscriptions = self.core.queue.storage().link.subscriptions();
        let (channel, sink) = (std::mem::take(&mut self.channel), Arc::clone(&self.sink));
        service::spawn(async move {
            // Nobody is left who could act on it.
            let _ = subscriptions.unsubscribe(SubscriptionKind::Channel, &channel, &sink).await;
        });
    }
}

async fn listen(core: Arc<Core>, channel: String, sink: Arc<dyn MessageSink>, lost: Arc<Notify>) {
    let subscriptions = core.queue.storage().link.subscriptions();
    let mut pause = FIRST_PAUSE;
    loop {
        match subscriptions.subscribe(SubscriptionKind::Channel, &channel, Arc::clone(&sink)).await {
            Ok(()) => {
                pause = FIRST_PAUSE;
                lost.notified().await;
            }
            Err(error) => {
                // Once: a user of the server who may not subscribe may never.
                if pause == FIRST_PAUSE {
                    core.tell(WorkerEvent::Error(
                        error.during("running jobs cannot be cancelled from other processes"),
                    ));
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

struct Requests {
    core: Weak<Core>,
    lost: Arc<Notify>,
}

impl MessageSink for Requests {
    fn message(&self, message: &Message<'_>) {
        // What is no request came from somebody else.
        let Ok(request) = serde_json::from_slice::<Request>(message.payload) else { return };
        if let Some(core) = self.core.upgrade() {
            core.cancel(request.id, request.token, request.reason);
        }
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        if !lost.is_empty() {
            self.lost.notify_one();
        }
    }
}
