//! Channels that are kept, behind the door of a pub/sub service.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::door::{Answer, Emitter, Op, Responder};
use crate::{
    error::{Error, Result},
    pubsub::durable::{
        DeadMessage, DurableChannels, DurableDelivery, GroupEvent, GroupInfo, GroupListener, GroupOptions, GroupReader,
    },
};

/// Calls and events; `ts/durable-subscriptions.ts` has the same numbers.
mod code {
    pub(super) const APPEND: u16 = 16;
    pub(super) const JOIN: u16 = 17;
    pub(super) const SETTLE: u16 = 18;
    pub(super) const LEAVE: u16 = 19;
    pub(super) const REPLAY: u16 = 20;
    pub(super) const DEAD_MESSAGES: u16 = 21;
    pub(super) const GROUPS: u16 = 22;

    pub(super) const MESSAGE: u16 = 16;
    pub(super) const DEAD: u16 = 17;
    pub(super) const TRIMMED: u16 = 18;
    pub(super) const RESET: u16 = 19;
    pub(super) const FAILED: u16 = 20;
}

/// The groups that a service reads for.
pub(super) struct Groups {
    channels: DurableChannels,
    readers: Arc<Mutex<HashMap<u32, Arc<GroupReader>>>>,
    emitter: Emitter,
}

impl Groups {
    pub(super) fn new(channels: DurableChannels, emitter: Emitter) -> Self {
        Self { channels, readers: Arc::default(), emitter }
    }

    pub(super) fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let channels = self.channels.clone();
        match op.code() {
            code::APPEND => match append(&mut op) {
                Ok((channel, payload, most)) => {
                    reply.run(async move { channels.append(&channel, &payload, most).await });
                }
                Err(error) => reply.fail(error),
            },
            code::JOIN => match join(&mut op) {
                Ok((number, channel, group, options)) => {
                    let listener = Arc::new(ToDoor { number, emitter: self.emitter.clone() });
                    let readers = Arc::clone(&self.readers);
                    reply.run(async move {
                        let reader = channels.join(&channel, &group, options, listener).await?;
                        lock(&readers).insert(number, Arc::new(reader));
                        Ok(())
                    });
                }
                Err(error) => reply.fail(error),
            },
            code::SETTLE => match settle(&mut op) {
                Ok((number, id, succeeded)) => {
                    if let Some(reader) = lock(&self.readers).get(&number) {
                        reader.settle(&id, succeeded);
                    }
                    reply.settle(Ok(()));
                }
                Err(error) => reply.fail(error),
            },
            code::LEAVE => match number(&mut op) {
                Ok(number) => {
                    let reader = lock(&self.readers).remove(&number);
                    reply.run(async move {
                        match reader {
                            Some(reader) => reader.leave().await,
                            None => Ok(()),
                        }
                    });
                }
                Err(error) => reply.fail(error),
            },
            code::REPLAY => match (op.text(), op.text(), op.text()) {
                (Ok(channel), Ok(group), Ok(from)) => {
                    reply.run(async move { channels.replay(&channel, &group, &from).await });
                }
                (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => reply.fail(error),
            },
            code::DEAD_MESSAGES => match dead_messages(&mut op) {
                Ok((channel, group, after, count)) => reply.run(async move {
                    let dead = channels.dead(&channel, &group, &after, count).await?;
                    Ok(Answer::List(dead.into_iter().flat_map(told_dead).collect()))
                }),
                Err(error) => reply.fail(error),
            },
            code::GROUPS => match op.text() {
                Ok(channel) => reply.run(async move {
                    let groups = channels.groups(&channel).await?;
                    Ok(Answer::List(groups.into_iter().flat_map(told_group).collect()))
                }),
                Err(error) => reply.fail(error),
            },
            _ => reply.fail(op.unknown_code()),
        }
    }
}

type Readers = Mutex<HashMap<u32, Arc<GroupReader>>>;

fn lock(readers: &Readers) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<GroupReader>>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(op: &mut Op<'_>) -> Result<u32> {
    u32::try_from(op.integer()?).map_err(|_| op.wrong("out of range", "a number of a subscription"))
}

fn count(op: &mut Op<'_>, argument: &str) -> Result<u64> {
    let count = op.number()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number below 2^53")]
    if count.fract() == 0.0 && (0.0..9e15).contains(&count) {
        return Ok(count as u64);
    }
    Err(Error::invalid_argument(argument, &count.to_string(), "a whole number"))
}

fn append(op: &mut Op<'_>) -> Result<(String, Vec<u8>, u64)> {
    Ok((op.text()?, op.bytes()?, count(op, "maxLength")?))
}

fn join(op: &mut Op<'_>) -> Result<(u32, String, String, GroupOptions)> {
    Ok((number(op)?, op.text()?, op.text()?, GroupOptions::from_json(&op.text()?)?))
}

fn settle(op: &mut Op<'_>) -> Result<(u32, String, bool)> {
    Ok((number(op)?, op.text()?, op.flag()?))
}

fn dead_messages(op: &mut Op<'_>) -> Result<(String, String, String, u64)> {
    Ok((op.text()?, op.text()?, op.text()?, count(op, "count")?))
}

fn payload(bytes: Vec<u8>) -> Answer {
    match String::from_utf8(bytes) {
        Ok(text) => Answer::from(text),
        Err(error) => Answer::Bytes(error.into_bytes()),
    }
}

fn told_dead(dead: DeadMessage) -> [Answer; 4] {
    [dead.id.into(), f64::from(dead.deliveries).into(), payload(dead.payload), dead.place.into()]
}

fn told_group(group: GroupInfo) -> [Answer; 5] {
    let GroupInfo { name, consumers, pending, last_delivered, lag } = group;
    [name.into(), consumers.into(), pending.into(), last_delivered.into(), lag.into()]
}

/// Hands messages of a group to JavaScript.
struct ToDoor {
    number: u32,
    emitter: Emitter,
}

impl ToDoor {
    fn emit(&self, event: u16, count: u64, values: Vec<Answer>) {
        self.emitter.emit(event, self.number.cast_signed(), i32::try_from(count).unwrap_or(i32::MAX), values);
    }
}

impl GroupListener for ToDoor {
    fn message(&self, delivery: DurableDelivery) {
        let values = vec![delivery.id.into(), payload(delivery.payload)];
        self.emit(code::MESSAGE, u64::from(delivery.deliveries), values);
    }

    fn event(&self, event: GroupEvent) {
        match event {
            GroupEvent::Dead { id, deliveries } => self.emit(code::DEAD, u64::from(deliveries), vec![id.into()]),
            GroupEvent::Trimmed(count) => self.emit(code::TRIMMED, count, Vec::new()),
            GroupEvent::Reset => self.emit(code::RESET, 0, Vec::new()),
            GroupEvent::Failed(error) => self.emit(code::FAILED, 0, vec![Answer::Error(error)]),
        }
    }
}
