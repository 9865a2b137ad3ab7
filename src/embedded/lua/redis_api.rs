//! The table `redis`: commands, replies, and the switches that scripts of all Redis versions expect.

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
};

use mlua_sys as ffi;
use sha1::{Digest, Sha1};

use super::{
    convert,
    interpreter::{COMMAND_EFFORT, Interpreter},
    raw::{self, Raise, State, closure},
};
use crate::{codec::resp::Value, embedded::number};

/// The version whose commands and errors the engine follows.
pub(in crate::embedded) const REDIS_VERSION: &str = "7.2.4";
const REDIS_VERSION_NUMBER: f64 = 459_268.0;

/// Pushes the table.
///
/// # Safety
/// While the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn push_table(state: State) {
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 24);
        let functions: [(&str, ffi::lua_CFunction); 12] = [
            ("call", closure!(call)),
            ("pcall", closure!(pcall)),
            ("error_reply", closure!(error_reply)),
            ("status_reply", closure!(status_reply)),
            ("sha1hex", closure!(sha1hex)),
            ("log", closure!(log)),
            ("setresp", closure!(setresp)),
            ("set_repl", closure!(set_repl)),
            ("replicate_commands", closure!(replicate_commands)),
            ("acl_check_cmd", closure!(acl_check_cmd)),
            ("breakpoint", closure!(breakpoint)),
            ("debug", closure!(debug)),
        ];
        for (name, function) in functions {
            raw::push(state, name.as_bytes());
            ffi::lua_pushcclosure(state, function, 0);
            ffi::lua_rawset(state, -3);
        }
        let numbers = [
            ("LOG_DEBUG", 0.0),
            ("LOG_VERBOSE", 1.0),
            ("LOG_NOTICE", 2.0),
            ("LOG_WARNING", 3.0),
            ("REPL_NONE", 0.0),
            ("REPL_AOF", 1.0),
            ("REPL_REPLICA", 2.0),
            ("REPL_SLAVE", 2.0),
            ("REPL_ALL", 3.0),
            ("REDIS_VERSION_NUM", REDIS_VERSION_NUMBER),
        ];
        for (name, number) in numbers {
            raw::push(state, name.as_bytes());
            ffi::lua_pushnumber(state, number);
            ffi::lua_rawset(state, -3);
        }
        raw::push(state, b"REDIS_VERSION");
        raw::push(state, REDIS_VERSION.as_bytes());
        ffi::lua_rawset(state, -3);
    }
}

/// `redis.call`: an error is raised.
unsafe fn call(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe { run_command(state, vm, true) }
}

/// `redis.pcall`: an error is a table.
unsafe fn pcall(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe { run_command(state, vm, false) }
}

/// Reads the arguments where they stand, runs the command, and pushes its reply. The reply is parked in the interpreter
/// while it is converted, so that an error in between leaks nothing.
unsafe fn run_command(state: State, vm: &mut Interpreter, raises: bool) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing. The panic guard encloses the host only, which knows nothing of Lua.
    unsafe {
        if let Err(how) = collect_arguments(state, vm) {
            return fail(state, vm, how, raises);
        }
        // A script may spend its time in commands, with few instructions in between.
        if vm.is_overdue(state, COMMAND_EFFORT) {
            return Err(vm.fail_overdue());
        }
        let Some(mut host) = vm.host.filter(|_| vm.panic.is_none()) else {
            return Err(vm.fail_reply("redis.call/pcall can only be called inside a script invocation"));
        };
        let arguments: &[&[u8]] = &vm.arguments;
        match catch_unwind(AssertUnwindSafe(|| host.as_mut().call(arguments))) {
            Ok(reply) => vm.reply = Some(reply),
            Err(payload) => {
                vm.panic = Some(payload);
                return Err(vm.fail_reply("the engine failed"));
            }
        }
        match &vm.reply {
            Some(Value::Error(error)) => {
                vm.message.clear();
                vm.message.extend_from_slice(error.message().as_bytes());
                vm.reply = None;
                raw::push_error_table(state, vm, true);
                return if raises { Err(Raise::Top) } else { Ok(1) };
            }
            Some(reply) => convert::push_reply(state, &vm.names, reply, vm.protocol),
            None => ffi::lua_pushnil(state),
        }
        vm.reply = None;
    }
    Ok(1)
}

/// An error of the call itself: raised by `call`, returned by `pcall`.
unsafe fn fail(state: State, vm: &mut Interpreter, how: Raise, raises: bool) -> Result<c_int, Raise> {
    if raises {
        return Err(how);
    }
    // SAFETY: a body.
    unsafe { raw::push_error_table(state, vm, false) };
    Ok(1)
}

/// Points `vm.arguments` at the arguments of a command. Numbers are written to `vm.buffer` first,
/// each with a zero byte after it.
unsafe fn collect_arguments(state: State, vm: &mut Interpreter) -> Result<(), Raise> {
    vm.arguments.clear();
    vm.buffer.clear();
    // SAFETY: a body; the frame owns nothing that a raising call could leave behind: `lua_tolstring` of a string only reads.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err(vm.fail_reply("Please specify at least one argument for this redis lib call"));
        }
        for index in 1..=count {
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => vm.arguments.push(raw::bytes(state, index)),
                ffi::LUA_TNUMBER => {
                    write_number(&mut vm.buffer, ffi::lua_tonumber(state, index));
                    vm.buffer.push(0);
                    vm.arguments.push(&[]);
                }
                _ => return Err(vm.fail_reply("Lua redis lib command arguments must be strings or integers")),
            }
        }
        // Only now, when the buffer no longer moves.
        let mut numbers = vm.buffer.split(|&byte| byte == 0);
        if !vm.buffer.is_empty() {
            for (argument, index) in vm.arguments.iter_mut().zip(1..) {
                if ffi::lua_type(state, index) == ffi::LUA_TNUMBER {
                    let text = numbers.next().unwrap_or_default();
                    *argument = slice::from_raw_parts(text.as_ptr(), text.len());
                }
            }
        }
    }
    Ok(())
}

