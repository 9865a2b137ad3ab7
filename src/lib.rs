//! The native core of oxcart.
//!
//! # Layout
//!
//! - [`connection`]: links to Redis, and [`connection::Link`], the one trait that every engine is written against
//! - [`script`]: Lua scripts, assembled by `build.rs` from `lua/`
//! - [`embedded`]: the engine in this process, which stands in for a server
//! - [`codec`]: bytes to values and back
//! - [`cache`], [`queue`], [`scheduler`], [`pubsub`], [`lock`], [`rate_limit`], [`monitoring`]: the engines
//! - [`error`], [`clock`], [`service`]: what all of them stand on
//! - `node`: the only folder that knows Node-API

pub mod cache;
pub mod clock;
pub mod codec;
pub mod connection;
pub mod embedded;
pub mod error;
pub mod lock;
pub mod monitoring;
#[cfg(feature = "node")]
mod node;
pub mod pubsub;
pub mod queue;
pub mod rate_limit;
pub mod scheduler;
pub mod script;
pub mod service;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::{Error, ErrorCode, Result};
