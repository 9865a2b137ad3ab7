//! The engine of a test and its clock, behind the door.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle};
use crate::{
    clock::Clock,
    embedded::{Embedded, TEST_ENGINE_PREFIX, TestEngine},
    error::{Error, Result},
    service::{self, Duty},
};

/// Calls and events; `ts/testing/test-engine.ts` has the same numbers.
mod code {
    pub(super) const IDLE: u16 = 0;
    pub(super) const STEP: u16 = 1;
    pub(super) const OCCUPATION: u16 = 2;

    pub(super) const DUE: u16 = 0;
}

/// An engine that only one test has, with a clock that it moves.
#[napi]
pub struct NativeTestEngine {
    handle: TargetHandle,
    engine: RefCell<Option<TestEngine>>,
    clock: Clock,
    url: String,
}

#[napi]
impl NativeTestEngine {
    /// `start_ms`: milliseconds since the epoch. With `tell_due` an event tells when something becomes due sooner than
    /// what was due next.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, start_ms: f64, tell_due: bool) -> Self {
        let engine = TestEngine::start(whole(start_ms));
        let clock = engine.clock().clone();
        let handle = door.add(|emitter| {
            Rc::new(Timekeeper { clock: clock.clone(), _telling: tell_due.then(|| tell(clock.clone(), emitter)) })
        });
        let url = format!("memory://{}", engine.name());
        Self { handle, engine: RefCell::new(Some(engine)), clock, url }
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Where services find it.
    #[napi(getter)]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Milliseconds since the epoch.
    #[napi(getter)]
    pub fn now_ms(&self) -> f64 {
        number(self.clock.now_ms())
    }

    /// When the next thing is due, if any is.
    #[napi(getter)]
    pub fn next_due_ms(&self) -> Option<f64> {
        self.clock.next_due_ms().map(number)
    }

    /// Jobs that were handed to processors and have not come back.
    #[napi(getter)]
    pub fn occupation(&self) -> u32 {
        u32::try_from(self.clock.occupation()).unwrap_or(u32::MAX)
    }

    /// Moves the clock at once, over all that is due in between; never back.
    #[napi]
    pub fn jump_to(&self, ms: f64) {
        self.clock.advance_ms(whole(ms) - self.clock.now_ms());
    }

    /// Channels and payloads of what was published, by turns.
    #[napi]
    pub fn published(&self) -> Vec<Buffer> {
        let engine = self.engine.borrow();
        let messages = engine.as_ref().map(TestEngine::published).unwrap_or_default();
        messages.into_iter().flat_map(|(channel, payload)| [channel.into(), payload.into()]).collect()
    }

    /// Nobody finds it any more.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
        self.engine.take();
    }
}

/// The time of the engine of a test, for services that were opened on it.
#[napi]
pub struct NativeTestTime {
    clock: Clock,
    handle: TargetHandle,
    emitter: Emitter,
    timers: RefCell<HashMap<u32, Duty>>,
    last_timer: Cell<u32>,
}

#[napi]
impl NativeTestTime {
    /// The time of the engine at `url`, when it is that of a test.
    #[napi(factory)]
    pub fn of(door: &NativeDoor, url: String) -> napi::Result<Self> {
        let name = url.strip_prefix("memory://").unwrap_or_default().split('/').next().unwrap_or_default();
        let engine = Embedded::open_named(name).map_err(|error| door.js_error(&error))?;
        let mut emitter = None;
        let handle = door.add(|own| {
            emitter = Some(own);
            Rc::new(Timers)
        });
        let emitter = emitter.ok_or_else(|| door.js_error(&Error::closed("door")))?;
        Ok(Self { clock: engine.clock(), handle, emitter, timers: RefCell::default(), last_timer: Cell::new(0) })
    }

    /// What the URLs of such engines begin with.
    #[napi]
    pub fn prefix() -> String {
        format!("memory://{TEST_ENGINE_PREFIX}")
    }

    #[napi(getter)]
    pub fn now_ms(&self) -> f64 {
        number(self.clock.now_ms())
    }

    /// The target whose events tell of timers.
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Tells by an event when so many milliseconds are over; gives the timer's number, which the event carries.
    #[napi]
    pub fn start_timer(&self, ms: f64) -> u32 {
        // Such as fit both sides of the event.
        let number = self.last_timer.get() % i32::MAX.unsigned_abs() + 1;
        self.last_timer.set(number);
        let (clock, emitter) = (self.clock.clone(), self.emitter.clone());
        let due = clock.moment() + Duration::from_millis(whole(ms).max(0).unsigned_abs());
        let duty = Duty::start(async move {
            clock.sleep_until(due).await;
            emitter.emit(code::DUE, number.cast_signed(), 0, Vec::new());
        });
        self.timers.borrow_mut().insert(number, duty);
        number
    }

    /// Ends a timer, whether it was due or not.
    #[napi]
    pub fn stop_timer(&self, timer: u32) {
        self.timers.borrow_mut().remove(&timer);
    }
}

/// Is told nothing; it tells when timers are due.
struct Timers;

impl Target for Timers {
    fn accept(&self, op: Op<'_>, reply: Responder) {
        reply.fail(op.unknown_code());
    }
}

struct Timekeeper {
    clock: Clock,
    _telling: Option<Duty>,
}

fn tell(clock: Clock, emitter: Emitter) -> Duty {
    Duty::start(async move {
        loop {
            clock.next_due_changed().await;
            emitter.emit(code::DUE, 0, 0, Vec::new());
        }
    })
}

impl Target for Timekeeper {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let clock = self.clock.clone();
        match op.code() {
            // Resolves when the I/O thread has nothing left to do.
            code::IDLE => reply.run(async move {
                service::idle().await;
                Ok(Answer::Null)
            }),
            // One step towards a time; whether that is reached.
            code::STEP => match op.number() {
                Ok(until) => reply.run(async move { Ok(Answer::from(clock.step(whole(until)).await)) }),
                Err(error) => reply.fail(error),
            },
            // Waits, by the system's time, until there is another occupation than the one that is known; what it is now.
            code::OCCUPATION => match occupation(&mut op) {
                Ok((known, patience)) => reply.run(async move {
                    // That nothing changed is told by the number.
                    let _ = tokio::time::timeout(patience, clock.occupation_changed(known)).await;
                    Ok(Answer::from(i64::try_from(clock.occupation()).unwrap_or(i64::MAX)))
                }),
                Err(error) => reply.fail(error),
            },
            _ => reply.fail(op.unknown_code()),
        }
    }
}

fn occupation(op: &mut Op<'_>) -> Result<(usize, Duration)> {
    let (known, ms) = (op.integer()?, op.integer()?);
    Ok((usize::try_from(known).unwrap_or(usize::MAX), Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

#[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
fn whole(ms: f64) -> i64 {
    ms as i64
}

#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds")]
fn number(ms: i64) -> f64 {
    ms as f64
}
