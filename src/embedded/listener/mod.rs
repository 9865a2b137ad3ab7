//! The engine behind a socket: for `redis-cli`, for clients that know Redis only by its protocol, and for other processes.

#[cfg(unix)]
mod beside;
mod client;
mod outbox;
mod requests;
mod socket;

#[cfg(unix)]
pub(super) use beside::beside;
pub(crate) use client::HANDOVER;
pub use socket::Listener;
