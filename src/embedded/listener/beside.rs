//! A socket beside the files of a journal, for other processes of this machine.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use super::socket::Listener;
use crate::{
    embedded::Embedded,
    error::{Error, ErrorCode, Result},
};

const NAME: &str = "journal.sock";
/// What every Unix takes as the path of a socket, in bytes.
const LONGEST: usize = 100;
/// First part of the name of a directory of our own, where the socket cannot stand beside the files.
const PREFIX: &str = "oxcart-sock-";

/// Listens beside the files in `directory`; where the path is too long, or the file system has no sockets, in a directory
/// of the system's temporary one that is made for it and that nobody else may enter. To be called with the files locked;
/// `stale` is where the engine listened that had them before.
///
/// # Errors
/// `ConnectionFailed` when there is no place for a socket.
pub(in crate::embedded) fn beside(
    engine: &Embedded,
    directory: &Path,
    stale: Option<PathBuf>,
) -> Result<(Listener, PathBuf)> {
    if let Some(stale) = stale {
        remove(&stale);
    }
    let path = directory.join(NAME);
    let mut failure = None;
    if path.as_os_str().as_bytes().len() <= LONGEST {
        // Whoever left it is gone: the files were not locked.
        let _ = fs::remove_file(&path);
        match Listener::unix(engine, &path) {
            Ok(listener) => return Ok((listener, path)),
            Err(error) => failure = Some(error),
        }
    }
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp")] {
        let own = parent.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        let path = own.join(NAME);
        if path.as_os_str().as_bytes().len() > LONGEST {
            continue;
        }
        let made = DirBuilder::new().mode(0o700).create(&own).map_err(no_place);
        match made.and_then(|()| Listener::unix(engine, &path)) {
            Ok(listener) => return Ok((listener.in_own_directory(), path)),
            Err(error) => {
                let _ = fs::remove_dir(&own);
                failure = Some(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| no_place(io::Error::from(io::ErrorKind::InvalidFilename))))
}

fn no_place(error: io::Error) -> Error {
    Error::new(ErrorCode::ConnectionFailed, format!("no place for a socket: {error}")).caused_by(error)
}

/// Removes what a killed process left. Only what has our names: the path was read from a file.
fn remove(socket: &Path) {
    if socket.file_name().is_some_and(|name| name == NAME) {
        let _ = fs::remove_file(socket);
        let own = socket
            .parent()
            .filter(|parent| parent.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes())));
        if let Some(own) = own {
            // Fails where something else is in it, which is then not ours.
            let _ = fs::remove_dir(own);
        }
    }
}
