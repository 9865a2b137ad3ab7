//! What waits to be handed to one JavaScript thread, and the wake that tells it so.

use std::sync::{Mutex, MutexGuard, PoisonError};

use napi::sys;

use super::{
    answer::Answer,
    reply_sink::{ReplyForm, ReplyShape, ReplyStyle},
    transcode::{self, Placed},
};
use crate::{
    codec::resp::Reply,
    error::{Error, ErrorCode, Result},
    node::error::error_json,
};

/// How JavaScript reads a record. The numbers stand in `ts/native.ts` too; `__test__/native/door.test.ts` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Undefined = 0,
    Null = 1,
    True = 2,
    False = 3,
    /// The integer is lane a.
    Int = 4,
    /// The status `OK`, which most writes answer.
    Ok = 5,
    /// One value.
    Value = 6,
    /// One value: JSON text.
    Json = 7,
    /// Lane a values, the items of an array.
    List = 8,
    /// One value: an error as JSON text.
    Error = 9,
    /// Not an answer: the slot is a target, lane a is the event (low half) and the number of its values (high half).
    Event = 10,
}

/// A value on its way; text lies in the arenas of its [`Load`].
#[derive(Debug)]
pub(super) enum Stored {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    Text(Placed),
    Bytes { at: usize, length: usize },
    Error(Placed),
    List(Vec<Stored>),
}

/// One answer or event.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) slot: u32,
    pub(super) lanes: [i32; 3],
    /// How many of [`Load::values`] are its own, following those of the record before.
    pub(super) values: u32,
}

/// Records in the order in which they came, with their values.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) records: Vec<Record>,
    pub(super) values: Vec<Stored>,
    pub(super) narrow: Vec<u8>,
    pub(super) wide: Vec<u16>,
}

/// Lists up to this long travel as arguments, which cost nothing, longer ones as arrays.
const LONGEST_FLAT_LIST: usize = 1024;

/// An arena that grew beyond this is given back to the allocator once empty.
const KEPT_BYTES: usize = 1 << 20;

impl Load {
    /// Empties it, keeping memory of an ordinary size.
    pub(super) fn reset(&mut self) {
        self.records.clear();
        self.values.clear();
        self.narrow.clear();
        self.wide.clear();
        self.narrow.shrink_to(KEPT_BYTES);
        self.wide.shrink_to(KEPT_BYTES / 2);
        self.values.shrink_to(KEPT_BYTES / 32);
    }

    fn text(&mut self, text: &[u8]) -> Result<Placed> {
        if text.len() > transcode::MAX_STRING {
            return Err(Error::new(
                ErrorCode::UnexpectedReply,
                format!("a string of {} bytes is longer than JavaScript can hold; ask for a Buffer", text.len()),
            ));
        }
        Ok(transcode::place(text, &mut self.narrow, &mut self.wide))
    }

    fn stored_text(&mut self, text: &[u8]) -> Stored {
        match self.text(text) {
            Ok(placed) => Stored::Text(placed),
            Err(error) => self.stored_error(&error),
        }
    }

    fn stored_bytes(&mut self, bytes: &[u8]) -> Stored {
        let at = self.narrow.len();
        self.narrow.extend_from_slice(bytes);
        Stored::Bytes { at, length: bytes.len() }
    }

    fn stored_error(&mut self, error: &Error) -> Stored {
        let text = error_json(error);
        Stored::Error(transcode::place(text.as_bytes(), &mut self.narrow, &mut self.wide))
    }

    fn bare(&mut self, kind: Kind, slot: u32) {
        self.records.push(Record { kind, slot, lanes: [0; 3], values: 0 });
    }

    fn int(&mut self, slot: u32, number: i32) {
        self.records.push(Record { kind: Kind::Int, slot, lanes: [number, 0, 0], values: 0 });
    }

    fn one(&mut self, kind: Kind, slot: u32, value: Stored) {
        // An error that took the place of a value makes the whole answer an error.
        let (kind, value) = match value {
            Stored::Error(placed) => (Kind::Error, Stored::Text(placed)),
            value => (kind, value),
        };
        self.values.push(value);
        self.records.push(Record { kind, slot, lanes: [0; 3], values: 1 });
    }

    fn list(&mut self, slot: u32, items: usize, push: impl FnOnce(&mut Self, &mut Vec<Stored>)) {
        let mut stored = std::mem::take(&mut self.values);
        if items <= LONGEST_FLAT_LIST {
            push(self, &mut stored);
            self.values = stored;
            let count = u16::try_from(items).unwrap_or(u16::MAX);
            self.records.push(Record { kind: Kind::List, slot, lanes: [count.into(), 0, 0], values: count.into() });
        } else {
            self.values = stored;
            let mut list = Vec::with_capacity(items);
            push(self, &mut list);
            self.one(Kind::Value, slot, Stored::List(list));
        }
    }

