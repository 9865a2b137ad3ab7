//! The module `cmsgpack`, as version 0.4.0 behaves that Redis has.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State, closure},
};

/// Tables nested deeper are written as nil.
const MAX_PACK_DEPTH: usize = 16;
/// Values nested deeper are refused: the native stack is the measure.
const MAX_UNPACK_DEPTH: usize = 1_000;

/// Pushes the module table.
///
/// # Safety
/// While the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn push_table(state: State) {
    let functions: [(&str, ffi::lua_CFunction); 4] = [
        ("pack", closure!(pack)),
        ("unpack", closure!(unpack)),
        ("unpack_one", closure!(unpack_one)),
        ("unpack_limit", closure!(unpack_limit)),
    ];
    let texts = [
        ("_NAME", "cmsgpack"),
        ("_VERSION", "lua-cmsgpack 0.4.0"),
        ("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo"),
        ("_DESCRIPTION", "MessagePack C implementation for Lua"),
    ];
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 8);
        for (name, function) in functions {
            raw::push(state, name.as_bytes());
            ffi::lua_pushcclosure(state, function, 0);
            ffi::lua_rawset(state, -3);
        }
        for (name, text) in texts {
            raw::push(state, name.as_bytes());
            raw::push(state, text.as_bytes());
            ffi::lua_rawset(state, -3);
        }
    }
}

/// `cmsgpack.pack(value, ..)`: the values one after the other.
unsafe fn pack(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the packed bytes are in the interpreter.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err(vm.argument(0, "MessagePack pack needs input."));
        }
        if ffi::lua_checkstack(state, 4) == 0 {
            return Err(vm.argument(0, "Too many arguments for MessagePack pack."));
        }
        vm.buffer.clear();
        for argument in 1..=count {
            ffi::lua_pushvalue(state, argument);
            write(state, vm, 0)?;
        }
        raw::push(state, &vm.buffer);
    }
    Ok(1)
}

/// Appends the value on top of the stack and pops it. Grows the stack by at most three slots a level.
unsafe fn write(state: State, vm: &mut Interpreter, depth: usize) -> Result<(), Raise> {
    // SAFETY: a body's callee; the frame owns nothing.
    unsafe {
        ffi::luaL_checkstack_(state, 6, c"in function mp_encode_lua_type".as_ptr());
        vm.spend(state, 1)?;
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => {
                let text = raw::bytes(state, -1);
                vm.spend(state, text.len() as u64 / 8)?;
                write_string(&mut vm.buffer, text);
            }
            ffi::LUA_TBOOLEAN => vm.buffer.push(if ffi::lua_toboolean(state, -1) == 0 { 0xC2 } else { 0xC3 }),
            ffi::LUA_TNUMBER => write_number(&mut vm.buffer, ffi::lua_tonumber(state, -1)),
            ffi::LUA_TTABLE if depth < MAX_PACK_DEPTH => write_table(state, vm, depth)?,
            _ => vm.buffer.push(0xC0),
        }
        ffi::lua_settop(state, -2);
    }
    Ok(())
}

