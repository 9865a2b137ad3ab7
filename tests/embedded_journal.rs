//! The append-only file of the engine in this process: written, killed, cut, read back, and exchanged with a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed that repeats a run, and the port of the process that is killed")]

#[allow(dead_code, unreachable_pub, reason = "what the comparison with a server needs")]
#[path = "embedded_differential/grammar.rs"]
mod grammar;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use grammar::{Call, step};
use oxcart::{
    ErrorCode,
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, Link},
    embedded::{Embedded, Fsync, JournalOptions, Listener, LoadReport},
    testing::{RedisServer, TemporaryDirectory, eventually},
};

const NOW: i64 = 1_700_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn words(line: &str) -> Call {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

async fn run(link: &Arc<dyn Link>, calls: &[Call]) -> Vec<Result<Value, oxcart::Error>> {
    let commands: Vec<Command> = calls.iter().map(|call| Command::default().args(call)).collect();
    link.call_many(&commands).await
}

async fn one(link: &Arc<dyn Link>, command: &str) -> Result<Value, oxcart::Error> {
    run(link, &[words(command)]).await.remove(0)
}

fn open(directory: &Path, clock: &Clock, options: JournalOptions) -> (Embedded, Arc<dyn Link>, LoadReport) {
    let (engine, report) = Embedded::open(directory, clock.clone(), options).unwrap();
    let link = engine.link(0);
    (engine, link, report)
}

/// Lets go of the files at once, not when the I/O thread is done with the last batch.
fn close((engine, _): (Embedded, Arc<dyn Link>)) {
    engine.close();
}

/// Everything in the first two databases, as text.
async fn dump(link: &Arc<dyn Link>) -> Vec<String> {
    let mut lines = Vec::new();
    for db in ["0", "1"] {
        let keys =
            run(link, &[words("DISCARD"), words("UNWATCH"), words(&format!("SELECT {db}")), words("KEYS *")]).await;
        let Ok(Value::Array(keys)) = &keys[3] else { panic!("{keys:?}") };
        for key in keys {
            let Value::Bulk(key) = key else { panic!("{key:?}") };
            let with = |line: &str| -> Call {
                line.split(' ').map(|word| if word == "@" { key.clone() } else { word.as_bytes().to_vec() }).collect()
            };
            let asked = [
                "TYPE @",
                "PEXPIRETIME @",
                "GET @",
                "LRANGE @ 0 -1",
                "HGETALL @",
                "SMEMBERS @",
                "ZRANGE @ 0 -1 WITHSCORES",
                "XRANGE @ - +",
                "XINFO STREAM @ FULL COUNT 0",
            ];
            let replies = run(link, &asked.map(with)).await;
            let shown: Vec<String> = replies.into_iter().flatten().map(show).collect();
            lines.push(format!("{db} {:?} {shown:?}", String::from_utf8_lossy(key)));
        }
    }
    lines.sort();
    lines
}

/// A reply without what has no order.
fn show(value: Value) -> String {
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        format!("{lines:?}")
    };
    match value {
        Value::Map(pairs) => {
            sorted(pairs.into_iter().filter(is_kept).map(|(key, value)| show(key) + &show(value)).collect())
        }
        Value::Set(items) => sorted(items.into_iter().map(show).collect()),
        Value::Array(items) => format!("{:?}", items.into_iter().map(show).collect::<Vec<_>>()),
        // A server keeps what it counted last inside the value.
        Value::Bulk(mut bytes) if bytes.starts_with(b"HYLL") && bytes.len() > 16 => {
            bytes[8..16].fill(0);
            format!("{bytes:?}")
        }
        // Servers have no negative zero in small sorted sets.
        Value::Double(digits) => format!("{:?}", digits.parse::<f64>().map(|number| number + 0.0)),
        other => format!("{other:?}"),
    }
}

/// What no journal keeps: when a consumer last came, how a stream's tree is built, and what was deleted above its last id.
fn is_kept((name, _): &(Value, Value)) -> bool {
    let lost = ["seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes", "max-deleted-entry-id", "lag"];
    !matches!(name, Value::Bulk(name) if lost.iter().any(|lost| lost.as_bytes() == name.as_slice()))
}

