//! What a queue tells about itself beside its jobs.

use super::{JobState, Queue};
use crate::{
    codec::resp::Value,
    connection::Command,
    error::{Error, ErrorCode, Result},
};

/// Finished jobs by the minute, as workers with `metrics` count them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueMetrics {
    /// Finished jobs in all.
    pub count: i64,
    /// When the last minute was closed, milliseconds since the epoch, and the count then.
    pub prev_ts: i64,
    pub prev_count: i64,
    /// Jobs in each minute, the latest first.
    pub data: Vec<i64>,
    /// Minutes that are kept.
    pub points: i64,
}

impl Queue {
    /// Jobs that wait with each of these priorities.
    pub async fn get_counts_per_priority(&self, priorities: &[i64]) -> Result<Vec<i64>> {
        let keys = &self.storage().keys;
        let commands: Vec<_> = priorities
            .iter()
            .map(|&priority| {
                if priority == 0 {
                    return Command::new("LLEN").key(&keys.wait).repeatable();
                }
                let least = priority.saturating_mul(1 << 32);
                Command::new("ZCOUNT").key(&keys.prioritized).int(least).int(least + (1 << 32) - 1).repeatable()
            })
            .collect();
        self.storage().link.call_many(&commands).await.into_iter().map(|reply| reply?.into_int()).collect()
    }

    /// Delayed jobs that are due before `timestamp`.
    pub async fn get_delayed_count_before(&self, timestamp: i64) -> Result<i64> {
        let last = timestamp.saturating_mul(4096).saturating_sub(1);
        let command = Command::new("ZCOUNT").key(&self.storage().keys.delayed).arg("-inf").int(last).repeatable();
        self.storage().link.call(command).await?.into_int()
    }

    /// Minutes `start..=end` of what workers counted.
    ///
    /// # Errors
    /// `InvalidArgument` for a state that is not `completed` or `failed`.
    pub async fn get_metrics(&self, of: JobState, start: i64, end: i64) -> Result<QueueMetrics> {
        let keys = &self.storage().keys;
        let key = match of {
            JobState::Completed => &keys.metrics_completed,
            JobState::Failed => &keys.metrics_failed,
            other => return Err(Error::invalid_argument("type", other.as_str(), "completed, failed")),
        };
        let data = format!("{key}:data");
        let commands = [
            Command::new("HMGET").key(key).args(["count", "prevTS", "prevCount"]).repeatable(),
            Command::new("LRANGE").key(&data).int(start).int(end).repeatable(),
            Command::new("LLEN").key(&data).repeatable(),
        ];
        let mut replies = self.storage().link.call_many(&commands).await.into_iter();
        let (Some(totals), Some(minutes), Some(points)) = (replies.next(), replies.next(), replies.next()) else {
            return Err(Error::unexpected_reply("get_metrics", "nothing"));
        };
        let totals = numbers(totals?)?;
        let total = |index: usize| totals.get(index).copied().unwrap_or(0);
        Ok(QueueMetrics {
            count: total(0),
            prev_ts: total(1),
            prev_count: total(2),
            data: numbers(minutes?)?,
            points: points?.into_int()?,
        })
    }

    /// Names and values of what is stored about the queue itself.
    pub async fn get_meta(&self) -> Result<Vec<(String, String)>> {
        let command = Command::new("HGETALL").key(&self.storage().keys.meta).repeatable();
        let mut items = self.storage().link.call(command).await?.into_items()?.into_iter();
        let mut meta = Vec::new();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            meta.push((name.into_text()?, value.into_text()?));
        }
        Ok(meta)
    }

    /// The server's list of clients, in which workers of other packages stand by name; empty where the server has none.
    pub async fn get_client_list(&self) -> Result<String> {
        match self.storage().link.call(Command::new("CLIENT").arg("LIST").repeatable()).await {
            Ok(list) => list.into_text(),
            Err(error) if matches!(error.code(), ErrorCode::Reply | ErrorCode::UnsupportedCommand) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether as many jobs are active as the global concurrency allows.
    pub async fn is_maxed(&self) -> Result<bool> {
        let keys = &self.storage().keys;
        let commands = [
            Command::new("HGET").key(&keys.meta).arg("concurrency").repeatable(),
            Command::new("LLEN").key(&keys.active).repeatable(),
        ];
        let mut replies = self.storage().link.call_many(&commands).await.into_iter();
        let (Some(bound), Some(active)) = (replies.next(), replies.next()) else {
            return Err(Error::unexpected_reply("is_maxed", "nothing"));
        };
        let bound = bound?.into_optional_text()?.and_then(|bound| bound.parse::<i64>().ok());
        let active = active?.into_int()?;
        Ok(bound.is_some_and(|bound| active >= bound))
    }

    /// Id of the job that holds a deduplication id.
    pub async fn get_deduplication_job_id(&self, deduplication_id: &str) -> Result<Option<String>> {
        let command = Command::new("GET").key(self.storage().keys.deduplication(deduplication_id)).repeatable();
        self.storage().link.call(command).await?.into_optional_text()
    }

    /// Milliseconds until the rate limit lets the next job start: 0 when it does now, -1 or -2 when no rate limit runs
    /// and none was asked for. `max` stands for the limit that a worker brings.
    pub async fn get_rate_limit_ttl(&self, max: Option<i64>) -> Result<i64> {
        let keys = &self.storage().keys;
        let commands = [
            Command::new("HGET").key(&keys.meta).arg("max").repeatable(),
            Command::new("GET").key(&keys.limiter).repeatable(),
            Command::new("PTTL").key(&keys.limiter).repeatable(),
        ];
        let mut texts = Vec::new();
        for reply in self.storage().link.call_many(&commands).await {
            texts.push(reply?.into_optional_text()?.and_then(|text| text.parse::<i64>().ok()));
        }
        let [global, used, ttl] = texts[..] else {
            return Err(Error::unexpected_reply("get_rate_limit_ttl", "of another length"));
        };
        let ttl = ttl.unwrap_or(-2);
        Ok(match max.or(global) {
            Some(max) if max <= used.unwrap_or(0) => ttl.max(0),
            Some(_) => 0,
            None => ttl,
        })
    }
}

/// Numbers of a reply; what is missing or none is 0.
fn numbers(reply: Value) -> Result<Vec<i64>> {
    let texts = reply.into_items()?.into_iter().map(Value::into_optional_text);
    texts.map(|text| Ok(text?.and_then(|text| text.parse().ok()).unwrap_or(0))).collect()
}