    fn error(&mut self, slot: u32, error: &Error) {
        let value = self.stored_error(error);
        self.one(Kind::Error, slot, value);
    }

    /// A value inside a list or an event.
    fn nested(&mut self, answer: Answer) -> Stored {
        match answer {
            Answer::Undefined => Stored::Undefined,
            Answer::Null => Stored::Null,
            Answer::Bool(flag) => Stored::Bool(flag),
            Answer::Number(number) => Stored::Number(number),
            Answer::Text(text) | Answer::Json(text) => self.stored_text(text.as_bytes()),
            Answer::Bytes(bytes) => self.stored_bytes(&bytes),
            Answer::Error(error) => self.stored_error(&error),
            Answer::List(items) => Stored::List(items.into_iter().map(|item| self.nested(item)).collect()),
        }
    }

    /// Adds the answer of a call.
    pub(super) fn answer(&mut self, slot: u32, answer: Result<Answer>) {
        match answer {
            Err(error) => self.error(slot, &error),
            Ok(Answer::Undefined) => self.bare(Kind::Undefined, slot),
            Ok(Answer::Null) => self.bare(Kind::Null, slot),
            Ok(Answer::Bool(flag)) => self.bare(if flag { Kind::True } else { Kind::False }, slot),
            Ok(Answer::Json(text)) => {
                let value = self.stored_text(text.as_bytes());
                self.one(Kind::Json, slot, value);
            }
            Ok(Answer::List(items)) => self.list(slot, items.len(), |load, stored| {
                for item in items {
                    stored.push(load.nested(item));
                }
            }),
            Ok(answer) => {
                let value = self.nested(answer);
                self.one(Kind::Value, slot, value);
            }
        }
    }

    /// Adds the reply of a command. Shapes are those of RESP2, whatever the connection speaks: a map is a flat list, a
    /// double its digits, a boolean 1 or 0. An integer beyond 2^53 is its digits.
    pub(super) fn reply(&mut self, slot: u32, reply: Result<Reply<'_>>, style: ReplyStyle) {
        let form = style.form;
        match reply.map(|reply| reshape(reply, style.shape)) {
            Err(error) => self.error(slot, &error),
            Ok(Reply::Nil) => self.bare(Kind::Null, slot),
            Ok(Reply::Simple(b"OK")) if form == ReplyForm::Text => self.bare(Kind::Ok, slot),
            Ok(Reply::Bool(flag)) => self.int(slot, i32::from(flag)),
            Ok(Reply::Int(number)) => {
                if let Ok(number) = i32::try_from(number) {
                    self.int(slot, number);
                } else {
                    let value = self.nested_reply(&Reply::Int(number), form);
                    self.one(Kind::Value, slot, value);
                }
            }
            Ok(Reply::Array(items) | Reply::Set(items) | Reply::Push(items)) => {
                self.list(slot, items.len(), |load, stored| {
                    for item in &items {
                        stored.push(load.nested_reply(item, form));
                    }
                });
            }
            Ok(Reply::Map(pairs)) => self.list(slot, pairs.len() * 2, |load, stored| {
                for (key, value) in &pairs {
                    stored.push(load.nested_reply(key, form));
                    stored.push(load.nested_reply(value, form));
                }
            }),
            Ok(scalar) => {
                let value = self.nested_reply(&scalar, form);
                self.one(Kind::Value, slot, value);
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "the guard admits only integers that a double holds exactly")]
    fn nested_reply(&mut self, reply: &Reply<'_>, form: ReplyForm) -> Stored {
        const EXACT: i64 = (1 << 53) - 1;
        match reply {
            Reply::Nil => Stored::Null,
            Reply::Bool(flag) => Stored::Number(f64::from(u8::from(*flag))),
            Reply::Int(number) if (-EXACT..=EXACT).contains(number) => Stored::Number(*number as f64),
            Reply::Int(number) => self.stored_text(itoa::Buffer::new().format(*number).as_bytes()),
            Reply::Double(bytes) | Reply::BigNumber(bytes) | Reply::Simple(bytes) | Reply::Bulk(bytes) => match form {
                ReplyForm::Text => self.stored_text(bytes),
                ReplyForm::Buffer => self.stored_bytes(bytes),
            },
            Reply::Error(line) => self.stored_error(&Error::from_reply(&String::from_utf8_lossy(line))),
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
                Stored::List(items.iter().map(|item| self.nested_reply(item, form)).collect())
            }
            Reply::Map(pairs) => Stored::List(
                pairs.iter().flat_map(|(key, value)| [key, value]).map(|item| self.nested_reply(item, form)).collect(),
            ),
        }
    }

    /// Adds an event of a target.
    pub(super) fn event(&mut self, target: u32, event: u16, lanes: [i32; 2], values: Vec<Answer>) {
        debug_assert!(values.len() <= LONGEST_FLAT_LIST, "an event carries at most {LONGEST_FLAT_LIST} values");
        let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
        for value in values.into_iter().take(count.into()) {
            let stored = self.nested(value);
            self.values.push(stored);
        }
        self.event_record(target, event, lanes, count);
    }

