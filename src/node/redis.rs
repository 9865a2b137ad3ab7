//! Commands from JavaScript straight into a command batch: one batch a submission, no allocation a command.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use napi_derive::napi;

#[cfg(unix)]
use super::door::UvReader;
use super::{
    door::{DoorSink, NativeDoor, Op, ReplyForm, ReplyStyle, Responder, Target, TargetHandle},
    link_events::{LinkEvents, state_name},
    redis_blocking::BlockingLinks,
    redis_encoding::{Allowed, Encoded, Encoding},
    redis_transaction::Collected,
};
use crate::{
    connection::{self, Batch, Command, CommandId, ConnectionOptions, Entry, Link, LinkState, ReplySink},
    error::Error,
    service,
};

/// Not a command: ends the target once the commands before it are answered.
const CLOSE: u16 = 0xfffe;
/// Not a command: sends the commands with [`IN_TRANSACTION`] before it, whose number is the argument, as one transaction.
const EXEC: u16 = 0xfffd;

/// Flag of a code: strings of the reply become Buffers.
const BUFFERS: u16 = 1;
/// Flag of a code: the command must not wait on the server.
const AT_ONCE: u16 = 1 << 1;
/// Flag of a code: the command waits for [`EXEC`].
const IN_TRANSACTION: u16 = 1 << 2;
/// Flag of a code: nobody else uses the connection.
const OWN_CONNECTION: u16 = 1 << 3;

/// The most that a new batch gets in advance.
const MOST_RESERVED: usize = 1 << 20;

struct Redis {
    /// None once closed.
    link: RefCell<Option<Arc<dyn Link>>>,
    encoding: Encoding,
    sink: Arc<DoorSink>,
    batch: RefCell<Batch>,
    transaction: RefCell<Collected>,
    blocking: Arc<BlockingLinks>,
    /// Reads answers on this thread while they come one at a time. None once closed.
    #[cfg(unix)]
    reader: RefCell<Option<UvReader>>,
    /// Bytes of the last batch, as a guess for the next.
    usual: Cell<usize>,
}

impl Redis {
    fn new(link: Arc<dyn Link>, encoding: Encoding, door: &NativeDoor) -> Self {
        let sink = door.sink();
        Self {
            #[cfg(unix)]
            reader: RefCell::new(door.reader(&link)),
            link: RefCell::new(Some(link)),
            encoding,
            batch: RefCell::new(Batch::new(Arc::clone(&sink) as _)),
            sink,
            transaction: RefCell::default(),
            blocking: Arc::default(),
            usual: Cell::new(0),
        }
    }

    /// Leaves the connection.
    fn leave(&self) -> Option<Arc<dyn Link>> {
        #[cfg(unix)]
        drop(self.reader.take());
        self.link.take()
    }

    fn close(&self, reply: Responder) {
        self.flush();
        let Some(link) = self.leave() else { return reply.settle(Ok(())) };
        let waits = self.blocking.close();
        reply.run(async move {
            waits.await;
            // What waits for a connection is settled without us; there is nothing to wait for then.
            if link.state() == LinkState::Ready {
                // Replies come in the order of commands: this one means that those before have theirs. Its own outcome
                // does not matter, and its deadline bounds the wait.
                let _ = link.call(Command::new("PING").repeatable()).await;
            }
            Ok(())
        });
    }

    /// Adds a command to the transaction that is being collected.
    fn collect(&self, mut op: Op<'_>, reply: Responder) {
        let collected = &mut *self.transaction.borrow_mut();
        let allowed = Allowed { blocking: false, watching: false };
        match self.encoding.encode(&mut op, collected.bytes(), allowed) {
            Ok(encoded) => collected.add(token(&op, reply, &encoded), encoded.route),
            Err(error) => {
                collected.fail();
                reply.fail(error);
            }
        }
    }

