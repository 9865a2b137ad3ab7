//! Options of a worker.

use std::time::Duration;

use serde::Deserialize;

use super::{
    DeadLetter, GroupLimits, KeepPolicy, bounds, dead_letter::UserDeadLetter, groups::UserGroupLimits,
    job_options::UserKeep,
};
use crate::codec::option_text::{read_options, whole};
use crate::error::{Error, Result};

/// At most `max` jobs started in each `duration`, by all workers of the queue together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limiter {
    pub max: i64,
    pub duration: Duration,
}

/// Options of a [`Worker`](super::Worker).
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that users write")]
pub struct WorkerOptions {
    /// Shows in `pb` of each job that it takes.
    pub name: Option<String>,
    /// Jobs at once. Default 1.
    pub concurrency: usize,
    pub limiter: Option<Limiter>,
    /// Bounds of each group that has none of its own, for all workers: they are stored in the queue when this one starts.
    pub group: Option<GroupLimits>,
    /// A lock that is not renewed for so long is lost. Default 30 s.
    pub lock_duration: Duration,
    /// Locks are renewed twice in this time. Default half of `lock_duration`.
    pub lock_renew_time: Duration,
    /// How often jobs of dead workers are looked for. Default 30 s.
    pub stalled_interval: Duration,
    /// A job that stalled more often fails. Default 1.
    pub max_stalled_count: i64,
    /// A job that was started more often fails. Default: no bound.
    pub max_started_attempts: Option<i64>,
    /// Longest time between two looks at an empty queue. Default 5 s.
    pub drain_delay: Duration,
    /// Longest sleep for a rate limit. Default 30 s.
    pub maximum_rate_limit_delay: Duration,
    /// For jobs that say nothing themselves. Default: 100,000 stay.
    pub remove_on_complete: KeepPolicy,
    pub remove_on_fail: KeepPolicy,
    /// Minutes of finished-job counts that stay; 0, the default, counts none.
    pub metrics_max_data_points: i64,
    /// Where jobs go that have failed for good and say nothing themselves. Default: they stay in this queue.
    pub dead_letter: Option<DeadLetter>,
    pub skip_stalled_check: bool,
    pub skip_lock_renewal: bool,
    /// Running jobs cannot be cancelled from other processes, which saves a subscription.
    pub skip_remote_cancel: bool,
    /// Longest pause after a call that failed, before the next. Default 1 s.
    pub run_retry_delay: Duration,
    /// Takes quick jobs a few milliseconds before there is a slot for them. Default true; never with a concurrency of 1, a
    /// `limiter`, or a bound of the whole queue.
    pub prefetch: bool,
    /// Opens one more connection, under the name by which BullMQ's `getWorkers` finds a worker. Default false.
    pub visible_to_bullmq: bool,
    /// The next jobs of job schedulers are made by the worker's owner, who knows when they come.
    pub own_recurrence: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: None,
            concurrency: 1,
            limiter: None,
            group: None,
            lock_duration: Duration::from_secs(30),
            lock_renew_time: Duration::from_secs(15),
            stalled_interval: Duration::from_secs(30),
            max_stalled_count: 1,
            max_started_attempts: None,
            drain_delay: Duration::from_secs(5),
            maximum_rate_limit_delay: Duration::from_secs(30),
            remove_on_complete: KeepPolicy { count: Some(bounds::FINISHED_JOBS), ..KeepPolicy::default() },
            remove_on_fail: KeepPolicy { count: Some(bounds::FINISHED_JOBS), ..KeepPolicy::default() },
            metrics_max_data_points: 0,
            dead_letter: None,
            skip_stalled_check: false,
            skip_lock_renewal: false,
            skip_remote_cancel: false,
            run_retry_delay: Duration::from_secs(1),
            prefetch: true,
            visible_to_bullmq: false,
            own_recurrence: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserOptions {
    name: Option<String>,
    concurrency: Option<f64>,
    limiter: Option<UserLimiter>,
    group: Option<UserGroupLimits>,
    lock_duration: Option<f64>,
    lock_renew_time: Option<f64>,
    stalled_interval: Option<f64>,
    max_stalled_count: Option<f64>,
    max_started_attempts: Option<f64>,
    /// Seconds, as in BullMQ.
    drain_delay: Option<f64>,
    maximum_rate_limit_delay: Option<f64>,
    remove_on_complete: Option<UserKeep>,
    remove_on_fail: Option<UserKeep>,
    metrics: Option<UserMetrics>,
    dead_letter: Option<UserDeadLetter>,
    skip_stalled_check: Option<bool>,
    skip_lock_renewal: Option<bool>,
    skip_remote_cancel: Option<bool>,
    run_retry_delay: Option<f64>,
    prefetch: Option<bool>,
    visible_to_bullmq: Option<bool>,
    own_recurrence: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLimiter {
    max: f64,
    duration: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserMetrics {
    max_data_points: f64,
}

const MOST: i64 = i32::MAX as i64;

fn duration(path: &str, value: Option<f64>, least: i64, default: Duration) -> Result<Duration> {
    let ms = whole(path, value, least, MOST)?;
    Ok(ms.and_then(|ms| u64::try_from(ms).ok()).map_or(default, Duration::from_millis))
}

impl WorkerOptions {
    /// Reads the options that a user wrote: BullMQ's names and units (milliseconds, `drainDelay` in seconds). Fails
    /// with `InvalidOption` and the path.
    pub fn from_json(text: &str) -> Result<Self> {
        let user: UserOptions = read_options(text)?;
        let default = Self::default();
        let lock_duration = duration("lockDuration", user.lock_duration, 100, default.lock_duration)?;
        let keep = |keep: Option<UserKeep>, path, default| {
            Ok(keep.map(|keep| keep.into_policy(path)).transpose()?.unwrap_or(default))
        };
        let options = Self {
            name: user.name.filter(|name| !name.is_empty()),
            concurrency: whole("concurrency", user.concurrency, 1, 100_000)?
                .and_then(|jobs| usize::try_from(jobs).ok())
                .unwrap_or(default.concurrency),
            limiter: user
                .limiter
                .map(|limiter| {
                    Ok::<_, Error>(Limiter {
                        max: whole("limiter.max", Some(limiter.max), 1, MOST)?.unwrap_or(1),
                        duration: duration("limiter.duration", Some(limiter.duration), 1, Duration::ZERO)?,
                    })
                })
                .transpose()?,
            group: user.group.map(|group| group.into_limits("group.")).transpose()?,
            lock_renew_time: duration("lockRenewTime", user.lock_renew_time, 50, lock_duration / 2)?,
            lock_duration,
            stalled_interval: duration("stalledInterval", user.stalled_interval, 50, default.stalled_interval)?,
            max_stalled_count: whole("maxStalledCount", user.max_stalled_count, 0, MOST)?
                .unwrap_or(default.max_stalled_count),
            max_started_attempts: whole("maxStartedAttempts", user.max_started_attempts, 1, MOST)?,
            drain_delay: match user.drain_delay {
                None => default.drain_delay,
                Some(seconds) if (0.01..=3600.0).contains(&seconds) => Duration::from_secs_f64(seconds),
                Some(seconds) => {
                    return Err(Error::invalid_option("drainDelay", &seconds.to_string(), "seconds from 0.01 to 3600"));
                }
            },
            maximum_rate_limit_delay: duration(
                "maximumRateLimitDelay",
                user.maximum_rate_limit_delay,
                1,
                default.maximum_rate_limit_delay,
            )?,
            remove_on_complete: keep(user.remove_on_complete, "removeOnComplete", default.remove_on_complete)?,
            remove_on_fail: keep(user.remove_on_fail, "removeOnFail", default.remove_on_fail)?,
            metrics_max_data_points: whole(
                "metrics.maxDataPoints",
                user.metrics.map(|metrics| metrics.max_data_points),
                0,
                20_160,
            )?
            .unwrap_or(0),
            dead_letter: user.dead_letter.map(UserDeadLetter::into_choice).transpose()?,
            skip_stalled_check: user.skip_stalled_check.unwrap_or(false),
            skip_lock_renewal: user.skip_lock_renewal.unwrap_or(false),
            skip_remote_cancel: user.skip_remote_cancel.unwrap_or(false),
            run_retry_delay: duration("runRetryDelay", user.run_retry_delay, 1, default.run_retry_delay)?,
            prefetch: user.prefetch.unwrap_or(true),
            visible_to_bullmq: user.visible_to_bullmq.unwrap_or(false),
            own_recurrence: user.own_recurrence.unwrap_or(false),
        };
        options.check()?;
        Ok(options)
    }

    /// What holds for options however they were made.
    pub(super) fn check(&self) -> Result<()> {
        if self.concurrency == 0 {
            return Err(Error::invalid_option("concurrency", "0", "an integer from 1"));
        }
        if self.lock_renew_time.is_zero() || self.lock_renew_time > self.lock_duration {
            let value = format!("{} ms", self.lock_renew_time.as_millis());
            return Err(Error::invalid_option("lockRenewTime", &value, "at most lockDuration"));
        }
        let is_client_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some(name) = self.name.as_deref().filter(|name| self.visible_to_bullmq && !is_client_name(name)) {
            let expected = "visible ASCII characters without blanks, as visibleToBullmq needs them";
            return Err(Error::invalid_option("name", &format!("`{name}`"), expected));
        }
        if self.stalled_interval.is_zero() {
            return Err(Error::invalid_option("stalledInterval", "0", "milliseconds from 1"));
        }
        Ok(())
    }
}
