//! Commands as the door brings them, written where they will be sent from.

use std::{borrow::Cow, cell::RefCell, ops::Range, time::Duration};

use super::door::{Op, ReplyShape};
use crate::{
    connection::{Command, CommandFlags, CommandId, CommandSpec, Route, push_bulk, push_header},
    error::{Error, ErrorCode, Result},
};

/// A command that the table does not have; its name is the first argument.
pub(super) const UNKNOWN: u16 = 0xffff;

/// What a server takes by default (`proto-max-bulk-len`).
const LONGEST_ARGUMENT: usize = 512 << 20;

/// Commands with up to this many words are checked without an allocation.
const FEW: usize = 8;

/// What is sent, and how large it may be.
pub(super) struct Encoding {
    pub(super) key_prefix: Vec<u8>,
    /// Bytes of a key, its prefix included.
    pub(super) max_key_length: usize,
    /// Bytes of an argument that is no key.
    pub(super) max_value_size: usize,
    /// Where the arguments of the command at hand are in the batch.
    places: RefCell<Vec<Range<usize>>>,
}

/// What a connection lets a command do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// The command may wait on the server: it will get a connection of its own.
    pub(super) blocking: bool,
    /// Nobody else uses the connection: `WATCH` and `UNWATCH` are fine.
    pub(super) watching: bool,
}

/// What is known of a command that was written.
pub(super) struct Encoded {
    pub(super) flags: CommandFlags,
    pub(super) route: Route,
    pub(super) shape: ReplyShape,
    /// Nothing was written: the command waits on the server, for so long.
    pub(super) blocking: Option<(Command, Duration)>,
}

impl Encoding {
    pub(super) fn new(key_prefix: String, max_key_length: Option<u32>, max_value_size: Option<u32>) -> Self {
        let limit = |limit: Option<u32>| limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Self {
            key_prefix: key_prefix.into_bytes(),
            max_key_length: limit(max_key_length),
            max_value_size: limit(max_value_size),
            places: RefCell::default(),
        }
    }

    /// Writes the command behind what is there; on an error nothing of it stays.
    pub(super) fn encode(&self, op: &mut Op<'_>, into: &mut Vec<u8>, allowed: Allowed) -> Result<Encoded> {
        let start = into.len();
        let encoded = match op.code() {
            UNKNOWN => encode_unknown(op, into),
            code => match CommandId(code).spec() {
                Some(spec) => self.encode_known(spec, op, into, allowed),
                None => Err(op.unknown_code()),
            },
        };
        if encoded.as_ref().map_or(true, |encoded| encoded.blocking.is_some()) {
            into.truncate(start);
        }
        encoded
    }

    fn encode_known(
        &self,
        spec: &CommandSpec,
        op: &mut Op<'_>,
        into: &mut Vec<u8>,
        allowed: Allowed,
    ) -> Result<Encoded> {
        let start = into.len();
        let places = &mut *self.places.borrow_mut();
        places.clear();
        push_header(into, b'*', op.remaining() + 1);
        push_bulk(into, spec.name().as_bytes());
        places.push(into.len() - spec.name().len() - 2..into.len() - 2);
        while op.remaining() > 0 {
            places.push(push_argument(op, into)?);
        }
        // Commands have few arguments, as a rule: those cost no allocation.
        let mut few = [&b""[..]; FEW];
        let many: Vec<&[u8]>;
        let arguments = if places.len() <= FEW {
            for (argument, place) in few.iter_mut().zip(&*places) {
                *argument = &into[place.clone()];
            }
            &few[..places.len()]
        } else {
            many = places.iter().map(|place| &into[place.clone()]).collect();
            &many[..]
        };
        let wait = if allowed.blocking { spec.longest_wait(arguments) } else { None };
        let watches = allowed.watching && matches!(spec.name(), "WATCH" | "UNWATCH");
        if wait.is_none() && !watches {
            spec.check_shareable(arguments)?;
        }
        self.check_sizes(spec, arguments)?;
        let (flags, shape) = (spec.flags(arguments), shape(spec));
        if let Some(wait) = wait {
            let prefixed = with_prefix(spec, arguments, &self.key_prefix);
            let mut command = Command::default().args(&prefixed);
            command.route.slot = spec.slot(&prefixed);
            let route = command.route;
            return Ok(Encoded { flags, route, shape, blocking: Some((command, wait)) });
        }
        if self.key_prefix.is_empty() {
            let route = Route { slot: spec.slot(arguments), replica: false };
            return Ok(Encoded { flags, route, shape, blocking: None });
        }
        let prefixed = with_prefix(spec, arguments, &self.key_prefix);
        let slot = spec.slot(&prefixed);
        let mut line = Vec::with_capacity(into.len() - start + prefixed.len() * self.key_prefix.len());
        push_header(&mut line, b'*', prefixed.len());
        for argument in &prefixed {
            push_bulk(&mut line, argument);
        }
        into.truncate(start);
        into.append(&mut line);
        Ok(Encoded { flags, route: Route { slot, replica: false }, shape, blocking: None })
    }

