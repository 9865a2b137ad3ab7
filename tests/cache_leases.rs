//! Leases: what was loaded before an invalidation is not stored after it, whichever process did which.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use oxcart::{
    cache::{Acquire, Acquired, Cache, CacheOptions, Fill, Lease, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, Link},
    testing::{RedisServer, eventually},
};

const PORT: &str = "OXCART_TEST_LEASE_PORT";
const LONG: Duration = Duration::from_secs(20);

fn cache(link: &Arc<dyn Link>, prefix: &str) -> Cache {
    let options = CacheOptions::from_json(&format!(r#"{{"prefix":"{prefix}"}}"#)).unwrap();
    Cache::new(Arc::clone(link), options, Clock::system(), Duration::from_secs(5)).unwrap()
}

/// A cache under a prefix of its own, and the link under it.
fn fresh(server: &RedisServer) -> (Cache, Arc<dyn Link>, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("lease{}:", NEXT.fetch_add(1, Ordering::Relaxed));
    let link = connection::open(server.options()).unwrap();
    (cache(&link, &prefix), link, prefix)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// What a caller holds while its source is at work.
struct Load {
    cache: Cache,
    key: String,
    tags: Vec<String>,
    stamp: u32,
    gaps: u32,
    lease: Lease,
}

impl Load {
    async fn begin(cache: &Cache, key: &str, tags: &[&str]) -> Self {
        let tags = texts(tags);
        let (stamp, gaps) = (cache.watch(key, &tags).stamp(), cache.gaps());
        let acquire = Acquire { key: key.to_owned(), tags: tags.clone(), ..Acquire::default() };
        let Acquired::Miss(_, lease) = cache.acquire(acquire).await.unwrap() else { panic!("{key} is there") };
        Self { cache: cache.clone(), key: key.to_owned(), tags, stamp, gaps, lease }
    }

    /// Ends with a value, as one who saw no counter of this process move: only the lease can refuse it.
    async fn end_blindly(self, text: &str) -> bool {
        let (stamp, gaps) = (self.cache.watch(&self.key, &self.tags).stamp(), self.cache.gaps());
        Self { stamp, gaps, ..self }.end(text).await
    }

    async fn end(self, text: &str) -> bool {
        let Self { cache, key, tags, stamp, gaps, lease } = self;
        let (text, lease) = (text.to_owned(), Some(lease));
        cache.fill(Fill { key, text, tags, stamp, gaps, lease, ..Fill::default() }).await.unwrap()
    }
}

async fn stored(cache: &Cache, key: &str) -> Option<String> {
    match cache.load(key, Vec::new(), None).await.unwrap() {
        Loaded::Hit(hit) => Some(hit.text),
        Loaded::Miss(_) => None,
    }
}

async fn raw(link: &Arc<dyn Link>, words: &[&str]) -> Value {
    link.call(Command::new(words[0]).args(&words[1..])).await.unwrap()
}

/// How often the server ran a command, and how often that failed.
async fn calls(link: &Arc<dyn Link>, command: &str) -> (u64, u64) {
    let info = raw(link, &["INFO", "commandstats"]).await.into_text().unwrap();
    let found = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let field = |name: &str| {
        let fields = found.into_iter().flat_map(|line| line.split(','));
        fields.filter_map(|field| field.strip_prefix(name)).map(|count| count.parse::<u64>().unwrap()).sum()
    };
    (field("calls="), field("failed_calls="))
}

#[tokio::test]
async fn a_late_fill_is_refused_after_every_kind_of_change() {
    let server = RedisServer::start();
    let (cache, link, prefix) = fresh(&server);
    let (one, foreign) = (texts(&["k"]), format!("{prefix}k"));
    for (number, change) in
        ["delete", "delete many", "set", "set many", "tag", "pattern", "clear", "flush", "foreign"].iter().enumerate()
    {
        let key = if *change == "clear" { "space:k" } else { "k" };
        let load = Load::begin(&cache, key, &["t"]).await;
        let write = Write { key: "k".into(), text: "\"new\"".into(), ..Write::default() };
        match *change {
            "delete" => drop(cache.delete("k").await.unwrap()),
            "delete many" => drop(cache.delete_many(&one).await.unwrap()),
            "set" => drop(cache.set(write).await.unwrap()),
            "set many" => cache.set_many(vec![(write.key, write.text, None)]).await.unwrap(),
            "tag" => drop(cache.invalidate_tags(&texts(&["t"])).await.unwrap()),
            "pattern" => drop(cache.delete_pattern("k*").await.unwrap()),
            "clear" => drop(cache.clear("space").await.unwrap()),
            "flush" => drop(cache.flush().await.unwrap()),
            _ => drop(raw(&link, &["SET", &foreign, "\"new\""]).await),
        }
        // What a tag ends is stored under its old version: dead where it lies.
        load.end_blindly("\"old\"").await;
        let now = stored(&cache, key).await;
        let expected = matches!(*change, "set" | "set many" | "foreign").then(|| "\"new\"".to_owned());
        assert_eq!(now, expected, "{number}: after a {change}");
        cache.delete(key).await.unwrap();
    }
    // And with nothing in between it is stored.
    assert!(Load::begin(&cache, "k", &["t"]).await.end("\"made\"").await);
    assert_eq!(stored(&cache, "k").await.unwrap(), "\"made\"");
}

#[tokio::test]
async fn a_fill_names_its_script_by_digest() {
    let server = RedisServer::builder().process().start();
    let (cache, link, _) = fresh(&server);
    eventually("the server tells of changes", || cache.follows_changes()).await;
    assert!(Load::begin(&cache, "first", &[]).await.end("1").await);
    let (texts, digests) = (calls(&link, "eval").await, calls(&link, "evalsha").await);
    for n in 0..5 {
        assert!(Load::begin(&cache, &format!("k{n}"), &[]).await.end("1").await);
    }
    assert_eq!(calls(&link, "eval").await, texts);
    assert_eq!(calls(&link, "evalsha").await.0, digests.0 + 5);
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_loses_no_fill() {
    // With a server that tells of changes, whose fills are transactions, and with one that does not.
    for arguments in [vec![], vec!["--rename-command", "CLIENT", ""]] {
        let server = RedisServer::builder().process().args(arguments.iter().copied()).start();
        let (cache, link, _) = fresh(&server);
        if arguments.is_empty() {
            eventually("the server tells of changes", || cache.follows_changes()).await;
        }
        for key in ["first", "second"] {
            let load = Load::begin(&cache, key, &["t"]).await;
            raw(&link, &["SCRIPT", "FLUSH"]).await;
            let (texts, digests) = (calls(&link, "eval").await, calls(&link, "evalsha").await);
            assert!(load.end("1").await, "{key}");
            // Refused by digest, and sent once by text.
            assert_eq!(calls(&link, "evalsha").await, (digests.0 + 1, digests.1 + 1));
            assert_eq!(calls(&link, "eval").await, (texts.0 + 1, texts.1));
            assert_eq!(stored(&cache, key).await.as_deref(), Some("1"), "{key}");
        }
        assert_eq!(calls(&link, "exec").await.0 > 0, arguments.is_empty());
        // What was invalidated before the second attempt stays away.
        let load = Load::begin(&cache, "third", &["t"]).await;
        raw(&link, &["SCRIPT", "FLUSH"]).await;
        cache.delete("third").await.unwrap();
        assert!(!load.end_blindly("1").await);
        assert_eq!(stored(&cache, "third").await, None);
    }
}

#[tokio::test]
async fn a_lease_is_shared_given_back_and_ends_with_a_fill() {
    let server = RedisServer::start();
    let (cache, link, prefix) = fresh(&server);
    let lease_key = format!("{prefix}#lease:k");
    let (first, second) = (Load::begin(&cache, "k", &[]).await, Load::begin(&cache, "k", &[]).await);
    assert_eq!(first.lease.token, second.lease.token);
    assert!(first.lease.absent && first.lease.lock.is_empty());
    assert!(first.end("1").await);
    assert_eq!(raw(&link, &["EXISTS", &lease_key]).await, Value::Int(0));
    assert!(!second.end_blindly("2").await, "it shared a lease that has ended");
    assert_eq!(stored(&cache, "k").await.as_deref(), Some("1"));

    cache.delete("k").await.unwrap();
    let load = Load::begin(&cache, "k", &[]).await;
    assert_eq!(raw(&link, &["EXISTS", &lease_key]).await, Value::Int(1));
    cache.release("k", &load.lease).await;
    assert_eq!(raw(&link, &["EXISTS", &lease_key]).await, Value::Int(0));
    assert!(!load.end_blindly("1").await, "it was given back");
}

#[tokio::test]
async fn leases_of_many_keys_are_refused_one_by_one() {
    let server = RedisServer::start();
    let (cache, _link, _) = fresh(&server);
    cache.set(Write { key: "there".into(), text: "0".into(), ..Write::default() }).await.unwrap();
    let keys = texts(&["a", "there", "b"]);
    let stamps: Vec<_> = keys.iter().map(|key| cache.watch(key, &[]).stamp()).collect();
    let gaps = cache.gaps();
    let outcomes = cache.acquire_many(keys.clone(), Vec::new(), None).await.unwrap();
    assert!(matches!(&outcomes[1], Acquired::Hit(hit) if hit.text == "0"));
    cache.delete("b").await.unwrap();
    for (index, expected) in [(0, true), (2, false)] {
        let Acquired::Miss(None, lease) = &outcomes[index] else { panic!("{index} is missing") };
        let (key, text) = (keys[index].clone(), "1".to_owned());
        let (stamp, lease) = (stamps[index], Some(lease.clone()));
        let fill = Fill { key, text, stamp, gaps, lease, ..Fill::default() };
        assert_eq!(cache.fill(fill).await.unwrap(), expected, "{index}");
    }
}

/// Not a test of its own: another process, which does what it is told on its standard input. Does nothing when the file is
/// run.
#[tokio::test]
async fn other_process() {
    let Ok(port) = std::env::var(PORT) else { return };
    let link = connection::open(ConnectionOptions::tcp("127.0.0.1", port.parse().unwrap())).unwrap();
    let cache = cache(&link, "shared:");
    let mut load = None;
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words[..] {
            ["begin", key] => {
                load = Some(Load::begin(&cache, key, &["t"]).await);
                true
            }
            ["end", text] => load.take().unwrap().end(text).await,
            ["lock", key] => {
                let exclusive = Some(Duration::ZERO);
                let outcome = cache.acquire(Acquire { key: key.to_owned(), exclusive, ..Acquire::default() }).await;
                matches!(outcome.unwrap(), Acquired::Miss(..))
            }
            _ => panic!("{order}"),
        };
        println!("\nanswer {answer}");
    }
}

struct Other {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(server: &RedisServer) -> Self {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "other_process", "--nocapture"])
            .env(PORT, server.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    fn tell(&mut self, line: &str) -> bool {
        writeln!(self.input, "{line}").unwrap();
        let answer = self.output.by_ref().map(Result::unwrap).find_map(|line| {
            let answer = line.strip_prefix("answer ")?;
            Some(answer == "true")
        });
        answer.expect("the other process lives")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_process_stores_nothing_that_another_invalidated_meanwhile() {
    let server = RedisServer::builder().process().start();
    let link = connection::open(server.options()).unwrap();
    let cache = cache(&link, "shared:");
    let mut other = Other::start(&server);
    for change in ["delete", "tag", "pattern", "flush"] {
        other.tell("begin k");
        match change {
            "delete" => drop(cache.delete("k").await.unwrap()),
            "tag" => drop(cache.invalidate_tags(&texts(&["t"])).await.unwrap()),
            "pattern" => drop(cache.delete_pattern("k*").await.unwrap()),
            _ => drop(cache.flush().await.unwrap()),
        }
        other.tell("end 1");
        assert_eq!(stored(&cache, "k").await, None, "after a {change}");
        cache.delete("k").await.unwrap();
    }
    other.tell("begin k");
    assert!(other.tell("end 1"));
    assert_eq!(stored(&cache, "k").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn the_lock_of_a_process_that_died_is_free_soon() {
    let server = RedisServer::builder().process().start();
    let link = connection::open(server.options()).unwrap();
    let cache = cache(&link, "shared:");
    let mut other = Other::start(&server);
    assert!(other.tell("lock k"));
    let exclusive = |wait| Acquire { key: "k".into(), exclusive: Some(wait), ..Acquire::default() };
    // While its holder lives it is extended beyond its own life of three seconds.
    let waited = cache.acquire(exclusive(Duration::from_secs(4))).await.unwrap();
    assert!(matches!(waited, Acquired::Busy(None, _)), "{waited:?}");
    drop(other);
    let waited = cache.acquire(exclusive(LONG)).await.unwrap();
    assert!(matches!(&waited, Acquired::Miss(None, lease) if !lease.lock.is_empty()), "{waited:?}");
}
