//! `file:` between processes: shared, taken over when its holder is killed, and refused clearly where it cannot be used.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how the other process answers")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command as Process, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use oxcart::{
    Error, ErrorCode,
    codec::resp::Value,
    connection::{
        self, Command, ConnectionOptions, Link, LinkState, Message, MessageSink, StateSink, SubscriptionKind,
    },
    testing::{TemporaryDirectory, eventually},
};

const PATIENCE: Duration = Duration::from_secs(30);
const URL: &str = "OXCART_FILE_CHILD";
const LIMIT: &str = "OXCART_FILE_LIMIT";

/// Not a test of its own: the other process. Runs each line that it reads as a command and answers with a line.
#[tokio::test]
async fn other_process() {
    let Ok(url) = std::env::var(URL) else { return };
    if let Some(bytes) = std::env::var(LIMIT).ok().and_then(|bytes| bytes.parse().ok()) {
        limit_files(bytes);
    }
    let link = open(&url);
    // Whoever is first has the file.
    link.call(command("PING").deadline(PATIENCE)).await.unwrap();
    println!("\nready");
    for asked in std::io::stdin().lines() {
        let asked = asked.unwrap();
        if let Some(bytes) = asked.strip_prefix("limit ") {
            limit_files(bytes.parse().unwrap());
            println!("answer limited");
            continue;
        }
        match link.call(command(&asked)).await {
            Ok(value) => println!("answer {value:?}"),
            Err(error) => println!("answer {} {error}", error.code().as_str()),
        }
    }
}

/// No file may become longer in this process.
fn limit_files(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls on a structure of our own; the signal is one that Node ignores, too.
    let done = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit);
        limit.rlim_cur = bytes.min(limit.rlim_max);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(done, 0);
}

fn command(line: &str) -> Command {
    Command::default().args(line.split(' '))
}

fn url(directory: &Path) -> String {
    format!("file:{}", directory.display())
}

