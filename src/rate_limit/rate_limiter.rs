//! Limits over time.

use std::sync::Arc;

use super::{
    counters::Counters,
    decision::Decision,
    options::{Algorithm, RateLimiterOptions, whole},
};
use crate::{
    codec::option_text::within,
    connection::Link,
    error::{Error, Result},
    script::rate_limit::{COUNT_IN_WINDOW, COUNT_SLIDING, TAKE_TOKENS},
};

/// Counts what is done under each key, on one server for all processes. Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    counters: Counters,
    options: Arc<RateLimiterOptions>,
}

impl RateLimiter {
    pub fn new(link: Arc<dyn Link>, options: RateLimiterOptions) -> Self {
        let counters = Counters::new(link, &options.prefix, options.timeout);
        Self { counters, options: Arc::new(options) }
    }

    /// Counts `cost` where that is allowed; what is not allowed counts nothing. With 0 it only looks.
    ///
    /// # Errors
    /// `InvalidArgument` for a key, or for a cost that is never allowed; what the connection gives.
    pub async fn consume(&self, key: &str, cost: f64) -> Result<Decision> {
        let key = self.counters.key(key)?;
        let bounds = [0.0, self.options.most()];
        within(cost, bounds, true).map_err(|allowed| Error::invalid_argument("cost", &cost.to_string(), &allowed))?;
        let (limit, window_ms) = (whole(self.options.limit), whole(self.options.window * 1_000.0));
        let (burst, cost) = (whole(self.options.most()), whole(cost));
        let (limit, window_ms, burst, cost) =
            (limit.as_bytes(), window_ms.as_bytes(), burst.as_bytes(), cost.as_bytes());
        self.counters
            .decide(match self.options.algorithm {
                Algorithm::FixedWindow => COUNT_IN_WINDOW.with([&key], [limit, window_ms, cost]),
                Algorithm::SlidingWindow => COUNT_SLIDING.with([&key], [limit, window_ms, cost]),
                Algorithm::TokenBucket => TAKE_TOKENS.with([&key], [limit, window_ms, burst, cost]),
            })
            .await
    }

    /// Forgets what was counted; whether there was anything.
    pub async fn reset(&self, key: &str) -> Result<bool> {
        self.counters.forget(key).await
    }
}
