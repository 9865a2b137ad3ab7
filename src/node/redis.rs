//! Commands from JavaScript straight into a command batch: one batch a submission, no allocation a command.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use napi_derive::napi;

use super::{
    door::{DoorSink, NativeDoor, Op, ReplyForm, Responder, Target, TargetHandle},
    link_events::{LinkEvents, state_name},
    redis_commands::{self, CommandSpec},
};
use crate::{
    connection::{
        self, Batch, Command, CommandFlags, ConnectionOptions, Entry, Link, LinkState, Route, key_slot, push_bulk,
        push_header,
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

/// The most that a new batch gets in advance.
const MOST_RESERVED: usize = 1 << 20;

struct Redis {
    /// None once closed.
    link: RefCell<Option<Arc<dyn Link>>>,
    key_prefix: Vec<u8>,
    sink: Arc<DoorSink>,
    batch: RefCell<Batch>,
    /// Bytes of the last batch, as a guess for the next.
    usual: Cell<usize>,
}

impl Redis {
    fn new(link: Arc<dyn Link>, key_prefix: String, sink: Arc<DoorSink>) -> Self {
        let batch = RefCell::new(Batch::new(Arc::clone(&sink) as _));
        let link = RefCell::new(Some(link));
        Self { link, key_prefix: key_prefix.into_bytes(), sink, batch, usual: Cell::new(0) }
    }

    /// Adds the command to the batch; on an error nothing of it stays there.
    fn encode(&self, op: &mut Op<'_>, batch: &mut Batch) -> Result<(CommandFlags, Route)> {
        let start = batch.bytes.len();
        let encoded = match op.code() {
            UNKNOWN => self.encode_unknown(op, &mut batch.bytes),
            code => match redis_commands::get(code) {
                Some(spec) => self.encode_known(spec, op, &mut batch.bytes),
                None => Err(op.unknown_code()),
            },
        };
        if encoded.is_err() {
            batch.bytes.truncate(start);
        }
        encoded
    }

    fn encode_known(&self, spec: &CommandSpec, op: &mut Op<'_>, into: &mut Vec<u8>) -> Result<(CommandFlags, Route)> {
        push_header(into, b'*', op.remaining() + 1);
        push_bulk(into, spec.name.as_bytes());
        let mut slot = None;
        for index in 0..op.remaining() {
            let is_key = !spec.no_keys && (index == 0 || spec.all_keys);
            let prefix = if is_key { &*self.key_prefix } else { b"" };
            let argument = push_argument(op, prefix, into)?;
            if is_key && slot.is_none() {
                slot = Some(key_slot(&into[argument]));
            }
        }
        Ok((spec.flags, Route { slot, replica: false }))
    }

    fn encode_unknown(&self, op: &mut Op<'_>, into: &mut Vec<u8>) -> Result<(CommandFlags, Route)> {
        push_header(into, b'*', op.remaining());
        while op.remaining() > 0 {
            push_argument(op, b"", into)?;
        }
        Ok((CommandFlags::default(), Route::default()))
    }

    fn close(&self, reply: Responder) {
        self.flush();
        let Some(link) = self.link.take() else { return reply.settle(Ok(())) };
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
        if batch.bytes.is_empty() {
            batch.bytes.reserve(self.usual.get());
        }
        match self.encode(&mut op, batch) {
            Ok((flags, route)) => {
                let form = if op.flags() & BUFFERS == 0 { ReplyForm::Text } else { ReplyForm::Buffer };
                let token = DoorSink::token(reply.into_slot(), form);
                batch.entries.push(Entry { end: batch.bytes.len(), token, route, flags, deadline: None });
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
    }
}

/// Appends the next argument as a bulk string with `prefix` in front; returns where its bytes are.
///
/// The length is known only when the argument has been read, so it is read behind room for a length of two digits, the
/// most common, and moved when that was wrong.
fn push_argument(op: &mut Op<'_>, prefix: &[u8], into: &mut Vec<u8>) -> Result<Range<usize>> {
    const ROOM: usize = "$00\r\n".len();
    let start = into.len();
    into.extend_from_slice(b"$00\r\n");
    into.extend_from_slice(prefix);
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
    redis_commands::find(&name)
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
        let redis = Rc::new(Redis::new(Arc::clone(&link), key_prefix, door.sink()));
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
        self.redis.link.take();
    }
}
