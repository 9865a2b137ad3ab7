//! One process at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::failed;
use crate::error::{Error, ErrorCode, Result};

const NAME: &str = "journal.lock";

/// Held as long as the journal is open. The operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not by closing: a process that is being started at this moment has a copy of the file for an instant.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// # Errors
    /// `ConnectionFailed` when another engine has the journal open, in this process or another.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| failed("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorCode::ConnectionFailed,
                format!("{} is in use by another process", directory.display()),
            )),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path, error)),
        }
    }

    /// Says where the engine that has the lock can be reached.
    pub(super) fn announce(&self, socket: &Path) -> Result<()> {
        let write = || {
            self.file.set_len(0)?;
            (&self.file).rewind()?;
            (&self.file).write_all(socket.as_os_str().as_encoded_bytes())
        };
        write().map_err(|error| failed("write", Path::new(NAME), error))
    }
}

/// Where the engine that has the journal in `directory`, or had it last, can be reached.
pub(in crate::embedded) fn announced(directory: &Path) -> Option<PathBuf> {
    let text = fs::read(directory.join(NAME)).ok().filter(|text| !text.is_empty())?;
    String::from_utf8(text).ok().map(PathBuf::from)
}