/// The header of a string, array or map: the small form where `length` is below `small`, else 8 (strings), 16 or 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "each length is checked, and none reaches 32 bits")]
fn write_header(into: &mut Vec<u8>, length: usize, small: (usize, u8), bits_8: Option<u8>, bits_16: u8) {
    if length < small.0 {
        into.push(small.1 | length as u8);
    } else if let (Some(code), true) = (bits_8, length <= 0xFF) {
        into.extend_from_slice(&[code, length as u8]);
    } else if length <= 0xFFFF {
        into.push(bits_16);
        into.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        into.push(bits_16 + 1);
        into.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

fn write_string(into: &mut Vec<u8>, text: &[u8]) {
    write_header(into, text.len(), (32, 0xA0), Some(0xD9), 0xDA);
    into.extend_from_slice(text);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::cast_sign_loss,
    reason = "each cast is checked by casting back, or by a range"
)]
fn write_number(into: &mut Vec<u8>, number: f64) {
    let whole = number as i64;
    // 2^63 casts to the largest integer here and to the smallest in C: no integer.
    if whole as f64 == number && number < 9_223_372_036_854_775_808.0 {
        match whole {
            -32..=0x7F => into.push(whole as u8),
            0x80..=0xFF => into.extend_from_slice(&[0xCC, whole as u8]),
            0x100..=0xFFFF => {
                into.push(0xCD);
                into.extend_from_slice(&(whole as u16).to_be_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                into.push(0xCE);
                into.extend_from_slice(&(whole as u32).to_be_bytes());
            }
            0x1_0000_0000.. => {
                into.push(0xCF);
                into.extend_from_slice(&whole.to_be_bytes());
            }
            -128..=-33 => into.extend_from_slice(&[0xD0, whole as u8]),
            -32_768..=-129 => {
                into.push(0xD1);
                into.extend_from_slice(&(whole as i16).to_be_bytes());
            }
            -2_147_483_648..=-32_769 => {
                into.push(0xD2);
                into.extend_from_slice(&(whole as i32).to_be_bytes());
            }
            _ => {
                into.push(0xD3);
                into.extend_from_slice(&whole.to_be_bytes());
            }
        }
    } else if f64::from(number as f32) == number {
        into.push(0xCA);
        into.extend_from_slice(&(number as f32).to_be_bytes());
    } else {
        into.push(0xCB);
        into.extend_from_slice(&number.to_be_bytes());
    }
}

/// Writes the table on top of the stack: an array when its keys are 1 to n, else a map.
unsafe fn write_table(state: State, vm: &mut Interpreter, depth: usize) -> Result<(), Raise> {
    // SAFETY: a body's callee; the frame owns nothing.
    unsafe {
        let (mut count, mut largest, mut is_array) = (0_usize, 0.0_f64, true);
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_settop(state, -2);
            count += 1;
            let is_number = ffi::lua_type(state, -1) == ffi::LUA_TNUMBER;
            let key = if is_number { ffi::lua_tonumber(state, -1) } else { 0.0 };
            if !is_number || key <= 0.0 || key.fract() != 0.0 || key > f64::from(i32::MAX) {
                is_array = false;
            }
            largest = largest.max(key);
        }
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "far below 2^53")]
        let is_array = is_array && largest == count as f64;
        if is_array {
            let length = ffi::lua_objlen(state, -1);
            write_header(&mut vm.buffer, length, (16, 0x90), None, 0xDC);
            for index in 1..=c_int::try_from(length).unwrap_or(c_int::MAX) {
                ffi::lua_rawgeti_(state, -1, index);
                write(state, vm, depth + 1)?;
            }
        } else {
            write_header(&mut vm.buffer, count, (16, 0x80), None, 0xDE);
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                ffi::lua_pushvalue(state, -2);
                write(state, vm, depth + 1)?;
                write(state, vm, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// `cmsgpack.unpack(bytes)`: all values.
unsafe fn unpack(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe { unpack_some(state, vm, 0, 0) }
}

/// `cmsgpack.unpack_one(bytes [, offset])`: the next offset (-1 at the end) and one value.
unsafe fn unpack_one(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe {
        let offset = int(ffi::luaL_optinteger(state, 2, 0));
        ffi::lua_settop(state, 1);
        unpack_some(state, vm, 1, offset)
    }
}

/// `cmsgpack.unpack_limit(bytes, limit [, offset])`: the next offset (-1 at the end) and up to `limit` values.
unsafe fn unpack_limit(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body.
    unsafe {
        let limit = int(ffi::luaL_checkinteger(state, 2));
        let offset = int(ffi::luaL_optinteger(state, 3, 0));
        ffi::lua_settop(state, 1);
        unpack_some(state, vm, limit, offset)
    }
}

/// C takes an `int`.
#[expect(clippy::cast_possible_truncation, reason = "as C does")]
fn int(number: ffi::lua_Integer) -> i32 {
    number as i32
}

unsafe fn unpack_some(state: State, vm: &mut Interpreter, limit: i32, offset: i32) -> Result<c_int, Raise> {
    // SAFETY: a body's callee; the reader is plain data, and the argument keeps its slot.
    unsafe {
        let bytes = raw::check_bytes(state, 1);
        let length = bytes.len();
        let (Ok(start), Ok(most)) = (usize::try_from(offset), usize::try_from(limit)) else {
            return Err(
                vm.fail(format_args!("Invalid request to unpack with offset of {offset} and limit of {length}."))
            );
        };
        let Some(rest) = bytes.get(start..) else {
            return Err(vm.fail(format_args!("Start offset {offset} greater than input length {length}.")));
        };
        let all = limit == 0 && offset == 0;
        let mut reader = Reader { rest };
        let mut count = 0;
        while !reader.rest.is_empty() && (all || count < most) {
            match reader.push(state, 0) {
                Ok(()) => count += 1,
                Err(Broken::Short) => return Err(vm.fail(format_args!("Missing bytes in input."))),
                Err(Broken::Format) => return Err(vm.fail(format_args!("Bad data format in input."))),
            }
        }
        let mut results = c_int::try_from(count).unwrap_or(c_int::MAX);
        if !all {
            #[expect(clippy::cast_precision_loss, reason = "no string is that long")]
            let next = if reader.rest.is_empty() { -1.0 } else { (length - reader.rest.len()) as f64 };
            ffi::luaL_checkstack_(state, 1, c"in function mp_unpack_full".as_ptr());
            ffi::lua_pushnumber(state, next);
            ffi::lua_insert(state, 2);
            results += 1;
        }
        Ok(results)
    }
}

/// Why bytes cannot be unpacked.
#[derive(Clone, Copy)]
enum Broken {
    Short,
    Format,
}

/// What is left of the input. Plain data.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A big-endian number of `count` bytes, at most 8.
    fn number(&mut self, count: usize) -> Result<u64, Broken> {
        Ok(self.take(count)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, count: usize) -> Result<usize, Broken> {
        Ok(usize::try_from(self.number(count)?).unwrap_or(usize::MAX))
    }

    /// Pushes the next value.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        reason = "the format defines these reinterpretations; Lua has doubles only"
    )]
    unsafe fn push(&mut self, state: State, depth: usize) -> Result<(), Broken> {
        // SAFETY: a body's callee; the frame is plain.
        unsafe {
            ffi::luaL_checkstack_(state, 4, c"in function mp_decode_to_lua_type".as_ptr());
            if depth > MAX_UNPACK_DEPTH {
                return Err(Broken::Format);
            }
            let first = self.take(1)?[0];
            match first {
                0x00..=0x7F => ffi::lua_pushnumber(state, f64::from(first)),
                0xE0..=0xFF => ffi::lua_pushnumber(state, f64::from(first.cast_signed())),
                0x80..=0x8F => return self.push_map(state, usize::from(first & 15), depth),
                0x90..=0x9F => return self.push_array(state, usize::from(first & 15), depth),
                0xA0..=0xBF => raw::push(state, self.take(usize::from(first & 31))?),
                0xC0 => ffi::lua_pushnil(state),
                0xC2 | 0xC3 => ffi::lua_pushboolean(state, c_int::from(first == 0xC3)),
                0xCA => ffi::lua_pushnumber(state, f64::from(f32::from_bits(self.number(4)? as u32))),
                0xCB => ffi::lua_pushnumber(state, f64::from_bits(self.number(8)?)),
                0xCC..=0xCF => ffi::lua_pushnumber(state, self.number(1 << (first - 0xCC))? as i64 as f64),
                0xD0 => ffi::lua_pushnumber(state, f64::from(self.number(1)? as i8)),
                0xD1 => ffi::lua_pushnumber(state, f64::from(self.number(2)? as i16)),
                0xD2 => ffi::lua_pushnumber(state, f64::from(self.number(4)? as i32)),
                0xD3 => ffi::lua_pushnumber(state, self.number(8)? as i64 as f64),
                0xD9..=0xDB => {
                    let length = self.length(1 << (first - 0xD9))?;
                    raw::push(state, self.take(length)?);
                }
                0xDC | 0xDD => {
                    let length = self.length(if first == 0xDC { 2 } else { 4 })?;
                    return self.push_array(state, length, depth);
                }
                0xDE | 0xDF => {
                    let length = self.length(if first == 0xDE { 2 } else { 4 })?;
                    return self.push_map(state, length, depth);
                }
                _ => return Err(Broken::Format),
            }
        }
        Ok(())
    }

    unsafe fn push_array(&mut self, state: State, length: usize, depth: usize) -> Result<(), Broken> {
        // SAFETY: as `push`. The table grows with what really comes, whatever the header says.
        unsafe {
            ffi::lua_createtable(state, 0, 0);
            for index in 1..=length {
                self.push(state, depth + 1)?;
                ffi::lua_rawseti_(state, -2, c_int::try_from(index).unwrap_or(c_int::MAX));
            }
        }
        Ok(())
    }

    unsafe fn push_map(&mut self, state: State, length: usize, depth: usize) -> Result<(), Broken> {
        // SAFETY: as `push`.
        unsafe {
            ffi::lua_createtable(state, 0, 0);
            for _ in 0..length {
                self.push(state, depth + 1)?;
                self.push(state, depth + 1)?;
                // What no table has as a key, the original raises an error for.
                if ffi::lua_type(state, -2) == ffi::LUA_TNIL || is_nan(state, -2) {
                    return Err(Broken::Format);
                }
                ffi::lua_rawset(state, -3);
            }
        }
        Ok(())
    }
}

unsafe fn is_nan(state: State, index: c_int) -> bool {
    // SAFETY: a body's callee.
    unsafe { ffi::lua_type(state, index) == ffi::LUA_TNUMBER && ffi::lua_tonumber(state, index).is_nan() }
}
