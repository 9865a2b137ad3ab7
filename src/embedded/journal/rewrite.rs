//! A new base while the engine goes on: on a thread of its own, with the engine's lock taken for moments only.
//!
//! The order is what makes it safe to be killed at any point. The manifest names the next incremental file before anything
//! is written to it; then, in one step under the lock, effects go there and the copy of the data begins ([`copying`]); only
//! when the new base is whole and on the disk, a new manifest names it and the files behind it. At every moment the files
//! that the manifest names hold everything.
//!
//! [`copying`]: super::super::copying

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use super::{
    failed,
    lock::Lock,
    manifest::{self, Manifest, Part},
    recorder::append_to,
    snapshot::Snapshot,
};
use crate::{
    embedded::engine::Engine,
    error::{Error, ErrorCode, Result},
};

/// Bytes that are copied while the engine stands still.
const PART: usize = 128 * 1024;

/// A rewrite that is under way. Dropping it ends it, and waits for that.
pub(super) struct Rewrite {
    thread: Option<JoinHandle<Result<u64>>>,
    cancelled: Arc<AtomicBool>,
}

/// What a rewrite needs.
pub(super) struct Sources {
    pub directory: PathBuf,
    pub manifest: Arc<Mutex<Manifest>>,
    pub engine: Weak<Engine>,
    /// Nobody else may have the files before this ends.
    pub lock: Arc<Lock>,
}

impl Rewrite {
    pub(super) fn start(sources: Sources) -> Result<Self> {
        let cancelled = Arc::<AtomicBool>::default();
        let (directory, theirs) = (sources.directory.clone(), Arc::clone(&cancelled));
        let work = move || Work { sources, cancelled: theirs }.run();
        let thread = std::thread::Builder::new().name("oxcart-rewrite".to_owned()).spawn(work);
        let thread = thread.map_err(|error| failed("rewrite", &directory, error))?;
        Ok(Self { thread: Some(thread), cancelled })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Bytes of the new base; `None` after a panic.
    pub(super) fn outcome(mut self) -> Option<Result<u64>> {
        self.thread.take().and_then(|thread| thread.join().ok())
    }

    /// Ends it soon, without waiting.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        self.cancel();
        // The last reference to an engine may go on that very thread.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // Its outcome is in the files.
            let _ = thread.join();
        }
    }
}

struct Work {
    sources: Sources,
    cancelled: Arc<AtomicBool>,
}

impl Work {
    fn run(self) -> Result<u64> {
        let _held_to_the_end = Arc::clone(&self.sources.lock);
        let directory = &self.sources.directory;
        let (part, base) = self.begin()?;
        let temporary = manifest::temporary(directory, &base);
        let size = self.write_base(&temporary, &directory.join(&base.name));
        if size.is_err() {
            // Before the lock is let go of; where it fails, the next opening removes it.
            let _ = fs::remove_file(&temporary);
        }
        let size = size?;
        let mut manifest = self.manifest();
        let mut next = manifest.clone();
        next.increments.retain(|other| other.sequence >= part.sequence);
        next.base = Some(base);
        next.write(directory)?;
        next.remove_strays(directory);
        *manifest = next;
        Ok(size)
    }

    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.sources.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> Result<Arc<Engine>> {
        let engine = self.sources.engine.upgrade().filter(|_| !self.cancelled.load(Ordering::Acquire));
        engine.ok_or_else(|| Error::closed("engine"))
    }

    /// Turns to the next incremental file.
    fn begin(&self) -> Result<(Part, Part)> {
        let directory = &self.sources.directory;
        let (part, base) = {
            let mut manifest = self.manifest();
            let mut next = manifest.clone();
            let part = next.add_increment();
            let path = directory.join(&part.name);
            File::create(&path).map_err(|error| failed("create", &path, error))?;
            next.write(directory)?;
            let base = next.next_base();
            *manifest = next;
            (part, base)
        };
        let (file, _) = append_to(&directory.join(&part.name))?;
        let before = self.engine()?.working(|state| state.begin_copy(|journal| journal.switch(file)));
        let before = before.ok_or_else(|| Error::new(ErrorCode::StorageFailed, "the journal cannot be written"))?;
        // What the old file holds must not be less safe than what the new one will.
        before.sync_data().map_err(|error| failed("sync", directory, error))?;
        Ok((part, base))
    }

    fn write_base(&self, temporary: &Path, path: &Path) -> Result<u64> {
        let fault = |error| failed("write", path, error);
        let mut into = BufWriter::with_capacity(256 * 1024, File::create(temporary).map_err(fault)?);
        let (mut snapshot, mut keys, mut is_last) = (Snapshot::default(), Vec::new(), false);
        while !is_last {
            is_last = self.engine()?.working(|state| state.take_copied(PART, &mut keys));
            snapshot.write(&keys, &mut into).map_err(fault)?;
            keys.clear();
        }
        let mut finish = || -> io::Result<()> {
            into.flush()?;
            into.get_ref().sync_all()?;
            fs::rename(temporary, path)?;
            manifest::sync_directory(&self.sources.directory)
        };
        finish().map_err(fault)?;
        Ok(snapshot.bytes())
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
