//! How long commands take, as the server itself measures it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::info::{Info, pairs};
use crate::{
    codec::resp::Value,
    error::{Error, Result},
};

/// One command, on one server or on all.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandLatency {
    pub command: String,
    pub calls: f64,
    /// Calls that ended in an error.
    pub failed: f64,
    /// Milliseconds of a call on average.
    pub average_ms: f64,
    /// Milliseconds by percentile, such as `p99`. Those that the server is set to tell.
    pub percentiles: BTreeMap<String, f64>,
}

/// Something that took the server longer than its `latency-monitor-threshold`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyEvent {
    pub node: String,
    pub event: String,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Milliseconds: the last time, and the longest since the server began to note them.
    pub latest_ms: f64,
    pub max_ms: f64,
}

/// Of one of the servers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeLatency {
    pub node: String,
    pub commands: Vec<CommandLatency>,
}

/// Of all servers: calls are summed; a percentile is that of the server where it is the highest, because no sum of
/// percentiles means anything.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyReport {
    pub commands: Vec<CommandLatency>,
    pub events: Vec<LatencyEvent>,
    pub nodes: Vec<NodeLatency>,
    /// What not every server tells: `percentiles`, `events`.
    pub unavailable: Vec<&'static str>,
}

/// What one server told: `INFO commandstats`, `INFO latencystats`, `LATENCY LATEST`.
pub(super) struct Told {
    pub node: String,
    pub calls: Info,
    pub percentiles: Info,
    pub events: Result<Value>,
}

impl LatencyReport {
    pub(super) fn of(told: Vec<Told>) -> Result<Self> {
        let mut report = Self { commands: Vec::new(), events: Vec::new(), nodes: Vec::new(), unavailable: Vec::new() };
        for Told { node, calls, percentiles, events } in told {
            let commands = commands_of(&calls, &percentiles);
            if commands.iter().all(|command| command.percentiles.is_empty()) {
                report.lacks("percentiles");
            }
            match events {
                Ok(events) => report.events.extend(read_events(&node, events)?),
                // The engine in this process, and servers that forbid it, have none.
                Err(_) => report.lacks("events"),
            }
            report.nodes.push(NodeLatency { node, commands });
        }
        report.commands = summed(&report.nodes);
        Ok(report)
    }

    fn lacks(&mut self, what: &'static str) {
        if !self.unavailable.contains(&what) {
            self.unavailable.push(what);
        }
    }
}

fn commands_of(calls: &Info, percentiles: &Info) -> Vec<CommandLatency> {
    let mut commands: HashMap<&str, CommandLatency> = HashMap::new();
    for (name, line) in calls.beginning("cmdstat_") {
        let values: HashMap<&str, f64> =
            pairs(line).filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        let command = commands.entry(name).or_default();
        (command.calls, command.failed) = (value("calls"), value("failed_calls"));
        command.average_ms = value("usec_per_call") / 1_000.0;
    }
    for (name, line) in percentiles.beginning("latency_percentiles_usec_") {
        let told =
            pairs(line).filter_map(|(name, micros)| Some((name.to_owned(), micros.parse::<f64>().ok()? / 1_000.0)));
        commands.entry(name).or_default().percentiles = told.collect();
    }
    let named = |(name, command): (&str, CommandLatency)| CommandLatency {
        command: name.replace('|', " ").to_uppercase(),
        ..command
    };
    let mut commands: Vec<_> = commands.into_iter().map(named).collect();
    sort(&mut commands);
    commands
}

fn summed(nodes: &[NodeLatency]) -> Vec<CommandLatency> {
    let mut commands: HashMap<&str, CommandLatency> = HashMap::new();
    for command in nodes.iter().flat_map(|node| &node.commands) {
        let sum = commands
            .entry(&command.command)
            .or_insert_with(|| CommandLatency { command: command.command.clone(), ..CommandLatency::default() });
        let calls = sum.calls + command.calls;
        if calls > 0.0 {
            sum.average_ms = (sum.average_ms * sum.calls + command.average_ms * command.calls) / calls;
        }
        sum.calls = calls;
        sum.failed += command.failed;
        for (name, &ms) in &command.percentiles {
            let highest = sum.percentiles.entry(name.clone()).or_default();
            *highest = highest.max(ms);
        }
    }
    let mut commands: Vec<_> = commands.into_values().collect();
    sort(&mut commands);
    commands
}

/// Those first that took most of the server's time.
fn sort(commands: &mut [CommandLatency]) {
    let time = |command: &CommandLatency| command.calls * command.average_ms;
    commands.sort_by(|one, other| time(other).total_cmp(&time(one)).then_with(|| one.command.cmp(&other.command)));
}

fn read_events(node: &str, reply: Value) -> Result<Vec<LatencyEvent>> {
    let few = || Error::unexpected_reply("an event of LATENCY LATEST", "fewer fields");
    let read = |event: Value| {
        let mut fields = event.into_items()?.into_iter();
        let event = fields.next().ok_or_else(few)?.into_text()?;
        let mut number = || fields.next().ok_or_else(few)?.into_int();
        let (seconds, latest, max) = (number()?, number()?, number()?);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of one event")]
        let (latest_ms, max_ms) = (latest as f64, max as f64);
        Ok(LatencyEvent { node: node.to_owned(), event, timestamp: seconds.saturating_mul(1_000), latest_ms, max_ms })
    };
    reply.into_items()?.into_iter().map(read).collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers, and quotients that are exact")]
mod tests {
    use super::*;

    fn told(node: &str, calls: u32, p99: f64) -> Told {
        Told {
            node: node.to_owned(),
            calls: Info::parse(&format!(
                "cmdstat_get:calls={calls},usec=10,usec_per_call=2000.00,rejected_calls=0,failed_calls=1\r\n\
                 cmdstat_config|get:calls=1,usec=10,usec_per_call=10.00,rejected_calls=0,failed_calls=0\r\n"
            )),
            percentiles: Info::parse(&format!("latency_percentiles_usec_get:p50=1.003,p99={p99}\r\n")),
            events: Ok(Value::Array(vec![Value::Array(vec![
                Value::Bulk(b"command".to_vec()),
                Value::Int(100),
                Value::Int(7),
                Value::Int(9),
            ])])),
        }
    }

    #[test]
    fn calls_are_summed_and_percentiles_are_those_of_the_slowest() {
        let report = LatencyReport::of(vec![told("a", 10, 1_000.0), told("b", 30, 3_000.0)]).unwrap();
        let get = &report.commands[0];
        assert_eq!((get.command.as_str(), get.calls, get.failed, get.average_ms), ("GET", 40.0, 2.0, 2.0));
        assert_eq!(get.percentiles["p99"], 3.0);
        assert_eq!(report.commands[1].command, "CONFIG GET");
        assert_eq!((report.events.len(), report.events[1].max_ms, report.events[1].timestamp), (2, 9.0, 100_000));
        assert!(report.unavailable.is_empty());
        let silent = Told { percentiles: Info::default(), events: Err(Error::closed("x")), ..told("c", 1, 1.0) };
        assert_eq!(LatencyReport::of(vec![silent]).unwrap().unavailable, ["percentiles", "events"]);
    }
}
