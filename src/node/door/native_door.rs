//! The door as JavaScript opens it.

use std::{ffi::c_void, ptr, rc::Rc, sync::Arc};

use napi::{
    Env, JsValue,
    bindgen_prelude::{Object, Unknown},
    sys,
};
use napi_derive::napi;

#[cfg(unix)]
use super::uv_reader::UvReader;
use super::{
    deliver::{drain, ring},
    emitter::Emitter,
    env_door::{Callbacks, EnvDoor, Shared},
    reply_sink::DoorSink,
    submit::{door_of, submit},
    target::{Target, TargetHandle},
};
#[cfg(unix)]
use crate::connection::Link;
use crate::error::Error;

/// The native half of the door; `ts/native.ts` opens one for each thread. Every `Native*` class takes it.
#[napi]
pub struct NativeDoor {
    door: Rc<EnvDoor>,
}

#[napi]
impl NativeDoor {
    /// `ops` and `records` are `Int32Array`s that both sides use; `deliver` takes answers and events, `resume` asks for a
    /// `drain` from `setImmediate`, `makeError` makes an error instance of JSON text. `mayRead`: whether this thread has an
    /// event loop of libuv, and may read sockets by it.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "Int32Array")] ops: Unknown<'_>,
        #[napi(ts_arg_type = "Int32Array")] records: Unknown<'_>,
        #[napi(ts_arg_type = "(...values: unknown[]) => void")] deliver: Unknown<'_>,
        #[napi(ts_arg_type = "() => void")] resume: Unknown<'_>,
        #[napi(ts_arg_type = "(json: string) => Error")] make_error: Unknown<'_>,
        may_read: bool,
    ) -> napi::Result<Self> {
        let env = env.raw();
        // SAFETY: a constructor runs on the thread of its environment, and its arguments are of its scope.
        unsafe {
            let callbacks = Callbacks {
                deliver: keep(env, deliver.raw())?,
                resume: keep(env, resume.raw())?,
                make_error: keep(env, make_error.raw())?,
            };
            let door = EnvDoor::new(env, callbacks, share(env, ops.raw())?, share(env, records.raw())?, may_read);
            let door = Rc::new(door);
            arm(env, &door)?;
            Ok(Self { door })
        }
    }

    /// The functions of the hot path, made by hand: a generated one costs more than what it would carry.
    #[napi(ts_return_type = "{ submit(...args: unknown[]): void; drain(): void; ref(): void; unref(): void }")]
    pub fn functions(&self, env: Env) -> napi::Result<Object<'_>> {
        let raw = env.raw();
        let data = Rc::as_ptr(&self.door).cast_mut().cast::<c_void>();
        // SAFETY: as in the constructor. The door outlives its functions: `arm` keeps it as long as the environment.
        unsafe {
            let mut object = ptr::null_mut();
            check(sys::napi_create_object(raw, &raw mut object))?;
            let functions: [(&std::ffi::CStr, Raw); 4] =
                [(c"submit", submit), (c"drain", drain), (c"ref", reference), (c"unref", unreference)];
            for (name, function) in functions {
                let mut value = ptr::null_mut();
                let length = name.count_bytes().cast_signed();
                check(sys::napi_create_function(raw, name.as_ptr(), length, Some(function), data, &raw mut value))?;
                check(sys::napi_set_named_property(raw, object, name.as_ptr(), value))?;
            }
            Ok(Object::from_raw(raw, object))
        }
    }
}

type Raw = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

impl NativeDoor {
    /// Puts an engine object behind the door. `make` gets the emitter of its events.
    pub(crate) fn add<T: Target>(&self, make: impl FnOnce(Emitter) -> Rc<T>) -> TargetHandle {
        self.door.add(make)
    }

    /// The sink for command batches of targets that answer by [`Responder::into_slot`](super::Responder::into_slot).
    pub(crate) fn sink(&self) -> Arc<DoorSink> {
        self.door.sink()
    }

    /// A reader of the connection of `link` on this thread, for the commands that answer through [`sink`](Self::sink).
    #[cfg(unix)]
    pub(crate) fn reader(&self, link: &Arc<dyn Link>) -> Option<UvReader> {
        if self.door.may_read { link.lender().map(|lender| UvReader::new(lender, &self.door)) } else { None }
    }

