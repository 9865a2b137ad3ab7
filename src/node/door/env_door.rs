//! The door of one environment: what its raw callbacks work on.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use napi::{JsValue, bindgen_prelude::Unknown, sys};

use super::{
    completions::Completions,
    deliver::Round,
    emitter::Emitter,
    reply_sink::DoorSink,
    responder::Responder,
    target::{Target, TargetHandle, Targets},
};
use crate::{
    error::{Error, ErrorCode},
    node::error::error_json,
};

/// Functions of `ts/native.ts`, kept by reference.
pub(super) struct Callbacks {
    pub(super) deliver: sys::napi_ref,
    /// Asks JavaScript to call `drain` from `setImmediate`.
    pub(super) resume: sys::napi_ref,
    /// Makes an error instance of JSON text.
    pub(super) make_error: sys::napi_ref,
}

/// A typed array that both sides read and write. A reference keeps it alive as long as the environment.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pub(super) start: *mut i32,
    pub(super) length: usize,
}

pub(super) struct EnvDoor {
    pub(super) env: sys::napi_env,
    pub(super) callbacks: Callbacks,
    /// Calls of a submission, from JavaScript: see `submit`.
    pub(super) ops: Shared,
    /// Records of a delivery, to JavaScript: see `deliver`.
    pub(super) records: Shared,
    pub(super) completions: Arc<Completions>,
    pub(super) arguments: RefCell<Vec<sys::napi_value>>,
    pub(super) round: RefCell<Round>,
    pub(super) bell: Cell<sys::napi_threadsafe_function>,
    /// Whether this thread may read sockets itself.
    #[cfg_attr(not(unix), expect(dead_code, reason = "it never does there"))]
    pub(super) may_read: bool,
    targets: RefCell<Targets>,
    sink: Arc<DoorSink>,
}

impl EnvDoor {
    pub(super) fn new(env: sys::napi_env, callbacks: Callbacks, ops: Shared, records: Shared, may_read: bool) -> Self {
        let completions = Arc::new(Completions::new());
        Self {
            env,
            callbacks,
            ops,
            records,
            sink: Arc::new(DoorSink::new(Arc::clone(&completions))),
            completions,
            arguments: RefCell::default(),
            round: RefCell::default(),
            bell: Cell::new(std::ptr::null_mut()),
            may_read,
            targets: RefCell::default(),
        }
    }

    pub(super) fn sink(&self) -> Arc<DoorSink> {
        Arc::clone(&self.sink)
    }

    pub(super) fn responder(&self, slot: u32) -> Responder {
        Responder::new(Arc::clone(&self.completions), slot)
    }

    pub(super) fn target(&self, id: u32) -> Option<Rc<dyn Target>> {
        self.targets.borrow().get(id)
    }

    pub(super) fn add<T: Target>(self: &Rc<Self>, make: impl FnOnce(Emitter) -> Rc<T>) -> TargetHandle {
        let id = self.targets.borrow_mut().reserve();
        let target = make(Emitter::new(Arc::clone(&self.completions), id));
        self.targets.borrow_mut().insert(id, target);
        TargetHandle::new(Rc::downgrade(self), id)
    }

    pub(super) fn remove(&self, id: u32) {
        let removed = self.targets.borrow_mut().remove(id);
        // Dropped with the table free: a target may own handles of others.
        drop(removed);
    }

    /// Ends all traffic; nothing is delivered any more.
    pub(super) fn close(&self) {
        self.completions.close();
        let targets = self.targets.borrow_mut().take_all();
        drop(targets);
    }

    /// The error as an instance of its class, to be thrown by a `#[napi]` method.
    pub(super) fn js_error(&self, error: &Error) -> napi::Error {
        // SAFETY: `#[napi]` methods run on the thread of the environment.
        unsafe {
            let text = error_json(error);
            let mut argument = std::ptr::null_mut();
            let length = isize::try_from(text.len()).unwrap_or(0);
            sys::napi_create_string_utf8(self.env, text.as_ptr().cast(), length, &raw mut argument);
            let Some(instance) = self.call(self.callbacks.make_error, &[argument]) else {
                return napi::Error::from_reason(error.to_string());
            };
            let instance = Unknown::from_raw_unchecked(self.env, instance);
            debug_assert!(!instance.raw().is_null());
            napi::Error::from(instance)
        }
    }

    /// Calls a JavaScript function; `None` when it threw, which is then the process's `uncaughtException`.
    ///
    /// # Safety
    ///
    /// On the thread of the environment, in an open handle scope, with arguments of it.
    pub(super) unsafe fn call(
        &self,
        function: sys::napi_ref,
        arguments: &[sys::napi_value],
    ) -> Option<sys::napi_value> {
        let (mut callee, mut this, mut result) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: by the contract of this function.
        unsafe {
            sys::napi_get_reference_value(self.env, function, &raw mut callee);
            sys::napi_get_undefined(self.env, &raw mut this);
            let (count, first) = (arguments.len(), arguments.as_ptr());
            let status = sys::napi_call_function(self.env, this, callee, count, first, &raw mut result);
            self.returned(status, result)
        }
    }

    /// The same from a callback of libuv: what the function set going (reactions of promises, `process.nextTick`) runs
    /// before this returns.
    ///
    /// # Safety
    ///
    /// As [`call`](Self::call).
    #[cfg(unix)]
    pub(super) unsafe fn call_as_turn(
        &self,
        function: sys::napi_ref,
        arguments: &[sys::napi_value],
    ) -> Option<sys::napi_value> {
        let (mut callee, mut this, mut result) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        let nobody = std::ptr::null_mut();
        // SAFETY: by the contract of this function.
        unsafe {
            sys::napi_get_reference_value(self.env, function, &raw mut callee);
            sys::napi_get_global(self.env, &raw mut this);
            let (count, first) = (arguments.len(), arguments.as_ptr());
            let status = sys::napi_make_callback(self.env, nobody, this, callee, count, first, &raw mut result);
            self.returned(status, result)
        }
    }

    /// # Safety
    ///
    /// As [`call`](Self::call).
    unsafe fn returned(&self, status: sys::napi_status, result: sys::napi_value) -> Option<sys::napi_value> {
        if status == sys::Status::napi_ok {
            return Some(result);
        }
        // SAFETY: by the contract of this function.
        unsafe {
            let mut thrown = std::ptr::null_mut();
            if status == sys::Status::napi_pending_exception
                && sys::napi_get_and_clear_last_exception(self.env, &raw mut thrown) == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(self.env, thrown);
            }
        }
        None
    }
}

/// What a panic in a raw callback becomes; it must not unwind into Node.
pub(super) fn guarded(work: impl FnOnce()) -> Result<(), Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Error::new(ErrorCode::Internal, format!("the native core panicked: {text}"))
    })
}
