//! The one door between JavaScript and Rust: every asynchronous call and every event passes it, many at a time.
//!
//! # How a call travels
//!
//! `ts/native.ts` collects the calls of one turn of the event loop and hands them over in one raw native call,
//! [`submit`]. Each call names a [`Target`], an engine object in the table of its environment, which reads its arguments
//! from an [`Op`] and answers through a [`Responder`], now or later, from any thread. Answers and events collect in
//! [`Completions`], which wakes the JavaScript thread once however many there are; [`deliver`] then hands all of them
//! over as the arguments of one JavaScript call.
//!
//! # What an engine writes
//!
//! ```ignore
//! struct Echo;
//!
//! impl Target for Echo {
//!     fn accept(&self, mut op: Op<'_>, reply: Responder) {
//!         match op.code() {
//!             0 => reply.settle(op.text().map(Answer::Text)),
//!             1 => match op.text() {
//!                 Ok(text) => reply.run(async move { Ok(Answer::Text(slow_echo(text).await?)) }),
//!                 Err(error) => reply.fail(error),
//!             },
//!             _ => reply.fail(op.unknown_code()),
//!         }
//!     }
//! }
//!
//! #[napi]
//! pub struct NativeEcho {
//!     handle: TargetHandle,
//! }
//!
//! #[napi]
//! impl NativeEcho {
//!     #[napi(constructor)]
//!     pub fn new(env: Env, door: &NativeDoor, options: String) -> napi::Result<Self> {
//!         let options = EchoOptions::parse(&options).map_err(|error| door.js_error(&error))?;
//!         Ok(Self { handle: door.add(|emitter| Rc::new(Echo::new(options, emitter))) })
//!     }
//!     #[napi(getter)]
//!     pub fn id(&self) -> u32 { self.handle.id() }
//!     #[napi]
//!     pub fn close(&self) { self.handle.close() }
//! }
//! ```
//!
//! # One call at a time
//!
//! Who awaits one command after the other pays for two hops between threads with each. For them a [`UvReader`] borrows
//! the reading of the connection and watches its socket in the event loop of this thread; an answer then goes the same
//! way, except that nobody needs to be woken.
//!
//! # Threads
//!
//! A door belongs to one environment and lives on its thread; nothing here is global, so worker threads and a second
//! copy of the package do not meet. What crosses threads is [`Completions`] alone. When an environment ends, its
//! clean-up hook closes it under a mutex, so that no wake can come after, and drops every target.

mod answer;
mod completions;
mod deliver;
mod emitter;
mod env_door;
mod native_door;
mod op;
mod reply_sink;
mod responder;
mod submit;
mod target;
mod transcode;
#[cfg(unix)]
mod uv;
#[cfg(unix)]
mod uv_reader;

pub(crate) use answer::Answer;
pub(crate) use emitter::Emitter;
pub(crate) use native_door::NativeDoor;
pub(crate) use op::Op;
pub(crate) use reply_sink::{DoorSink, ReplyForm, ReplyShape, ReplyStyle};
pub(crate) use responder::Responder;
pub(crate) use target::{Target, TargetHandle};
#[cfg(unix)]
pub(crate) use uv_reader::UvReader;
