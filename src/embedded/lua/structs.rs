//! The module `struct`: values packed as C structures, version 0.2 as Redis has it.
//!
//! A format is read as C reads a string: up to a zero byte. Letters: `>` `<` byte order, `!n` alignment, `x` padding,
//! `b B h H l L i I` integers (`i` and `I` with a size), `f` `d` floats, `s` a zero-terminated string, `cn` n characters.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State, closure},
};

/// Largest integer, in bytes.
const MAX_INTEGER: usize = 32;
/// `!` without a number: the alignment of a double.
const MAX_ALIGN: usize = 8;

/// Pushes the module table.
///
/// # Safety
/// While the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn push_table(state: State) {
    let functions: [(&str, ffi::lua_CFunction); 3] =
        [("pack", closure!(pack)), ("unpack", closure!(unpack)), ("size", closure!(size))];
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 3);
        for (name, function) in functions {
            raw::push(state, name.as_bytes());
            ffi::lua_pushcclosure(state, function, 0);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// A format being read. Plain data.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    align: usize,
    /// Letters that mean nothing are skipped, as `size` does.
    lenient: bool,
}

/// One letter of a format.
struct Field {
    letter: u8,
    size: usize,
    /// Bytes of padding in front.
    padding: usize,
}

impl<'a> Format<'a> {
    fn new(text: &'a [u8]) -> Self {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        Self { rest: &text[..end], big_endian: cfg!(target_endian = "big"), align: 1, lenient: false }
    }

