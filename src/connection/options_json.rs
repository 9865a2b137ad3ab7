//! [`ConnectionOptions`] from the JSON text of a user's `RedisConfig`.
//!
//! Beside a `url`, `host`, `port`, `username`, `password`, `db` and `tls` override what the URL says of them. Without
//! `url` and `host` the environment's `REDIS_URL` is the URL; without that, the engine in this process is meant.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{
    file_url::{FileConfig, merge},
    options::{Address, ConnectionOptions, DatabaseRole, Secret, TlsOptions},
    retry_strategies,
    server_url::ServerUrl,
};
use crate::{
    codec::option_text::read_options_with_secrets,
    error::{Error, Result},
};

/// Databases of a server as `redis.conf` has them by default.
const MAX_DB: u64 = 15;
/// Longest duration: what a timer of JavaScript can hold.
const MAX_MS: u64 = i32::MAX as u64;

/// Options whose value no message may repeat.
const SECRETS: &[&str] = &["password", "url", "username", "tls.key"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedisConfig {
    url: Option<String>,
    host: Option<String>,
    port: Option<u64>,
    username: Option<String>,
    password: Option<String>,
    db: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    max_retries_per_request: Option<Retries>,
    enable_ready_check: Option<bool>,
    enable_offline_queue: Option<bool>,
    max_offline_queue_bytes: Option<u64>,
    connect_timeout: Option<u64>,
    command_timeout: Option<u64>,
    keep_alive: Option<u64>,
    tls: Option<TlsConfig>,
    sentinels: Option<IgnoredAny>,
    name: Option<IgnoredAny>,
    sentinel_password: Option<IgnoredAny>,
    cluster: Option<IgnoredAny>,
    key_prefix: Option<String>,
    connection_name: Option<String>,
    databases: Option<Databases>,
    file: Option<FileConfig>,
    /// The number of a registered strategy, in place of the function that the user wrote.
    retry_strategy: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TlsConfig {
    reject_unauthorized: Option<bool>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    servername: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Databases {
    cache: Option<u64>,
    session: Option<u64>,
    rate_limit: Option<u64>,
    token_blacklist: Option<u64>,
    queue: Option<u64>,
    pubsub: Option<u64>,
    feature_flags: Option<u64>,
    analytics: Option<u64>,
    temp: Option<u64>,
    test: Option<u64>,
}

/// `maxRetriesPerRequest` where it is given: a number, or `null` for no limit.
struct Retries(Option<u32>);

/// Tells `null` from a missing option.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Retries>, D::Error> {
    Option::deserialize(value).map(|number| Some(Retries(number)))
}

impl ConnectionOptions {
    /// Reads and checks the options of one server.
    ///
    /// # Errors
    /// `InvalidOption` with the path of the option. No message repeats a credential.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::from_json_and_environment(json, std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty()))
    }

    fn from_json_and_environment(json: &str, environment: Option<String>) -> Result<Self> {
        let config: RedisConfig = read_options_with_secrets(json, SECRETS)?;
        config.into_options(environment)
    }
}

impl RedisConfig {
    fn into_options(self, environment: Option<String>) -> Result<ConnectionOptions> {
        self.refuse_what_is_not_one_server()?;
        let (mut options, url_has_tls) = self.locate(environment)?;
        if let Some(name) = self.username {
            options.username = Some(name);
        }
        if let Some(password) = self.password {
            options.password = Some(Secret(password));
        }
        if options.username.is_some() && options.password.is_none() {
            return Err(Error::invalid_option("password", "missing", "the password of the user given as `username`"));
        }
        options.db = database("db", self.db)?.or(options.db);
        options.tls = match (self.tls, url_has_tls) {
            (Some(tls), _) => Some(tls.into_options()?),
            (None, true) => Some(TlsOptions::default()),
            (None, false) => None,
        };
        if options.tls.is_some() && matches!(options.address, Address::Unix { .. }) {
            return Err(Error::invalid_option("tls", "set for a Unix socket", "TLS over TCP only"));
        }
        if let Some(Retries(retries)) = self.max_retries_per_request {
            options.max_retries_per_request = retries;
        }
        options.ready_check = self.enable_ready_check.unwrap_or(options.ready_check);
        options.offline_queue = self.enable_offline_queue.unwrap_or(options.offline_queue);
        if let Some(bytes) = self.max_offline_queue_bytes {
            options.max_offline_queue_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(timeout) = milliseconds("connectTimeout", self.connect_timeout, 1)? {
            options.connect_timeout = timeout;
        }
        if let Some(timeout) = milliseconds("commandTimeout", self.command_timeout, 1)? {
            options.command_timeout = timeout;
        }
        if let Some(idle) = milliseconds("keepAlive", self.keep_alive, 0)? {
            options.keep_alive = Some(idle).filter(|idle| !idle.is_zero());
        }
        if let Some(name) = self.connection_name.filter(|name| !name.is_empty()) {
            // What CLIENT SETNAME takes.
            if !name.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
                return Err(Error::invalid_option(
                    "connectionName",
                    "text with spaces or other characters that Redis refuses",
                    "printable ASCII without spaces",
                ));
            }
            options.connection_name = Some(name);
        }
        options.key_prefix = self.key_prefix.unwrap_or_default();
        if let Some(file) = &self.file {
            let Address::File { journal, .. } = &mut options.address else {
                return Err(Error::invalid_option("file", "set beside another URL", "beside a `file:` URL only"));
            };
            merge(journal, file)?;
        }
        if let Some(databases) = self.databases {
            options.databases = databases.into_numbers()?;
        }
        if let Some(number) = self.retry_strategy {
            options.retry_strategy = Some(retry_strategies::find(number).ok_or_else(|| {
                Error::invalid_option("retryStrategy", "a number", "a function, which a service registers")
            })?);
        }
        Ok(options)
    }

    fn refuse_what_is_not_one_server(&self) -> Result<()> {
        let set = [
            ("sentinels", self.sentinels.is_some()),
            ("name", self.name.is_some()),
            ("sentinelPassword", self.sentinel_password.is_some()),
            ("cluster", self.cluster.is_some()),
        ];
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => Err(Error::invalid_option(
                option,
                "set, but this version connects to one server only: Sentinel and Cluster are not supported yet",
                "leave it out and give `url` or `host`",
            )),
            None => Ok(()),
        }
    }

    /// An option that only a server has.
    fn is_of_a_server(&self) -> Option<&'static str> {
        let set = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("tls", self.tls.is_some()),
        ];
        set.iter().find(|(_, is_set)| *is_set).map(|(option, _)| *option)
    }

    /// Default options for the server that `url`, `host` or the environment names, and whether the URL asks for TLS.
    fn locate(&self, environment: Option<String>) -> Result<(ConnectionOptions, bool)> {
        let url = match (&self.url, &self.host) {
            (Some(url), _) => Some(ServerUrl::parse("url", url)?),
            (None, Some(_)) => None,
            (None, None) => match environment {
                Some(url) => Some(ServerUrl::parse("REDIS_URL", &url)?),
                // Nothing says that there is a server; something that only a server has does.
                None if self.is_of_a_server().is_some() => {
                    return Err(Error::invalid_option(
                        "url",
                        "missing, and so are `host` and the environment variable REDIS_URL",
                        "a URL such as redis://127.0.0.1:6379/0",
                    ));
                }
                None => Some(ServerUrl::parse("url", "memory://")?),
            },
        };
        let port = number("port", self.port, 1, u64::from(u16::MAX))?.and_then(|port| u16::try_from(port).ok());
        if self.host.as_ref().is_some_and(String::is_empty) {
            return Err(Error::invalid_option("host", "empty", "a host name or IP address"));
        }
        let Some(url) = url else {
            let host = self.host.clone().unwrap_or_default();
            return Ok((ConnectionOptions::tcp(host, port.unwrap_or(6379)), false));
        };
        let mut options = match url.address {
            Address::Tcp { host, port: url_port } => {
                ConnectionOptions::tcp(self.host.clone().unwrap_or(host), port.unwrap_or(url_port))
            }
            Address::Unix { path } => {
                if let Some((option, _)) =
                    [("host", self.host.is_some()), ("port", port.is_some())].iter().find(|(_, is_set)| *is_set)
                {
                    return Err(Error::invalid_option(option, "set beside a Unix socket", "either of them"));
                }
                ConnectionOptions::unix(path)
            }
            address @ (Address::Memory { .. } | Address::File { .. }) => {
                if let Some(option) = self.is_of_a_server() {
                    let value = "set beside a URL that needs no server";
                    return Err(Error::invalid_option(option, value, "either of them"));
                }
                ConnectionOptions::at(address)
            }
        };
        options.username = url.username;
        options.password = url.password;
        options.db = url.db;
        Ok((options, url.tls))
    }
}