    fn exec(&self, mut op: Op<'_>, reply: Responder) {
        let collected = self.transaction.take();
        let count = match op.integer() {
            Ok(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Err(error) => return reply.fail(error),
        };
        let Some(batch) = collected.into_batch(count, &self.sink, reply) else { return };
        // What was called before goes before.
        self.flush();
        self.submit(batch);
    }

    fn submit(&self, batch: Batch) {
        if let Some(link) = &*self.link.borrow() {
            link.submit(batch);
        }
        #[cfg(unix)]
        if let Some(reader) = &*self.reader.borrow() {
            reader.submitted();
        }
    }

    /// Runs a command that waits on the server, on a connection of its own.
    fn block(&self, link: &Arc<dyn Link>, op: &Op<'_>, reply: Responder, encoded: Encoded) {
        let style = style(op, &encoded);
        let Some((command, wait)) = encoded.blocking else { return };
        let loan = match self.blocking.take(link) {
            Ok(loan) => loan,
            Err(error) => return reply.fail(error),
        };
        let token = DoorSink::token(reply.into_slot(), style);
        let sink = Arc::clone(&self.sink);
        service::spawn(async move {
            let reply = loan.link.block(command, wait).await;
            drop(loan);
            match reply {
                Ok(reply) => sink.settle_owned(token, reply),
                Err(error) => sink.settle(token, Err(error)),
            }
            sink.flush();
        });
    }
}

fn style(op: &Op<'_>, encoded: &Encoded) -> ReplyStyle {
    let form = if op.flags() & BUFFERS == 0 { ReplyForm::Text } else { ReplyForm::Buffer };
    ReplyStyle { form, shape: encoded.shape }
}

/// Who gets the reply, which must come.
fn token(op: &Op<'_>, reply: Responder, encoded: &Encoded) -> u64 {
    DoorSink::token(reply.into_slot(), style(op, encoded))
}

impl Drop for Redis {
    /// The environment may end without a close: what waits on the server would take something for nobody.
    fn drop(&mut self) {
        drop(self.blocking.close());
    }
}

impl Target for Redis {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if op.code() == CLOSE {
            return self.close(reply);
        }
        let Some(link) = &*self.link.borrow() else { return reply.fail(Error::closed("this RedisService")) };
        if op.code() == EXEC {
            return self.exec(op, reply);
        }
        if op.flags() & IN_TRANSACTION != 0 {
            return self.collect(op, reply);
        }
        let batch = &mut *self.batch.borrow_mut();
        // A panic may have left half a command, which would put every later reply in the wrong place.
        batch.bytes.truncate(batch.entries.last().map_or(0, |entry| entry.end));
        if batch.bytes.is_empty() {
            batch.bytes.reserve(self.usual.get());
        }
        let allowed = Allowed { blocking: op.flags() & AT_ONCE == 0, watching: op.flags() & OWN_CONNECTION != 0 };
        match self.encoding.encode(&mut op, &mut batch.bytes, allowed) {
            Ok(encoded) if encoded.blocking.is_some() => self.block(link, &op, reply, encoded),
            Ok(encoded) => {
                let token = token(&op, reply, &encoded);
                let Encoded { flags, route, .. } = encoded;
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
        self.submit(full);
    }
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
    /// `options` is the JSON text of a `RedisConfig`. Longer keys (with their prefix) and larger arguments are refused.
    #[napi(constructor)]
    pub fn new(
        door: &NativeDoor,
        options: String,
        max_key_length: Option<u32>,
        max_value_size: Option<u32>,
    ) -> napi::Result<Self> {
        let opened = ConnectionOptions::from_json(&options)
            .and_then(|options| Ok((options.key_prefix.clone(), connection::open(options)?)));
        let (key_prefix, link) = opened.map_err(|error| door.js_error(&error))?;
        let describe = link.describe().to_owned();
        let encoding = Encoding::new(key_prefix, max_key_length, max_value_size);
        let redis = Rc::new(Redis::new(Arc::clone(&link), encoding, door));
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