    /// A number at this place, or `default`.
    fn number(&mut self, vm: &mut Interpreter, default: usize) -> Result<usize, Raise> {
        let mut number = None;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            let digit = usize::from(digit - b'0');
            let so_far = number.unwrap_or(0_usize);
            if so_far > (i32::MAX as usize - digit) / 10 {
                return Err(vm.fail(format_args!("integral size overflow")));
            }
            number = Some(so_far * 10 + digit);
            self.rest = rest;
        }
        Ok(number.unwrap_or(default))
    }

    /// The next letter, at offset `at` of the data. Switches are applied on the way and come back with size 0.
    fn next(&mut self, vm: &mut Interpreter, at: usize) -> Result<Option<Field>, Raise> {
        let [letter, rest @ ..] = self.rest else { return Ok(None) };
        self.rest = rest;
        let size = match letter {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'l' | b'L' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(vm, 1)?,
            b'i' | b'I' => {
                let size = self.number(vm, 4)?;
                if size > MAX_INTEGER {
                    return Err(vm.fail(format_args!("integral size {size} is larger than limit of {MAX_INTEGER}")));
                }
                size
            }
            b's' | b' ' | b'<' | b'>' | b'!' => 0,
            other if self.lenient && other.is_ascii_alphanumeric() => 0,
            &other => {
                let other = char::from(other);
                vm.park(format_args!("invalid format option '{other}'"));
                return Err(Raise::Argument(1));
            }
        };
        let mut padding = 0;
        if size > 0 && *letter != b'c' {
            // As the original computes it, also for sizes that are no powers of two.
            let size = size.min(self.align);
            padding = size.wrapping_sub(at & size.wrapping_sub(1)) & size.wrapping_sub(1);
        }
        match letter {
            b'<' => self.big_endian = false,
            b'>' => self.big_endian = true,
            b'!' => {
                let align = self.number(vm, MAX_ALIGN)?;
                if !align.is_power_of_two() {
                    return Err(vm.fail(format_args!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            _ => {}
        }
        Ok(Some(Field { letter: *letter, size, padding }))
    }

    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }
}

/// Most bytes that one `pack` makes.
const MAX_PACKED: usize = 512 * 1024 * 1024;

/// `struct.pack(format, ..)`.
unsafe fn pack(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the packed bytes are in the interpreter, the rest is plain data.
    unsafe {
        let mut format = Format::new(raw::check_bytes(state, 1));
        // A missing argument reads as nil in error texts.
        ffi::lua_pushnil(state);
        let mut argument = 2;
        vm.buffer.clear();
        while let Some(field) = format.next(vm, vm.buffer.len())? {
            if vm.buffer.len() + field.padding + field.size > MAX_PACKED {
                return Err(vm.fail(format_args!("format result too large")));
            }
            vm.buffer.resize(vm.buffer.len() + field.padding, 0);
            match field.letter {
                b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'i' | b'I' => {
                    let number = integer(ffi::luaL_checknumber(state, argument));
                    argument += 1;
                    for place in 0..field.size {
                        let place = if format.big_endian { field.size - 1 - place } else { place };
                        // Beyond 8 bytes there is no sign, in the original either.
                        vm.buffer.push(number.to_le_bytes().get(place).copied().unwrap_or(0));
                    }
                }
                b'x' => vm.buffer.push(0),
                b'f' => {
                    #[expect(clippy::cast_possible_truncation, reason = "a float is asked for")]
                    let number = ffi::luaL_checknumber(state, argument) as f32;
                    argument += 1;
                    let bytes = format.ordered(number.to_le_bytes());
                    vm.buffer.extend_from_slice(&bytes);
                }
                b'd' => {
                    let bytes = format.ordered(ffi::luaL_checknumber(state, argument).to_le_bytes());
                    argument += 1;
                    vm.buffer.extend_from_slice(&bytes);
                }
                b'c' | b's' => {
                    let text = raw::check_bytes(state, argument);
                    argument += 1;
                    let size = if field.size == 0 { text.len() } else { field.size };
                    if text.len() < size {
                        return Err(vm.argument(argument, "string too short"));
                    }
                    vm.buffer.extend_from_slice(&text[..size]);
                    if field.letter == b's' {
                        vm.buffer.push(0);
                    }
                }
                _ => {}
            }
        }
        raw::push(state, &vm.buffer);
    }
    Ok(1)
}

/// A double as C casts it to a long, or, where it is too large, to an unsigned one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast is the purpose")]
fn integer(number: f64) -> u64 {
    if number < 9_223_372_036_854_775_807.0 {
        // What does not fit becomes the smallest, as on x86-64.
        if number >= -9_223_372_036_854_775_808.0 { (number as i64).cast_unsigned() } else { i64::MIN.cast_unsigned() }
    } else if number.is_nan() {
        i64::MIN.cast_unsigned()
    } else if number < 18_446_744_073_709_551_616.0 {
        number as u64
    } else {
        0
    }
}

/// `struct.unpack(format, bytes [, position])`: the values, and the position after them.
unsafe fn unpack(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame is plain, and the arguments keep their slots.
    unsafe {
        let mut format = Format::new(raw::check_bytes(state, 1));
        let data = raw::check_bytes(state, 2);
        let position = ffi::luaL_optinteger(state, 3, 1);
        if position == 0 {
            return Err(vm.argument(3, "offset must be 1 or greater"));
        }
        // A negative position is one far behind the end, in the original too.
        let mut at = usize::try_from(position - 1).unwrap_or(usize::MAX - 64);
        let mut results = 0;
        ffi::lua_settop(state, 2);
        while let Some(field) = format.next(vm, at)? {
            at = at.saturating_add(field.padding);
            let Some(bytes) = data.get(at..).and_then(|rest| rest.get(..field.size)) else {
                return Err(vm.argument(2, "data string too short"));
            };
            let mut size = field.size;
            ffi::luaL_checkstack_(state, 2, c"too many results".as_ptr());
            match field.letter {
                b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'i' | b'I' => {
                    let number = read_integer(bytes, format.big_endian, field.letter.is_ascii_lowercase());
                    ffi::lua_pushnumber(state, number);
                    results += 1;
                }
                b'f' => {
                    let mut four = [0; 4];
                    four.copy_from_slice(bytes);
                    ffi::lua_pushnumber(state, f64::from(f32::from_le_bytes(format.ordered(four))));
                    results += 1;
                }
                b'd' => {
                    let mut eight = [0; 8];
                    eight.copy_from_slice(bytes);
                    ffi::lua_pushnumber(state, f64::from_le_bytes(format.ordered(eight)));
                    results += 1;
                }
                b'c' => {
                    if size == 0 {
                        if results == 0 || ffi::lua_isnumber(state, -1) == 0 {
                            return Err(vm.fail(format_args!("format 'c0' needs a previous size")));
                        }
                        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
                        let previous = ffi::lua_tonumber(state, -1) as usize;
                        size = previous;
                        ffi::lua_settop(state, -2);
                        results -= 1;
                    }
                    let Some(text) = data.get(at..).and_then(|rest| rest.get(..size)) else {
                        return Err(vm.argument(2, "data string too short"));
                    };
                    raw::push(state, text);
                    results += 1;
                }
                b's' => {
                    let Some(end) = memchr::memchr(0, &data[at..]) else {
                        return Err(vm.fail(format_args!("unfinished string in data")));
                    };
                    raw::push(state, &data[at..at + end]);
                    size = end + 1;
                    results += 1;
                }
                _ => {}
            }
            at += size;
        }
        #[expect(clippy::cast_precision_loss, reason = "no string is that long")]
        ffi::lua_pushnumber(state, (at + 1) as f64);
        Ok(results + 1)
    }
}

#[expect(clippy::cast_precision_loss, reason = "Lua has doubles only")]
fn read_integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let mut number = 0_u64;
    for place in 0..bytes.len() {
        let byte = if big_endian { bytes[bytes.len() - 1 - place] } else { bytes[place] };
        // C shifts by the place modulo 64.
        number |= u64::from(byte) << (place * 8 % 64);
    }
    if !signed {
        return number as f64;
    }
    let sign = (bytes.len() * 8).wrapping_sub(1) % 64;
    let mask = u64::MAX << sign;
    if number & mask != 0 {
        number |= mask;
    }
    number.cast_signed() as f64
}

/// `struct.size(format)`: bytes of a format without strings of unknown length.
unsafe fn size(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame is plain.
    unsafe {
        let mut format = Format::new(raw::check_bytes(state, 1));
        format.lenient = true;
        let mut total = 0_usize;
        while let Some(field) = format.next(vm, total)? {
            match (field.letter, field.size) {
                (b's', _) => return Err(vm.argument(1, "option 's' has no fixed size")),
                (b'c', 0) => return Err(vm.argument(1, "option 'c0' has no fixed size")),
                _ => {}
            }
            total = total.saturating_add(field.padding).saturating_add(field.size);
        }
        #[expect(clippy::cast_precision_loss, reason = "no format is that long")]
        ffi::lua_pushnumber(state, total as f64);
    }
    Ok(1)
}
