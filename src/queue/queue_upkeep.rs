//! Keys of a queue that are not its jobs: limits, the events stream, deduplication, and what lost jobs left behind.

use std::{collections::BTreeSet, time::Duration};

use super::Queue;
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, Result},
};

/// Keys beside the hash that a job may have.
const JOB_SUFFIXES: [&str; 6] = ["logs", "dependencies", "processed", "failed", "unsuccessful", "lock"];

impl Queue {
    /// Lets no worker of the queue start a job for so long.
    pub async fn rate_limit(&self, duration: Duration) -> Result<()> {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1);
        let limiter = &self.storage().keys.limiter;
        // More than any limit has.
        let command = Command::new("SET").key(limiter).int((1 << 53) - 1).arg("PX").int(ms).repeatable();
        self.storage().link.call(command).await.map(drop)
    }

    /// Ends the current window of the rate limit. False when there was none.
    pub async fn remove_rate_limit_key(&self) -> Result<bool> {
        self.remove_key(self.storage().keys.limiter.clone()).await
    }

    /// Lets a job with this deduplication id be added again. False when none held it.
    pub async fn remove_deduplication_key(&self, deduplication_id: &str) -> Result<bool> {
        self.remove_key(self.storage().keys.deduplication(deduplication_id)).await
    }

    async fn remove_key(&self, key: String) -> Result<bool> {
        Ok(self.storage().link.call(Command::new("DEL").key(key)).await?.into_int()? == 1)
    }

    /// Cuts the events stream to about `max` entries; gives how many went.
    pub async fn trim_events(&self, max: i64) -> Result<i64> {
        if max < 0 {
            return Err(Error::invalid_argument("maxLength", &max.to_string(), "0 or more"));
        }
        let events = &self.storage().keys.events;
        let command = Command::new("XTRIM").key(events).args(["MAXLEN", "~"]).int(max).repeatable();
        self.storage().link.call(command).await?.into_int()
    }

    /// Adds an event of the application's own to the stream, which keeps about `max` entries. Gives its id there.
    ///
    /// # Errors
    /// `InvalidArgument` for an event without a name.
    pub async fn publish_event(&self, name: &str, fields: &[(String, String)], max: i64) -> Result<String> {
        if name.is_empty() {
            return Err(Error::invalid_argument("eventName", "empty", "a name"));
        }
        let events = &self.storage().keys.events;
        let mut command = Command::new("XADD").key(events).args(["MAXLEN", "~"]).int(max.max(0)).arg("*");
        command = command.args(["event", name]);
        for (field, value) in fields {
            command = command.args([field, value]);
        }
        self.storage().link.call(command).await?.into_text()
    }

    /// Removes hashes and further keys of jobs that are in no state, as a program leaves behind that wrote around the
    /// scripts. Looks at about `count` keys a call and ends when `limit` (0: any number) are removed. Gives how many.
    pub async fn remove_orphaned_jobs(&self, count: i64, limit: usize) -> Result<usize> {
        let storage = self.storage();
        let prefix = &storage.keys.prefix;
        let pattern = format!("{}*", escape_glob(prefix));
        let (mut cursor, mut removed) = ("0".to_owned(), 0);
        loop {
            let scan = Command::new("SCAN").arg(&cursor).args(["MATCH", &pattern, "COUNT"]).int(count.max(1));
            let mut reply = storage.link.call(scan.repeatable()).await?.into_items()?.into_iter();
            let (Some(next), Some(keys)) = (reply.next(), reply.next()) else {
                return Err(Error::unexpected_reply("SCAN", "of another length"));
            };
            cursor = next.into_text()?;
            let keys = keys.into_items()?.into_iter().map(Value::into_text).collect::<Result<Vec<_>>>()?;
            let suspects: BTreeSet<&str> =
                keys.iter().filter_map(|key| key.strip_prefix(prefix.as_str())).filter_map(job_of).collect();
            let suspects: Vec<&str> = suspects.into_iter().collect();
            for slice in suspects.chunks(100) {
                removed += storage.remove_orphaned_jobs(slice).await?;
                if limit > 0 && removed >= limit {
                    return Ok(removed);
                }
            }
            if cursor == "0" {
                return Ok(removed);
            }
        }
    }
}

/// The job that a key (without the queue's prefix) would belong to. Whether it is one tells the script.
fn job_of(key: &str) -> Option<&str> {
    match key.split_once(':') {
        None => Some(key).filter(|key| !key.is_empty()),
        // Jobs of schedulers, and definitions of schedulers.
        Some(("repeat" | "de" | "dn" | "metrics", _)) => None,
        Some((id, suffix)) => JOB_SUFFIXES.contains(&suffix).then_some(id),
    }
}

fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape_glob, job_of};

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(job_of("17"), Some("17"));
        assert_eq!(job_of("own-id:logs"), Some("own-id"));
        assert_eq!(job_of("own-id:elsewhere"), None);
        assert_eq!(job_of("repeat:tick:5"), None);
        assert_eq!(job_of("de:once"), None);
        assert_eq!(job_of(""), None);
    }

    #[test]
    fn a_prefix_matches_itself_only() {
        assert_eq!(escape_glob("a*[b]?\\:"), "a\\*\\[b\\]\\?\\\\:");
    }
}
