//! The functions of Lua's own library that must behave otherwise in a script: `pcall` as Redis shapes its errors, `load`
//! without bytecode, `collectgarbage` without switches.

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::ffi::{CStr, c_int};

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State},
};

/// First byte of compiled Lua, which can crash the interpreter and is refused.
const BYTECODE: u8 = 0x1b;

/// Compiles text; bytecode reads as (broken) text. Pushes the function or the message; returns Lua's status.
///
/// # Safety
/// Within a protected call or with the memory limit lifted.
pub(super) unsafe fn compile(state: State, source: &[u8], name: *const std::ffi::c_char) -> c_int {
    struct Chunk<'a> {
        pieces: [&'a [u8]; 2],
        next: usize,
    }
    unsafe extern "C-unwind" fn read(
        _: State,
        data: *mut std::ffi::c_void,
        size: *mut usize,
    ) -> *const std::ffi::c_char {
        // SAFETY: `data` is the chunk below, which outlives `lua_load`.
        unsafe {
            let chunk = &mut *data.cast::<Chunk<'_>>();
            while let Some(piece) = chunk.pieces.get(chunk.next) {
                chunk.next += 1;
                if !piece.is_empty() {
                    *size = piece.len();
                    return piece.as_ptr().cast();
                }
            }
            *size = 0;
            std::ptr::null()
        }
    }
    // A space in front makes text of it: only the very first byte is looked at.
    let guard: &[u8] = if source.first() == Some(&BYTECODE) { b" " } else { b"" };
    let mut chunk = Chunk { pieces: [guard, source], next: 0 };
    // SAFETY: `lua_load` catches errors itself; the chunk is plain data.
    unsafe { ffi::lua_load(state, read, (&raw mut chunk).cast(), name) }
}

/// `pcall` as Redis 7 has it: an error table of a command arrives as its text.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn pcall(state: State) -> c_int {
    // SAFETY: Lua calls this function with its own stack; the frame owns nothing and holds no interpreter.
    unsafe {
        ffi::luaL_checkany(state, 1);
        let arguments = ffi::lua_gettop(state) - 1;
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if ffi::lua_pcall(state, arguments, ffi::LUA_MULTRET, 0) != 0 {
            ffi::lua_remove(state, 1);
            if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                raw::interpreter(state).names.err.push(state);
                ffi::lua_rawget_(state, -2);
                if ffi::lua_isstring(state, -1) != 0 {
                    ffi::lua_replace(state, -2);
                } else {
                    ffi::lua_settop(state, -2);
                }
            }
            ffi::lua_pushboolean(state, 0);
            ffi::lua_insert(state, 1);
        }
        ffi::lua_gettop(state)
    }
}

/// `xpcall(function, handler)`. A handler runs where the error was raised: for an overdue script inside the hook, where
/// nothing would end it any more. It is not called then.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn xpcall(state: State) -> c_int {
    // SAFETY: Lua calls this function with its own stack; the frame owns nothing and holds no interpreter.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushcclosure(state, handle, 1);
        ffi::lua_insert(state, 1);
        let status = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        ffi::lua_pushboolean(state, c_int::from(status == 0));
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

/// Calls the handler of an `xpcall`, upvalue 1, if the script still has time.
unsafe extern "C-unwind" fn handle(state: State) -> c_int {
    // SAFETY: Lua calls this function with its own stack; the frame owns nothing and holds no interpreter.
    unsafe {
        if raw::interpreter(state).overdue {
            return 1;
        }
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 1, 1);
    }
    1
}

/// `loadstring(text [, name])`.
pub(super) unsafe fn loadstring(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        let source = raw::check_bytes(state, 1);
        let name =
            ffi::luaL_optlstring(state, 2, ffi::lua_tolstring(state, 1, std::ptr::null_mut()), std::ptr::null_mut());
        Ok(loaded(state, compile(state, source, name)))
    }
}

