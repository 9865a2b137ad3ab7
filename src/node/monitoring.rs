//! Monitors behind the door.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use napi_derive::napi;
use serde::Serialize;

use super::{
    connect::{Watch, watch},
    door::{Answer, NativeDoor, Op, Responder, Target, TargetHandle},
};
use crate::{
    connection::ConnectionOptions,
    error::{Error, ErrorCode, Result},
    monitoring::{AnalysisOptions, Monitor, MonitorOptions, Stop, UsageOptions},
};

/// Calls; `ts/redis-monitoring-service.ts` has the same numbers.
mod code {
    pub(super) const PING: u16 = 0;
    pub(super) const INFO: u16 = 1;
    pub(super) const SLOW_QUERIES: u16 = 2;
    pub(super) const LATENCY: u16 = 3;
    pub(super) const HEALTH: u16 = 4;
    pub(super) const MEMORY_USAGE: u16 = 5;
    pub(super) const ANALYZE_KEYS: u16 = 6;
    pub(super) const STOP: u16 = 7;
}

/// A monitor of servers.
#[napi]
pub struct NativeMonitor {
    handle: TargetHandle,
}

#[napi]
impl NativeMonitor {
    /// `servers` are the JSON texts of a `RedisConfig` each, `options` is one of the options.
    #[napi(constructor)]
    pub fn new(door: &NativeDoor, servers: Vec<String>, options: String) -> napi::Result<Self> {
        let open = || -> Result<_> {
            let options = MonitorOptions::from_json(&options)?;
            let read = |(index, redis): (usize, &String)| {
                ConnectionOptions::from_json(redis).map_err(|error| {
                    if servers.len() > 1 { error.below_option(&format!("redis[{index}]")) } else { error }
                })
            };
            Monitor::open(servers.iter().enumerate().map(read).collect::<Result<_>>()?, options)
        };
        let monitor = open().map_err(|error| door.js_error(&error))?;
        let handle = door.add(|emitter| {
            let watches = monitor.links().map(|link| watch(link, emitter.clone())).collect();
            Rc::new(Behind { monitor, running: Arc::default(), _watches: watches })
        });
        Ok(Self { handle })
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Ends what runs, and leaves the connections at once.
    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}

struct Behind {
    monitor: Monitor,
    /// Calls that can be ended, by the number that JavaScript gave each.
    running: Arc<Mutex<HashMap<i64, Stop>>>,
    _watches: Vec<Watch>,
}

impl Target for Behind {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        let monitor = self.monitor.clone();
        match op.code() {
            code::PING => reply.run(async move { monitor.ping().await.map(|()| "PONG") }),
            code::INFO => reply.run(async move { told(&monitor.info().await?) }),
            code::SLOW_QUERIES => match op.integer() {
                Ok(limit) => reply.run(async move {
                    let limit = u32::try_from(limit).unwrap_or(if limit < 0 { 0 } else { u32::MAX });
                    told(&monitor.slow_queries(limit).await?)
                }),
                Err(error) => reply.fail(error),
            },
            code::LATENCY => reply.run(async move { told(&monitor.latency().await?) }),
            code::HEALTH => reply.run(async move { told(&monitor.health().await) }),
            code::MEMORY_USAGE => match self.begin(&mut op, UsageOptions::from_json) {
                Ok((options, run)) => {
                    reply.run(async move { told(&monitor.memory_usage(&options, &run.stop).await?) });
                }
                Err(error) => reply.fail(error),
            },
            code::ANALYZE_KEYS => match self.begin(&mut op, AnalysisOptions::from_json) {
                Ok((options, run)) => {
                    reply.run(async move { told(&monitor.analyze_keys(options, &run.stop).await?) });
                }
                Err(error) => reply.fail(error),
            },
            code::STOP => match op.integer() {
                Ok(number) => {
                    if let Some(stop) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
                        stop.stop();
                    }
                    reply.settle(Ok(()));
                }
                Err(error) => reply.fail(error),
            },
            _ => reply.fail(op.unknown_code()),
        }
    }
}

impl Behind {
    /// `number, options` of a call that can be ended.
    fn begin<T>(&self, op: &mut Op<'_>, read: impl Fn(&str) -> Result<T>) -> Result<(T, Running)> {
        let number = op.integer()?;
        let options = read(&op.text()?)?;
        let stop = Stop::default();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(number, stop.clone());
        Ok((options, Running { number, stop, all: Arc::clone(&self.running) }))
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(Stop::stop);
    }
}

/// A call that can be ended, until it has.
struct Running {
    number: i64,
    stop: Stop,
    all: Arc<Mutex<HashMap<i64, Stop>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

fn told(report: &impl Serialize) -> Result<Answer> {
    let text = serde_json::to_string(report);
    let text = text.map_err(|error| Error::new(ErrorCode::Internal, "a report has no JSON form").caused_by(error))?;
    Ok(Answer::Json(text))
}
