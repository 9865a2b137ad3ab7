//! Reading what scripts are called with, and the keys that they build.

/// Largest whole number that Lua counts with exactly, and writes as such.
const MOST: i64 = 1 << 53;

/// A whole number in the one form in which Lua and Redis read it as such.
pub(super) fn whole(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.len() <= 16 && text != b"-0";
    let number: i64 =
        std::str::from_utf8(text).ok().filter(|_| plain && digits.iter().all(u8::is_ascii_digit))?.parse().ok()?;
    (number.abs() < MOST).then_some(number)
}

/// The same for what counts something.
pub(super) fn amount(text: &[u8]) -> Option<usize> {
    usize::try_from(whole(text)?).ok()
}

/// As a score or another of Lua's numbers.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(super) fn exact(number: i64) -> f64 {
    number as f64
}

/// What belongs to a job beside its hash.
pub(super) const SUFFIXES: [&[u8]; 6] =
    [b":logs", b":dependencies", b":processed", b":failed", b":unsuccessful", b":lock"];

/// Whether an id could be that of something that belongs to another job.
pub(super) fn is_ambiguous(id: &[u8]) -> bool {
    memchr::memrchr(b':', id).is_some_and(|colon| SUFFIXES.contains(&&id[colon..]))
}

/// Builds the keys that begin with the prefix of a queue, one at a time.
pub(super) struct KeyOf {
    bytes: Vec<u8>,
    prefix: usize,
}

impl KeyOf {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(prefix.len() + 64);
        bytes.extend_from_slice(prefix);
        Self { bytes, prefix: prefix.len() }
    }

    /// The hash of a job.
    pub(super) fn job(&mut self, id: &[u8]) -> &[u8] {
        self.part(id, b"")
    }

    /// A further key of a job.
    pub(super) fn part(&mut self, id: &[u8], suffix: &[u8]) -> &[u8] {
        self.bytes.truncate(self.prefix);
        self.bytes.extend_from_slice(id);
        self.bytes.extend_from_slice(suffix);
        &self.bytes
    }
}

/// What holds for a whole queue, where none of it stands in the way: how many events it keeps.
pub(super) fn event_bound(call: &crate::connection::NativeCall<'_, '_>, meta: &[u8]) -> Option<usize> {
    let meta = call.hash(meta)??;
    let unusual: [&[u8]; 5] = [b"paused", b"concurrency", b"max", b"duration", b"groups"];
    if unusual.iter().any(|field| meta.get(field).is_some()) {
        return None;
    }
    amount(meta.get(b"opts.maxLenEvents")?)
}
