//! Files of older and newer servers, byte by byte, and files that are broken: no panic, no memory without bound.
//!
//! `OXCART_FUZZ_SECONDS` sets how long the last test goes on, and `OXCART_FUZZ_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed that repeats a run")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fastrand::Rng;
use oxcart::{
    ErrorCode,
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, Link},
    embedded::{Embedded, JournalOptions, load_file},
    testing::{RedisServer, TemporaryDirectory},
};

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests that look at memory run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn length(into: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 64 => into.push(short),
        _ => {
            into.push(0x80);
            into.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        }
    }
}

fn string(into: &mut Vec<u8>, bytes: &[u8]) {
    length(into, bytes.len());
    into.extend_from_slice(bytes);
}

/// A ziplist of strings shorter than 64 bytes, and of the numbers that they are where they are.
fn ziplist(items: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 10];
    let mut before = 0;
    for (index, item) in items.iter().enumerate() {
        let start = bytes.len();
        bytes.push(u8::try_from(before).unwrap());
        match item.parse::<i64>() {
            Ok(number) if number.to_string() == *item => {
                if let Ok(tiny @ 0..=12) = u8::try_from(number) {
                    bytes.push(0xf1 + tiny);
                } else if let Ok(number) = i8::try_from(number) {
                    bytes.push(0xfe);
                    bytes.extend(number.to_le_bytes());
                } else if let Ok(number) = i16::try_from(number) {
                    bytes.push(0xc0);
                    bytes.extend(number.to_le_bytes());
                } else if (-(1 << 23)..1 << 23).contains(&number) {
                    bytes.push(0xf0);
                    bytes.extend(&number.to_le_bytes()[..3]);
                } else if let Ok(number) = i32::try_from(number) {
                    bytes.push(0xd0);
                    bytes.extend(number.to_le_bytes());
                } else {
                    bytes.push(0xe0);
                    bytes.extend(number.to_le_bytes());
                }
            }
            _ => {
                bytes.push(u8::try_from(item.len()).unwrap());
                bytes.extend(item.bytes());
            }
        }
        before = bytes.len() - start;
        if index + 1 == items.len() {
            bytes[4..8].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        }
    }
    bytes.push(0xff);
    let size = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes[8..10].copy_from_slice(&u16::try_from(items.len()).unwrap().to_le_bytes());
    bytes
}

/// A listpack of short strings and of numbers below 128.
fn listpack(items: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    for item in items {
        let start = bytes.len();
        match item.parse::<u8>() {
            Ok(number) if number < 128 => bytes.push(number),
            _ => {
                bytes.push(0x80 | u8::try_from(item.len()).unwrap());
                bytes.extend(item.bytes());
            }
        }
        bytes.push(u8::try_from(bytes.len() - start).unwrap());
    }
    bytes.push(0xff);
    let size = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes[4..6].copy_from_slice(&u16::try_from(items.len()).unwrap().to_le_bytes());
    bytes
}

