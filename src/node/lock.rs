//! Locks behind the door.

use std::{rc::Rc, sync::Arc};

use napi_derive::napi;

use super::{
    connect::{Watch, connect, watch},
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    holders::{Holders, loss_event},
};
use crate::{
    connection::{Command, Link},
    error::{Error, Result},
    lock::{Acquisition, Held, LockOptions, Locks},
};

/// Calls; `ts/lock-service.ts` has the same numbers.
mod code {
    pub(super) const ACQUIRE: u16 = 0;
    pub(super) const RELEASE: u16 = 1;
    pub(super) const EXTEND: u16 = 2;
    pub(super) const KEEP: u16 = 3;
    pub(super) const LET_GO: u16 = 4;
    pub(super) const PING: u16 = 5;
}

/// A lock service.
#[napi]
pub struct NativeLocks {
    handle: TargetHandle,
}

#[napi]
impl NativeLocks {
    /// `servers` are the JSON texts of a `RedisConfig` each, `options` is one of the options.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, servers: Vec<String>, options: String) -> napi::Result<Self> {
        let open = || -> Result<_> {
            let options = LockOptions::from_json(&options)?;
            let mut links = Vec::with_capacity(servers.len());
            let mut prefix = String::new();
            for (index, redis) in servers.iter().enumerate() {
                let (link, key_prefix) = connect(redis, None).map_err(|error| {
                    if servers.len() > 1 { error.below_option(&format!("redis[{index}]")) } else { error }
                })?;
                if index == 0 {
                    prefix = key_prefix;
                } else if key_prefix != prefix {
                    let got = format!("`{key_prefix}`");
                    return Err(Error::invalid_option(
                        &format!("redis[{index}].keyPrefix"),
                        &got,
                        "the same for every server",
                    ));
                }
                links.push(link);
            }
            let options = LockOptions { prefix: prefix + &options.prefix, ..options };
            Ok((Locks::new(links.clone(), options)?, links))
        };
        let (locks, links) = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watches = links.iter().map(|link| watch(link, emitter.clone())).collect();
            let holders = Arc::new(Holders::default());
            Rc::new(Behind { locks, links, holders, emitter, _watches: watches })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Ends the extensions, and leaves the connections at once.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct Behind {
    locks: Locks,
    links: Vec<Arc<dyn Link>>,
    holders: Arc<Holders>,
    emitter: Emitter,
    _watches: Vec<Watch>,
}

impl Target for Behind {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let locks = self.locks.clone();
        match op.code() {
            code::ACQUIRE => match acquisition(&mut op, &locks) {
                Ok((resource, how)) => {
                    reply.run(async move { Ok(locks.acquire(&resource, &how).await?.map(|held| told(&held))) });
                }
                Err(error) => reply.fail(error),
            },
            code::RELEASE => match (op.text(), op.text()) {
                (Ok(resource), Ok(token)) => reply.run(async move { locks.release(&resource, &token).await }),
                (Err(error), _) | (_, Err(error)) => reply.fail(error),
            },
            code::EXTEND => match (op.text(), op.text(), op.number()) {
                (Ok(resource), Ok(token), Ok(ttl)) => {
                    reply.run(async move { locks.extend(&resource, &token, ttl).await });
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            code::KEEP => match number(&mut op).and_then(|number| Ok((number, acquisition(&mut op, &locks)?))) {
                Ok((number, (resource, how))) => {
                    let (holders, emitter) = (Arc::clone(&self.holders), self.emitter.clone());
                    reply.run(async move {
                        let Some(held) = locks.acquire(&resource, &how).await? else { return Ok(None) };
                        let answer = told(&held);
                        holders.insert(number, locks.keep(&held, loss_event(number, emitter)));
                        Ok(Some(answer))
                    });
                }
                Err(error) => reply.fail(error),
            },
            code::LET_GO => match (number(&mut op), op.text(), op.text()) {
                (Ok(number), Ok(resource), Ok(token)) => {
                    self.holders.end(number);
                    reply.run(async move { locks.release(&resource, &token).await });
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            code::PING => {
                let links = self.links.clone();
                reply.run(async move {
                    for link in links {
                        link.call(Command::new("PING").repeatable()).await?;
                    }
                    Ok("PONG")
                });
            }
            _ => reply.fail(op.unknown_code()),
        }
    }
}

/// `resource, ttl, identifier, retries, pause, wait`.
fn acquisition(op: &mut Op<'_>, locks: &Locks) -> Result<(String, Acquisition)> {
    let resource = op.text()?;
    let ttl = op.number()?;
    let identifier = op.optional_text()?;
    let (retries, pause, wait) = (op.optional_number()?, op.optional_number()?, op.optional_number()?);
    Ok((resource, Acquisition::new(locks.options(), ttl, identifier, retries, pause, wait)?))
}

fn number(op: &mut Op<'_>) -> Result<i32> {
    i32::try_from(op.integer()?).map_err(|_| op.wrong("too large", "a number of JavaScript's"))
}

/// Token and number of a holder. The number is below 2^53 for the next two centuries.
fn told(held: &Held) -> Answer {
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 fit")]
    let fencing_token = held.fencing_token as f64;
    Answer::List(vec![held.token.clone().into(), fencing_token.into()])
}
