//! Links to servers, and the one trait that every engine is written against.

mod backoff;
mod blocking_link;
mod change_tracker;
mod command;
mod command_link;
mod command_table;
mod command_table_rows;
mod driver;
mod file_url;
mod handshake;
mod lending;
mod link;
mod options;
mod options_json;
mod outbox;
mod pending;
#[cfg_attr(unix, path = "plain_socket_unix.rs")]
#[cfg_attr(not(unix), path = "plain_socket_windows.rs")]
mod plain_socket;
mod redis_link;
mod retry_strategies;
mod server_url;
mod serving;
mod socket;
mod state_board;
mod subscriber_link;
mod subscriptions_table;
mod tls;

pub(crate) use crate::embedded::glob_matches;
pub use crate::embedded::{NativeCall, NativeScript};
pub use backoff::default_delay as default_retry_delay;
pub use command::{Batch, Command, CommandFlags, Entry, Route, key_slot, push_bulk, push_header};
pub use command_table::{Access, CommandId, CommandSpec, Keys};
#[cfg(unix)]
pub use lending::{Lender, Loan};
pub use link::{
    BlockingLink, BoxFuture, ChangeSink, Link, LinkState, Message, MessageSink, ReplySink, StateSink, SubscriptionKind,
    Subscriptions,
};
pub use options::{Address, ConnectionOptions, DatabaseRole, FileOptions, RetryStrategy, Secret, TlsOptions};
pub use redis_link::{open, open_private};
pub use retry_strategies::register as register_retry_strategy;
