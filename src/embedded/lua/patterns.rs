//! `string.find`, `match`, `gmatch` and `gsub`, with their time and their depth bounded.
//!
//! Lua's own matcher backtracks inside one C call, where no instruction hook looks: a short pattern on a short string can
//! keep it busy for ever (`('a?'):rep(40)..('a'):rep(40)`), and a long one overflows the native stack. This one does the
//! same, step by step, looks at the clock now and then, and gives up on patterns nested too deeply.
//!
//! A match runs no Lua code, but its errors leave by a jump; so frames own nothing, and the interpreter is looked up only
//! for the moment in which it is needed.

use std::ffi::{CStr, c_int};

use mlua_sys as ffi;

use super::raw::{self, Raise, State};

const ESCAPE: u8 = b'%';
const SPECIALS: &[u8] = b"^$*+?.([%-";
const MOST_CAPTURES: usize = 32;
/// Nested matches: each costs a frame of the native stack.
const MAX_DEPTH: usize = 200;
/// Steps between two looks at the clock.
const STEPS: u64 = 100_000;

/// What a pair of parentheses matched.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    length: Length,
}

#[derive(Clone, Copy)]
enum Length {
    Open,
    /// `()`: only the place counts.
    Position,
    Closed(usize),
}

struct Matcher<'a> {
    state: State,
    text: &'a [u8],
    /// Up to its first zero byte, where Lua 5.1 takes it to end.
    pattern: &'a [u8],
    level: usize,
    captures: [Capture; MOST_CAPTURES],
    depth: usize,
    steps: u64,
}

