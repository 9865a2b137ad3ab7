//! Tables that scripts can read but not change.
//!
//! Redis patches its Lua so that a table can be marked read-only; plain Lua cannot. Here a script gets an empty *face* in
//! place of the table. The face's metatable sends reads to the real table and refuses writes; the functions that would
//! go around metatables (`rawset`, `next`, `table.insert` ..) look for a face first and then do as for the real table, or
//! refuse. For any other table they jump straight to Lua's own function, so that nothing is paid but the look.
//!
//! In a face's metatable, besides `__index` and `__newindex`: 1 = a mark that scripts cannot forge, 2 = the real table,
//! 3 = what `getmetatable` shows (a face, or nil).

#![allow(clippy::unnecessary_wraps, reason = "what scripts call has one signature, whether or not it can fail")]

use std::ffi::c_int;

use mlua_sys as ffi;

use super::{
    interpreter::Interpreter,
    raw::{self, Raise, State, closure},
};

/// Its address is the mark.
static MARK: u8 = 0;

const AT_MARK: c_int = 1;
const AT_REAL: c_int = 2;
const AT_SHOWN: c_int = 3;

fn mark() -> *mut std::ffi::c_void {
    (&raw const MARK).cast_mut().cast()
}

macro_rules! originals {
    ($($name:ident: $table:literal.$key:literal = $kind:ident,)+) => {
        /// Lua's own functions that a face must be kept from.
        #[derive(Clone, Copy, Default)]
        pub(super) struct Originals { $($name: Option<ffi::lua_CFunction>,)+ }

        $(
            unsafe extern "C-unwind" fn $name(state: State) -> c_int {
                // SAFETY: Lua calls this function with its own stack; the original finds the stack as it expects it. No
                // reference to the interpreter is kept: the original may run Lua code.
                unsafe {
                    if ffi::lua_type(state, 1) == ffi::LUA_TTABLE && is_face(state, 1) {
                        originals!(@$kind state);
                    }
                    match raw::interpreter(state).originals.$name {
                        Some(original) => original(state),
                        None => 0,
                    }
                }
            }
        )+

        /// Puts the careful functions in the place of Lua's own.
        ///
        /// # Safety
        /// As [`protect`]; the libraries are open.
        pub(super) unsafe fn replace_originals(state: State) {
            // SAFETY: as the caller promises.
            unsafe {
                let mut originals = Originals::default();
                $(
                    // The global functions stand in the globals, the others in their library.
                    if $table.is_empty() {
                        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX);
                    } else {
                        raw::push(state, $table.as_bytes());
                        ffi::lua_rawget_(state, ffi::LUA_GLOBALSINDEX);
                    }
                    raw::push(state, $key.as_bytes());
                    ffi::lua_rawget_(state, -2);
                    originals.$name = ffi::lua_tocfunction(state, -1);
                    ffi::lua_settop(state, -2);
                    raw::push(state, $key.as_bytes());
                    ffi::lua_pushcclosure(state, $name, 0);
                    ffi::lua_rawset(state, -3);
                    ffi::lua_settop(state, -2);
                )+
                raw::interpreter(state).originals = originals;
            }
        }
    };
    (@refuse $state:ident) => { refuse($state) };
    (@redirect $state:ident) => { redirect($state) };
}

originals! {
    next: ""."next" = redirect,
    rawget: ""."rawget" = redirect,
    foreach: "table"."foreach" = redirect,
    rawset: ""."rawset" = refuse,
    setmetatable: ""."setmetatable" = refuse,
    insert: "table"."insert" = refuse,
}

/// Whether the table at `index` is a face.
///
/// # Safety
/// `index` is absolute; two free stack slots.
unsafe fn is_face(state: State, index: c_int) -> bool {
    // SAFETY: raw reads, which neither allocate nor raise.
    unsafe {
        if ffi::lua_getmetatable(state, index) == 0 {
            return false;
        }
        ffi::lua_rawgeti_(state, -1, AT_MARK);
        let found = ffi::lua_touserdata(state, -1) == mark();
        ffi::lua_settop(state, -3);
        found
    }
}

