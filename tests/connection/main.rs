//! Connections against real servers, through a proxy that misbehaves where a network would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::clone_on_ref_ptr, reason = "the clone becomes a trait object where it is passed")]

mod blocking;
mod breaks;
mod commands;
mod faults;
mod offline;
mod options;
mod refusals;
mod subscriptions;
mod support;
