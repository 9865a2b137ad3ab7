//! Reading an RDB file: what a server writes as `dump.rdb`, and as the base of its append-only file.
//!
//! Versions of Redis from 2.6 to 7.4 are read, as far as what they hold exists here. Functions, values of modules and
//! fields of hashes that expire do not, and are said to be the reason; nothing is left out in silence.

mod dump;
mod lzf;
mod packed;
mod source;
mod streams;
mod values;

use std::{io::Read, path::Path};

pub(in crate::embedded) use dump::{Refusal, dump, restore};

use self::source::{Fault, Outcome, Source, damage};
use super::{damaged, failed};
use crate::{
    embedded::{
        keyspace::NEVER,
        state::{DATABASES, State},
    },
    error::Result,
};

/// What an RDB file begins with.
pub(super) const MAGIC: &[u8] = b"REDIS";

/// The versions of the format: those that have all this knows, and the last that it was written for.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=12;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub keys: u64,
    /// Where the RDB part of the file ends.
    pub end: u64,
}

/// Reads an RDB file of `length` bytes, or the RDB part that it begins with, into databases.
///
/// # Errors
/// `StorageFailed`, `StorageDamaged`.
pub(super) fn load(from: impl Read, length: u64, path: &Path, state: &mut State) -> Result<Found> {
    let mut source = Source::new(from, length);
    read(&mut source, state).map_err(|fault| match fault {
        Fault::Io(error) => failed("read", path, error),
        Fault::Damage(what) => damaged(path, source.at(), &what),
    })
}

fn read<R: Read>(source: &mut Source<R>, state: &mut State) -> Outcome<Found> {
    let header: [u8; 9] = source.array()?;
    let version = std::str::from_utf8(&header[5..]).ok().and_then(|digits| digits.parse().ok());
    let Some(version) = version.filter(|_| header.starts_with(MAGIC)) else { return damage("it is no RDB file") };
    if !VERSIONS.contains(&version) {
        return damage(format!("it is an RDB file of version {version}; known are those up to {}", VERSIONS.end()));
    }
    let (mut db, mut expires, mut keys) = (0, NEVER, 0);
    loop {
        match source.byte()? {
            0xff => break,
            0xfe => {
                let number = source.length()?;
                db = match usize::try_from(number) {
                    Ok(number) if number < DATABASES => number,
                    _ => return damage(format!("it has a database {number}; there are {DATABASES} here")),
                };
            }
            0xfd => expires = i64::from(i32::from_le_bytes(source.array()?)).saturating_mul(1000),
            0xfc => expires = i64::from_le_bytes(source.array()?),
            // How many keys there are.
            0xfb => {
                source.length()?;
                source.length()?;
            }
            // Facts about the server.
            0xfa => {
                source.string()?;
                source.string()?;
            }
            // How often and when a key was used last.
            0xf9 => drop(source.byte()?),
            0xf8 => drop(source.length()?),
            0xf7 => return damage("it holds data of a module, and there are no modules here"),
            0xf6 | 0xf5 => return damage("it holds functions (`FUNCTION LOAD`), which are not supported here"),
            // Sizes of the slots of a cluster.
            0xf4 => {
                for _ in 0..3 {
                    source.length()?;
                }
            }
            kind => {
                let key = source.string()?;
                let data = values::read(kind, source)?;
                if !data.is_spent() {
                    state.dbs[db].set(&key, data, expires);
                    keys += 1;
                }
                expires = NEVER;
            }
        }
    }
    if version >= 5 {
        let wanted = source.checksum();
        let stored = u64::from_le_bytes(source.array()?);
        // Servers can be told not to compute it.
        if stored != 0 && stored != wanted {
            return damage("its checksum is wrong: the file is damaged somewhere before this");
        }
    }
    Ok(Found { keys, end: source.at() })
}
