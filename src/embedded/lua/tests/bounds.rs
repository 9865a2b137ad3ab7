//! Time, memory, panics and the cache of scripts.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::super::{LuaRuntime, ScriptHash, ScriptHost, runtime::Limits};
use crate::codec::resp::Value;

/// Answers every command with its own arguments; panics on `panic`.
struct Echo;

impl ScriptHost for Echo {
    fn call(&mut self, args: &[&[u8]]) -> Value {
        assert_ne!(args[0], b"panic", "as asked");
        Value::Array(args.iter().map(|arg| Value::Bulk(arg.to_vec())).collect())
    }
}

fn runtime(limits: Limits) -> LuaRuntime {
    LuaRuntime::new(limits)
}

fn run(runtime: &mut LuaRuntime, script: &str) -> Value {
    match runtime.load_transient(script.as_bytes()) {
        Ok(hash) => runtime.run(&hash, &[], &[], &mut Echo),
        Err(error) => Value::Error(error),
    }
}

fn error_of(value: &Value) -> &str {
    match value {
        Value::Error(error) => error.message(),
        other => panic!("an error is wanted, not {other:?}"),
    }
}

#[test]
fn a_script_that_never_ends_is_ended() {
    let mut runtime = runtime(Limits { time: Duration::from_millis(100), ..Limits::default() });
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do redis.call('x') end",
        "while true do redis.pcall('x') end",
        "local function f() return f() end return f()",
        "repeat local ok = pcall(error, 'x') until false",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "for i = 1, 1e18 do cjson.encode({i}) end",
        "while true do loadstring('while true do end')() end",
        "return setmetatable({}, {__index = function(t, k) while true do end end}).x",
        "table.sort({1,2,3,4}, function() while true do end end)",
        "string.gsub('aaaa', 'a', function() while true do end end)",
        // Within one call, where no instructions are counted.
        "return string.find(string.rep('a', 40), string.rep('a?', 40)..string.rep('a', 40))",
        "return string.rep('a', 50000):find('.-.-.-.-b')",
        "return string.rep('a', 50000):match('(.-)(.-)(.-)%1b')",
        "for x in string.rep('a', 50000):gmatch('.*.*.*b') do end",
        "return string.rep('a', 50000):gsub('.*.*.*b', '')",
        "pcall(string.find, string.rep('a', 50000), '.-.-.-.-b') while true do end",
        "coroutine.wrap(function() return string.rep('a', 50000):find('.-.-.-.-b') end)()",
        "while true do string.rep('', 2^31 - 1) end",
        "local t = {} while true do table.insert(t, -2^31, 1) end",
        "local t = {1} for i = 1, 14 do t = {t, t, t, t, t, t, t, t} end cmsgpack.pack(t)",
    ] {
        let started = Instant::now();
        let reply = run(&mut runtime, script);
        assert!(started.elapsed() < Duration::from_secs(20), "{script} took {:?}", started.elapsed());
        let error = error_of(&reply);
        assert!(error.starts_with("ERR Script killed: it ran for longer than 100 ms."), "{script}: {error}");
        assert_eq!(run(&mut runtime, "return 1"), Value::Int(1), "after {script}");
    }
}

#[test]
fn a_script_that_takes_too_much_memory_is_ended() {
    let mut runtime = runtime(Limits { memory: 8 * 1024 * 1024, time: Duration::from_secs(30) });
    for script in [
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = 'x' while true do s = s..s end",
        "return string.rep('x', 1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = cjson.encode({i}) end",
        "local t = {} for i = 1, 1e9 do t[i] = redis.call('x', i) end",
        "return cmsgpack.unpack(string.rep('\\145', 500)..string.rep('\\221\\0\\0\\1\\0', 1e6))",
        "return cjson.decode('['..string.rep('[],', 1000000)..'1]')",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        // Small tables that stand for something large.
        "local t = {'some text'} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
        "local t = {'some text'} for i = 1, 60 do t = {t, t} end return t",
        "local t = {map = {a = 'some text'}} for i = 1, 60 do t = {map = {a = t, b = t}} end redis.setresp(3) return t",
        "cjson.encode_sparse_array(true, 0) local t = {} t[2^31 - 1] = 1 return cjson.encode(t)",
        "local s = string.rep('x', 4000000) return redis.call('x', s, s..'y', s..'z')",
        "return string.rep('x', 100):rep(1000000)",
        "return ('x'):rep(4000000):gsub('x', 'yyyy')",
        "return table.concat({('x'):rep(3000000), ('y'):rep(3000000), ('z'):rep(3000000)})",
    ] {
        let reply = run(&mut runtime, script);
        let error = error_of(&reply);
        assert!(
            error.contains("not enough memory") || error.contains("Missing bytes") || error.contains("Bad data"),
            "{script}: {error}"
        );
        assert_eq!(run(&mut runtime, "return 1"), Value::Int(1), "after {script}");
        assert!(runtime.memory() < 4 * 1024 * 1024, "{script} left {} bytes", runtime.memory());
    }
}

