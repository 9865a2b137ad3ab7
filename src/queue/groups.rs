//! Groups: jobs that share a queue fairly. Ungrouped jobs go first, then one job of each group in turn.
//!
//! What a group may do at once and in a period is a setting of the queue, stored in it, so that all workers of all
//! processes agree. Jobs of groups wait in keys of their own; `lua/lib/groups.lua` has the layout.

use serde::{Deserialize, Serialize};

use super::{JobRecord, MAX_PRIORITY, Queue, scripts::Storage, worker_options::Limiter};
use crate::{
    codec::{
        option_text::{read_options, whole},
        resp::Value,
    },
    connection::Command,
    error::{Error, Result},
    script::queue as lua,
};

const MOST: i64 = i32::MAX as i64;
/// Longest id of a group, in bytes.
const LONGEST_ID: usize = 512;
const READ_SLICE: usize = 500;

/// The group of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobGroup {
    pub id: String,
    /// The job is refused when so many jobs of the group wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i64>,
    /// Within the group: 1 (first) to 2,097,151; 0, the default, goes before all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserGroup {
    id: String,
    max_size: Option<f64>,
    priority: Option<f64>,
}

impl UserGroup {
    pub(super) fn into_group(self) -> Result<JobGroup> {
        let group = JobGroup {
            id: self.id,
            max_size: whole("group.maxSize", self.max_size, 1, MOST)?,
            priority: whole("group.priority", self.priority, 0, MAX_PRIORITY)?,
        };
        group.check()?;
        Ok(group)
    }
}

impl JobGroup {
    /// What holds for a group however it was made.
    pub(super) fn check(&self) -> Result<()> {
        check_id("group.id", &self.id, Error::invalid_option)?;
        if let Some(priority) = self.priority.filter(|priority| !(0..=MAX_PRIORITY).contains(priority)) {
            return Err(Error::invalid_option("group.priority", &priority.to_string(), "an integer from 0 to 2097151"));
        }
        Ok(())
    }
}

fn check_id(name: &str, id: &str, refuse: fn(&str, &str, &str) -> Error) -> Result<()> {
    match id.len() {
        0 => Err(refuse(name, "empty", "a text")),
        1..=LONGEST_ID => Ok(()),
        length => Err(refuse(name, &format!("{length} bytes long"), "at most 512 bytes")),
    }
}

/// Bounds of each group that has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupLimits {
    /// Jobs of a group at once, in all workers.
    pub concurrency: Option<i64>,
    /// Jobs of a group started in each period, by all workers.
    pub limit: Option<Limiter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserGroupLimits {
    concurrency: Option<f64>,
    limit: Option<UserLimit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLimit {
    max: f64,
    duration: f64,
}

impl UserGroupLimits {
    /// `path` stands before the names of the options.
    pub(super) fn into_limits(self, path: &str) -> Result<GroupLimits> {
        let limit = self.limit.map(|limit| {
            Ok::<_, Error>(Limiter {
                max: whole(&format!("{path}limit.max"), Some(limit.max), 1, MOST)?.unwrap_or(1),
                duration: std::time::Duration::from_millis(
                    whole(&format!("{path}limit.duration"), Some(limit.duration), 1, MOST)?
                        .and_then(|ms| u64::try_from(ms).ok())
                        .unwrap_or(1),
                ),
            })
        });
        Ok(GroupLimits {
            concurrency: whole(&format!("{path}concurrency"), self.concurrency, 1, MOST)?,
            limit: limit.transpose()?,
        })
    }
}

impl GroupLimits {
    /// Reads `{concurrency?, limit?: {max, duration}}`.
    pub fn from_json(text: &str) -> Result<Self> {
        read_options::<UserGroupLimits>(text)?.into_limits("")
    }
}

/// A group with waiting jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    pub id: String,
    pub waiting: i64,
    pub active: i64,
    /// `waiting`, `limited` (by its rate), `maxed` (by its concurrency) or `paused`.
    pub status: &'static str,
}

/// A setting that is to be changed, taken away or left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change<T> {
    Keep,
    Set(Option<T>),
}

impl Queue {
    /// Bounds of groups that have none of their own; what is `None` is taken away.
    pub async fn set_group_limits(&self, limits: GroupLimits) -> Result<()> {
        self.storage().configure_groups("", Change::Set(limits.concurrency), Change::Set(limits.limit)).await
    }

    /// What a worker asks for: a bound that it does not name stays as it is.
    pub(super) async fn want_group_limits(&self, limits: GroupLimits) -> Result<()> {
        let (concurrency, limit) = (limits.concurrency, limits.limit);
        let concurrency = concurrency.map_or(Change::Keep, |bound| Change::Set(Some(bound)));
        let limit = limit.map_or(Change::Keep, |limit| Change::Set(Some(limit)));
        self.storage().configure_groups("", concurrency, limit).await
    }

