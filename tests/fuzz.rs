//! Broken, hostile and merely odd bytes at every place where bytes come in: the decoder of replies, the requests of the
//! listener, and scripts with their arguments. Nothing may panic, hang, or take memory that its input does not justify.
//!
//! `OXCART_FUZZ_SECONDS` says how long each runs, `OXCART_FUZZ_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed that repeats a run")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use oxcart::{
    ErrorCode,
    clock::Clock,
    codec::resp::{Dialect, FrameScanner, Value, parse},
    connection::Command,
    embedded::{Embedded, Listener},
};

/// Counts what is allocated: by this thread, and by the whole process.
struct Counting;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
    static HERE_AT_MOST: Cell<usize> = const { Cell::new(0) };
}
static EVERYWHERE: AtomicUsize = AtomicUsize::new(0);
static EVERYWHERE_AT_MOST: AtomicUsize = AtomicUsize::new(0);

fn grown(by: usize) {
    let all = EVERYWHERE.fetch_add(by, Ordering::Relaxed).wrapping_add(by);
    EVERYWHERE_AT_MOST.fetch_max(all, Ordering::Relaxed);
    let _ = HERE.try_with(|here| {
        here.set(here.get().wrapping_add(by));
        HERE_AT_MOST.with(|most| most.set(most.get().max(here.get())));
    });
}

fn shrunk(by: usize) {
    EVERYWHERE.fetch_sub(by, Ordering::Relaxed);
    // What another thread allocated may be freed here: only ever less is counted.
    let _ = HERE.try_with(|here| here.set(here.get().saturating_sub(by)));
}

