//! The figures of `INFO`.

use std::collections::HashMap;

use serde::Serialize;

use crate::error::Result;

/// The lines of `INFO`.
#[derive(Clone, Debug, Default)]
pub(super) struct Info {
    fields: HashMap<String, String>,
}

/// A database of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keyspace {
    pub db: u8,
    pub keys: u64,
    pub expires: u64,
    /// Milliseconds; 0 where the server does not know.
    pub avg_ttl: u64,
}

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Self { fields: fields.collect() }
    }

    /// Adds what another reply said.
    pub(super) fn extend(&mut self, other: &Self) {
        self.fields.extend(other.fields.clone());
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// What stands under names that begin so, without that.
    pub(super) fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    pub(super) fn keyspaces(&self) -> Vec<Keyspace> {
        let mut found: Vec<Keyspace> = self
            .beginning("db")
            .filter_map(|(db, line)| {
                let values: HashMap<&str, &str> = pairs(line).collect();
                let number = |name: &str| values.get(name).and_then(|digits| digits.parse().ok());
                let (keys, expires) = (number("keys")?, number("expires")?);
                Some(Keyspace { db: db.parse().ok()?, keys, expires, avg_ttl: number("avg_ttl").unwrap_or(0) })
            })
            .collect();
        found.sort_by_key(|keyspace| keyspace.db);
        found
    }
}

/// `name=value,name=value`.
pub(super) fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(',').filter_map(|pair| pair.split_once('='))
}

/// Figures of one server, or of several together. What a server does not tell is 0, and named in `unavailable`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    pub version: String,
    /// Seconds.
    pub uptime: f64,
    pub connected_clients: f64,
    /// Bytes.
    pub used_memory: f64,
    /// Bytes; 0 for no bound.
    pub max_memory: f64,
    pub memory_fragmentation: f64,
    pub total_commands_processed: f64,
    pub ops_per_second: f64,
    pub keyspace_hits: f64,
    pub keyspace_misses: f64,
    /// 0 to 1.
    pub hit_rate: f64,
    pub unavailable: Vec<&'static str>,
}

/// Figures of one of the servers.
#[derive(Clone, Debug, Serialize)]
pub struct NodeInfo {
    pub node: String,
    #[serde(flatten)]
    pub info: ServerInfo,
}

/// Figures of all servers together, and of each.
#[derive(Clone, Debug, Serialize)]
pub struct InfoReport {
    #[serde(flatten)]
    pub info: ServerInfo,
    pub nodes: Vec<NodeInfo>,
}

impl ServerInfo {
    pub(super) fn of(info: &Info) -> Self {
        let mut unavailable = Vec::new();
        let mut figure = |field: &'static str, name: &str| {
            info.number(name).unwrap_or_else(|| {
                unavailable.push(field);
                0.0
            })
        };
        let mut report = Self {
            version: info.text("valkey_version").or(info.text("redis_version")).unwrap_or_default().to_owned(),
            uptime: figure("uptime", "uptime_in_seconds"),
            connected_clients: figure("connectedClients", "connected_clients"),
            used_memory: figure("usedMemory", "used_memory"),
            max_memory: figure("maxMemory", "maxmemory"),
            memory_fragmentation: figure("memoryFragmentation", "mem_fragmentation_ratio"),
            total_commands_processed: figure("totalCommandsProcessed", "total_commands_processed"),
            ops_per_second: figure("opsPerSecond", "instantaneous_ops_per_sec"),
            keyspace_hits: figure("keyspaceHits", "keyspace_hits"),
            keyspace_misses: figure("keyspaceMisses", "keyspace_misses"),
            hit_rate: 0.0,
            unavailable: Vec::new(),
        };
        // The engine in this process counts its memory while it has a bound; no server takes none.
        if report.used_memory == 0.0 && !unavailable.contains(&"usedMemory") {
            unavailable.push("usedMemory");
        }
        if unavailable.contains(&"keyspaceHits") {
            unavailable.push("hitRate");
        }
        report.hit_rate = rate(report.keyspace_hits, report.keyspace_misses);
        report.unavailable = unavailable;
        report
    }

    fn summed(nodes: &[NodeInfo]) -> Self {
        let each = || nodes.iter().map(|node| &node.info);
        let sum = |of: fn(&Self) -> f64| each().map(of).sum::<f64>();
        let mut versions: Vec<&str> = each().map(|info| info.version.as_str()).collect();
        versions.sort_unstable();
        versions.dedup();
        let mut unavailable: Vec<_> = each().flat_map(|info| info.unavailable.iter().copied()).collect();
        unavailable.sort_unstable();
        unavailable.dedup();
        let (hits, misses) = (sum(|info| info.keyspace_hits), sum(|info| info.keyspace_misses));
        let used = sum(|info| info.used_memory);
        // Where one has no bound, all together have none.
        let bounded = each().all(|info| info.max_memory > 0.0);
        let given = sum(|info| info.memory_fragmentation * info.used_memory);
        Self {
            version: versions.join(", "),
            uptime: each().map(|info| info.uptime).fold(f64::INFINITY, f64::min),
            connected_clients: sum(|info| info.connected_clients),
            used_memory: used,
            max_memory: if bounded { sum(|info| info.max_memory) } else { 0.0 },
            memory_fragmentation: if used > 0.0 { given / used } else { 0.0 },
            total_commands_processed: sum(|info| info.total_commands_processed),
            ops_per_second: sum(|info| info.ops_per_second),
            keyspace_hits: hits,
            keyspace_misses: misses,
            hit_rate: rate(hits, misses),
            unavailable,
        }
    }
}