/// `load(function [, name])`: collects the pieces, then compiles.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn load(state: State) -> c_int {
    // SAFETY: Lua calls this function with its own stack; the frame owns nothing and holds no interpreter.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let name = ffi::luaL_optlstring(state, 2, c"=(load)".as_ptr(), std::ptr::null_mut());
        ffi::lua_settop(state, 2);
        raw::push(state, b"");
        loop {
            ffi::lua_pushvalue(state, 1);
            if ffi::lua_pcall(state, 0, 1, 0) != 0 {
                return loaded(state, ffi::LUA_ERRRUN);
            }
            match ffi::lua_type(state, -1) {
                ffi::LUA_TNIL => break,
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER if ffi::lua_objlen(state, -1) == 0 => break,
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => ffi::lua_concat(state, 2),
                _ => {
                    raw::push(state, b"reader function must return a string");
                    return loaded(state, ffi::LUA_ERRRUN);
                }
            }
        }
        ffi::lua_settop(state, 3);
        loaded(state, compile(state, raw::bytes(state, 3), name))
    }
}

/// The results of a load: the function, or nil and why.
unsafe fn loaded(state: State, status: c_int) -> c_int {
    if status == 0 {
        return 1;
    }
    // SAFETY: the message is on top of the stack.
    unsafe {
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
    }
    2
}

/// An integer as Lua 5.1 reads it, which keeps 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "as C does")]
unsafe fn check_int(state: State, argument: c_int) -> c_int {
    // SAFETY: as for the callers.
    unsafe { ffi::luaL_checkinteger(state, argument) as c_int }
}

/// `string.rep(text, count)`. Nothing, however often, is nothing.
pub(super) unsafe fn rep(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the text is built in the interpreter.
    unsafe {
        let text = raw::check_bytes(state, 1);
        let count = usize::try_from(check_int(state, 2)).unwrap_or(0);
        vm.buffer.clear();
        let length = text.len().saturating_mul(count);
        if length > vm.memory_limit {
            return Err(vm.fail_memory());
        }
        vm.buffer.reserve_exact(length);
        if length > 0 {
            vm.buffer.extend_from_slice(text);
        }
        while vm.buffer.len() < length {
            let more = vm.buffer.len().min(length - vm.buffer.len());
            vm.buffer.extend_from_within(..more);
        }
        raw::push(state, &vm.buffer);
        vm.release_buffer();
    }
    Ok(1)
}

/// `table.insert(table [, place], value)`. A place before the first moves everything from there on.
pub(super) unsafe fn insert(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing, and raw access runs no Lua code.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let mut end = c_int::try_from(ffi::lua_objlen(state, 1)).unwrap_or(c_int::MAX - 1) + 1;
        let place = match ffi::lua_gettop(state) {
            2 => end,
            3 => {
                let place = check_int(state, 2);
                end = end.max(place);
                for index in ((place.saturating_add(1))..=end).rev() {
                    vm.spend(state, 1)?;
                    ffi::lua_rawgeti_(state, 1, index - 1);
                    ffi::lua_rawseti_(state, 1, index);
                }
                place
            }
            _ => return Err(vm.fail(format_args!("wrong number of arguments to 'insert'"))),
        };
        ffi::lua_rawseti_(state, 1, place);
    }
    Ok(0)
}

/// `collectgarbage`: counts and collects; what would change the collector for later scripts does nothing.
pub(super) unsafe fn collectgarbage(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        let option = CStr::from_ptr(ffi::luaL_optlstring(state, 1, c"collect".as_ptr(), std::ptr::null_mut()));
        let argument = ffi::luaL_optinteger(state, 2, 0);
        match option.to_bytes() {
            b"count" => {
                let whole = f64::from(ffi::lua_gc(state, ffi::LUA_GCCOUNT, 0));
                ffi::lua_pushnumber(state, whole + f64::from(ffi::lua_gc(state, ffi::LUA_GCCOUNTB, 0)) / 1024.0);
            }
            b"step" => {
                let size = c_int::try_from(argument).unwrap_or(0);
                let done = ffi::lua_gc(state, ffi::LUA_GCSTEP, size);
                ffi::lua_pushboolean(state, done);
            }
            b"collect" => ffi::lua_pushnumber(state, f64::from(ffi::lua_gc(state, ffi::LUA_GCCOLLECT, 0))),
            b"stop" | b"restart" | b"setpause" | b"setstepmul" => ffi::lua_pushnumber(state, 0.0),
            other => {
                let other = String::from_utf8_lossy(other);
                vm.park(format_args!("invalid option '{other}'"));
                drop(other);
                return Err(Raise::Argument(1));
            }
        }
    }
    Ok(1)
}
