//! The line between Rust and Lua's C interface, and the rules that keep it sound.
//!
//! # Why there are rules
//!
//! Lua reports errors by `longjmp`: control leaves the C function that erred and lands in the innermost `lua_pcall`.
//! Every frame in between is gone without its destructors having run. Rust allows that only for *plain* frames: no value
//! with a destructor is alive in them, and no `catch_unwind` is on the way. Everything else is undefined behaviour, and
//! at best a leak or a lock that is held for ever.
//!
//! Almost every call of the C interface can raise: whatever allocates (a string, a table, a closure, a larger stack) may
//! meet the memory limit, and whatever runs Lua code may run `error()`.
//!
//! # The rules
//!
//! 1. **A frame that calls a raising function owns nothing.** Functions that Lua calls ([`Body`]) keep what they must own
//!    in the [`Interpreter`], which lives on the heap beyond every frame: the reply of a command, the text of an error,
//!    the buffer that JSON is built in. A jump leaves it there, to be overwritten by the next use. In the frame are
//!    integers, references and pointers only.
//! 2. **Errors are marks, not values.** A body that fails parks its message in the interpreter and returns a [`Raise`],
//!    which is `Copy`. [`enter`] turns the mark into a Lua error, after the body's frame has ended in the ordinary way.
//! 3. **A panic never crosses a C frame.** The one piece of foreign Rust code below Lua is the host's command; it is
//!    called inside `catch_unwind`, which calls nothing of Lua. The payload is parked, a Lua error ends the script, and
//!    the runtime resumes the panic above `lua_pcall`.
//! 4. **Outside `lua_pcall`, nothing may raise at all**, because there is nobody to catch it. The runtime lifts the memory
//!    limit for such stretches (`Memory::unlimited`): then allocation cannot fail, and the few calls made there have no other
//!    reason to raise. It does not touch values with metatables except by raw access.
//! 5. **One `&mut Interpreter` at a time.** A body that runs Lua code (`pcall`, `load`) takes none, because a nested body
//!    will. Allocation goes through [`Memory`](super::allocator::Memory), an allocation of its own that is only shared.
//! 6. **Strings are borrowed while they are anchored.** A slice from [`bytes`] is valid as long as its string stays in its
//!    stack slot; bodies do not remove their arguments.
//!
//! The collector never runs our code: no userdata with `__gc` exists in the sandbox, and none can be made there.

use std::{ffi::c_int, slice};

use mlua_sys as ffi;

use super::{allocator::Memory, interpreter::Interpreter};

/// A Lua stack: of the main thread or of a coroutine.
pub(super) type State = *mut ffi::lua_State;

/// How a body's parked message becomes an error.
#[derive(Clone, Copy)]
pub(super) enum Raise {
    /// Text with the place in front, as `luaL_error` writes it.
    At,
    /// Text as it is.
    Plain,
    /// A table whose field `err` is the text, as commands raise it.
    Reply,
    /// `bad argument #n to 'function' (text)`.
    Argument(c_int),
    /// The value on top of the stack.
    Top,
}

/// A function that Lua calls: returns how many results it pushed.
pub(super) type Body = unsafe fn(State, &mut Interpreter) -> Result<c_int, Raise>;

/// The interpreter of a stack.
///
/// # Safety
/// `state` belongs to an [`Interpreter`], and no other reference to it is in use (rule 5).
pub(super) unsafe fn interpreter<'a>(state: State) -> &'a mut Interpreter {
    let mut memory = std::ptr::null_mut();
    // SAFETY: every state of ours was made with a `Memory` as the allocator's data, which knows its owner.
    unsafe {
        ffi::lua_getallocf(state, &raw mut memory);
        (*memory.cast::<Memory>()).owner()
    }
}

/// Runs a body and raises what it asks for. Nothing in this frame has a destructor (rule 1).
///
/// # Safety
/// Called by Lua.
#[inline]
pub(super) unsafe fn enter(state: State, body: Body) -> c_int {
    // SAFETY: Lua calls us, so no other body holds the interpreter, except those that run Lua code, which take none.
    unsafe {
        let vm = interpreter(state);
        match body(state, vm) {
            Ok(results) => results,
            Err(how) => raise(state, vm, how),
        }
    }
}

