//! How a group of subscribers reads a channel that is kept.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    codec::option_text::read_options,
    error::{Error, Result},
};

/// Options of one subscription, as JSON gives them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupOptions {
    /// Where a group that is made now begins: `new`, `start`, or after the message of this id. Default `new`.
    pub from: String,
    /// Messages that are handled at one time, 1 to 1,000. Default 1.
    pub concurrency: usize,
    /// How often a message is handed over before it is dead, 1 to 1,000. Default 5.
    pub max_deliveries: u32,
    /// Milliseconds without a sign of life after which a consumer's messages are taken over, 100 to 3,600,000. Default 30,000.
    pub claim_after: u64,
    /// Milliseconds before a message whose handler failed is handed over again; doubles each time, up to `claimAfter`.
    /// Default 1,000.
    pub retry_delay: u64,
    /// Dead messages that are kept, about. Default 10,000.
    pub max_dead: u64,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            from: "new".to_owned(),
            concurrency: 1,
            max_deliveries: 5,
            claim_after: 30_000,
            retry_delay: 1_000,
            max_dead: 10_000,
        }
    }
}

impl GroupOptions {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// `InvalidOption` with the option's name.
    pub fn from_json(text: &str) -> Result<Self> {
        let options: Self = read_options(text)?;
        let Self { concurrency, max_deliveries, claim_after, retry_delay, max_dead, .. } = &options;
        position(&options.from).map_err(|()| {
            Error::invalid_option("from", &format!("`{}`", options.from), "`new`, `start`, or the id of a message")
        })?;
        for (option, number, allowed) in [
            ("concurrency", *concurrency as u64, 1..=1_000),
            ("maxDeliveries", u64::from(*max_deliveries), 1..=1_000),
            ("claimAfter", *claim_after, 100..=3_600_000),
            ("retryDelay", *retry_delay, 1..=3_600_000),
            ("maxDead", *max_dead, 1..=1_000_000_000),
        ] {
            if !allowed.contains(&number) {
                let allowed = format!("{} to {}", allowed.start(), allowed.end());
                return Err(Error::invalid_option(option, &number.to_string(), &allowed));
            }
        }
        Ok(options)
    }

    pub(super) fn claim_after(&self) -> Duration {
        Duration::from_millis(self.claim_after)
    }

    /// Before a message that was handed over so often is handed over again.
    pub(super) fn retry_delay(&self, deliveries: u32) -> Duration {
        let doubled = self.retry_delay.saturating_mul(1 << deliveries.saturating_sub(1).min(20));
        Duration::from_millis(doubled.min(self.claim_after.max(self.retry_delay)))
    }

    /// Messages that this consumer has at one time: some wait so that handlers need not.
    pub(super) fn room(&self) -> usize {
        (self.concurrency * 2).max(32)
    }
}

/// A place in a stream as Redis writes it.
pub(super) fn position(from: &str) -> std::result::Result<&str, ()> {
    match from {
        "new" => Ok("$"),
        "start" => Ok("0"),
        id => {
            let (ms, number) = id.split_once('-').unwrap_or((id, "0"));
            let is_number = |digits: &str| digits.parse::<u64>().is_ok();
            if is_number(ms) && is_number(number) { Ok(id) } else { Err(()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for (text, option) in [
            (r#"{"from":"yesterday"}"#, "from"),
            (r#"{"from":"5-"}"#, "from"),
            (r#"{"concurrency":0}"#, "concurrency"),
            (r#"{"maxDeliveries":0}"#, "maxDeliveries"),
            (r#"{"claimAfter":99}"#, "claimAfter"),
            (r#"{"retryDelay":0}"#, "retryDelay"),
            (r#"{"maxDead":0}"#, "maxDead"),
            (r#"{"other":0}"#, "other"),
        ] {
            let error = GroupOptions::from_json(text).unwrap_err();
            assert!(error.message().contains(&format!("`{option}`")), "{error}");
        }
        for from in ["new", "start", "5", "1700000000000-3"] {
            GroupOptions::from_json(&format!(r#"{{"from":"{from}"}}"#)).unwrap();
        }
    }

    #[test]
    fn retries_wait_longer_each_time_up_to_a_bound() {
        let options = GroupOptions { retry_delay: 100, claim_after: 350, ..GroupOptions::default() };
        let waits: Vec<u128> = (1..5).map(|n| options.retry_delay(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
    }
}
