//! Writing a journal: effects to the file, the file to the disk, and a new base now and then.

use std::{
    fs::{self, File},
    io::{BufWriter, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Fsync, JournalOptions, failed,
    group::Group,
    lock::Lock,
    manifest::{self, Manifest},
    snapshot::{self, Copied},
};
use crate::{
    embedded::failure::Failure,
    error::{Error, Result},
};

/// Between two syncs.
const SECOND: Duration = Duration::from_secs(1);

/// The journal of a running engine.
pub(in crate::embedded) struct Recorder {
    directory: PathBuf,
    options: JournalOptions,
    group: Group,
    file: File,
    /// Where the last whole group ends.
    length: u64,
    /// Written and not yet forced to the disk.
    unsynced: Arc<AtomicBool>,
    /// Why nothing more can be written.
    broken: Option<String>,
    /// Bytes in all files, and how many there were after the last rewrite.
    size: u64,
    size_at_rewrite: u64,
    manifest: Arc<Mutex<Manifest>>,
    rewrite: Option<JoinHandle<Result<u64>>>,
    syncer: Option<Syncer>,
    lock: Option<Lock>,
}

/// The thread that forces writes to the disk once a second.
struct Syncer {
    stop: Sender<()>,
    /// The file to be synced, replaced when another begins.
    file: Arc<Mutex<File>>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Goes on with the last file, or begins the first. `size` is that of all files.
    pub(super) fn start(
        directory: &Path,
        options: JournalOptions,
        lock: Lock,
        mut manifest: Manifest,
        size: u64,
    ) -> Result<Self> {
        if manifest.increments.is_empty() {
            let part = manifest.add_increment();
            let path = directory.join(&part.name);
            File::create(&path).map_err(|error| failed("create", &path, error))?;
            manifest.write(directory)?;
        }
        // Counted from the base, not from what was there when it was opened: short lives add up, too.
        let base = manifest.base.as_ref().map(|part| directory.join(&part.name));
        let size_at_rewrite = base.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len());
        let name = manifest.increments.last().map(|part| part.name.clone()).unwrap_or_default();
        let (file, length) = append_to(&directory.join(name))?;
        let unsynced = Arc::<AtomicBool>::default();
        let syncer = match options.fsync {
            Fsync::EverySecond => Some(Syncer::start(&file, Arc::clone(&unsynced))?),
            Fsync::Always | Fsync::No => None,
        };
        Ok(Self {
            directory: directory.to_owned(),
            options,
            group: Group::default(),
            file,
            length,
            unsynced,
            broken: None,
            size,
            size_at_rewrite,
            manifest: Arc::new(Mutex::new(manifest)),
            rewrite: None,
            syncer,
            lock: Some(lock),
        })
    }

    /// The effects of the command that is running.
    pub(in crate::embedded) fn group(&mut self) -> &mut Group {
        &mut self.group
    }

    /// Why a command that writes cannot be run, if so.
    pub(in crate::embedded) fn refusal(&self) -> Option<Failure> {
        self.broken.as_ref().map(|why| Failure::new(format!("MISCONF Errors writing to the AOF file: {why}")))
    }

    /// Writes the group of effects that is complete now.
    pub(in crate::embedded) fn write(&mut self) -> std::result::Result<(), Failure> {
        let Some(bytes) = self.group.take() else { return Ok(()) };
        if let Err(error) = self.file.write_all(&bytes) {
            // Part of the group may be there: it goes, so that nothing unfinished stands in the middle.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            self.group.forget_database();
            let what = if undone.is_ok() { "" } else { ", nor undo what was written of it" };
            let why = format!("{error}{what}");
            tracing::error!(directory = %self.directory.display(), "the journal cannot be written: {why}");
            self.broken = Some(why);
            return self.refusal().map_or(Ok(()), Err);
        }
        self.length += bytes.len() as u64;
        self.size += bytes.len() as u64;
        self.unsynced.store(true, Ordering::Release);
        Ok(())
    }

    /// Forces what was written to the disk, where every reply must wait for that.
    pub(in crate::embedded) fn sync(&mut self) -> std::result::Result<(), Failure> {
        if self.options.fsync != Fsync::Always || !self.unsynced.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // After a failed sync nobody knows what is on the disk, and trying again would not tell.
        if let Err(error) = self.file.sync_data() {
            self.broken = Some(error.to_string());
        }
        self.refusal().map_or(Ok(()), Err)
    }

    /// Whether it is time for a new base.
    pub(in crate::embedded) fn wants_rewrite(&self) -> bool {
        self.rewrite.is_none()
            && self.broken.is_none()
            && self.size >= self.options.rewrite_min_size
            && self.size >= self.size_at_rewrite.saturating_mul(2)
    }

    /// Begins a new base of a copy of all data, which another thread writes. Effects go to a new file from now on; until the
    /// base is complete, the manifest names the old files and the new one, so that nothing is lost at any moment.
    pub(in crate::embedded) fn begin_rewrite(&mut self, keys: Vec<Copied>) -> Result<()> {
        let (part, base) = {
            let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = manifest.clone();
            let part = next.add_increment();
            let path = self.directory.join(&part.name);
            File::create(&path).map_err(|error| failed("create", &path, error))?;
            next.write(&self.directory)?;
            let base = next.next_base();
            *manifest = next;
            (part, base)
        };
        let (file, length) = append_to(&self.directory.join(&part.name))?;
        if let Some(syncer) = &self.syncer {
            // What the old file holds must not be less safe than what the new one will.
            self.file.sync_data().map_err(|error| failed("sync", &self.directory, error))?;
            syncer.follow(&file)?;
        }
        (self.file, self.length) = (file, length);
        self.group.forget_database();
        let (directory, manifest) = (self.directory.clone(), Arc::clone(&self.manifest));
        let write = move || {
            let path = directory.join(&base.name);
            let temporary = manifest::temporary(&directory, &base);
            let put = || {
                let mut into = BufWriter::with_capacity(256 * 1024, File::create(&temporary)?);
                let size = snapshot::write(&keys, &mut into)?;
                into.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
                fs::rename(&temporary, &path)?;
                manifest::sync_directory(&directory)?;
                Ok(size)
            };
            let size = put().map_err(|error| failed("write", &path, error))?;
            let mut manifest = manifest.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = manifest.clone();
            next.increments.retain(|other| other.sequence >= part.sequence);
            next.base = Some(base);
            next.write(&directory)?;
            next.remove_strays(&directory);
            *manifest = next;
            Ok(size)
        };
        let thread = std::thread::Builder::new().name("oxcart-rewrite".to_owned()).spawn(write);
        self.rewrite = Some(thread.map_err(|error| failed("rewrite", &self.directory, error))?);
        Ok(())
    }

    /// Notes the end of a rewrite, when it has ended.
    pub(in crate::embedded) fn finish_rewrite(&mut self) {
        if !self.rewrite.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        let outcome = self.rewrite.take().map(JoinHandle::join);
        match outcome {
            Some(Ok(Ok(base))) => self.size = base + self.length,
            Some(Ok(Err(error))) => tracing::warn!(%error, "the journal was not rewritten; it goes on as it is"),
            Some(Err(_)) | None => tracing::warn!("the journal was not rewritten; it goes on as it is"),
        }
        // After a failure, too: the next attempt comes when it has doubled again.
        self.size_at_rewrite = self.size;
    }
}

