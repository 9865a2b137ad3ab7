//! Reading on the thread of a caller who waits for one reply at a time.
//!
//! Two hops between threads cost such a caller more than the server takes. So the driver of a shared link may be polled
//! from two threads: its task on the I/O thread, and a thread that has borrowed the reading and watches the socket itself.
//!
//! # Who polls
//! The driver lies behind a lock that both only try. All wakers are those of the task, so whatever is due (a deadline, a
//! batch of somebody else) is done by the I/O thread, whatever the borrower does. When the task finds the lock taken it
//! says so and tries once more; the borrower looks after it has unlocked. One of the two sees the other.
//!
//! # When reading is lent
//! After some small batches in a row, of one sink, each with nothing in flight before it. The first batch that is larger,
//! of another sink, or finds something in flight takes it back: who has many replies coming is served better by the I/O
//! thread, and nobody else waits for a thread that may be busy. Then it takes more than a few batches to get it again.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::{command::Batch, link::ReplySink};

/// A batch up to this is small.
const SMALL_COMMANDS: usize = 2;
const SMALL_BYTES: usize = 16 * 1024;
/// Small batches in a row before reading is offered.
const CALM: i32 = 4;
/// As many more after it was taken back.
const RESTLESS: i32 = -60;

/// The driver of a link, as a future that two threads poll.
pub(super) struct Driven {
    state: Mutex<State>,
    /// The task came while a borrower was at it.
    missed: AtomicBool,
}

struct State {
    /// None once it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Of the task, which polls first.
    waker: Option<Waker>,
}

impl Driven {
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        let state = State { future: Some(Box::pin(future)), waker: None };
        Self { state: Mutex::new(state), missed: AtomicBool::new(false) }
    }

    /// One poll of the task.
    pub(super) fn poll_as_task(&self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.try_lock().or_else(|| {
            self.missed.store(true, Ordering::SeqCst);
            self.try_lock()
        });
        // The borrower wakes the task.
        let Some(mut state) = state else { return Poll::Pending };
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.poll(cx)
    }

    /// One poll of a borrower, after `first`, in the context of the I/O runtime. Does nothing, and returns false, while the
    /// task is at it.
    #[cfg(unix)]
    fn poll_as_borrower(&self, first: impl FnOnce()) -> bool {
        let Some(mut state) = self.try_lock() else { return false };
        let Some(waker) = state.waker.clone() else { return false };
        first();
        let ended = state.poll(&mut Context::from_waker(&waker)).is_ready();
        drop(state);
        if self.missed.swap(false, Ordering::SeqCst) || ended {
            waker.wake();
        }
        true
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        // A fault of the driver ends it; dropping it tells everybody who waits.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            outcome => {
                if outcome.is_err() {
                    tracing::error!("the driver of a link panicked");
                }
                self.future = None;
                self.waker = None;
                Poll::Ready(())
            }
        }
    }
}

/// Who reads; part of what callers and driver share.
#[derive(Default)]
pub(super) struct Reading {
    /// The sink of the borrower, and whether it still is one.
    lent: Option<(usize, Arc<AtomicBool>)>,
    /// The sink of the last batch, and how many small ones in a row it sent.
    last: usize,
    calm: i32,
}

impl Reading {
    pub(super) fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Takes a batch into account, with nothing in flight before it if `idle`. Returns the sink that reading is offered to
    /// (0: nobody), and whether reading was taken back, which the I/O task must hear.
    pub(super) fn submitted(&mut self, batch: &Batch, idle: bool) -> (usize, bool) {
        let sink = identity(&batch.sink);
        let small = idle && batch.entries.len() <= SMALL_COMMANDS && batch.bytes.len() <= SMALL_BYTES;
        if let Some((borrower, _)) = &self.lent {
            if small && *borrower == sink {
                return (0, false);
            }
            self.take_back();
            return (0, true);
        }
        if small && self.last == sink {
            self.calm = self.calm.saturating_add(1);
        } else {
            self.calm = self.calm.min(0);
        }
        self.last = sink;
        (if self.calm >= CALM { sink } else { 0 }, false)
    }

