//! [`Monitor`]: what can be asked about servers.

use std::{sync::Arc, time::Instant};

use tokio::task::JoinSet;

use super::{
    analysis::{self, KeyAnalysis},
    health::Health,
    info::{Info, InfoReport},
    key_scan::Budget,
    latency::{LatencyReport, Told},
    memory_usage::{self, DatabaseMemory},
    options::{AnalysisOptions, MonitorOptions, UsageOptions},
    slow_log::{self, SlowQuery},
    stop::Stop,
};
use crate::{
    connection::{self, Command, ConnectionOptions, Link},
    error::{Error, ErrorCode, Result},
};

/// Commands of the slow log that are told at most.
const MOST_SLOW_QUERIES: u32 = 10_000;

/// Looks into one server or several, such as the primaries of a cluster: each is asked for itself. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    nodes: Arc<[Node]>,
    options: Arc<MonitorOptions>,
}

#[derive(Clone)]
struct Node {
    name: String,
    link: Arc<dyn Link>,
    /// How to reach other databases of it.
    connection: Arc<ConnectionOptions>,
}

impl Monitor {
    /// # Errors
    /// `InvalidOption` for no server, and what [`connection::open`] gives.
    pub fn open(servers: Vec<ConnectionOptions>, options: MonitorOptions) -> Result<Self> {
        if servers.is_empty() {
            return Err(Error::invalid_option("redis", "an empty list", "one server or several"));
        }
        let open = |connection: ConnectionOptions| {
            let link = connection::open(connection.clone())?;
            Ok(Node { name: link.describe().to_owned(), link, connection: Arc::new(connection) })
        };
        let nodes = servers.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        Ok(Self { nodes: nodes.into(), options: Arc::new(options) })
    }

    /// The links, to watch.
    pub fn links(&self) -> impl Iterator<Item = &Arc<dyn Link>> {
        self.nodes.iter().map(|node| &node.link)
    }

    /// Round trip to every server.
    pub async fn ping(&self) -> Result<()> {
        self.on_each(|node| async move { node.link.call(Command::new("PING").repeatable()).await }).await.all()?;
        Ok(())
    }

    /// Figures of the servers, summed and of each.
    pub async fn info(&self) -> Result<InfoReport> {
        InfoReport::of(self.on_each(|node| async move { info(&node.link, &[]).await }).await.outcomes)
    }

    /// Commands that took long, the latest first: up to `limit` of all servers together.
    ///
    /// # Errors
    /// `InvalidArgument` for the limit.
    pub async fn slow_queries(&self, limit: u32) -> Result<Vec<SlowQuery>> {
        if !(1..=MOST_SLOW_QUERIES).contains(&limit) {
            let allowed = format!("an integer from 1 to {MOST_SLOW_QUERIES}");
            return Err(Error::invalid_argument("limit", &limit.to_string(), &allowed));
        }
        let asked = self.on_each(move |node| async move {
            let command = Command::new("SLOWLOG").arg("GET").int(i64::from(limit)).repeatable();
            slow_log::read(&node.name, node.link.call(command).await?)
        });
        let mut queries: Vec<_> = asked.await.all()?.into_iter().flatten().collect();
        queries.sort_by(|one, other| other.timestamp.cmp(&one.timestamp).then_with(|| other.id.cmp(&one.id)));
        queries.truncate(limit as usize);
        Ok(queries)
    }

    /// How long commands take, as the servers measure it.
    pub async fn latency(&self) -> Result<LatencyReport> {
        let asked = self.on_each(|node| async move {
            let calls = info(&node.link, &["commandstats"]).await?;
            let percentiles = info(&node.link, &["latencystats"]).await?;
            let events = node.link.call(Command::new("LATENCY").arg("LATEST").repeatable()).await;
            Ok(Told { node: node.name, calls, percentiles, events })
        });
        LatencyReport::of(asked.await.all()?)
    }

