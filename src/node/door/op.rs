//! The arguments of a call, read where they lie.

use std::{cell::RefCell, ptr};

use napi::sys;

use crate::error::{Error, ErrorCode, Result};

/// One call as its target sees it: a code, and arguments to read one after the other.
///
/// JavaScript passes strings, byte arrays, numbers (as their decimal text), booleans (as `1` and `0`) and `undefined` or
/// `null`, which the `optional_*` readers take.
pub(crate) struct Op<'a> {
    code: u16,
    flags: u16,
    arguments: Arguments<'a>,
    read: usize,
}

pub(super) enum Arguments<'a> {
    /// Values of the running native call.
    Values { env: sys::napi_env, values: &'a [sys::napi_value] },
    /// One buffer: per argument its length in four little-endian bytes (all ones: none), then its bytes.
    Packed { rest: &'a [u8], count: usize },
}

/// Length that stands for `undefined` in packed arguments.
const ABSENT: u32 = u32::MAX;

/// Strings up to about this long are read in one step into reserved room; longer ones are measured first.
const SHORT_STRING: usize = 512;

impl<'a> Op<'a> {
    pub(super) fn new(code: i32, arguments: Arguments<'a>) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two halves of 16 bits each")]
        let (code, flags) = (code as u16, (code as u32 >> 16) as u16);
        Self { code, flags, arguments, read: 0 }
    }

    /// What is asked of the target.
    pub(crate) fn code(&self) -> u16 {
        self.code
    }

    /// Takes the next argument for the code: the call goes on to another target.
    pub(crate) fn read_code(&mut self) -> Result<()> {
        let code = self.integer()?;
        self.code = u16::try_from(code).map_err(|_| self.wrong(&code.to_string(), "a code"))?;
        Ok(())
    }

    /// The upper half of the code that JavaScript passed, free for the target's use.
    pub(crate) fn flags(&self) -> u16 {
        self.flags
    }

    /// How many arguments are left to read.
    pub(crate) fn remaining(&self) -> usize {
        match &self.arguments {
            Arguments::Values { values, .. } => values.len(),
            Arguments::Packed { count, .. } => *count,
        }
    }

    /// The answer to a code that the target does not have: the two halves of the package do not match.
    pub(crate) fn unknown_code(&self) -> Error {
        Error::new(ErrorCode::Internal, format!("the native core has no operation {}", self.code))
    }

    /// Appends the next argument to `into`: a string as UTF-8 (a lone surrogate as U+FFFD), bytes as they are. Returns
    /// false, with nothing appended, when it is `undefined` or `null`, or when none is left.
    pub(crate) fn read_into(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        self.read += 1;
        match &mut self.arguments {
            Arguments::Values { env, values } => {
                let Some((&value, rest)) = values.split_first() else { return Ok(false) };
                *values = rest;
                // SAFETY: `value` is an argument of the native call that is running in `env` on this thread.
                unsafe { read_value(*env, value, into) }.map_err(|got| {
                    Error::invalid_argument(&self.read.to_string(), got, "a string, a Uint8Array or a number")
                })
            }
            Arguments::Packed { rest, count } => {
                let Some(left) = count.checked_sub(1) else { return Ok(false) };
                *count = left;
                let cut = || Error::new(ErrorCode::Internal, "packed arguments end too early");
                let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
                let length = u32::from_le_bytes(*length);
                *rest = tail;
                if length == ABSENT {
                    return Ok(false);
                }
                let (bytes, tail) = tail.split_at_checked(length as usize).ok_or_else(cut)?;
                *rest = tail;
                into.extend_from_slice(bytes);
                Ok(true)
            }
        }
    }

    /// The next argument as bytes, if it is there.
    pub(crate) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        Ok(self.read_into(&mut bytes)?.then_some(bytes))
    }

    /// The next argument as bytes.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        self.optional_bytes()?.ok_or_else(|| self.wrong("undefined", "a string or a Uint8Array"))
    }

    /// The next argument as text, if it is there.
    pub(crate) fn optional_text(&mut self) -> Result<Option<String>> {
        self.short(
            |text| Ok(text.to_owned()),
            |bytes| String::from_utf8(bytes).map_err(|_| ("not UTF-8", "a string")),
            "a string",
        )
    }

    /// Reads the next argument where all short ones are read, and keeps of it what `short` makes; a long one is kept as
    /// it was read. Room for a string of unknown length is many times as large as most strings.
    fn short<T>(
        &mut self,
        short: impl FnOnce(&str) -> Result<T, (&'static str, &'static str)>,
        long: impl FnOnce(Vec<u8>) -> Result<T, (&'static str, &'static str)>,
        allowed: &'static str,
    ) -> Result<Option<T>> {
        thread_local! {
            static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        READ.with_borrow_mut(|bytes| {
            bytes.clear();
            if !self.read_into(bytes)? {
                return Ok(None);
            }
            let kept = if bytes.len() > SHORT_STRING {
                long(std::mem::take(bytes))
            } else {
                std::str::from_utf8(bytes).map_err(|_| ("not UTF-8", allowed)).and_then(short)
            };
            kept.map(Some).map_err(|(got, allowed)| self.wrong(got, allowed))
        })
    }

    fn parsed<T: std::str::FromStr>(&mut self, got: &'static str, allowed: &'static str) -> Result<Option<T>> {
        self.short(|text| text.parse().map_err(|_| (got, allowed)), |_| Err((got, allowed)), allowed)
    }

    /// The next argument as text.
    pub(crate) fn text(&mut self) -> Result<String> {
        self.optional_text()?.ok_or_else(|| self.wrong("undefined", "a string"))
    }

    /// The next argument as a number, if it is there.
    pub(crate) fn optional_number(&mut self) -> Result<Option<f64>> {
        self.parsed("not a number", "a number")
    }

    /// The next argument as a number.
    pub(crate) fn number(&mut self) -> Result<f64> {
        self.optional_number()?.ok_or_else(|| self.wrong("undefined", "a number"))
    }

    /// The next argument as a whole number, if it is there.
    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>> {
        self.parsed("not a whole number", "a whole number")
    }

    /// The next argument as a whole number.
    pub(crate) fn integer(&mut self) -> Result<i64> {
        self.optional_integer()?.ok_or_else(|| self.wrong("undefined", "a whole number"))
    }

    /// The next argument as a boolean, if it is there.
    pub(crate) fn optional_flag(&mut self) -> Result<Option<bool>> {
        Ok(self.optional_integer()?.map(|number| number != 0))
    }

    /// The next argument as a boolean; none is false.
    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.optional_flag()?.unwrap_or(false))
    }

    /// All arguments that are left, as text.
    pub(crate) fn rest_of_texts(&mut self) -> Result<Vec<String>> {
        (0..self.remaining()).map(|_| self.text()).collect()
    }

    /// An error about the argument that was read last.
    pub(crate) fn wrong(&self, got: &str, allowed: &str) -> Error {
        Error::invalid_argument(&self.read.to_string(), got, allowed)
    }
}

