//! `cjson.encode`: walks the value on the stack and writes text to the interpreter's buffer.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::config::{Config, InvalidNumbers};
use crate::embedded::lua::{
    general_number,
    interpreter::Interpreter,
    raw::{self, Raise, State},
};

/// Native recursion allowed, whatever `encode_max_depth` says.
const MAX_DEPTH: i64 = 2_000;

/// `cjson.encode(value)`.
pub(super) unsafe fn encode(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the text is in the interpreter.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return Err(vm.argument(1, "expected 1 argument"));
        }
        let config = *super::config(state, vm);
        vm.buffer.clear();
        write(state, vm, &config, 0)?;
        raw::push(state, &vm.buffer);
    }
    Ok(1)
}

/// Appends the value on top of the stack, which stays there.
unsafe fn write(state: State, vm: &mut Interpreter, config: &Config, depth: i64) -> Result<(), Raise> {
    // SAFETY: a body's callee; the frame owns nothing.
    unsafe {
        vm.spend(state, 1)?;
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => write_text(state, vm, -1)?,
            ffi::LUA_TNUMBER => write_number(state, vm, config, -1)?,
            ffi::LUA_TBOOLEAN => {
                let flag = ffi::lua_toboolean(state, -1) != 0;
                vm.buffer.extend_from_slice(if flag { b"true" } else { b"false" });
            }
            ffi::LUA_TTABLE => {
                let depth = depth + 1;
                if depth > config.encode_max_depth.min(MAX_DEPTH) || ffi::lua_checkstack(state, 4) == 0 {
                    return Err(vm.fail(format_args!("Cannot serialise, excessive nesting ({depth})")));
                }
                match array_length(state, vm, config)? {
                    Some(length) if length > 0 => write_array(state, vm, config, depth, length)?,
                    _ => write_object(state, vm, config, depth)?,
                }
            }
            ffi::LUA_TNIL => vm.buffer.extend_from_slice(b"null"),
            ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, -1).is_null() => {
                vm.buffer.extend_from_slice(b"null");
            }
            _ => return Err(refuse(state, vm, -1, "type not supported")),
        }
    }
    Ok(())
}

unsafe fn refuse(state: State, vm: &mut Interpreter, index: c_int, why: &str) -> Raise {
    // SAFETY: `index` is valid.
    let name = unsafe { raw::type_name(state, index) };
    vm.fail(format_args!("Cannot serialise {name}: {why}"))
}

/// The largest index, when all keys of the table on top of the stack are positive integers.
unsafe fn array_length(state: State, vm: &mut Interpreter, config: &Config) -> Result<Option<i64>, Raise> {
    let (mut largest, mut items) = (0_i32, 0_i64);
    // SAFETY: a body's callee; `lua_next` gets back the keys that it gave.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            let index = if ffi::lua_type(state, -2) == ffi::LUA_TNUMBER { ffi::lua_tonumber(state, -2) } else { 0.0 };
            if index < 1.0 || index.fract() != 0.0 {
                ffi::lua_settop(state, -3);
                return Ok(None);
            }
            if index > f64::from(largest) {
                // C keeps the largest in an `int`, where one that is too large becomes the smallest.
                #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
                let kept = if index <= f64::from(i32::MAX) { index as i32 } else { i32::MIN };
                largest = kept;
            }
            items += 1;
            ffi::lua_settop(state, -2);
        }
        let largest = i64::from(largest);
        if config.sparse_ratio > 0 && largest > items * config.sparse_ratio && largest > config.sparse_safe {
            if !config.sparse_convert {
                return Err(refuse(state, vm, -1, "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(largest))
    }
}

unsafe fn write_array(
    state: State,
    vm: &mut Interpreter,
    config: &Config,
    depth: i64,
    length: i64,
) -> Result<(), Raise> {
    vm.buffer.push(b'[');
    for index in 1..=c_int::try_from(length).unwrap_or(c_int::MAX) {
        if index > 1 {
            vm.buffer.push(b',');
        }
        // SAFETY: a body's callee.
        unsafe {
            ffi::lua_rawgeti_(state, -1, index);
            write(state, vm, config, depth)?;
            ffi::lua_settop(state, -2);
        }
    }
    vm.buffer.push(b']');
    Ok(())
}

unsafe fn write_object(state: State, vm: &mut Interpreter, config: &Config, depth: i64) -> Result<(), Raise> {
    vm.buffer.push(b'{');
    let mut first = true;
    // SAFETY: a body's callee; number keys are read without being made strings, which would confuse `lua_next`.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            if !first {
                vm.buffer.push(b',');
            }
            first = false;
            match ffi::lua_type(state, -2) {
                ffi::LUA_TNUMBER => {
                    vm.buffer.push(b'"');
                    write_number(state, vm, config, -2)?;
                    vm.buffer.extend_from_slice(b"\":");
                }
                ffi::LUA_TSTRING => {
                    write_text(state, vm, -2)?;
                    vm.buffer.push(b':');
                }
                _ => return Err(refuse(state, vm, -2, "table key must be a number or string")),
            }
            write(state, vm, config, depth)?;
            ffi::lua_settop(state, -2);
        }
    }
    vm.buffer.push(b'}');
    Ok(())
}

unsafe fn write_number(state: State, vm: &mut Interpreter, config: &Config, index: c_int) -> Result<(), Raise> {
    // SAFETY: a body's callee; a number stands at `index`.
    let number = unsafe { ffi::lua_tonumber(state, index) };
    if !number.is_finite() {
        match config.encode_invalid {
            // SAFETY: as above.
            InvalidNumbers::Refuse => return Err(unsafe { refuse(state, vm, index, "must not be NaN or Inf") }),
            InvalidNumbers::Null => {
                vm.buffer.extend_from_slice(b"null");
                return Ok(());
            }
            InvalidNumbers::Write if number.is_nan() => {
                vm.buffer.extend_from_slice(b"nan");
                return Ok(());
            }
            InvalidNumbers::Write => {}
        }
    }
    general_number::write(&mut vm.buffer, number, usize::try_from(config.precision).unwrap_or(14));
    Ok(())
}

/// The letter after the backslash for a byte that has one of its own; `u` for one written by its number; 0 for the rest.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 32 {
        table[byte] = b'u';
        byte += 1;
    }
    table[8] = b'b';
    table[9] = b't';
    table[10] = b'n';
    table[12] = b'f';
    table[13] = b'r';
    table[b'"' as usize] = b'"';
    table[b'/' as usize] = b'/';
    table[b'\\' as usize] = b'\\';
    table[127] = b'u';
    table
};

/// A string of the stack, whose length counts as work.
unsafe fn write_text(state: State, vm: &mut Interpreter, index: c_int) -> Result<(), Raise> {
    // SAFETY: a body's callee; the slot anchors the string.
    unsafe {
        let text = raw::bytes(state, index);
        vm.spend(state, text.len() as u64 / 8)?;
        write_string(&mut vm.buffer, text);
    }
    Ok(())
}

fn write_string(into: &mut Vec<u8>, text: &[u8]) {
    into.reserve(text.len() + 2);
    into.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| ESCAPES[usize::from(byte)] != 0) {
        into.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        into.push(b'\\');
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                into.extend_from_slice(b"u00");
                into.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
                into.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            letter => into.push(letter),
        }
        rest = &rest[at + 1..];
    }
    into.extend_from_slice(rest);
    into.push(b'"');
}
