//! What the client has to know of each command: where its keys are, whether it only reads, whether it may be sent twice,
//! and whether it can run on a connection that others share at all.

use std::time::Duration;

use super::{
    command::{CommandFlags, key_slot},
    command_table_rows::ROWS,
};
use crate::error::{Error, ErrorCode};

/// Number of a command in the table: for a caller that looks the name up once. Stable within one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u16);

/// What a command does to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// Neither, or it depends on the arguments.
    Other,
}

/// Where the keys are. Positions count from the command's name, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    None,
    /// Every `step`-th from `first` to `last`, which counts from the end when negative: -1 is the last argument.
    Range {
        first: u8,
        last: i8,
        step: u8,
    },
    /// Argument `at` says how many keys follow it. With `destination`, argument 1 is a key as well.
    Counted {
        at: u8,
        destination: bool,
    },
    /// The first half of what follows `STREAMS`.
    Streams,
    /// Argument 1, and what follows `STORE`. `BY` and `GET` are patterns.
    Sort,
    /// Argument 1, and what follows `STORE` or `STOREDIST`, looked for from argument `from`.
    StoreOption {
        from: u8,
    },
    /// Argument 3 unless it is empty, and everything behind `KEYS`.
    Migrate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    Never,
    Always,
    /// Unless a condition such as `NX`, or `GET`, makes the second reply another one.
    WhenPlain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Shared,
    Blocks,
    /// With the option `BLOCK`.
    MayBlock,
    Refused(&'static str),
}

/// One command. Subcommands share the entry of their container (`CLIENT`, `OBJECT`).
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    name: &'static str,
    access: Access,
    keys: Keys,
    repeat: Repeat,
    place: Place,
}

pub(super) const fn row(name: &'static str, access: Access, keys: Keys) -> CommandSpec {
    let repeat = if matches!(access, Access::Read) { Repeat::Always } else { Repeat::Never };
    CommandSpec { name, access, keys, repeat, place: Place::Shared }
}

impl CommandSpec {
    pub(super) const fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Always;
        self
    }

    pub(super) const fn repeatable_when_plain(mut self) -> Self {
        self.repeat = Repeat::WhenPlain;
        self
    }

    pub(super) const fn blocks(mut self) -> Self {
        self.place = Place::Blocks;
        self
    }

    pub(super) const fn may_block(mut self) -> Self {
        self.place = Place::MayBlock;
        self
    }

    pub(super) const fn refused(mut self, reason: &'static str) -> Self {
        self.place = Place::Refused(reason);
        self
    }
}

impl CommandId {
    /// Finds a command by name, in any case. `None` for one that this version does not know: it may still be sent, but
    /// nothing is known of its keys.
    pub fn find(name: &[u8]) -> Option<Self> {
        ROWS.binary_search_by(|row| row.name.bytes().cmp(name.iter().map(u8::to_ascii_uppercase)))
            .ok()
            .and_then(|index| u16::try_from(index).ok())
            .map(Self)
    }

    /// The command with this number; `None` for a number that was not given out.
    pub fn spec(self) -> Option<&'static CommandSpec> {
        ROWS.get(usize::from(self.0))
    }
}

