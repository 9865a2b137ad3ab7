//! One way to speak to SQLite and PostgreSQL: their SQL is the same where the table's statements need it, their types are not.

use sqlx::{
    Acquire, Column, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction, TypeInfo, ValueRef,
    pool::PoolConnection,
    postgres::{PgPool, PgPoolOptions, PgRow},
    sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow},
};

use super::{options::Settings, place::Place};

/// Connections of one cache: the writer's, and two for readers.
const CONNECTIONS: u32 = 3;

/// An argument, or a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(super) fn int(&self) -> i64 {
        if let Self::Int(number) = self { *number } else { 0 }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A connection that was borrowed from the pool.
pub(super) enum Session {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Rolled back unless it is committed.
pub(super) enum Work<'a> {
    Sqlite(Transaction<'a, Sqlite>),
    Postgres(Transaction<'a, Postgres>),
}

/// Where statements run.
pub(super) enum Speaker<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Pool {
    /// Connects when it is first used.
    pub(super) fn new(settings: &Settings) -> Self {
        match &settings.place {
            Place::Sqlite { path } => {
                let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(settings.timeout);
                Self::Sqlite(pool.connect_lazy_with(Place::sqlite_options(path, settings.timeout)))
            }
            Place::Postgres { options, .. } => {
                let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(settings.timeout);
                Self::Postgres(pool.connect_lazy_with((**options).clone()))
            }
        }
    }

    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) async fn session(&self) -> sqlx::Result<Session> {
        Ok(match self {
            Self::Sqlite(pool) => Session::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Session::Postgres(pool.acquire().await?),
        })
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Session {
    pub(super) fn speaker(&mut self) -> Speaker<'_> {
        match self {
            Self::Sqlite(connection) => Speaker::Sqlite(connection),
            Self::Postgres(connection) => Speaker::Postgres(connection),
        }
    }

    /// Begins a transaction; in SQLite as the one writer of the file.
    pub(super) async fn begin(&mut self) -> sqlx::Result<Work<'_>> {
        Ok(match self {
            Self::Sqlite(connection) => {
                Work::Sqlite(Transaction::begin(&mut **connection, Some("BEGIN IMMEDIATE".into())).await?)
            }
            Self::Postgres(connection) => Work::Postgres((**connection).begin().await?),
        })
    }
}

impl Work<'_> {
    pub(super) fn speaker(&mut self) -> Speaker<'_> {
        match self {
            Self::Sqlite(work) => Speaker::Sqlite(work),
            Self::Postgres(work) => Speaker::Postgres(work),
        }
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(work) => work.commit().await,
            Self::Postgres(work) => work.commit().await,
        }
    }
}

macro_rules! bound {
    ($sql:expr, $arguments:expr) => {{
        let mut query = sqlx::query($sql);
        for argument in $arguments {
            query = match argument {
                Cell::Null => query.bind(None::<Vec<u8>>),
                Cell::Int(number) => query.bind(number),
                Cell::Text(text) => query.bind(text),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }};
}

impl Speaker<'_> {
    /// How many rows a statement changed.
    pub(super) async fn execute(&mut self, sql: &str, arguments: Vec<Cell>) -> sqlx::Result<u64> {
        Ok(match self {
            Self::Sqlite(to) => bound!(sql, arguments).execute(&mut **to).await?.rows_affected(),
            Self::Postgres(to) => bound!(sql, arguments).execute(&mut **to).await?.rows_affected(),
        })
    }

    pub(super) async fn fetch(&mut self, sql: &str, arguments: Vec<Cell>) -> sqlx::Result<Vec<Vec<Cell>>> {
        match self {
            Self::Sqlite(to) => bound!(sql, arguments).fetch_all(&mut **to).await?.iter().map(sqlite_cells).collect(),
            Self::Postgres(to) => {
                bound!(sql, arguments).fetch_all(&mut **to).await?.iter().map(postgres_cells).collect()
            }
        }
    }
}

macro_rules! cells {
    ($name:ident, $row:ty) => {
        fn $name(row: &$row) -> sqlx::Result<Vec<Cell>> {
            let cell = |column: usize| {
                let raw = row.try_get_raw(column)?;
                if raw.is_null() {
                    return Ok(Cell::Null);
                }
                let kind = raw.type_info().name().to_owned();
                Ok(match kind.as_str() {
                    "TEXT" => Cell::Text(row.try_get(column)?),
                    "BLOB" | "BYTEA" => Cell::Bytes(row.try_get(column)?),
                    _ => Cell::Int(row.try_get(column)?),
                })
            };
            row.columns().iter().map(|column| cell(column.ordinal())).collect()
        }
    };
}

cells!(sqlite_cells, SqliteRow);
cells!(postgres_cells, PgRow);
