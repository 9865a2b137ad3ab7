//! Reading a journal back.

use std::{
    fs::File,
    io::{BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    super::{
        args::is,
        context::{Context, Origin},
        data::Blob,
        engine::split,
        session::Session,
        state::{State, resolve},
        table::WRITE,
    },
    damaged, failed,
    manifest::Manifest,
    rdb,
};
use crate::{codec::resp::FrameScanner, error::Result};

/// How much is read at a time.
const PIECE: usize = 1024 * 1024;

/// What opening a journal found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Keys that were read from an RDB file.
    pub keys: u64,
    /// Commands that were run.
    pub commands: u64,
    /// Bytes of the files that were read.
    pub bytes: u64,
    /// Bytes that were cut off the end: a group of effects whose writing was interrupted.
    pub dropped_bytes: u64,
    /// Whole commands among them, of a transaction that has no end.
    pub dropped_commands: u64,
}

/// Runs what the files hold.
pub(super) fn load(directory: &Path, manifest: &Manifest, state: &mut State) -> Result<LoadReport> {
    let mut report = LoadReport::default();
    let parts: Vec<PathBuf> = manifest.parts().map(|part| directory.join(&part.name)).collect();
    for (index, path) in parts.iter().enumerate() {
        let mut reader = Reader {
            path,
            state: &mut *state,
            session: Session::new(0, 0, false, None, 0),
            transaction: None,
            finished: 0,
            report: &mut report,
        };
        let rest = reader.read()?;
        let finished = reader.finished;
        report.bytes += finished;
        if rest.bytes > 0 {
            // The next file is named before the first effect is written to it.
            let is_last = parts[index + 1..].iter().all(|part| part.metadata().is_ok_and(|file| file.len() == 0));
            if !is_last {
                return Err(damaged(path, finished, "the file ends in the middle of a command"));
            }
            report.dropped_bytes = rest.bytes;
            report.dropped_commands = rest.commands;
            let cut = || {
                let file = File::options().write(true).open(path)?;
                file.set_len(finished)?;
                file.sync_all()
            };
            cut().map_err(|error| failed("cut the unfinished end of", path, error))?;
        }
    }
    Ok(report)
}

/// What stands behind the last finished group.
struct Rest {
    bytes: u64,
    commands: u64,
}

struct Reader<'a> {
    path: &'a Path,
    state: &'a mut State,
    session: Session,
    /// Commands since `MULTI`.
    transaction: Option<Vec<Vec<Blob>>>,
    /// Where the last finished group ends.
    finished: u64,
    report: &'a mut LoadReport,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Rest> {
        let mut file = File::open(self.path).map_err(|error| failed("open", self.path, error))?;
        let (mut scanner, mut buffer) = (FrameScanner::default(), Vec::new());
        // `at`: the place in the file of the first byte of the buffer that was not worked on; `start`: that in the buffer.
        let (mut at, mut start) = (self.read_rdb(&mut file)?, 0);
        self.finished = at;
        loop {
            buffer.drain(..start);
            start = 0;
            let taken = file
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut buffer)
                .map_err(|error| failed("read", self.path, error))?;
            while let Some(length) = self.next(&mut scanner, &buffer[start..], at)? {
                let frame = &buffer[start..start + length];
                start += length;
                at += length as u64;
                let mut args = Vec::new();
                if frame[0] != b'#' {
                    if !split(frame, &mut args) {
                        return Err(damaged(self.path, at - length as u64, "this is no command"));
                    }
                    self.take(&args, at)?;
                }
                if self.transaction.is_none() {
                    self.finished = at;
                }
            }
            if taken == 0 {
                let rest = at + (buffer.len() - start) as u64 - self.finished;
                return Ok(Rest {
                    bytes: rest,
                    commands: self.transaction.as_ref().map_or(0, |open| open.len() as u64),
                });
            }
        }
    }

    /// Reads the RDB file that this one is, or begins with; gives where it ends.
    fn read_rdb(&mut self, file: &mut File) -> Result<u64> {
        let fault = |error| failed("read", self.path, error);
        let mut first = Vec::new();
        file.by_ref().take(rdb::MAGIC.len() as u64).read_to_end(&mut first).map_err(fault)?;
        file.rewind().map_err(fault)?;
        if first != rdb::MAGIC {
            return Ok(0);
        }
        let length = file.metadata().map_err(fault)?.len();
        let found = rdb::load(BufReader::with_capacity(PIECE, &mut *file), length, self.path, self.state)?;
        file.seek(SeekFrom::Start(found.end)).map_err(fault)?;
        self.report.keys += found.keys;
        Ok(found.end)
    }

    /// Length of the command or annotation at the start of `rest`, if all of it is there.
    fn next(&self, scanner: &mut FrameScanner, rest: &[u8], at: u64) -> Result<Option<usize>> {
        match rest.first() {
            None => Ok(None),
            // `#TS:1700000000`, between commands.
            Some(b'#') => Ok(memchr::memchr(b'\n', rest).map(|end| end + 1)),
            Some(b'*') => scanner.scan(rest).map_err(|error| damaged(self.path, at, error.message())),
            Some(_) => Err(damaged(self.path, at, "a command is expected here")),
        }
    }

    fn take(&mut self, args: &[&[u8]], at: u64) -> Result<()> {
        if is(args[0], "MULTI") && self.transaction.is_none() {
            self.transaction = Some(Vec::new());
        } else if is(args[0], "EXEC") && self.transaction.is_some() {
            for command in self.transaction.take().unwrap_or_default() {
                let args: Vec<&[u8]> = command.iter().map(|arg| &**arg).collect();
                self.run(&args, at)?;
            }
        } else if let Some(open) = &mut self.transaction {
            open.push(args.iter().map(|&arg| arg.into()).collect());
        } else {
            self.run(args, at)?;
        }
        Ok(())
    }

    /// Runs a command at a moment before all times, so that nothing expires: what did is deleted by an effect.
    fn run(&mut self, args: &[&[u8]], at: u64) -> Result<()> {
        let mut context = Context {
            state: &mut *self.state,
            session: &mut self.session,
            now: 0,
            origin: Origin::Transaction,
            wish: None,
            native: None,
        };
        let answer = resolve(args).and_then(|row| {
            // Servers note `PFCOUNT`, because it may keep what it counted.
            if row.has(WRITE) || matches!(row.name, "select" | "pfcount") {
                (row.run)(&mut context, args)
            } else {
                Err(super::super::failure::Failure::new(format!("ERR '{}' stands in no journal", row.name)))
            }
        });
        self.report.commands += 1;
        answer.map(drop).map_err(|failure| damaged(self.path, at, failure.text()))
    }
}