impl CommandSpec {
    /// Finds a command by name, in any case.
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        CommandId::find(name).and_then(CommandId::spec)
    }

    /// In upper case.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn access(&self) -> Access {
        self.access
    }

    pub fn keys(&self) -> Keys {
        self.keys
    }

    /// Calls `found` with the position of each key. `arguments` starts with the command's name.
    pub fn for_each_key<T: AsRef<[u8]>>(&self, arguments: &[T], mut found: impl FnMut(usize)) {
        let count = arguments.len();
        match self.keys {
            Keys::None => {}
            Keys::Range { first, last, step } => {
                let end = if last < 0 {
                    count.saturating_sub(usize::from(last.unsigned_abs()) - 1)
                } else {
                    (usize::from(last.unsigned_abs()) + 1).min(count)
                };
                (usize::from(first)..end).step_by(usize::from(step)).for_each(found);
            }
            Keys::Counted { at, destination } => {
                if destination && count > 1 {
                    found(1);
                }
                let at = usize::from(at);
                let keys = arguments.get(at).and_then(|text| number(text.as_ref())).unwrap_or(0);
                (at + 1..count).take(keys).for_each(found);
            }
            Keys::Streams => {
                if let Some(start) = streams(arguments) {
                    let names = (count - start - 1) / 2;
                    (start + 1..=start + names).for_each(found);
                }
            }
            Keys::Sort | Keys::StoreOption { .. } => {
                if count > 1 {
                    found(1);
                }
                let sorts = self.keys == Keys::Sort;
                let mut index = if let Keys::StoreOption { from } = self.keys { usize::from(from) } else { 2 };
                while index + 1 < count {
                    let option = &arguments[index];
                    if is(option, b"STORE") || is(option, b"STOREDIST") {
                        found(index + 1);
                    }
                    // A pattern may read like an option.
                    index += if sorts && (is(option, b"BY") || is(option, b"GET")) { 2 } else { 1 };
                }
            }
            Keys::Migrate => {
                if arguments.get(3).is_some_and(|key| !key.as_ref().is_empty()) {
                    found(3);
                } else if let Some(start) = keyword(arguments, 6, b"KEYS") {
                    (start + 1..count).for_each(found);
                }
            }
        }
    }

    /// Calls `found` with the position of each pattern that stands for keys: `BY` and `GET` of `SORT`, but not `GET #`.
    pub fn for_each_pattern<T: AsRef<[u8]>>(&self, arguments: &[T], mut found: impl FnMut(usize)) {
        if self.keys != Keys::Sort {
            return;
        }
        let mut index = 2;
        while index + 1 < arguments.len() {
            let by = is(&arguments[index], b"BY");
            let get = is(&arguments[index], b"GET") && arguments[index + 1].as_ref() != b"#";
            if by || get {
                found(index + 1);
            }
            // A pattern may read like an option.
            index += if by || is(&arguments[index], b"GET") || is(&arguments[index], b"STORE") { 2 } else { 1 };
        }
    }

    /// The position of the pattern that the names of keys have to match: that of `KEYS`, and what follows `MATCH` in `SCAN`.
    pub fn match_pattern<T: AsRef<[u8]>>(&self, arguments: &[T]) -> Option<usize> {
        match self.name {
            "KEYS" => Some(1).filter(|&index| index < arguments.len()),
            // Of several patterns the server takes the last.
            "SCAN" => (3..arguments.len()).step_by(2).filter(|&index| is(&arguments[index - 1], b"MATCH")).last(),
            _ => None,
        }
    }

    /// The slot of the first key.
    pub fn slot<T: AsRef<[u8]>>(&self, arguments: &[T]) -> Option<u16> {
        let mut slot = None;
        self.for_each_key(arguments, |index| {
            slot = slot.or_else(|| arguments.get(index).map(|key| key_slot(key.as_ref())));
        });
        slot
    }

    /// How a broken connection treats the command with these arguments.
    pub fn flags<T: AsRef<[u8]>>(&self, arguments: &[T]) -> CommandFlags {
        let repeatable = match self.repeat {
            Repeat::Never => false,
            Repeat::Always => true,
            Repeat::WhenPlain => arguments.iter().skip(3).all(|option| {
                let option = option.as_ref();
                number(option).is_some()
                    || [&b"EX"[..], b"PX", b"EXAT", b"PXAT", b"KEEPTTL"].iter().any(|name| is(&option, name))
            }),
        };
        CommandFlags { repeatable, ..CommandFlags::default() }
    }

    /// Whether the command, with these arguments, waits on the server for something to come.
    pub fn is_blocking<T: AsRef<[u8]>>(&self, arguments: &[T]) -> bool {
        match self.place {
            Place::Blocks => true,
            Place::MayBlock => {
                let options = streams(arguments).unwrap_or(arguments.len());
                // A group or consumer may be called `block`: the option is followed by a number.
                arguments[..options].windows(2).any(|pair| is(&pair[0], b"BLOCK") && number(pair[1].as_ref()).is_some())
            }
            Place::Shared | Place::Refused(_) => false,
        }
    }

    /// How long the command, with these arguments, may wait on the server for something to come; `Duration::MAX` for
    /// without end, zero for a time that the server will refuse. Nothing for one that does not wait, or waits for what its own
    /// connection did.
    pub fn longest_wait<T: AsRef<[u8]>>(&self, arguments: &[T]) -> Option<Duration> {
        if !self.is_blocking(arguments) || matches!(self.name, "WAIT" | "WAITAOF") {
            return None;
        }
        let (text, unit) = match self.name {
            "XREAD" | "XREADGROUP" => {
                let option =
                    arguments.windows(2).find(|pair| is(&pair[0], b"BLOCK") && number(pair[1].as_ref()).is_some());
                (option.map(|pair| &pair[1]), 1e-3)
            }
            "BLMPOP" | "BZMPOP" => (arguments.get(1), 1.0),
            _ => (arguments.last(), 1.0),
        };
        let seconds = text
            .and_then(|text| std::str::from_utf8(text.as_ref()).ok())
            .and_then(|text| text.parse::<f64>().ok())
            .map_or(-1.0, |number| number * unit);
        Some(if seconds == 0.0 {
            Duration::MAX
        } else {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
        })
    }

    /// Why the command, with these arguments, must not run on a connection that others share.
    ///
    /// # Errors
    /// `UnsupportedCommand` with the reason, and what to use instead.
    pub fn check_shareable<T: AsRef<[u8]>>(&self, arguments: &[T]) -> Result<(), Error> {
        let reason = match self.place {
            _ if self.is_blocking(arguments) => "it would hold up everybody else on the connection",
            Place::Refused(reason) => reason,
            _ => match (self.name, arguments.get(1)) {
                ("CLIENT", Some(word)) => {
                    let state: [&[u8]; 7] =
                        [b"REPLY", b"TRACKING", b"CACHING", b"SETNAME", b"SETINFO", b"NO-EVICT", b"NO-TOUCH"];
                    match state.iter().find(|name| is(word, name)) {
                        Some(_) => "it changes a connection that others use",
                        None => return Ok(()),
                    }
                }
                ("SCRIPT", Some(word)) if is(word, b"DEBUG") => "it turns a connection that others use into a debugger",
                _ => return Ok(()),
            },
        };
        Err(Error::new(ErrorCode::UnsupportedCommand, format!("{} is not supported here: {reason}", self.name)))
    }
}

