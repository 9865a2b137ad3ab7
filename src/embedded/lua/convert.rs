//! Replies to Lua values, and a script's result to a reply, by Redis's rules.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Names,
    raw::{self, State},
};
use crate::{codec::resp::Value, embedded::number, error::Error};

/// Deepest nesting of a script's result. Redis stops at about 8,000 levels, where a client's parser has long given up;
/// here the native stack of the calling thread is the measure.
const MAX_DEPTH: usize = 1_000;

/// Pushes the Lua value of a reply, which is not an error itself. The frame owns nothing; `reply` lives beyond it.
///
/// # Safety
/// Within a protected call.
pub(super) unsafe fn push_reply(state: State, names: &Names, reply: &Value, protocol: u8) {
    // SAFETY: as the caller promises; only borrowed data is in the frame.
    unsafe {
        ffi::luaL_checkstack_(state, 6, c"reply nested too deeply".as_ptr());
        match reply {
            Value::Nil if protocol == 2 => ffi::lua_pushboolean(state, 0),
            Value::Nil => ffi::lua_pushnil(state),
            Value::Bool(flag) => ffi::lua_pushboolean(state, c_int::from(*flag)),
            Value::Int(number) => push_int(state, *number),
            Value::Bulk(bytes) => raw::push(state, bytes),
            Value::Simple(line) => push_single(state, names.ok, line.as_bytes()),
            Value::BigNumber(digits) => push_single(state, names.big_number, digits.as_bytes()),
            Value::Double(digits) if protocol == 2 => raw::push(state, digits.as_bytes()),
            Value::Double(digits) => {
                ffi::lua_createtable(state, 0, 1);
                names.double.push(state);
                ffi::lua_pushnumber(state, digits.parse().unwrap_or(f64::NAN));
                ffi::lua_rawset(state, -3);
            }
            Value::Error(error) => {
                push_single(state, names.err, error.message().as_bytes());
                names.ignore_error_stats_update.push(state);
                ffi::lua_pushboolean(state, 1);
                ffi::lua_rawset(state, -3);
            }
            Value::Array(items) | Value::Push(items) => push_array(state, names, items, protocol),
            Value::Set(items) if protocol == 2 => push_array(state, names, items, protocol),
            Value::Set(items) => {
                ffi::lua_createtable(state, 0, 1);
                names.set.push(state);
                ffi::lua_createtable(state, 0, length(items.len()));
                for item in items {
                    push_reply(state, names, item, protocol);
                    ffi::lua_pushboolean(state, 1);
                    set_or_skip(state);
                }
                ffi::lua_rawset(state, -3);
            }
            Value::Map(pairs) if protocol == 2 => {
                ffi::lua_createtable(state, length(pairs.len() * 2), 0);
                for (index, (key, value)) in pairs.iter().enumerate() {
                    push_reply(state, names, key, protocol);
                    ffi::lua_rawseti_(state, -2, length(index * 2 + 1));
                    push_reply(state, names, value, protocol);
                    ffi::lua_rawseti_(state, -2, length(index * 2 + 2));
                }
            }
            Value::Map(pairs) => {
                ffi::lua_createtable(state, 0, 1);
                names.map.push(state);
                ffi::lua_createtable(state, 0, length(pairs.len()));
                for (key, value) in pairs {
                    push_reply(state, names, key, protocol);
                    push_reply(state, names, value, protocol);
                    set_or_skip(state);
                }
                ffi::lua_rawset(state, -3);
            }
        }
    }
}

/// `table[key] = value`, unless the key is one that no table can have.
unsafe fn set_or_skip(state: State) {
    // SAFETY: table, key and value are on top of the stack.
    unsafe {
        if ffi::lua_type(state, -2) == ffi::LUA_TNIL {
            ffi::lua_settop(state, -3);
        } else {
            ffi::lua_rawset(state, -3);
        }
    }
}

unsafe fn push_array(state: State, names: &Names, items: &[Value], protocol: u8) {
    // SAFETY: as in `push_reply`.
    unsafe {
        // Where nil may be among the items, the array grows as Redis's does: the border that `#` finds depends on it.
        ffi::lua_createtable(state, if protocol == 2 { length(items.len()) } else { 0 }, 0);
        for (index, item) in items.iter().enumerate() {
            push_reply(state, names, item, protocol);
            ffi::lua_rawseti_(state, -2, length(index + 1));
        }
    }
}

unsafe fn push_single(state: State, name: super::interpreter::Name, text: &[u8]) {
    // SAFETY: as in `push_reply`.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        name.push(state);
        raw::push(state, text);
        ffi::lua_rawset(state, -3);
    }
}

#[expect(clippy::cast_precision_loss, reason = "Lua 5.1 has doubles only, on Redis too")]
unsafe fn push_int(state: State, number: i64) {
    // SAFETY: a stack slot is free.
    unsafe { ffi::lua_pushnumber(state, number as f64) }
}

/// No reply has more items than Lua can index.
fn length(items: usize) -> c_int {
    c_int::try_from(items).unwrap_or(c_int::MAX)
}

