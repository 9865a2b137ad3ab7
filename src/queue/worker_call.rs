//! One call of a worker: it stores outcomes and takes jobs.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use tokio::time::Instant;

use super::{
    scripts::{Take, Taken},
    worker_core::{Core, Report, Room},
};
use crate::error::{Detail, Error, ErrorCode, Result};

type Reply = Result<(Vec<Result<()>>, Taken)>;
type Calling = Pin<Box<dyn Future<Output = (Vec<Report>, Reply)> + Send>>;

/// A call that the server has, and did not answer yet.
pub(super) struct Call {
    about: About,
    calling: Calling,
    /// An engine in this process answers at once.
    answered: Option<(Vec<Report>, Reply)>,
}

/// What is known of a call before its answer.
#[derive(Clone)]
pub(super) struct About {
    /// Of the locks of the jobs that it takes.
    pub(super) token: String,
    pub(super) sent_at: Instant,
    pub(super) wanted: Room,
    /// It carries one outcome and takes nothing, so that what is refused is the outcome.
    pub(super) alone: bool,
}

/// A call and its answer.
pub(super) struct Answered {
    pub(super) about: About,
    pub(super) reports: Vec<Report>,
    pub(super) reply: Reply,
}

impl Call {
    /// The server has it when this returns.
    pub(super) async fn send(core: &Arc<Core>, wanted: Room, token: String, alone: bool, reports: Vec<Report>) -> Self {
        let about = About { token, sent_at: Instant::now(), wanted, alone };
        let (core, token) = (Arc::clone(core), about.token.clone());
        let mut calling: Calling = Box::pin(async move {
            let reply = ask(&core, wanted, token, &reports).await;
            (reports, reply)
        });
        let answered = poll_fn(|cx| match calling.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        Self { about, calling, answered }
    }

    /// Jobs that may come with its answer.
    pub(super) fn most_coming(&self) -> usize {
        self.about.wanted.slots + self.about.wanted.ahead
    }

    /// Nothing is lost when the wait is dropped before its end.
    pub(super) async fn answered(&mut self) -> Answered {
        let (reports, reply) = match self.answered.take() {
            Some(answered) => answered,
            None => self.calling.as_mut().await,
        };
        Answered { about: self.about.clone(), reports, reply }
    }
}

async fn ask(core: &Core, wanted: Room, token: String, reports: &[Report]) -> Reply {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let take = Take {
        wanted: wanted.slots,
        ahead: wanted.ahead,
        token,
        lock_ms: ms(core.options.lock_duration),
        worker_name: core.options.name.clone().unwrap_or_default(),
        limiter: core.options.limiter.map(|limiter| (limiter.max, ms(limiter.duration))),
    };
    let storage = core.queue.storage();
    let now = core.queue.now();
    if reports.is_empty() {
        return Ok((Vec::new(), storage.fetch_jobs(now, &take).await?));
    }
    // Here and not where they are reported, which is another thread's time.
    let outcomes = reports.iter().map(|report| core.queue.sealed(&report.stored)).collect::<Result<Vec<_>>>()?;
    storage.finish_jobs(now, core.options.metrics_max_data_points, &take, &outcomes).await
}

/// Whether the server may have done what it did not answer.
pub(super) fn is_maybe_executed(error: &Error) -> bool {
    !error.details().iter().any(|(name, detail)| *name == "maybeExecuted" && *detail == Detail::Bool(false))
        && matches!(error.code(), ErrorCode::ConnectionLost | ErrorCode::CommandTimedOut)
}

/// Whether the same call may succeed later: the link or the server, not the call, is at fault.
pub(super) fn is_passing(error: &Error) -> bool {
    const SERVER: [&str; 8] =
        ["OOM", "BUSY", "MISCONF", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "NOSCRIPT"];
    error.is_retryable()
        || error.code() == ErrorCode::AuthenticationFailed
        || error
            .details()
            .iter()
            .any(|(name, detail)| *name == "reply" && matches!(detail, Detail::Text(word) if SERVER.contains(&&**word)))
}
