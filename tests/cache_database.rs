//! Level 3: rows in SQLite and PostgreSQL, which outlive Redis and end with what is invalidated.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use oxcart::{
    ErrorCode,
    cache::{Acquire, Acquired, Cache, CacheOptions, Fill, Lease, Loaded, Write},
    clock::Clock,
    codec::resp::Value,
    connection::{self, Command, Link},
    embedded::Embedded,
    testing::{PostgresServer, RedisServer, TemporaryDirectory, eventually},
};
use sqlx::{Connection, SqliteConnection};

const LONG: Duration = Duration::from_secs(30);

/// Caches that share nothing but a database.
struct Place {
    url: String,
    more: String,
}

impl Place {
    fn sqlite(directory: &TemporaryDirectory) -> Self {
        Self { url: format!("sqlite:{}/cache.db", directory.path().display()), more: String::new() }
    }

    /// With further options of level 3.
    fn with(&self, more: &str) -> Self {
        Self { url: self.url.clone(), more: format!(",{more}") }
    }

    fn cache_on(&self, link: &Arc<dyn Link>, prefix: &str) -> Cache {
        let level3 = format!(r#"{{"enabled":true,"url":"{}","timeout":5{}}}"#, self.url, self.more);
        Self::cache_of(link, prefix, &level3)
    }

    fn cache_of(link: &Arc<dyn Link>, prefix: &str, level3: &str) -> Cache {
        // Level 1 would answer before the others are asked.
        let text = format!(r#"{{"prefix":"{prefix}","level1":{{"enabled":false}},"level3":{level3}}}"#);
        let options = CacheOptions::from_json(&text).unwrap();
        Cache::new(Arc::clone(link), options, Clock::system(), Duration::from_secs(5)).unwrap()
    }

    /// A cache with a Redis of its own.
    fn cache(&self, prefix: &str) -> (Cache, Arc<dyn Link>) {
        let link = Embedded::private(Clock::system()).link(0);
        (self.cache_on(&link, prefix), link)
    }
}

fn prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("db{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

async fn raw(link: &Arc<dyn Link>, words: &[&str]) -> Value {
    link.call(Command::new(words[0]).args(&words[1..])).await.unwrap()
}

/// What a caller holds while its source is at work.
struct Load {
    cache: Cache,
    key: String,
    tags: Vec<String>,
    lease: Lease,
}

impl Load {
    async fn begin(cache: &Cache, key: &str, tags: &[&str]) -> Self {
        // A first read makes the state; what a load has to know is there soon after.
        let limit = Instant::now() + LONG;
        loop {
            let acquire = Acquire { key: key.to_owned(), tags: texts(tags), ..Acquire::default() };
            let Acquired::Miss(_, lease) = cache.acquire(acquire).await.unwrap() else { panic!("{key} is there") };
            if !lease.seen.is_empty() {
                return Self { cache: cache.clone(), key: key.to_owned(), tags: texts(tags), lease };
            }
            assert!(Instant::now() < limit, "the database says nothing of {key}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self, text: &str, ttl: Option<f64>) -> bool {
        let (stamp, gaps) = (self.cache.watch(&self.key, &self.tags).stamp(), self.cache.gaps());
        let Self { cache, key, tags, lease } = self;
        let (text, lease) = (text.to_owned(), Some(lease));
        cache.fill(Fill { key, text, tags, stamp, gaps, lease, ttl, ..Fill::default() }).await.unwrap()
    }
}

async fn load(cache: &Cache, key: &str) -> Option<(String, u8)> {
    match cache.load(key, Vec::new(), None).await.unwrap() {
        Loaded::Hit(hit) => Some((hit.text, hit.level)),
        Loaded::Miss(_) => None,
    }
}

/// Has a value made, and waits until its row is there: it is stored behind the caller's back.
async fn make(cache: &Cache, other: &Cache, key: &str, tags: &[&str], text: &str) {
    assert!(Load::begin(cache, key, tags).await.end(text, None).await);
    let limit = Instant::now() + LONG;
    while load(other, key).await.is_none() {
        assert!(Instant::now() < limit, "{key} does not come into the table");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_row_outlives_redis(place: &Place) {
    let prefix = prefix();
    let ((cache, link), (other, _)) = (place.cache(&prefix), place.cache(&prefix));
    make(&cache, &other, "k", &[], "\"v\"").await;
    make(&cache, &other, "t", &["a", "b"], "\"tagged\"").await;
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "k").await.unwrap(), ("\"v\"".into(), 3));
    assert_eq!(load(&cache, "t").await.unwrap(), ("\"tagged\"".into(), 3));
    // It was carried up.
    assert_eq!(load(&cache, "k").await.unwrap(), ("\"v\"".into(), 2));
    assert_eq!(load(&cache, "t").await.unwrap(), ("\"tagged\"".into(), 2));
    cache.invalidate_tags(&texts(&["a"])).await.unwrap();
    assert_eq!(load(&cache, "t").await, None);
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "t").await, None);
    assert!(cache.exists("k").await.unwrap());
    assert!((3_500..=3_600).contains(&cache.ttl("k").await.unwrap()));
    let many = cache.load_many(texts(&["k", "t", "none"])).await.unwrap();
    assert_eq!(
        many.iter().map(|hit| hit.as_ref().map(|hit| hit.text.as_str())).collect::<Vec<_>>(),
        [Some("\"v\""), None, None]
    );
    raw(&link, &["FLUSHALL"]).await;
    let many = cache.load_many(texts(&["k", "t"])).await.unwrap();
    assert_eq!(many[0].as_ref().map(|hit| hit.level), Some(3));
    assert!(many[1].is_none());
}

async fn what_was_set_is_in_the_table(place: &Place) {
    let prefix = prefix();
    let (cache, link) = place.cache(&prefix);
    load(&cache, "x").await;
    let write =
        |key: &str, tags: &[&str]| Write { key: key.into(), text: "1".into(), tags: texts(tags), ..Write::default() };
    assert!(cache.set(write("plain", &[])).await.unwrap());
    assert!(cache.set(write("tagged", &["t"])).await.unwrap());
    cache.set_many(vec![("many".into(), "2".into(), Some(60.0))]).await.unwrap();
    raw(&link, &["FLUSHALL"]).await;
    for key in ["plain", "tagged", "many"] {
        assert_eq!(load(&cache, key).await.map(|(_, level)| level), Some(3), "{key}");
    }
    assert!((55..=60).contains(&cache.ttl("many").await.unwrap()));
    // A number that is counted lives in Redis alone.
    assert_eq!(cache.increment("many", 1).await.unwrap(), 3);
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "many").await, None);
    cache.invalidate_tags(&texts(&["t"])).await.unwrap();
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "tagged").await, None);
}

