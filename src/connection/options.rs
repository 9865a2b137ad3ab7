//! Where a server is and how to treat it: [`ConnectionOptions`], what every service's `RedisConfig` becomes.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::link::BoxFuture;
use crate::embedded::{Fsync, JournalOptions};

/// Decides how long to wait before the next attempt to connect.
pub trait RetryStrategy: Send + Sync + 'static {
    /// `times` counts, from 1, what failed since a connection last lived for five seconds: attempts, and connections
    /// that broke. `None` gives up for ever.
    fn delay(&self, times: u32) -> BoxFuture<'_, Option<Duration>>;
}

/// Text that never appears in a log line or message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    Unix {
        path: PathBuf,
    },
    /// Nowhere: the engine of this name in this process.
    Memory {
        name: String,
    },
    /// The engine that keeps its data in this directory: in this process, or in another one of this machine.
    File {
        directory: PathBuf,
        journal: FileOptions,
    },
}

/// How the file behind a `file:` URL is kept, as far as somebody said so; see [`JournalOptions`] for the defaults. What the
/// one says who opens it first holds for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    pub fsync: Option<Fsync>,
    pub rewrite_min_size: Option<u64>,
    pub rewrite_percentage: Option<u32>,
}

impl FileOptions {
    /// The same with the defaults where nothing was said.
    pub fn journal(&self) -> JournalOptions {
        let default = JournalOptions::default();
        JournalOptions {
            fsync: self.fsync.unwrap_or(default.fsync),
            rewrite_min_size: self.rewrite_min_size.unwrap_or(default.rewrite_min_size),
            rewrite_percentage: self.rewrite_percentage.unwrap_or(default.rewrite_percentage),
        }
    }
}

/// How TLS is spoken. All texts are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Whether the server's certificate is checked. Default true.
    pub reject_unauthorized: bool,
    /// Authorities to trust instead of the system's.
    pub ca: Option<String>,
    /// The client's certificate chain.
    pub cert: Option<String>,
    /// The client's private key.
    pub key: Option<Secret>,
    /// The name that the server's certificate must carry; default the host.
    pub server_name: Option<String>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { reject_unauthorized: true, ca: None, cert: None, key: None, server_name: None }
    }
}

/// What a service keeps in a database of its own. The discriminant is the default number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseRole {
    Cache,
    Session,
    RateLimit,
    TokenBlacklist,
    Queue,
    Pubsub,
    FeatureFlags,
    Analytics,
    Temp,
    Test,
}

impl DatabaseRole {
    /// How many there are.
    pub(super) const COUNT: usize = 10;
}

/// Options of a connection to one server, validated.
///
/// Made by [`ConnectionOptions::from_json`] from what a user wrote, or by [`ConnectionOptions::tcp`] and its like; the
/// fields may be changed until a link is opened. `Debug` shows no credential.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    pub address: Address,
    /// `None` speaks plain text.
    pub tls: Option<TlsOptions>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// Database number, 0 to 15. `None`: nobody chose one, so a [`DatabaseRole`] takes its own and others take 0.
    pub db: Option<u8>,
    /// Numbers that the user gave to roles.
    pub databases: [Option<u8>; DatabaseRole::COUNT],
    /// After how many failed attempts to connect a waiting command gets `MaxRetriesReached`. Default 20; 0 and 1 both
    /// mean the first one, 0 also fails commands in flight when the connection breaks instead of resending those that
    /// may be. `None` waits up to the command's deadline.
    pub max_retries_per_request: Option<u32>,
    /// Whether the link waits until the server has loaded its data. Default true.
    pub ready_check: bool,
    /// Whether commands wait while there is no connection. Default true; else they get `Offline` at once.
    pub offline_queue: bool,
    /// Bytes of commands that may wait, for a connection or for the socket. Default 64 MiB.
    pub max_offline_queue_bytes: usize,
    /// Until the handshake is done, loading apart. Default 10 s.
    pub connect_timeout: Duration,
    /// Deadline of a command that has none of its own, the wait for a connection included. Default 5 s.
    pub command_timeout: Duration,
    /// Idle time after which TCP and a `PING` check that the peer is there. Default 30 s; `None` never checks.
    pub keep_alive: Option<Duration>,
    /// `CLIENT SETNAME` on every connection.
    pub connection_name: Option<String>,
    /// In front of every key. Applied where commands are encoded, not here.
    pub key_prefix: String,
    /// Instead of the default backoff.
    pub retry_strategy: Option<Arc<dyn RetryStrategy>>,
    /// The server is to remember what this link reads ([`Link::follow_changes`](super::Link::follow_changes)): it is shared
    /// with the likes only, because that costs the server time and memory for every key.
    pub tracked: bool,
}

impl ConnectionOptions {
    pub(super) fn at(address: Address) -> Self {
        Self {
            address,
            tls: None,
            username: None,
            password: None,
            db: None,
            databases: [None; DatabaseRole::COUNT],
            max_retries_per_request: Some(20),
            ready_check: true,
            offline_queue: true,
            max_offline_queue_bytes: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            keep_alive: Some(Duration::from_secs(30)),
            connection_name: None,
            key_prefix: String::new(),
            retry_strategy: None,
            tracked: false,
        }
    }

    /// Defaults for a server at `host`:`port`.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::at(Address::Tcp { host: host.into(), port })
    }

    /// Defaults for a server on a Unix socket.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Unix { path: path.into() })
    }

    /// Defaults for the engine of this name in this process, which all who name it share.
    pub fn memory(name: impl Into<String>) -> Self {
        Self::at(Address::Memory { name: name.into() })
    }

    /// Defaults for the engine that keeps its data in `directory`.
    pub fn file(directory: impl Into<PathBuf>) -> Self {
        Self::at(Address::File { directory: directory.into(), journal: FileOptions::default() })
    }

    /// These options with the database of `role`: the number given in `databases`, else the number given as `db` or in
    /// the URL, else the role's default number.
    #[must_use]
    pub fn with_role(mut self, role: DatabaseRole) -> Self {
        self.db = self.databases[role as usize].or(self.db).or(Some(role as u8));
        self
    }

    /// Host and port, or path, and database. For messages; never a credential.
    pub fn describe(&self) -> String {
        let db = self.db.unwrap_or(0);
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}/{db}"),
            Address::Tcp { host, port } => format!("{host}:{port}/{db}"),
            Address::Unix { path } => format!("{}/{db}", path.display()),
            Address::Memory { name } => format!("memory://{name}/{db}"),
            Address::File { directory, .. } => format!("file:{}?db={db}", directory.display()),
        }
    }

    /// Whether one link can serve both: everything but what is applied in front of the link is the same.
    pub(super) fn same_link(&self, other: &Self) -> bool {
        let strategy = match (&self.retry_strategy, &other.retry_strategy) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        strategy
            && self.address == other.address
            && self.tls == other.tls
            && self.username == other.username
            && self.password == other.password
            && self.db.unwrap_or(0) == other.db.unwrap_or(0)
            && self.max_retries_per_request == other.max_retries_per_request
            && self.ready_check == other.ready_check
            && self.offline_queue == other.offline_queue
            && self.max_offline_queue_bytes == other.max_offline_queue_bytes
            && self.connect_timeout == other.connect_timeout
            && self.command_timeout == other.command_timeout
            && self.keep_alive == other.keep_alive
            && self.connection_name == other.connection_name
            && self.tracked == other.tracked
    }
}

impl fmt::Debug for dyn RetryStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryStrategy")
    }
}