    /// Jobs of one group at once; `None` lets it have what all have.
    pub async fn set_group_concurrency(&self, group: &str, bound: Option<i64>) -> Result<()> {
        check_id("group", group, Error::invalid_argument)?;
        self.storage().configure_groups(group, Change::Set(bound), Change::Keep).await
    }

    /// The group's own bound, else that of all groups.
    pub async fn get_group_concurrency(&self, group: &str) -> Result<Option<i64>> {
        let keys = &self.storage().keys;
        let commands = [
            Command::new("HGET").key(keys.of_groups("concurrency")).arg(group).repeatable(),
            Command::new("HGET").key(keys.of_groups("state")).arg("concurrency").repeatable(),
        ];
        for reply in self.storage().link.call_many(&commands).await {
            if let Some(bound) = reply?.into_optional_text()?.and_then(|bound| bound.parse().ok()) {
                return Ok(Some(bound));
            }
        }
        Ok(None)
    }

    /// Jobs of one group in each period; `None` lets it have what all have.
    pub async fn set_group_rate_limit(&self, group: &str, limit: Option<Limiter>) -> Result<()> {
        check_id("group", group, Error::invalid_argument)?;
        self.storage().configure_groups(group, Change::Keep, Change::Set(limit)).await
    }

    /// Milliseconds until a group that rests goes on; 0 when it does not rest.
    pub async fn get_group_rate_limit_ttl(&self, group: &str) -> Result<i64> {
        let command = Command::new("ZSCORE").key(self.storage().keys.of_groups("limited")).arg(group).repeatable();
        let until = self.storage().link.call(command).await?.into_optional_text()?;
        Ok(until.and_then(|until| until.parse::<i64>().ok()).map_or(0, |until| (until - self.now()).max(0)))
    }

    /// Lets a group rest for so long.
    pub async fn rate_limit_group(&self, group: &str, ms: i64) -> Result<()> {
        check_id("group", group, Error::invalid_argument)?;
        let ms = ms.clamp(1, crate::codec::option_text::MAX_MS);
        self.storage().hold_group(self.now(), group, &ms.to_string()).await.map(drop)
    }

    /// False when the group was paused already.
    pub async fn pause_group(&self, group: &str) -> Result<bool> {
        check_id("group", group, Error::invalid_argument)?;
        self.storage().hold_group(self.now(), group, "pause").await
    }

    /// False when the group was not paused.
    pub async fn resume_group(&self, group: &str) -> Result<bool> {
        check_id("group", group, Error::invalid_argument)?;
        self.storage().hold_group(self.now(), group, "resume").await
    }

    /// Waiting jobs in all groups.
    pub async fn get_groups_jobs_count(&self) -> Result<i64> {
        let command = Command::new("HGET").key(self.storage().keys.of_groups("state")).arg("waiting").repeatable();
        let waiting = self.storage().link.call(command).await?.into_optional_text()?;
        Ok(waiting.and_then(|waiting| waiting.parse().ok()).unwrap_or(0))
    }

    /// Waiting jobs of a group.
    pub async fn get_group_jobs_count(&self, group: &str) -> Result<i64> {
        let command = Command::new("ZCARD").key(self.storage().keys.group_jobs(group)).repeatable();
        self.storage().link.call(command).await?.into_int()
    }

    /// Running jobs of a group.
    pub async fn get_group_active_count(&self, group: &str) -> Result<i64> {
        let command = Command::new("HGET").key(self.storage().keys.of_groups("active")).arg(group).repeatable();
        let active = self.storage().link.call(command).await?.into_optional_text()?;
        Ok(active.and_then(|active| active.parse().ok()).unwrap_or(0))
    }

    /// Waiting jobs `start..=end` of a group, as Redis counts, the next one first.
    pub async fn get_group_jobs(&self, group: &str, start: i64, end: i64) -> Result<Vec<JobRecord>> {
        let ids = self.group_ids(&self.storage().keys.group_jobs(group), start, end).await?;
        self.read_jobs(&ids).await
    }

    /// Waiting jobs of a group with each of the priorities.
    pub async fn get_counts_per_priority_for_group(&self, group: &str, priorities: &[i64]) -> Result<Vec<i64>> {
        let key = self.storage().keys.group_jobs(group);
        let counts: Vec<_> = priorities
            .iter()
            .map(|priority| {
                let first = priority << 32;
                Command::new("ZCOUNT").key(&key).int(first).int(first + (1 << 32) - 1).repeatable()
            })
            .collect();
        self.storage().link.call_many(&counts).await.into_iter().map(|reply| reply?.into_int()).collect()
    }

