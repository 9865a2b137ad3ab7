//! Limiters behind the door.

use std::{rc::Rc, sync::Arc, time::Duration};

use napi_derive::napi;

use super::{
    connect::{Watch, connect, watch},
    door::{Answer, Emitter, NativeDoor, Op, Responder, Target, TargetHandle},
    holders::{Holders, loss_event},
};
use crate::{
    connection::{DatabaseRole, Link},
    error::Result,
    rate_limit::{ConcurrencyLimiter, ConcurrencyLimiterOptions, Decision, RateLimiter, RateLimiterOptions},
};

/// Calls; `ts/rate-limiter.ts` and `ts/concurrency-limiter.ts` have the same numbers.
mod code {
    pub(super) const CONSUME: u16 = 0;
    pub(super) const RESET: u16 = 1;

    pub(super) const ACQUIRE: u16 = 2;
    pub(super) const PEEK: u16 = 3;
    pub(super) const EXTEND: u16 = 4;
    pub(super) const RELEASE: u16 = 5;
}

fn link_of(redis: &str) -> Result<(Arc<dyn Link>, String)> {
    connect(redis, Some(DatabaseRole::RateLimit))
}

/// `allowed, remaining, now, reset after, retry after`, times in milliseconds.
fn told(decision: &Decision) -> Vec<Answer> {
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let (reset_after, retry_after) = (ms(decision.reset_after), ms(decision.retry_after));
    vec![
        decision.allowed.into(),
        decision.remaining.into(),
        decision.now_ms.into(),
        reset_after.into(),
        retry_after.into(),
    ]
}

/// A limiter of what is done over time.
#[napi]
pub struct NativeRateLimiter {
    handle: TargetHandle,
}

#[napi]
impl NativeRateLimiter {
    /// `redis` is the JSON text of a `RedisConfig`, `options` is one of the options.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, redis: String, options: String) -> napi::Result<Self> {
        let open = || -> Result<_> {
            let options = RateLimiterOptions::from_json(&options)?;
            let (link, key_prefix) = link_of(&redis)?;
            let options = RateLimiterOptions { prefix: key_prefix + &options.prefix, ..options };
            Ok((RateLimiter::new(Arc::clone(&link), options), link))
        };
        let (limiter, link) = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| Rc::new(OverTime { limiter, _watch: watch(&link, emitter) }));
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Leaves the connection at once.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct OverTime {
    limiter: RateLimiter,
    _watch: Watch,
}

impl Target for OverTime {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let limiter = self.limiter.clone();
        match op.code() {
            code::CONSUME => match (op.text(), op.number()) {
                (Ok(key), Ok(cost)) => {
                    reply.run(async move { limiter.consume(&key, cost).await.map(|decision| told(&decision)) });
                }
                (Err(error), _) | (_, Err(error)) => reply.fail(error),
            },
            code::RESET => match op.text() {
                Ok(key) => reply.run(async move { limiter.reset(&key).await }),
                Err(error) => reply.fail(error),
            },
            _ => reply.fail(op.unknown_code()),
        }
    }
}

/// A limiter of what goes on at one time.
#[napi]
pub struct NativeConcurrencyLimiter {
    handle: TargetHandle,
}

#[napi]
impl NativeConcurrencyLimiter {
    /// `redis` is the JSON text of a `RedisConfig`, `options` is one of the options.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, redis: String, options: String) -> napi::Result<Self> {
        let open = || -> Result<_> {
            let options = ConcurrencyLimiterOptions::from_json(&options)?;
            let (link, key_prefix) = link_of(&redis)?;
            let options = ConcurrencyLimiterOptions { prefix: key_prefix + &options.prefix, ..options };
            Ok((ConcurrencyLimiter::new(Arc::clone(&link), options), link))
        };
        let (limiter, link) = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watch = watch(&link, emitter.clone());
            Rc::new(AtOneTime { limiter, holders: Arc::new(Holders::default()), emitter, _watch: watch })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Ends the extensions, and leaves the connection at once.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct AtOneTime {
    limiter: ConcurrencyLimiter,
    holders: Arc<Holders>,
    emitter: Emitter,
    _watch: Watch,
}

impl Target for AtOneTime {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let limiter = self.limiter.clone();
        let code = op.code();
        match code {
            // `key, wait`, and the number of a slot that is to be extended.
            code::ACQUIRE => match (op.text(), op.number(), op.optional_number()) {
                (Ok(key), Ok(wait), Ok(number)) => {
                    let keeping =
                        number.map(|number| (number_of(number), Arc::clone(&self.holders), self.emitter.clone()));
                    reply.run(async move {
                        let (decision, slot) = limiter.acquire(&key, wait).await?;
                        if let (Some(slot), Some((number, holders, emitter))) = (&slot, keeping) {
                            holders.insert(number, limiter.keep(slot, loss_event(number, emitter)));
                        }
                        let mut answer = told(&decision);
                        answer.push(slot.map(|slot| slot.id).into());
                        Ok(answer)
                    });
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            code::PEEK => match op.text() {
                Ok(key) => reply.run(async move { limiter.peek(&key).await.map(|decision| told(&decision)) }),
                Err(error) => reply.fail(error),
            },
            code::EXTEND | code::RELEASE => match (op.text(), op.text(), op.optional_number()) {
                (Ok(key), Ok(id), Ok(number)) => {
                    if let Some(number) = number {
                        self.holders.end(number_of(number));
                    }
                    reply.run(async move {
                        if code == code::EXTEND {
                            limiter.extend(&key, &id).await
                        } else {
                            limiter.release(&key, &id).await
                        }
                    });
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            code::RESET => match op.text() {
                Ok(key) => reply.run(async move { limiter.reset(&key).await }),
                Err(error) => reply.fail(error),
            },
            _ => reply.fail(op.unknown_code()),
        }
    }
}

/// A count of JavaScript's, which begins at 1 in each service.
#[expect(clippy::cast_possible_truncation, reason = "nobody holds two thousand million slots")]
fn number_of(number: f64) -> i32 {
    number as i32
}