/// A number as a command's argument: an integer without exponent, anything else in the fewest digits that read back.
fn write_number(into: &mut Vec<u8>, number: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 && (number != 0.0 || number.is_sign_positive()) {
        into.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
    } else {
        into.extend_from_slice(number::float_text(number).as_bytes());
    }
}

/// `redis.error_reply(text)`: `{err = text}`, with `ERR` in front of a single word.
unsafe fn error_reply(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 || ffi::lua_type(state, 1) != ffi::LUA_TSTRING {
            vm.park(format_args!("ERR wrong number or type of arguments"));
        } else {
            let text = raw::bytes(state, 1);
            // A C string, to Redis.
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            let text = text.strip_prefix(b"-").unwrap_or(text);
            let (code, text) = match text.iter().position(|&byte| byte == b' ') {
                Some(space) => (&text[..space], &text[space + 1..]),
                None => (&b"ERR"[..], text),
            };
            vm.message.clear();
            vm.message.extend_from_slice(code);
            vm.message.push(b' ');
            vm.message.extend_from_slice(trim_line_breaks(text));
        }
        raw::push_error_table(state, vm, false);
    }
    Ok(1)
}

fn trim_line_breaks(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// `redis.status_reply(text)`: `{ok = text}`.
unsafe fn status_reply(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 || ffi::lua_type(state, 1) != ffi::LUA_TSTRING {
            vm.park(format_args!("ERR wrong number or type of arguments"));
            raw::push_error_table(state, vm, false);
        } else {
            ffi::lua_createtable(state, 0, 0);
            vm.names.ok.push(state);
            ffi::lua_pushvalue(state, 1);
            ffi::lua_rawset(state, -3);
        }
    }
    Ok(1)
}

/// `redis.sha1hex(text)`.
unsafe fn sha1hex(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the digest is plain data.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return Err(vm.fail_reply("wrong number of arguments"));
        }
        raw::push(state, &hex_digest(raw::bytes(state, 1)));
    }
    Ok(1)
}

/// The SHA-1 of some bytes, as 40 lower-case digits.
pub(super) fn hex_digest(bytes: &[u8]) -> [u8; 40] {
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(Sha1::digest(bytes)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}

/// `redis.log(level, text, ..)`.
unsafe fn log(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; what is logged stands in the interpreter.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count < 2 {
            return Err(vm.fail_reply("redis.log() requires two arguments or more."));
        }
        if ffi::lua_isnumber(state, 1) == 0 {
            return Err(vm.fail_reply("First argument must be a number (log level)."));
        }
        let level = ffi::lua_tonumber(state, 1).trunc();
        if !(0.0..=3.0).contains(&level) {
            return Err(vm.fail_reply("Invalid debug level."));
        }
        vm.buffer.clear();
        for index in 2..=count {
            if index > 2 {
                vm.buffer.push(b' ');
            }
            let text = raw::bytes(state, index);
            vm.buffer.extend_from_slice(text);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 3")]
        let level = level as u8;
        if let Some(mut host) = vm.host.filter(|_| vm.panic.is_none())
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| host.as_mut().log(level, &vm.buffer)))
        {
            vm.panic = Some(payload);
            return Err(vm.fail_reply("the engine failed"));
        }
    }
    Ok(0)
}

/// `redis.setresp(2 | 3)`.
unsafe fn setresp(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return Err(vm.fail_reply("redis.setresp() requires one argument."));
        }
        let version = ffi::lua_tonumber(state, 1).trunc();
        vm.protocol = match version {
            2.0 => 2,
            3.0 => 3,
            _ => return Err(vm.fail_reply("RESP version must be 2 or 3.")),
        };
        if let Some(mut host) = vm.host.filter(|_| vm.panic.is_none()) {
            host.as_mut().set_protocol(vm.protocol);
        }
    }
    Ok(0)
}

/// `redis.set_repl(flags)`: checked, and without effect: there are no replicas, and the journal always holds everything.
unsafe fn set_repl(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return Err(vm.fail_reply("redis.set_repl() requires two arguments."));
        }
        let flags = ffi::lua_tonumber(state, 1).trunc();
        if !(0.0..=3.0).contains(&flags) {
            let text = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
            return Err(vm.fail_reply(text));
        }
    }
    Ok(0)
}

/// `redis.replicate_commands()`: effects are all that is ever kept.
unsafe fn replicate_commands(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe { ffi::lua_pushboolean(state, 1) };
    Ok(1)
}

/// `redis.acl_check_cmd(command, ..)`: there are no users; every known command is allowed.
unsafe fn acl_check_cmd(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        collect_arguments(state, vm)?;
        let known = vm.host.is_some_and(|host| host.as_ref().knows(vm.arguments[0]));
        if !known {
            return Err(vm.fail_reply("Invalid command passed to redis.acl_check_cmd()"));
        }
        ffi::lua_pushboolean(state, 1);
    }
    Ok(1)
}

/// `redis.breakpoint()`: there is no debugger.
unsafe fn breakpoint(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe { ffi::lua_pushboolean(state, 0) };
    Ok(1)
}

/// `redis.debug(..)`: there is no debugger.
unsafe fn debug(_: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    Ok(0)
}
