//! Looking into real servers: that the answers are right, and that nobody else has to wait for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "numbers of keys are whole")]

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode, Result,
    connection::{self, Command, Link, key_slot},
    monitoring::{AnalysisOptions, KeyAnalysis, Monitor, MonitorOptions, Status, Stop, UsageOptions},
    service,
    testing::RedisServer,
};

/// Runs on the I/O thread, as the engine does in production.
fn run<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    service::spawn(async move {
        let _ = sender.send(test.await);
    });
    receiver.recv_timeout(Duration::from_secs(600)).expect("the test ends, and does not panic")
}

fn monitor(servers: &[&RedisServer]) -> Monitor {
    Monitor::open(servers.iter().map(|server| server.options()).collect(), MonitorOptions::default()).unwrap()
}

/// With more time than any machine needs.
fn patient() -> AnalysisOptions {
    AnalysisOptions { time_budget_ms: 300_000.0, ..AnalysisOptions::default() }
}

async fn ask(link: &Arc<dyn Link>, command: &str) -> String {
    let mut words = command.split(' ');
    let reply = link.call(Command::new(words.next().unwrap()).args(words)).await.unwrap();
    reply.into_text().unwrap_or_default()
}

fn counts(analysis: &KeyAnalysis) -> HashMap<&str, f64> {
    analysis.patterns.iter().map(|pattern| (pattern.pattern.as_str(), pattern.count)).collect()
}

/// A word, one for each number.
fn word(number: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "zu", "fa"];
    (0..5).map(|at| SYLLABLES[(number >> (4 * at)) % 16]).collect()
}

fn hex(number: usize, digits: usize) -> String {
    let mut text = String::new();
    let mut state = number as u64 + 1;
    while text.len() < digits {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write!(text, "{:08x}", state >> 32).unwrap();
    }
    text.truncate(digits);
    text
}

fn uuid(number: usize) -> String {
    let digits = hex(number, 32);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

type Make = fn(usize) -> String;

/// The patterns of the founding documents, and how each is to be found.
const DOCUMENTED: [(&str, Make); 23] = [
    ("user:profile:{id}", |n| format!("user:profile:{}", uuid(n))),
    ("user:settings:{id}", |n| format!("user:settings:{}", uuid(n))),
    ("avatar:data:{id}", |n| format!("avatar:data:{n}")),
    ("avatar:list:{id}", |n| format!("avatar:list:{}", uuid(n))),
    ("catalog:item:{id}", |n| format!("catalog:item:{n}")),
    ("catalog:list:{id}:{id}", |n| format!("catalog:list:{}:{}", word(n % 200 * 7), n / 200)),
    ("catalog:search:{id}:{id}", |n| format!("catalog:search:{}:{}", word(n), hex(n, 32))),
    ("design:data:{id}", |n| format!("design:data:{}", uuid(n))),
    ("design:list:{id}:draft", |n| format!("design:list:{}:draft", uuid(n))),
    ("design:list:{id}:published", |n| format!("design:list:{}:published", uuid(n))),
    ("session:{id}", |n| format!("session:{}", hex(n, 32))),
    ("token:blacklist:{id}", |n| format!("token:blacklist:{}", uuid(n))),
    ("ratelimit:{id}:login", |n| format!("ratelimit:{}:login", uuid(n))),
    ("tags:{id}", |n| format!("tags:{}", word(n))),
    ("story:detail:{id}", |n| format!("story:detail:the-{}-of-{}", word(n), word(n * 3))),
    ("story:list:user:user_{id}", |n| format!("story:list:user:user_{n}")),
    ("chapter:tree:{id}", |n| format!("chapter:tree:{}-{}", word(n), n % 7)),
    ("notification:unread:user_{id}", |n| format!("notification:unread:user_{n}")),
    ("user:{id}", |n| format!("user:{}", uuid(n))),
    ("user_sessions:{id}", |n| format!("user_sessions:{n}")),
    ("org_members:{id}", |n| format!("org_members:{n}")),
    ("project_tasks:{id}", |n| format!("project_tasks:{n}")),
    ("api:/projects:{id}", |n| format!("api:/projects:{}", hex(n, 32))),
];

/// Writes so many keys of the documents' patterns, all alike often; how many there are of each.
async fn write_documented(link: &Arc<dyn Link>, keys: usize) -> HashMap<&'static str, f64> {
    let mut expected: HashMap<&str, f64> = HashMap::new();
    let mut next = 0;
    while next < keys {
        let mut command = Command::new("MSET");
        let end = keys.min(next + 1_000);
        for number in next..end {
            let (pattern, make) = DOCUMENTED[number % DOCUMENTED.len()];
            command = command.arg(make(number / DOCUMENTED.len())).arg("some value of a key");
            *expected.entry(pattern).or_default() += 1.0;
        }
        link.call(command).await.unwrap();
        next = end;
    }
    expected
}

