//! One multiplexed connection that many callers share.
//!
//! # The idea
//! A caller, on whatever thread, hands in a batch that is encoded already. Under one short lock it is put behind the
//! batches before it; when the socket is plain and nothing at all is in flight, the calling thread writes it itself and
//! saves a hop between threads, else the I/O task is woken, once, however many batches come meanwhile. The
//! [`Driver`](super::driver::Driver) on the I/O thread owns everything else: it writes the rest, reads, matches replies
//! in order, watches deadlines and connects again. A caller who waits for one reply at a time may read himself
//! ([`lending`](super::lending)).
//!
//! # What is guaranteed
//! Every command is settled exactly once, at the latest shortly after its deadline, which counts from its submission,
//! connected or not. Commands are sent in the order of their submission. A command is sent twice only when it is marked
//! repeatable; for others the error says whether they may have run.
//!
//! # While there is no connection
//! Commands wait (`enableOfflineQueue`), bounded in bytes, up to their deadline or `maxRetriesPerRequest` failed
//! attempts. A server that refuses the credentials, that is no Redis or whose certificate is refused is tried again at
//! the same pace, in case it is mended; meanwhile calls fail at once with that reason.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

#[cfg(unix)]
use super::lending::Lender;
use super::{
    command::Batch,
    driver::Driver,
    lending::{Driven, Offer, Reading},
    link::{LinkState, ReplySink},
    options::{Address, ConnectionOptions},
    outbox::Outbox,
    pending::Pending,
    plain_socket::DirectWriter,
    state_board::StateBoard,
};
use crate::{
    embedded::Local,
    error::{Error, ErrorCode},
    service,
};

/// Largest batch that a calling thread writes itself; the copy of a larger one would hold it up.
const DIRECT_LIMIT: usize = 64 * 1024;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Commands of many callers: one that times out leaves its place to a late reply.
    Shared,
    /// Blocking commands of one caller: when one times out, the connection is not trusted any more.
    Blocking,
}

/// Handle of a link. Dropping it closes the connection once what is in flight is answered.
pub(super) struct CommandLink {
    shared: Arc<Shared>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "nobody borrows there"))]
    driven: Arc<Driven>,
}

/// What the callers and the I/O task share.
pub(super) struct Shared {
    pub(super) options: Arc<ConnectionOptions>,
    pub(super) purpose: Purpose,
    pub(super) board: StateBoard,
    pub(super) wake: Notify,
    pub(super) offer: Offer,
    core: Mutex<Core>,
}

/// Whether, and how, commands are taken.
pub(super) enum Gate {
    /// There is a connection.
    Open,
    /// There will be one.
    Waiting,
    /// There is none, for a reason that every caller is told.
    Refusing(Error),
    /// There is no need for one: the engine is in this process.
    Here(Arc<Local>),
    /// The handle is gone.
    Closed,
}

pub(super) struct Core {
    pub(super) gate: Gate,
    /// Batches that the I/O task has not seen.
    pub(super) incoming: Vec<Pending>,
    /// Batches without all their replies.
    pub(super) outstanding: usize,
    /// Bytes that no socket took yet.
    pub(super) backlog: usize,
    /// When the I/O task wakes by itself.
    pub(super) wakes_at: Option<Instant>,
    /// The I/O task was told of `incoming`, or of a wish below.
    notified: bool,
    pub(super) reading: Reading,
    /// Only while the gate is open.
    pub(super) direct: Option<DirectWriter>,
    pub(super) client_id: Option<i64>,
    /// Somebody wants the connection replaced, for this reason.
    pub(super) replace: Option<Error>,
    /// Nobody connects any more.
    pub(super) over: bool,
}

impl Core {
    /// Hands the new batches over. The next one wakes the I/O task again.
    pub(super) fn take_incoming(&mut self) -> std::vec::Drain<'_, Pending> {
        self.notified = false;
        self.incoming.drain(..)
    }
}

impl CommandLink {
    /// Starts connecting. Never waits.
    pub(super) fn open(options: Arc<ConnectionOptions>, purpose: Purpose) -> Arc<Self> {
        let shared = Arc::new(Shared {
            options,
            purpose,
            board: StateBoard::new(LinkState::Connecting),
            wake: Notify::new(),
            offer: Offer::default(),
            core: Mutex::new(Core {
                gate: Gate::Waiting,
                incoming: Vec::new(),
                outstanding: 0,
                backlog: 0,
                wakes_at: None,
                notified: false,
                reading: Reading::default(),
                direct: None,
                client_id: None,
                replace: None,
                over: false,
            }),
        });
        let theirs = Arc::clone(&shared);
        let driven = Arc::new(Driven::new(async move { Driver::new(theirs).run().await }));
        let task = Arc::clone(&driven);
        service::spawn(poll_fn(move |cx| task.poll_as_task(cx)));
        Arc::new(Self { shared, driven })
    }

