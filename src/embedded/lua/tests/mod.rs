//! Scripts run here and by a real Redis, side by side.

#![allow(clippy::too_many_lines, reason = "a table of scripts is as long as its cases are many")]

mod bounds;
mod differential;
mod modules;
mod patterns;
mod random_values;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{LuaRuntime, ScriptHost, runtime::Limits};
use crate::{
    codec::resp::{FrameScanner, Value, parse},
    connection::Command,
    error::Error,
    testing::RedisServer,
};

/// A blocking connection in RESP3.
struct Client {
    socket: TcpStream,
}

impl Client {
    fn connect(server: &RedisServer, database: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self { socket };
        client.ask(&[b"HELLO", b"3"]);
        client.ask(&[b"SELECT", database.as_bytes()]);
        client
    }

    fn ask(&mut self, args: &[&[u8]]) -> Value {
        let mut request = Vec::new();
        args.iter().fold(Command::default(), Command::arg).encode(&mut request);
        self.socket.write_all(&request).unwrap();
        let (mut frame, mut scanner, mut piece) = (Vec::new(), FrameScanner::default(), [0; 16_384]);
        loop {
            let count = self.socket.read(&mut piece).unwrap();
            assert!(count > 0, "the server is gone");
            frame.extend_from_slice(&piece[..count]);
            if let Some(length) = scanner.scan(&frame).unwrap() {
                return parse(&frame[..length]).unwrap().to_value();
            }
        }
    }
}

/// Answers the commands of scripts by asking a server, and with the errors that only scripts see.
struct ServerHost {
    client: Client,
    logged: Vec<(u8, Vec<u8>)>,
}

impl ScriptHost for ServerHost {
    fn call(&mut self, args: &[&[u8]]) -> Value {
        let reply = self.client.ask(args);
        let Value::Error(error) = &reply else { return reply };
        let text = if error.message().starts_with("ERR unknown command") {
            "ERR Unknown Redis command called from script"
        } else if error.message().starts_with("ERR wrong number of arguments") {
            "ERR Wrong number of args calling Redis command from script"
        } else {
            return reply;
        };
        Value::Error(Error::from_reply(text))
    }

    fn set_protocol(&mut self, version: u8) {
        self.client.ask(&[b"HELLO", version.to_string().as_bytes()]);
    }

    fn log(&mut self, level: u8, message: &[u8]) {
        self.logged.push((level, message.to_vec()));
    }

    fn knows(&self, name: &[u8]) -> bool {
        name != b"nope"
    }
}

/// One server, asked directly in one database, and through our Lua in another.
struct Pair {
    redis: Client,
    host: ServerHost,
    runtime: LuaRuntime,
    _server: RedisServer,
}

impl Pair {
    fn start() -> Self {
        let server = RedisServer::start();
        let host = ServerHost { client: Client::connect(&server, "1"), logged: Vec::new() };
        // Debug builds are slow; the time limit has a test of its own.
        let limits = Limits { time: Duration::from_secs(60), ..Limits::default() };
        Self { redis: Client::connect(&server, "0"), host, runtime: LuaRuntime::new(limits), _server: server }
    }

    fn there(&mut self, script: &[u8], keys: &[&[u8]], args: &[&[u8]]) -> Value {
        let count = keys.len().to_string();
        let mut request: Vec<&[u8]> = vec![b"EVAL", script, count.as_bytes()];
        request.extend_from_slice(keys);
        request.extend_from_slice(args);
        self.redis.ask(&request)
    }

    fn here(&mut self, script: &[u8], keys: &[&[u8]], args: &[&[u8]]) -> Value {
        // Each script starts with protocol 2, whatever the last one chose.
        self.host.client.ask(&[b"HELLO", b"2"]);
        match self.runtime.load_transient(script) {
            Ok(hash) => self.runtime.run(&hash, keys, args, &mut self.host),
            Err(error) => Value::Error(error),
        }
    }

    /// Runs each script on both sides; panics with all that differ.
    fn compare_all<T: AsRef<[u8]>>(&mut self, scripts: impl IntoIterator<Item = T>) {
        let mut differences = String::new();
        for script in scripts {
            let script = script.as_ref();
            let there = normal(self.there(script, &[b"k1", b"k2"], &[b"a1", b"\xff\x00z", b"3"]));
            let here = normal(self.here(script, &[b"k1", b"k2"], &[b"a1", b"\xff\x00z", b"3"]));
            if there != here {
                let script = String::from_utf8_lossy(script);
                let (there, here) = (show(&there), show(&here));
                differences.extend(["\n", &*script, "\n  redis: ", &there, "\n  here:  ", &here, "\n"]);
            }
        }
        assert!(differences.is_empty(), "{differences}");
    }
}

/// Doubles as numbers, because 7.0 writes 17 digits where later versions write the fewest.
fn normal(value: Value) -> Value {
    let all = |items: Vec<Value>| items.into_iter().map(normal).collect();
    match value {
        Value::Double(text) => Value::Double(format!("{:?}", text.parse::<f64>())),
        Value::Array(items) => Value::Array(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        Value::Map(pairs) => Value::Map(pairs.into_iter().map(|(key, value)| (normal(key), normal(value))).collect()),
        other => other,
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}
