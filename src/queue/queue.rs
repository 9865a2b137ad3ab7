//! A queue: adding jobs, looking at them, and administration.

use std::sync::Arc;

use super::{JobCounts, JobOptions, JobRecord, JobState, NewJob};
use crate::{clock::Clock, connection::Link, error::Result};

/// Options of a [`Queue`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// First part of every key. Default `bull`.
    pub prefix: String,
    pub default_job_options: JobOptions,
    /// About how many entries the events stream keeps. Default 10,000.
    pub max_len_events: i64,
    pub clock: Clock,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            prefix: "bull".to_owned(),
            default_job_options: JobOptions::default(),
            max_len_events: 10_000,
            clock: Clock::system(),
        }
    }
}

impl QueueOptions {
    /// Reads `{prefix?, defaultJobOptions?, streams?: {events?: {maxLen?}}}`.
    pub fn from_json(_text: &str) -> Result<Self> {
        todo!()
    }
}

/// A queue. Cheap to clone; holds no connection of its own.
#[derive(Clone)]
pub struct Queue {
    _link: Arc<dyn Link>,
}

impl Queue {
    /// Fails when the name is empty or contains `:`.
    pub fn open(_link: Arc<dyn Link>, _name: &str, _options: QueueOptions) -> Result<Self> {
        todo!()
    }
    pub fn name(&self) -> &str {
        todo!()
    }
    /// `prefix:name`.
    pub fn qualified_name(&self) -> &str {
        todo!()
    }
    /// Adds jobs in order, in as few script calls as bounds allow. One result a job: its id, or why it was refused.
    pub async fn add(&self, _jobs: Vec<NewJob>) -> Vec<Result<String>> {
        todo!()
    }
    pub async fn get_job(&self, _id: &str) -> Result<Option<JobRecord>> {
        todo!()
    }
    /// Jobs of the given states, one state after the other, `start..=end` of each (as Redis counts, -1 is the last).
    pub async fn get_jobs(&self, _states: &[JobState], _start: i64, _end: i64, _asc: bool) -> Result<Vec<JobRecord>> {
        todo!()
    }
    pub async fn get_counts(&self) -> Result<JobCounts> {
        todo!()
    }
    pub async fn get_state(&self, _id: &str) -> Result<Option<JobState>> {
        todo!()
    }
    pub async fn pause(&self) -> Result<()> {
        todo!()
    }
    pub async fn resume(&self) -> Result<()> {
        todo!()
    }
    pub async fn is_paused(&self) -> Result<bool> {
        todo!()
    }
    /// False when the job, or a child, is locked by a worker, or does not exist.
    pub async fn remove(&self, _id: &str) -> Result<bool> {
        todo!()
    }
    /// Puts a failed (or completed) job back; `reset_attempts` lets it have all its attempts again.
    pub async fn retry(&self, _id: &str, _from: JobState, _reset_attempts: bool) -> Result<()> {
        todo!()
    }
    /// Runs a delayed job now.
    pub async fn promote(&self, _id: &str) -> Result<()> {
        todo!()
    }
    /// `data` is JSON text.
    pub async fn update_data(&self, _id: &str, _data: &str) -> Result<()> {
        todo!()
    }
    /// `progress` is JSON text.
    pub async fn update_progress(&self, _id: &str, _progress: &str) -> Result<()> {
        todo!()
    }
    /// Adds a row and says how many there are now.
    pub async fn add_log(&self, _id: &str, _row: &str, _keep: Option<i64>) -> Result<i64> {
        todo!()
    }
    /// Rows `start..=end`, and how many there are in all.
    pub async fn get_logs(&self, _id: &str, _start: i64, _end: i64) -> Result<(Vec<String>, i64)> {
        todo!()
    }
    /// Removes all jobs that wait; with `delayed`, also those.
    pub async fn drain(&self, _delayed: bool) -> Result<()> {
        todo!()
    }
    /// Removes up to `limit` (0: any number) jobs of `state` older than `grace_ms`; gives their ids.
    pub async fn clean(&self, _grace_ms: i64, _limit: usize, _state: JobState) -> Result<Vec<String>> {
        todo!()
    }
    /// Deletes the queue and everything in it. It is paused first; active jobs stop it unless `force`.
    pub async fn obliterate(&self, _force: bool) -> Result<()> {
        todo!()
    }
    /// At most so many jobs active in all workers; `None` lifts the bound.
    pub async fn set_global_concurrency(&self, _bound: Option<i64>) -> Result<()> {
        todo!()
    }
}
