//! Writing a journal: effects into the file, and who has to wait for the disk.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use super::{
    Fsync, JournalOptions, failed,
    group::Group,
    lock::Lock,
    manifest::Manifest,
    rewrite::{Rewrite, Sources},
    syncer::Syncer,
};
use crate::{
    embedded::{engine::Engine, failure::Failure},
    error::Result,
};

/// After a write that failed, until it is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// What a buffer may keep for the next time.
const KEPT: usize = 1024 * 1024;

/// Why nothing can be written.
#[derive(Debug)]
struct Broken {
    why: String,
    /// When it was tried last; `None` where trying again is useless.
    tried: Option<Instant>,
}

/// How far closing is.
enum Closed {
    Syncing,
    Failed(String),
}

fn cannot_write(why: &str) -> Failure {
    Failure::new(format!("MISCONF Errors writing to the AOF file: {why}"))
}

/// The journal of a running engine.
pub(in crate::embedded) struct Recorder {
    directory: PathBuf,
    options: JournalOptions,
    group: Group,
    /// Effects that are not in the file yet. After a failure they wait here: the data in memory has them.
    buffer: Vec<u8>,
    /// Some of them nobody tried to write yet.
    fresh: bool,
    file: File,
    /// Length of the file. It ends with a whole group.
    length: u64,
    /// Bytes written since the journal was opened, to whichever file.
    position: u64,
    broken: Option<Broken>,
    /// Bytes in all files, and how many there were after the last rewrite.
    size: u64,
    size_at_rewrite: u64,
    manifest: Arc<Mutex<Manifest>>,
    rewrite: Option<Rewrite>,
    syncer: Option<Syncer>,
    lock: Option<Arc<Lock>>,
    engine: Weak<Engine>,
    /// What became of what had not been synced when it was closed; `None` before that, and when it was.
    closed: Option<Closed>,
}

/// What is left to be done when a journal is closed, with the engine's lock released.
#[derive(Default)]
pub(in crate::embedded) struct Closing {
    rewrite: Option<Rewrite>,
    syncer: Option<Syncer>,
    /// Goes last: from then on another engine may have the files.
    lock: Option<Arc<Lock>>,
}

