//! RESP2 and RESP3: what Redis, Valkey and the embedded engine speak.

mod value;

pub use value::{Reply, Value};
