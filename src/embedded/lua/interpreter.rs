//! What one Lua state needs beyond its own memory: everything that bodies must own, and the limits of a run.

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::{
    any::Any,
    ffi::{CStr, c_int},
    fmt,
    io::Write as _,
    ptr::NonNull,
    time::{Duration, Instant},
};

use mlua_sys as ffi;

use super::{
    cjson::Config,
    random::Random,
    raw::{self, Raise, State},
    readonly::Originals,
};
use crate::{codec::resp::Value, embedded::lua::host::ScriptHost};

/// Instructions between two looks at the clock: about a millisecond.
const HOOK_INTERVAL: c_int = 100_000;
/// Instructions that no script needs less than a few ten milliseconds for.
const MIN_EFFORT: u64 = 5_000_000;
/// What a command counts for, in instructions.
pub(super) const COMMAND_EFFORT: u64 = 1_000;

/// A string that lives in the registry: pushed without allocation.
#[derive(Clone, Copy)]
pub(super) struct Name(c_int);

impl Name {
    /// Anchors `text`.
    ///
    /// # Safety
    /// While the memory limit is lifted; two free stack slots.
    pub(super) unsafe fn new(state: State, text: &str) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            raw::push(state, text.as_bytes());
            Self(ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX))
        }
    }

    /// # Safety
    /// One free stack slot.
    pub(super) unsafe fn push(self, state: State) {
        // SAFETY: a raw read of the registry neither allocates nor raises.
        unsafe { ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, self.0) }
    }
}

macro_rules! names {
    ($($name:ident = $text:literal,)+) => {
        /// The strings that conversions look up and write.
        #[derive(Clone, Copy)]
        pub(super) struct Names { $(pub(super) $name: Name,)+ }

        impl Names {
            /// # Safety
            /// As [`Name::new`].
            pub(super) unsafe fn new(state: State) -> Self {
                // SAFETY: as the caller promises.
                unsafe { Self { $($name: Name::new(state, $text),)+ } }
            }
        }
    };
}

names! {
    err = "err",
    ok = "ok",
    source = "source",
    line = "line",
    ignore_error_stats_update = "ignore_error_stats_update",
    double = "double",
    big_number = "big_number",
    map = "map",
    set = "set",
    verbatim_string = "verbatim_string",
    string = "string",
    keys = "KEYS",
    argv = "ARGV",
}

/// The heap side of a Lua state (rule 1 in `raw.rs`).
pub(super) struct Interpreter {
    pub(super) names: Names,
    /// Text of the error that is being raised.
    pub(super) message: Vec<u8>,
    /// Whatever a body builds: JSON, `MessagePack`, packed structures.
    pub(super) buffer: Vec<u8>,
    /// Arguments of the command being called; the slices point into Lua strings and `buffer` and are dead afterwards.
    pub(super) arguments: Vec<&'static [u8]>,
    /// The reply being converted.
    pub(super) reply: Option<Value>,
    /// The engine, during a run.
    pub(super) host: Option<NonNull<dyn ScriptHost>>,
    /// A panic of the engine, on its way past Lua.
    pub(super) panic: Option<Box<dyn Any + Send>>,
    /// Protocol of the replies of commands: 2 or 3.
    pub(super) protocol: u8,
    pub(super) random: Random,
    /// Settings of `cjson`, and of each `cjson.new()`.
    pub(super) json: Vec<Config>,
    pub(super) originals: Originals,
    /// The main thread.
    pub(super) main: State,
    /// When the script began, and how long it may take.
    pub(super) started: Instant,
    pub(super) time_limit: Duration,
    /// What it did so far, in instructions.
    pub(super) effort: u64,
    /// Work inside of single calls that the clock was not looked at for.
    pub(super) unchecked: u64,
    /// The time is up: whatever the script does next fails.
    pub(super) overdue: bool,
    /// Bytes of all Lua values; also what one buffer may hold.
    pub(super) memory_limit: usize,
}

impl Interpreter {
    /// Parks a message to be raised with its place.
    pub(super) fn fail(&mut self, message: fmt::Arguments<'_>) -> Raise {
        self.park(message);
        Raise::At
    }

    /// Parks a message to be raised as a command's error is: `ERR` is put in front.
    pub(super) fn fail_reply(&mut self, message: &str) -> Raise {
        self.park(format_args!("ERR {message}"));
        Raise::Reply
    }

    /// Parks what is wrong with an argument.
    pub(super) fn argument(&mut self, number: c_int, message: &str) -> Raise {
        self.park(format_args!("{message}"));
        Raise::Argument(number)
    }

    /// Parks a message.
    pub(super) fn park(&mut self, message: fmt::Arguments<'_>) {
        self.message.clear();
        self.message.write_fmt(message).expect("a vector takes all bytes");
    }

