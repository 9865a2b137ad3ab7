//! Whether servers are well, as codes that stay the same.

use std::time::Duration;

use serde::Serialize;

use super::{
    info::{Info, ServerInfo},
    options::MonitorOptions,
};
use crate::error::{Error, Result};

/// Below this, fragmentation is the allocator's own overhead.
const FRAGMENTATION_MATTERS: f64 = 64.0 * 1024.0 * 1024.0;
/// Lookups before a hit rate means something.
const LOOKUPS_MATTER: f64 = 1_000.0;
/// Part of the memory from which on a server that evicts nothing refuses writes at any moment.
const FULL: f64 = 0.99;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Healthy,
    /// It works, but somebody should look.
    Degraded,
    /// Calls fail, or are about to.
    Unhealthy,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub code: &'static str,
    pub status: Status,
    pub node: String,
    /// What was found, and from where on that is an alert; of those that are a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Code of the error that a server could not be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
}

/// Of one of the servers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeHealth {
    pub node: String,
    pub status: Status,
    /// Milliseconds of a round trip; none where there was no answer.
    pub latency_ms: Option<f64>,
}

/// Of all of them: as bad as the worst.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub status: Status,
    /// The codes, each once.
    pub alerts: Vec<&'static str>,
    pub details: Vec<Alert>,
    pub nodes: Vec<NodeHealth>,
}

impl Health {
    pub(super) fn add(&mut self, node: String, found: Result<(Duration, Info)>, options: &MonitorOptions) {
        let (alerts, latency_ms) = match found {
            Ok((trip, info)) => {
                let latency = trip.as_secs_f64() * 1_000.0;
                (alerts_of(&node, latency, &info, options), Some(latency))
            }
            Err(error) => (vec![unreachable(&node, &error)], None),
        };
        let status = alerts.iter().map(|alert| alert.status).max().unwrap_or_default();
        for alert in alerts {
            if !self.alerts.contains(&alert.code) {
                self.alerts.push(alert.code);
            }
            self.details.push(alert);
        }
        self.status = self.status.max(status);
        self.nodes.push(NodeHealth { node, status, latency_ms });
    }
}

fn unreachable(node: &str, error: &Error) -> Alert {
    Alert { error: Some(error.code().as_str()), ..alert("REDIS_UNREACHABLE", Status::Unhealthy, node) }
}

fn alert(code: &'static str, status: Status, node: &str) -> Alert {
    Alert { code, status, node: node.to_owned(), value: None, limit: None, error: None }
}

