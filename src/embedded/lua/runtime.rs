//! The scripts of one engine: compiled once, run by hash.

use std::{
    collections::{HashMap, VecDeque},
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr::NonNull,
    time::{Duration, Instant},
};

use mlua_sys as ffi;

use super::{
    allocator::{Memory, allocate},
    convert, environment,
    interpreter::{Interpreter, Names, arm, describe_error},
    library,
    random::Random,
    raw::{self, State, closure},
    readonly::Originals,
    redis_api,
    shebang::{self, ScriptFlags},
};
use crate::{codec::resp::Value, embedded::lua::host::ScriptHost, error::Error};

/// How many scripts that came by `EVAL` are kept; the oldest goes first. Scripts loaded on purpose stay.
const MAX_TRANSIENT: usize = 500;

/// Bounds of every script.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct Limits {
    /// Wall-clock time of one run.
    pub(in crate::embedded) time: Duration,
    /// Bytes of all Lua values of the engine.
    pub(in crate::embedded) memory: usize,
}

impl Default for Limits {
    /// A second, and 512 MB.
    fn default() -> Self {
        Self { time: Duration::from_secs(1), memory: 512 * 1024 * 1024 }
    }
}

/// SHA-1 of a script's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::embedded) struct ScriptHash([u8; 40]);

impl ScriptHash {
    /// The hash of a script's text.
    pub(in crate::embedded) fn of(source: &[u8]) -> Self {
        Self(redis_api::hex_digest(source))
    }

    /// A hash as a client names it: 40 hexadecimal digits of either case.
    pub(in crate::embedded) fn parse(text: &[u8]) -> Option<Self> {
        let mut digits: [u8; 40] = text.try_into().ok()?;
        digits.make_ascii_lowercase();
        Some(Self(digits))
    }

    /// Lower-case hexadecimal digits.
    pub(in crate::embedded) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
struct Script {
    /// Its function in the registry.
    function: c_int,
    flags: ScriptFlags,
    transient: bool,
}

/// One Lua state with its scripts. Not shared: the engine's lock guards it.
pub(in crate::embedded) struct LuaRuntime {
    limits: Limits,
    machine: Machine,
    scripts: HashMap<ScriptHash, Script>,
    /// Hashes of transient scripts, oldest first.
    transient: VecDeque<ScriptHash>,
}

impl LuaRuntime {
    pub(in crate::embedded) fn new(limits: Limits) -> Self {
        Self { limits, machine: Machine::new(limits.memory), scripts: HashMap::new(), transient: VecDeque::new() }
    }

    /// Compiles a script, to stay until [`flush`](Self::flush) (`SCRIPT LOAD`).
    pub(in crate::embedded) fn load(&mut self, source: &[u8]) -> Result<ScriptHash, Error> {
        self.add(source, false)
    }

    /// Compiles a script that may be dropped once many others came after it (`EVAL`).
    pub(in crate::embedded) fn load_transient(&mut self, source: &[u8]) -> Result<ScriptHash, Error> {
        self.add(source, true)
    }

    /// Whether a script is there to be run.
    pub(in crate::embedded) fn contains(&self, hash: &ScriptHash) -> bool {
        self.scripts.contains_key(hash)
    }

    /// What a script declares in its first line.
    pub(in crate::embedded) fn flags(&self, hash: &ScriptHash) -> Option<ScriptFlags> {
        self.scripts.get(hash).map(|script| script.flags)
    }

    /// Forgets all scripts and everything else that Lua holds.
    pub(in crate::embedded) fn flush(&mut self) {
        self.machine = Machine::new(self.limits.memory);
        self.scripts.clear();
        self.transient.clear();
    }

    /// Bytes that Lua holds.
    pub(in crate::embedded) fn memory(&self) -> usize {
        self.machine.memory().used()
    }

