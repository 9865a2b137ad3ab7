//! The settings of `cjson` and the functions that read and change them.

use std::ffi::c_int;

use mlua_sys as ffi;

use crate::embedded::lua::{
    interpreter::Interpreter,
    raw::{self, Raise, State},
};

/// What to do with NaN and infinities when encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidNumbers {
    Refuse,
    /// Written as `nan` and `inf`.
    Write,
    Null,
}

/// Settings of one instance.
#[derive(Clone, Copy)]
pub(in crate::embedded::lua) struct Config {
    /// Write an excessively sparse array as an object, rather than fail.
    pub(super) sparse_convert: bool,
    /// Sparse: the largest index is more than this many times the number of items; 0 = never.
    pub(super) sparse_ratio: i64,
    /// An array whose largest index is at most this is never too sparse.
    pub(super) sparse_safe: i64,
    pub(super) encode_max_depth: i64,
    pub(super) decode_max_depth: i64,
    pub(super) precision: i64,
    /// Remembered; buffers are always kept here.
    keep_buffer: bool,
    pub(super) encode_invalid: InvalidNumbers,
    /// Accept NaN, infinities, hexadecimal numbers and leading zeros.
    pub(super) decode_invalid: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_max_depth: 1000,
            decode_max_depth: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: InvalidNumbers::Refuse,
            decode_invalid: true,
        }
    }
}

/// Fills up missing arguments with nil.
unsafe fn prepare(state: State, vm: &mut Interpreter, most: c_int) -> Result<(), Raise> {
    // SAFETY: a body; the stack has room for the few arguments.
    unsafe {
        if ffi::lua_gettop(state) > most {
            return Err(vm.argument(most + 1, "found too many arguments"));
        }
        ffi::lua_settop(state, most);
    }
    Ok(())
}

/// Reads an integer setting from an argument, if there is one.
unsafe fn integer(
    state: State,
    vm: &mut Interpreter,
    argument: c_int,
    range: (i64, i64),
) -> Result<Option<i64>, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        if ffi::lua_type(state, argument) == ffi::LUA_TNIL {
            return Ok(None);
        }
        let value = i64::from(truncate(ffi::luaL_checkinteger(state, argument)));
        if value < range.0 || value > range.1 {
            vm.park(format_args!("expected integer between {} and {}", range.0, range.1));
            return Err(Raise::Argument(1));
        }
        Ok(Some(value))
    }
}

/// C assigns the number to an `int`.
#[expect(clippy::cast_possible_truncation, reason = "as C does")]
fn truncate(number: ffi::lua_Integer) -> i32 {
    number as i32
}

/// Reads a choice by name, or a boolean: true is the second choice.
unsafe fn choice(
    state: State,
    vm: &mut Interpreter,
    argument: c_int,
    choices: &[&str],
) -> Result<Option<usize>, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        match ffi::lua_type(state, argument) {
            ffi::LUA_TNIL => Ok(None),
            ffi::LUA_TBOOLEAN => Ok(Some(usize::from(ffi::lua_toboolean(state, argument) != 0))),
            _ => {
                let name = raw::check_bytes(state, argument);
                if let Some(found) = choices.iter().position(|choice| choice.as_bytes() == name) {
                    return Ok(Some(found));
                }
                vm.message.clear();
                vm.message.extend_from_slice(b"invalid option '");
                vm.message.extend_from_slice(name);
                vm.message.push(b'\'');
                Err(Raise::Argument(argument))
            }
        }
    }
}

const SWITCH: &[&str] = &["off", "on"];
const MOST: i64 = i32::MAX as i64;

macro_rules! integer_setting {
    ($($(#[$doc:meta])* $name:ident = $field:ident in $least:expr, $most:expr;)+) => {$(
        $(#[$doc])*
        pub(super) unsafe fn $name(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
            // SAFETY: a body; the frame owns nothing.
            unsafe {
                prepare(state, vm, 1)?;
                let given = integer(state, vm, 1, ($least, $most))?;
                let config = super::config(state, vm);
                config.$field = given.unwrap_or(config.$field);
                ffi::lua_pushinteger(state, whole(config.$field));
            }
            Ok(1)
        }
    )+};
}

integer_setting! {
    /// `cjson.encode_max_depth([depth])`
    encode_max_depth = encode_max_depth in 1, MOST;
    /// `cjson.decode_max_depth([depth])`
    decode_max_depth = decode_max_depth in 1, MOST;
    /// `cjson.encode_number_precision([digits])`
    encode_number_precision = precision in 1, 14;
}

macro_rules! switch_setting {
    ($($(#[$doc:meta])* $name:ident = $field:ident;)+) => {$(
        $(#[$doc])*
        pub(super) unsafe fn $name(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
            // SAFETY: a body; the frame owns nothing.
            unsafe {
                prepare(state, vm, 1)?;
                let given = choice(state, vm, 1, SWITCH)?;
                let config = super::config(state, vm);
                config.$field = given.map_or(config.$field, |on| on == 1);
                ffi::lua_pushboolean(state, c_int::from(config.$field));
            }
            Ok(1)
        }
    )+};
}

switch_setting! {
    /// `cjson.encode_keep_buffer([keep])`
    encode_keep_buffer = keep_buffer;
    /// `cjson.decode_invalid_numbers([accept])`
    decode_invalid_numbers = decode_invalid;
}

/// `cjson.encode_invalid_numbers([false | true | "null"])`
pub(super) unsafe fn encode_invalid_numbers(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        prepare(state, vm, 1)?;
        let given = choice(state, vm, 1, &["off", "on", "null"])?;
        let config = super::config(state, vm);
        match given {
            None => {}
            Some(0) => config.encode_invalid = InvalidNumbers::Refuse,
            Some(1) => config.encode_invalid = InvalidNumbers::Write,
            Some(_) => config.encode_invalid = InvalidNumbers::Null,
        }
        match config.encode_invalid {
            InvalidNumbers::Null => raw::push(state, b"null"),
            other => ffi::lua_pushboolean(state, c_int::from(other == InvalidNumbers::Write)),
        }
    }
    Ok(1)
}

/// `cjson.encode_sparse_array([convert [, ratio [, safe]]])`
pub(super) unsafe fn encode_sparse_array(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        prepare(state, vm, 3)?;
        // One after the other, as the original: a wrong third argument leaves the first two in force.
        if let Some(convert) = choice(state, vm, 1, SWITCH)? {
            super::config(state, vm).sparse_convert = convert == 1;
        }
        if let Some(ratio) = integer(state, vm, 2, (0, MOST))? {
            super::config(state, vm).sparse_ratio = ratio;
        }
        if let Some(safe) = integer(state, vm, 3, (0, MOST))? {
            super::config(state, vm).sparse_safe = safe;
        }
        let Config { sparse_convert, sparse_ratio, sparse_safe, .. } = *super::config(state, vm);
        ffi::lua_pushboolean(state, c_int::from(sparse_convert));
        ffi::lua_pushinteger(state, whole(sparse_ratio));
        ffi::lua_pushinteger(state, whole(sparse_safe));
    }
    Ok(3)
}

fn whole(number: i64) -> ffi::lua_Integer {
    ffi::lua_Integer::try_from(number).unwrap_or(ffi::lua_Integer::MAX)
}
