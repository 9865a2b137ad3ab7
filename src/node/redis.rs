//! Commands from JavaScript straight into a command batch: one batch a submission, no allocation a command.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use napi_derive::napi;

#[cfg(unix)]
use super::door::UvReader;
use super::{
    door::{DoorSink, NativeDoor, Op, ReplyForm, ReplyShape, ReplyStyle, Responder, Target, TargetHandle},
    link_events::{LinkEvents, state_name},
};
use crate::{
    connection::{
        self, Batch, Command, CommandFlags, CommandId, CommandSpec, ConnectionOptions, Entry, Link, LinkState, Route,
        push_bulk, push_header,
    },
    error::{Error, Result},
};

/// A command that the table does not have; its name is the first argument.
const UNKNOWN: u16 = 0xffff;
/// Not a command: ends the target once the commands before it are answered.
const CLOSE: u16 = 0xfffe;

/// Flag of a code: strings of the reply become Buffers.
const BUFFERS: u16 = 1;

/// What a server takes by default (`proto-max-bulk-len`).
const LONGEST_ARGUMENT: usize = 512 << 20;

/// Commands with up to this many words are checked without an allocation.
const FEW: usize = 8;

/// The most that a new batch gets in advance.
const MOST_RESERVED: usize = 1 << 20;

struct Redis {
    /// None once closed.
    link: RefCell<Option<Arc<dyn Link>>>,
    key_prefix: Vec<u8>,
    sink: Arc<DoorSink>,
    batch: RefCell<Batch>,
    /// Where the arguments of the command at hand are in the batch.
    places: RefCell<Vec<Range<usize>>>,
    /// Reads answers on this thread while they come one at a time. None once closed.
    #[cfg(unix)]
    reader: RefCell<Option<UvReader>>,
    /// Bytes of the last batch, as a guess for the next.
    usual: Cell<usize>,
}

impl Redis {
    fn new(link: Arc<dyn Link>, key_prefix: String, door: &NativeDoor) -> Self {
        let sink = door.sink();
        Self {
            #[cfg(unix)]
            reader: RefCell::new(door.reader(&link)),
            link: RefCell::new(Some(link)),
            key_prefix: key_prefix.into_bytes(),
            batch: RefCell::new(Batch::new(Arc::clone(&sink) as _)),
            sink,
            places: RefCell::default(),
            usual: Cell::new(0),
        }
    }

    /// Leaves the connection.
    fn leave(&self) -> Option<Arc<dyn Link>> {
        #[cfg(unix)]
        drop(self.reader.take());
        self.link.take()
    }

    /// Adds the command to the batch; on an error nothing of it stays there.
    fn encode(&self, op: &mut Op<'_>, batch: &mut Batch) -> Result<Encoded> {
        let start = batch.bytes.len();
        let encoded = match op.code() {
            UNKNOWN => encode_unknown(op, &mut batch.bytes),
            code => match CommandId(code).spec() {
                Some(spec) => self.encode_known(spec, op, &mut batch.bytes),
                None => Err(op.unknown_code()),
            },
        };
        if encoded.is_err() {
            batch.bytes.truncate(start);
        }
        encoded
    }

    fn encode_known(&self, spec: &CommandSpec, op: &mut Op<'_>, into: &mut Vec<u8>) -> Result<Encoded> {
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
        spec.check_shareable(arguments)?;
        let flags = spec.flags(arguments);
        if self.key_prefix.is_empty() {
            return Ok(Encoded {
                flags,
                route: Route { slot: spec.slot(arguments), replica: false },
                shape: shape(spec),
            });
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
        Ok(Encoded { flags, route: Route { slot, replica: false }, shape: shape(spec) })
    }

    fn close(&self, reply: Responder) {
        self.flush();
        let Some(link) = self.leave() else { return reply.settle(Ok(())) };
        if link.state() != LinkState::Ready {
            // What waits for a connection is settled without us; there is nothing to wait for.
            return reply.settle(Ok(()));
        }
        reply.run(async move {
            // Replies come in the order of commands: this one means that those before have theirs. Its own outcome does
            // not matter, and its deadline bounds the wait.
            let _ = link.call(Command::new("PING").repeatable()).await;
            Ok(())
        });
    }
}

impl Target for Redis {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if op.code() == CLOSE {
            return self.close(reply);
        }
        if self.link.borrow().is_none() {
            return reply.fail(Error::closed("this RedisService"));
        }
        let batch = &mut *self.batch.borrow_mut();
        // A panic may have left half a command, which would put every later reply in the wrong place.
        batch.bytes.truncate(batch.entries.last().map_or(0, |entry| entry.end));
        if batch.bytes.is_empty() {
            batch.bytes.reserve(self.usual.get());
        }
        match self.encode(&mut op, batch) {
            Ok(Encoded { flags, route, shape }) => {
                let form = if op.flags() & BUFFERS == 0 { ReplyForm::Text } else { ReplyForm::Buffer };
                let token = DoorSink::token(reply.into_slot(), ReplyStyle { form, shape });
                batch.entries.push(Entry { end: batch.bytes.len(), token, route, flags, deadline: None, native: None });
            }
            Err(error) => reply.fail(error),
        }
    }

    fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        if batch.entries.is_empty() {
            return;
        }
        self.usual.set(batch.bytes.len().min(MOST_RESERVED));
        let full = std::mem::replace(&mut *batch, Batch::new(Arc::clone(&self.sink) as _));
        drop(batch);
        if let Some(link) = &*self.link.borrow() {
            link.submit(full);
        }
        #[cfg(unix)]
        if let Some(reader) = &*self.reader.borrow() {
            reader.submitted();
        }
    }
}

/// What is known of a command that was added to a batch.
struct Encoded {
    flags: CommandFlags,
    route: Route,
    shape: ReplyShape,
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
    Ok(Encoded { flags: CommandFlags::default(), route: Route::default(), shape: ReplyShape::Plain })
}

/// The arguments with `prefix` in front of keys, and of patterns that stand for keys.
fn with_prefix<'a>(spec: &CommandSpec, arguments: &[&'a [u8]], prefix: &[u8]) -> Vec<Cow<'a, [u8]>> {
    let mut prefixed: Vec<Cow<'_, [u8]>> = arguments.iter().map(|&argument| Cow::Borrowed(argument)).collect();
    let mut put = |index: usize| {
        if let Some(argument @ Cow::Borrowed(_)) = prefixed.get_mut(index) {
            *argument = Cow::Owned([prefix, &**argument].concat());
        }
    };
    spec.for_each_key(arguments, &mut put);
    spec.for_each_pattern(arguments, &mut put);
    prefixed
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

/// The number of a command for `RedisService`; nothing for one that the table does not have.
#[napi]
pub fn command_code(name: String) -> Option<u16> {
    CommandId::find(name.as_bytes()).map(|id| id.0)
}

/// Commands of one `RedisService`.
#[napi]
pub struct NativeRedis {
    handle: TargetHandle,
    redis: Rc<Redis>,
    describe: String,
    watch: RefCell<Option<Box<dyn Send + Sync>>>,
}

#[napi]
impl NativeRedis {
    /// `options` is the JSON text of a `RedisConfig`.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, options: String) -> napi::Result<Self> {
        let opened = ConnectionOptions::from_json(&options)
            .and_then(|options| Ok((options.key_prefix.clone(), connection::open(options)?)));
        let (key_prefix, link) = opened.map_err(|error| door.js_error(&error))?;
        let describe = link.describe().to_owned();
        let redis = Rc::new(Redis::new(Arc::clone(&link), key_prefix, door));
        let mut watch = None;
        let handle = door.add(|emitter| {
            watch = Some(link.watch_state(Arc::new(LinkEvents::new(emitter))));
            Rc::clone(&redis)
        });
        Ok(Self { handle, redis, describe, watch: RefCell::new(watch) })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Server and database, for messages.
    #[napi(getter)]
    pub fn describe(&self) -> String {
        self.describe.clone()
    }

    /// A `ConnectionState`; `DISCONNECTED` once closed.
    #[napi(getter)]
    pub fn state(&self) -> &'static str {
        self.redis.link.borrow().as_ref().map_or("DISCONNECTED", |link| state_name(link.state()))
    }

    /// Leaves the connection at once. Commands in flight are still answered.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
        self.watch.take();
        self.redis.leave();
    }

    /// Whether this thread reads the answers of the connection at present.
    #[napi(getter)]
    pub fn reads_here(&self) -> bool {
        #[cfg(unix)]
        return self.redis.reader.borrow().as_ref().is_some_and(UvReader::is_reading);
        #[cfg(not(unix))]
        false
    }
}