impl InfoReport {
    pub(super) fn of(infos: Vec<(String, Result<Info>)>) -> Result<Self> {
        let nodes = infos
            .into_iter()
            .map(|(node, info)| {
                let info = info.map_err(|error| error.during(&node))?;
                Ok(NodeInfo { node, info: ServerInfo::of(&info) })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { info: ServerInfo::summed(&nodes), nodes })
    }
}

pub(super) fn rate(hits: f64, misses: f64) -> f64 {
    if hits > 0.0 { hits / (hits + misses) } else { 0.0 }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, and quotients that are exact")]
mod tests {
    use super::*;

    fn node(used: u64, limit: u64, fragmentation: f64) -> (String, Result<Info>) {
        let text = format!(
            "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:{used}\r\n\r\n# Memory\r\nused_memory:{used}\r\n\
             maxmemory:{limit}\r\nmem_fragmentation_ratio:{fragmentation}\r\nconnected_clients:2\r\n\
             total_commands_processed:10\r\ninstantaneous_ops_per_sec:5\r\nkeyspace_hits:3\r\nkeyspace_misses:1\r\n"
        );
        (format!("node{used}"), Ok(Info::parse(&text)))
    }

    #[test]
    fn several_servers_are_summed() {
        let report = InfoReport::of(vec![node(100, 200, 1.0), node(300, 400, 2.0)]).unwrap();
        let sum = &report.info;
        assert_eq!(
            (sum.version.as_str(), sum.uptime, sum.used_memory, sum.max_memory),
            ("7.0.15", 100.0, 400.0, 600.0)
        );
        assert_eq!((sum.memory_fragmentation, sum.hit_rate, sum.ops_per_second), (1.75, 0.75, 10.0));
        assert!(sum.unavailable.is_empty());
        assert_eq!(report.nodes[1].node, "node300");
        let report = InfoReport::of(vec![node(100, 0, 1.0), node(300, 400, 2.0)]).unwrap();
        assert_eq!(report.info.max_memory, 0.0, "one without a bound");
    }

    #[test]
    fn what_a_server_does_not_tell_is_named() {
        let info = ServerInfo::of(&Info::parse("redis_version:7.4.0\r\nused_memory:0\r\nconnected_clients:1\r\n"));
        for field in ["usedMemory", "memoryFragmentation", "opsPerSecond", "keyspaceHits", "hitRate"] {
            assert!(info.unavailable.contains(&field), "{field}");
        }
        assert!(!info.unavailable.contains(&"connectedClients"));
    }

    #[test]
    fn databases_are_read() {
        let info =
            Info::parse("db2:keys=5,expires=1,avg_ttl=17,subexpiry=0\r\ndb0:keys=9,expires=0,avg_ttl=0\r\ndbx:1\r\n");
        assert_eq!(
            info.keyspaces(),
            [Keyspace { db: 0, keys: 9, expires: 0, avg_ttl: 0 }, Keyspace { db: 2, keys: 5, expires: 1, avg_ttl: 17 },]
        );
    }
}
