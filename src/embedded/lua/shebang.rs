//! The first line of a script that begins with `#!`: its engine and flags.

use crate::error::Error;

/// What a script promises and asks for. Without a first line, a script may do everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::embedded) struct ScriptFlags {
    /// The script has a first line with flags.
    pub(in crate::embedded) declared: bool,
    /// It does not write; writes are refused.
    pub(in crate::embedded) no_writes: bool,
}

/// Takes the first line off. The line break stays, so that line numbers in errors are those of the file.
pub(super) fn read(source: &[u8]) -> Result<(ScriptFlags, &[u8]), Error> {
    let mut flags = ScriptFlags::default();
    if !source.starts_with(b"#!") {
        return Ok((flags, source));
    }
    let refuse = |text: &str, word: &[u8]| {
        Err(Error::from_reply(&format!("ERR {text}{}", String::from_utf8_lossy(word).replace(['\r', '\n'], " "))))
    };
    let Some(end) = memchr::memchr(b'\n', source) else { return refuse("Invalid script shebang", b"") };
    let (line, body) = source.split_at(end);
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let engine = words.next().unwrap_or_default();
    if engine != b"#!lua" {
        return refuse("Unexpected engine in script shebang: ", engine);
    }
    flags.declared = true;
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return refuse("Unknown lua shebang option: ", word);
        };
        for flag in list.split(|&byte| byte == b',').filter(|flag| !flag.is_empty()) {
            match flag {
                b"no-writes" => flags.no_writes = true,
                // There is no cluster, no replica that could be stale, and `maxmemory` never refuses a declared script less.
                b"allow-oom" | b"allow-stale" | b"no-cluster" | b"allow-cross-slot-keys" => {}
                _ => return refuse("Unexpected flag in script shebang: ", flag),
            }
        }
    }
    Ok((flags, body))
}
