//! One process at a time.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::failed;
use crate::error::{Error, ErrorCode, Result};

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
        let path = directory.join("journal.lock");
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
}