    /// Runs a script. An unknown hash and every failure of the script is a [`Value::Error`].
    ///
    /// # Panics
    /// When `host` does; the runtime stays usable.
    pub(in crate::embedded) fn run(
        &mut self,
        hash: &ScriptHash,
        keys: &[&[u8]],
        args: &[&[u8]],
        host: &mut dyn ScriptHost,
    ) -> Value {
        let Some(script) = self.scripts.get(hash) else {
            return Value::Error(Error::from_reply("NOSCRIPT No matching script. Please use EVAL."));
        };
        let run = Run { function: script.function, globals: self.machine.globals, keys, args };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.machine.run(&run, self.limits.time, hash, host)));
        match outcome {
            Ok((reply, None)) => reply,
            Ok((_, Some(payload))) => resume_unwind(payload),
            // A panic between Lua's frames: its state cannot be trusted any more.
            Err(payload) => {
                self.flush();
                resume_unwind(payload)
            }
        }
    }

    fn add(&mut self, source: &[u8], transient: bool) -> Result<ScriptHash, Error> {
        let hash = ScriptHash::of(source);
        if let Some(script) = self.scripts.get_mut(&hash) {
            if script.transient && !transient {
                script.transient = false;
                self.transient.retain(|other| *other != hash);
            }
            return Ok(hash);
        }
        let (flags, body) = shebang::read(source)?;
        let function = self.machine.compile(body)?;
        self.scripts.insert(hash, Script { function, flags, transient });
        if transient {
            self.transient.push_back(hash);
            if self.transient.len() > MAX_TRANSIENT
                && let Some(script) = self.transient.pop_front().and_then(|oldest| self.scripts.remove(&oldest))
            {
                self.machine.forget(script.function);
            }
        }
        Ok(hash)
    }
}

/// What one run hands to Lua, by address.
struct Run<'a> {
    function: c_int,
    globals: c_int,
    keys: &'a [&'a [u8]],
    args: &'a [&'a [u8]],
}

/// A Lua state and its heap side.
struct Machine {
    state: State,
    memory: NonNull<Memory>,
    /// The function that runs a script, and the error handler, in the registry.
    entry: c_int,
    handler: c_int,
    /// The real globals.
    globals: c_int,
}

// SAFETY: Lua 5.1 keeps nothing per thread. The raw pointers are owned, and nothing is shared: all use is through `&mut`.
unsafe impl Send for Machine {}

impl Machine {
    fn new(limit: usize) -> Self {
        // SAFETY: `Names` are filled in below, before anything reads them; see `Interpreter` for the rest. The limit is not
        // applied until everything stands, so nothing raises.
        unsafe {
            let memory = Memory::new(limit);
            let memory = NonNull::from(Box::leak(memory));
            let state = ffi::lua_newstate(allocate, memory.as_ptr().cast());
            assert!(!state.is_null(), "without a limit, an allocation that fails ends the process");
            ffi::lua_atpanic(state, unprotected_error);
            memory.as_ref().adopt(Interpreter {
                names: Names::new(state),
                message: Vec::new(),
                buffer: Vec::new(),
                arguments: Vec::new(),
                reply: None,
                host: None,
                panic: None,
                protocol: 2,
                random: Random::unseeded(),
                json: vec![super::cjson::Config::default()],
                originals: Originals::default(),
                main: state,
                started: Instant::now(),
                time_limit: Duration::ZERO,
                effort: 0,
                unchecked: 0,
                overdue: false,
                memory_limit: limit,
            });
            let globals = environment::build(state);
            ffi::lua_pushcclosure(state, enter_script, 0);
            let entry = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_pushcclosure(state, closure!(describe_error), 0);
            let handler = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            ffi::lua_gc(state, ffi::LUA_GCCOLLECT, 0);
            Self { state, memory, entry, handler, globals }
        }
    }

    fn memory(&self) -> &Memory {
        // SAFETY: owned by `self` until it is dropped.
        unsafe { self.memory.as_ref() }
    }

    /// Compiles a script's text.
    fn compile(&mut self, body: &[u8]) -> Result<c_int, Error> {
        // SAFETY: `lua_load` catches its own errors, under the limit; the rest runs without limit and does not raise.
        unsafe {
            self.memory().enforce(true);
            let status = library::compile(self.state, body, c"@user_script".as_ptr());
            self.memory().enforce(false);
            if status != 0 {
                let message = convert::one_line(raw::bytes(self.state, -1));
                ffi::lua_settop(self.state, 0);
                return Err(Error::from_reply(&format!("ERR Error compiling script (new function): {message}")));
            }
            Ok(ffi::luaL_ref(self.state, ffi::LUA_REGISTRYINDEX))
        }
    }

    /// Lets the collector have a script.
    fn forget(&mut self, function: c_int) {
        // SAFETY: without limit, nothing raises.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, function) };
    }