/// The limit is met at every single allocation of a script that uses everything, one run after the other.
#[test]
fn running_out_of_memory_is_survived_wherever_it_happens() {
    let script = "local t = cjson.decode('{\"a\":[1,2,{\"b\":\"c\"}]}') local p = cmsgpack.pack(t, 'x') \
                  local e = redis.pcall('echo', p, 12.5) local s = struct.pack('>I4s', 7, 'x') \
                  local ok, m = pcall(error, 'x') local f = loadstring('return 1') \
                  local c = coroutine.wrap(function() return redis.error_reply('x') end) \
                  return {cjson.encode(t), p, e, s, m, f and f(), c(), redis.sha1hex('x'), bit.tohex(7)}";
    let mut spare = 0;
    loop {
        let base = LuaRuntime::new(Limits::default()).memory();
        let mut runtime = runtime(Limits { memory: base + spare, time: Duration::from_secs(30) });
        let reply = run(&mut runtime, script);
        if matches!(&reply, Value::Array(items) if matches!(&items[5], Value::Int(1))) {
            break;
        }
        assert!(runtime.memory() <= base + spare + 65_536);
        // The next size at which something else happens is at most one small allocation away.
        spare += 16;
        assert!(spare < 1024 * 1024, "{reply:?}");
    }
    assert!(spare > 1024, "the script needs memory: {spare}");
}

#[test]
fn a_panic_of_the_engine_passes_lua_and_leaves_it_usable() {
    let mut runtime = runtime(Limits::default());
    for script in [
        "redis.call('panic')",
        "pcall(redis.call, 'panic') return 1",
        "coroutine.wrap(function() redis.call('panic') end)()",
    ] {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut runtime, script)));
        assert!(outcome.is_err(), "{script}");
        assert_eq!(run(&mut runtime, "return redis.call('x')[1]"), Value::Bulk(b"x".to_vec()));
    }
}

#[test]
fn nothing_of_one_script_reaches_the_next() {
    let mut runtime = runtime(Limits::default());
    let writes = [
        "rawset(_G, 'leak', 1)",
        "pairs(_G)(_G).leak = 1",
        "local f, s = pairs(_G) rawset(s, 'leak', 1)",
        "local f, s = pairs(redis) s.leak = 1",
        "getmetatable('').leak = 1",
        "rawset(getmetatable(''), 'leak', 1)",
        "setmetatable(getmetatable(''), {})",
        "getmetatable(_G).__index._G.leak = 1",
        "string.leak = 1",
        "('x').leak = 1",
        "table.insert(getmetatable(_G), 1)",
        "for k, v in pairs(_G) do if type(v) == 'table' then v.leak = 1 end end",
        "for k, v in next, _G do if type(v) == 'table' then rawset(v, 'leak', 1) end end",
        "table.foreach(_G, function(k, v) if type(v) == 'table' then v.leak = 1 end end)",
        "collectgarbage('stop') error('x')",
        "redis.setresp(3) error('x')",
    ];
    let before = run(&mut runtime, "return tostring(next(getmetatable(_G)))");
    for script in writes {
        error_of(&run(&mut runtime, script));
        for probe in [
            "return rawget(_G, 'leak')",
            "return rawget(string, 'leak')",
            "return rawget(redis, 'leak')",
            "return ('x').leak",
        ] {
            assert_eq!(run(&mut runtime, probe), Value::Nil, "{probe} after {script}");
        }
        assert_eq!(run(&mut runtime, "return true"), Value::Int(1), "protocol 2 after {script}");
    }
    assert_eq!(run(&mut runtime, "return tostring(next(getmetatable(_G)))"), before);
}