impl<'a> Matcher<'a> {
    /// # Safety
    /// Within a protected call, like every method of it, in frames that own nothing.
    unsafe fn new(state: State, text: &'a [u8], pattern: &'a [u8]) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        Self {
            state,
            text,
            pattern: &pattern[..end],
            level: 0,
            captures: [Capture { start: 0, length: Length::Open }; MOST_CAPTURES],
            depth: 0,
            steps: 0,
        }
    }

    unsafe fn fail(&self, message: &str) -> ! {
        // SAFETY: as `new` demands; nobody else holds the interpreter while a match runs.
        unsafe {
            let vm = raw::interpreter(self.state);
            vm.park(format_args!("{message}"));
            raw::raise(self.state, vm, Raise::At)
        }
    }

    /// Counts one step.
    unsafe fn step(&mut self) {
        self.steps += 1;
        if self.steps >= STEPS {
            let effort = std::mem::take(&mut self.steps);
            // SAFETY: as in `fail`.
            unsafe {
                let vm = raw::interpreter(self.state);
                if vm.is_overdue(self.state, effort) {
                    let how = vm.fail_overdue();
                    raw::raise(self.state, vm, how);
                }
            }
        }
    }

    /// The pattern's byte at a place; zero behind its end.
    fn at(&self, p: usize) -> u8 {
        self.pattern.get(p).copied().unwrap_or(0)
    }

    /// Where the single item that starts at `p` ends.
    unsafe fn item_end(&self, mut p: usize) -> usize {
        // SAFETY: as `new` demands.
        unsafe {
            let first = self.at(p);
            p += 1;
            match first {
                ESCAPE => {
                    if self.at(p) == 0 {
                        self.fail("malformed pattern (ends with '%')");
                    }
                    p + 1
                }
                b'[' => {
                    if self.at(p) == b'^' {
                        p += 1;
                    }
                    loop {
                        let byte = self.at(p);
                        if byte == 0 {
                            self.fail("malformed pattern (missing ']')");
                        }
                        p += 1;
                        if byte == ESCAPE && self.at(p) != 0 {
                            p += 1;
                        }
                        if self.at(p) == b']' {
                            return p + 1;
                        }
                    }
                }
                _ => p,
            }
        }
    }

    /// Whether a byte is in the set from `p` on, whose bracket closes at `end`.
    fn is_in_set(&self, byte: u8, mut p: usize, end: usize) -> bool {
        let mut wanted = true;
        if self.at(p + 1) == b'^' {
            wanted = false;
            p += 1;
        }
        p += 1;
        while p < end {
            if self.at(p) == ESCAPE {
                p += 1;
                if is_in_class(byte, self.at(p)) {
                    return wanted;
                }
            } else if self.at(p + 1) == b'-' && p + 2 < end {
                p += 2;
                if (self.at(p - 2)..=self.at(p)).contains(&byte) {
                    return wanted;
                }
            } else if self.at(p) == byte {
                return wanted;
            }
            p += 1;
        }
        !wanted
    }

    /// Whether the text's byte at `s` is what the item at `p..end` stands for.
    fn is_one(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else { return false };
        match self.at(p) {
            b'.' => true,
            ESCAPE => is_in_class(byte, self.at(p + 1)),
            b'[' => self.is_in_set(byte, p, end - 1),
            exact => exact == byte,
        }
    }

    /// Matches the pattern from `p` on at `s`; gives where the match ends.
    unsafe fn run(&mut self, s: usize, p: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                self.fail("pattern too complex");
            }
            let end = self.run_here(s, p);
            self.depth -= 1;
            end
        }
    }

    unsafe fn run_here(&mut self, mut s: usize, mut p: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            loop {
                self.step();
                match (self.at(p), self.at(p + 1)) {
                    (0, _) => return Some(s),
                    (b'(', b')') => return self.open(s, p + 2, Length::Position),
                    (b'(', _) => return self.open(s, p + 1, Length::Open),
                    (b')', _) => return self.close(s, p + 1),
                    (b'$', 0) => return (s == self.text.len()).then_some(s),
                    (ESCAPE, b'b') => {
                        s = self.balanced(s, p + 2)?;
                        p += 4;
                        continue;
                    }
                    (ESCAPE, b'f') => {
                        p += 2;
                        if self.at(p) != b'[' {
                            self.fail("missing '[' after '%f' in pattern");
                        }
                        let end = self.item_end(p);
                        let before = if s == 0 { 0 } else { self.text[s - 1] };
                        let here = self.text.get(s).copied().unwrap_or(0);
                        if self.is_in_set(before, p, end - 1) || !self.is_in_set(here, p, end - 1) {
                            return None;
                        }
                        p = end;
                        continue;
                    }
                    (ESCAPE, digit @ b'0'..=b'9') => {
                        s = self.repeated(s, digit)?;
                        p += 2;
                        continue;
                    }
                    _ => {}
                }
                let end = self.item_end(p);
                let one = self.is_one(s, p, end);
                match self.at(end) {
                    b'?' => {
                        if one && let Some(found) = self.run(s + 1, end + 1) {
                            return Some(found);
                        }
                        p = end + 1;
                    }
                    b'*' => return self.most(s, p, end),
                    b'+' => return if one { self.most(s + 1, p, end) } else { None },
                    b'-' => return self.least(s, p, end),
                    _ if one => {
                        s += 1;
                        p = end;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// As many as there are, and fewer while the rest does not match.
    unsafe fn most(&mut self, s: usize, p: usize, end: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            let mut count = 0;
            while self.is_one(s + count, p, end) {
                self.step();
                count += 1;
            }
            loop {
                if let Some(found) = self.run(s + count, end + 1) {
                    return Some(found);
                }
                count = count.checked_sub(1)?;
            }
        }
    }

    /// As few as the rest allows.
    unsafe fn least(&mut self, mut s: usize, p: usize, end: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            loop {
                if let Some(found) = self.run(s, end + 1) {
                    return Some(found);
                }
                if !self.is_one(s, p, end) {
                    return None;
                }
                s += 1;
            }
        }
    }

    unsafe fn open(&mut self, s: usize, p: usize, length: Length) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            if self.level >= MOST_CAPTURES {
                self.fail("too many captures");
            }
            self.captures[self.level] = Capture { start: s, length };
            self.level += 1;
            let found = self.run(s, p);
            if found.is_none() {
                self.level -= 1;
            }
            found
        }
    }

    unsafe fn close(&mut self, s: usize, p: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            let open = self.captures[..self.level].iter().rposition(|capture| matches!(capture.length, Length::Open));
            let Some(open) = open else { self.fail("invalid pattern capture") };
            self.captures[open].length = Length::Closed(s - self.captures[open].start);
            let found = self.run(s, p);
            if found.is_none() {
                self.captures[open].length = Length::Open;
            }
            found
        }
    }

    /// `%b()`: up to the closing one that belongs to the opening one here.
    unsafe fn balanced(&mut self, s: usize, p: usize) -> Option<usize> {
        // SAFETY: as `new` demands.
        unsafe {
            let (open, close) = (self.at(p), self.at(p + 1));
            if open == 0 || close == 0 {
                self.fail("unbalanced pattern");
            }
            if self.text.get(s).copied().unwrap_or(0) != open {
                return None;
            }
            let mut depth = 1_usize;
            let mut at = s + 1;
            while at < self.text.len() {
                self.step();
                if self.text[at] == close {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                } else if self.text[at] == open {
                    depth += 1;
                }
                at += 1;
            }
            None
        }
    }

    /// `%1`: what a capture matched, again.
    unsafe fn repeated(&mut self, s: usize, digit: u8) -> Option<usize> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures[..self.level].get(index).map(|capture| (capture.start, capture.length)) {
            Some((start, Length::Closed(length))) => {
                let same = self.text[s..].starts_with(&self.text[start..start + length]);
                same.then_some(s + length)
            }
            Some((_, Length::Position)) => None,
            // SAFETY: as `new` demands.
            _ => unsafe { self.fail("invalid capture index") },
        }
    }

    /// Pushes a capture; the whole match, where the pattern has none.
    unsafe fn push_capture(&self, index: usize, start: usize, end: usize) {
        // SAFETY: as `new` demands; the stack has room.
        unsafe {
            if index >= self.level {
                if index > 0 {
                    self.fail("invalid capture index");
                }
                raw::push(self.state, &self.text[start..end]);
                return;
            }
            let capture = self.captures[index];
            match capture.length {
                Length::Open => self.fail("unfinished capture"),
                Length::Position => push_place(self.state, capture.start + 1),
                Length::Closed(length) => raw::push(self.state, &self.text[capture.start..capture.start + length]),
            }
        }
    }

    /// Pushes all captures and says how many; `whole` is the match, which counts where there are none.
    unsafe fn push_captures(&self, whole: Option<(usize, usize)>) -> c_int {
        // SAFETY: as `new` demands.
        unsafe {
            let count = if self.level == 0 && whole.is_some() { 1 } else { self.level };
            let pushed = c_int::try_from(count).unwrap_or(c_int::MAX);
            ffi::luaL_checkstack_(self.state, pushed, c"too many captures".as_ptr());
            let (start, end) = whole.unwrap_or_default();
            for index in 0..count {
                self.push_capture(index, start, end);
            }
            pushed
        }
    }
}

fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}

#[expect(clippy::cast_precision_loss, reason = "no string is that long")]
unsafe fn push_place(state: State, place: usize) {
    // SAFETY: the stack has room.
    unsafe { ffi::lua_pushnumber(state, place as f64) }
}

/// `string.find`.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn find(state: State) -> c_int {
    // SAFETY: as the caller promises; the frames own nothing.
    unsafe { search(state, true) }
}

/// `string.match`.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn first_match(state: State) -> c_int {
    // SAFETY: as the caller promises; the frames own nothing.
    unsafe { search(state, false) }
}

unsafe fn search(state: State, find: bool) -> c_int {
    // SAFETY: called by Lua; the frame owns nothing. The arguments anchor the slices.
    unsafe {
        let (text, pattern) = (raw::check_bytes(state, 1), raw::check_bytes(state, 2));
        let from = ffi::luaL_optinteger(state, 3, 1);
        let length = text.len().cast_signed() as i64;
        let from = if from < 0 { (from + length + 1).max(0) } else { from };
        let from = usize::try_from((from - 1).clamp(0, length)).unwrap_or(0);
        let mut matcher = Matcher::new(state, text, pattern);
        if find && (ffi::lua_toboolean(state, 4) != 0 || !matcher.pattern.iter().any(|byte| SPECIALS.contains(byte))) {
            if let Some(at) = memchr::memmem::find(&text[from..], pattern) {
                push_place(state, from + at + 1);
                push_place(state, from + at + pattern.len());
                return 2;
            }
        } else {
            let anchored = usize::from(matcher.at(0) == b'^');
            for start in from..=text.len() {
                matcher.level = 0;
                if let Some(end) = matcher.run(start, anchored) {
                    if !find {
                        return matcher.push_captures(Some((start, end)));
                    }
                    push_place(state, start + 1);
                    push_place(state, end);
                    return 2 + matcher.push_captures(None);
                }
                if anchored == 1 {
                    break;
                }
            }
        }
        ffi::lua_pushnil(state);
    }
    1
}

/// `string.gmatch`.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn gmatch(state: State) -> c_int {
    // SAFETY: as the caller promises; the frame owns nothing.
    unsafe {
        raw::check_bytes(state, 1);
        raw::check_bytes(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushnumber(state, 0.0);
        ffi::lua_pushcclosure(state, next_match, 3);
    }
    1
}