/// Takes the value on top of the stack as the script's reply.
///
/// # Safety
/// With the memory limit lifted: growing the stack must not fail. Everything else here only reads.
///
/// A table can hold another one many times, and so stand for a reply that is far larger than all tables: `limit` bounds
/// its bytes.
pub(super) unsafe fn take_result(state: State, names: &Names, protocol: u8, limit: usize) -> Value {
    let mut reader = Reader { names, protocol, left: limit };
    // SAFETY: as the caller promises.
    unsafe {
        let value = reader.read(state, 0);
        ffi::lua_settop(state, -2);
        if reader.left == 0 {
            Value::Error(Error::from_reply("ERR not enough memory for the script's reply"))
        } else {
            value
        }
    }
}

/// Reads a reply from the stack.
struct Reader<'a> {
    names: &'a Names,
    protocol: u8,
    /// Bytes that the reply may still take; at 0, nothing more is read.
    left: usize,
}

impl Reader<'_> {
    unsafe fn read(&mut self, state: State, depth: usize) -> Value {
        self.left = self.left.saturating_sub(size_of::<Value>());
        // SAFETY: a value is on top of the stack; reads are raw, and the strings read are anchored by it.
        unsafe {
            if depth >= MAX_DEPTH || ffi::lua_checkstack(state, 6) == 0 {
                return Value::Error(Error::from_reply("ERR reached lua stack limit"));
            }
            match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => {
                    let text = raw::bytes(state, -1);
                    self.left = self.left.saturating_sub(text.len());
                    Value::Bulk(if self.left == 0 { Vec::new() } else { text.to_vec() })
                }
                ffi::LUA_TNUMBER => Value::Int(truncate(ffi::lua_tonumber(state, -1))),
                ffi::LUA_TBOOLEAN => match (ffi::lua_toboolean(state, -1) != 0, self.protocol) {
                    (flag, 3) => Value::Bool(flag),
                    (true, _) => Value::Int(1),
                    (false, _) => Value::Nil,
                },
                ffi::LUA_TTABLE => self.read_table(state, depth),
                _ => Value::Nil,
            }
        }
    }

    unsafe fn read_table(&mut self, state: State, depth: usize) -> Value {
        let names = self.names;
        // SAFETY: a table is on top of the stack; reads are raw.
        unsafe {
            if let Some(text) = field(state, names.err) {
                return Value::Error(Error::from_reply(&one_line(text)));
            }
            if let Some(text) = field(state, names.ok) {
                return Value::Simple(one_line(text));
            }
            names.double.push(state);
            ffi::lua_rawget_(state, -2);
            let double = (ffi::lua_type(state, -1) == ffi::LUA_TNUMBER).then(|| ffi::lua_tonumber(state, -1));
            ffi::lua_settop(state, -2);
            if let Some(double) = double {
                return Value::Double(number::float_text(double));
            }
            for (name, is_map) in [(names.map, true), (names.set, false)] {
                name.push(state);
                ffi::lua_rawget_(state, -2);
                if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                    let reply = self.read_pairs(state, depth, is_map);
                    ffi::lua_settop(state, -2);
                    return reply;
                }
                ffi::lua_settop(state, -2);
            }
            if let Some(digits) = field(state, names.big_number) {
                return Value::BigNumber(one_line(digits));
            }
            names.verbatim_string.push(state);
            ffi::lua_rawget_(state, -2);
            if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
                let text = field(state, names.string).map(<[u8]>::to_vec);
                ffi::lua_settop(state, -2);
                if let Some(text) = text {
                    return Value::Bulk(text);
                }
            } else {
                ffi::lua_settop(state, -2);
            }
            let mut items = Vec::new();
            for index in 1.. {
                if self.left == 0 {
                    break;
                }
                ffi::lua_rawgeti_(state, -1, index);
                if ffi::lua_type(state, -1) == ffi::LUA_TNIL {
                    ffi::lua_settop(state, -2);
                    break;
                }
                items.push(self.read(state, depth + 1));
                ffi::lua_settop(state, -2);
            }
            Value::Array(items)
        }
    }

    /// The keys, and for a map the values, of the table on top of the stack.
    unsafe fn read_pairs(&mut self, state: State, depth: usize, is_map: bool) -> Value {
        let (mut pairs, mut keys) = (Vec::new(), Vec::new());
        // SAFETY: `lua_next` errs only for a key that the table does not have; these keys are its own, and a copy of each is
        // read, so that a number is never made a string in place.
        unsafe {
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                if self.left == 0 {
                    ffi::lua_settop(state, -3);
                    break;
                }
                let value = if is_map { self.read(state, depth + 1) } else { Value::Nil };
                ffi::lua_settop(state, -2);
                let key = self.read(state, depth + 1);
                if is_map {
                    pairs.push((key, value));
                } else {
                    keys.push(key);
                }
            }
        }
        if is_map { Value::Map(pairs) } else { Value::Set(keys) }
    }
}

/// Reads a field of the table on top of the stack as a string.
unsafe fn field<'a>(state: State, name: super::interpreter::Name) -> Option<&'a [u8]> {
    // SAFETY: raw reads; the table anchors the string after the pop.
    unsafe {
        name.push(state);
        ffi::lua_rawget_(state, -2);
        let text = (ffi::lua_type(state, -1) == ffi::LUA_TSTRING).then(|| raw::bytes(state, -1));
        ffi::lua_settop(state, -2);
        text
    }
}

/// A double as C casts it to a 64-bit integer on x86-64: what does not fit is the smallest.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn truncate(number: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) { number as i64 } else { i64::MIN }
}

/// Text of a status or error: without line breaks, which would end it early.
pub(super) fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(['\r', '\n'], " ")
}