/// Appends a JavaScript string or byte array; `Ok(false)` for `undefined` and `null`, and the type's name for others.
///
/// # Safety
///
/// On the thread of `env`, with a `value` of its current scope.
unsafe fn read_value(env: sys::napi_env, value: sys::napi_value, into: &mut Vec<u8>) -> Result<bool, &'static str> {
    let start = into.len();
    let mut length = 0;
    into.reserve(SHORT_STRING);
    // SAFETY: the buffer has room for `SHORT_STRING` bytes past `start`, the terminating zero among them.
    let status = unsafe {
        sys::napi_get_value_string_utf8(env, value, into.as_mut_ptr().add(start).cast(), SHORT_STRING, &raw mut length)
    };
    if status == sys::Status::napi_ok {
        // A string that did not fit is cut at a whole character, so up to three bytes before the end.
        if length + 4 < SHORT_STRING {
            // SAFETY: that many bytes were just written.
            unsafe { into.set_len(start + length) };
            return Ok(true);
        }
        // SAFETY: a null buffer asks for the length; then the buffer has room for it and the terminating zero.
        unsafe {
            sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &raw mut length);
            into.reserve(length + 1);
            let room = into.as_mut_ptr().add(start).cast();
            sys::napi_get_value_string_utf8(env, value, room, length + 1, &raw mut length);
            into.set_len(start + length);
        }
        return Ok(true);
    }
    // SAFETY: by the contract of this function; the bytes are copied at once.
    if let Some(bytes) = unsafe { view(env, value) } {
        into.extend_from_slice(bytes);
        return Ok(true);
    }
    let mut kind = 0;
    // SAFETY: any value has a type.
    unsafe { sys::napi_typeof(env, value, &raw mut kind) };
    match kind {
        sys::ValueType::napi_undefined | sys::ValueType::napi_null => Ok(false),
        sys::ValueType::napi_number => Err("a number that was not converted"),
        sys::ValueType::napi_boolean => Err("a boolean that was not converted"),
        sys::ValueType::napi_function => Err("a function"),
        sys::ValueType::napi_symbol => Err("a symbol"),
        _ => Err("an object"),
    }
}