fn raw_id(ms: u64, seq: u64) -> Vec<u8> {
    [ms.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// A stream with a group, as versions before 7 (15), 7.0 (19) and 7.2 (21) kept it.
fn stream(kind: u8) -> Vec<u8> {
    let mut value = Vec::new();
    length(&mut value, 1);
    string(&mut value, &raw_id(5, 1));
    let entries = [
        &["2", "1", "1", "f", "0"][..],
        &["2", "0", "0", "v1", "4"],
        &["3", "1", "0", "gone", "4"],
        &["0", "2", "3", "2", "a", "b", "c", "d", "8"],
    ];
    string(&mut value, &listpack(&entries.concat()));
    length(&mut value, 2);
    let id = |into: &mut Vec<u8>, ms, seq| {
        length(into, ms);
        length(into, seq);
    };
    id(&mut value, 9, 9);
    if kind >= 19 {
        id(&mut value, 5, 1);
        id(&mut value, 6, 1);
        length(&mut value, 3);
    }
    length(&mut value, 1);
    string(&mut value, b"g");
    id(&mut value, 5, 1);
    if kind >= 19 {
        length(&mut value, 1);
    }
    length(&mut value, 1);
    value.extend(raw_id(5, 1));
    value.extend(1_700_000_000_000_i64.to_le_bytes());
    length(&mut value, 3);
    length(&mut value, 1);
    string(&mut value, b"ann");
    value.extend(1_700_000_000_000_i64.to_le_bytes());
    if kind >= 21 {
        value.extend(1_700_000_000_000_i64.to_le_bytes());
    }
    length(&mut value, 1);
    value.extend(raw_id(5, 1));
    value
}

/// Keys with values, by type.
fn keys(up_to: u8) -> Vec<(u8, &'static str, Vec<u8>)> {
    let strings = |items: &[&[u8]]| {
        let mut value = Vec::new();
        length(&mut value, items.len());
        for item in items {
            string(&mut value, item);
        }
        value
    };
    let packed = |bytes: &[u8]| {
        let mut value = Vec::new();
        string(&mut value, bytes);
        value
    };
    let numbers = ["0", "12", "13", "-100", "1000", "-70000", "100000000", "5000000000", "-8388609", "text"];
    let pairs = ["b", "-2", "a", "1", "c", "100000"];
    let mut scores = Vec::new();
    length(&mut scores, 3);
    for (member, score) in [("a", &b"\x031.5"[..]), ("b", b"\xfe"), ("c", b"\xff")] {
        string(&mut scores, member.as_bytes());
        scores.extend_from_slice(score);
    }
    let mut hash = Vec::new();
    length(&mut hash, 2);
    for text in ["f", "v", "g", "w"] {
        string(&mut hash, text.as_bytes());
    }
    let node = |form: Option<usize>, bytes: &[u8]| {
        let mut value = Vec::new();
        if let Some(form) = form {
            length(&mut value, form);
        }
        string(&mut value, bytes);
        value
    };
    let mut quicklist = vec![2];
    quicklist.extend(node(None, &ziplist(&numbers)));
    quicklist.extend(node(None, &ziplist(&["tail"])));
    let mut second = vec![3];
    second.extend(node(Some(2), &listpack(&["a", "7"])));
    second.extend(node(Some(1), b"plain"));
    second.extend(node(Some(2), &listpack(&["z"])));
    let mut all = vec![
        (1, "list", strings(&[b"a", b"b"])),
        (2, "set", strings(&[b"a", b"b"])),
        (3, "scores", scores),
        (4, "hash", hash),
        (9, "zipmap", packed(b"\x02\x01a\x02\x00bc\x01d\x00\x00\xff")),
        (10, "ziplist", packed(&ziplist(&numbers))),
        (11, "intset", packed(b"\x04\0\0\0\x02\0\0\0\xff\xff\xff\xff\x05\0\x01\0")),
        (12, "sorted", packed(&ziplist(&pairs))),
        (13, "fields", packed(&ziplist(&pairs))),
        (14, "quicklist", quicklist),
        (15, "stream", stream(15)),
        (16, "fields2", packed(&listpack(&["a", "1", "b", "two"]))),
        (17, "sorted2", packed(&listpack(&["a", "1", "b", "2"]))),
        (18, "quicklist2", second),
        (19, "stream2", stream(19)),
        (20, "set2", packed(&listpack(&["a", "1"]))),
        (21, "stream3", stream(21)),
    ];
    all.retain(|(kind, ..)| *kind <= up_to);
    all
}

/// A file with the keys of types up to one, without a checksum.
fn file(version: &str, up_to: u8) -> Vec<u8> {
    let mut bytes = [b"REDIS", version.as_bytes()].concat();
    bytes.push(0xfa);
    string(&mut bytes, b"redis-ver");
    string(&mut bytes, b"x");
    bytes.extend([0xfe, 1, 0xfb, 20, 1]);
    for (kind, key, value) in keys(up_to) {
        bytes.push(kind);
        string(&mut bytes, key.as_bytes());
        bytes.extend(value);
    }
    bytes.extend([0xfd, 0, 0, 0, 0x7f, 0xf9, 5]);
    bytes.extend(b"\x00\x07seconds\xc0\x05\xf8\x05\xfc\0\0\0\0\0\x10\0\0\x00\x02ms\x01v\xff");
    bytes.extend([0; 8]);
    bytes
}

async fn ask(link: &Arc<dyn Link>, words: &str) -> Result<Value, oxcart::Error> {
    link.call(Command::default().args(words.split(' '))).await
}

async fn contents(link: &Arc<dyn Link>) -> Vec<String> {
    ask(link, "SELECT 1").await.unwrap();
    let Value::Array(names) = ask(link, "KEYS *").await.unwrap() else { panic!() };
    let mut names: Vec<String> = names.into_iter().map(|name| name.into_text().unwrap()).collect();
    names.sort();
    let mut shown = Vec::new();
    for name in names {
        let kind = ask(link, &format!("TYPE {name}")).await.unwrap().into_text().unwrap();
        let asked = match kind.as_str() {
            "string" => format!("GET {name}"),
            "list" => format!("LRANGE {name} 0 -1"),
            "set" => format!("SORT {name} ALPHA"),
            "zset" => format!("ZRANGE {name} 0 -1 WITHSCORES"),
            "hash" => format!("HGETALL {name}"),
            _ => format!("XRANGE {name} - +"),
        };
        let mut value =
            vec![ask(link, &asked).await.unwrap(), ask(link, &format!("PEXPIRETIME {name}")).await.unwrap()];
        if kind == "stream" {
            value.push(ask(link, &format!("XPENDING {name} g")).await.unwrap());
            let Value::Map(facts) = ask(link, &format!("XINFO STREAM {name}")).await.unwrap() else { panic!() };
            let known = ["length", "last-generated-id", "max-deleted-entry-id", "entries-added"];
            value.extend(
                facts
                    .into_iter()
                    .filter_map(|(fact, value)| known.contains(&fact.into_text().ok()?.as_str()).then_some(value)),
            );
            let Value::Array(groups) = ask(link, &format!("XINFO GROUPS {name}")).await.unwrap() else { panic!() };
            value.extend(groups);
        }
        let mut value = format!("{value:?}");
        if kind == "hash" {
            // The order of fields is nobody's.
            let mut letters: Vec<char> = value.chars().collect();
            letters.sort_unstable();
            value = letters.into_iter().collect();
        }
        shown.push(format!("{name} {kind} {value}"));
    }
    shown
}

#[tokio::test]
async fn every_type_is_read_as_a_server_reads_it() {
    // The last type that this server knows: 7.0 has 19, 7.2 has 21.
    for (version, up_to) in [("0009", 15), ("0010", 19)] {
        let parent = TemporaryDirectory::new();
        fs::write(parent.path().join("dump.rdb"), file(version, up_to)).unwrap();
        let path = parent.path().to_string_lossy().into_owned();
        let server = RedisServer::builder().args(["--dir", &path, "--dbfilename", "dump.rdb"]).start();
        let there = contents(&connection::open(server.options()).unwrap()).await;
        assert!(there.len() >= 13, "{there:?}");
        let options = JournalOptions::default();
        let (engine, report) = Embedded::open(parent.path(), Clock::system(), options).unwrap();
        assert_eq!(report.keys, there.len() as u64);
        let here = contents(&engine.link(0)).await;
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here, there);
        }
        assert_eq!(here.len(), there.len());
    }
}