    /// Lends the reading of this link.
    #[cfg(unix)]
    pub(super) fn lender(&self) -> Lender {
        Lender { shared: Arc::clone(&self.shared), driven: Arc::clone(&self.driven) }
    }

    pub(super) fn board(&self) -> &StateBoard {
        &self.shared.board
    }

    /// The server's number for the present connection.
    pub(super) fn client_id(&self) -> Option<i64> {
        let core = self.shared.lock();
        if matches!(core.gate, Gate::Open) { core.client_id } else { None }
    }

    /// The engine, when it is in this process.
    pub(super) fn local(&self) -> Option<Arc<Local>> {
        if let Gate::Here(local) = &self.shared.lock().gate { Some(Arc::clone(local)) } else { None }
    }

    /// Whether the link gave up for ever.
    pub(super) fn is_over(&self) -> bool {
        self.shared.lock().over
    }

    /// Why commands are refused at present.
    pub(super) fn refusal(&self) -> Option<Error> {
        match &self.shared.lock().gate {
            Gate::Refusing(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Breaks the connection, for `reason`, and makes a new one.
    pub(super) fn replace_connection(&self, reason: Error) {
        let mut core = self.shared.lock();
        core.replace = Some(reason);
        self.shared.notify(core);
    }

    /// Takes a batch. Never waits.
    pub(super) fn submit(&self, batch: Batch) {
        if batch.entries.is_empty() {
            return;
        }
        let options = &self.shared.options;
        let mut core = self.shared.lock();
        if let Gate::Here(local) = &core.gate {
            let local = Arc::clone(local);
            drop(core);
            local.submit(batch);
            return;
        }
        if let Some(error) = core.refuse(&batch, options) {
            drop(core);
            refuse(&batch, &error);
            return;
        }
        let idle = core.outstanding == 0;
        let (offer, taken_back) = core.reading.submitted(&batch, idle);
        self.shared.offer.set(offer);
        let mut pending = Pending::new(batch, Instant::now(), options.command_timeout);
        if matches!(options.address, Address::File { .. }) {
            pending.keep_bytes();
        }
        if let (true, Some(direct)) = (idle && pending.bytes().len() <= DIRECT_LIMIT, &core.direct) {
            // An error here is seen by the I/O task as well, which knows what to do about it.
            if let Ok(written) = direct.try_write(pending.bytes()) {
                pending.wrote(written);
            }
        }
        core.outstanding += 1;
        core.backlog += pending.unwritten().len();
        let wake = taken_back || !pending.is_written() || core.wakes_at.is_none_or(|at| pending.earliest() < at);
        core.incoming.push(pending);
        if wake {
            self.shared.notify(core);
        }
    }
}

impl Core {
    fn refuse(&self, batch: &Batch, options: &ConnectionOptions) -> Option<Error> {
        let full = self.backlog + batch.bytes.len() > options.max_offline_queue_bytes;
        let at = || options.describe();
        match &self.gate {
            // A single batch beyond the limit has to be possible while nothing else waits.
            Gate::Open if full && self.backlog > 0 => Some(Error::new(
                ErrorCode::Overloaded,
                format!("{} takes commands more slowly than they come: {} bytes are waiting", at(), self.backlog),
            )),
            Gate::Waiting if !options.offline_queue => {
                Some(Error::new(ErrorCode::Offline, format!("no connection to {}", at())))
            }
            Gate::Waiting if full => Some(Error::new(
                ErrorCode::OfflineQueueFull,
                format!("no connection to {}, and {} bytes of commands are waiting", at(), self.backlog),
            )),
            Gate::Open | Gate::Waiting | Gate::Here(_) => None,
            Gate::Refusing(error) => Some(error.clone()),
            Gate::Closed => Some(Error::closed("connection")),
        }
        .map(|error| error.with("maybeExecuted", false))
    }
}

fn refuse(batch: &Batch, error: &Error) {
    let mut outbox = Outbox::default();
    for entry in &batch.entries {
        outbox.put(&batch.sink, entry.token, error.clone());
    }
    outbox.deliver();
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the I/O task, unless it was told already.
    pub(super) fn notify(&self, mut core: MutexGuard<'_, Core>) {
        let notified = std::mem::replace(&mut core.notified, true);
        drop(core);
        if !notified {
            self.wake.notify_one();
        }
    }
}

impl Drop for CommandLink {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        // Let go of once the lock is released: it may be the last one to have the engine.
        let _gate = std::mem::replace(&mut core.gate, Gate::Closed);
        core.direct = None;
        self.shared.notify(core);
    }
}

/// Swallows the replies of commands that the link sends for itself.
pub(super) struct NobodyWaits;

impl ReplySink for NobodyWaits {
    fn settle(&self, _token: u64, _reply: crate::Result<crate::codec::resp::Reply<'_>>) {}
}
