//! `cjson.decode`: reads text where it stands and builds the value on the stack.

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{config::Config, number};
use crate::embedded::lua::{
    interpreter::Interpreter,
    raw::{self, Raise, State},
};

/// Native recursion allowed, whatever `decode_max_depth` says.
const MAX_DEPTH: i64 = 2_000;

#[derive(Clone, Copy)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Comma,
    Colon,
    End,
    /// Its text is in the interpreter's buffer.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    /// With what is wrong.
    Error(&'static str),
}

impl Token {
    /// As error texts call it.
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Comma => "T_COMMA",
            Self::Colon => "T_COLON",
            Self::End => "T_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Error(what) => what,
        }
    }
}

/// Plain data: it may stand in a frame that a raise ends.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token begins, or where it is wrong.
    token_at: usize,
    depth: i64,
    config: Config,
}

/// `cjson.decode(text)`.
pub(super) unsafe fn decode(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the reader is plain data, and the argument keeps its slot.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return Err(vm.argument(1, "expected 1 argument"));
        }
        let text = raw::check_bytes(state, 1);
        if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
            return Err(vm.fail(format_args!("JSON parser does not support UTF-16 or UTF-32")));
        }
        let config = *super::config(state, vm);
        let mut reader = Reader { text, at: 0, token_at: 0, depth: 0, config };
        let token = reader.next(vm);
        reader.push_value(state, vm, token)?;
        match reader.next(vm) {
            Token::End => Ok(1),
            other => Err(reader.refuse(vm, "the end", other)),
        }
    }
}