/// The iterator of `gmatch`: upvalues are the text, the pattern and where to go on.
unsafe extern "C-unwind" fn next_match(state: State) -> c_int {
    // SAFETY: called by Lua; the upvalues anchor the slices.
    unsafe {
        let text = raw::bytes(state, ffi::lua_upvalueindex(1));
        let pattern = raw::bytes(state, ffi::lua_upvalueindex(2));
        let from = usize::try_from(ffi::lua_tointeger(state, ffi::lua_upvalueindex(3))).unwrap_or(0);
        let mut matcher = Matcher::new(state, text, pattern);
        for start in from..=text.len() {
            matcher.level = 0;
            if let Some(end) = matcher.run(start, 0) {
                push_place(state, if end == start { end + 1 } else { end });
                ffi::lua_replace(state, ffi::lua_upvalueindex(3));
                return matcher.push_captures(Some((start, end)));
            }
        }
    }
    0
}

/// `string.gsub`.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn gsub(state: State) -> c_int {
    // SAFETY: as the caller promises. The buffer is plain memory, whose overflow stands on the stack; the frame owns nothing.
    unsafe {
        let (text, pattern) = (raw::check_bytes(state, 1), raw::check_bytes(state, 2));
        let kind = ffi::lua_type(state, 3);
        let all = text.len().cast_signed() + 1;
        let most = ffi::luaL_optinteger(state, 4, all as ffi::lua_Integer);
        if ![ffi::LUA_TNUMBER, ffi::LUA_TSTRING, ffi::LUA_TFUNCTION, ffi::LUA_TTABLE].contains(&kind) {
            ffi::luaL_argerror(state, 3, c"string/function/table expected".as_ptr());
        }
        let mut matcher = Matcher::new(state, text, pattern);
        let anchored = usize::from(matcher.at(0) == b'^');
        let mut buffer = std::mem::MaybeUninit::<ffi::luaL_Buffer>::uninit();
        let buffer = buffer.as_mut_ptr();
        ffi::luaL_buffinit(state, buffer);
        let (mut at, mut count) = (0, 0);
        while count < most {
            matcher.level = 0;
            let end = matcher.run(at, anchored);
            if let Some(end) = end {
                count += 1;
                add_value(&matcher, buffer, kind, at, end);
            }
            if let Some(end) = end
                && end > at
            {
                at = end;
            } else if at < text.len() {
                add(buffer, &text[at..=at]);
                at += 1;
            } else {
                break;
            }
            if anchored == 1 {
                break;
            }
        }
        add(buffer, &text[at..]);
        ffi::luaL_pushresult(buffer);
        ffi::lua_pushinteger(state, count);
    }
    2
}

unsafe fn add(buffer: *mut ffi::luaL_Buffer, bytes: &[u8]) {
    // SAFETY: the buffer is initialised.
    unsafe { ffi::luaL_addlstring(buffer, bytes.as_ptr().cast(), bytes.len()) }
}

/// Adds what stands for a match.
unsafe fn add_value(matcher: &Matcher<'_>, buffer: *mut ffi::luaL_Buffer, kind: c_int, start: usize, end: usize) {
    let state = matcher.state;
    // SAFETY: as in `gsub`; the replacement, argument 3, anchors its bytes.
    unsafe {
        match kind {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, 3);
                let count = matcher.push_captures(Some((start, end)));
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                matcher.push_capture(0, start, end);
                ffi::lua_gettable(state, 3);
            }
            _ => {
                let replacement = raw::bytes(state, 3);
                let mut rest = replacement.iter();
                while let Some(byte) = rest.next() {
                    if *byte != ESCAPE {
                        add(buffer, std::slice::from_ref(byte));
                        continue;
                    }
                    match rest.next() {
                        Some(b'0') => add(buffer, &matcher.text[start..end]),
                        Some(digit @ b'1'..=b'9') => {
                            matcher.push_capture(usize::from(digit - b'1'), start, end);
                            ffi::luaL_addvalue(buffer);
                        }
                        Some(other) => add(buffer, std::slice::from_ref(other)),
                        // Lua takes the zero behind the end.
                        None => add(buffer, b"\0"),
                    }
                }
                return;
            }
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            ffi::lua_settop(state, -2);
            raw::push(state, &matcher.text[start..end]);
        } else if ffi::lua_isstring(state, -1) == 0 {
            let kind = CStr::from_ptr(ffi::lua_typename(state, ffi::lua_type(state, -1)));
            let vm = raw::interpreter(state);
            vm.park(format_args!("invalid replacement value (a {})", kind.to_str().unwrap_or_default()));
            raw::raise(state, vm, Raise::At);
        }
        ffi::luaL_addvalue(buffer);
    }
}
