//! Which files a journal consists of.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use super::{damaged, failed};
use crate::error::Result;

/// First part of every file's name, as Redis has it by default.
const PREFIX: &str = "appendonly.aof";
const FILE: &str = "appendonly.aof.manifest";
/// What servers write that keep all data in one file, the more recent first.
const ALONE: [&str; 2] = [PREFIX, "dump.rdb"];
const TEMPORARY: &str = "temp-appendonly.aof.manifest";

/// A file of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub name: String,
    pub sequence: u64,
}

/// The files in order: at most one base, then what happened since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub base: Option<Part>,
    pub increments: Vec<Part>,
}

impl Manifest {
    /// The manifest of a directory; empty when there is none yet.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|(line, what)| damaged(&path, line, what)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed("read", &path, error)),
        }
    }

    /// The manifest of a directory. Where there is none, a file that a server wrote without one is the base.
    pub(super) fn read_or_adopt(directory: &Path) -> Result<Self> {
        if directory.join(FILE).exists() {
            return Self::read(directory);
        }
        // Somebody lost it: beginning anew would throw away what is there.
        let entries = fs::read_dir(directory).map_err(|error| failed("read", directory, error))?;
        for entry in entries.flatten() {
            let is_part = entry.file_name().to_str().is_some_and(is_part);
            if is_part && entry.metadata().is_ok_and(|file| file.len() > 0) {
                return Err(damaged(&entry.path(), 0, "no manifest names it"));
            }
        }
        let lone = ALONE.iter().find(|name| directory.join(name).is_file());
        let base = lone.map(|name| Part { name: (*name).to_owned(), sequence: 1 });
        Ok(Self { base, increments: Vec::new() })
    }

    fn parse(text: &str) -> std::result::Result<Self, (u64, &'static str)> {
        let mut manifest = Self::default();
        let mut at = 0;
        for line in text.lines() {
            let here = at;
            at += line.len() as u64 + 1;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            let (mut name, mut sequence, mut kind) = (None, None, None);
            for pair in words.chunks(2) {
                match pair {
                    ["file", value] => name = Some((*value).to_owned()),
                    ["seq", value] => sequence = value.parse().ok(),
                    ["type", value] => kind = Some(*value),
                    // Later versions add fields, such as offsets.
                    [_, _] => {}
                    _ => return Err((here, "a line of the manifest is unfinished")),
                }
            }
            let (Some(name), Some(sequence), Some(kind)) = (name, sequence, kind) else {
                return Err((here, "a line of the manifest lacks the file, its number or its type"));
            };
            if name.contains(['/', '\\', '"']) || name.starts_with('.') {
                return Err((here, "a file of the manifest has an unusual name"));
            }
            let part = Part { name, sequence };
            match kind {
                "b" if manifest.base.is_none() => manifest.base = Some(part),
                "b" => return Err((here, "the manifest names two bases")),
                "i" => manifest.increments.push(part),
                // History, which is about to be deleted.
                "h" => {}
                _ => return Err((here, "the manifest names a type of file that is not known")),
            }
        }
        Ok(manifest)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (part, kind) in
            self.base.iter().map(|part| (part, 'b')).chain(self.increments.iter().map(|part| (part, 'i')))
        {
            let _ = writeln!(text, "file {} seq {} type {kind}", part.name, part.sequence);
        }
        text
    }

    /// Replaces the manifest in one step, which a loss of power cannot undo afterwards.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let (path, temporary) = (directory.join(FILE), directory.join(TEMPORARY));
        let put = || {
            let mut file = File::create(&temporary)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_directory(directory)
        };
        put().map_err(|error| failed("write", &path, error))
    }

    /// Adds an incremental file, which does not exist yet.
    pub(super) fn add_increment(&mut self) -> Part {
        let sequence = self.increments.last().map_or(0, |part| part.sequence) + 1;
        let part = Part { name: format!("{PREFIX}.{sequence}.incr.aof"), sequence };
        self.increments.push(part.clone());
        part
    }

    /// The next base, which does not exist yet.
    pub(super) fn next_base(&self) -> Part {
        let sequence = self.base.as_ref().map_or(0, |part| part.sequence) + 1;
        Part { name: format!("{PREFIX}.{sequence}.base.aof"), sequence }
    }

    /// The files in the order in which they are read.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }

    /// Deletes files of the journal that the manifest does not name: a rewrite that did not end left them.
    pub(super) fn remove_strays(&self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let ours = name.starts_with("temp-appendonly.aof") || is_part(name);
            if ours && self.parts().all(|part| part.name != name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Whether a file has the name of a part. What stands alone has not: somebody else may have put it there.
fn is_part(name: &str) -> bool {
    name.starts_with("appendonly.aof.") && !name.starts_with(FILE)
}

/// Makes renames and new files in a directory lasting.
pub(super) fn sync_directory(directory: &Path) -> std::io::Result<()> {
    // Directories cannot be opened on Windows, and need not be.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// A file that is being written and has no place in the journal yet.
pub(super) fn temporary(directory: &Path, part: &Part) -> PathBuf {
    directory.join(format!("temp-{}", part.name))
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Part};

    #[test]
    fn reads_what_redis_writes() {
        let text = "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.1.incr.aof seq 1 type h\n\
                    file appendonly.aof.4.incr.aof seq 4 type i\nfile appendonly.aof.5.incr.aof seq 5 type i startoffset 0\n";
        let mut manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.parts().map(|part| part.sequence).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(manifest.next_base().name, "appendonly.aof.3.base.aof");
        assert_eq!(manifest.add_increment(), Part { name: "appendonly.aof.6.incr.aof".to_owned(), sequence: 6 });
        assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
        assert_eq!(Manifest::default().add_increment().name, "appendonly.aof.1.incr.aof");
        for broken in [
            "file a seq 1",
            "file a seq x type i",
            "file a seq 1 type",
            "file ../a seq 1 type i",
            "file a seq 1 type z",
            "file a seq 1 type b\nfile b seq 2 type b",
        ] {
            assert!(Manifest::parse(broken).is_err(), "{broken}");
        }
    }
}