fn assert_within(analysis: &KeyAnalysis, expected: &HashMap<&str, f64>, part: f64) {
    let found = counts(analysis);
    for (pattern, &count) in expected {
        let got = found.get(pattern).copied().unwrap_or_default();
        assert!((got - count).abs() <= count * part, "{pattern}: {got} instead of {count}; {found:?}");
    }
    let total: f64 = expected.values().sum();
    assert!((analysis.total_keys - total).abs() <= total * part, "{}", analysis.total_keys);
}

/// As many as `OXCART_MONITOR_KEYS` says; in the suite a hundred thousand.
fn many() -> usize {
    std::env::var("OXCART_MONITOR_KEYS").map_or(100_000, |keys| keys.parse().unwrap())
}

#[test]
fn the_documents_patterns_are_found_with_their_counts() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        let expected = write_documented(&link, many()).await;
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        println!("{} keys in {} ms", analysis.scanned_keys, analysis.duration_ms);
        assert!(analysis.complete);
        assert_within(&analysis, &expected, 0.0);
        assert_eq!(analysis.patterns.len(), expected.len(), "{:?}", counts(&analysis));
        for pattern in &analysis.patterns {
            assert_eq!(pattern.count_margin, 0.0);
            assert_eq!(pattern.sample_keys.len(), 5);
            assert!(pattern.measured > 50.0 && pattern.avg_size > 50.0 && pattern.avg_size < 300.0, "{pattern:?}");
        }
        assert!(analysis.measured_keys >= 19_000.0 && analysis.measured_keys <= 26_000.0, "{}", analysis.measured_keys);
        let ran = ask(&link, "INFO commandstats").await;
        assert!(!ran.contains("cmdstat_keys:"), "{ran}");
    });
}

#[test]
fn a_part_of_the_keys_stands_for_all_when_the_time_is_over() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        let keys = 100_000;
        let expected = write_documented(&link, keys).await;
        // However fast or slow the machine is: less time until it is not enough, more until something was seen.
        let mut time_budget_ms = 200.0;
        let analysis = loop {
            let options = AnalysisOptions { time_budget_ms, ..patient() };
            let began = Instant::now();
            match monitor.analyze_keys(options, &Stop::default()).await {
                Ok(Some(analysis)) if analysis.complete => time_budget_ms = f64::max(time_budget_ms / 2.0, 10.0),
                Ok(Some(analysis)) if analysis.scanned_keys >= 5_000.0 => {
                    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
                    break analysis;
                }
                other => {
                    assert!(other.is_ok_and(|analysis| analysis.is_some()));
                    time_budget_ms *= 1.5;
                }
            }
        };
        assert!(analysis.confidence.scanned < 1.0);
        let found: HashMap<_, _> =
            analysis.patterns.iter().map(|pattern| (pattern.pattern.as_str(), pattern)).collect();
        for (pattern, count) in &expected {
            let found = found[pattern];
            assert!(found.count_margin > 0.0);
            // Five standard deviations: once in a million.
            let off = (found.count - count).abs();
            assert!(off < found.count_margin / 1.96 * 5.0, "{pattern}: {} instead of {count}", found.count);
        }
    });
}

/// Round trips of a millisecond's rhythm over a socket of its own, in microseconds, in order of their length.
struct Probe {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<u128>>,
}

impl Probe {
    fn start(port: u16) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut trips = Vec::new();
            let mut answer = [0; 7];
            while !asked.load(Ordering::Relaxed) {
                let began = Instant::now();
                socket.write_all(b"PING\r\n").unwrap();
                socket.read_exact(&mut answer).unwrap();
                trips.push(began.elapsed().as_micros());
                std::thread::park_timeout(Duration::from_millis(1));
            }
            trips.sort_unstable();
            trips
        });
        Self { over, thread }
    }

    fn end(self) -> Vec<u128> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// What else runs on the machine can only make the probe slower, so one round of several shows what the analysis costs.