    fn check_sizes(&self, spec: &CommandSpec, arguments: &[&[u8]]) -> Result<()> {
        if self.max_key_length == usize::MAX && self.max_value_size == usize::MAX {
            return Ok(());
        }
        let mut failure = None;
        let mut is_key = vec![false; arguments.len()];
        spec.for_each_key(arguments, |index| {
            is_key[index] = true;
            let length = arguments[index].len() + self.key_prefix.len();
            if length > self.max_key_length && failure.is_none() {
                failure =
                    Some(too_large(ErrorCode::KeyTooLong, "a key", "limits.maxKeyLength", length, self.max_key_length));
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        let values = arguments.iter().zip(is_key).filter(|(_, is_key)| !is_key);
        match values.map(|(value, _)| value.len()).find(|&length| length > self.max_value_size) {
            Some(length) => {
                Err(too_large(ErrorCode::ValueTooLarge, "a value", "limits.maxValueSize", length, self.max_value_size))
            }
            None => Ok(()),
        }
    }
}

fn too_large(code: ErrorCode, what: &str, option: &str, length: usize, limit: usize) -> Error {
    #[expect(clippy::cast_precision_loss, reason = "sizes of arguments are far below 2^53")]
    Error::new(code, format!("{what} of {length} bytes is longer than `{option}`, {limit}"))
        .with("limit", limit as f64)
        .with("bytes", length as f64)
}

/// How the command's RESP3 reply differs from its RESP2 one, beyond what holds for all.
fn shape(spec: &CommandSpec) -> ReplyShape {
    // No command with a pair in its reply starts with another letter; nearly all calls end here.
    if !matches!(spec.name().as_bytes(), [b'Z' | b'H' | b'X' | b'V', ..]) {
        return ReplyShape::Plain;
    }
    match spec.name() {
        "ZDIFF" | "ZINTER" | "ZUNION" | "ZPOPMAX" | "ZPOPMIN" | "ZRANDMEMBER" | "ZRANGE" | "ZRANGEBYSCORE"
        | "ZREVRANGE" | "ZREVRANGEBYSCORE" | "HRANDFIELD" | "VSIM" => ReplyShape::FlatPairs,
        "XREAD" | "XREADGROUP" => ReplyShape::Pairs,
        _ => ReplyShape::Plain,
    }
}

/// A command of which nothing is known goes as it is: no prefix, no route.
fn encode_unknown(op: &mut Op<'_>, into: &mut Vec<u8>) -> Result<Encoded> {
    push_header(into, b'*', op.remaining());
    while op.remaining() > 0 {
        push_argument(op, into)?;
    }
    Ok(Encoded { flags: CommandFlags::default(), route: Route::default(), shape: ReplyShape::Plain, blocking: None })
}

/// The arguments with `prefix` in front of keys, and of patterns that stand for keys.
fn with_prefix<'a>(spec: &CommandSpec, arguments: &[&'a [u8]], prefix: &[u8]) -> Vec<Cow<'a, [u8]>> {
    let mut prefixed: Vec<Cow<'_, [u8]>> = arguments.iter().map(|&argument| Cow::Borrowed(argument)).collect();
    if prefix.is_empty() {
        return prefixed;
    }
    let put = |prefixed: &mut Vec<Cow<'_, [u8]>>, index: usize, prefix: &[u8]| {
        if let Some(argument @ Cow::Borrowed(_)) = prefixed.get_mut(index) {
            *argument = Cow::Owned([prefix, &**argument].concat());
        }
    };
    spec.for_each_key(arguments, |index| put(&mut prefixed, index, prefix));
    spec.for_each_pattern(arguments, |index| put(&mut prefixed, index, prefix));
    // What matches keys must match the prefix to the letter.
    match (spec.name(), spec.match_pattern(arguments)) {
        (_, Some(index)) => put(&mut prefixed, index, &escaped(prefix)),
        ("SCAN", None) if arguments.len() > 1 => {
            prefixed.push(Cow::Borrowed(b"MATCH"));
            prefixed.push(Cow::Owned([&escaped(prefix)[..], b"*"].concat()));
        }
        _ => {}
    }
    prefixed
}

/// The pattern that matches exactly `text`.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}

/// Appends the next argument as a bulk string; returns where its bytes are.
///
/// The length is known only when the argument has been read, so it is read behind room for a length of two digits, the
/// most common, and moved when that was wrong.
fn push_argument(op: &mut Op<'_>, into: &mut Vec<u8>) -> Result<Range<usize>> {
    const ROOM: usize = "$00\r\n".len();
    let start = into.len();
    into.extend_from_slice(b"$00\r\n");
    if !op.read_into(into)? {
        return Err(op.wrong("undefined or null", "a string, a number or a Uint8Array"));
    }
    let length = into.len() - start - ROOM;
    if length > LONGEST_ARGUMENT {
        return Err(op.wrong(&format!("{length} bytes long"), "at most 512 MiB"));
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(length).as_bytes();
    let argument = start + digits.len() + 3;
    if digits.len() != 2 {
        if digits.len() > 2 {
            into.resize(into.len() + digits.len() - 2, 0);
        }
        into.copy_within(start + ROOM..start + ROOM + length, argument);
        into.truncate(argument + length);
        into[argument - 2..argument].copy_from_slice(b"\r\n");
    }
    into[start + 1..argument - 2].copy_from_slice(digits);
    into.extend_from_slice(b"\r\n");
    Ok(argument..argument + length)
}
