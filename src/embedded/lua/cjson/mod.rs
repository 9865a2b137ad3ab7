//! The module `cjson`, as version 2.1.0 behaves that Redis has: same options, same texts, same order of keys.

mod config;
mod decode;
mod encode;
mod number;

use std::ffi::c_int;

pub(super) use config::Config;
use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State, closure},
};

/// Pushes a module table whose functions use the settings at `index` of the interpreter's list.
///
/// # Safety
/// Within a protected call in a plain frame, or while the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn push_table(state: State, index: usize) {
    let functions: [(&str, ffi::lua_CFunction); 10] = [
        ("encode", closure!(encode::encode)),
        ("decode", closure!(decode::decode)),
        ("encode_sparse_array", closure!(config::encode_sparse_array)),
        ("encode_max_depth", closure!(config::encode_max_depth)),
        ("decode_max_depth", closure!(config::decode_max_depth)),
        ("encode_number_precision", closure!(config::encode_number_precision)),
        ("encode_keep_buffer", closure!(config::encode_keep_buffer)),
        ("encode_invalid_numbers", closure!(config::encode_invalid_numbers)),
        ("decode_invalid_numbers", closure!(config::decode_invalid_numbers)),
        ("new", closure!(new)),
    ];
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 13);
        for (name, function) in functions {
            raw::push(state, name.as_bytes());
            ffi::lua_pushinteger(state, ffi::lua_Integer::try_from(index).unwrap_or(0));
            ffi::lua_pushcclosure(state, function, 1);
            ffi::lua_rawset(state, -3);
        }
        raw::push(state, b"null");
        ffi::lua_pushlightuserdata(state, std::ptr::null_mut());
        ffi::lua_rawset(state, -3);
        raw::push(state, b"_NAME");
        raw::push(state, b"cjson");
        ffi::lua_rawset(state, -3);
        raw::push(state, b"_VERSION");
        raw::push(state, b"2.1.0");
        ffi::lua_rawset(state, -3);
    }
}

/// Most instances that `cjson.new` makes in the life of an engine.
const MAX_INSTANCES: usize = 10_000;

/// `cjson.new()`: a module with settings of its own.
unsafe fn new(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    if vm.json.len() >= MAX_INSTANCES {
        return Err(vm.fail(format_args!("too many instances of cjson")));
    }
    vm.json.push(Config::default());
    // SAFETY: a body; the frame owns nothing.
    unsafe { push_table(state, vm.json.len() - 1) };
    Ok(1)
}

/// The settings of the function that is running: upvalue 1 is their index.
unsafe fn config(state: State, vm: &mut Interpreter) -> &mut Config {
    // SAFETY: reads an upvalue.
    let index = unsafe { ffi::lua_tonumber(state, ffi::lua_upvalueindex(1)) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below MAX_INSTANCES")]
    let index = index as usize;
    &mut vm.json[index]
}
