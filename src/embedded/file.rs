//! Who has a file: this process, or another one of this machine.
//!
//! # The idea
//!
//! The files of a directory are open in one engine at a time. It holds their lock and listens on a socket beside them.
//! *Connecting* to a file means: be that engine where nobody is, else speak to it through its socket. All links of a
//! process share the one engine that is here, and speak to it without a socket.
//!
//! # Taking over
//!
//! When the process that has the file ends, however it ends, the operating system closes its sockets and lets go of its
//! lock. Every link that was connected to it connects again, as after the restart of a server; the first one to do so finds
//! the lock free and is the engine from then on. Nothing else is needed: no election, no heartbeat, no second protocol. What
//! the old one had answered stands in the file; what it had not is sent again or reported by the links, which know both
//! from servers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{
    Embedded, JournalOptions, Listener, LoadReport,
    engine::{Engine, Work},
    journal,
    link::{EmbeddedBlockingLink, EmbeddedLink},
};
use crate::{
    clock::Clock,
    connection::{Batch, BlockingLink, ChangeSink, FileOptions, Link as _, Subscriptions},
    error::{Error, ErrorCode, Result},
    service,
};

/// How long a failure to open the files is passed on before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long clients in other processes may take to read their last replies.
const FAREWELL: Duration = Duration::from_millis(500);

/// The files of one directory, for all of this process.
pub(crate) struct FileStore {
    directory: PathBuf,
    options: JournalOptions,
    /// Locked while the files are opened, which a second opener waits for.
    place: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    holder: Weak<Holder>,
    failed: Option<(Instant, Error)>,
}

/// Where the engine is.
pub(crate) enum Place {
    Here(Arc<Holder>),
    /// Behind this socket.
    There(PathBuf),
}

static STORES: Mutex<Vec<Weak<FileStore>>> = Mutex::new(Vec::new());

impl FileStore {
    /// The store of a directory, which need not exist yet.
    ///
    /// # Errors
    /// `InvalidOption` where `options` contradict what the files were opened with in this process.
    pub(crate) fn shared(directory: &Path, options: &FileOptions) -> Result<Arc<Self>> {
        let directory = canonical(directory);
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|store| store.strong_count() > 0);
        if let Some(store) = stores.iter().filter_map(Weak::upgrade).find(|store| store.directory == directory) {
            store.check(options)?;
            return Ok(store);
        }
        let store = Arc::new(Self { directory, options: options.journal(), place: tokio::sync::Mutex::default() });
        stores.push(Arc::downgrade(&store));
        Ok(store)
    }

    fn check(&self, wanted: &FileOptions) -> Result<()> {
        let here = &self.options;
        let different = |option: &str, value: String, used: String| {
            let allowed = format!("{used}, with which this process has the same file open");
            Err(Error::invalid_option(option, &value, &allowed))
        };
        match wanted {
            FileOptions { fsync: Some(fsync), .. } if *fsync != here.fsync => {
                different("file.fsync", fsync.to_string(), here.fsync.to_string())
            }
            FileOptions { rewrite_min_size: Some(size), .. } if *size != here.rewrite_min_size => {
                different("file.rewriteMinSize", size.to_string(), here.rewrite_min_size.to_string())
            }
            FileOptions { rewrite_percentage: Some(value), .. } if *value != here.rewrite_percentage => {
                different("file.rewritePercentage", value.to_string(), here.rewrite_percentage.to_string())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Finds the engine, and makes it where there is none. Takes as long as the files take to load; who stops waiting
    /// meanwhile stops the loading.
    ///
    /// # Errors
    /// `StorageFailed` and `StorageDamaged` where the files cannot be opened; `ConnectionFailed` where another process has
    /// them and cannot be reached.
    pub(crate) async fn place(&self) -> Result<Place> {
        let mut state = self.place.lock().await;
        if let Some(holder) = state.holder.upgrade() {
            return Ok(Place::Here(holder));
        }
        if let Some((when, error)) = &state.failed
            && when.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let (directory, options) = (self.directory.clone(), self.options);
        let opening = tokio::task::spawn_blocking(move || Holder::open(&directory, options));
        let opened = opening.await.unwrap_or_else(|_| {
            let error = Error::new(ErrorCode::Internal, "opening a file ended in a panic");
            Err(error)
        });
        state.failed = None;
        match opened {
            Ok(holder) => {
                let holder = Arc::new(holder);
                state.holder = Arc::downgrade(&holder);
                Ok(Place::Here(holder))
            }
            Err(error) if error.code() == ErrorCode::ConnectionFailed => match journal::announced(&self.directory) {
                Some(socket) if cfg!(unix) => Ok(Place::There(socket)),
                _ => Err(error),
            },
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// The one name of a directory: links in it resolved as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = absolute.ancestors().find_map(|ancestor| {
        let real = ancestor.canonicalize().ok()?;
        Some(real.join(absolute.strip_prefix(ancestor).ok()?))
    });
    // Joining nothing leaves a separator at the end.
    real.map_or(absolute, |real| real.components().collect())
}

/// The engine of a file in this process. The files are closed when nobody has it any more.
pub(crate) struct Holder {
    embedded: Embedded,
    /// For other processes; none where no socket can be made.
    listener: Option<Listener>,
    /// What was lost of the end of the files, which opening them mended.
    dropped: Option<Error>,
}

impl Holder {
    fn open(directory: &Path, options: JournalOptions) -> Result<Self> {
        let stale = journal::announced(directory);
        let (embedded, report) = Embedded::open(directory, Clock::system(), options)?;
        let dropped = (report.dropped_bytes > 0).then(|| {
            let LoadReport { dropped_bytes, dropped_commands, .. } = report;
            let what = format!(
                "the end of {} was unfinished, so {dropped_bytes} bytes of it are dropped, with {dropped_commands} whole \
                 commands of a transaction; everything before is there",
                directory.display()
            );
            tracing::warn!("{what}");
            Error::new(ErrorCode::StorageDamaged, what)
        });
        let listener = listen(&embedded, directory, stale);
        Ok(Self { embedded, listener, dropped })
    }
}

#[cfg(unix)]
fn listen(embedded: &Embedded, directory: &Path, stale: Option<PathBuf>) -> Option<Listener> {
    let outcome = super::listener::beside(embedded, directory, stale).and_then(|(listener, path)| {
        embedded.engine.with(|state| state.journal.as_mut().map_or(Ok(()), |journal| journal.announce(&path)))?;
        Ok(listener)
    });
    match outcome {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%error, "other processes cannot share this file");
            None
        }
    }
}

