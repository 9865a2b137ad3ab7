//! An agenda of the cache behind the door: JavaScript does the work.

use std::{rc::Rc, sync::Arc, time::Duration};

use napi_derive::napi;

use super::{
    connect::connect,
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
};
use crate::{
    cache::{Agenda, AgendaOptions, Claimed, WorkSink},
    connection::{DatabaseRole, Link},
    error::{Error, Result},
    service::Duty,
};

/// Calls and events; `ts/cache/agenda.ts` has the same numbers.
mod code {
    pub(super) const PUT: u16 = 0;
    pub(super) const PEEK: u16 = 1;
    pub(super) const SETTLE: u16 = 2;
    pub(super) const COUNT: u16 = 3;
    pub(super) const HURRY: u16 = 4;

    pub(super) const DUE: u16 = 0;
}

/// Work of a cache that is done later.
#[napi]
pub struct NativeAgenda {
    handle: TargetHandle,
}

#[napi]
impl NativeAgenda {
    /// `redis` is the JSON text of a `RedisConfig`; the agenda is called `name` within the cache of this `prefix`.
    /// `limits` are the milliseconds of a claim, the most items, and those that are done at a time.
    #[napi(constructor)]
    pub fn new(
        door: &NativeDoor,
        redis: String,
        prefix: String,
        name: String,
        limits: Vec<u32>,
        keeps_due: bool,
    ) -> napi::Result<Self> {
        let (link, key_prefix) =
            connect(&redis, Some(DatabaseRole::Cache)).map_err(|error: Error| door.js_error(&error))?;
        let [claim_ms, max_items, concurrency] = <[u32; 3]>::try_from(limits).unwrap_or_default();
        let options = AgendaOptions {
            key_prefix,
            prefix,
            name,
            claim: Duration::from_millis(claim_ms.into()),
            max_items: max_items.into(),
            concurrency: concurrency as usize,
            keeps_due,
        };
        let clock = link.clock();
        let agenda = Agenda::new(Arc::clone(&link), options, clock);
        let handle = door.add(|emitter| {
            let duty = agenda.start(Arc::new(ToDoor(emitter)));
            Rc::new(Behind { agenda, _duty: duty, _link: link })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Looks for no more work, and leaves the connection.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct Behind {
    agenda: Agenda,
    _duty: Duty,
    _link: Arc<dyn Link>,
}

/// Hands work to JavaScript.
struct ToDoor(Emitter);

impl WorkSink for ToDoor {
    fn due(&self, items: Vec<Claimed>) {
        for Claimed { id, version, attempts, claim_ms, payload } in items {
            let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
            let values = vec![id.into(), version.into(), claim_ms.into(), payload.into()];
            self.0.emit(code::DUE, attempts, 0, values);
        }
    }
}

impl Target for Behind {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        if let Err((error, reply)) = self.run(&mut op, reply) {
            reply.fail(error);
        }
    }
}

impl Behind {
    fn run(&self, op: &mut Op<'_>, reply: Responder) -> std::result::Result<(), (Error, Responder)> {
        macro_rules! read {
            ($arguments:expr) => {
                match (|| -> Result<_> { Ok($arguments) })() {
                    Ok(arguments) => arguments,
                    Err(error) => return Err((error, reply)),
                }
            };
        }
        match op.code() {
            code::PUT => {
                let (id, payload, due_ms) = read!((op.text()?, op.text()?, op.integer()?));
                reply.run(self.agenda.put(&id, &payload, due_ms));
            }
            code::PEEK => {
                let id = read!(op.text()?);
                let peeked = self.agenda.peek(&id);
                reply.run(async move {
                    let found = peeked.await?;
                    Ok(found.map(|(version, payload)| Answer::List(vec![version.into(), payload.into()])))
                });
            }
            code::SETTLE => {
                let (id, version, claim_ms) = read!((op.text()?, op.text()?, op.integer()?));
                let retry_ms = read!(op.optional_integer()?);
                let item = Claimed { id, version, attempts: 0, claim_ms, payload: String::new() };
                reply.run(self.agenda.settle(&item, retry_ms));
            }
            code::COUNT => reply.run(self.agenda.count()),
            code::HURRY => {
                self.agenda.hurry(read!(op.integer()?));
                reply.settle(Ok(()));
            }
            _ => return Err((op.unknown_code(), reply)),
        }
        Ok(())
    }
}