#[tokio::test]
async fn types_of_newer_servers_are_read() {
    let directory = TemporaryDirectory::new();
    fs::write(directory.path().join("dump.rdb"), file("0011", 21)).unwrap();
    let (engine, report) = Embedded::open(directory.path(), Clock::system(), JournalOptions::default()).unwrap();
    assert_eq!(report.keys, 19);
    let here = contents(&engine.link(0)).await;
    let value = |name: &str| here.iter().find(|line| line.starts_with(&format!("{name} "))).unwrap().clone();
    assert!(value("set2").contains("[49]") && value("set2").contains("[97]"), "{}", value("set2"));
    assert_eq!(value("stream3").replace("stream3", ""), value("stream2").replace("stream2", ""));
}

/// Loads bytes as a file; the error's code.
fn load(path: &Path, bytes: &[u8]) -> Result<(), ErrorCode> {
    fs::write(path, bytes).unwrap();
    load_file(path).map(drop).map_err(|error| error.code())
}

#[test]
fn a_flipped_byte_is_noticed_and_a_cut_file_refused() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("dump.rdb");
    let mut whole = file("0011", 21);
    // The checksum of Redis, computed bit by bit.
    let end = whole.len() - 8;
    let crc = whole[..end].iter().fold(0_u64, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 * (crc & 1)))
    });
    whole[end..].copy_from_slice(&crc.to_le_bytes());
    load(&path, &whole).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x15;
        // A version before checksums, and all that remains.
        if load(&path, &flipped).is_ok() {
            assert!((5..9).contains(&at), "byte {at}");
        }
        assert_eq!(
            load(&path, &whole[..at]),
            if at == 0 { Ok(()) } else { Err(ErrorCode::StorageDamaged) },
            "cut at {at}"
        );
    }
}