const CHANGES: [&str; 9] =
    ["delete", "delete many", "set", "set many", "tag", "pattern", "clear", "flush", "increment"];

async fn change(cache: &Cache, change: &str) {
    let write = Write { key: "s:k".into(), text: "7".into(), ..Write::default() };
    match change {
        "delete" => drop(cache.delete("s:k").await.unwrap()),
        "delete many" => drop(cache.delete_many(&texts(&["s:k", "s:k"])).await.unwrap()),
        "set" => drop(cache.set(write).await.unwrap()),
        "set many" => cache.set_many(vec![(write.key, write.text, None)]).await.unwrap(),
        "tag" => drop(cache.invalidate_tags(&texts(&["t"])).await.unwrap()),
        "pattern" => drop(cache.delete_pattern("s:[a-k]*").await.unwrap()),
        "clear" => drop(cache.clear("s").await.unwrap()),
        "flush" => drop(cache.flush().await.unwrap()),
        _ => drop(cache.increment("s:k", 1).await.unwrap()),
    }
}

/// Two caches with a Redis each: nothing but the table can tell the one of what the other does.
async fn every_change_ends_rows_and_overtakes_loads(place: &Place) {
    for name in CHANGES {
        let prefix = prefix();
        let ((reader, link), (writer, beyond)) = (place.cache(&prefix), place.cache(&prefix));
        make(&reader, &writer, "s:k", &["t"], "\"old\"").await;
        raw(&beyond, &["FLUSHALL"]).await;
        change(&writer, name).await;
        raw(&link, &["FLUSHALL"]).await;
        let after = load(&reader, "s:k").await;
        assert!(after.as_ref().is_none_or(|(text, _)| text == "7"), "{name}: {after:?}");

        // A load that began before the change, and stores its value after it.
        writer.delete("s:k").await.unwrap();
        raw(&link, &["FLUSHALL"]).await;
        let late = Load::begin(&reader, "s:k", &["t"]).await;
        change(&writer, name).await;
        late.end("\"old\"", None).await;
        // Another one after it in the same queue: when its row is there, the first one was refused.
        make(&reader, &writer, "barrier", &[], "0").await;
        raw(&link, &["FLUSHALL"]).await;
        let after = load(&reader, "s:k").await;
        assert!(after.as_ref().is_none_or(|(text, _)| text == "7"), "{name}, late: {after:?}");
    }
}