impl TlsConfig {
    fn into_options(self) -> Result<TlsOptions> {
        if self.cert.is_some() != self.key.is_some() {
            let missing = if self.cert.is_some() { "tls.key" } else { "tls.cert" };
            return Err(Error::invalid_option(missing, "missing", "`cert` and `key` together, or neither"));
        }
        Ok(TlsOptions {
            reject_unauthorized: self.reject_unauthorized.unwrap_or(true),
            ca: self.ca,
            cert: self.cert,
            key: self.key.map(Secret),
            server_name: self.servername,
        })
    }
}

impl Databases {
    fn into_numbers(self) -> Result<[Option<u8>; DatabaseRole::COUNT]> {
        Ok([
            database("databases.cache", self.cache)?,
            database("databases.session", self.session)?,
            database("databases.rateLimit", self.rate_limit)?,
            database("databases.tokenBlacklist", self.token_blacklist)?,
            database("databases.queue", self.queue)?,
            database("databases.pubsub", self.pubsub)?,
            database("databases.featureFlags", self.feature_flags)?,
            database("databases.analytics", self.analytics)?,
            database("databases.temp", self.temp)?,
            database("databases.test", self.test)?,
        ])
    }
}

pub(super) fn database(option: &str, value: Option<u64>) -> Result<Option<u8>> {
    Ok(number(option, value, 0, MAX_DB)?.and_then(|db| u8::try_from(db).ok()))
}

fn milliseconds(option: &str, value: Option<u64>, least: u64) -> Result<Option<Duration>> {
    Ok(number(option, value, least, MAX_MS)?.map(Duration::from_millis))
}

pub(super) fn number(option: &str, value: Option<u64>, least: u64, most: u64) -> Result<Option<u64>> {
    match value {
        Some(value) if value < least || value > most => {
            Err(Error::invalid_option(option, &value.to_string(), &format!("an integer from {least} to {most}")))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