// SAFETY: everything is passed on as it is; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrunk(layout.size());
        grown(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MB: usize = 1024 * 1024;

/// Engines share one thread, and the process one heap: what one test does is not to be blamed on another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `round` until the time is over; `OXCART_FUZZ_SECONDS` is 2 where nobody says.
fn fuzz(name: &str, mut round: impl FnMut(&mut Rng)) {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = setting("OXCART_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("{name}: OXCART_FUZZ_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(setting("OXCART_FUZZ_SECONDS").unwrap_or(2));
    let mut random = Rng::with_seed(seed);
    let mut rounds = 0_u64;
    while Instant::now() < end {
        round(&mut random);
        rounds += 1;
    }
    println!("{name}: {rounds} rounds");
    assert!(rounds > 0);
}

/// Changes some bytes: flips, cuts, repeats, and numbers that are far too large.
fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    let odd: [&[u8]; 14] = [
        b"\r\n",
        b"*",
        b"$-1\r\n",
        b"*2147483647\r\n",
        b"$2147483646\r\n",
        b"%1000000\r\n",
        b"*-1\r\n",
        b"\0",
        b"\xff\xfe",
        b"99999999999999999999",
        b"-",
        b"*1\r\n*1\r\n*1\r\n*1\r\n",
        b"$0\r\n",
        b"|1\r\n",
    ];
    for _ in 0..random.usize(0..4) {
        let at = random.usize(..=bytes.len());
        match random.u8(..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes.truncate(at),
            2 => {
                let piece = odd[random.usize(..odd.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            3 => {
                let until = random.usize(at..=bytes.len());
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let until = random.usize(at..=bytes.len().min(at + 4));
                bytes.drain(at..until);
            }
        }
    }
}

fn bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    let words: [&[u8]; 6] = [b"key", b"", b"1", b"\r\n", b"\xf0\x9f", b"a longer text with blanks"];
    if random.bool() {
        words[random.usize(..words.len())].to_vec()
    } else {
        (0..random.usize(..=most)).map(|_| random.u8(..)).collect()
    }
}

fn value(random: &mut Rng, depth: usize) -> Value {
    let items = |random: &mut Rng| (0..random.usize(..4)).map(|_| value(random, depth + 1)).collect::<Vec<_>>();
    match random.u8(..if depth > 6 { 7 } else { 12 }) {
        0 => Value::Nil,
        1 => Value::Int(random.i64(..)),
        2 => Value::Bulk(bytes(random, 40)),
        3 => Value::Simple("OK".to_owned()),
        4 => Value::Bool(random.bool()),
        5 => Value::Double(format!("{}", random.f64() * 1e9)),
        6 => Value::BigNumber("123456789012345678901234567890".to_owned()),
        7 => Value::Set(items(random)),
        8 => Value::Push(items(random)),
        9 => Value::Map((0..random.usize(..4)).map(|_| (value(random, depth + 1), value(random, depth + 1))).collect()),
        _ => Value::Array(items(random)),
    }
}

/// Reads every frame that can be read of a stream that arrives in pieces.
fn decode(random: &mut Rng, input: &[u8]) -> (usize, bool) {
    let (mut scanner, mut start, mut arrived, mut frames) = (FrameScanner::default(), 0, 0, 0);
    loop {
        match scanner.scan(&input[start..arrived]) {
            Err(_) => return (frames, true),
            Ok(Some(length)) => {
                assert!(length > 0 && start + length <= arrived, "a frame of {length} bytes of what has arrived");
                if let Ok(reply) = parse(&input[start..start + length]) {
                    drop(reply.to_value());
                }
                frames += 1;
                start += length;
            }
            Ok(None) if arrived == input.len() => return (frames, false),
            Ok(None) => arrived = (arrived + random.usize(1..=64)).min(input.len()),
        }
    }
}

#[test]
fn the_decoder_of_replies_survives_anything() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    fuzz("replies", |random| {
        let mut input = Vec::new();
        for _ in 0..random.usize(1..4) {
            let dialect = Dialect { resp3: random.bool(), null_array: random.bool() };
            value(random, 0).encode(dialect, &mut input);
        }
        mutate(random, &mut input);
        HERE.set(0);
        HERE_AT_MOST.set(0);
        let in_pieces = decode(random, &input);
        let most = HERE_AT_MOST.get();
        // A value of a few bytes takes a few dozen in memory; what is only announced takes none.
        assert!(
            most <= 4096 + 256 * input.len(),
            "{most} bytes for {} of input: {}",
            input.len(),
            input.escape_ascii()
        );
        assert_eq!(in_pieces, decode(random, &input), "{}", input.escape_ascii());
    });
}

fn request(words: &[Vec<u8>]) -> Vec<u8> {
    let mut request = Vec::new();
    words.iter().fold(Command::default(), Command::arg).encode(&mut request);
    request
}

#[test]
fn the_listener_survives_any_request() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let connect = || {
        let socket = TcpStream::connect(("127.0.0.1", listener.port().unwrap())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let commands =
        ["SET", "GET", "HELLO", "LPUSH", "SUBSCRIBE", "EVAL", "MULTI", "EXEC", "XADD", "CLIENT", "RESET", "XREADGROUP"];
    EVERYWHERE_AT_MOST.store(0, Ordering::Relaxed);
    let limit = EVERYWHERE.load(Ordering::Relaxed) + 256 * MB;
    fuzz("requests", |random| {
        let mut input = Vec::new();
        for _ in 0..random.usize(1..6) {
            let mut words = vec![commands[random.usize(..commands.len())].as_bytes().to_vec()];
            words.extend((0..random.usize(..5)).map(|_| bytes(random, 20)));
            if random.u8(..4) == 0 {
                input.extend(words.join(&b' '));
                input.extend(b"\r\n");
            } else {
                input.extend(request(&words));
            }
        }
        mutate(random, &mut input);
        let mut socket = connect();
        for piece in input.chunks(random.usize(1..200)) {
            // The other side may have had enough already.
            if socket.write_all(piece).is_err() {
                break;
            }
        }
        let _ = socket.shutdown(Shutdown::Write);
        let mut replies = Vec::new();
        if let Err(error) = socket.read_to_end(&mut replies) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "no end after {}", input.escape_ascii());
        }
        assert!(!replies.windows(5).any(|part| part == b"panic"), "{}", input.escape_ascii());
        let most = EVERYWHERE_AT_MOST.load(Ordering::Relaxed);
        assert!(most < limit, "{most} bytes after {}", input.escape_ascii());
    });
    let mut socket = connect();
    socket.write_all(b"PING\r\n").unwrap();
    let mut pong = [0; 7];
    socket.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"+PONG\r\n");
}

