//! What clients are told without asking: changed keys that they have read, events of keys, messages. The same scenes
//! are played to the engine in this process and to a real server, and every client must be sent the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use oxcart::{
    clock::Clock,
    embedded::{Embedded, Listener},
    testing::RedisServer,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client.
struct Client {
    socket: TcpStream,
    id: String,
    seen: String,
}

/// Clients of one engine.
struct Stage {
    port: u16,
    clients: Vec<Client>,
    syncs: u32,
}

impl Stage {
    fn new(port: u16) -> Self {
        Self { port, clients: Vec::new(), syncs: 0 }
    }

    fn client(&mut self, number: usize) -> &mut Client {
        while self.clients.len() <= number {
            let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut client = Client { socket, id: String::new(), seen: String::new() };
            client.send("CLIENT ID");
            let id = client.read_until(|seen| seen.ends_with("\r\n"));
            id.trim_matches([':', '\r', '\n']).clone_into(&mut client.id);
            self.clients.push(client);
        }
        &mut self.clients[number]
    }

    /// Plays `number: command`, where `@2` stands for the id of client 2, and gives what every client was sent.
    fn play(&mut self, line: &str) -> String {
        let (number, command) = line.split_once(": ").unwrap();
        let words: Vec<String> = command
            .split(' ')
            .map(|word| match word.strip_prefix('@') {
                Some(other) => self.client(other.parse().unwrap()).id.clone(),
                None => word.to_owned(),
            })
            .collect();
        self.client(number.parse().unwrap()).send(&words.join(" "));
        let names_ids = command.contains("REDIR") || command.contains("TRACKINGINFO");
        let ids: Vec<_> = self.clients.iter().filter(|_| names_ids).map(|client| client.id.clone()).collect();
        let mut told = String::new();
        self.syncs += 1;
        // The one who asked first: what others are told arose from that.
        let asked: usize = number.parse().unwrap();
        let mut order: Vec<usize> = (0..self.clients.len()).collect();
        order.sort_by_key(|&client| client != asked);
        for client in order {
            let mark = format!("sync-{}\r\n", self.syncs);
            let client_at = &mut self.clients[client];
            client_at.send(&format!("PING {}", mark.trim_end()));
            let mut seen = client_at.read_until(|seen| seen.ends_with(&mark));
            for (at, id) in ids.iter().enumerate() {
                seen = seen.replace(&format!(":{id}\r\n"), &format!(":@{at}\r\n"));
            }
            if seen.len() > mark.len() + 20 || client == asked {
                let _ = writeln!(told, "{client} {seen:?}");
            }
        }
        told
    }
}

impl Client {
    fn send(&mut self, command: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            let _ = write!(bytes, "${}\r\n{word}\r\n", word.len());
        }
        self.socket.write_all(bytes.as_bytes()).unwrap();
    }

    fn read_until(&mut self, is_enough: impl Fn(&str) -> bool) -> String {
        self.seen.clear();
        while !is_enough(&self.seen) {
            let mut piece = [0; 4096];
            let count = self.socket.read(&mut piece).unwrap_or_else(|error| panic!("{error} after {:?}", self.seen));
            assert!(count > 0, "the connection ended after {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        std::mem::take(&mut self.seen)
    }
}

/// Plays a scene to both engines.
fn compare(scene: &str) {
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let server = RedisServer::builder().process().start();
    let (mut ours, mut theirs) = (Stage::new(listener.port().unwrap()), Stage::new(server.port()));
    for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (here, there) = (ours.play(line), theirs.play(line));
        assert_eq!(here, there, "after `{line}`: here (left), and on a server (right)");
    }
}