    /// The I/O thread reads again, and will for a while.
    pub(super) fn take_back(&mut self) {
        self.calm = RESTLESS;
        self.end();
    }

    /// Reading ended with the connection, or was given back.
    pub(super) fn end(&mut self) -> bool {
        self.lent.take().map(|(_, on)| on.store(false, Ordering::Release)).is_some()
    }

    #[cfg(unix)]
    fn lend(&mut self, sink: usize) -> Option<Arc<AtomicBool>> {
        if self.lent.is_some() || self.last != sink || self.calm < CALM {
            return None;
        }
        let on = Arc::new(AtomicBool::new(true));
        self.lent = Some((sink, Arc::clone(&on)));
        self.calm = 0;
        Some(on)
    }

    #[cfg(unix)]
    fn give_back(&mut self, loan: &Arc<AtomicBool>) -> bool {
        self.lent.as_ref().is_some_and(|(_, on)| Arc::ptr_eq(on, loan)) && self.end()
    }
}

fn identity(sink: &Arc<dyn ReplySink>) -> usize {
    Arc::as_ptr(sink).cast::<()>().addr()
}

/// Whom reading is offered to: a look without a lock.
#[derive(Default)]
pub(super) struct Offer(AtomicUsize);

impl Offer {
    pub(super) fn set(&self, sink: usize) {
        self.0.store(sink, Ordering::Relaxed);
    }
}

#[cfg(unix)]
mod borrowing {
    use std::{
        os::fd::{AsRawFd, OwnedFd, RawFd},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use super::{super::command_link::Shared, Driven, ReplySink, identity};
    use crate::service;

    /// Lends the reading of a link's connections. Does not keep the link open.
    #[derive(Clone)]
    pub struct Lender {
        pub(in crate::connection) shared: Arc<Shared>,
        pub(in crate::connection) driven: Arc<Driven>,
    }

    impl Lender {
        /// The reading of the present connection, when it is offered to who waits behind `sink`.
        pub fn borrow(&self, sink: &Arc<dyn ReplySink>) -> Option<Loan> {
            let sink = identity(sink);
            if self.shared.offer.0.load(Ordering::Relaxed) != sink {
                return None;
            }
            let mut core = self.shared.lock();
            let socket = core.direct.as_ref()?.descriptor();
            let on = core.reading.lend(sink)?;
            self.shared.offer.set(0);
            self.shared.notify(core);
            Some(Loan { lender: self.clone(), socket, on })
        }
    }

    /// Reading borrowed: who has this watches the socket, and polls when something is there. Dropping it gives it back.
    pub struct Loan {
        lender: Lender,
        /// Stays open as long as this.
        socket: Arc<OwnedFd>,
        on: Arc<AtomicBool>,
    }

    impl Loan {
        /// False once it was taken back or the connection ended: then let go of it soon.
        pub fn is_on(&self) -> bool {
            self.on.load(Ordering::Acquire)
        }

        /// Calls `first`, reads what is there, and settles what it answers on this thread. Never waits: while the I/O
        /// thread is at it, this does nothing, and returns false; the socket may still have something afterwards.
        pub fn poll(&self, first: impl FnOnce()) -> bool {
            // What the driver makes here (a timer, a registration) belongs to the I/O runtime.
            let _context = service::io_thread().enter();
            self.lender.driven.poll_as_borrower(first)
        }
    }

    impl AsRawFd for Loan {
        fn as_raw_fd(&self) -> RawFd {
            self.socket.as_raw_fd()
        }
    }

    impl Drop for Loan {
        fn drop(&mut self) {
            let mut core = self.lender.shared.lock();
            if core.reading.give_back(&self.on) {
                self.lender.shared.notify(core);
            }
        }
    }
}

#[cfg(unix)]
pub use borrowing::{Lender, Loan};

#[cfg(test)]
#[path = "lending_tests.rs"]
mod tests;
