//! A private PostgreSQL for one test file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::TemporaryDirectory;

/// A server that does not answer within this time did not start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Who it runs as where tests run as root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// A server with a cluster of its own that listens on a Unix socket only; stopped on drop.
///
/// The binaries are those that Debian and its like install, or those in the folder that `OXCART_TEST_POSTGRES_BIN` names.
#[derive(Debug)]
pub struct PostgresServer {
    directory: TemporaryDirectory,
    binaries: PathBuf,
    process: Option<Child>,
}

impl PostgresServer {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When there is no server to start, or it does not answer.
    pub fn start() -> Self {
        let directory = TemporaryDirectory::new();
        let mut server = Self { directory, binaries: binaries(), process: None };
        if is_root() {
            let owned = Command::new("chown").arg(USER).arg(server.directory.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "there is a user {USER} for PostgreSQL");
        }
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=oxcart", "--encoding=UTF8", "--no-locale", "-D"])
            .arg(server.data())
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.restart();
        server
    }

    /// Of its database, for `level3.url`.
    pub fn url(&self) -> String {
        let host = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgres://oxcart@localhost:5432/postgres?host={host}")
    }

    /// Ends all of its processes at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
            // The others notice that the first one is gone, and must be, too, before a new one may start.
            let limit = Instant::now() + START_LIMIT;
            while Instant::now() < limit && self.try_ask("SELECT 1").is_some() {
                std::thread::yield_now();
            }
        }
    }

    /// Starts it again after [`kill`](Self::kill).
    ///
    /// # Panics
    /// When it does not answer.
    pub fn restart(&mut self) {
        let limit = Instant::now() + START_LIMIT;
        while Instant::now() < limit {
            let log = fs::File::create(self.directory.path().join("log")).expect("the directory is writable");
            let started = self
                .command("postgres")
                .args(["-F", "-c", "listen_addresses=", "-c", "port=5432", "-c"])
                .arg(format!("unix_socket_directories={}", self.directory.path().display()))
                .arg("-D")
                .arg(self.data())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            self.process = Some(started.expect("postgres can be run"));
            // Memory of one that was killed may still be in use: then it ends at once, and is started again.
            while Instant::now() < limit
                && self.process.as_mut().is_some_and(|it| it.try_wait().is_ok_and(|it| it.is_none()))
            {
                if self.try_ask("SELECT 1").is_some() {
                    return;
                }
                wait(Duration::from_millis(50));
            }
        }
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        panic!("postgres does not start:\n{log}");
    }

    /// What a statement gives, as text.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn ask(&self, sql: &str) -> String {
        self.try_ask(sql).expect("the server takes the statement")
    }

    fn try_ask(&self, sql: &str) -> Option<String> {
        let asked = Command::new(self.binaries.join("psql"))
            .args(["-X", "-A", "-t", "-q", "-U", "oxcart", "-d", "postgres", "-p", "5432", "-h"])
            .arg(self.directory.path())
            .args(["-c", sql])
            .output()
            .ok()?;
        asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn wait(pause: Duration) {
    // Outside of any runtime, and not for long.
    std::thread::park_timeout(pause);
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("OXCART_TEST_POSTGRES_BIN") {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> =
        versions.map(|version| version.path().join("bin")).filter(|bin| has_postgres(bin)).collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed below /usr/lib/postgresql, or OXCART_TEST_POSTGRES_BIN says where")
}

fn has_postgres(bin: &Path) -> bool {
    bin.join("initdb").exists() && bin.join("postgres").exists()
}
