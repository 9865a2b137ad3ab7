//! Limits over time.

use std::{sync::Arc, time::Duration};

use super::{
    check_key,
    decision::Decision,
    options::{Algorithm, RateLimiterOptions, whole},
};
use crate::{
    codec::option_text::within,
    connection::{Command, Link},
    error::{Error, Result},
    script::rate_limit::{COUNT_IN_WINDOW, COUNT_SLIDING, TAKE_TOKENS},
};

/// Counts what is done under each key, on one server for all processes. Cheap to clone.
#[derive(Clone)]
pub struct RateLimiter {
    link: Arc<dyn Link>,
    options: Arc<RateLimiterOptions>,
}

impl RateLimiter {
    pub fn new(link: Arc<dyn Link>, options: RateLimiterOptions) -> Self {
        Self { link, options: Arc::new(options) }
    }

    /// Counts `cost` where that is allowed; what is not allowed counts nothing. With 0 it only looks.
    ///
    /// # Errors
    /// `InvalidArgument` for a key, or for a cost that is never allowed; what the connection gives.
    pub async fn consume(&self, key: &str, cost: f64) -> Result<Decision> {
        check_key(key)?;
        let bounds = [0.0, self.options.most()];
        within(cost, bounds, true).map_err(|allowed| Error::invalid_argument("cost", &cost.to_string(), &allowed))?;
        let key = self.key(key);
        let (limit, window_ms) = (whole(self.options.limit), whole(self.options.window * 1_000.0));
        let (burst, cost) = (whole(self.options.most()), whole(cost));
        let arguments = [limit.as_bytes(), window_ms.as_bytes(), cost.as_bytes()];
        let call = match self.options.algorithm {
            Algorithm::FixedWindow => COUNT_IN_WINDOW.with([&key], arguments),
            Algorithm::SlidingWindow => COUNT_SLIDING.with([&key], arguments),
            Algorithm::TokenBucket => {
                TAKE_TOKENS.with([&key], [limit.as_bytes(), window_ms.as_bytes(), burst.as_bytes(), cost.as_bytes()])
            }
        };
        Decision::read(call.deadline(self.timeout()).run(&*self.link).await?)
    }

    /// Forgets what was counted; whether there was anything.
    pub async fn reset(&self, key: &str) -> Result<bool> {
        check_key(key)?;
        let forget = Command::new("UNLINK").key(self.key(key)).repeatable().deadline(self.timeout());
        Ok(self.link.call(forget).await?.into_int()? == 1)
    }

    fn key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.options.timeout / 1_000.0)
    }
}