impl Closing {
    /// Waits for what is under way, and for the disk. Gives why the disk may not have everything.
    pub(in crate::embedded) fn finish(self) -> Option<String> {
        let Self { rewrite, syncer, lock } = self;
        drop(rewrite);
        let failure = syncer.and_then(Syncer::stop);
        drop(lock);
        failure
    }
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
        let syncer = match options.fsync {
            Fsync::EverySecond | Fsync::Always => Some(Syncer::start(&file, options.fsync == Fsync::Always)?),
            Fsync::No => None,
        };
        Ok(Self {
            directory: directory.to_owned(),
            options,
            group: Group::default(),
            buffer: Vec::new(),
            fresh: false,
            file,
            length,
            position: 0,
            broken: None,
            size,
            size_at_rewrite,
            manifest: Arc::new(Mutex::new(manifest)),
            rewrite: None,
            syncer,
            lock: Some(Arc::new(lock)),
            engine: Weak::new(),
            closed: None,
        })
    }

    /// Says whose journal it is.
    pub(in crate::embedded) fn attach(&mut self, engine: &Arc<Engine>) {
        self.engine = Arc::downgrade(engine);
        if let Some(syncer) = &self.syncer {
            syncer.attach(Weak::clone(&self.engine));
        }
    }

    /// Says in the lock where this engine can be reached.
    pub(in crate::embedded) fn announce(&mut self, socket: &Path) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.announce(socket))
    }

    /// The effects of the command that is running.
    pub(in crate::embedded) fn group(&mut self) -> &mut Group {
        &mut self.group
    }

    /// Why a command that writes cannot be run, if so. Now and then it is tried whether that is over.
    pub(in crate::embedded) fn refusal(&mut self) -> Option<Failure> {
        if self.broken.as_ref()?.tried.is_some_and(|tried| tried.elapsed() >= PAUSE) {
            return self.write_all().err();
        }
        self.failure()
    }

    fn failure(&self) -> Option<Failure> {
        self.broken.as_ref().map(|broken| cannot_write(&broken.why))
    }

    /// Ends the group of effects of a command.
    pub(in crate::embedded) fn end_group(&mut self) {
        self.fresh |= self.group.take_into(&mut self.buffer);
    }

    /// Writes the groups that are complete. An error is what everybody is to be told who caused one of them.
    pub(in crate::embedded) fn write(&mut self) -> std::result::Result<(), Failure> {
        if std::mem::take(&mut self.fresh) { self.write_all() } else { Ok(()) }
    }

    fn write_all(&mut self) -> std::result::Result<(), Failure> {
        if self.buffer.is_empty() || self.broken.as_ref().is_some_and(|broken| broken.tried.is_none()) {
            return self.failure().map_or(Ok(()), Err);
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // Part of it may be there: it goes, so that nothing unfinished stands in the middle.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            let why = match &undone {
                Ok(_) => error.to_string(),
                Err(_) => format!("{error}, nor undo what was written of it"),
            };
            if self.broken.is_none() {
                tracing::error!(directory = %self.directory.display(), "the journal cannot be written: {why}");
            }
            self.broken = Some(Broken { why, tried: undone.is_ok().then(Instant::now) });
            return self.failure().map_or(Ok(()), Err);
        }
        if self.broken.take().is_some() {
            tracing::info!(directory = %self.directory.display(), "the journal can be written again");
        }
        let written = self.buffer.len() as u64;
        self.length += written;
        self.size += written;
        self.position += written;
        if let Some(syncer) = &self.syncer {
            syncer.wrote(self.position);
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        Ok(())
    }

    /// The position up to which the disk must have everything before anybody is told of it; `None` when it has.
    pub(in crate::embedded) fn awaited(&self) -> Option<u64> {
        let syncer = self.syncer.as_ref().filter(|_| self.options.fsync == Fsync::Always)?;
        (syncer.synced() < self.position).then_some(self.position)
    }

    /// Up to where the disk has everything. After a sync that failed nobody knows what is there, and trying again would not
    /// tell: nothing is written any more.
    pub(in crate::embedded) fn synced(&mut self) -> std::result::Result<u64, Failure> {
        let Some(syncer) = &self.syncer else {
            return match &self.closed {
                None => Ok(u64::MAX),
                Some(Closed::Syncing) => Ok(0),
                Some(Closed::Failed(why)) => Err(cannot_write(why)),
            };
        };
        if let Some(why) = syncer.failure() {
            tracing::error!(directory = %self.directory.display(), "the journal cannot be forced to the disk: {why}");
            self.broken = Some(Broken { why, tried: None });
        }
        match self.broken.as_ref().filter(|broken| broken.tried.is_none()) {
            Some(_) => self.failure().map_or(Ok(0), Err),
            None => Ok(syncer.synced()),
        }
    }

    /// Begins a rewrite when it is time for one, on a thread of its own; notes the end of one. True when there is none any
    /// more, and a copy that was made for it is to end.
    pub(in crate::embedded) fn tend(&mut self) -> bool {
        if self.rewrite.as_ref().is_some_and(Rewrite::is_finished) {
            match self.rewrite.take().and_then(Rewrite::outcome) {
                Some(Ok(base)) => self.size = base + self.length,
                Some(Err(error)) => tracing::warn!(%error, "the journal was not rewritten; it goes on as it is"),
                None => tracing::warn!("the journal was not rewritten; it goes on as it is"),
            }
            // After a failure, too: the next attempt comes when it has grown again.
            self.size_at_rewrite = self.size;
            return true;
        }
        if let (true, Some(lock)) = (self.wants_rewrite(), &self.lock) {
            let sources = Sources {
                directory: self.directory.clone(),
                manifest: Arc::clone(&self.manifest),
                engine: Weak::clone(&self.engine),
                lock: Arc::clone(lock),
            };
            match Rewrite::start(sources) {
                Ok(rewrite) => self.rewrite = Some(rewrite),
                Err(error) => {
                    tracing::warn!(%error, "the journal is not rewritten");
                    self.size_at_rewrite = self.size;
                }
            }
        }
        false
    }

    fn wants_rewrite(&self) -> bool {
        let growth = self.size_at_rewrite.saturating_mul(u64::from(self.options.rewrite_percentage)) / 100;
        self.rewrite.is_none()
            && self.broken.is_none()
            && self.options.rewrite_percentage > 0
            && self.size >= self.options.rewrite_min_size
            && self.size >= self.size_at_rewrite.saturating_add(growth)
    }

    /// Goes on in another, empty file. Gives the one so far; nothing when the journal cannot be written, and stays.
    pub(super) fn switch(&mut self, file: File) -> Option<File> {
        self.end_group();
        self.write_all().ok()?;
        if let Some(syncer) = &self.syncer {
            syncer.follow(&file).ok()?;
        }
        self.length = 0;
        self.group.forget_database();
        Some(std::mem::replace(&mut self.file, file))
    }

    /// Writes nothing more. What is given back has to be finished before another engine can have the files. Closing twice
    /// is safe.
    pub(in crate::embedded) fn close(&mut self) -> Closing {
        self.end_group();
        // Whoever caused it was told already that it cannot be written.
        let _ = self.write_all();
        self.broken = Some(Broken { why: "the engine was closed".to_owned(), tried: None });
        let Some(lock) = self.lock.take() else { return Closing::default() };
        if let Some(rewrite) = &self.rewrite {
            rewrite.cancel();
        }
        // Until it is known whether the last sync succeeds.
        self.closed = self.syncer.is_some().then_some(Closed::Syncing);
        Closing { rewrite: self.rewrite.take(), syncer: self.syncer.take(), lock: Some(lock) }
    }

    /// Says how the last sync ended.
    pub(in crate::embedded) fn closed(&mut self, failure: Option<String>) {
        if self.closed.is_some() {
            self.closed = failure.map(Closed::Failed);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close().finish();
    }
}