#[test]
fn others_on_the_same_server_hardly_notice() {
    const ROUNDS: usize = 6;
    let server = RedisServer::builder().process().start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    let port = server.port();
    run(async move {
        let keys = many();
        let expected = write_documented(&link, keys).await;
        let time_budget_ms = if keys > 100_000 { 5_000.0 } else { 2_000.0 };
        for round in 1..=ROUNDS {
            ask(&link, "CONFIG RESETSTAT").await;
            let probe = Probe::start(port);
            let began = Instant::now();
            let options = AnalysisOptions { time_budget_ms, ..AnalysisOptions::default() };
            let analysis = monitor.analyze_keys(options, &Stop::default()).await.unwrap().unwrap();
            let took = began.elapsed();
            let trips = probe.end();
            let stats = monitor.latency().await.unwrap();
            let scan = stats.commands.iter().find(|command| command.command == "SCAN").unwrap().percentiles["p99"];
            let p99 = trips[trips.len() * 99 / 100];
            let found = counts(&analysis);
            let off = expected
                .iter()
                .map(|(pattern, count)| (found.get(pattern).copied().unwrap_or_default() / count - 1.0).abs());
            println!(
                "{keys} keys in {took:?}: {} scanned, counts at most {:.2} % off, {} measured; p99 of {} probes {p99} us, of SCAN {scan} ms",
                analysis.scanned_keys,
                off.fold(0.0, f64::max) * 100.0,
                analysis.measured_keys,
                trips.len(),
            );
            assert!(took < Duration::from_secs(20), "{took:?}");
            // Of fewer keys than these, five in a hundred more or less of a pattern are chance.
            if analysis.complete || analysis.scanned_keys > 200_000.0 {
                assert_within(&analysis, &expected, 0.05);
            }
            if p99 < 5_000 && scan < 5.0 {
                return;
            }
            assert!(round < ROUNDS, "p99 {p99} us");
        }
    });
}

#[test]
fn types_times_to_live_and_big_keys_are_told() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        for number in 0..40 {
            ask(&link, &format!("SET session:{number} value EX 600")).await;
            ask(&link, &format!("HSET user:{number} name someone")).await;
        }
        let big = Command::new("RPUSH").arg("feed:global").args((0..2_000).map(|n| format!("an entry, number {n}")));
        link.call(big).await.unwrap();
        ask(&link, "SET flag on EX 3000000").await;
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        let type_counts: HashMap<_, _> = analysis.types.iter().map(|group| (group.name, group.count)).collect();
        assert_eq!(type_counts, HashMap::from([("string", 41.0), ("hash", 40.0), ("list", 1.0)]));
        let ttls: HashMap<_, _> = analysis.ttl_groups.iter().map(|group| (group.name, group.count)).collect();
        assert_eq!((ttls["none"], ttls["below 1h"], ttls["from 30d"]), (41.0, 40.0, 1.0));
        let biggest = &analysis.biggest_keys[0];
        assert_eq!((biggest.key.as_str(), biggest.kind, biggest.ttl), ("feed:global", "list", None));
        assert!(biggest.size > 20_000.0, "{}", biggest.size);
        assert_eq!(analysis.biggest_keys.len(), 10);
        assert_eq!((analysis.measured_keys, analysis.confidence.measured), (82.0, 1.0));
        let options = AnalysisOptions { pattern: "session:*".to_owned(), samples: 0.0, biggest_keys: 0.0, ..patient() };
        let some = monitor.analyze_keys(options, &Stop::default()).await.unwrap().unwrap();
        assert_eq!((some.total_keys, some.scanned_keys, some.measured_keys), (40.0, 82.0, 0.0));
        assert_eq!(counts(&some), HashMap::from([("session:{id}", 40.0)]));
        let options = AnalysisOptions { max_patterns: 1.0, ..patient() };
        let few = monitor.analyze_keys(options, &Stop::default()).await.unwrap().unwrap();
        assert_eq!((few.patterns.len(), few.other_patterns.patterns, few.other_patterns.count), (1, 3, 42.0));
    });
}

#[test]
fn a_key_prefix_bounds_what_is_looked_at() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let options = connection::ConnectionOptions { key_prefix: "app:".to_owned(), ..server.options() };
    let monitor = Monitor::open(vec![options], MonitorOptions::default()).unwrap();
    run(async move {
        ask(&link, "MSET app:user:1 a app:user:2 b other:1 c").await;
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        assert_eq!(counts(&analysis), HashMap::from([("user:{id}", 2.0)]));
        assert!(analysis.biggest_keys.iter().all(|key| key.key.starts_with("user:")));
    });
}

