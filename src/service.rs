//! The I/O thread, and the contract of every background duty that runs on it.

use std::{
    future::Future,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    runtime::{Builder, Handle},
    sync::Notify,
    task::JoinHandle,
};

/// Runs `future` on the I/O thread, whichever thread calls. The future goes on when the [`Duty`] is forgotten.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    io_thread().spawn(future)
}

/// The runtime of the I/O thread: one per process, made on first use, never stopped. It owns every socket, so that a
/// worker thread of Node that ends takes no socket of another thread with it.
pub fn io_thread() -> &'static Handle {
    static IO: OnceLock<Handle> = OnceLock::new();
    IO.get_or_init(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(|| {
                if AWAITED.swap(false, Ordering::AcqRel) {
                    PARKING.notify_waiters();
                }
            })
            .build()
            .expect("a runtime needs only memory and epoll");
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("oxcart-io".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("a thread can be started");
        handle
    })
}

/// The I/O thread has nothing to do, and somebody wants to know.
static PARKING: Notify = Notify::const_new();
static AWAITED: AtomicBool = AtomicBool::new(false);

/// Resolves when the I/O thread has done all that there is to do until a timer or a socket stirs.
pub(crate) async fn idle() {
    // On that thread, so that it parks once more however long it has been parked.
    let _ = spawn(async {
        let parking = PARKING.notified();
        AWAITED.store(true, Ordering::Release);
        parking.await;
    })
    .await;
}

/// A background duty that can be stopped. Stopping twice is safe; dropping stops.
#[derive(Debug, Default)]
pub struct Duty {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Duty {
    /// Starts `future` on the I/O thread.
    pub fn start(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { task: Mutex::new(Some(spawn(future))) }
    }

    /// Ends the duty at its next await point.
    pub fn stop(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.stop();
    }
}