async fn patterns_end_what_they_match_and_nothing_else(place: &Place) {
    let prefix = prefix();
    let ((cache, link), (other, _)) = (place.cache(&prefix), place.cache(&prefix));
    let keys = ["a:1", "a:%", "a:_x", "A:1", "ab:1", "a*:1", "ä:1", "b[1]"];
    for key in keys {
        make(&cache, &other, key, &[], "0").await;
    }
    let left = async |gone: &[&str]| {
        raw(&link, &["FLUSHALL"]).await;
        for key in keys {
            assert_eq!(load(&cache, key).await.is_none(), gone.contains(&key), "{key} after {gone:?}");
        }
    };
    assert_eq!(cache.delete_pattern("a:_*").await.unwrap(), 1);
    left(&["a:_x"]).await;
    cache.clear("a*").await.unwrap();
    left(&["a:_x", "a*:1"]).await;
    cache.delete_pattern(r"b\[1\]").await.unwrap();
    left(&["a:_x", "a*:1", "b[1]"]).await;
    cache.delete_pattern("?:1").await.unwrap();
    left(&["a:_x", "a*:1", "b[1]", "a:1", "A:1"]).await;
}

/// Rows and bytes as the cache counts them, which tests compare with what is there.
async fn a_flood_stays_within_the_bounds(place: &Place, count: impl AsyncFn(&str) -> (u64, u64)) {
    let prefix = prefix();
    for (bound, more) in [("rows", r#""maxRows":50"#), ("bytes", r#""maxBytes":20000"#)] {
        let space = format!("{prefix}{bound}:");
        let (cache, _) = place.with(more).cache(&space);
        load(&cache, "x").await;
        for round in 0..6 {
            let writes = (0..100).map(|n| (format!("{round}:{n}"), format!("\"{}\"", "x".repeat(100)), None));
            cache.set_many(writes.collect()).await.unwrap();
            let (rows, bytes) = count(&space).await;
            let figures = cache.database_figures().unwrap();
            assert_eq!((figures.rows, figures.bytes), (rows, bytes), "{bound}");
            assert!(
                rows > 0 && (rows <= 50 || bound == "bytes") && (bytes <= 20_000 || bound == "rows"),
                "{rows} {bytes}"
            );
        }
    }
}

async fn expired_rows_go_in_slices(place: &Place, count: impl AsyncFn(&str) -> (u64, u64)) {
    let prefix = prefix();
    let (cache, link) = place.cache(&prefix);
    load(&cache, "x").await;
    let writes = |ttl: f64| (0..700).map(move |n| (format!("{ttl}:{n}"), "1".to_owned(), Some(ttl)));
    cache.set_many(writes(0.2).collect()).await.unwrap();
    cache.set_many(writes(60.0).take(3).collect()).await.unwrap();
    raw(&link, &["FLUSHALL"]).await;
    let limit = Instant::now() + LONG;
    while count(&prefix).await.0 != 3 {
        assert!(Instant::now() < limit, "rows that expired are still there: {}", count(&prefix).await.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(load(&cache, "0.2:1").await, None);
    assert_eq!(load(&cache, "60:1").await.unwrap().1, 3);
}

async fn sqlite_count(path: String, space: &str) -> (u64, u64) {
    let mut connection = SqliteConnection::connect(&path).await.unwrap();
    let sql = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM oxcart_cache WHERE space = $1";
    let (rows, bytes): (i64, i64) = sqlx::query_as(sql).bind(space).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (rows.unsigned_abs(), bytes.unsigned_abs())
}

#[tokio::test]
async fn sqlite_rows_outlive_redis() {
    let directory = TemporaryDirectory::new();
    let place = Place::sqlite(&directory);
    a_row_outlives_redis(&place).await;
    what_was_set_is_in_the_table(&place).await;
}

#[tokio::test]
async fn sqlite_rows_end_with_what_is_invalidated() {
    let directory = TemporaryDirectory::new();
    every_change_ends_rows_and_overtakes_loads(&Place::sqlite(&directory)).await;
}

#[tokio::test]
async fn sqlite_patterns() {
    let directory = TemporaryDirectory::new();
    patterns_end_what_they_match_and_nothing_else(&Place::sqlite(&directory)).await;
}

#[tokio::test]
async fn sqlite_is_bounded() {
    let directory = TemporaryDirectory::new();
    let place = Place::sqlite(&directory);
    let url = place.url.clone();
    a_flood_stays_within_the_bounds(&place, async |space| sqlite_count(url.clone(), space).await).await;
    expired_rows_go_in_slices(&place, async |space| sqlite_count(url.clone(), space).await).await;
}

#[tokio::test]
async fn postgres_does_all_of_it_and_forgets_in_a_crash() {
    let mut server = PostgresServer::start();
    let place = Place { url: server.url(), more: String::new() };
    a_row_outlives_redis(&place).await;
    what_was_set_is_in_the_table(&place).await;
    every_change_ends_rows_and_overtakes_loads(&place).await;
    patterns_end_what_they_match_and_nothing_else(&place).await;
    let count = async |space: &str| {
        let asked = server.ask(&format!(
            "SELECT COUNT(*) || ' ' || COALESCE(SUM(size), 0) FROM oxcart_cache WHERE space = '{space}'"
        ));
        let (rows, bytes) = asked.split_once(' ').unwrap();
        (rows.parse().unwrap(), bytes.parse().unwrap())
    };
    a_flood_stays_within_the_bounds(&place, count).await;
    expired_rows_go_in_slices(&place, count).await;
    let unlogged =
        server.ask("SELECT relpersistence FROM pg_class WHERE relname IN ('oxcart_cache', 'oxcart_cache_state')");
    assert_eq!(unlogged, "u\nu");

    // Numbers begin anew after a crash: a load from before must not be taken for one that is newer than the marks.
    let prefix = prefix();
    let ((cache, link), (other, _)) = (place.cache(&prefix), place.cache(&prefix));
    make(&cache, &other, "k", &[], "\"v\"").await;
    let late = Load::begin(&cache, "late", &[]).await;
    server.kill();
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "k").await, None);
    server.restart();
    let limit = Instant::now() + LONG;
    while cache.database_figures().unwrap().closed || cache.delete("late").await.is_err() {
        assert!(Instant::now() < limit);
    }
    late.end("\"old\"", None).await;
    make(&cache, &other, "barrier", &[], "0").await;
    raw(&link, &["FLUSHALL"]).await;
    assert_eq!(load(&cache, "late").await, None);
}

#[tokio::test]
async fn a_table_that_missed_an_invalidation_is_not_read_by_anybody() {
    let directory = TemporaryDirectory::new();
    let place = Place::sqlite(&directory);
    let prefix = prefix();
    let link = Embedded::private(Clock::system()).link(0);
    let level3 = |timeout: f64| format!(r#"{{"enabled":true,"url":"{}","timeout":{timeout}}}"#, place.url);
    // Two tiers, as two processes have.
    let (writer, reader) =
        (Place::cache_of(&link, &prefix, &level3(0.2)), Place::cache_of(&link, &prefix, &level3(4.0)));
    let (outsider, _) = place.cache(&prefix);
    make(&reader, &outsider, "k", &[], "\"old\"").await;
    make(&reader, &outsider, "other", &[], "\"old\"").await;

    let mut lock = SqliteConnection::connect(&place.url).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    assert!(writer.delete("k").await.unwrap());
    assert!(writer.database_figures().unwrap().closed && writer.database_figures().unwrap().errors > 0);
    // Neither the token of the key nor anything else keeps the rows from the reader now but what the writer wrote down.
    raw(&link, &["DEL", &format!("{prefix}#l3:k"), &format!("{prefix}k"), &format!("{prefix}other")]).await;
    assert_eq!(load(&reader, "k").await, None);
    assert_eq!(load(&reader, "other").await, None);

    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    let limit = Instant::now() + LONG;
    while raw(&link, &["EXISTS", &format!("{prefix}#l3closed")]).await != Value::Int(0)
        || writer.database_figures().unwrap().closed
    {
        assert!(Instant::now() < limit, "the table stays closed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(load(&reader, "k").await, None);
    assert_eq!(load(&reader, "other").await, None);
    make(&reader, &outsider, "k", &[], "\"new\"").await;
    assert_eq!(load(&writer, "k").await.unwrap().0, "\"new\"");
}

#[tokio::test]
async fn a_key_that_is_about_to_end_is_not_carried_up() {
    let directory = TemporaryDirectory::new();
    let place = Place::sqlite(&directory);
    let prefix = prefix();
    let ((cache, link), (other, _)) = (place.cache(&prefix), place.cache(&prefix));
    make(&cache, &other, "k", &[], "\"v\"").await;
    raw(&link, &["FLUSHALL"]).await;
    // As between a writer's commands to Redis and the end of the row.
    raw(&link, &["SET", &format!("{prefix}#l3:k"), "1", "PX", "30000"]).await;
    assert_eq!(load(&cache, "k").await, None);
    assert_eq!(raw(&link, &["EXISTS", &format!("{prefix}k")]).await, Value::Int(0));
    // The token is left by whatever ends a key.
    raw(&link, &["FLUSHALL"]).await;
    cache.delete("z").await.unwrap();
    assert_eq!(raw(&link, &["EXISTS", &format!("{prefix}#l3:z")]).await, Value::Int(1));
    assert_eq!(load(&cache, "k").await.unwrap().1, 3);
}

#[tokio::test]
async fn rows_are_the_answer_while_redis_is_away() {
    let directory = TemporaryDirectory::new();
    let place = Place::sqlite(&directory);
    let prefix = prefix();
    let mut server = RedisServer::builder().process().start();
    let link = connection::open(server.options()).unwrap();
    let (cache, (other, _)) = (place.cache_on(&link, &prefix), place.cache(&prefix));
    make(&cache, &other, "k", &[], "\"v\"").await;
    make(&cache, &other, "t", &["tag"], "\"v\"").await;
    server.kill();
    eventually("the link notices", || link.state() != connection::LinkState::Ready).await;
    assert_eq!(load(&cache, "k").await.unwrap(), ("\"v\"".into(), 3));
    assert_eq!(load(&cache, "t").await.unwrap(), ("\"v\"".into(), 3));
    assert!(cache.load("none", Vec::new(), None).await.is_err());
    let acquired = cache.acquire(Acquire { key: "k".into(), ..Acquire::default() }).await.unwrap();
    assert!(matches!(acquired, Acquired::Hit(hit) if hit.level == 3));
    assert_eq!(cache.load_many(texts(&["k", "t"])).await.unwrap().iter().flatten().count(), 2);
    // Invalidated by one who reaches the table: nobody serves it.
    other.delete("k").await.unwrap();
    other.invalidate_tags(&texts(&["tag"])).await.unwrap();
    assert!(cache.load("k", Vec::new(), None).await.is_err());
    assert!(cache.load("t", Vec::new(), None).await.is_err());
}

#[tokio::test]
async fn a_database_that_is_away_costs_misses_and_says_nothing_of_its_password() {
    let url = "postgres://user:secret@127.0.0.1:1/nothing".to_owned();
    let place = Place { url, more: String::new() };
    let link = Embedded::private(Clock::system()).link(0);
    let level3 = format!(r#"{{"enabled":true,"url":"{}","timeout":0.1}}"#, place.url);
    let cache = Place::cache_of(&link, "away:", &level3);
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    cache.on_error(move |error| heard.lock().unwrap().push(error));
    assert_eq!(load(&cache, "k").await, None);
    assert!(cache.set(Write { key: "k".into(), text: "1".into(), ..Write::default() }).await.unwrap());
    assert_eq!(load(&cache, "k").await.unwrap(), ("1".into(), 2));
    assert!(cache.delete("k").await.unwrap());
    assert_eq!(cache.flush().await.unwrap(), 0);
    let figures = cache.database_figures().unwrap();
    assert!(figures.errors > 0 && figures.closed);
    let told = told.lock().unwrap();
    let error = told.first().unwrap();
    assert_eq!(error.code(), ErrorCode::CacheDatabaseFailed);
    assert!(error.message().contains("127.0.0.1:1") && !format!("{told:?}").contains("secret"), "{told:?}");
}