#[test]
fn the_memory_of_databases_is_estimated_within_its_margin() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let other = connection::open(connection::ConnectionOptions { db: Some(3), ..server.options() }).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        let mut exact = 0.0;
        for number in 0..3_000_usize {
            let value = "x".repeat(number % 50 * 10);
            link.call(Command::new("SET").arg(format!("k{number}")).arg(value)).await.unwrap();
            let size = link.call(Command::new("MEMORY").arg("USAGE").arg(format!("k{number}"))).await.unwrap();
            exact += f64::from(i32::try_from(size.into_int().unwrap()).unwrap());
        }
        ask(&other, "SET one value PX 500000").await;
        let options = UsageOptions { time_budget_ms: 300_000.0, samples: 500.0 };
        let databases = monitor.memory_usage(&options, &Stop::default()).await.unwrap().unwrap();
        assert_eq!(databases.iter().map(|database| database.db).collect::<Vec<_>>(), [0, 3]);
        let large = &databases[0];
        assert!(large.estimated && large.margin > 0.0);
        assert_eq!((large.keys, large.expires, large.avg_ttl), (3_000.0, 0.0, 0.0));
        assert!(large.measured_keys > 400.0, "{}", large.measured_keys);
        let off = (large.memory_usage - exact).abs();
        assert!(off < large.margin / 1.96 * 5.0, "{} instead of {exact}, margin {}", large.memory_usage, large.margin);
        let small = &databases[1];
        assert_eq!((small.keys, small.expires, small.margin, small.measured_keys), (1.0, 1.0, 0.0, 1.0));
        assert!(small.avg_ttl > 100_000.0 && small.avg_ttl <= 500_000.0, "{}", small.avg_ttl);
        let size = other.call(Command::new("MEMORY").arg("USAGE").arg("one")).await.unwrap().into_int().unwrap();
        assert_eq!(small.memory_usage, f64::from(i32::try_from(size).unwrap()));
    });
}

#[test]
fn slow_commands_are_told_the_latest_first() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        ask(&link, "CONFIG SET slowlog-log-slower-than 0").await;
        ask(&link, "SET first value").await;
        ask(&link, "GET second").await;
        ask(&link, "CONFIG SET slowlog-log-slower-than -1").await;
        let queries = monitor.slow_queries(10).await.unwrap();
        let second = queries.iter().position(|query| query.command == "GET").unwrap();
        let first = queries.iter().position(|query| query.command == "SET").unwrap();
        assert!(second < first);
        assert_eq!(queries[first].args, ["first", "value"]);
        assert!(queries[first].duration > 0.0 && queries[first].timestamp > 1_600_000_000_000);
        assert_eq!(monitor.slow_queries(1).await.unwrap().len(), 1);
        for limit in [0, 10_001] {
            assert_eq!(monitor.slow_queries(limit).await.unwrap_err().code(), ErrorCode::InvalidArgument);
        }
    });
}

#[test]
fn a_caller_that_goes_away_ends_it() {
    let server = RedisServer::start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        write_documented(&link, 20_000).await;
        let stop = Stop::default();
        let options = AnalysisOptions { samples: 10_000_000.0, ..patient() };
        let running = service::spawn({
            let (monitor, stop) = (monitor.clone(), stop.clone());
            async move { monitor.analyze_keys(options, &stop).await }
        });
        stop.stop();
        assert!(running.await.unwrap().unwrap().is_none());
        let usage = UsageOptions { time_budget_ms: 300_000.0, samples: 1_000_000.0 };
        assert!(monitor.memory_usage(&usage, &stop).await.unwrap().is_none());
    });
}

#[test]
fn the_time_is_kept_with_a_server_that_hangs() {
    let server = RedisServer::builder().process().start();
    let link = connection::open(server.options()).unwrap();
    let monitor = monitor(&[&server]);
    run(async move {
        ask(&link, "SET key value").await;
        monitor.ping().await.unwrap();
        server.freeze();
        let began = Instant::now();
        let options = AnalysisOptions { time_budget_ms: 300.0, ..AnalysisOptions::default() };
        let error = monitor.analyze_keys(options, &Stop::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::WaitTimedOut);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        server.go_on();
    });
}

#[test]
fn a_server_that_tells_no_sizes_is_said_to() {
    let server = RedisServer::builder().process().start();
    let admin = connection::open(server.options()).unwrap();
    let options = connection::ConnectionOptions {
        username: Some("looker".to_owned()),
        password: Some(connection::Secret("secret".to_owned())),
        ..server.options()
    };
    run(async move {
        ask(&admin, "SET user:1 value").await;
        ask(&admin, "ACL SETUSER looker on >secret ~* +@all -memory|usage").await;
        let monitor = Monitor::open(vec![options], MonitorOptions::default()).unwrap();
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        assert_eq!(analysis.unavailable, ["sizes"]);
        assert_eq!((analysis.total_keys, analysis.total_size, analysis.measured_keys), (1.0, 0.0, 1.0));
        assert_eq!(analysis.types[0].count, 1.0);
        let refused = monitor.memory_usage(&UsageOptions::default(), &Stop::default()).await.unwrap_err();
        assert!(matches!(refused.code(), ErrorCode::Reply | ErrorCode::AuthenticationFailed), "{refused:?}");
        // Not even its name.
        assert!(!refused.message().contains("user:1"), "{refused}");
        ask(&admin, "ACL SETUSER looker resetkeys ~other:* +@all").await;
        ask(&admin, "SET other:1 value").await;
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        assert_eq!((analysis.unavailable.len(), analysis.total_keys, analysis.measured_keys), (1, 2.0, 1.0));
    });
}