    /// Runs a script; also gives a panic of the host, to be resumed.
    #[allow(clippy::transmute_ptr_to_ptr, reason = "a cast cannot lengthen the lifetime of a trait object")]
    fn run(
        &mut self,
        run: &Run<'_>,
        time: Duration,
        hash: &ScriptHash,
        host: &mut dyn ScriptHost,
    ) -> (Value, Option<Box<dyn std::any::Any + Send>>) {
        let state = self.state;
        // SAFETY: everything that may raise happens in `lua_pcall`. The host is lent for this call only: the pointer is
        // taken out below, and its lifetime is hidden from the interpreter, which lives longer. Values with destructors in
        // this frame are safe, because jumps end in `lua_pcall`, below it.
        unsafe {
            {
                let vm = raw::interpreter(state);
                let host: *mut (dyn ScriptHost + '_) = host;
                #[expect(clippy::transmute_ptr_to_ptr, reason = "a cast cannot change a lifetime")]
                let host = std::mem::transmute::<*mut (dyn ScriptHost + '_), *mut (dyn ScriptHost + 'static)>(host);
                vm.host = NonNull::new(host);
                vm.protocol = 2;
                vm.overdue = false;
                vm.effort = 0;
                vm.started = Instant::now();
                vm.time_limit = time;
            }
            arm(state);
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, self.handler);
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, self.entry);
            ffi::lua_pushlightuserdata(state, std::ptr::from_ref(run).cast_mut().cast());
            self.memory().enforce(true);
            let status = ffi::lua_pcall(state, 1, 1, 1);
            self.memory().enforce(false);
            let vm = raw::interpreter(state);
            vm.host = None;
            vm.reply = None;
            vm.arguments.clear();
            shrink(&mut vm.buffer);
            shrink(&mut vm.message);
            let limit = vm.memory_limit;
            let (names, protocol, panic) = (vm.names, vm.protocol, vm.panic.take());
            let reply = if status == 0 {
                convert::take_result(state, &names, protocol, limit)
            } else {
                describe_failure(state, &names, hash)
            };
            ffi::lua_settop(state, 0);
            if status == ffi::LUA_ERRMEM {
                ffi::lua_gc(state, ffi::LUA_GCCOLLECT, 0);
            }
            (reply, panic)
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: closing frees all that Lua holds by the allocator, so the memory goes last. No finalizer of ours runs.
        unsafe {
            ffi::lua_close(self.state);
            drop(Box::from_raw(self.memory.as_ptr()));
        }
    }
}

/// A buffer that one script made large is not kept.
fn shrink(buffer: &mut Vec<u8>) {
    const KEPT: usize = 64 * 1024;
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}

/// The error reply for what the error handler left on top of the stack.
unsafe fn describe_failure(state: State, names: &Names, hash: &ScriptHash) -> Value {
    // SAFETY: raw reads of the table on top of the stack, without limit; a number made text allocates without limit.
    let text = unsafe {
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            let read = |name: super::interpreter::Name| {
                name.push(state);
                ffi::lua_rawget_(state, -2);
                let text = (ffi::lua_isstring(state, -1) != 0).then(|| convert::one_line(raw::bytes(state, -1)));
                ffi::lua_settop(state, -2);
                text
            };
            let message = read(names.err).unwrap_or_else(|| "ERR unknown error".to_owned());
            match (read(names.source), read(names.line)) {
                (Some(source), Some(line)) => format!("{message} script: {}, on {source}:{line}.", hash.as_str()),
                _ => message,
            }
        } else {
            let message = match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => convert::one_line(raw::bytes(state, -1)),
                _ => "execution failure".to_owned(),
            };
            format!("ERR Error running script {}, {message}", hash.as_str())
        }
    };
    Value::Error(Error::from_reply(&text))
}

/// Sets `KEYS` and `ARGV` and calls the script. Argument: the address of a [`Run`].
unsafe extern "C-unwind" fn enter_script(state: State) -> c_int {
    // SAFETY: called by `Machine::run` under `lua_pcall`; the run outlives it. The frame owns nothing and keeps no
    // reference to the interpreter over the call.
    unsafe {
        let run = &*ffi::lua_touserdata(state, 1).cast::<Run<'_>>();
        let names = raw::interpreter(state).names;
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, run.globals);
        for (name, items) in [(names.keys, run.keys), (names.argv, run.args)] {
            name.push(state);
            ffi::lua_createtable(state, c_int::try_from(items.len()).unwrap_or(0), 0);
            for (index, item) in (1..).zip(items) {
                raw::push(state, item);
                ffi::lua_rawseti_(state, -2, index);
            }
            ffi::lua_rawset(state, -3);
        }
        ffi::lua_settop(state, 0);
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, run.function);
        ffi::lua_call(state, 0, 1);
    }
    1
}

/// Lua would end the process after this anyway; this way the log says why.
unsafe extern "C-unwind" fn unprotected_error(_: State) -> c_int {
    tracing::error!("a Lua error outside of a protected call");
    std::process::abort()
}