#[test]
fn clients_are_told_of_changes_to_what_they_read() {
    // Client 1 reads and is told itself; 2 has client 3 told, in RESP2; 4 writes.
    compare(
        "1: CLIENT TRACKING on
         1: CLIENT TRACKINGINFO
         1: CLIENT GETREDIR
         3: SUBSCRIBE __redis__:invalidate
         2: CLIENT TRACKING on REDIRECT @3 NOLOOP
         2: CLIENT TRACKINGINFO
         2: CLIENT GETREDIR
         4: SET a 1
         1: GET a
         2: GET a
         4: GET a
         4: SET a 2
         4: SET a 3
         2: MGET a b c
         4: DEL a
         4: SET b 1
         2: GET c
         2: SET c own
         2: GET c
         2: EVAL redis.call('set','c',5)return(redis.call('get','c')) 1 c
         4: INCR c
         2: EVAL return(redis.call('get','a')) 1 a
         2: HGETALL h
         4: HSET h f v
         2: LRANGE l 0 -1
         2: LRANGE l 0 -1
         4: RPUSH l x
         4: LPOP l
         2: GET e
         4: SET e 1 PX 1
         2: GET flushed
         4: FLUSHDB
         4: SET flushed 1
         2: CLIENT TRACKING off
         2: CLIENT TRACKINGINFO
         2: GET z
         4: SET z 1
         2: CLIENT TRACKING on REDIRECT 999999
         2: CLIENT TRACKING on REDIRECT x
         2: CLIENT TRACKING maybe
         2: CLIENT TRACKING on NOSUCH
         2: CLIENT TRACKING on REDIRECT
         2: CLIENT TRACKING on REDIRECT @3 REDIRECT @3",
    );
}

#[test]
fn in_resp3_changes_come_as_pushes() {
    let scene = "1: CLIENT TRACKING on
         1: GET a
         2: SET a 1
         1: GET a
         1: SET a 2
         1: MGET a b
         2: RENAME a b
         1: GET db
         2: SELECT 1
         2: SET db 1
         1: GET f
         2: FLUSHALL
         3: CLIENT TRACKING on REDIRECT @1 NOLOOP
         3: GET r
         2: SET r 1
         3: RESET
         3: CLIENT TRACKINGINFO";
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let server = RedisServer::builder().process().start();
    let (mut ours, mut theirs) = (Stage::new(listener.port().unwrap()), Stage::new(server.port()));
    for stage in [&mut ours, &mut theirs] {
        // The greeting names the server's version.
        for number in 0..4 {
            stage.client(number).send("HELLO 3");
        }
        stage.play("0: PING");
    }
    for line in scene.lines().map(str::trim) {
        let (here, there) = (ours.play(line), theirs.play(line));
        assert_eq!(here, there, "after `{line}`: here (left), and on a server (right)");
    }
}

#[test]
fn messages_go_to_channels_patterns_and_shards() {
    compare(
        "1: SUBSCRIBE a b a
         2: PSUBSCRIBE a* ?x
         3: SSUBSCRIBE a s
         4: PUBLISH a m
         4: PUBLISH s m
         4: SPUBLISH a m
         4: SPUBLISH b m
         4: PUBSUB CHANNELS a
         4: PUBSUB CHANNELS [b-z]
         4: PUBSUB NUMSUB a b c
         4: PUBSUB NUMPAT
         4: PUBSUB SHARDCHANNELS s*
         4: PUBSUB SHARDNUMSUB a b
         3: SUBSCRIBE plain
         3: GET a
         3: SUNSUBSCRIBE s
         3: SUNSUBSCRIBE
         3: SUNSUBSCRIBE
         3: UNSUBSCRIBE
         3: GET a
         1: UNSUBSCRIBE b
         1: UNSUBSCRIBE none
         1: UNSUBSCRIBE
         2: PUNSUBSCRIBE ?x
         2: PUNSUBSCRIBE
         2: PUNSUBSCRIBE
         4: PUBLISH a m
         4: PUBSUB CHANNELS
         4: SPUBLISH a m",
    );
}

