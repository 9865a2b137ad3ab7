//! A private `redis-server` for one test file.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use super::TemporaryDirectory;
use crate::{
    connection::{ConnectionOptions, Secret, TlsOptions},
    embedded::Embedded,
};

/// A server that does not answer within this time did not start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Others may take a free port between its choice and its use.
const START_ATTEMPTS: usize = 5;

/// A server on a free port of the loopback interface, without persistence, killed on drop.
///
/// The binary is `redis-server` of the `PATH`, or what the environment variable `OXCART_TEST_REDIS_SERVER` names.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    process: Option<Child>,
    setup: RedisServerBuilder,
    directory: TemporaryDirectory,
    /// What stands in for the process when [`ENGINE_VARIABLE`] says so. Holds the data between two links.
    memory: Option<Embedded>,
}

/// How a server is started. Made by [`RedisServer::builder`].
#[expect(clippy::struct_excessive_bools, reason = "one for each switch")]
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    process: bool,
    arguments: Vec<String>,
    password: Option<String>,
    tls: bool,
    persistent: bool,
    quick: bool,
}

impl RedisServerBuilder {
    /// A process with a socket, also where suites run on the engine in this process.
    #[must_use]
    pub fn process(mut self) -> Self {
        self.process = true;
        self
    }

    /// Adds arguments such as `["--maxmemory", "10mb"]`.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets `requirepass`.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Speaks TLS only, with certificates made for this server ([`RedisServer::ca_pem`]).
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Writes an append-only file, so that a restart finds the data again.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Does not wait, here and on restart, until the server answers.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.quick = true;
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When there is no server to start, or it does not answer.
    pub fn start(self) -> RedisServer {
        let directory = TemporaryDirectory::new();
        if self.tls {
            make_certificates(&directory);
        }
        let mut server = RedisServer { port: 0, process: None, setup: self, directory, memory: None };
        for _ in 0..START_ATTEMPTS {
            if !server.setup.process && std::env::var_os(ENGINE_VARIABLE).is_some_and(|engine| engine == "memory") {
                static NEXT: AtomicU16 = AtomicU16::new(1);
                server.port = NEXT.fetch_add(1, Ordering::Relaxed);
                server.memory = Some(Embedded::named(&engine_name(server.port)));
                return server;
            }
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        panic!("redis-server does not start:\n{}", server.log());
    }
}

impl RedisServer {
    /// A server with default settings.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:port`, or `rediss://localhost:port`; with the password where there is one.
    pub fn url(&self) -> String {
        let user = self.setup.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        let (scheme, host) = if self.setup.tls { ("rediss", "localhost") } else { ("redis", "127.0.0.1") };
        format!("{scheme}://{user}{host}:{}", self.port)
    }

    /// Options that reach the server, with its password and certificate authority.
    pub fn options(&self) -> ConnectionOptions {
        if self.memory.is_some() {
            return ConnectionOptions::memory(engine_name(self.port));
        }
        let mut options = ConnectionOptions::tcp("127.0.0.1", self.port);
        options.password = self.setup.password.clone().map(Secret);
        if self.setup.tls {
            options.tls = Some(TlsOptions { ca: Some(self.ca_pem()), ..TlsOptions::default() });
        }
        options
    }

    /// Its Unix socket, which it always has.
    pub fn socket_path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// The authority that signed its certificate.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.directory.path().join("ca.crt")).expect("the server was built with tls()")
    }

    /// A client certificate and its key, signed by the same authority.
    pub fn client_pem(&self) -> (String, String) {
        let read = |name: &str| fs::read_to_string(self.directory.path().join(name)).expect("built with tls()");
        (read("server.crt"), read("server.key"))
    }

    /// Kills it without a chance to say goodbye (`SIGKILL`).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "redis-server does not start again:\n{}", self.log());
    }

    /// Stops it from answering while its sockets stay open, until [`RedisServer::go_on`].
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().expect("the server runs").id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("`kill` runs");
        assert!(status.success(), "kill {signal} failed");
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Sends a command in plain text over a connection of its own and gives back the beginning of the answer, as it
    /// came. Independent of the code under test.
    ///
    /// # Panics
    /// When the server is not there.
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("the server answers")
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        #[cfg(unix)]
        let mut stream = std::os::unix::net::UnixStream::connect(self.socket_path())?;
        #[cfg(not(unix))]
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let login = self.setup.password.as_ref().map_or_else(String::new, |password| format!("AUTH {password}\r\n"));
        // QUIT makes the end of the answer visible.
        stream.write_all(format!("{login}{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let answer = if login.is_empty() { &answer } else { answer.strip_prefix("+OK\r\n").unwrap_or(&answer) };
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(answer).to_owned())
    }

    fn try_start(&mut self) -> bool {
        let binary = std::env::var("OXCART_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let file = |name: &str| self.directory.path().join(name).to_string_lossy().into_owned();
        let mut command = Command::new(&binary);
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir", &file("")]);
        command.args(["--logfile", &file("log"), "--unixsocket", &file("s")]);
        command.args(["--appendonly", if self.setup.persistent { "yes" } else { "no" }]);
        let port = self.port.to_string();
        if self.setup.tls {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "optional"]);
            command.args(["--tls-cert-file", &file("server.crt"), "--tls-key-file", &file("server.key")]);
            command.args(["--tls-ca-cert-file", &file("ca.crt")]);
        } else {
            command.args(["--port", &port]);
        }
        if let Some(password) = &self.setup.password {
            command.args(["--requirepass", password]);
        }
        command.args(&self.setup.arguments);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.unwrap_or_else(|error| panic!("{binary} does not run: {error}")));
        self.answers()
    }

    /// Waits until the server listens and answers; false when it ended instead.
    #[expect(clippy::disallowed_methods, reason = "a process that starts gives no signal to wait for")]
    fn answers(&mut self) -> bool {
        let limit = Instant::now() + START_LIMIT;
        while Instant::now() < limit {
            let ended = self.process.as_mut().is_none_or(|process| process.try_wait().is_ok_and(|end| end.is_some()));
            if ended {
                return false;
            }
            let listening = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            #[cfg(unix)]
            let listening = listening && std::os::unix::net::UnixStream::connect(self.socket_path()).is_ok();
            if listening && (self.setup.quick || self.try_ask("PING").is_ok_and(|answer| !answer.contains("LOADING"))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `memory` runs the suites on the engine in this process instead of a server. Suites that break a server, or look at its
/// sockets, need one all the same.
const ENGINE_VARIABLE: &str = "OXCART_TEST_ENGINE";

fn engine_name(port: u16) -> String {
    format!("test-{port}")
}

/// A port that nobody listens on at the moment.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// An authority, and a certificate for `localhost` and 127.0.0.1 that it signed.
fn make_certificates(directory: &TemporaryDirectory) {
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl").current_dir(directory.path()).args(arguments).output();
        let output = output.expect("`openssl` runs");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    };
    let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    fs::write(directory.path().join("extensions"), extensions).expect("the directory is writable");
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=oxcart test", "-keyout", "ca.key", "-out", "ca.crt"];
    run(&[&authority[..], &curve[..]].concat());
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    run(&[&request[..], &curve[..]].concat());
    run(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "extensions",
        "-out",
        "server.crt",
    ]);
}
