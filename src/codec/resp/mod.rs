//! RESP2 and RESP3: what Redis, Valkey and the embedded engine speak.

mod encoder;
mod frame_scanner;
mod parser;
mod read_buffer;
#[cfg(test)]
mod tests;
mod value;

pub use encoder::Dialect;
pub use frame_scanner::FrameScanner;
pub use parser::parse;
pub use read_buffer::ReadBuffer;
pub use value::{Reply, Value};

use crate::error::{Error, ErrorCode};

/// Deepest nesting of aggregates. Redis itself stops far earlier.
const MAX_DEPTH: usize = 128;
/// Longest reply.
const MAX_FRAME: usize = 2 * 1024 * 1024 * 1024 - 1;

/// The peer does not speak RESP.
fn violation(what: &str) -> Error {
    Error::new(ErrorCode::ProtocolViolation, format!("the peer does not speak the Redis protocol: {what}"))
}