/// Takes away all ends, so that a comparison can take its time.
async fn persist_all(link: &Arc<dyn Link>) {
    for db in ["0", "1"] {
        let keys = run(link, &[words("DISCARD"), words(&format!("SELECT {db}")), words("KEYS *")]).await;
        let Ok(Value::Array(keys)) = &keys[2] else { panic!("{keys:?}") };
        let calls: Vec<Call> = keys
            .iter()
            .map(|key| match key {
                Value::Bulk(key) => vec![b"PERSIST".to_vec(), key.clone()],
                other => panic!("{other:?}"),
            })
            .collect();
        run(link, &calls).await;
    }
}

fn seed() -> u64 {
    let seed = std::env::var("OXCART_JOURNAL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("OXCART_JOURNAL_SEED={seed}");
    seed
}

/// All text of the incremental file, a command a line.
fn effects(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("appendonly.aof.1.incr.aof")).unwrap();
    let mut lines = Vec::new();
    for part in text.split("\r\n") {
        if part.starts_with('*') {
            lines.push(String::new());
        } else if let (false, Some(line)) = (part.starts_with('$'), lines.last_mut()) {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(part);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn effects_depend_on_nothing() {
    let directory = TemporaryDirectory::new();
    let clock = Clock::manual(NOW);
    let (engine, link, _) = open(directory.path(), &clock, JournalOptions::default());
    let table: &[(&str, &[&str])] = &[
        ("GET a", &[]),
        ("SET a 1 EX 10", &["SELECT 0", "SET a 1 PXAT 1700000010000"]),
        ("INCR a", &["INCR a"]),
        ("EXPIRE a 5", &["PEXPIREAT a 1700000005000"]),
        ("SET a 2 KEEPTTL", &["SET a 2 PXAT 1700000005000"]),
        ("INCRBYFLOAT a 0.5", &["SET a 2.5 PXAT 1700000005000"]),
        ("GETEX a PERSIST", &["PERSIST a"]),
        ("GETEX a PX 7", &["PEXPIREAT a 1700000000007"]),
        ("PERSIST a", &["PERSIST a"]),
        ("PERSIST a", &[]),
        ("SETEX b 1 x", &["SET b x PXAT 1700000001000"]),
        ("EXPIRE b -1", &["DEL b"]),
        ("GETDEL a", &["DEL a"]),
        ("DEL missing", &[]),
        ("SADD s only", &["SADD s only"]),
        ("SPOP s", &["SREM s only"]),
        ("HINCRBYFLOAT h f 1.5", &["HSET h f 1.5"]),
        ("XADD x * f v", &["XADD x 1700000000000-0 f v"]),
        ("XADD x MAXLEN ~ 1 * g w", &["XADD x MAXLEN = 1 1700000000000-1 g w"]),
        ("XTRIM x MAXLEN 0", &["XTRIM x MAXLEN 0"]),
        ("RPUSH l 1 2 3 4", &["RPUSH l 1 2 3 4"]),
        ("BLPOP l 1", &["LPOP l"]),
        ("BLMOVE l m LEFT RIGHT 1", &["LMOVE l m LEFT RIGHT"]),
        ("BRPOPLPUSH l m 1", &["RPOPLPUSH l m"]),
        ("BLMPOP 1 1 l LEFT", &["LMPOP 1 l LEFT"]),
        ("ZADD z 1 a 2 b 3 c", &["ZADD z 1 a 2 b 3 c"]),
        ("BZPOPMAX z 1", &["ZPOPMAX z"]),
        ("BZMPOP 1 1 z MIN", &["ZMPOP 1 z MIN"]),
        ("SADD u 3 1 2", &["SADD u 3 1 2"]),
        ("SORT u GET # DESC LIMIT 0 2 STORE store", &["MULTI", "DEL store", "RPUSH store 3 2", "EXEC"]),
        ("SORT u STORE sorted", &["MULTI", "DEL sorted", "RPUSH sorted 1 2 3", "EXEC"]),
        ("SORT missing STORE sorted", &["DEL sorted"]),
        ("SORT u", &[]),
        ("LPUSH z 1", &[]),
        ("PUBLISH c m", &[]),
        ("EVAL return{redis.call('SET','k',1),redis.call('INCR','k')} 0", &["MULTI", "SET k 1", "INCR k", "EXEC"]),
        ("EVAL return{redis.call('set','k',2,'px',1000)} 0", &["SET k 2 PXAT 1700000001000"]),
        ("EVAL return{redis.call('get','k')} 0", &[]),
        ("SELECT 1", &[]),
        ("SET other 1", &["SELECT 1", "SET other 1"]),
        ("MOVE other 2", &["MOVE other 2"]),
        ("SWAPDB 0 1", &["SWAPDB 0 1"]),
        ("SELECT 0", &[]),
        ("FLUSHALL", &["SELECT 0", "FLUSHALL"]),
    ];
    let mut so_far = 0;
    for (command, wanted) in table {
        drop(one(&link, command).await);
        let all = effects(directory.path());
        assert_eq!(all[so_far..], **wanted, "{command}");
        so_far = all.len();
    }
    // A transaction is one group, and so is what a waiting client gets.
    run(&link, &["MULTI", "SET a 1", "GET a", "SET b 2", "EXEC"].map(words)).await;
    let blocking = engine.link(0).open_blocking();
    let waiting =
        oxcart::service::spawn(async move { blocking.block(Command::new("BLPOP").arg("q").arg("0"), PATIENCE).await });
    let waits = async {
        while !one(&link, "INFO clients").await.unwrap().into_text().unwrap().contains("blocked_clients:1") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    let from = effects(directory.path()).len();
    run(&link, &[words("RPUSH q x")]).await;
    waiting.await.unwrap().unwrap();
    let all = effects(directory.path());
    assert_eq!(all[from - 4..], ["MULTI", "SET a 1", "SET b 2", "EXEC", "RPUSH q x", "LPOP q"]);
    // What expired is deleted before it is used again.
    run(&link, &[words("SET t 5 PX 10")]).await;
    clock.advance_ms(11);
    run(&link, &[words("INCR t")]).await;
    let all = effects(directory.path());
    assert_eq!(all[all.len() - 5..], ["SET t 5 PXAT 1700000000010", "MULTI", "DEL t", "INCR t", "EXEC"]);
}

#[tokio::test]
async fn random_commands_are_there_after_reopening_and_in_a_server() {
    let parent = TemporaryDirectory::new();
    let directory = parent.path().join("parts");
    // Rewritten over and over.
    let options = JournalOptions { rewrite_min_size: 1024, ..JournalOptions::default() };
    let mut random = Rng::with_seed(seed());
    let clock = Clock::manual(NOW);
    let (mut engine, mut link, report) = open(&directory, &clock, options);
    assert_eq!(report, LoadReport::default());
    for round in 0..30 {
        let calls: Vec<Call> = (0..300).flat_map(|_| step(&mut random)).collect();
        run(&link, &calls).await;
        clock.advance_ms(random.i64(0..2000));
        let before = dump(&link).await;
        close((engine, link));
        let report;
        (engine, link, report) = open(&directory, &clock, options);
        assert_eq!(report.dropped_bytes, 0);
        let after = dump(&link).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "round {round}");
        }
        assert_eq!(before.len(), after.len(), "round {round}");
    }
    assert!(fs::read_to_string(directory.join("appendonly.aof.manifest")).unwrap().contains("type b"));
    persist_all(&link).await;
    let before = dump(&link).await;
    close((engine, link));
    let path = parent.path().to_string_lossy().into_owned();
    let server =
        RedisServer::builder().args(["--appendonly", "yes", "--appenddirname", "parts", "--dir", &path]).start();
    let link = connection::open(server.options()).unwrap();
    let there = dump(&link).await;
    for (here, there) in before.iter().zip(&there) {
        assert_eq!(here, there, "in a real server");
    }
    assert_eq!(before.len(), there.len());
}

#[tokio::test]
async fn a_stream_whose_last_id_was_lowered_below_what_was_deleted_is_read_again() {
    let directory = TemporaryDirectory::new();
    let clock = Clock::manual(NOW);
    let options = JournalOptions { rewrite_min_size: 256, ..JournalOptions::default() };
    let (engine, link, _) = open(directory.path(), &clock, options);
    let lines = ["XADD x 5-0 f v", "XADD x 9-0 f v", "XDEL x 9-0", "XSETID x 6-0", "SET a 1"];
    for answer in run(&link, &lines.map(words)).await {
        answer.unwrap();
    }
    let filling: Vec<Call> = (0..200).map(|number| words(&format!("SET a {number}"))).collect();
    run(&link, &filling).await;
    let manifest = directory.path().join("appendonly.aof.manifest");
    eventually("it is rewritten", || fs::read_to_string(&manifest).unwrap().contains("type b")).await;
    close((engine, link));

    let (_engine, link, _) = open(directory.path(), &clock, options);
    assert_eq!(one(&link, "XLEN x").await.unwrap(), Value::Int(1));
    one(&link, "XADD x 6-0 f v").await.unwrap_err();
    one(&link, "XADD x 6-1 f v").await.unwrap();
}

/// Commands whose results take every form that a server keeps values in.
fn every_form() -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut push = |line: String| calls.push(words(&line));
    push(format!("SET compressible {}", "abc".repeat(1000)));
    for number in ["0", "-5", "300", "-70000", "5000000000", "9223372036854775807", "007", "1.5"] {
        push(format!("SET number:{number} {number}"));
        push(format!("RPUSH ints {number}"));
        push(format!("HSET small {number} {number}"));
        push(format!("SADD mixed {number} m{number}"));
        push(format!("ZADD scores {number} {number}"));
    }
    push("ZADD scores inf a -inf b 0.1 c -1e300 d".to_owned());
    push("SADD int16 1 2 -3".to_owned());
    push("SADD int32 1 2 70000".to_owned());
    push("SADD int64 1 2 5000000000".to_owned());
    push("SET ends 1 PXAT 4102444800000".to_owned());
    for number in 0..700 {
        let text = format!("{number}{}", "x".repeat(number % 90));
        push(format!("RPUSH long {text}"));
        push(format!("HSET table {text} {number}"));
        push(format!("SADD many {text}"));
        push(format!("ZADD tree {}.5 {text}", number % 50));
        push(format!("XADD log {number}-1 f {text} g {number}"));
        if number % 3 == 0 {
            push(format!("XADD log {number}-2 other {number}"));
        }
    }
    push(format!("RPUSH plain {} small {}", "y".repeat(20_000), "z".repeat(300)));
    for line in [
        "XDEL log 5-1 600-1",
        "XTRIM log MAXLEN 800",
        "XGROUP CREATE log g 300-0",
        "XGROUP CREATE log idle $",
        "XGROUP CREATECONSUMER log g nobody",
        "XREADGROUP GROUP g ann COUNT 7 STREAMS log >",
        "XREADGROUP GROUP g bob COUNT 3 STREAMS log >",
        "XACK log g 301-1",
        "XADD empty 7-0 a b",
        "XDEL empty 7-0",
        "SELECT 1",
        "SET elsewhere 1",
        "SELECT 0",
    ] {
        push(line.to_owned());
    }
    calls
}

/// What `XINFO` says of the groups of the stream of [`every_form`], without times.
async fn groups(link: &Arc<dyn Link>) -> Vec<String> {
    let lines = [
        "SELECT 0",
        "XINFO GROUPS log",
        "XPENDING log g - + 100 ann",
        "XPENDING log g - + 100 bob",
        "XINFO STREAM empty",
    ];
    let mut shown = Vec::new();
    for (line, reply) in lines.iter().zip(run(link, &lines.map(words)).await) {
        let mut reply = reply.unwrap_or_else(|error| panic!("{line}: {error}"));
        if line.starts_with("XPENDING") {
            let Value::Array(rows) = &mut reply else { panic!("{reply:?}") };
            for row in rows {
                let Value::Array(row) = row else { panic!("{row:?}") };
                row.remove(2);
            }
        }
        if let Value::Map(pairs) = &mut reply {
            pairs.retain(|(name, _)| !matches!(name, Value::Bulk(name) if name.starts_with(b"radix")));
        }
        shown.push(show(reply));
    }
    shown
}

#[tokio::test]
async fn the_file_of_a_server_is_read() {
    for preamble in ["yes", "no"] {
        let parent = TemporaryDirectory::new();
        let path = parent.path().to_string_lossy().into_owned();
        let mut server = RedisServer::builder()
            .args([
                "--appendonly",
                "yes",
                "--aof-use-rdb-preamble",
                preamble,
                "--appenddirname",
                "parts",
                "--dir",
                &path,
            ])
            .args(["--aof-timestamp-enabled", "yes"])
            .start();
        let link = connection::open(server.options()).unwrap();
        let mut random = Rng::with_seed(seed());
        for round in 0..4 {
            let calls: Vec<Call> = (0..1000).flat_map(|_| step(&mut random)).collect();
            run(&link, &calls).await;
            if round == 1 {
                run(&link, &["DISCARD", "UNWATCH", "FLUSHALL"].map(words)).await;
                run(&link, &calls).await;
                run(&link, &["DISCARD", "UNWATCH", "SELECT 0"].map(words)).await;
                for reply in run(&link, &every_form()).await {
                    reply.unwrap();
                }
                run(&link, &[words("BGREWRITEAOF")]).await;
                while server.ask("INFO persistence").contains("aof_rewrite_in_progress:1") {}
            } else if round > 1 {
                run(&link, &["DISCARD", "UNWATCH"].map(words)).await;
            }
        }
        persist_all(&link).await;
        let there = dump(&link).await;
        server.kill();
        let parts = parent.path().join("parts");
        let (_engine, link, report) = open(&parts, &Clock::system(), JournalOptions::default());
        assert!(report.commands > 0);
        assert_eq!(report.keys > 0, preamble == "yes");
        assert_same(&dump(&link).await, &there);
    }
}

fn assert_same(here: &[String], there: &[String]) {
    for (here, there) in here.iter().zip(there) {
        assert_eq!(here, there);
    }
    assert_eq!(here.len(), there.len());
}

#[tokio::test]
async fn a_lone_dump_is_taken_for_the_base_and_goes_back_to_a_server() {
    let parent = TemporaryDirectory::new();
    let path = parent.path().to_string_lossy().into_owned();
    let mut server = RedisServer::builder().args(["--dir", &path]).start();
    let link = connection::open(server.options()).unwrap();
    for reply in run(&link, &every_form()).await {
        reply.unwrap();
    }
    let there = (dump(&link).await, groups(&link).await);
    run(&link, &[words("SAVE")]).await.remove(0).unwrap();
    server.kill();
    let directory = parent.path().join("data");
    fs::create_dir(&directory).unwrap();
    fs::copy(parent.path().join("dump.rdb"), directory.join("dump.rdb")).unwrap();

    let (engine, link, report) = open(&directory, &Clock::system(), JournalOptions::default());
    assert!(report.keys > 20 && report.commands == 0, "{report:?}");
    let here = (dump(&link).await, groups(&link).await);
    assert_same(&here.0, &there.0);
    assert_same(&here.1, &there.1);
    run(&link, &[words("SET more 1")]).await.remove(0).unwrap();
    let before = (dump(&link).await, groups(&link).await);
    close((engine, link));

    // The dump is the base from here on, for a server, too; and is left alone when the base is another.
    let server =
        RedisServer::builder().args(["--appendonly", "yes", "--appenddirname", "data", "--dir", &path]).start();
    let link = connection::open(server.options()).unwrap();
    assert_same(&dump(&link).await, &before.0);
    drop(server);
    let options = JournalOptions { rewrite_min_size: 1, ..JournalOptions::default() };
    let (engine, link, report) = open(&directory, &Clock::system(), options);
    assert!(report.keys > 20 && report.commands > 0, "{report:?}");
    let manifest = directory.join("appendonly.aof.manifest");
    let limit = std::time::Instant::now() + PATIENCE;
    while !fs::read_to_string(&manifest).unwrap().contains("2.base.aof") {
        assert!(std::time::Instant::now() < limit, "it is rewritten");
        run(&link, &[words(&format!("SET more {}", "x".repeat(20_000)))]).await.remove(0).unwrap();
    }
    run(&link, &[words("SET more 1")]).await.remove(0).unwrap();
    assert!(directory.join("dump.rdb").exists());
    close((engine, link));
    let (_engine, link, report) = open(&directory, &Clock::system(), JournalOptions::default());
    assert_eq!(report.keys, 0);
    assert_same(&dump(&link).await, &before.0);
    assert_same(&groups(&link).await, &before.1);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn an_end_cut_anywhere_is_dropped_and_said() {
    let parent = TemporaryDirectory::new();
    let whole = parent.path().join("whole");
    let clock = Clock::manual(NOW);
    let (engine, link, _) = open(&whole, &clock, JournalOptions::default());
    let file = |directory: &Path| directory.join("appendonly.aof.1.incr.aof");
    let mut states = vec![(0, Vec::new())];
    for lines in [&["SET a 1"][..], &["MULTI", "RPUSH l x", "INCR a", "HSET h f v", "EXEC"], &["SELECT 1", "SET b 2"]] {
        run(&link, &lines.iter().map(|line| words(line)).collect::<Vec<_>>()).await;
        states.push((fs::metadata(file(&whole)).unwrap().len(), dump(&link).await));
        run(&link, &[words("SELECT 0")]).await;
    }
    close((engine, link));
    let bytes = fs::read(file(&whole)).unwrap();
    for length in 0..=bytes.len() {
        let cut = parent.path().join(format!("cut{length}"));
        copy(&whole, &cut);
        fs::write(file(&cut), &bytes[..length]).unwrap();
        let (engine, link, report) = open(&cut, &clock, JournalOptions::default());
        let (kept, state) = states.iter().rev().find(|(end, _)| *end <= length as u64).unwrap();
        // The choice of a database before a group may stay, too.
        assert!(report.bytes >= *kept, "cut at {length}");
        assert_eq!(report.bytes + report.dropped_bytes, length as u64, "cut at {length}");
        assert_eq!(dump(&link).await, *state, "cut at {length}");
        // It goes on behind the cut.
        run(&link, &[words("SELECT 0"), words("SET more 1")]).await;
        close((engine, link));
        let (engine, link, report) = open(&cut, &clock, JournalOptions::default());
        assert_eq!(report.dropped_bytes, 0, "cut at {length}");
        assert_eq!(dump(&link).await.len(), state.len() + 1, "cut at {length}");
        close((engine, link));
    }
}

#[tokio::test]
async fn damage_and_strangers_are_refused() {
    let clock = Clock::manual(NOW);
    for (bytes, part) in [
        (&b"*1\r\n$3\r\nfoo\r\n"[..], "unknown command"),
        (b"garbage\r\n*1\r\n", "a command is expected here"),
        (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "stands in no journal"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1x\r\n", "cannot be read"),
        (b"REDIS0009\xfa", "ends here"),
        (b"REDIS0099", "version 99"),
        (b"REDIS0011\x07\x01a", "module"),
        (b"REDIS0011\xf5\x01a", "functions"),
        (b"REDIS0011\x18\x01a", "fields that expire"),
        (b"REDIS0011\xfe\x10", "database 16"),
        (b"REDIS0011\x00\x01a\x01b\xff12345678", "checksum"),
        (b"*3\r\n$5\r\nLPUSH\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n", "WRONGTYPE"),
    ] {
        let directory = TemporaryDirectory::new();
        fs::write(directory.path().join("appendonly.aof.1.incr.aof"), bytes).unwrap();
        let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
        fs::write(directory.path().join("appendonly.aof.manifest"), manifest).unwrap();
        let error = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::StorageDamaged);
        assert!(error.message().contains(part), "{error}");
        let left = fs::read(directory.path().join("appendonly.aof.1.incr.aof")).unwrap();
        assert_eq!(left, bytes, "what is refused is not touched");
    }
    // A journal whose manifest is gone is not begun anew.
    let directory = TemporaryDirectory::new();
    fs::write(directory.path().join("appendonly.aof.1.incr.aof"), b"*1\r\n").unwrap();
    let error = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).map(drop).unwrap_err();
    assert!(error.message().contains("no manifest"), "{error}");
    // An unfinished end is no damage in the last file, and is in any other.
    let directory = TemporaryDirectory::new();
    fs::write(directory.path().join("appendonly.aof.1.incr.aof"), b"*1\r\n$3\r\n").unwrap();
    let second = directory.path().join("appendonly.aof.2.incr.aof");
    fs::write(&second, b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n").unwrap();
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
    fs::write(directory.path().join("appendonly.aof.manifest"), manifest).unwrap();
    let error = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).map(drop).unwrap_err();
    assert!(error.message().contains("middle of a command"), "{error}");
    // The second one was named, and the process killed before it was used.
    fs::write(&second, b"").unwrap();
    let (_, report) = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).unwrap();
    assert_eq!((report.dropped_bytes, report.commands), (8, 0));
}