impl Recorder {
    /// Writes nothing more, and lets another engine have the files. Closing twice is safe.
    pub(in crate::embedded) fn close(&mut self) {
        if let Some(rewrite) = self.rewrite.take() {
            // Its outcome is in the files; without the lock, nobody else may touch them meanwhile.
            let _ = rewrite.join();
        }
        if let Some(syncer) = self.syncer.take() {
            drop(syncer.stop);
            let _ = syncer.thread.join();
        }
        if self.lock.is_some() && self.options.fsync != Fsync::No {
            let _ = self.file.sync_data();
        }
        self.lock = None;
        self.broken.get_or_insert_with(|| "the engine was closed".to_owned());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Syncer {
    fn start(file: &File, unsynced: Arc<AtomicBool>) -> Result<Self> {
        let clone = |file: &File| file.try_clone().map_err(|error| failed("use", Path::new("the journal"), error));
        let (stop, stopped) = channel();
        let shared = Arc::new(Mutex::new(clone(file)?));
        let file = Arc::clone(&shared);
        let work = move || {
            while stopped.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
                if unsynced.swap(false, Ordering::AcqRel) {
                    let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(error) = file.sync_data() {
                        tracing::error!(%error, "the journal could not be forced to the disk");
                        unsynced.store(true, Ordering::Release);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("oxcart-journal".to_owned()).spawn(work);
        let thread = thread.map_err(|error| failed("start", Path::new("a thread for the journal"), error))?;
        Ok(Self { stop, file: shared, thread })
    }

    /// Turns to another file.
    fn follow(&self, file: &File) -> Result<()> {
        let clone = file.try_clone().map_err(|error| failed("use", Path::new("the journal"), error))?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = clone;
        Ok(())
    }
}

/// Opens a file to write at its end.
fn append_to(path: &Path) -> Result<(File, u64)> {
    let open = || {
        let mut file = File::options().write(true).open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok((file, length))
    };
    open().map_err(|error: std::io::Error| Error::clone(&failed("open", path, error)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use crate::{
        clock::Clock,
        codec::resp::Value,
        embedded::{
            JournalOptions, journal,
            session::Session,
            state::{State, Step},
        },
        testing::TemporaryDirectory,
    };

    fn run(state: &mut State, line: &str) -> Value {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut session = Session::new(1, 0, false, None, 0);
        match state.command(&mut session, &args) {
            Step::Reply(reply) => reply,
            Step::Wait(_) => panic!("{line} waits"),
        }
    }

    #[test]
    fn a_full_disk_is_told_to_those_who_write() {
        let directory = TemporaryDirectory::new();
        let mut state = State::new(Clock::manual(1));
        journal::open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        assert_eq!(run(&mut state, "SET a 1"), Value::Simple("OK".to_owned()));
        if let Some(journal) = &mut state.journal {
            journal.file = File::options().write(true).open("/dev/full").unwrap();
        }
        for line in ["SET a 2", "SET a 3", "EVAL return(redis.call('set','a',4)) 0"] {
            let reply = run(&mut state, line);
            let Value::Error(error) = &reply else { panic!("{line}: {reply:?}") };
            assert!(error.message().starts_with("MISCONF Errors writing to the AOF file: "), "{error}");
        }
        assert!(matches!(run(&mut state, "GET a"), Value::Bulk(_)), "reading goes on");
        drop(state);
        let mut state = State::new(Clock::manual(1));
        let report = journal::open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        assert_eq!(report.dropped_bytes, 0);
        assert_eq!(run(&mut state, "GET a"), Value::Bulk(b"1".to_vec()), "what was refused was not kept");
    }
}
