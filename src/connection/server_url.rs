//! The URL of a server.

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::{
    file_url,
    options::{Address, Secret},
    options_json::database,
};
use crate::error::{Error, Result};

pub(super) const ALLOWED: &str = "redis://[user:password@]host[:port][/db], rediss:// for TLS, \
                                  unix://[user:password@]/path[?db=n], or without a server memory://[name][/db] or \
                                  file:path[?db=n]";

/// What a URL says. `db` is `None` when it says nothing of it.
pub(super) struct ServerUrl {
    pub address: Address,
    pub tls: bool,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub db: Option<u8>,
}

impl ServerUrl {
    /// Parses `text`, the value of `option`. A message names the scheme at most: the rest may hold a password.
    pub(super) fn parse(option: &str, text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Error::invalid_option(option, "not a URL", ALLOWED));
        };
        let scheme = scheme.to_ascii_lowercase();
        let tls = scheme == "rediss";
        match scheme.as_str() {
            "redis" | "rediss" => {}
            "unix" if cfg!(unix) => return Self::parse_unix(option, rest),
            "unix" => return Err(Error::invalid_option(option, "a Unix socket", "TCP on this system")),
            "memory" => return Self::parse_memory(option, rest),
            "file" => return file_url::parse(option, rest),
            _ => return Err(Error::invalid_option(option, "a URL of another scheme", ALLOWED)),
        }
        // The redis crate is built without TLS and refuses its scheme; whether TLS is spoken is decided here.
        let url = redis::parse_redis_url(&format!("redis:{rest}")).ok_or_else(|| malformed(option))?;
        if url.fragment().is_some() || url.query().is_some() {
            return Err(Error::invalid_option(option, "a URL with a query or fragment", ALLOWED));
        }
        let names_db = !url.path().trim_matches('/').is_empty();
        let info = url.into_connection_info().map_err(|_| malformed(option))?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(malformed(option)) };
        let settings = info.redis_settings();
        Ok(Self {
            address: Address::Tcp { host: host.clone(), port: *port },
            tls,
            username: settings.username().map(str::to_owned),
            password: settings.password().map(|password| Secret(password.to_owned())),
            db: if names_db { checked_db(option, settings.db())? } else { None },
        })
    }

    /// `memory://`, `memory://name`, `memory://name/db`. A name is of letters, digits, `-`, `_` and `.`.
    fn parse_memory(option: &str, rest: &str) -> Result<Self> {
        let rest = rest.strip_prefix("//").ok_or_else(|| malformed(option))?;
        let (name, db) =
            rest.split_once('/').map_or((rest, None), |(name, db)| (name, Some(db).filter(|db| !db.is_empty())));
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(malformed(option));
        }
        let db = db.map(|db| db.parse::<u64>().map_err(|_| malformed(option))).transpose()?;
        Ok(Self {
            address: Address::Memory { name: name.to_owned() },
            tls: false,
            username: None,
            password: None,
            db: database(option, db)?,
        })
    }

    /// `unix:///path`, `unix:/path`, `unix://user:password@/path`, with `?db=n`.
    fn parse_unix(option: &str, rest: &str) -> Result<Self> {
        // Borrowing a TCP URL's syntax, with a host that is not used, gives the user part its usual meaning.
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let slash = rest.find('/').ok_or_else(|| malformed(option))?;
        let (authority, path) = rest.split_at(slash);
        let credentials = match authority.strip_suffix('@') {
            Some(credentials) => credentials,
            None if authority.is_empty() => "",
            None => return Err(malformed(option)),
        };
        let url = redis::parse_redis_url(&format!("redis://{credentials}@socket")).ok_or_else(|| malformed(option))?;
        let user = url.into_connection_info().map_err(|_| malformed(option))?;
        let url = redis::parse_redis_url(&format!("unix://{path}")).ok_or_else(|| malformed(option))?;
        let mut query = url.query_pairs();
        let names_db = match (query.next(), query.next(), url.fragment()) {
            (None, _, None) => false,
            (Some((name, _)), None, None) if name == "db" => true,
            _ => return Err(Error::invalid_option(option, "a URL with an unknown query or fragment", ALLOWED)),
        };
        let info = url.into_connection_info().map_err(|_| malformed(option))?;
        let ConnectionAddr::Unix(path) = info.addr() else { return Err(malformed(option)) };
        Ok(Self {
            address: Address::Unix { path: path.clone() },
            tls: false,
            username: user.redis_settings().username().map(str::to_owned),
            password: user.redis_settings().password().map(|password| Secret(password.to_owned())),
            db: if names_db { checked_db(option, info.redis_settings().db())? } else { None },
        })
    }
}

fn checked_db(option: &str, db: i64) -> Result<Option<u8>> {
    match u64::try_from(db) {
        Ok(db) => database(option, Some(db)),
        Err(_) => Err(malformed(option)),
    }
}

pub(super) fn malformed(option: &str) -> Error {
    Error::invalid_option(option, "malformed", ALLOWED)
}