fn options(url: &str) -> ConnectionOptions {
    ConnectionOptions::from_json(&format!(r#"{{"url":"{url}"}}"#)).unwrap()
}

fn open(url: &str) -> Arc<dyn Link> {
    connection::open(options(url)).unwrap()
}

/// Killed when the test ends, however it ends.
struct Other {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Other {
    fn start(url: &str) -> Self {
        Self::start_with(url, |process| process)
    }

    fn start_with(url: &str, with: impl FnOnce(&mut Process) -> &mut Process) -> Self {
        let mut process = Process::new(std::env::current_exe().unwrap());
        process.args(["other_process", "--exact", "--nocapture"]).env(URL, url);
        let mut child = with(&mut process).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let other = Self { input: child.stdin.take(), child, lines };
        while other.lines.recv_timeout(PATIENCE).unwrap() != "ready" {}
        other
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        loop {
            let answer = self.lines.recv_timeout(PATIENCE).unwrap();
            if let Some(answer) = answer.strip_prefix("answer ") {
                return answer.to_owned();
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(link: &Arc<dyn Link>, words: &str) -> Result<Value, Error> {
    link.call(command(words).deadline(PATIENCE)).await
}

#[derive(Default)]
struct Heard {
    messages: Mutex<Vec<String>>,
    restored: Mutex<usize>,
}

impl MessageSink for Heard {
    fn message(&self, message: &Message<'_>) {
        let text = format!("{}:{}", message.subscription, String::from_utf8_lossy(message.payload));
        self.messages.lock().unwrap().push(text);
    }

    fn restored(&self, lost: &[(SubscriptionKind, String, Error)]) {
        assert!(lost.is_empty());
        *self.restored.lock().unwrap() += 1;
    }
}

#[tokio::test]
async fn two_processes_share_and_the_second_takes_over() {
    let directory = TemporaryDirectory::new();
    let url = url(&directory.path().join("data"));
    let mut other = Other::start(&url);
    assert_eq!(other.ask("SET a 1"), "Simple(\"OK\")");
    let link = open(&url);
    assert_eq!(ask(&link, "INCR a").await.unwrap(), Value::Int(2));
    assert!(ask(&link, "CLIENT LIST").await.unwrap().into_text().unwrap().lines().count() >= 2, "one engine for both");
    // What waits and what listens when the holder dies.
    let heard = Arc::<Heard>::default();
    let subscriptions = link.subscriptions();
    for (kind, name) in [(SubscriptionKind::Channel, "c"), (SubscriptionKind::Pattern, "p*")] {
        subscriptions.subscribe(kind, name, Arc::clone(&heard) as Arc<dyn MessageSink>).await.unwrap();
    }
    let blocking = link.open_blocking();
    let wait = || blocking.block(command("BLPOP q 0"), Duration::from_secs(600));
    let mut waiting = wait();
    let mut blocked = false;
    while !blocked {
        tokio::select! {
            answer = &mut waiting => panic!("{answer:?}"),
            info = ask(&link, "INFO clients") => {
                blocked = info.unwrap().into_text().unwrap().contains("blocked_clients:1");
            }
        }
    }
    other.kill();
    let began = Instant::now();
    assert_eq!((&mut waiting).await.unwrap_err().code(), ErrorCode::ConnectionLost);
    assert_eq!(ask(&link, "INCR a").await.unwrap(), Value::Int(3), "what was answered is there");
    println!("taken over after {:?}", began.elapsed());
    eventually("the subscriber is told", || *heard.restored.lock().unwrap() == 1).await;
    for channel in ["c", "p1"] {
        assert_eq!(ask(&link, &format!("PUBLISH {channel} m")).await.unwrap(), Value::Int(1));
    }
    eventually("messages come", || *heard.messages.lock().unwrap() == ["c:m", "p*:m"]).await;
    // The blocking link goes on, too; and a third process finds the new holder, through a socket where the old one was.
    let mut third = Other::start(&url);
    let (answer, pushed) = tokio::join!(wait(), async {
        while !ask(&link, "INFO clients").await.unwrap().into_text().unwrap().contains("blocked_clients:1") {}
        tokio::task::spawn_blocking(move || (third.ask("RPUSH q x"), third)).await.unwrap()
    });
    assert_eq!(answer.unwrap(), Value::Array(vec![Value::Bulk(b"q".to_vec()), Value::Bulk(b"x".to_vec())]));
    let (pushed, mut third) = pushed;
    assert_eq!(pushed, "Int(1)");
    // A wait in the engine of this process ends early when it is asked to.
    let (answer, ()) = tokio::join!(wait(), async {
        while !ask(&link, "INFO clients").await.unwrap().into_text().unwrap().contains("blocked_clients:1") {}
        blocking.unblock().await;
    });
    assert_eq!(answer.unwrap(), Value::Nil);
    // This process lets go; the third one has it within its next command.
    drop((waiting, link, subscriptions));
    drop(blocking);
    assert_eq!(third.ask("INCR a"), "Int(4)");
    third.end();
}

#[tokio::test]
async fn many_takeovers_lose_nothing_that_was_answered() {
    let directory = TemporaryDirectory::new();
    let url = url(directory.path());
    let mut others: Vec<Other> = (0..3).map(|_| Other::start(&url)).collect();
    let mut expected = 0;
    for round in 0..6 {
        for other in &mut others {
            expected += 1;
            assert_eq!(other.ask("INCR n"), format!("Int({expected})"), "round {round}");
        }
        // The holder is the one that has the lock, which may be any of them after the first round.
        let mut oldest = others.remove(0);
        oldest.kill();
        others.push(Other::start(&url));
    }
    let link = open(&url);
    assert_eq!(ask(&link, "GET n").await.unwrap(), Value::Bulk(expected.to_string().into_bytes()));
}

#[tokio::test]
async fn links_of_one_process_share_the_engine_and_reopen_it() {
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("data");
    let direct = url(&path);
    let link = open(&direct);
    ask(&link, "SET a 1").await.unwrap();
    // By another way to the same directory.
    let detour = directory.path().join("way");
    std::os::unix::fs::symlink(directory.path(), &detour).unwrap();
    let other = open(&url(&detour.join("data")));
    assert!(Arc::ptr_eq(&link, &other));
    let database = open(&format!("{direct}?db=1"));
    ask(&database, "SET b 1").await.unwrap();
    assert_eq!(ask(&link, "EXISTS a b").await.unwrap(), Value::Int(1));
    // Options that contradict those in use.
    for (option, query) in [("fsync", "fsync=always"), ("rewriteMinSize", "rewriteMinSize=5")] {
        let error = connection::open(options(&format!("{direct}?{query}"))).map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption);
        assert!(error.message().contains(option) && error.message().contains("open"), "{error}");
    }
    drop(open(&format!("{direct}?fsync=everysec")));
    // Closed with the last link, with what that one left to be done; then other options can be chosen.
    drop((other, database));
    let mut unanswered = Vec::new();
    for number in 0..1000 {
        unanswered.push(link.call(command(&format!("RPUSH l {number}"))));
    }
    drop(link);
    for answer in unanswered {
        answer.await.unwrap();
    }
    let link = open(&format!("{direct}?fsync=always"));
    assert_eq!(ask(&link, "LLEN l").await.unwrap(), Value::Int(1000));
    assert_eq!(link.state(), LinkState::Ready);
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_shared_all_the_same() {
    let directory = TemporaryDirectory::new();
    let long = directory.path().join("x".repeat(100)).join("y".repeat(100));
    let url = url(&long);
    let mut other = Other::start(&url);
    other.ask("SET a 1");
    let socket = PathBuf::from(fs::read_to_string(long.join("journal.lock")).unwrap());
    assert!(socket.as_os_str().len() < 104, "{}", socket.display());
    let private = fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode() & 0o777;
    assert_eq!(private, 0o700);
    let link = open(&url);
    assert_eq!(ask(&link, "INCR a").await.unwrap(), Value::Int(2));
    other.kill();
    assert_eq!(ask(&link, "INCR a").await.unwrap(), Value::Int(3));
    assert!(!socket.parent().unwrap().exists(), "what the killed process left is gone");
    let socket = PathBuf::from(fs::read_to_string(long.join("journal.lock")).unwrap());
    drop(link);
    eventually("the directory of the socket goes with the engine", || !socket.parent().unwrap().exists()).await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_at_once() {
    let directory = TemporaryDirectory::new();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let locked = directory.path().join("locked");
    fs::create_dir(&locked).unwrap();
    let damaged = directory.path().join("damaged");
    fs::create_dir(&damaged).unwrap();
    fs::write(damaged.join("appendonly.aof.1.incr.aof"), b"garbage\r\n").unwrap();
    fs::write(damaged.join("appendonly.aof.manifest"), b"file appendonly.aof.1.incr.aof seq 1 type i\n").unwrap();
    let mut cases = vec![
        (file.join("data"), ErrorCode::StorageFailed, "cannot make the directory"),
        (file.clone(), ErrorCode::StorageFailed, "cannot make the directory"),
        (damaged.clone(), ErrorCode::StorageDamaged, "cannot be read at byte 0"),
    ];
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    // Whoever may do everything may write there, too.
    if fs::write(locked.join("probe"), b"").is_err() {
        cases.push((locked, ErrorCode::StorageFailed, "journal.lock"));
    }
    for (path, code, text) in cases {
        let link = open(&url(&path));
        let began = Instant::now();
        let error = ask(&link, "GET a").await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "it does not wait for a server");
        assert_eq!(link.state(), LinkState::Error);
        let error = link.open_blocking().block(command("BLPOP q 0"), PATIENCE).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let heard = Arc::<Heard>::default();
        let error = link.subscriptions().subscribe(SubscriptionKind::Channel, "c", heard).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    // Mended, it works without being opened anew.
    let link = open(&url(&damaged));
    ask(&link, "GET a").await.unwrap_err();
    fs::write(damaged.join("appendonly.aof.1.incr.aof"), b"").unwrap();
    let limit = Instant::now() + PATIENCE;
    while ask(&link, "SET a 1").await.is_err() {
        assert!(Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Default)]
struct States(Mutex<Vec<(LinkState, Option<Error>)>>);

impl StateSink for States {
    fn state(&self, state: LinkState, error: Option<&Error>) {
        self.0.lock().unwrap().push((state, error.cloned()));
    }
}

#[tokio::test]
async fn an_end_that_had_to_be_dropped_is_told() {
    let directory = TemporaryDirectory::new();
    let file = directory.path().join("appendonly.aof.1.incr.aof");
    let whole = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    fs::write(&file, [whole, &b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$4\r\nIN"[..]].concat())
        .unwrap();
    fs::write(directory.path().join("appendonly.aof.manifest"), b"file appendonly.aof.1.incr.aof seq 1 type i\n")
        .unwrap();
    let link = open(&url(directory.path()));
    let states = Arc::<States>::default();
    let watch = link.watch_state(Arc::clone(&states) as Arc<dyn StateSink>);
    assert_eq!(ask(&link, "GET a").await.unwrap(), Value::Bulk(b"1".to_vec()));
    let told = || states.0.lock().unwrap().iter().find_map(|(_, error)| error.clone());
    eventually("it is told", || told().is_some()).await;
    let error = told().unwrap();
    assert_eq!(error.code(), ErrorCode::StorageDamaged);
    assert!(error.message().contains("46 bytes") && error.message().contains("1 whole command"), "{error}");
    drop(watch);
    assert_eq!(fs::read(&file).unwrap(), whole);
}

#[tokio::test]
async fn a_full_disk_fails_the_calls_and_goes_on_when_there_is_room() {
    for fsync in ["everysec", "always"] {
        let directory = TemporaryDirectory::new();
        let url = format!("{}?fsync={fsync}", url(directory.path()));
        let mut other = Other::start_with(&url, |process| process.env(LIMIT, "20000"));
        let link = open(&url);
        let mut kept = 0;
        let error = loop {
            match ask(&link, &format!("RPUSH l {}", "x".repeat(300))).await {
                Ok(Value::Int(length)) if length < 1000 => kept = length,
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert!(kept > 40, "{kept}");
        assert_eq!(error.code(), ErrorCode::StorageFailed, "{error}");
        assert!(error.message().contains("File too large"), "{error}");
        // The same for those who are in the process, and for every kind of write; reading goes on.
        for line in ["SET a 1", "EVAL return(redis.call('set','a','1')) 0", "DEL l"] {
            assert!(other.ask(line).starts_with("ERR_STORAGE_FAILED"), "{line}");
        }
        assert_eq!(ask(&link, "EXISTS a").await.unwrap(), Value::Int(0));
        let length = ask(&link, "LLEN l").await.unwrap().into_int().unwrap();
        assert!(length == kept || length == kept + 1);
        // With room again, what waited is written first.
        assert_eq!(other.ask("limit 1000000"), "limited");
        let limit = Instant::now() + PATIENCE;
        while ask(&link, "SET a 1").await.is_err() {
            assert!(Instant::now() < limit);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        other.kill();
        assert_eq!(ask(&link, "LLEN l").await.unwrap(), Value::Int(length));
        assert_eq!(ask(&link, "GET a").await.unwrap(), Value::Bulk(b"1".to_vec()));
    }
}

#[tokio::test]
async fn a_killed_process_with_a_full_disk_kept_what_it_answered_and_nothing_else() {
    let directory = TemporaryDirectory::new();
    let url = url(directory.path());
    let mut other = Other::start_with(&url, |process| process.env(LIMIT, "10000"));
    let mut kept = 0;
    loop {
        let answer = other.ask(&format!("RPUSH l {}", "x".repeat(300)));
        match answer.strip_prefix("Int(").and_then(|rest| rest.strip_suffix(')')) {
            Some(length) => kept = length.parse().unwrap(),
            None => break,
        }
    }
    other.kill();
    let link = open(&url);
    assert_eq!(ask(&link, "LLEN l").await.unwrap(), Value::Int(kept));
}

#[tokio::test]
async fn answers_that_wait_for_the_disk_come_in_order_to_everybody() {
    let directory = TemporaryDirectory::new();
    let url = format!("{}?fsync=always", url(directory.path()));
    let link = open(&url);
    let mut other = Other::start(&url);
    // Waiters, messages and replies of both processes.
    let heard = Arc::<Heard>::default();
    let sink = Arc::clone(&heard) as Arc<dyn MessageSink>;
    link.subscriptions().subscribe(SubscriptionKind::Channel, "c", sink).await.unwrap();
    let blocking = link.open_blocking();
    for round in 0..50 {
        let (popped, pushed) = tokio::join!(blocking.block(command("BLPOP q 0"), PATIENCE), async {
            let one = link.call(command(&format!("RPUSH q {round}")));
            let two = link.call(command(&format!("PUBLISH c {round}")));
            let three = link.call(command("INCR n"));
            (one.await, two.await, three.await)
        });
        let popped = popped.unwrap();
        assert_eq!(popped, Value::Array(vec![Value::Bulk(b"q".to_vec()), Value::Bulk(round.to_string().into_bytes())]));
        assert_eq!(pushed.2.unwrap(), Value::Int(2 * round + 1));
        assert_eq!(other.ask("INCR n"), format!("Int({})", 2 * round + 2));
    }
    eventually("messages came in order", || {
        let heard = heard.messages.lock().unwrap();
        heard.len() == 50 && heard.iter().enumerate().all(|(round, message)| *message == format!("c:{round}"))
    })
    .await;
    other.end();
    // Many callers share one wait for the disk.
    let calls: Vec<_> = (0..2000).map(|_| link.call(command("INCR many"))).collect();
    for (number, call) in (1..).zip(calls) {
        assert_eq!(call.await.unwrap(), Value::Int(number));
    }
}
