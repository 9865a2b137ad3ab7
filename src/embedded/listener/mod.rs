//! The engine behind a socket: for `redis-cli`, for clients that know Redis only by its protocol, and for other processes.

mod client;
mod outbox;
mod requests;
mod socket;

pub use socket::Listener;
