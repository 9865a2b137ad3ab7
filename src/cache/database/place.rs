//! Where a database is.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::error::{Error, Result};

/// Shown without credentials.
#[derive(Clone)]
pub(in crate::cache) enum Place {
    Sqlite { path: String },
    Postgres { url: String, options: Box<PgConnectOptions> },
}

impl Place {
    pub(super) const ALLOWED: &str = "`sqlite:<path>` or `postgres://user:password@host:port/database`";

    /// Reads an option's text, and tells nobody of it.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let refuse = |what: &str| Error::invalid_option("level3.url", what, Self::ALLOWED);
        if let Some(rest) = url.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return match path {
                "" => Err(refuse("a `sqlite:` URL without a path")),
                // Each connection would have a database of its own, which goes with it.
                ":memory:" => Err(refuse("`sqlite::memory:`, which no two connections share")),
                path => Ok(Self::Sqlite { path: path.to_owned() }),
            };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|_| refuse("no PostgreSQL URL"))?;
            let options = Box::new(options.application_name("oxcart").disable_statement_logging());
            return Ok(Self::Postgres { url: url.to_owned(), options });
        }
        let scheme = url.split(':').next().filter(|_| url.contains("://"));
        let plain = |scheme: &&str| scheme.len() <= 16 && scheme.chars().all(|one| one.is_ascii_alphanumeric());
        Err(match scheme.filter(plain) {
            Some(scheme) => refuse(&format!("a `{scheme}:` URL")),
            None => refuse("no URL of a database"),
        })
    }

    /// What two caches that share a connection have in common.
    pub(super) fn identity(&self) -> &str {
        match self {
            Self::Sqlite { path } => path,
            Self::Postgres { url, .. } => url,
        }
    }

    pub(super) fn sqlite_options(path: &str, timeout: Duration) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An invalidation that was answered must outlive a power failure as the rows do that it ended.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(timeout)
            .disable_statement_logging()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:{path}"),
            Self::Postgres { options, .. } => {
                let database = options.get_database().unwrap_or("");
                write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