/// Changes some bytes.
fn mutate(random: &mut Rng, bytes: &mut Vec<u8>) {
    const WORDS: &[&[u8]] = &[
        b"\xff",
        b"\xfe",
        b"\x80\xff\xff\xff\xff",
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xc3",
        b"$99999999\r\n",
        b"*1000000\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"9223372036854775807",
        b"-1",
        b"nan",
        b"\r\n",
        b"MULTI",
        b"18446744073709551615-0",
    ];
    for _ in 0..random.usize(1..6) {
        if bytes.len() < 2 {
            return;
        }
        let at = random.usize(..bytes.len());
        match random.u8(..8) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + random.usize(1..16)).min(bytes.len()))),
            4 => {
                let word = random.choice(WORDS).unwrap();
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
                let word = random.choice(WORDS).unwrap();
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.iter().copied());
            }
            6 => {
                let from = random.usize(..bytes.len());
                let piece = bytes[from..(from + random.usize(1..64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes[at] = bytes[at].wrapping_add(random.u8(..3)).wrapping_sub(1),
        }
    }
}

/// Commands as a journal has them.
fn journal() -> Vec<u8> {
    let lines = [
        "SELECT 0",
        "SET a 1",
        "SET b 2 PXAT 4102444800000",
        "RPUSH l a b c",
        "LSET l 0 x",
        "LMOVE l m LEFT RIGHT",
        "MULTI",
        "SADD s 1 2 a",
        "SREM s 1",
        "HSET h f v g w",
        "EXEC",
        "ZADD z 1 a 2.5 b",
        "ZPOPMIN z",
        "XADD x 5-1 f v",
        "XADD x 6-1 f v",
        "XDEL x 5-1",
        "XTRIM x MAXLEN 1",
        "XGROUP CREATE x g 0 ENTRIESREAD 1",
        "XCLAIM x g ann 0 6-1 TIME 1700000000000 RETRYCOUNT 2 FORCE JUSTID LASTID 6-1",
        "XACK x g 6-1",
        "XSETID x 9-9 ENTRIESADDED 7 MAXDELETEDID 5-1",
        "COPY l c",
        "RENAME c d",
        "SWAPDB 0 1",
        "MOVE d 1",
        "PERSIST b",
        "PEXPIREAT a 4102444800000",
        "INCRBY a 5",
        "APPEND a x",
        "ZUNIONSTORE u 2 z s",
        "SORT s BY nosort STORE o",
        "PFADD p a b",
        "PFMERGE q p",
        "FLUSHDB",
    ];
    let mut bytes = b"#TS:1700000000\r\n".to_vec();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        bytes.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
        }
    }
    bytes
}

#[test]
fn broken_files_cause_neither_panics_nor_memory_without_bound() {
    /// What a broken file of a few kilobytes may cost at most.
    const MEMORY: usize = 64 * 1024 * 1024;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("OXCART_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let until = Instant::now() + Duration::from_secs(number("OXCART_FUZZ_SECONDS").unwrap_or(3));
    let mut random = Rng::with_seed(seed);
    let mut seeds = vec![file("0009", 15), file("0010", 19), file("0011", 21), journal()];
    // One small file for each type, so that changes hit it.
    for (kind, key, value) in keys(21) {
        let mut bytes = b"REDIS0011".to_vec();
        bytes.push(kind);
        string(&mut bytes, key.as_bytes());
        bytes.extend(value);
        bytes.extend([0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        seeds.push(bytes);
    }
    seeds.push([file("0011", 21), journal()].concat());
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("file");
    let (mut runs, mut loaded) = (0_u64, 0_u64);
    while Instant::now() < until {
        let mut bytes = random.choice(&seeds).unwrap().clone();
        mutate(&mut random, &mut bytes);
        fs::write(&path, &bytes).unwrap();
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| load_file(&path)));
        let cost = MOST.load(Ordering::Relaxed).saturating_sub(before);
        let told = || {
            let kept = std::env::temp_dir().join(format!("oxcart-broken-{seed}-{runs}"));
            fs::write(&kept, &bytes).unwrap();
            format!("OXCART_FUZZ_SEED={seed}, file {}", kept.display())
        };
        match outcome {
            Ok(Ok(_)) => loaded += 1,
            Err(fault) => panic!("{:?}: {}", fault.downcast_ref::<String>(), told()),
            Ok(Err(error)) => assert_eq!(error.code(), ErrorCode::StorageDamaged, "{error}: {}", told()),
        }
        assert!(cost < MEMORY, "{cost} bytes of memory: {}", told());
        runs += 1;
    }
    println!("OXCART_FUZZ_SEED={seed}: {runs} files, of which {loaded} could be read");
    assert!(runs > 50 && loaded > 0 && loaded < runs);
}
