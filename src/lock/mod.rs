//! Locks across processes: one holder at a time, numbered, on one server or on a majority of several.

mod holder;
mod keys;
mod locks;
mod options;
mod scripts;

pub use holder::{Holder, LossSink, Term};
pub(crate) use locks::new_token;
pub use locks::{Held, Locks};
pub use options::{Acquisition, LockOptions, Wait};
