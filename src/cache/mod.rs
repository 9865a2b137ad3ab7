//! The cache: values in this process and in Redis, with one rule for when a copy is valid ([`epochs`]).

mod agenda;
mod bus;
mod bus_listener;
mod cache;
mod circuit;
mod coherence;
mod copies;
mod database;
mod ending;
pub mod epochs;
mod fill;
pub mod format;
mod gates;
mod invalidate;
mod keys;
mod lease;
mod lifting;
mod local_tier;
mod looking;
mod options;
mod process_only;
mod ranked;
mod recovery;
mod registered;
mod remote_tier;
mod remover;
mod reporter;
mod scanning;
mod scripts;
mod tags;
mod wakers;
mod write;

pub use agenda::{Agenda, AgendaOptions, Claimed, WorkSink};
pub use cache::{Cache, Condition, Hit, Loaded};
pub use circuit::CircuitState;
pub use database::{DatabaseFigures, Level3Options};
pub use fill::Fill;
pub use keys::{MAX_TAG_LENGTH, MAX_TAGS};
pub use lease::{Acquire, Acquired, Lease};
pub use local_tier::LocalEntry;
pub use options::{
    CacheOptions, CircuitBreakerOptions, CoherenceMode, EvictionStrategy, Level1Options, Level2Options, Limits,
    RecoveryQueueOptions, ttl_argument,
};
pub use process_only::open_process_only;
pub use ranked::PriorityTally;
pub use write::Write;