    /// Whether the servers are well. A server that does not answer is an alert, not an error.
    pub async fn health(&self) -> Health {
        let asked = self.on_each(|node| async move {
            let began = Instant::now();
            node.link.call(Command::new("PING").repeatable()).await?;
            let trip = began.elapsed();
            let mut found = info(&node.link, &[]).await?;
            if found.text("cluster_enabled") == Some("1") {
                let state = node.link.call(Command::new("CLUSTER").arg("INFO").repeatable()).await?;
                found.extend(&Info::parse(&state.into_text()?));
            }
            Ok((trip, found))
        });
        let mut health = Health::default();
        for (node, found) in asked.await.outcomes {
            health.add(node, found, &self.options);
        }
        health
    }

    /// What each database takes, estimated. None when `stop` was asked for.
    pub async fn memory_usage(&self, options: &UsageOptions, stop: &Stop) -> Result<Option<Vec<DatabaseMemory>>> {
        let budget = Budget::new(options.time_budget(), stop.clone());
        let samples = options.samples;
        let asked = self.on_each(move |node| {
            let budget = budget.clone();
            async move {
                let keyspaces = info(&node.link, &["keyspace"]).await?.keyspaces();
                let mut databases = Vec::with_capacity(keyspaces.len());
                for (done, &keyspace) in keyspaces.iter().enumerate() {
                    let connection = ConnectionOptions { db: Some(keyspace.db), ..(*node.connection).clone() };
                    let link = connection::open(connection)?;
                    let part = budget.part(keyspaces.len() - done);
                    match memory_usage::measure(&node.name, link, keyspace, samples, part).await? {
                        Some(database) => databases.push((keyspace.db, database)),
                        None => return Ok(None),
                    }
                }
                Ok(Some(databases))
            }
        });
        let found: Option<Vec<_>> = asked.await.all()?.into_iter().collect();
        Ok(found.map(|found| DatabaseMemory::of(found.into_iter().flatten().collect())))
    }

    /// What the keys are. None when `stop` was asked for.
    pub async fn analyze_keys(&self, options: AnalysisOptions, stop: &Stop) -> Result<Option<KeyAnalysis>> {
        let began = Instant::now();
        let budget = Budget::new(options.time_budget(), stop.clone());
        let options = Arc::new(options);
        let asked = self.on_each(|node| {
            let (options, budget) = (Arc::clone(&options), budget.clone());
            async move { analysis::look(node.name, node.link, &node.connection.key_prefix, &options, budget).await }
        });
        let seen: Option<Vec<_>> = asked.await.all()?.into_iter().collect();
        let Some(seen) = seen else { return Ok(None) };
        let summing = tokio::task::spawn_blocking(move || KeyAnalysis::of(seen, &options, began));
        summing.await.map(Some).map_err(|_| Error::new(ErrorCode::Internal, "the summary of keys ended"))
    }

    /// Asks all servers at once.
    async fn on_each<T, F>(&self, ask: impl Fn(Node) -> F) -> Outcomes<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut running = JoinSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let asking = ask(node.clone());
            running.spawn(async move { (index, asking.await) });
        }
        let ended = || Err(Error::new(ErrorCode::Internal, "a question to a server ended"));
        let mut outcomes: Vec<_> = self.nodes.iter().map(|node| (node.name.clone(), ended())).collect();
        while let Some(outcome) = running.join_next().await {
            if let Ok((index, outcome)) = outcome {
                outcomes[index].1 = outcome;
            }
        }
        Outcomes { outcomes }
    }
}

/// What each server answered, by its name.
struct Outcomes<T> {
    outcomes: Vec<(String, Result<T>)>,
}

impl<T> Outcomes<T> {
    /// What all answered, or the first error, with the server that it is of.
    fn all(self) -> Result<Vec<T>> {
        self.outcomes.into_iter().map(|(node, outcome)| outcome.map_err(|error| error.during(&node))).collect()
    }
}

async fn info(link: &Arc<dyn Link>, sections: &[&str]) -> Result<Info> {
    let command = Command::new("INFO").args(sections).repeatable();
    Ok(Info::parse(&link.call(command).await?.into_text()?))
}