/// Puts the real table in place of the face that is argument 1.
unsafe fn redirect(state: State) {
    // SAFETY: argument 1 is a face; raw reads.
    unsafe {
        ffi::lua_getmetatable(state, 1);
        ffi::lua_rawgeti_(state, -1, AT_REAL);
        ffi::lua_replace(state, 1);
        ffi::lua_settop(state, -2);
    }
}

/// Raises Redis's error for a write to a read-only table.
unsafe fn refuse(state: State) -> ! {
    // SAFETY: called from a function that Lua called; the frames own nothing.
    unsafe {
        let vm = raw::interpreter(state);
        vm.park(format_args!("Attempt to modify a readonly table"));
        raw::raise(state, vm, Raise::Plain)
    }
}

/// `__newindex` of a face.
unsafe fn refuse_assignment(_: State, vm: &mut Interpreter) -> Result<c_int, Raise> {
    Err(vm.fail(format_args!("Attempt to modify a readonly table")))
}

/// `pairs`: hands out the face and the careful `next`, never the real table.
unsafe fn pairs(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing. Upvalue 1 is Lua's `next`, 2 the careful one.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let next = if is_face(state, 1) { 2 } else { 1 };
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(next));
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
    }
    Ok(3)
}

/// `getmetatable`: of a face, what it shows; of a string, a face.
unsafe fn getmetatable(state: State, _: &mut Interpreter) -> Result<c_int, Raise> {
    // SAFETY: a body; the frame owns nothing. Upvalue 1 is the face of the metatable of strings.
    unsafe {
        ffi::luaL_checkany(state, 1);
        match ffi::lua_type(state, 1) {
            ffi::LUA_TSTRING => ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1)),
            ffi::LUA_TTABLE if is_face(state, 1) => {
                ffi::lua_getmetatable(state, 1);
                ffi::lua_rawgeti_(state, -1, AT_SHOWN);
            }
            _ => {
                if ffi::lua_getmetatable(state, 1) == 0 {
                    ffi::lua_pushnil(state);
                } else if ffi::luaL_getmetafield_(state, 1, c"__metatable".as_ptr()) == 0 {
                    ffi::lua_pushvalue(state, -1);
                }
            }
        }
    }
    Ok(1)
}

/// Replaces the table on top of the stack by a face of it.
///
/// # Safety
/// While the memory limit is lifted; eight free stack slots.
pub(super) unsafe fn protect(state: State) {
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_createtable(state, 0, 0);
        ffi::lua_createtable(state, 3, 2);
        ffi::lua_pushlightuserdata(state, mark());
        ffi::lua_rawseti_(state, -2, AT_MARK);
        ffi::lua_pushvalue(state, -3);
        ffi::lua_rawseti_(state, -2, AT_REAL);
        raw::push(state, b"__index");
        ffi::lua_pushvalue(state, -4);
        ffi::lua_rawset(state, -3);
        raw::push(state, b"__newindex");
        ffi::lua_pushcclosure(state, closure!(refuse_assignment), 0);
        ffi::lua_rawset(state, -3);
        ffi::lua_setmetatable(state, -2);
        ffi::lua_replace(state, -2);
    }
}

/// Lets `getmetatable` show the table on top of the stack for the face below it. Pops it.
///
/// # Safety
/// As [`protect`].
pub(super) unsafe fn show_metatable(state: State) {
    // SAFETY: as the caller promises.
    unsafe {
        ffi::lua_getmetatable(state, -2);
        ffi::lua_insert(state, -2);
        ffi::lua_rawseti_(state, -2, AT_SHOWN);
        ffi::lua_settop(state, -2);
    }
}

/// Pushes the careful `pairs`; it takes the two `next` from the globals. Lua's own is still in `originals`.
///
/// # Safety
/// As [`protect`], after [`replace_originals`].
pub(super) unsafe fn push_pairs(state: State) {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(next) = raw::interpreter(state).originals.next {
            ffi::lua_pushcclosure(state, next, 0);
        }
        ffi::lua_pushcclosure(state, next, 0);
        ffi::lua_pushcclosure(state, closure!(pairs), 2);
    }
}

/// Pushes the careful `getmetatable`; consumes the face of the metatable of strings on top of the stack.
///
/// # Safety
/// As [`protect`].
pub(super) unsafe fn push_getmetatable(state: State) {
    // SAFETY: as the caller promises.
    unsafe { ffi::lua_pushcclosure(state, closure!(getmetatable), 1) }
}
