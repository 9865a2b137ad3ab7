//! The globals that scripts see: Redis's selection of Lua's library, its own modules, and no way to change them.

use mlua_sys as ffi;

use super::{
    bit, cjson, cmsgpack, library, patterns, random,
    raw::{self, State, closure},
    readonly, redis_api, structs,
};

/// The global functions and tables that Redis leaves in; the rest (files, `print`, environments, `newproxy`, `debug`) is
/// not there.
const GLOBALS: &[&str] = &[
    "_VERSION",
    "assert",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
];

/// Builds the environment. Afterwards the globals of the stack are a face (see `readonly.rs`); returns a reference to the
/// real table, into which `KEYS` and `ARGV` are put.
///
/// # Safety
/// `state` is a fresh main thread whose interpreter is complete; the memory limit is lifted.
pub(super) unsafe fn build(state: State) -> std::ffi::c_int {
    // SAFETY: as the caller promises: nothing here can raise.
    unsafe {
        for (name, open) in [
            (c"", ffi::luaopen_base as unsafe extern "C-unwind" fn(State) -> std::ffi::c_int),
            (c"table", ffi::luaopen_table),
            (c"string", ffi::luaopen_string),
            (c"math", ffi::luaopen_math),
            (c"os", ffi::luaopen_os),
        ] {
            ffi::lua_pushcclosure(state, open, 0);
            ffi::lua_pushstring_(state, name.as_ptr());
            ffi::lua_call(state, 1, 0);
        }
        bound_functions(state);
        readonly::replace_originals(state);
        replace_functions(state);

        ffi::lua_createtable(state, 0, 48);
        for name in GLOBALS {
            raw::push(state, name.as_bytes());
            ffi::lua_pushvalue(state, -1);
            ffi::lua_rawget_(state, ffi::LUA_GLOBALSINDEX);
            ffi::lua_rawset(state, -3);
        }
        push_clock(state);
        put(state, "os");
        redis_api::push_table(state);
        put(state, "redis");
        bit::push_table(state);
        put(state, "bit");
        cjson::push_table(state, 0);
        put(state, "cjson");
        cmsgpack::push_table(state);
        put(state, "cmsgpack");
        structs::push_table(state);
        put(state, "struct");
        seal(state)
    }
}

/// Sets a field of the table below the value on top of the stack.
unsafe fn put(state: State, name: &str) {
    // SAFETY: called by `build` only.
    unsafe {
        raw::push(state, name.as_bytes());
        ffi::lua_insert(state, -2);
        ffi::lua_rawset(state, -3);
    }
}

/// A table with nothing but `os.clock`.
unsafe fn push_clock(state: State) {
    // SAFETY: called by `build` only.
    unsafe {
        raw::push(state, b"os");
        ffi::lua_rawget_(state, ffi::LUA_GLOBALSINDEX);
        raw::push(state, b"clock");
        ffi::lua_rawget_(state, -2);
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_insert(state, -2);
        put(state, "clock");
        ffi::lua_replace(state, -2);
    }
}

/// Replaces the functions that can go on for ever inside one call, where no instruction of the script is counted.
unsafe fn bound_functions(state: State) {
    // SAFETY: called by `build` only.
    unsafe {
        for (table, name, function) in [
            ("string", "find", patterns::find as ffi::lua_CFunction),
            ("string", "match", patterns::first_match),
            ("string", "gmatch", patterns::gmatch),
            ("string", "gsub", patterns::gsub),
            ("string", "rep", closure!(library::rep)),
            ("table", "insert", closure!(library::insert)),
        ] {
            raw::push(state, table.as_bytes());
            ffi::lua_rawget_(state, ffi::LUA_GLOBALSINDEX);
            ffi::lua_pushcclosure(state, function, 0);
            put(state, name);
            ffi::lua_settop(state, -2);
        }
    }
}

/// Puts our versions of some functions into the libraries.
unsafe fn replace_functions(state: State) {
    // SAFETY: called by `build` only.
    unsafe {
        ffi::lua_pushvalue(state, ffi::LUA_GLOBALSINDEX);
        readonly::push_pairs(state);
        put(state, "pairs");
        for (name, function) in [
            ("pcall", library::pcall as ffi::lua_CFunction),
            ("xpcall", library::xpcall),
            ("load", library::load),
            ("loadstring", closure!(library::loadstring)),
            ("collectgarbage", closure!(library::collectgarbage)),
        ] {
            ffi::lua_pushcclosure(state, function, 0);
            put(state, name);
        }
        raw::push(state, b"math");
        ffi::lua_rawget_(state, -2);
        ffi::lua_pushcclosure(state, closure!(random::random), 0);
        put(state, "random");
        ffi::lua_pushcclosure(state, closure!(random::seed), 0);
        put(state, "randomseed");
        ffi::lua_settop(state, -3);
    }
}

/// Turns every table in the globals on top of the stack into a face, and then the globals themselves, which become the
/// stack's.
unsafe fn seal(state: State) -> std::ffi::c_int {
    // SAFETY: called by `build` only.
    unsafe {
        // Methods of strings are found through the metatable of strings: its `__index` is the face of `string`, so that no
        // script reaches the table itself.
        for name in ["coroutine", "math", "string", "table", "os", "redis", "bit", "cjson", "cmsgpack", "struct"] {
            raw::push(state, name.as_bytes());
            ffi::lua_rawget_(state, -2);
            readonly::protect(state);
            put(state, name);
        }
        raw::push(state, b"");
        ffi::lua_getmetatable(state, -1);
        raw::push(state, b"string");
        ffi::lua_rawget_(state, -4);
        put(state, "__index");
        readonly::protect(state);
        ffi::lua_replace(state, -2);
        readonly::push_getmetatable(state);
        put(state, "getmetatable");

        // A global that is not there is an error.
        ffi::lua_createtable(state, 0, 1);
        ffi::lua_pushcclosure(state, closure!(missing_global), 0);
        put(state, "__index");
        ffi::lua_pushvalue(state, -1);
        ffi::lua_setmetatable(state, -3);
        // Stack: globals, their metatable.
        readonly::protect(state);
        ffi::lua_pushvalue(state, -2);
        let real = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
        ffi::lua_insert(state, -2);
        readonly::protect(state);
        // Stack: the metatable's face, the globals' face.
        ffi::lua_insert(state, -2);
        readonly::show_metatable(state);
        ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, real);
        ffi::lua_pushvalue(state, -2);
        put(state, "_G");
        ffi::lua_settop(state, -2);
        ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX);
        real
    }
}

/// `__index` of the globals.
unsafe fn missing_global(
    state: State,
    vm: &mut super::interpreter::Interpreter,
) -> Result<std::ffi::c_int, raw::Raise> {
    vm.message.clear();
    // SAFETY: a body; the key stays in its slot.
    unsafe {
        match ffi::lua_type(state, 2) {
            ffi::LUA_TSTRING | ffi::LUA_TNUMBER => {
                let name = raw::bytes(state, 2);
                vm.message.extend_from_slice(b"Script attempted to access nonexistent global variable '");
                vm.message.extend_from_slice(name);
                vm.message.push(b'\'');
            }
            _ => vm.message.extend_from_slice(b"Second argument to luaProtectedTableError must be a string or number"),
        }
    }
    Err(raw::Raise::At)
}
