//! A `retryStrategy` written in JavaScript: asked by an event, answered by a call.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use napi_derive::napi;
use tokio::sync::oneshot;

use super::door::{Emitter, NativeDoor, Op, Responder, Target, TargetHandle};
use crate::{
    connection::{BoxFuture, RetryStrategy, default_retry_delay, register_retry_strategy},
    error::Result,
};

const ASK: u16 = 0;

/// What JavaScript answers.
enum Decision {
    Wait(Duration),
    GiveUp,
    /// The function threw.
    Default,
}

/// Asks the function from the I/O thread. It outlives its environment, when a connection is shared with another one:
/// then nobody answers, and the default backoff does.
struct Asking {
    emitter: Emitter,
    next: AtomicI32,
    open: Mutex<Option<HashMap<i32, oneshot::Sender<Decision>>>>,
}

impl RetryStrategy for Asking {
    fn delay(&self, times: u32) -> BoxFuture<'_, Option<Duration>> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        if let Some(open) = &mut *self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            open.insert(request, sender);
        }
        self.emitter.emit(ASK, request, i32::try_from(times).unwrap_or(i32::MAX), Vec::new());
        Box::pin(async move {
            match receiver.await {
                Ok(Decision::Wait(delay)) => Some(delay),
                Ok(Decision::GiveUp) => None,
                Ok(Decision::Default) | Err(_) => Some(default_retry_delay(times)),
            }
        })
    }
}

struct Answers(Arc<Asking>);

impl Answers {
    fn take(&self, op: &mut Op<'_>) -> Result<()> {
        let request = op.integer()?;
        let decision = match op.code() {
            0 => Decision::Wait(Duration::from_millis(u64::try_from(op.integer()?).unwrap_or(0))),
            1 => Decision::GiveUp,
            2 => Decision::Default,
            _ => return Err(op.unknown_code()),
        };
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = i32::try_from(request).ok().and_then(|request| open.as_mut()?.remove(&request));
        if let Some(asked) = asked {
            // Nobody waits any more when the link was closed meanwhile.
            let _ = asked.send(decision);
        }
        Ok(())
    }
}

impl Target for Answers {
    fn accept(&self, mut op: Op<'_>, reply: Responder) {
        reply.settle(self.take(&mut op));
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // Who waits for an answer takes the default, now and later.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A `retryStrategy` function behind the door. Options of connections name it by its `key`.
#[napi]
pub struct NativeRetryStrategy {
    handle: TargetHandle,
    key: f64,
    _strategy: Arc<dyn RetryStrategy>,
}

#[napi]
impl NativeRetryStrategy {
    #[napi(constructor)]
    pub fn new(door: &NativeDoor) -> Self {
        let mut made = None;
        let handle = door.add(|emitter| {
            let asking = Arc::new(Asking { emitter, next: AtomicI32::new(0), open: Mutex::new(Some(HashMap::new())) });
            made = Some(Arc::clone(&asking));
            Rc::new(Answers(asking))
        });
        let strategy: Arc<dyn RetryStrategy> = match made {
            Some(asking) => asking,
            None => unreachable!("the door makes a target at once"),
        };
        let key = register_retry_strategy(&strategy);
        Self { handle, key: f64::from(key), _strategy: strategy }
    }

    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// What stands as `retryStrategy` in the JSON text of connection options.
    #[napi(getter)]
    pub fn key(&self) -> f64 {
        self.key
    }

    #[napi]
    pub fn close(&self) {
        self.handle.close();
    }
}