fn is<T: AsRef<[u8]>>(argument: &T, word: &[u8]) -> bool {
    argument.as_ref().eq_ignore_ascii_case(word)
}

fn keyword<T: AsRef<[u8]>>(arguments: &[T], from: usize, word: &[u8]) -> Option<usize> {
    (from..arguments.len()).find(|&index| is(&arguments[index], word))
}

/// Where the option `STREAMS` is: not what follows `GROUP`, `COUNT` or `BLOCK`, which may read like it.
fn streams<T: AsRef<[u8]>>(arguments: &[T]) -> Option<usize> {
    let mut index = 1;
    while index < arguments.len() {
        let option = &arguments[index];
        if is(option, b"STREAMS") {
            return Some(index);
        }
        index += if is(option, b"GROUP") {
            3
        } else if is(option, b"COUNT") || is(option, b"BLOCK") {
            2
        } else {
            1
        };
    }
    None
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&str> {
        line.split(' ').map(|word| if word == "''" { "" } else { word }).collect()
    }

    fn spec(line: &str) -> &'static CommandSpec {
        CommandSpec::find(words(line)[0].as_bytes()).unwrap_or_else(|| panic!("{line} is not in the table"))
    }

    fn keys(line: &str) -> String {
        let arguments = words(line);
        let mut keys = Vec::new();
        spec(line).for_each_key(&arguments, |index| keys.push(arguments[index]));
        keys.join(" ")
    }

    #[test]
    fn names_are_sorted_and_found_in_any_case() {
        assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(CommandId::find(row.name.to_lowercase().as_bytes()), u16::try_from(index).ok().map(CommandId));
        }
        assert_eq!(spec("gEt k").name(), "GET");
        assert_eq!(CommandId::find(b"NOSUCH"), None);
        assert!(CommandId(u16::MAX).spec().is_none());
    }

    #[test]
    fn keys_are_found() {
        for (line, wanted) in [
            ("GET a", "a"),
            ("PING", ""),
            ("GET", ""),
            ("MGET a b c", "a b c"),
            ("MSET a 1 b 2", "a b"),
            ("BLPOP a b 0", "a b"),
            ("BITOP AND d a b", "d a b"),
            ("EVAL script 2 a b c", "a b"),
            ("EVALSHA sha 0 c", ""),
            ("EVAL script 9 a", "a"),
            ("EVAL script x a", ""),
            ("EVAL script -1 a", ""),
            ("FCALL f 1 a b", "a"),
            ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"),
            ("ZINTER 2 a b WITHSCORES", "a b"),
            ("BZMPOP 1 2 a b MIN", "a b"),
            ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
            ("xreadgroup group g c block 5 streams a >", "a"),
            ("XREADGROUP GROUP streams streams STREAMS a >", "a"),
            ("XREAD STREAMS", ""),
            ("SORT a BY store GET store", "a"),
            ("SORT a BY w_* GET # GET o_* STORE d", "a d"),
            ("GEORADIUS a 1 2 3 km STORE d", "a d"),
            ("GEORADIUSBYMEMBER a store 3 km STOREDIST d", "a d"),
            ("MIGRATE h 1 a 0 9", "a"),
            ("MIGRATE h 1 '' 0 9 COPY KEYS a b", "a b"),
            ("OBJECT ENCODING a", "a"),
            ("XGROUP CREATE a g $", "a"),
            ("XGROUP HELP", ""),
            ("MEMORY DOCTOR", ""),
            ("COPY a b", "a b"),
            ("JSON.MGET a b $", "a b"),
            ("JSON.MSET a $ 1 b $ 2", "a b"),
            ("PUBLISH c m", ""),
        ] {
            assert_eq!(keys(line), wanted, "{line}");
        }
    }

    #[test]
    fn patterns_of_sort_are_found() {
        let line = words("SORT a BY w_* LIMIT 0 5 GET # GET get GET o_*->f DESC");
        let mut patterns = Vec::new();
        spec("SORT").for_each_pattern(&line, |index| patterns.push(line[index]));
        assert_eq!(patterns, ["w_*", "get", "o_*->f"]);
    }

    #[test]
    fn the_pattern_of_names_is_found() {
        for (line, wanted) in [
            ("KEYS a*", Some(1)),
            ("KEYS", None),
            ("SCAN 0", None),
            ("SCAN 0 COUNT 5 match a*", Some(5)),
            ("SCAN 0 MATCH match MATCH b", Some(5)),
            ("SCAN 0 TYPE match", None),
            ("GET MATCH", None),
        ] {
            assert_eq!(spec(line).match_pattern(&words(line)), wanted, "{line}");
        }
    }

    #[test]
    fn what_waits_says_how_long() {
        let seconds = |line: &str| spec(line).longest_wait(&words(line)).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("BLPOP a b 2.5"), Some(2.5));
        assert_eq!(seconds("BLMPOP 3 1 a LEFT"), Some(3.0));
        assert_eq!(seconds("XREAD BLOCK 1500 STREAMS a 0"), Some(1.5));
        assert_eq!(seconds("XREADGROUP GROUP block c BLOCK 20 STREAMS a >"), Some(0.02));
        assert_eq!(spec("BLPOP a 0").longest_wait(&words("BLPOP a 0")), Some(Duration::MAX));
        for line in ["BLPOP a -1", "BLPOP a x", "BLPOP a nan", "BLPOP"] {
            assert_eq!(seconds(line), Some(0.0), "{line}");
        }
        for line in ["LPOP a", "XREAD STREAMS a 0", "WAIT 1 0"] {
            assert_eq!(seconds(line), None, "{line}");
        }
    }

    #[test]
    fn what_may_be_repeated_depends_on_the_arguments() {
        for line in [
            "GET a",
            "SET a 1",
            "SET a 1 EX 5",
            "SET a 1 px 5",
            "SET a 1 KEEPTTL",
            "MSET a 1",
            "EXPIRE a 5",
            "PING",
            "EVAL_RO s 0",
            "XREAD STREAMS a 0",
        ] {
            assert!(spec(line).flags(&words(line)).repeatable, "{line}");
        }
        for line in [
            "INCR a",
            "LPUSH a 1",
            "SET a 1 NX",
            "SET a 1 XX EX 5",
            "SET a 1 GET",
            "EXPIRE a 5 GT",
            "DEL a",
            "EVAL s 0",
            "HSET a f 1",
            "PUBLISH c m",
            "XREADGROUP GROUP g c STREAMS a >",
            "FLUSHALL",
        ] {
            assert!(!spec(line).flags(&words(line)).repeatable, "{line}");
        }
    }

    #[test]
    fn what_others_would_suffer_from_is_refused() {
        for line in [
            "SUBSCRIBE c",
            "MULTI",
            "SELECT 1",
            "MONITOR",
            "QUIT",
            "AUTH p",
            "HELLO 3",
            "RESET",
            "CLIENT REPLY OFF",
            "client tracking on",
            "SCRIPT DEBUG YES",
            "BLPOP a 0",
            "WAIT 1 0",
            "XREAD BLOCK 5 STREAMS a 0",
        ] {
            let error = spec(line).check_shareable(&words(line)).expect_err(line);
            assert_eq!(error.code(), ErrorCode::UnsupportedCommand);
        }
        for line in
            ["GET a", "CLIENT LIST", "SCRIPT LOAD s", "XREAD STREAMS BLOCK 5", "XREADGROUP GROUP block c STREAMS a >"]
        {
            assert!(spec(line).check_shareable(&words(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_slot_is_that_of_the_first_key() {
        assert_eq!(spec("MGET").slot(&words("MGET a b")), Some(key_slot(b"a")));
        assert_eq!(spec("PING").slot(&words("PING")), None);
    }
}