#[test]
fn events_of_keys_come_as_messages() {
    compare(
        "1: CONFIG SET notify-keyspace-events AKEnm
         1: CONFIG GET notify-keyspace-events
         2: PSUBSCRIBE __key*
         1: SET a 1
         1: SET a 1 EX 100
         1: GET none
         1: LPUSH l x
         1: RPOP l
         1: SADD s m
         1: RENAME s t
         1: COPY t u DB 3
         1: HSET h f v
         1: HDEL h f
         1: XADD x 1-1 f v
         1: EXPIRE a -1
         1: CONFIG SET notify-keyspace-events Kx
         1: SET b 1
         1: CONFIG GET notify-keyspace-events",
    );
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let mut stage = Stage::new(listener.port().unwrap());
    stage.play("0: CONFIG SET notify-keyspace-events Exe");
    stage.play("1: SUBSCRIBE __keyevent@0__:expired __keyevent@0__:evicted");
    // Nobody asks for it again.
    stage.play("0: SET soon 1 PX 30");
    let seen = stage.client(1).read_until(|seen| seen.ends_with("soon\r\n"));
    assert!(seen.contains(":expired"), "{seen}");
    stage.play("0: SET a 1");
    stage.play("0: CONFIG SET maxmemory-policy allkeys-lru");
    let seen = stage.play("0: CONFIG SET maxmemory 1");
    assert!(seen.contains(":evicted"), "{seen}");
}

#[test]
fn a_reader_is_told_of_keys_that_expire_or_give_way_and_of_who_it_was_told_by() {
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let mut stage = Stage::new(listener.port().unwrap());
    for number in 0..3 {
        stage.client(number).send("HELLO 3");
    }
    stage.play("0: PING");
    let invalidation = |key: &str| format!(">2\r\n$10\r\ninvalidate\r\n*1\r\n${}\r\n{key}\r\n", key.len());
    // Nobody asks for it again.
    stage.play("1: CLIENT TRACKING ON");
    stage.play("2: SET gone 1 PX 50");
    stage.play("1: GET gone");
    let seen = stage.client(1).read_until(|seen| seen.ends_with("gone\r\n"));
    assert_eq!(seen, invalidation("gone"));
    // The table of what is remembered is full.
    stage.play("0: CONFIG SET tracking-table-max-keys 2");
    stage.play("1: GET one");
    stage.play("1: GET two");
    let seen = stage.play("1: GET three");
    assert_eq!(seen.matches("invalidate").count(), 1, "{seen}");
    let stats = stage.play("0: INFO stats");
    assert!(stats.contains("tracking_total_keys:2"), "{stats}");
    stage.play("0: CONFIG SET tracking-table-max-keys 1000");
    // Memory runs out.
    stage.play("2: SET large xxxxxxxx");
    stage.play("1: GET large");
    stage.play("0: CONFIG SET maxmemory-policy allkeys-lru");
    let seen = stage.play("0: CONFIG SET maxmemory 1");
    assert!(seen.contains("invalidate") && seen.contains("large"), "{seen}");
    stage.play("0: CONFIG SET maxmemory 0");
    // Who was to be told leaves.
    stage.play("0: CLIENT TRACKING ON REDIRECT @2");
    let id = stage.client(2).id.clone();
    stage.clients.truncate(2);
    let seen = stage.client(0).read_until(|seen| seen.contains("tracking-redir-broken") && seen.ends_with("\r\n"));
    assert_eq!(seen, format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n"));
    assert!(stage.play("0: CLIENT TRACKINGINFO").contains("broken_redirect"));
    // Readers that come and go leave nothing behind.
    for _ in 0..200 {
        let mut passing = Stage::new(listener.port().unwrap());
        passing.play("0: CLIENT TRACKING ON");
        passing.play("0: GET popular");
    }
    let stats = stage.play("1: INFO stats");
    let items = stats.split("tracking_total_items:").nth(1).unwrap();
    let items: u32 = items.split("\\r").next().unwrap().parse().unwrap();
    assert!(items < 20, "{items} readers are remembered");
}
