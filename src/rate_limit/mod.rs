//! How much of something may be done: counted over time, or at one time, for all processes together.

mod concurrency_limiter;
mod decision;
mod options;
mod rate_limiter;

pub use concurrency_limiter::{ConcurrencyLimiter, Slot};
pub use decision::Decision;
pub use options::{Algorithm, ConcurrencyLimiterOptions, RateLimiterOptions};
pub use rate_limiter::RateLimiter;

/// Refuses a key that is empty or too long.
fn check_key(key: &str) -> crate::error::Result<()> {
    const MAX_KEY: usize = 512;
    if key.is_empty() || key.len() > MAX_KEY {
        let got = format!("{} bytes long", key.len());
        return Err(crate::error::Error::invalid_argument("key", &got, &format!("1 to {MAX_KEY} bytes")));
    }
    Ok(())
}