fn alerts_of(node: &str, latency_ms: f64, info: &Info, options: &MonitorOptions) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let figures = ServerInfo::of(info);
    let mut above = |code: &'static str, status: Status, value: f64, limit: f64| {
        if value >= limit {
            alerts.push(Alert { value: Some(value), limit: Some(limit), ..alert(code, status, node) });
            return true;
        }
        false
    };
    above("REDIS_LATENCY_HIGH", Status::Degraded, latency_ms, options.latency_ms);
    if figures.max_memory > 0.0 {
        let used = figures.used_memory / figures.max_memory;
        let refuses = info.text("maxmemory_policy") == Some("noeviction");
        if !(refuses && above("REDIS_MEMORY_FULL", Status::Unhealthy, used, FULL)) {
            above("REDIS_MEMORY_HIGH", Status::Degraded, used, options.memory);
        }
    }
    if figures.used_memory >= FRAGMENTATION_MATTERS {
        above("REDIS_FRAGMENTATION_HIGH", Status::Degraded, figures.memory_fragmentation, options.fragmentation);
    }
    if let Some(most) = info.number("maxclients").filter(|&most| most > 0.0) {
        above("REDIS_CLIENTS_HIGH", Status::Degraded, figures.connected_clients / most, options.clients);
    }
    if figures.keyspace_hits + figures.keyspace_misses >= LOOKUPS_MATTER && figures.hit_rate < options.hit_rate {
        let (value, limit) = (Some(figures.hit_rate), Some(options.hit_rate));
        alerts.push(Alert { value, limit, ..alert("REDIS_HIT_RATE_LOW", Status::Degraded, node) });
    }
    let is = |name: &str, value: &str| info.text(name) == Some(value);
    for (found, code, status) in [
        (is("loading", "1"), "REDIS_LOADING", Status::Unhealthy),
        (is("aof_last_write_status", "err"), "REDIS_PERSISTENCE_FAILING", Status::Unhealthy),
        (
            is("rdb_last_bgsave_status", "err") || is("aof_last_bgrewrite_status", "err"),
            "REDIS_SNAPSHOT_FAILING",
            Status::Degraded,
        ),
        (is("master_link_status", "down"), "REDIS_REPLICATION_DOWN", Status::Degraded),
        (is("cluster_state", "fail"), "REDIS_CLUSTER_DOWN", Status::Unhealthy),
    ] {
        if found {
            alerts.push(alert(code, status, node));
        }
    }
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_its_code() {
        let options = MonitorOptions { hit_rate: 0.8, ..MonitorOptions::default() };
        for (lines, code, status) in [
            ("used_memory:95\nmaxmemory:100\nmaxmemory_policy:allkeys-lru", "REDIS_MEMORY_HIGH", Status::Degraded),
            ("used_memory:95\nmaxmemory:100\nmaxmemory_policy:noeviction", "REDIS_MEMORY_HIGH", Status::Degraded),
            ("used_memory:100\nmaxmemory:100\nmaxmemory_policy:noeviction", "REDIS_MEMORY_FULL", Status::Unhealthy),
            ("used_memory:100000000\nmem_fragmentation_ratio:1.6", "REDIS_FRAGMENTATION_HIGH", Status::Degraded),
            ("connected_clients:9\nmaxclients:10", "REDIS_CLIENTS_HIGH", Status::Degraded),
            ("keyspace_hits:700\nkeyspace_misses:300", "REDIS_HIT_RATE_LOW", Status::Degraded),
            ("loading:1", "REDIS_LOADING", Status::Unhealthy),
            ("aof_last_write_status:err", "REDIS_PERSISTENCE_FAILING", Status::Unhealthy),
            ("rdb_last_bgsave_status:err", "REDIS_SNAPSHOT_FAILING", Status::Degraded),
            ("aof_last_bgrewrite_status:err", "REDIS_SNAPSHOT_FAILING", Status::Degraded),
            ("master_link_status:down", "REDIS_REPLICATION_DOWN", Status::Degraded),
            ("cluster_state:fail", "REDIS_CLUSTER_DOWN", Status::Unhealthy),
        ] {
            let mut health = Health::default();
            health.add("node".to_owned(), Ok((Duration::ZERO, Info::parse(lines))), &options);
            assert_eq!((&*health.alerts, health.status), (&[code][..], status), "{lines}");
        }
        for lines in [
            "used_memory:50\nmaxmemory:100\nmaxmemory_policy:noeviction",
            "used_memory:1000000\nmem_fragmentation_ratio:9",
            "keyspace_hits:1\nkeyspace_misses:300",
            "loading:0\nrdb_last_bgsave_status:ok\nmaster_link_status:up\ncluster_state:ok",
        ] {
            let mut health = Health::default();
            health.add("node".to_owned(), Ok((Duration::ZERO, Info::parse(lines))), &options);
            assert_eq!((health.alerts.len(), health.status), (0, Status::Healthy), "{lines}");
        }
    }

    #[test]
    fn all_are_as_bad_as_the_worst() {
        let (mut health, options) = (Health::default(), MonitorOptions::default());
        health.add("a".to_owned(), Ok((Duration::from_millis(200), Info::default())), &options);
        health.add("b".to_owned(), Err(Error::closed("connection")), &options);
        health.add("c".to_owned(), Ok((Duration::from_millis(300), Info::default())), &options);
        assert_eq!(health.status, Status::Unhealthy);
        assert_eq!(health.alerts, ["REDIS_LATENCY_HIGH", "REDIS_UNREACHABLE"]);
        assert_eq!((health.details.len(), health.details[1].error), (3, Some("ERR_CLOSED")));
        assert_eq!(health.nodes[1].latency_ms, None);
    }
}