/// Opens a file to write at its end.
pub(super) fn append_to(path: &Path) -> Result<(File, u64)> {
    let open = || {
        let mut file = File::options().write(true).open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok((file, length))
    };
    open().map_err(|error| failed("open", path, error))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        fs::File,
        time::{Duration, Instant},
    };

    use crate::{
        clock::Clock,
        codec::resp::Value,
        embedded::{
            Fsync, JournalOptions,
            failure::Failure,
            journal,
            session::Session,
            state::{Pending, State, Step},
        },
        error::ErrorCode,
        testing::TemporaryDirectory,
    };

    fn run(state: &mut State, line: &str) -> Value {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut session = Session::new(1, 0, false, None, 0);
        let Step::Reply(reply) = state.command(&mut session, &args, None) else { panic!("{line} waits") };
        state.write_journal().map_or_else(Failure::into_value, |()| reply)
    }

    #[test]
    fn a_full_disk_is_told_to_those_who_write() {
        let directory = TemporaryDirectory::new();
        let mut state = State::new(Clock::manual(1));
        journal::open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        assert_eq!(run(&mut state, "SET a 1"), Value::Simple("OK".to_owned()));
        let full = File::options().write(true).open("/dev/full").unwrap();
        let journal = state.journal.as_mut().unwrap();
        let whole = std::mem::replace(&mut journal.file, full);
        for line in ["SET a 2", "SET a 3", "EVAL return(redis.call('set','a',4)) 0"] {
            let reply = run(&mut state, line);
            let Value::Error(error) = &reply else { panic!("{line}: {reply:?}") };
            assert!(error.message().starts_with("MISCONF Errors writing to the AOF file: "), "{error}");
        }
        let journal = state.journal.as_mut().unwrap();
        assert!(matches!(journal.broken, Some(super::Broken { tried: None, .. })), "a device cannot be cut");
        drop(whole);
        drop(state);
        let mut state = State::new(Clock::manual(1));
        let report = journal::open(directory.path(), JournalOptions::default(), &mut state).unwrap();
        assert_eq!(report.dropped_bytes, 0);
        assert_eq!(run(&mut state, "GET a"), Value::Bulk(b"1".to_vec()), "what was refused was not kept");
    }

    /// Waits for what the thread that syncs says.
    fn told(state: &mut State) -> Vec<Pending> {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            state.release_held();
            if !state.pending.is_empty() {
                return std::mem::take(&mut state.pending);
            }
            assert!(Instant::now() < limit);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_reply_waits_for_the_disk_and_is_an_error_where_that_fails() {
        let directory = TemporaryDirectory::new();
        let mut state = State::new(Clock::manual(1));
        let options = JournalOptions { fsync: Fsync::Always, ..JournalOptions::default() };
        journal::open(directory.path(), options, &mut state).unwrap();
        assert!(!state.must_hold(), "nothing was written");
        let reply = run(&mut state, "SET a 1");
        // It may be on the disk already.
        state.hold(Pending::Reply(Box::new(drop), reply));
        state.hold(Pending::Reply(Box::new(drop), Value::Int(2)));
        let mut replies = told(&mut state);
        while replies.len() < 2 {
            replies.extend(told(&mut state));
        }
        assert!(matches!(replies[0], Pending::Reply(_, Value::Simple(_))), "in order");
        assert!(matches!(replies[1], Pending::Reply(_, Value::Int(2))));
        assert!(!state.must_hold());

        // What cannot be synced.
        let (_reader, writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        state.journal.as_ref().unwrap().syncer.as_ref().unwrap().follow(&file).unwrap();
        let reply = run(&mut state, "SET a 2");
        state.hold(Pending::Reply(Box::new(drop), reply));
        let replies = told(&mut state);
        let Some(Pending::Reply(_, Value::Error(error))) = replies.first() else { panic!() };
        assert_eq!(error.code(), ErrorCode::StorageFailed);
        for line in ["SET a 3", "DEL a"] {
            assert!(matches!(run(&mut state, line), Value::Error(_)), "nobody knows what is on the disk");
        }
        assert!(matches!(run(&mut state, "GET a"), Value::Bulk(_)));
    }
}