#[test]
fn deep_values_end_in_an_error() {
    let mut runtime = runtime(Limits::default());
    let deep = "local t = {} local top = t for i = 1, 100000 do t[1] = {} t = t[1] end ";
    let Value::Array(mut items) = run(&mut runtime, &format!("{deep} return top")) else {
        panic!("an array is wanted")
    };
    let mut depth = 0;
    let last = loop {
        match items.pop() {
            Some(Value::Array(inner)) => items = inner,
            other => break other,
        }
        depth += 1;
    };
    assert_eq!(depth, 999);
    assert_eq!(error_of(&last.unwrap()), "ERR reached lua stack limit");
    for (script, part) in [
        (format!("{deep} return cjson.encode(top)"), "excessive nesting"),
        (format!("{deep} cjson.encode_max_depth(1e9) return cjson.encode(top)"), "excessive nesting"),
        ("cjson.decode_max_depth(1e9) return cjson.decode(string.rep('[', 1e6))".to_owned(), "too many nested"),
        ("return cmsgpack.unpack(string.rep('\\145', 1e6))".to_owned(), "Bad data format"),
        ("return cmsgpack.unpack(string.rep('\\129', 1e6))".to_owned(), "Bad data format"),
    ] {
        let reply = run(&mut runtime, &script);
        assert!(error_of(&reply).contains(part), "{script}: {reply:?}");
    }
}

#[test]
fn a_pattern_that_goes_too_deep_is_refused_and_not_followed() {
    let mut runtime = runtime(Limits::default());
    let reply = run(&mut runtime, "return string.find(string.rep('a', 200000), string.rep('a?', 200000))");
    assert!(error_of(&reply).contains("pattern too complex"), "{reply:?}");
    assert_eq!(run(&mut runtime, "return (string.find(string.rep('a', 150), string.rep('a?', 150)))"), Value::Int(1));
    for script in ["local function f() return 1 + f() end return f()", "return pcall(string.rep, 'x', 2^52)"] {
        run(&mut runtime, script);
        assert_eq!(run(&mut runtime, "return 1"), Value::Int(1), "after {script}");
    }
}

#[test]
fn scripts_are_kept_by_hash() {
    let mut runtime = runtime(Limits::default());
    let hash = runtime.load(b"return 1").unwrap();
    assert_eq!(hash.as_str(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    let upper = hash.as_str().to_uppercase();
    assert!(ScriptHash::parse(upper.as_bytes()) == Some(hash));
    assert!(ScriptHash::parse(b"short").is_none());
    assert!(runtime.contains(&hash));
    let missing = ScriptHash::of(b"return 2");
    assert_eq!(error_of(&runtime.run(&missing, &[], &[], &mut Echo)), "NOSCRIPT No matching script. Please use EVAL.");

    // Scripts that came by `EVAL` make room for each other, never those that were loaded.
    let first = runtime.load_transient(b"return 0").unwrap();
    let promoted = runtime.load_transient(b"return -1").unwrap();
    runtime.load(b"return -1").unwrap();
    for number in 0..1000 {
        runtime.load_transient(format!("return {number} + 1").as_bytes()).unwrap();
    }
    assert!(!runtime.contains(&first));
    assert!(runtime.contains(&promoted) && runtime.contains(&hash));
    assert_eq!(runtime.run(&hash, &[], &[], &mut Echo), Value::Int(1));

    runtime.flush();
    assert!(!runtime.contains(&hash));
    assert!(runtime.load(b"return 1 1").is_err());
    let declared = runtime.load(b"#!lua flags=no-writes\nreturn 1").unwrap();
    assert_eq!(runtime.flags(&declared).map(|flags| flags.no_writes), Some(true));
}

#[test]
fn memory_does_not_grow_with_runs() {
    let mut runtime = runtime(Limits::default());
    let script = "local t = {} for i = 1, 100 do t[i] = cjson.encode({i}) end return {t[1], redis.call('x', t[2], 3)}";
    let hash = runtime.load(script.as_bytes()).unwrap();
    let mut once = || {
        for _ in 0..300 {
            runtime.run(&hash, &[b"k"], &[b"a"], &mut Echo);
        }
        runtime.memory()
    };
    let early = once();
    for _ in 0..5 {
        once();
    }
    let late = once();
    assert!(late < early + 200_000, "{early} bytes became {late}");
}