#[cfg(not(unix))]
fn listen(_: &Embedded, _: &Path, _: Option<PathBuf>) -> Option<Listener> {
    None
}

impl Drop for Holder {
    fn drop(&mut self) {
        let (listener, engine) = (self.listener.take(), Arc::clone(&self.embedded.engine));
        service::spawn(async move {
            if let Some(listener) = listener {
                listener.close(FAREWELL).await;
            }
            // Behind what the last links left to be done.
            engine.post(Work::Close);
        });
    }
}

/// What a link needs of an engine that is here.
pub(crate) struct Local {
    holder: Arc<Holder>,
    db: usize,
    name: String,
    link: OnceLock<EmbeddedLink>,
}

impl Local {
    pub(crate) fn new(holder: Arc<Holder>, db: usize, name: &str) -> Arc<Self> {
        Arc::new(Self { holder, db, name: name.to_owned(), link: OnceLock::new() })
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.holder.embedded.engine
    }

    fn link(&self) -> &EmbeddedLink {
        self.link.get_or_init(|| EmbeddedLink::new(Arc::clone(self.engine()), self.db, &self.name))
    }

    /// What opening the files had to drop, to be told to those who watch the link.
    pub(crate) fn dropped(&self) -> Option<&Error> {
        self.holder.dropped.as_ref()
    }

    pub(crate) fn submit(&self, batch: Batch) {
        self.link().submit(batch);
    }

    pub(crate) fn open_blocking(&self) -> Arc<dyn BlockingLink> {
        Arc::new(EmbeddedBlockingLink::new(self.engine(), &self.name, self.db))
    }

    /// Sends `sink` word on keys that another client has read; gives the engine's number for the client that gets it.
    pub(crate) fn tell_changes(&self, sink: Arc<dyn ChangeSink>) -> u64 {
        self.link().tell_changes(sink)
    }

    pub(crate) fn subscriptions(&self) -> Arc<dyn Subscriptions> {
        self.link().subscriptions()
    }
}