/// Raises the parked message.
///
/// # Safety
/// Within a protected call; the caller's frame is plain.
pub(super) unsafe fn raise(state: State, vm: &mut Interpreter, how: Raise) -> ! {
    // SAFETY: the caller is within a protected call.
    unsafe {
        match how {
            Raise::At => {
                ffi::luaL_where(state, 1);
                push(state, &vm.message);
                ffi::lua_concat(state, 2);
            }
            Raise::Plain => push(state, &vm.message),
            Raise::Reply => push_error_table(state, vm, false),
            Raise::Argument(number) => {
                vm.message.push(0);
                ffi::luaL_argerror(state, number, vm.message.as_ptr().cast());
            }
            Raise::Top => {}
        }
        ffi::lua_error(state)
    }
}

/// Pushes `{err = parked message}`. `counted` adds the mark that Redis sets on errors of commands.
///
/// # Safety
/// Within a protected call, with four free stack slots.
pub(super) unsafe fn push_error_table(state: State, vm: &mut Interpreter, counted: bool) {
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 0);
        vm.names.err.push(state);
        push(state, &vm.message);
        ffi::lua_rawset(state, -3);
        if counted {
            vm.names.ignore_error_stats_update.push(state);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// Pushes a string.
///
/// # Safety
/// Within a protected call, or with the memory limit lifted; one free stack slot.
pub(super) unsafe fn push(state: State, bytes: &[u8]) {
    // SAFETY: as the caller promises; Lua copies the bytes. An empty slice has a dangling, non-null pointer.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) }
}

/// The bytes of a string in a stack slot. A number there becomes a string in place, which allocates; anything else is empty.
///
/// # Safety
/// The slot keeps its string for as long as the slice is used (rule 6). For a number: as [`push`].
pub(super) unsafe fn bytes<'a>(state: State, index: c_int) -> &'a [u8] {
    // SAFETY: the pointer and length are those of a string that the slot anchors.
    unsafe {
        let mut length = 0;
        let start = ffi::lua_tolstring(state, index, &raw mut length);
        if start.is_null() { &[] } else { slice::from_raw_parts(start.cast(), length) }
    }
}

/// A string argument; a number counts as its text, anything else raises the usual error.
///
/// # Safety
/// As [`bytes`], within a protected call, in a plain frame.
pub(super) unsafe fn check_bytes<'a>(state: State, argument: c_int) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut length = 0;
        let start = ffi::luaL_checklstring(state, argument, &raw mut length);
        slice::from_raw_parts(start.cast(), length)
    }
}

/// The name of a value's type, as error texts give it.
///
/// # Safety
/// `index` is a valid or acceptable index.
pub(super) unsafe fn type_name(state: State, index: c_int) -> &'static str {
    // SAFETY: reads a type tag only.
    match unsafe { ffi::lua_type(state, index) } {
        ffi::LUA_TNONE => "no value",
        ffi::LUA_TNIL => "nil",
        ffi::LUA_TBOOLEAN => "boolean",
        ffi::LUA_TNUMBER => "number",
        ffi::LUA_TSTRING => "string",
        ffi::LUA_TTABLE => "table",
        ffi::LUA_TFUNCTION => "function",
        ffi::LUA_TTHREAD => "thread",
        _ => "userdata",
    }
}

/// Makes a C function of a body.
macro_rules! closure {
    ($body:path) => {{
        unsafe extern "C-unwind" fn called_by_lua(state: $crate::embedded::lua::raw::State) -> ::std::ffi::c_int {
            // SAFETY: Lua calls this function with its own stack.
            unsafe { $crate::embedded::lua::raw::enter(state, $body) }
        }
        called_by_lua as ::mlua_sys::lua_CFunction
    }};
}
pub(super) use closure;