#[tokio::test]
async fn one_engine_at_a_time() {
    let directory = TemporaryDirectory::new();
    let clock = Clock::manual(NOW);
    let (engine, link, _) = open(directory.path(), &clock, JournalOptions::default());
    let error = Embedded::open(directory.path(), clock.clone(), JournalOptions::default()).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionFailed);
    assert!(error.message().contains("in use"), "{error}");
    close((engine, link));
    open(directory.path(), &clock, JournalOptions::default());
}

/// Not a test of its own: the process that is killed. Opens the journal that it is told and serves it.
#[test]
fn child() {
    let Ok(directory) = std::env::var("OXCART_JOURNAL_CHILD") else { return };
    let fsync = if std::env::var("OXCART_JOURNAL_ALWAYS").is_ok() { Fsync::Always } else { Fsync::EverySecond };
    let options = JournalOptions { fsync, rewrite_min_size: 2048, rewrite_percentage: 20 };
    let (engine, _) = Embedded::open(Path::new(&directory), Clock::system(), options).unwrap();
    let listener = Listener::tcp(&engine, 0).unwrap();
    println!("\nport {}", listener.port().unwrap());
    // Until the parent kills it, or ends.
    let _ = std::io::stdin().read(&mut [0]);
}

/// What files a rewrite that was killed left.
fn left_by_rewrite(directory: &Path) -> bool {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let manifest = fs::read_to_string(directory.join("appendonly.aof.manifest")).unwrap_or_default();
    let increments = manifest.lines().filter(|line| line.ends_with("type i")).count();
    increments > 1 || names.into_iter().any(|name| name.starts_with("temp-"))
}

