//! The module `bit`: operations on 32-bit integers, with results in the signed range.

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State, closure},
};

/// Pushes the module table.
///
/// # Safety
/// While the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn push_table(state: State) {
    let functions: [(&str, ffi::lua_CFunction); 12] = [
        ("tobit", closure!(tobit)),
        ("bnot", closure!(bnot)),
        ("band", closure!(band)),
        ("bor", closure!(bor)),
        ("bxor", closure!(bxor)),
        ("lshift", closure!(lshift)),
        ("rshift", closure!(rshift)),
        ("arshift", closure!(arshift)),
        ("rol", closure!(rol)),
        ("ror", closure!(ror)),
        ("bswap", closure!(bswap)),
        ("tohex", closure!(tohex)),
    ];
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 12);
        for (name, function) in functions {
            raw::push(state, name.as_bytes());
            ffi::lua_pushcclosure(state, function, 0);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// An argument modulo 2^32, rounded half to even. The sum with 2^52 + 2^51 leaves the integer in the low bits of the double.
unsafe fn bits(state: State, argument: c_int) -> u32 {
    // SAFETY: a body's callee.
    unsafe {
        let number = ffi::lua_tonumber(state, argument);
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
        let bits = (number + 6_755_399_441_055_744.0).to_bits() as u32;
        if bits == 0 && ffi::lua_isnumber(state, argument) == 0 {
            ffi::luaL_typerror(state, argument, c"number".as_ptr());
        }
        bits
    }
}

unsafe fn give(state: State, bits: u32) -> Result<c_int, Raise> {
    // SAFETY: a body's callee; a slot is free.
    unsafe { ffi::lua_pushnumber(state, f64::from(bits.cast_signed())) };
    Ok(1)
}

macro_rules! operations {
    (unary { $($one:ident = $unary:expr;)+ } fold { $($many:ident = $fold:expr;)+ } shift { $($two:ident = $shift:expr;)+ }) => {
        $(unsafe fn $one(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
            let operation: fn(u32) -> u32 = $unary;
            // SAFETY: a body; the frame owns nothing.
            unsafe { give(state, operation(bits(state, 1))) }
        })+
        $(unsafe fn $many(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
            let operation: fn(u32, u32) -> u32 = $fold;
            // SAFETY: a body; the frame owns nothing.
            unsafe {
                let mut result = bits(state, 1);
                for argument in (2..=ffi::lua_gettop(state)).rev() {
                    result = operation(result, bits(state, argument));
                }
                give(state, result)
            }
        })+
        $(unsafe fn $two(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
            let operation: fn(u32, u32) -> u32 = $shift;
            // SAFETY: a body; the frame owns nothing.
            unsafe { give(state, operation(bits(state, 1), bits(state, 2) & 31)) }
        })+
    };
}

operations! {
    unary {
    tobit = |a| a;
    bnot = |a| !a;
    bswap = u32::swap_bytes;
    }
    fold {
    band = |a, b| a & b;
    bor = |a, b| a | b;
    bxor = |a, b| a ^ b;
    }
    shift {
    lshift = |a, n| a << n;
    rshift = |a, n| a >> n;
    arshift = |a, n| (a.cast_signed() >> n).cast_unsigned();
    rol = u32::rotate_left;
    ror = u32::rotate_right;
    }
}

/// `bit.tohex(number [, digits])`: a negative count asks for capitals.
unsafe fn tohex(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        let number = bits(state, 1);
        let count = if ffi::lua_type(state, 2) == ffi::LUA_TNONE { 8 } else { bits(state, 2).cast_signed() };
        let digits: &[u8; 16] = if count < 0 { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        let count = usize::try_from(count.unsigned_abs().min(8)).unwrap_or(8);
        let mut text = [0; 8];
        for (place, byte) in text[..count].iter_mut().rev().enumerate() {
            *byte = digits[usize::try_from(number >> (4 * place) & 15).unwrap_or(0)];
        }
        raw::push(state, &text[..count]);
    }
    Ok(1)
}
