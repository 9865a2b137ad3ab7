//! The append-only file of an engine: what it wrote is there when it is opened again.
//!
//! # The idea
//!
//! Every command that changed something leaves its *effect* ([`effect`]): a command that does the same to the same data
//! whenever it is run again. Times are absolute, what chance or the clock chose is spelt out, a wait is its result. The
//! effects of one command, script or transaction are one group, wrapped in `MULTI` and `EXEC` where they are several. A
//! group is written before anybody is told of it, so a process that is killed loses nothing that it answered; what a
//! machine may lose when its power fails is decided by [`Fsync`].
//!
//! # The format
//!
//! That of Redis 7: a directory with a manifest that names the parts ([`manifest`]). A *base* holds all data at some moment,
//! an *incremental* file everything since. A real server loads the directory (`appenddirname`), and one that a server wrote
//! loads here, also where its base is an RDB file ([`rdb`]). In a directory without a manifest, a lone `appendonly.aof` or
//! `dump.rdb` is taken for the base.
//!
//! # The hard case
//!
//! A kill in the middle of a write leaves an unfinished group at the end of the last file, and only there. Opening cuts it
//! off, and says how much ([`LoadReport`]): nobody was told of it. Anything else that cannot be read is damage, and
//! opening refuses rather than to guess.

mod effect;
mod group;
mod load;
mod lock;
mod manifest;
mod rdb;
mod recorder;
mod rewrite;
mod snapshot;
mod stream_groups;
mod syncer;

pub(super) use effect::record;
pub use load::LoadReport;
pub(super) use lock::announced;
pub(super) use rdb::{Refusal, dump, restore};
pub(super) use recorder::Recorder;
pub(super) use snapshot::write_key;

use std::{io, path::Path};

use super::state::State;
use crate::error::{Error, ErrorCode, Result};

/// When what was written is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before each reply. Commands that arrive together share one.
    Always,
    /// Once a second: power loss costs at most what the last second or two did.
    #[default]
    EverySecond,
    /// When the operating system likes.
    No,
}

impl std::fmt::Display for Fsync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::No => "no",
        })
    }
}

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    pub fsync: Fsync,
    /// Bytes that the files must have at least before they are rewritten.
    pub rewrite_min_size: u64,
    /// By how many percent the files must have grown since they were last rewritten; 0 never rewrites them.
    pub rewrite_percentage: u32,
}

impl Default for JournalOptions {
    /// As a server does: every second, and from 64 MB on whenever it has doubled.
    fn default() -> Self {
        Self { fsync: Fsync::default(), rewrite_min_size: 64 * 1024 * 1024, rewrite_percentage: 100 }
    }
}

/// Loads the journal in `directory` into an empty state and goes on with it; makes a new one where there is none.
pub(super) fn open(directory: &Path, options: JournalOptions, state: &mut State) -> Result<LoadReport> {
    std::fs::create_dir_all(directory).map_err(|error| failed("make the directory", directory, error))?;
    let lock = lock::Lock::take(directory)?;
    let manifest = manifest::Manifest::read_or_adopt(directory)?;
    let report = load::load(directory, &manifest, state)?;
    manifest.remove_strays(directory);
    state.journal = Some(Recorder::start(directory, options, lock, manifest, report.bytes)?);
    Ok(report)
}

/// Reads one file of a journal, for tests of what is no journal.
#[cfg(feature = "testing")]
pub fn load_file(path: &Path) -> Result<LoadReport> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let manifest = manifest::Manifest { base: Some(manifest::Part { name, sequence: 1 }), increments: Vec::new() };
    let mut state = State::new(crate::clock::Clock::system());
    load::load(path.parent().unwrap_or(Path::new(".")), &manifest, &mut state)
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorCode::StorageFailed, format!("cannot {what} {}: {error}", path.display())).caused_by(error)
}

fn damaged(path: &Path, at: u64, what: &str) -> Error {
    Error::new(ErrorCode::StorageDamaged, format!("{} cannot be read at byte {at}: {what}", path.display()))
}