/// Two primaries of a cluster, with half of the slots each.
async fn halves() -> Result<[RedisServer; 2]> {
    let arguments = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"];
    let servers = [(); 2].map(|()| RedisServer::builder().process().args(arguments).start());
    for (server, slots) in servers.iter().zip(["0 8191", "8192 16383"]) {
        let link = connection::open(server.options())?;
        ask(&link, &format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        // It takes a moment until it believes itself.
        let began = Instant::now();
        while !ask(&link, "CLUSTER INFO").await.contains("cluster_state:ok") {
            assert!(began.elapsed() < Duration::from_secs(60), "the cluster is not up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(servers)
}

#[test]
fn the_primaries_of_a_cluster_are_summed() {
    run(async {
        let servers = halves().await.unwrap();
        let links: Vec<_> = servers.iter().map(|server| connection::open(server.options()).unwrap()).collect();
        for number in 0..200 {
            let key = format!("user:{number}");
            let half = usize::from(key_slot(key.as_bytes()) >= 8_192);
            ask(&links[half], &format!("SET {key} value")).await;
        }
        let monitor = monitor(&[&servers[0], &servers[1]]);
        let analysis = monitor.analyze_keys(patient(), &Stop::default()).await.unwrap().unwrap();
        assert_eq!(counts(&analysis), HashMap::from([("user:{id}", 200.0)]));
        assert_eq!(analysis.nodes.len(), 2);
        assert!(analysis.nodes.iter().all(|node| node.total_keys > 50.0 && node.complete));
        let databases = monitor.memory_usage(&UsageOptions::default(), &Stop::default()).await.unwrap().unwrap();
        assert_eq!((databases.len(), databases[0].keys, databases[0].nodes.len()), (1, 200.0, 2));
        let info = monitor.info().await.unwrap();
        let clients: f64 = info.nodes.iter().map(|node| node.info.connected_clients).sum();
        assert_eq!((info.nodes.len(), info.info.connected_clients), (2, clients));
        let health = monitor.health().await;
        assert_eq!((health.status, health.alerts.len()), (Status::Healthy, 0), "{health:?}");
        let latency = monitor.latency().await.unwrap();
        let set = latency.commands.iter().find(|command| command.command == "SET").unwrap();
        assert_eq!((set.calls, latency.nodes.len()), (200.0, 2));
        drop(servers);
    });
}

#[test]
fn health_has_codes_for_what_is_wrong() {
    let mut gone = RedisServer::builder().process().start();
    let full = RedisServer::builder().process().args(["--maxmemory", "3mb"]).start();
    let lost = RedisServer::builder().process().args(["--cluster-enabled", "yes"]).start();
    let mut options = gone.options();
    options.command_timeout = Duration::from_millis(500);
    let monitor = Monitor::open(vec![options, full.options(), lost.options()], MonitorOptions::default()).unwrap();
    let filler = connection::open(full.options()).unwrap();
    gone.kill();
    run(async move {
        // Until the server refuses more.
        for number in 0..4_000 {
            let filling = Command::new("SET").arg(format!("key{number}")).arg("x".repeat(2_000));
            if filler.call(filling).await.is_err() {
                break;
            }
        }
        let health = monitor.health().await;
        assert_eq!(health.status, Status::Unhealthy);
        let of = |node: usize| -> Vec<_> {
            let name = &health.nodes[node].node;
            health.details.iter().filter(|alert| alert.node == *name && alert.code != "REDIS_LATENCY_HIGH").collect()
        };
        assert_eq!((of(0).len(), of(0)[0].code), (1, "REDIS_UNREACHABLE"), "{health:?}");
        assert!(of(0)[0].error.is_some() && health.nodes[0].latency_ms.is_none());
        assert_eq!((of(1).len(), of(1)[0].code), (1, "REDIS_MEMORY_FULL"), "{health:?}");
        assert_eq!((of(2).len(), of(2)[0].code), (1, "REDIS_CLUSTER_DOWN"), "{health:?}");
        // The others ask all servers, and so fail with the one that is gone.
        assert!(monitor.info().await.is_err());
    });
}
