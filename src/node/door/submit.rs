//! Calls from JavaScript: many in one raw native call.
//!
//! The shared array of integers says what the arguments are: first the number of calls and the number of arguments, two
//! unused, then four integers a call: target, code, slot, and number of arguments (-1: packed in one buffer; its first
//! four bytes are their number).

use std::{ptr, rc::Rc, slice};

use napi::sys;

use super::{
    env_door::{EnvDoor, guarded},
    op::{Arguments, Op, view},
    target::Target,
};
use crate::error::{Error, ErrorCode};

const STRIDE: usize = 4;
const PACKED: i32 = -1;

/// The raw callback.
///
/// # Safety
///
/// Called by Node, with an [`EnvDoor`] that outlives the function as its data.
pub(super) unsafe extern "C" fn submit(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    let Some(door) = (unsafe { door_of(env, info) }) else { return ptr::null_mut() };
    // Answers for every call are given inside; a panic here can only come from the loop itself.
    let _ = guarded(|| {
        // SAFETY: by the contract above; JavaScript wrote the counts just before it called.
        let [ops, count] =
            unsafe { [*door.ops.start, *door.ops.start.add(1)] }.map(|n| usize::try_from(n).unwrap_or(0));
        let mut arguments = door.arguments.take();
        arguments.resize(count, ptr::null_mut());
        let mut got = count;
        // SAFETY: the buffer has room for `count` values, and `got` says so.
        unsafe {
            sys::napi_get_cb_info(env, info, &raw mut got, arguments.as_mut_ptr(), ptr::null_mut(), ptr::null_mut());
        }
        accept_all(door, ops, &arguments);
        *door.arguments.borrow_mut() = arguments;
    });
    ptr::null_mut()
}

fn accept_all(door: &EnvDoor, ops: usize, mut arguments: &[sys::napi_value]) {
    let ops = ops.min(door.ops.length / STRIDE - 1);
    let mut current: Option<(u32, Option<Rc<dyn Target>>)> = None;
    let mut touched: Vec<Rc<dyn Target>> = Vec::new();
    for index in 1..=ops {
        // SAFETY: within the shared array, by the bound above.
        let head = unsafe { slice::from_raw_parts(door.ops.start.add(index * STRIDE), STRIDE) };
        let [id, slot] = [head[0], head[2]].map(i32::cast_unsigned);
        let (own, rest) = arguments.split_at(if head[3] == PACKED { 1 } else { head[3].cast_unsigned() as usize });
        arguments = rest;
        if current.as_ref().is_none_or(|(known, _)| *known != id) {
            let target = door.target(id);
            if let Some(target) = &target
                && !touched.iter().any(|other| Rc::ptr_eq(other, target))
            {
                touched.push(Rc::clone(target));
            }
            current = Some((id, target));
        }
        let reply = door.responder(slot);
        let Some((_, Some(target))) = &current else {
            reply.fail(Error::closed("this service"));
            continue;
        };
        let arguments = if head[3] == PACKED {
            // SAFETY: an argument of the running call.
            match unsafe { packed(door.env, own[0]) } {
                Ok(arguments) => arguments,
                Err(error) => {
                    reply.fail(error);
                    continue;
                }
            }
        } else {
            Arguments::Values { env: door.env, values: own }
        };
        // The responder inside answers `ERR_INTERNAL` when it is dropped by a panic.
        let _ = guarded(|| target.accept(Op::new(head[1], arguments), reply));
    }
    for target in touched {
        let _ = guarded(|| target.flush());
    }
}

/// # Safety
///
/// On the thread of `env`, with a `value` of its current scope, which must outlive the result.
unsafe fn packed<'a>(env: sys::napi_env, value: sys::napi_value) -> Result<Arguments<'a>, Error> {
    // SAFETY: by the contract above.
    let bytes = unsafe { view(env, value) }.filter(|bytes| bytes.len() >= 4);
    let bytes = bytes.ok_or_else(|| Error::new(ErrorCode::Internal, "packed arguments are not a buffer"))?;
    let (count, rest) = bytes.split_at(4);
    let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]) as usize;
    Ok(Arguments::Packed { rest, count })
}

/// The door behind a raw callback.
///
/// # Safety
///
/// The data of the callback is an [`EnvDoor`] that outlives it.
pub(super) unsafe fn door_of<'a>(env: sys::napi_env, info: sys::napi_callback_info) -> Option<&'a EnvDoor> {
    let mut data = ptr::null_mut();
    // SAFETY: `info` is of the running call.
    unsafe {
        sys::napi_get_cb_info(env, info, ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), &raw mut data);
        data.cast::<EnvDoor>().as_ref()
    }
}
