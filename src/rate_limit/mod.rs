//! How much of something may be done: counted over time, or at one time, for all processes together.

mod concurrency_limiter;
mod counters;
mod decision;
mod options;
mod rate_limiter;

pub use concurrency_limiter::{ConcurrencyLimiter, Slot};
pub use decision::Decision;
pub use options::{Algorithm, ConcurrencyLimiterOptions, RateLimiterOptions};
pub use rate_limiter::RateLimiter;