    /// Whether the script's time is up; from then on, every further instruction of it fails, on this stack and on the
    /// main one, so that no `pcall` goes on. `effort` is what it did since the last look.
    ///
    /// A script that did little is not blamed for a machine that was busy with something else, unless it takes ten times
    /// as long as it may.
    pub(super) fn is_overdue(&mut self, state: State, effort: u64) -> bool {
        self.effort += effort;
        if !self.overdue {
            let elapsed = self.started.elapsed();
            self.overdue = elapsed >= self.time_limit && (self.effort >= MIN_EFFORT || elapsed / 10 >= self.time_limit);
        }
        if self.overdue {
            // SAFETY: setting a hook stores three numbers; it is allowed at any time, for suspended stacks too.
            unsafe {
                ffi::lua_sethook(self.main, Some(look_at_clock), ffi::LUA_MASKCOUNT, 1);
                ffi::lua_sethook(state, Some(look_at_clock), ffi::LUA_MASKCOUNT, 1);
            }
        }
        self.overdue
    }

    /// Counts work inside of one call, where no instructions are counted, and bounds what it builds in the buffer.
    pub(super) fn spend(&mut self, state: State, work: u64) -> Result<(), Raise> {
        self.unchecked += work;
        if self.unchecked < u64::from(HOOK_INTERVAL.unsigned_abs()) {
            return Ok(());
        }
        let work = std::mem::take(&mut self.unchecked);
        if self.is_overdue(state, work) {
            return Err(self.fail_overdue());
        }
        if self.buffer.len() > self.memory_limit {
            self.release_buffer();
            return Err(self.fail_memory());
        }
        Ok(())
    }

    /// Parks what a script is told that builds more than it may.
    pub(super) fn fail_memory(&mut self) -> Raise {
        self.park(format_args!("not enough memory"));
        Raise::Plain
    }

    /// Lets go of what was built, where it was large.
    pub(super) fn release_buffer(&mut self) {
        const KEPT: usize = 64 * 1024;
        self.buffer.clear();
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }

    /// Parks what an overdue script is told.
    pub(super) fn fail_overdue(&mut self) -> Raise {
        let limit = self.time_limit.as_millis();
        self.park(format_args!("ERR Script killed: it ran for longer than {limit} ms."));
        Raise::Reply
    }
}

/// Makes the next run begin with a full interval.
///
/// # Safety
/// `state` is the main thread, and no script runs.
pub(super) unsafe fn arm(state: State) {
    // SAFETY: stores three numbers.
    unsafe { ffi::lua_sethook(state, Some(look_at_clock), ffi::LUA_MASKCOUNT, HOOK_INTERVAL) };
}

/// Called by Lua every [`HOOK_INTERVAL`] instructions.
unsafe extern "C-unwind" fn look_at_clock(state: State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua code is running, so no body holds the interpreter; the frame owns nothing.
    unsafe {
        let vm = raw::interpreter(state);
        if vm.is_overdue(state, u64::from(HOOK_INTERVAL.unsigned_abs())) {
            let how = vm.fail_overdue();
            raw::raise(state, vm, how);
        }
    }
}

/// The error handler of a run: makes an error table of whatever was raised, and adds the place. Replaces its argument.
pub(super) unsafe fn describe_error(state: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; `place` is plain data. The raw sets may meet the memory limit, which ends the handler.
    unsafe {
        let mut place: ffi::lua_Debug = std::mem::zeroed();
        let mut found = ffi::lua_getstack(state, 1, &raw mut place) != 0
            && ffi::lua_getinfo(state, c"nSl".as_ptr(), &raw mut place) != 0;
        if found && CStr::from_ptr(place.what).to_bytes() == b"C" {
            found = ffi::lua_getstack(state, 2, &raw mut place) != 0
                && ffi::lua_getinfo(state, c"nSl".as_ptr(), &raw mut place) != 0;
        }
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            match ffi::lua_type(state, 1) {
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => {
                    let text = raw::bytes(state, 1);
                    vm.message.clear();
                    vm.message.extend_from_slice(b"ERR ");
                    vm.message.extend_from_slice(text);
                }
                ffi::LUA_TBOOLEAN => {
                    let flag = ffi::lua_toboolean(state, 1) != 0;
                    vm.park(format_args!("ERR {flag}"));
                }
                ffi::LUA_TNIL => vm.park(format_args!("ERR nil")),
                _ => {
                    let (name, address) = (raw::type_name(state, 1), ffi::lua_topointer(state, 1));
                    vm.park(format_args!("ERR {name}: {address:p}"));
                }
            }
            raw::push_error_table(state, vm, false);
            ffi::lua_replace(state, 1);
        }
        if found {
            vm.names.source.push(state);
            ffi::lua_pushstring_(state, place.source);
            ffi::lua_rawset(state, 1);
            vm.names.line.push(state);
            ffi::lua_pushnumber(state, f64::from(place.currentline));
            ffi::lua_rawset(state, 1);
        }
        ffi::lua_settop(state, 1);
    }
    Ok(1)
}
