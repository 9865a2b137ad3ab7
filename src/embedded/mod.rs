//! The engine in this process: what answers commands behind `memory://` and `file:` instead of a server.
//!
//! One engine is a [`State`](state::State) behind a lock: sixteen databases ([`keyspace`]) of values ([`data`]), clients
//! ([`session`]), those who wait ([`blocking`]) and who subscribes to what ([`pubsub`]). A command is a row of a table
//! ([`table`]) and a function in [`commands`]. [`engine`] takes work in and hands replies out; [`link`] is what the
//! services see.

mod args;
mod blocking;
mod commands;
mod context;
mod copying;
mod data;
mod engine;
mod failure;
mod file;
mod geo;
mod glob;
mod journal;
mod keyspace;
mod link;
mod listener;
mod lua;
mod memory;
mod native;
mod notifications;
mod number;
mod published;
mod pubsub;
mod scripting;
mod session;
mod slow_log;
mod state;
mod table;
mod test_engine;
mod tracking;
mod usage;

use std::{path::Path, sync::Arc};

pub(crate) use file::{FileStore, Local, Place};
pub(crate) use glob::glob_matches;
#[cfg(feature = "testing")]
pub use journal::load_file;
pub use journal::{Fsync, JournalOptions, LoadReport};
pub(crate) use listener::HANDOVER;
pub use listener::Listener;
pub use native::{HashFields, NativeCall, NativeScript};
pub use test_engine::{TEST_ENGINE_PREFIX, TestEngine};

use crate::{
    clock::Clock,
    connection::Link,
    error::{Error, Result},
};

/// An engine in this process. One with a name keeps its data until the process ends, as a server would; a private one until
/// nobody has it, or a link to it, any more.
#[derive(Clone)]
pub struct Embedded {
    engine: Arc<engine::Engine>,
}

impl Embedded {
    /// The engine of this name, shared by all threads of the process.
    pub fn named(name: &str) -> Self {
        Self { engine: engine::Engine::named(name) }
    }

    /// The same for a name that a user gave.
    ///
    /// # Errors
    /// `Closed` for that of a [`TestEngine`] that was dropped.
    pub fn open_named(name: &str) -> Result<Self> {
        if engine::Engine::is_over(name) {
            return Err(Error::closed("test infrastructure"));
        }
        Ok(Self::named(name))
    }

    /// The time of its data.
    pub fn clock(&self) -> Clock {
        self.engine.clock()
    }

    /// An engine that nobody else can reach, whose time is `clock`'s.
    pub fn private(clock: Clock) -> Self {
        Self { engine: engine::Engine::new("", clock) }
    }

    /// An engine whose data stands in the append-only file in `directory`, which is made if it is not there, and which no
    /// other engine has open. Also says what was found.
    ///
    /// # Errors
    /// `ConnectionFailed` when the directory is in use, `StorageFailed` when it cannot be used, `StorageDamaged` when what it
    /// holds cannot be read.
    pub fn open(directory: &Path, clock: Clock, options: JournalOptions) -> Result<(Self, LoadReport)> {
        let mut state = state::State::new(clock);
        let report = journal::open(directory, options, &mut state)?;
        let name = directory.display().to_string();
        Ok((Self { engine: engine::Engine::with_state(&name, state) }, report))
    }

    /// Ends the writing of a journal, with everything on the disk that is to be there, and lets another engine open it. The
    /// data can still be read; commands that write are refused. Without this, it happens when the last link is gone.
    pub fn close(&self) {
        self.engine.close_journal();
    }

    /// A new client of database `db`, from 0 to 15.
    pub fn link(&self, db: usize) -> Arc<dyn Link> {
        Arc::new(link::EmbeddedLink::new(Arc::clone(&self.engine), db.min(state::DATABASES - 1), ""))
    }

    /// The client of database `db` that `CLIENT LIST` shows under `name`: the one that is open already, as for a server.
    /// Those that remember what they read (`tracked`) are shared with the likes only.
    pub(crate) fn shared_link(&self, db: usize, name: &str, tracked: bool) -> Arc<dyn Link> {
        self.engine.shared_link(db.min(state::DATABASES - 1), name, tracked)
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("name", &self.engine.name()).finish()
    }
}
