//! What a limiter says.

use std::time::Duration;

use crate::{
    codec::resp::Value,
    error::{Error, ErrorCode, Result},
};

/// Whether something may be done now. Times are the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// How much of it may be done at once afterwards.
    pub remaining: i64,
    /// When it was decided, in milliseconds since 1970.
    pub now_ms: i64,
    /// Until nothing counts any more that was done so far.
    pub reset_after: Duration,
    /// Until it would be allowed if nobody else asked; zero when it is.
    pub retry_after: Duration,
}

impl Decision {
    /// From the reply of a script of this engine.
    pub(super) fn read(reply: Value) -> Result<Self> {
        let numbers = reply.into_items()?.into_iter().map(Value::into_int).collect::<Result<Vec<_>>>()?;
        let [allowed, remaining, now_ms, reset_ms, wait_ms] = numbers[..] else {
            return Err(Error::new(
                ErrorCode::UnexpectedReply,
                "a limiter's script gave something else than 5 numbers",
            ));
        };
        let time = |ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let (reset_after, retry_after) = (time(reset_ms), time(wait_ms));
        Ok(Self { allowed: allowed == 1, remaining, now_ms, reset_after, retry_after })
    }
}
