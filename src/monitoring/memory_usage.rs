//! What the databases of a server take. Redis has no such figure: it is the mean of some keys, times their number.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    analysis::{mean_margin, ratio},
    info::Keyspace,
    key_scan::{Budget, KeyScan},
};
use crate::{
    connection::Link,
    error::{Error, Result},
};

/// A database of one server.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDatabase {
    pub node: String,
    pub keys: f64,
    pub expires: f64,
    /// Milliseconds on average until those expire that do.
    #[serde(rename = "avgTTL")]
    pub avg_ttl: f64,
    /// Bytes, and give or take how many, with 95 % confidence; 0 when no key was measured.
    pub memory_usage: f64,
    pub margin: f64,
    pub measured_keys: f64,
}

/// A database of all servers together.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseMemory {
    pub db: u8,
    pub keys: f64,
    pub expires: f64,
    #[serde(rename = "avgTTL")]
    pub avg_ttl: f64,
    pub memory_usage: f64,
    pub margin: f64,
    pub measured_keys: f64,
    /// Always: no server tells what a database takes.
    pub estimated: bool,
    pub nodes: Vec<NodeDatabase>,
}

#[derive(Default)]
struct Sample {
    count: f64,
    bytes: f64,
    squares: f64,
    ttls: f64,
    ttl_sum: f64,
}

/// Measures some keys of one database. None when the caller went away.
#[expect(clippy::cast_precision_loss, reason = "sizes, times and numbers of keys are below 2^53")]
pub(super) async fn measure(
    node: &str,
    link: Arc<dyn Link>,
    keyspace: Keyspace,
    samples: f64,
    budget: Budget,
) -> Result<Option<NodeDatabase>> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an integer up to a million")]
    let most = samples as usize;
    let keys = keyspace.keys as f64;
    let stop = budget.stop.clone();
    let mut scan =
        if keys <= samples { KeyScan::through(link, budget) } else { KeyScan::by_chance(link, most, budget) };
    let mut sample = Sample::default();
    while let Some(slice) = scan.next().await? {
        slice.names.into_iter().for_each(|name| scan.want(name));
        for (_, measure) in slice.measured {
            if let Some(size) = measure.size.map(|size| size as f64) {
                sample.count += 1.0;
                sample.bytes += size;
                sample.squares += size * size;
            }
            if let Some(ms) = measure.ttl_ms {
                sample.ttls += 1.0;
                sample.ttl_sum += ms as f64;
            }
        }
        if let Some(code) = scan.refused {
            return Err(Error::new(code, "the server does not tell what its keys take: MEMORY USAGE was refused"));
        }
    }
    if stop.is_stopped() {
        return Ok(None);
    }
    // The server's own figure is of all keys, where it has one.
    let avg_ttl = if keyspace.avg_ttl > 0 { keyspace.avg_ttl as f64 } else { ratio(sample.ttl_sum, sample.ttls) };
    Ok(Some(NodeDatabase {
        node: node.to_owned(),
        keys,
        expires: keyspace.expires as f64,
        avg_ttl: avg_ttl.round(),
        memory_usage: (ratio(sample.bytes, sample.count) * keys).round(),
        margin: (mean_margin(sample.count, sample.bytes, sample.squares, keys) * keys).round(),
        measured_keys: sample.count,
    }))
}

impl DatabaseMemory {
    /// Databases by their numbers.
    pub(super) fn of(found: Vec<(u8, NodeDatabase)>) -> Vec<Self> {
        let mut databases: BTreeMap<u8, Self> = BTreeMap::new();
        for (db, node) in found {
            let sum = databases.entry(db).or_insert_with(|| Self { db, estimated: true, ..Self::default() });
            sum.avg_ttl =
                ratio(sum.avg_ttl * sum.expires + node.avg_ttl * node.expires, sum.expires + node.expires).round();
            sum.keys += node.keys;
            sum.expires += node.expires;
            sum.memory_usage += node.memory_usage;
            // Independent errors add as squares.
            sum.margin = sum.margin.hypot(node.margin).round();
            sum.measured_keys += node.measured_keys;
            sum.nodes.push(node);
        }
        databases.into_values().collect()
    }
}
