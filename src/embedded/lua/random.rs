//! The pseudo-random numbers of scripts: the 48-bit generator of `lrand48`. As on Redis, every engine begins with the same
//! number, and goes on from script to script.

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{Raise, State},
};

/// One more than the largest draw.
const RANGE: u32 = i32::MAX as u32;

/// The state of the generator.
pub(super) struct Random(u64);

impl Random {
    /// As an engine begins.
    pub(super) fn unseeded() -> Self {
        Self(0x1234_ABCD_330E)
    }

    pub(super) fn seeded(seed: u32) -> Self {
        Self((u64::from(seed) << 16) | 0x330E)
    }

    /// 31 bits.
    pub(super) fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        u32::try_from(self.0 >> 17).unwrap_or(0)
    }
}

/// `math.random([m [, n]])`.
pub(super) unsafe fn random(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    let unit = f64::from(vm.random.draw() % RANGE) / f64::from(RANGE);
    // SAFETY: a body; the frame owns nothing.
    unsafe {
        let number = match ffi::lua_gettop(state) {
            0 => unit,
            1 => {
                let upper = ffi::luaL_checkinteger(state, 1);
                if upper < 1 {
                    return Err(vm.argument(1, "interval is empty"));
                }
                (unit * whole(upper)).floor() + 1.0
            }
            2 => {
                let (lower, upper) = (ffi::luaL_checkinteger(state, 1), ffi::luaL_checkinteger(state, 2));
                if lower > upper {
                    return Err(vm.argument(2, "interval is empty"));
                }
                (unit * (whole(upper) - whole(lower) + 1.0)).floor() + whole(lower)
            }
            _ => return Err(vm.fail(format_args!("wrong number of arguments"))),
        };
        ffi::lua_pushnumber(state, number);
    }
    Ok(1)
}

/// `math.randomseed(seed)`.
pub(super) unsafe fn seed(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing.
    let seed = unsafe { ffi::luaL_checkinteger(state, 1) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the generator takes 32 bits")]
    let seed = seed as u32;
    vm.random = Random::seeded(seed);
    Ok(0)
}

#[expect(clippy::cast_precision_loss, reason = "as Lua itself computes")]
fn whole(number: ffi::lua_Integer) -> f64 {
    number as f64
}
