//! Typed functions for the scripts that know of parents and children.

use std::{collections::BTreeSet, sync::Arc};

use super::scripts::{AddedJob, REMOVED_SLICE, Storage, flag, text};
use crate::{
    codec::resp::Value,
    connection::Link,
    error::{Error, Result},
    script::{ScriptCall, queue as lua},
};

/// A job as `add_flow` takes it.
pub(super) struct AddedNode<'a> {
    pub(super) job: &'a AddedJob,
    /// First part of the keys of its queue.
    pub(super) prefix: &'a str,
    /// It has a parent that is not added by the same call.
    pub(super) outside: bool,
    pub(super) has_children: bool,
}

/// The call that adds `nodes`. With `alone`, one that is refused stops no other.
fn add_flow(now: i64, alone: bool, nodes: &[AddedNode<'_>]) -> ScriptCall {
    let numbers: Vec<[Vec<u8>; 6]> = nodes
        .iter()
        .map(|AddedNode { job, .. }| {
            let (ttl, rules) = job.deduplication.as_ref().map_or((0, String::new()), |one| (one.ttl_ms(), one.rules()));
            let group_max = job.group.as_ref().and_then(|group| group.max_size).map(text).unwrap_or_default();
            [text(job.timestamp), text(job.delay), text(job.priority), text(ttl), rules.into_bytes(), group_max]
        })
        .collect();
    let rest = nodes.iter().zip(&numbers).flat_map(|(node, [timestamp, delay, priority, ttl, rules, group_max])| {
        let job = node.job;
        let [parent_prefix, parent_id, parent] =
            job.parent.as_ref().map_or([""; 3], |parent| [&parent.prefix, &parent.id, &parent.json]);
        [
            flag(node.outside),
            node.prefix.as_bytes(),
            job.own_id.as_deref().unwrap_or_default().as_bytes(),
            job.name.as_bytes(),
            job.data.as_bytes(),
            job.opts.as_bytes(),
            timestamp,
            delay,
            priority,
            flag(job.lifo),
            flag(node.has_children),
            parent_prefix.as_bytes(),
            parent_id.as_bytes(),
            parent.as_bytes(),
            job.deduplication.as_ref().map_or(&[][..], |one| one.id.as_bytes()),
            ttl,
            rules,
            job.group.as_ref().map_or(&[][..], |group| group.id.as_bytes()),
            group_max,
        ]
    });
    let first = nodes.first().map_or("", |node| node.prefix);
    let parents = nodes.iter().filter_map(|node| node.job.parent.as_ref()).map(|parent| parent.prefix.as_str());
    let others: BTreeSet<&str> =
        nodes.iter().map(|node| node.prefix).chain(parents).filter(|&one| one != first).collect();
    let others: Vec<String> = others.into_iter().map(str::to_owned).collect();
    lua::ADD_FLOW.with_more_keys([first], &others, [&text(now), flag(alone)], rest)
}

/// Adds all of them or none; gives their ids.
pub(super) async fn add_nodes(link: &dyn Link, now: i64, nodes: &[AddedNode<'_>]) -> Result<Vec<String>> {
    let call = add_flow(now, false, nodes);
    call.run(link).await?.into_items()?.into_iter().map(Value::into_text).collect()
}

impl Storage {
    /// Adds jobs of this queue whose parents are there already, each on its own.
    pub(super) fn add_children(
        &self,
        now: i64,
        jobs: &[AddedJob],
    ) -> impl Future<Output = Result<Vec<Result<String>>>> + Send + use<> {
        let prefix = self.keys.prefix.as_str();
        let nodes: Vec<_> =
            jobs.iter().map(|job| AddedNode { job, prefix, outside: true, has_children: false }).collect();
        let reply = add_flow(now, true, &nodes).start(Arc::clone(&self.link));
        async move {
            let result = |value: Value| match value {
                Value::Error(error) => Err(error),
                value => value.into_text(),
            };
            Ok(reply.await?.into_items()?.into_iter().map(result).collect())
        }
    }

    pub(super) async fn remove_job(&self, now: i64, id: &str, with_children: bool) -> Result<bool> {
        loop {
            let call = lua::REMOVE_JOB.with(
                [&self.keys.repeat, &self.keys.prefix],
                [id.as_bytes(), &text(now), flag(with_children), &text(REMOVED_SLICE as u64)],
            );
            match self.run(call).await?.into_int()? {
                0 => return Ok(false),
                1 => return Ok(true),
                _ => {}
            }
        }
    }

    pub(super) async fn remove_unprocessed_children(&self, now: i64, id: &str) -> Result<()> {
        let mut cursor = "0".to_owned();
        loop {
            let call = lua::REMOVE_UNPROCESSED_CHILDREN.with([&self.keys.job(id)], [&text(now), cursor.as_bytes()]);
            cursor = self.run(call).await?.into_text()?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }

    pub(super) async fn remove_child_dependency(&self, now: i64, id: &str) -> Result<bool> {
        let call = lua::REMOVE_CHILD_DEPENDENCY.with([&self.keys.job(id)], [id.as_bytes(), &text(now)]);
        Ok(self.run(call).await?.into_int()? == 1)
    }

    pub(super) async fn remove_deduplication(&self, deduplication_id: &str, job_id: &str) -> Result<bool> {
        let window = format!("{}de:{deduplication_id}", self.keys.prefix);
        let call = lua::REMOVE_DEDUPLICATION.with([&window], [job_id.as_bytes()]);
        Ok(self.run(call).await?.into_int()? == 1)
    }

    pub(super) async fn check_children(&self, id: &str, token: &str, child: Option<&str>) -> Result<bool> {
        let call = lua::CHECK_CHILDREN
            .with([&self.keys.job(id)], [id.as_bytes(), token.as_bytes(), child.unwrap_or_default().as_bytes()])
            .repeatable();
        Ok(self.run(call).await?.into_int()? == 1)
    }
}

/// A cluster's refusal, in the words of who added a flow.
pub(super) fn explain_slots(error: Error) -> Error {
    let is_cross_slot = error.message().contains("CROSSSLOT");
    if !is_cross_slot {
        return error;
    }
    let allowed = "on a Cluster: queues whose prefix or name has the same hash tag, such as `{flows}`";
    Error::invalid_argument("flow", "spread over several hash slots", allowed).caused_by(error)
}