    /// The same for texts, which are copied once.
    pub(super) fn event_of_texts(&mut self, target: u32, event: u16, lanes: [i32; 2], values: &[Option<&str>]) {
        debug_assert!(values.len() <= LONGEST_FLAT_LIST, "an event carries at most {LONGEST_FLAT_LIST} values");
        let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
        for value in values.iter().take(count.into()) {
            let stored = value.map_or(Stored::Null, |text| self.stored_text(text.as_bytes()));
            self.values.push(stored);
        }
        self.event_record(target, event, lanes, count);
    }

    fn event_record(&mut self, target: u32, event: u16, lanes: [i32; 2], count: u16) {
        let head = (u32::from(event) | (u32::from(count) << 16)).cast_signed();
        let lanes = [head, lanes[0], lanes[1]];
        self.records.push(Record { kind: Kind::Event, slot: target, lanes, values: count.into() });
    }
}

fn reshape(reply: Reply<'_>, shape: ReplyShape) -> Reply<'_> {
    match (shape, reply) {
        (ReplyShape::FlatPairs, Reply::Array(items)) if items.iter().all(|item| matches!(item, Reply::Array(_))) => {
            Reply::Array(
                items
                    .into_iter()
                    .flat_map(|item| if let Reply::Array(pair) = item { pair } else { vec![item] })
                    .collect(),
            )
        }
        (ReplyShape::Pairs, Reply::Map(pairs)) => {
            Reply::Array(pairs.into_iter().map(|(key, value)| Reply::Array(vec![key, value])).collect())
        }
        (_, reply) => reply,
    }
}

/// The threadsafe function, called from any thread while the gate that holds it is locked.
struct Bell(sys::napi_threadsafe_function);

// SAFETY: a threadsafe function may be called from any thread until its environment ends; `Completions::close` takes it
// away, under the lock that every call holds, before that.
unsafe impl Send for Bell {}

struct Waiting {
    load: Load,
    /// The JavaScript thread knows of the load, or will before it sleeps again.
    announced: bool,
    closed: bool,
}

/// The queue from all threads to one JavaScript thread. After [`close`](Self::close) it swallows what it is given.
pub(crate) struct Completions {
    /// Apart from the count of the `Arc` around this: the JavaScript thread changes that for each call, while the I/O
    /// thread locks this for each answer. In one cache line each would wait for the other.
    shared: Box<Shared>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    bell: Mutex<Option<Bell>>,
}

impl Completions {
    pub(super) fn new() -> Self {
        let waiting = Mutex::new(Waiting { load: Load::default(), announced: false, closed: false });
        Self { shared: Box::new(Shared { waiting, bell: Mutex::new(None) }) }
    }

    /// Arms the wake. `function` must stay valid until [`close`](Self::close).
    pub(super) fn arm(&self, function: sys::napi_threadsafe_function) {
        *self.shared.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(Bell(function));
    }

    /// No wake happens after this returns.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.load = Load::default();
        drop(waiting);
        *self.shared.bell.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Adds records without waking; [`wake`](Self::wake) must follow.
    pub(super) fn push(&self, add: impl FnOnce(&mut Load)) {
        let mut waiting = self.lock();
        if !waiting.closed {
            add(&mut waiting.load);
        }
    }

    /// Sees to it that the JavaScript thread takes what waits.
    pub(super) fn wake(&self) {
        let mut waiting = self.lock();
        if waiting.announced || waiting.load.records.is_empty() {
            return;
        }
        waiting.announced = true;
        drop(waiting);
        if let Some(bell) = &*self.shared.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: the bell is present, so its environment has not ended, and cannot while this lock is held. The
            // call fails only when the environment is closing, and then nobody waits.
            unsafe {
                sys::napi_call_threadsafe_function(
                    bell.0,
                    std::ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                );
            }
        }
    }

    /// Called by the JavaScript thread before it makes answers itself, to spare the bell: a round of delivery must follow.
    /// Nothing is lost by it. Who adds records from now on, on any thread, adds them before [`more`](Self::more) looks,
    /// or finds that they are announced no longer; a bell that rang already comes to an empty queue.
    #[cfg(unix)]
    pub(super) fn announce(&self) {
        self.lock().announced = true;
    }

    /// Swaps what waits with the empty `load`.
    pub(super) fn take(&self, load: &mut Load) {
        std::mem::swap(&mut self.lock().load, load);
    }

    /// Ends a round of delivery: true when more came in the meantime, and then the caller must come back by itself.
    pub(super) fn more(&self) -> bool {
        let mut waiting = self.lock();
        waiting.announced = !waiting.load.records.is_empty();
        waiting.announced
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "completions_tests.rs"]
mod tests;