/// Rounds of kills: forty take some ten seconds. `OXCART_KILL_ROUNDS` sets another number.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let rounds = std::env::var("OXCART_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_u64);
    let parent = TemporaryDirectory::new();
    let directory = parent.path().join("parts");
    fs::create_dir(&directory).unwrap();
    let (mut answered, mut in_rewrite) = (0_i64, 0);
    for round in 0..rounds {
        let mut process = Process::new(std::env::current_exe().unwrap());
        process.args(["child", "--exact", "--nocapture"]).env("OXCART_JOURNAL_CHILD", &directory);
        if round % 4 == 0 {
            process.env("OXCART_JOURNAL_ALWAYS", "1");
        }
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("port ").map(|port| port.parse::<u16>().unwrap()));
        let mut socket = TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // Each command leaves marks that must agree; the replies count up. The list stays short, so that a rewrite pays.
        let script = "local n = redis.call('incr','n') redis.call('rpush','l',n) redis.call('ltrim','l',-200,-1) \
                      redis.call('hset','h' .. n % 500,'n',n) redis.call('set','last',n) return n";
        let request = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n0\r\n", script.len());
        let mut replies = BufReader::new(socket.try_clone().unwrap());
        let kill_after = fastrand::i64(1..400);
        socket.write_all(request.repeat(200).as_bytes()).unwrap();
        let first = answered;
        let mut sent = 200;
        while answered - first < kill_after {
            let mut line = String::new();
            replies.read_line(&mut line).unwrap();
            let number: i64 = line.trim_end().trim_start_matches(':').parse().unwrap();
            assert!(number > answered, "round {round}: {number} after {answered}");
            answered = number;
            if answered % 50 == 0 {
                socket.write_all(request.repeat(50).as_bytes()).unwrap();
                sent += 50;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        in_rewrite += u64::from(left_by_rewrite(&directory));
        if round % 20 == 19 {
            // A server reads what the kill left, and the same from it.
            copy(&directory, &parent.path().join("copied"));
            let path = parent.path().to_string_lossy().into_owned();
            let server = RedisServer::builder()
                .args(["--appendonly", "yes", "--appenddirname", "copied", "--dir", &path])
                .start();
            let there = dump(&connection::open(server.options()).unwrap()).await;
            drop(server);
            fs::remove_dir_all(parent.path().join("copied")).unwrap();
            let (engine, link, _) = open(&directory, &Clock::system(), JournalOptions::default());
            assert_same(&dump(&link).await, &there);
            close((engine, link));
        }
        let (engine, link, _) = open(&directory, &Clock::system(), JournalOptions::default());
        let replies = run(&link, &["GET n", "GET last", "LINDEX l -1"].map(words)).await;
        let mut numbers: Vec<i64> = replies.into_iter().map(|reply| reply.unwrap().into_int().unwrap()).collect();
        let hash = one(&link, &format!("HGET h{} n", numbers[0] % 500)).await.unwrap();
        numbers.push(hash.into_int().unwrap());
        assert!(numbers[0] >= answered && numbers[0] <= first + sent + 200, "round {round}: {numbers:?}, {answered}");
        assert!(numbers.iter().all(|number| *number == numbers[0]), "round {round}: a script is whole: {numbers:?}");
        answered = numbers[0];
        close((engine, link));
    }
    println!("{in_rewrite} of {rounds} kills came during a rewrite");
    assert!(in_rewrite > 0 || rounds < 40);
}
