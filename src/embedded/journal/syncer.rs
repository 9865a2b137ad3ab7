//! The thread that forces a journal to the disk, so that nobody else waits for it.
//!
//! Once a second, or, where replies wait for the disk, whenever something was written: what is written while one sync runs
//! shares the next one.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::JoinHandle,
    time::Duration,
};

use super::failed;
use crate::{embedded::engine::Engine, error::Result};

/// Between two syncs.
const SECOND: Duration = Duration::from_secs(1);

/// Handle. Dropping it syncs once more, and waits for that.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    work: Mutex<Work>,
    wake: Condvar,
    /// Something waits for each sync.
    always: bool,
}

struct Work {
    /// The last one is being written to. The others are synced before it, once, so that no gap can arise.
    files: Vec<Arc<File>>,
    written: u64,
    synced: u64,
    failure: Option<String>,
    stop: bool,
    engine: Weak<Engine>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Syncer {
    pub(super) fn start(file: &File, always: bool) -> Result<Self> {
        let work =
            Work { files: vec![clone(file)?], written: 0, synced: 0, failure: None, stop: false, engine: Weak::new() };
        let shared = Arc::new(Shared { work: Mutex::new(work), wake: Condvar::new(), always });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("oxcart-journal".to_owned()).spawn(move || theirs.run());
        let thread = thread.map_err(|error| failed("start", Path::new("a thread for the journal"), error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whose replies wait.
    pub(super) fn attach(&self, engine: Weak<Engine>) {
        self.shared.lock().engine = engine;
    }

    /// Says up to where the file was written.
    pub(super) fn wrote(&self, position: u64) {
        self.shared.lock().written = position;
        if self.shared.always {
            self.shared.wake.notify_one();
        }
    }

    /// Turns to another file.
    pub(super) fn follow(&self, file: &File) -> Result<()> {
        let file = clone(file)?;
        self.shared.lock().files.push(file);
        Ok(())
    }

    pub(super) fn synced(&self) -> u64 {
        self.shared.lock().synced
    }

    /// Why a sync failed; told once.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.lock().failure.take()
    }
}

fn clone(file: &File) -> Result<Arc<File>> {
    file.try_clone().map(Arc::new).map_err(|error| failed("use", Path::new("the journal"), error))
}

impl Syncer {
    /// Syncs once more. Gives why that failed.
    pub(super) fn stop(mut self) -> Option<String> {
        self.end();
        self.failure()
    }

    fn end(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        // The last reference to an engine may go on that very thread.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn run(&self) {
        let mut work = self.lock();
        loop {
            let due = work.written > work.synced;
            if work.stop && !due {
                return;
            }
            let go_on = work.stop || (self.always && due);
            if !go_on {
                work = if self.always {
                    self.wake.wait(work).unwrap_or_else(PoisonError::into_inner)
                } else {
                    // The first wake is that of the end, or comes too early and costs a sync.
                    self.wake.wait_timeout(work, SECOND).unwrap_or_else(PoisonError::into_inner).0
                };
                if self.always || work.written == work.synced {
                    continue;
                }
            }
            let (files, written) = (work.files.clone(), work.written);
            drop(work);
            let outcome = files.iter().try_for_each(|file| file.sync_data());
            work = self.lock();
            match outcome {
                Ok(()) => {
                    work.synced = written;
                    // What came meanwhile was added behind.
                    work.files.drain(..files.len() - 1);
                }
                Err(error) => {
                    work.failure = Some(error.to_string());
                    // Not tried again.
                    work.stop = true;
                    work.synced = work.written;
                }
            }
            let engine = Weak::clone(&work.engine);
            let tell = self.always || work.failure.is_some();
            drop(work);
            if let Some(engine) = engine.upgrade().filter(|_| tell) {
                engine.journal_synced();
            }
            work = self.lock();
        }
    }
}
