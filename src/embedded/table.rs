//! The table of commands: what each is called, how many arguments it takes, where its keys stand, and what runs it.

use std::{collections::HashMap, sync::OnceLock};

use super::{args::Args, commands, context::Context, failure::Answer};

/// Facts about a command, as bits.
pub(super) type Flags = u16;
pub(super) const WRITE: Flags = 1;
pub(super) const READ: Flags = 1 << 1;
pub(super) const FAST: Flags = 1 << 2;
/// May wait for a key.
pub(super) const BLOCKING: Flags = 1 << 3;
/// Not from a script.
pub(super) const NO_SCRIPT: Flags = 1 << 4;
/// Runs at once between `MULTI` and `EXEC`.
pub(super) const IN_MULTI: Flags = 1 << 5;
/// Allowed to a RESP2 client that subscribes.
pub(super) const SUBSCRIBED: Flags = 1 << 6;
/// Its nil is an empty array in RESP2.
pub(super) const NIL_ARRAY: Flags = 1 << 7;
pub(super) const ADMIN: Flags = 1 << 8;
pub(super) const PUBSUB: Flags = 1 << 9;
/// May take memory; refused where there is none left.
pub(super) const GROWS: Flags = 1 << 10;

/// Where a command's keys stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keys {
    None,
    /// First, last (negative: from the end) and step.
    At(i8, i8, i8),
    /// Behind a count at this position.
    Counted(u8),
    /// One at the first position, more behind a count at the second.
    OneAndCounted(u8, u8),
    /// The first half of what stands behind the word `STREAMS`.
    Streams,
}

/// One key, in the first place.
pub(super) const ONE: Keys = Keys::At(1, 1, 1);
/// Every argument is a key.
pub(super) const ALL: Keys = Keys::At(1, -1, 1);

/// What runs a command.
pub(super) type Handler = fn(&mut Context<'_>, Args<'_>) -> Answer;

/// One command.
#[derive(Debug)]
pub(super) struct Row {
    /// In lower case; `config|get` for one within a container.
    pub name: &'static str,
    /// Arguments with the name; negative is a minimum.
    pub arity: i8,
    pub flags: Flags,
    pub keys: Keys,
    pub run: Handler,
    /// Commands of a container.
    pub within: &'static [Row],
}

impl Row {
    pub(super) const fn new(name: &'static str, arity: i8, flags: Flags, keys: Keys, run: Handler) -> Self {
        Self { name, arity, flags, keys, run, within: &[] }
    }

    pub(super) const fn container(name: &'static str, within: &'static [Row]) -> Self {
        Self { name, arity: -2, flags: 0, keys: Keys::None, run: commands::unreachable_container, within }
    }

    /// Whether this many arguments fit.
    pub(super) fn takes(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }

    pub(super) fn has(&self, flag: Flags) -> bool {
        self.flags & flag != 0
    }

    /// The word after the bar of a command within a container.
    pub(super) fn last_word(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Whether as many keys stand there as the arguments say.
    pub(super) fn counts_right(&self, args: &[&[u8]]) -> bool {
        let (Keys::Counted(at) | Keys::OneAndCounted(_, at)) = self.keys else {
            return !(matches!(self.keys, Keys::Streams) && self.keys_of(args).is_empty());
        };
        let at = usize::from(at);
        let said = args.get(at).and_then(|count| super::number::parse_int(count));
        said.is_some_and(|said| usize::try_from(said).is_ok_and(|said| said < args.len() - at))
    }

    /// The keys among the arguments of a call.
    pub(super) fn keys_of<'a>(&self, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let counted = |at: u8| {
            let at = usize::from(at);
            let count = args.get(at).and_then(|count| super::number::parse_int(count)).unwrap_or(0);
            args.iter().skip(at + 1).take(usize::try_from(count).unwrap_or(0)).copied()
        };
        match self.keys {
            Keys::None => Vec::new(),
            Keys::At(first, last, step) => {
                let last = if last < 0 {
                    args.len().saturating_sub(usize::from(last.unsigned_abs()))
                } else {
                    usize::from(last.unsigned_abs())
                };
                let first = usize::from(first.unsigned_abs());
                (first..=last)
                    .step_by(usize::from(step.unsigned_abs()).max(1))
                    .filter_map(|at| args.get(at).copied())
                    .collect()
            }
            Keys::Streams => {
                let word = args.iter().position(|arg| super::args::is(arg, "STREAMS"));
                let rest = args.get(word.unwrap_or(args.len()) + 1..).unwrap_or_default();
                rest[..rest.len() / 2].to_vec()
            }
            Keys::Counted(at) => counted(at).collect(),
            Keys::OneAndCounted(one, at) => {
                args.get(usize::from(one)).copied().into_iter().chain(counted(at)).collect()
            }
        }
    }
}

/// Every command, containers included.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    commands::ALL_ROWS.iter().flat_map(|rows| rows.iter())
}

/// The command of a name, in any case.
pub(super) fn find(name: &[u8]) -> Option<&'static Row> {
    static BY_NAME: OnceLock<HashMap<&'static [u8], &'static Row, hashbrown::DefaultHashBuilder>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| all().map(|row| (row.name.as_bytes(), row)).collect());
    let mut lower = [0; 32];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    by_name.get(&*lower).copied()
}
