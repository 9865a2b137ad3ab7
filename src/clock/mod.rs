//! Time as the engines see it: the system's in production, moved by hand in tests.
//!
//! What is stored, and what waits for stored time, follows the clock of its link: expiry, delayed jobs, limits, locks and
//! schedules. Deadlines of calls and pauses before a server is tried again are no stored time, and stay with `tokio::time`.

mod clock;
mod manual;

pub(crate) use clock::Occupied;
pub use clock::{Clock, Moment};
