//! Bytes to values and back.

pub mod resp;
