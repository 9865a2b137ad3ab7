//! The engine in this process behind a socket: as raw bytes, and beside a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::too_many_lines, reason = "a table of cases is as long as its cases are many")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    time::{Duration, Instant},
};

use oxcart::{
    clock::Clock,
    embedded::{Embedded, Listener},
    testing::{RedisServer, TemporaryDirectory},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn engine() -> (Embedded, Listener, u16) {
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let port = listener.port().unwrap();
    (engine, listener, port)
}

struct Client<S>(S);

fn tcp(port: u16) -> Client<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Client(socket)
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn line(text: &str) -> Vec<u8> {
    request(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

impl<S: Read + Write> Client<S> {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, wanted: &str) {
        let mut got = vec![0; wanted.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.0.read(&mut got[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => panic!("{error}; so far {:?}", String::from_utf8_lossy(&got[..filled])),
            }
        }
        assert_eq!(String::from_utf8_lossy(&got[..filled]), wanted);
    }

    #[track_caller]
    fn ask(&mut self, command: &str, wanted: &str) {
        self.send(&line(command));
        self.expect(wanted);
    }

    /// Everything up to the end of the connection.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset counts as an end.
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[test]
fn speaks_both_protocols() {
    let (_engine, _listener, port) = engine();
    let mut client = tcp(port);
    client.ask("SET a 1", "+OK\r\n");
    client.ask("GET missing", "$-1\r\n");
    client.ask("HSET h f v", ":1\r\n");
    client.ask("HGETALL h", "*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    client.ask("ZADD z 1.5 m", ":1\r\n");
    client.ask("ZSCORE z m", "$3\r\n1.5\r\n");
    client.ask("NOPE x", "-ERR unknown command 'NOPE', with args beginning with: 'x' \r\n");
    client.send(&line("HELLO 3"));
    client.expect("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n");
    client.send(&line("ECHO done"));
    let mut seen = String::new();
    while !seen.ends_with("$4\r\ndone\r\n") {
        let mut piece = [0; 256];
        let count = client.0.read(&mut piece).unwrap();
        seen.push_str(std::str::from_utf8(&piece[..count]).unwrap());
    }
    client.ask("GET missing", "_\r\n");
    client.ask("HGETALL h", "%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
    client.ask("ZSCORE z m", ",1.5\r\n");
    client.ask("RESET", "+RESET\r\n");
    client.ask("GET missing", "$-1\r\n");
    client.send(&line("QUIT"));
    assert_eq!(client.rest(), "+OK\r\n");
}

#[test]
fn runs_pipelines_in_order_and_lines_from_a_terminal() {
    let (_engine, _listener, port) = engine();
    let mut client = tcp(port);
    let (mut bytes, mut wanted) = (Vec::new(), String::new());
    for number in 1..=20_000 {
        bytes.extend(line("INCR n"));
        wanted.extend([":", &number.to_string(), "\r\n"]);
    }
    let mut writer = client.0.try_clone().unwrap();
    let sending = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    client.expect(&wanted);
    sending.join().unwrap();
    client.send(b"SET 'a b' \"c\\x41\"\r\nGET \"a b\"\n\r\nPING\r\n");
    client.expect("+OK\r\n$2\r\ncA\r\n+PONG\r\n");

    let big = vec![b'x'; 5_000_000];
    client.send(&request(&[b"SET", b"big", &big]));
    client.expect("+OK\r\n");
    client.ask("STRLEN big", ":5000000\r\n");
    client.send(&line("GET big"));
    client.expect(&format!("$5000000\r\n{}\r\n", "x".repeat(5_000_000)));
}

#[test]
fn ends_the_connection_on_what_is_no_request() {
    let (_engine, _listener, port) = engine();
    for (bytes, reply) in [
        (&b"*1\r\n:5\r\n"[..], "-ERR Protocol error: expected an array of bulk strings\r\n"),
        (b"*-5\r\n", "-ERR Protocol error: invalid multibulk request\r\n"),
        (b"*1\r\n$-7\r\n", "-ERR Protocol error: invalid multibulk request\r\n"),
        (b"GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
    ] {
        let mut client = tcp(port);
        client.send(bytes);
        assert_eq!(client.rest(), reply, "{}", bytes.escape_ascii());
    }
    tcp(port).ask("PING", "+PONG\r\n");
}

#[test]
fn delivers_messages_in_both_protocols() {
    let (_engine, _listener, port) = engine();
    let (mut two, mut three, mut publisher) = (tcp(port), tcp(port), tcp(port));
    two.ask("SUBSCRIBE a b", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    three.send(&line("HELLO 3"));
    three.send(&line("PSUBSCRIBE *"));
    let mut seen = String::new();
    while !seen.ends_with(">3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n") {
        let mut piece = [0; 1];
        three.0.read_exact(&mut piece).unwrap();
        seen.push(char::from(piece[0]));
    }
    publisher.ask("PUBLISH a hi", ":2\r\n");
    two.expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    three.expect(">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nhi\r\n");
    two.ask(
        "GET a",
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
         context\r\n",
    );
    three.ask("GET a", "_\r\n");
    two.ask(
        "UNSUBSCRIBE",
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n",
    );
    two.ask("GET a", "$-1\r\n");
    drop(three);
    // The engine hears of it when the socket closes.
    let started = Instant::now();
    loop {
        publisher.send(&line("PUBLISH a hi"));
        let mut reply = [0; 4];
        publisher.0.read_exact(&mut reply).unwrap();
        if &reply == b":0\r\n" {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
}

#[test]
fn a_client_that_waits_is_not_overtaken_and_takes_nothing_once_gone() {
    let (_engine, _listener, port) = engine();
    let (mut waiting, mut pusher) = (tcp(port), tcp(port));
    let mut both = line("BLPOP list 0");
    both.extend(line("ECHO after"));
    waiting.send(&both);
    waiting.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let early = waiting.0.read(&mut [0; 8]).unwrap_err();
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    waiting.0.set_read_timeout(Some(PATIENCE)).unwrap();
    pusher.ask("RPUSH list x", ":1\r\n");
    waiting.expect("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n$5\r\nafter\r\n");

    waiting.ask("BLPOP list 0.05", "*-1\r\n");

    waiting.send(&line("BLPOP list 0"));
    blocked(&mut pusher, 1);
    drop(waiting);
    blocked(&mut pusher, 0);
    pusher.ask("RPUSH list y", ":1\r\n");
    pusher.ask("LLEN list", ":1\r\n");
}

/// Waits until this many clients wait.
fn blocked(client: &mut Client<TcpStream>, count: usize) {
    let started = Instant::now();
    loop {
        client.send(&line("INFO clients"));
        let mut seen = String::new();
        while !seen.contains("blocked_clients:") || !seen.ends_with("\r\n\r\n") {
            let mut piece = [0; 512];
            let length = client.0.read(&mut piece).unwrap();
            seen.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        if seen.contains(&format!("blocked_clients:{count}\r\n")) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{seen}");
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_given_up() {
    let (_engine, _listener, port) = engine();
    let (mut slow, mut publisher) = (tcp(port), tcp(port));
    slow.ask("SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let message = vec![b'm'; 1_000_000];
    let started = Instant::now();
    let receivers = |publisher: &mut Client<TcpStream>| {
        publisher.send(&request(&[b"PUBLISH", b"a", &message]));
        let mut reply = [0; 4];
        publisher.0.read_exact(&mut reply).unwrap();
        reply
    };
    while receivers(&mut publisher) != *b":0\r\n" {
        assert!(started.elapsed() < PATIENCE, "the engine keeps everything for a client that reads nothing");
    }
    publisher.ask("PING", "+PONG\r\n");
}

#[test]
fn listens_on_a_socket_of_its_owner_and_cleans_up() {
    let directory = TemporaryDirectory::new();
    let path = directory.path().join("engine.sock");
    let engine = Embedded::private(Clock::system());
    let listener = Listener::unix(&engine, &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Listener::unix(&engine, &path).is_err(), "a path in use is refused");
    let socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client(socket);
    client.ask("SET a 1", "+OK\r\n");
    drop(listener);
    assert_eq!(client.rest(), "", "clients end with the listener");
    assert!(!path.exists());

    // The engine and its data go on.
    let again = Listener::unix(&engine, &path).unwrap();
    let socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Client(socket).ask("GET a", "$1\r\n1\r\n");
    drop(again);
}

/// The same bytes to both, and the same bytes back.
#[test]
fn answers_byte_for_byte_as_redis_does() {
    let server = RedisServer::start();
    let (_engine, _listener, port) = engine();
    let script = "EVAL|return {1,'a',false,{ok='x'},{err='MY e'},redis.call('get',KEYS[1]),ARGV[1]}|1|s|v";
    let commands: Vec<Vec<u8>> = [
        "PING",
        "ECHO hello",
        "SET s v",
        "GET s",
        "GET missing",
        "SET s",
        "MULTI",
        "SET t 1",
        "INCR t",
        "GET s",
        "EXEC",
        "MULTI",
        "NOPE",
        "EXEC",
        "EXEC",
        "WATCH s",
        "SET s w",
        "MULTI",
        "GET s",
        "EXEC",
        "LPUSH s 1",
        "RPUSH l a b c",
        "LRANGE l 0 -1",
        "LPOP l 2",
        "LPOP missing",
        "LPOP missing 2",
        "BLPOP missing 0.01",
        "HSET h a 1 b 2",
        "HGETALL h",
        "HMGET h a x",
        "HRANDFIELD missing 2",
        "ZADD z 1 a 2.5 b",
        "ZRANGE z 0 -1 WITHSCORES",
        "ZSCORE z b",
        "ZPOPMIN z",
        "BZPOPMIN z 0.01",
        "BZPOPMIN z 0.01",
        "XADD x 1-1 f v",
        "XRANGE x - +",
        "XREAD STREAMS x 5",
        "XREAD BLOCK 10 STREAMS x 5",
        "TYPE x",
        "TTL s",
        "EXPIRE s 100",
        "SELECT 99",
        "SELECT 1",
        "GET s",
        "SELECT 0",
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
        "SCRIPT EXISTS x",
        "CLIENT GETNAME",
        "CLIENT SETNAME n",
        "CLIENT GETNAME",
        "SUBSCRIBE c",
        "PING",
        "UNSUBSCRIBE c",
        "DBSIZE",
        "LPOP m 2",
        "SRANDMEMBER m",
        "SRANDMEMBER m 2",
        "SPOP m",
        "HRANDFIELD m",
        "ZRANDMEMBER m",
        "ZPOPMIN m",
        "ZMPOP 1 m MIN",
        "LMPOP 1 m LEFT",
        "BLMOVE m n LEFT LEFT 0.01",
        "BRPOPLPUSH m n 0.01",
        "BLMPOP 0.01 1 m LEFT",
        "BZMPOP 0.01 1 m MIN",
        "ZRANK m a",
        "LPOS m a",
        "OBJECT ENCODING m",
        "XRANGE m - +",
        "GETEX m",
        "GETDEL m",
        "RPOPLPUSH m n",
        "LMOVE m n LEFT LEFT",
        "ZSCORE m a",
        "ZMSCORE m a b",
        "HGET m f",
        "LINDEX m 0",
        "SET m v GET",
    ]
    .iter()
    .map(|text| line(text))
    .chain([request(&script.split('|').map(str::as_bytes).collect::<Vec<_>>())])
    .collect();
    for protocol in ["2", "3"] {
        let (mut here, mut there) = (tcp(port), tcp(server.port()));
        // Replies are told apart by a mark after each command.
        for client in [&mut here, &mut there] {
            client.send(&line(&format!("HELLO {protocol}")));
            client.send(&line("FLUSHALL"));
            client.send(&line("PING #start#"));
            client.until("#start#");
        }
        for (number, command) in commands.iter().enumerate() {
            // Another one each time: what a transaction queues comes back with it.
            let mark = format!("#{number}#");
            let replies = [&mut here, &mut there].map(|client| {
                client.send(command);
                client.send(&line(&format!("PING {mark}")));
                client.until(&mark)
            });
            let shown = String::from_utf8_lossy(command).replace("\r\n", " ");
            assert_eq!(replies[0], replies[1], "RESP{protocol}: {shown}");
        }
    }
}

impl Client<TcpStream> {
    /// Reads up to the reply that ends with the mark: a bulk string, or in a transaction `QUEUED`.
    fn until(&mut self, mark: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = self.0.read(&mut piece).unwrap();
            assert!(count > 0, "the connection ended after {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            let queued = text.ends_with("+QUEUED\r\n") && text.matches("\r\n").count() == 2;
            if text.ends_with(&format!("{mark}\r\n")) || queued {
                return text;
            }
        }
    }
}