    /// The error as an instance of its class, for `?` in a `#[napi]` method.
    pub(crate) fn js_error(&self, error: &Error) -> napi::Error {
        self.door.js_error(error)
    }
}

/// # Safety
///
/// On the thread of `env`, with a value of its scope.
unsafe fn keep(env: sys::napi_env, value: sys::napi_value) -> napi::Result<sys::napi_ref> {
    let mut reference = ptr::null_mut();
    // SAFETY: by the contract above.
    check(unsafe { sys::napi_create_reference(env, value, 1, &raw mut reference) })?;
    Ok(reference)
}

/// # Safety
///
/// As [`keep`].
unsafe fn share(env: sys::napi_env, array: sys::napi_value) -> napi::Result<Shared> {
    let (mut kind, mut length, mut start) = (0, 0, ptr::null_mut());
    // SAFETY: by the contract above; the call fails on what is not a typed array.
    unsafe {
        check(sys::napi_get_typedarray_info(
            env,
            array,
            &raw mut kind,
            &raw mut length,
            &raw mut start,
            ptr::null_mut(),
            ptr::null_mut(),
        ))?;
        keep(env, array)?;
    }
    if kind != sys::TypedarrayType::int32_array || length < 64 {
        return Err(napi::Error::from_reason("the door wants Int32Arrays of at least 64 integers"));
    }
    Ok(Shared { start: start.cast(), length })
}

/// Makes the threadsafe function, unreferenced, and then (so that it runs first) the clean-up hook.
///
/// # Safety
///
/// On the thread of `env`, in an open scope.
unsafe fn arm(env: sys::napi_env, door: &Rc<EnvDoor>) -> napi::Result<()> {
    let name = "oxcart";
    let mut resource = ptr::null_mut();
    let mut function = ptr::null_mut();
    // SAFETY: by the contract above. The count given to the threadsafe function is taken back by its finalizer, which
    // runs after the hook and after the last callback.
    unsafe {
        let length = name.len().cast_signed();
        check(sys::napi_create_string_utf8(env, name.as_ptr().cast(), length, &raw mut resource))?;
        let context = Rc::into_raw(Rc::clone(door)).cast_mut().cast::<c_void>();
        let status = sys::napi_create_threadsafe_function(
            env,
            ptr::null_mut(),
            ptr::null_mut(),
            resource,
            0,
            1,
            context,
            Some(release),
            context,
            Some(ring),
            &raw mut function,
        );
        if status != sys::Status::napi_ok {
            drop(Rc::from_raw(context.cast::<EnvDoor>()));
        }
        check(status)?;
        sys::napi_unref_threadsafe_function(env, function);
        check(sys::napi_add_env_cleanup_hook(env, Some(close), context))?;
    }
    door.bell.set(function);
    door.completions.arm(function);
    Ok(())
}

/// # Safety
///
/// Called by Node when the threadsafe function is gone, with the count that [`arm`] gave it.
unsafe extern "C" fn release(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: by the contract above.
    drop(unsafe { Rc::from_raw(data.cast::<EnvDoor>()) });
}

/// # Safety
///
/// Called by Node when the environment ends, with the door that [`arm`] gave it.
unsafe extern "C" fn close(data: *mut c_void) {
    // SAFETY: by the contract above: the threadsafe function still holds its count.
    if let Some(door) = unsafe { data.cast::<EnvDoor>().as_ref() } {
        let _ = super::env_door::guarded(|| door.close());
    }
}

/// # Safety
///
/// As [`submit`].
unsafe extern "C" fn reference(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        if let Some(door) = door_of(env, info) {
            sys::napi_ref_threadsafe_function(env, door.bell.get());
        }
    }
    ptr::null_mut()
}

/// # Safety
///
/// As [`submit`].
unsafe extern "C" fn unreference(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        if let Some(door) = door_of(env, info) {
            sys::napi_unref_threadsafe_function(env, door.bell.get());
        }
    }
    ptr::null_mut()
}

fn check(status: sys::napi_status) -> napi::Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::new(status.into(), "Node-API refused a call of the door"))
    }
}