    /// Groups with waiting jobs, `start..=end` as Redis counts, the smallest first.
    pub async fn get_groups(&self, start: i64, end: i64) -> Result<Vec<GroupState>> {
        let (link, keys) = (&self.storage().link, &self.storage().keys);
        let command = Command::new("ZRANGE").key(keys.of_groups("sizes")).int(start).int(end).repeatable();
        let ids = texts(link.call(command).await?)?;
        let mut groups = Vec::with_capacity(ids.len());
        for slice in ids.chunks(READ_SLICE) {
            let reads: Vec<_> = slice
                .iter()
                .flat_map(|id| {
                    [
                        Command::new("ZCARD").key(keys.group_jobs(id)).repeatable(),
                        Command::new("HGET").key(keys.of_groups("active")).arg(id).repeatable(),
                        Command::new("SISMEMBER").key(keys.of_groups("paused")).arg(id).repeatable(),
                        Command::new("ZSCORE").key(keys.of_groups("limited")).arg(id).repeatable(),
                        Command::new("ZSCORE").key(&keys.groups).arg(id).repeatable(),
                    ]
                })
                .collect();
            let mut replies = link.call_many(&reads).await.into_iter();
            for id in slice {
                let mut next =
                    || replies.next().unwrap_or_else(|| Err(Error::unexpected_reply("get_groups", "nothing")));
                let waiting = next()?.into_int()?;
                let active = next()?.into_optional_text()?.and_then(|active| active.parse().ok()).unwrap_or(0);
                let (is_paused, limited, turn) = (next()?.into_int()? == 1, next()?, next()?);
                let status = match (is_paused, limited, turn) {
                    (true, ..) => "paused",
                    (_, limited, _) if limited != Value::Nil => "limited",
                    (_, _, Value::Nil) => "maxed",
                    _ => "waiting",
                };
                // One that was emptied meanwhile.
                if waiting > 0 {
                    groups.push(GroupState { id: id.clone(), waiting, active, status });
                }
            }
        }
        Ok(groups)
    }

    /// Ids of jobs in groups, in the order of `get_groups`, that stand at `start..=end` (-1: the last) of all of them.
    pub(super) async fn grouped_waiting(&self, start: i64, end: i64) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        let mut passed = 0;
        for group in self.get_groups(0, -1).await? {
            let (first, last) = (start - passed, if end < 0 { -1 } else { end - passed });
            if end >= 0 && last < 0 {
                break;
            }
            if first < group.waiting {
                ids.extend(self.group_ids(&self.storage().keys.group_jobs(&group.id), first.max(0), last).await?);
            }
            passed += group.waiting;
        }
        Ok(ids)
    }

    async fn group_ids(&self, key: &str, start: i64, end: i64) -> Result<Vec<String>> {
        let range = Command::new("ZRANGE").key(key).int(start).int(end).repeatable();
        texts(self.storage().link.call(range).await?)
    }
}

fn texts(reply: Value) -> Result<Vec<String>> {
    reply.into_items()?.into_iter().map(Value::into_text).collect()
}

impl Storage {
    async fn configure_groups(&self, group: &str, concurrency: Change<i64>, limit: Change<Limiter>) -> Result<()> {
        let keys = &self.keys;
        let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let concurrency = match concurrency {
            Change::Keep => "-".to_owned(),
            Change::Set(bound) => text(bound),
        };
        let (max, ms) = match limit {
            Change::Keep => ("-".to_owned(), String::new()),
            Change::Set(limit) => (
                text(limit.map(|limit| limit.max)),
                limit.map(|limit| limit.duration.as_millis().to_string()).unwrap_or_default(),
            ),
        };
        let call = lua::CONFIGURE_GROUPS.with(
            [&keys.meta, &keys.active, &keys.marker, &keys.prefix],
            [group.as_bytes(), concurrency.as_bytes(), max.as_bytes(), ms.as_bytes()],
        );
        call.repeatable().run(&*self.link).await.map(drop)
    }

    async fn hold_group(&self, now: i64, group: &str, how: &str) -> Result<bool> {
        let keys = &self.keys;
        let call = lua::HOLD_GROUP.with(
            [&keys.meta, &keys.active, &keys.marker, &keys.prefix],
            [group.as_bytes(), how.as_bytes(), now.to_string().as_bytes()],
        );
        Ok(call.run(&*self.link).await?.into_int()? == 1)
    }

    /// Groups with waiting jobs.
    pub(super) async fn group_names(&self) -> Result<Vec<String>> {
        let command = Command::new("ZRANGE").key(self.keys.of_groups("sizes")).int(0).int(-1).repeatable();
        texts(self.link.call(command).await?)
    }
}