impl Reader<'_> {
    /// The byte at an offset; 0 behind the end, as C strings end.
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn refuse(&self, vm: &mut Interpreter, expected: &str, found: Token) -> Raise {
        vm.fail(format_args!("Expected {expected} but found {} at character {}", found.name(), self.token_at + 1))
    }

    fn next(&mut self, vm: &mut Interpreter) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(self.at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.string(vm),
            b'-' | b'0'..=b'9' => {
                if !self.config.decode_invalid && number::is_invalid(&self.text[self.at..]) {
                    return Token::Error("invalid number");
                }
                return self.number();
            }
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return self.word(),
            _ => return Token::Error("invalid token"),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in
            [(&b"true"[..], Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)]
        {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.config.decode_invalid && number::is_invalid(rest) {
            return self.number();
        }
        Token::Error("invalid token")
    }

    fn number(&mut self) -> Token {
        match number::parse(&self.text[self.at..]) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn string(&mut self, vm: &mut Interpreter) -> Token {
        self.at += 1;
        vm.buffer.clear();
        loop {
            let plain =
                self.text[self.at..].iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte != 0).count();
            vm.buffer.extend_from_slice(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.byte(self.at) {
                b'"' => {
                    self.at += 1;
                    return Token::String;
                }
                b'\\' => {}
                _ => return self.broken("unexpected end of string"),
            }
            let escaped = match self.byte(self.at + 1) {
                letter @ (b'"' | b'\\' | b'/') => letter,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 12,
                b'r' => b'\r',
                b'u' => {
                    let Some((character, length)) = self.unicode() else {
                        return self.broken("invalid unicode escape code");
                    };
                    vm.buffer.extend_from_slice(&character.0[..character.1]);
                    self.at += length;
                    continue;
                }
                _ => return self.broken("invalid escape code"),
            };
            vm.buffer.push(escaped);
            self.at += 2;
        }
    }

    fn broken(&mut self, what: &'static str) -> Token {
        self.token_at = self.at;
        Token::Error(what)
    }

    fn hex(&self, at: usize) -> Option<u32> {
        (0..4).try_fold(0, |code, offset| Some(code << 4 | char::from(self.byte(at + offset)).to_digit(16)?))
    }

    /// The character of `\uXXXX` (or of two, for a surrogate pair) in UTF-8, and the length of its text.
    fn unicode(&self) -> Option<(([u8; 4], usize), usize)> {
        let mut code = self.hex(self.at + 2)?;
        let mut length = 6;
        if code & 0xF800 == 0xD800 {
            if code & 0x400 != 0 || self.byte(self.at + 6) != b'\\' || self.byte(self.at + 7) != b'u' {
                return None;
            }
            let low = self.hex(self.at + 8)?;
            if low & 0xFC00 != 0xDC00 {
                return None;
            }
            code = (((code & 0x3FF) << 10) | (low & 0x3FF)) + 0x1_0000;
            length = 12;
        }
        let mut utf8 = [0; 4];
        let count = char::from_u32(code)?.encode_utf8(&mut utf8).len();
        Some(((utf8, count), length))
    }

    unsafe fn descend(&mut self, state: State, vm: &mut Interpreter) -> Result<(), Raise> {
        self.depth += 1;
        // SAFETY: a body's callee.
        let room = unsafe { ffi::lua_checkstack(state, 4) } != 0;
        if self.depth <= self.config.decode_max_depth.min(MAX_DEPTH) && room {
            return Ok(());
        }
        Err(vm.fail(format_args!("Found too many nested data structures ({}) at character {}", self.depth, self.at)))
    }

    /// Pushes the value that begins with `token`.
    unsafe fn push_value(&mut self, state: State, vm: &mut Interpreter, token: Token) -> Result<(), Raise> {
        // SAFETY: a body's callee; the frame is plain.
        unsafe {
            match token {
                Token::String => raw::push(state, &vm.buffer),
                Token::Number(number) => ffi::lua_pushnumber(state, number),
                Token::Boolean(flag) => ffi::lua_pushboolean(state, c_int::from(flag)),
                Token::Null => ffi::lua_pushlightuserdata(state, std::ptr::null_mut()),
                Token::ObjectBegin => return self.push_object(state, vm),
                Token::ArrayBegin => return self.push_array(state, vm),
                other => return Err(self.refuse(vm, "value", other)),
            }
        }
        Ok(())
    }

    unsafe fn push_object(&mut self, state: State, vm: &mut Interpreter) -> Result<(), Raise> {
        // SAFETY: a body's callee; the frame is plain.
        unsafe {
            self.descend(state, vm)?;
            ffi::lua_createtable(state, 0, 0);
            let mut token = self.next(vm);
            if matches!(token, Token::ObjectEnd) {
                self.depth -= 1;
                return Ok(());
            }
            loop {
                if !matches!(token, Token::String) {
                    return Err(self.refuse(vm, "object key string", token));
                }
                raw::push(state, &vm.buffer);
                token = self.next(vm);
                if !matches!(token, Token::Colon) {
                    return Err(self.refuse(vm, "colon", token));
                }
                token = self.next(vm);
                self.push_value(state, vm, token)?;
                ffi::lua_rawset(state, -3);
                match self.next(vm) {
                    Token::ObjectEnd => {
                        self.depth -= 1;
                        return Ok(());
                    }
                    Token::Comma => token = self.next(vm),
                    other => return Err(self.refuse(vm, "comma or object end", other)),
                }
            }
        }
    }

    unsafe fn push_array(&mut self, state: State, vm: &mut Interpreter) -> Result<(), Raise> {
        // SAFETY: a body's callee; the frame is plain.
        unsafe {
            self.descend(state, vm)?;
            ffi::lua_createtable(state, 0, 0);
            let mut token = self.next(vm);
            if matches!(token, Token::ArrayEnd) {
                self.depth -= 1;
                return Ok(());
            }
            for index in 1.. {
                self.push_value(state, vm, token)?;
                ffi::lua_rawseti_(state, -2, index);
                match self.next(vm) {
                    Token::ArrayEnd => break,
                    Token::Comma => token = self.next(vm),
                    other => return Err(self.refuse(vm, "comma or array end", other)),
                }
            }
            self.depth -= 1;
        }
        Ok(())
    }
}