/// The bytes of a `Buffer` or another view; `None` for other values.
///
/// # Safety
///
/// On the thread of `env`, with a `value` of its current scope, and only until JavaScript runs again.
pub(super) unsafe fn view<'a>(env: sys::napi_env, value: sys::napi_value) -> Option<&'a [u8]> {
    let (mut is_view, mut bytes, mut length) = (false, ptr::null_mut(), 0);
    // SAFETY: any value can be asked; Node ends the process when what is not a view is asked for its bytes.
    unsafe {
        let asked = sys::napi_is_buffer(env, value, &raw mut is_view);
        if asked != sys::Status::napi_ok || !is_view {
            return None;
        }
        let read = sys::napi_get_buffer_info(env, value, &raw mut bytes, &raw mut length);
        if read != sys::Status::napi_ok {
            return None;
        }
        // An empty view may have no address.
        Some(if length == 0 { &[] } else { std::slice::from_raw_parts(bytes.cast(), length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(arguments: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for argument in arguments {
            let length = argument.map_or(ABSENT, |argument| argument.len() as u32);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(argument.unwrap_or_default());
        }
        bytes
    }

    fn op(rest: &[u8], count: usize) -> Op<'_> {
        Op::new(0x0002_0007, Arguments::Packed { rest, count })
    }

    #[test]
    fn packed_arguments_are_read_by_type() {
        let bytes = packed(&[Some(b"text"), Some(b"\xff"), Some(b"-2.5"), Some(b"42"), Some(b"1"), None, Some(b"")]);
        let mut op = op(&bytes, 7);
        assert_eq!((op.code(), op.flags(), op.remaining()), (7, 2, 7));
        assert_eq!(op.text().unwrap(), "text");
        assert_eq!(op.bytes().unwrap(), b"\xff");
        assert!((op.number().unwrap() + 2.5).abs() < f64::EPSILON);
        assert_eq!(op.integer().unwrap(), 42);
        assert!(op.flag().unwrap());
        assert_eq!(op.optional_text().unwrap(), None);
        assert_eq!(op.optional_text().unwrap(), Some(String::new()));
        assert_eq!((op.remaining(), op.optional_bytes().unwrap()), (0, None));
    }

    #[test]
    fn an_argument_of_another_type_is_named_in_the_error() {
        let bytes = packed(&[Some(b"x"), Some(b"\xff"), None]);
        let mut op = op(&bytes, 3);
        assert!(op.integer().unwrap_err().message().contains("argument `1`"));
        assert!(op.text().unwrap_err().message().contains("argument `2`"));
        assert_eq!(op.bytes().unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(op.text().unwrap_err().code(), ErrorCode::InvalidArgument);
    }

    #[test]
    fn packed_arguments_that_lie_about_their_length_are_refused() {
        for bytes in [&[1, 0, 0][..], &[5, 0, 0, 0, b'x'], &[]] {
            assert_eq!(op(bytes, 1).bytes().unwrap_err().code(), ErrorCode::Internal);
        }
    }
}