/// A script made of pieces that touch what is ours: modules, conversions, errors, coroutines.
fn script(random: &mut Rng) -> Vec<u8> {
    let pieces = [
        "ARGV[1]",
        "ARGV[2]",
        "KEYS[1]",
        "nil",
        "1",
        "-1",
        "2^53",
        "1/0",
        "0/0",
        "'x'",
        "''",
        "{}",
        "{1,2,nil,4}",
        "{a=1}",
        "{err='x'}",
        "{ok='x'}",
        "{double=1.5}",
        "{map={a=1}}",
        "{set={a=true}}",
        "redis.call('get', KEYS[1])",
        "redis.pcall('nope', ARGV[1])",
        "redis.call('set', KEYS[1], ARGV[1])",
        "redis.call(unpack(ARGV))",
        "redis.call('hset', 'h', 'f', ARGV[2])",
        "cjson.encode(ARGV)",
        "cjson.decode(ARGV[1])",
        "cmsgpack.pack(ARGV)",
        "cmsgpack.unpack(ARGV[2])",
        "cmsgpack.unpack_limit(ARGV[1], 2, 0)",
        "struct.pack('>I2s', 1, ARGV[1])",
        "struct.unpack('>I4s', ARGV[2])",
        "struct.unpack(ARGV[1], ARGV[2])",
        "struct.size(ARGV[1])",
        "bit.band(ARGV[1], 7)",
        "bit.lshift(1, 40)",
        "ARGV[1]:find(ARGV[2])",
        "ARGV[1]:gsub(ARGV[2], '%0%1')",
        "ARGV[2]:rep(1000)",
        "('a'):rep(1e9)",
        "string.format(ARGV[1], ARGV[2])",
        "string.format('%q', ARGV[1])",
        "tonumber(ARGV[1])",
        "loadstring(ARGV[1])",
        "pcall(loadstring(ARGV[2]) or error)",
        "error(ARGV[1])",
        "error({err=ARGV[1]})",
        "redis.error_reply(ARGV[1])",
        "redis.status_reply(ARGV[2])",
        "redis.sha1hex(ARGV[1])",
        "coroutine.wrap(function() return coroutine.yield(ARGV) end)()",
        "setmetatable({}, {__index=error}).x",
        "redis.setresp(3)",
        "#ARGV",
        "tostring(redis)",
        "table.concat(ARGV)",
        "unpack(ARGV)",
        "select(2, unpack(ARGV))",
        "collectgarbage()",
        "math.random(10)",
        "table.sort(ARGV)",
        "rawset(_G, 'x', 1)",
        "next(ARGV)",
        "os.clock()",
    ];
    let piece = |random: &mut Rng| pieces[random.usize(..pieces.len())];
    let mut script = String::new();
    for _ in 0..random.usize(..4) {
        let (left, right) = (piece(random), piece(random));
        let statement = match random.u8(..6) {
            0 => format!("local a = {left} "),
            1 => format!("local ok, e = pcall(function() return {left} end) "),
            2 => format!("for i = 1, 3 do local b = {left} end "),
            3 => format!("if {left} then local c = {right} end "),
            4 => format!(
                "local t = {{{left}, {right}}} for i = 1, 8 do t = {{t, t}} end local d = pcall(cjson.encode, t) "
            ),
            _ => format!("local f = function(...) return ... end local g = f({left}, {right}) "),
        };
        script.push_str(&statement);
    }
    script.extend(["return ", piece(random)]);
    let mut script = script.into_bytes();
    if random.u8(..3) == 0 {
        mutate(random, &mut script);
    }
    script
}

#[test]
fn the_line_to_lua_survives_any_script() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let link = Embedded::private(Clock::system()).link(0);
    EVERYWHERE_AT_MOST.store(0, Ordering::Relaxed);
    let limit = EVERYWHERE.load(Ordering::Relaxed) + 2048 * MB;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    fuzz("scripts", |random| {
        let script = script(random);
        let mut call = Command::new("EVAL").arg(&script).arg("1").arg("key");
        for _ in 0..random.usize(..4) {
            let mut argument = bytes(random, 60);
            if random.u8(..4) == 0 {
                argument = br#"{"a":[1,2,{"b":null}],"c":"\u00e9"}"#.to_vec();
                mutate(random, &mut argument);
            }
            call = call.arg(argument);
        }
        let asked = Instant::now();
        let reply = runtime.block_on(link.call(call));
        let shown = || String::from_utf8_lossy(&script).into_owned();
        if let Err(error) = &reply {
            assert_ne!(error.code(), ErrorCode::Internal, "{error} after {}", shown());
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "{:?} for {}", asked.elapsed(), shown());
        let most = EVERYWHERE_AT_MOST.load(Ordering::Relaxed);
        assert!(most < limit, "{most} bytes after {}", shown());
    });
    let reply = runtime.block_on(link.call(Command::new("EVAL").arg("return 7").arg("0")));
    assert_eq!(reply.unwrap(), Value::Int(7));
}
