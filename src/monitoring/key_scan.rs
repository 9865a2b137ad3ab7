//! Going through keys, and asking what some of them weigh, without anybody else noticing.
//!
//! A server does one thing at a time, so whoever asks for much makes all others wait. What is asked here goes in slices that
//! take the server a fraction of a millisecond, one at a time, and after each it is left alone for as long as the slice took.
//! A slice that comes back late says that the server has other things to do: the next is smaller.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    pattern_tree::{Measure, TYPES},
    stop::Stop,
};
use crate::{
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, ErrorCode, Result},
};

/// `COUNT` of a slice.
const FIRST_COUNT: i64 = 200;
const LEAST_COUNT: i64 = 50;
const MOST_COUNT: i64 = 500;
/// Times of a slice from which on the next is larger, and smaller.
const QUICK: Duration = Duration::from_millis(2);
const SLOW: Duration = Duration::from_millis(4);
/// Keys that are measured in a slice, and drawn by chance.
const MEASURED_AT_ONCE: usize = 100;
const DRAWN_AT_ONCE: usize = 50;
/// Pauses between slices.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long something may go on.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub until: Instant,
    pub stop: Stop,
}

impl Budget {
    pub(super) fn new(time: Duration, stop: Stop) -> Self {
        Self { until: Instant::now() + time, stop }
    }

    /// A part of what is left.
    pub(super) fn part(&self, of: usize) -> Self {
        let left = self.until.saturating_duration_since(Instant::now());
        let part = left / u32::try_from(of.max(1)).unwrap_or(u32::MAX);
        Self { until: Instant::now() + part, stop: self.stop.clone() }
    }

    /// The outcome of `work`, or nothing when the time is over or somebody asked for the end.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = self.stop.stopped() => None,
            () = tokio::time::sleep_until(self.until.into()) => None,
        }
    }

    /// The reply to a first question, without which there is nothing to tell.
    pub(super) async fn ask(&self, link: &Arc<dyn Link>, command: Command) -> Result<Value> {
        let late = || Error::new(ErrorCode::WaitTimedOut, "the time budget was over before the server told anything");
        self.within(link.call(command)).await.unwrap_or_else(|| Err(late()))
    }
}

/// Where the names come from.
#[derive(Debug)]
enum Source {
    /// All of them; none once the end is reached.
    Scan { cursor: Option<Vec<u8>>, count: i64 },
    /// So many by chance, some perhaps twice.
    Chance { left: usize },
}

/// Names, and what was asked of those that were wanted.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub names: Vec<Vec<u8>>,
    pub measured: Vec<(Vec<u8>, Measure)>,
}

/// Goes through the keys of one database.
pub(super) struct KeyScan {
    link: Arc<dyn Link>,
    source: Source,
    wanted: VecDeque<Vec<u8>>,
    budget: Budget,
    /// Until when the server is left alone.
    rests_until: Instant,
    /// With what the server refused to tell of a key.
    pub refused: Option<ErrorCode>,
}

impl KeyScan {
    /// Through all keys.
    pub(super) fn through(link: Arc<dyn Link>, budget: Budget) -> Self {
        let source = Source::Scan { cursor: Some(b"0".to_vec()), count: FIRST_COUNT };
        Self::new(link, source, budget)
    }

    /// Of `keys` ones drawn by chance.
    pub(super) fn by_chance(link: Arc<dyn Link>, keys: usize, budget: Budget) -> Self {
        Self::new(link, Source::Chance { left: keys }, budget)
    }

    fn new(link: Arc<dyn Link>, source: Source, budget: Budget) -> Self {
        Self { link, source, wanted: VecDeque::new(), budget, rests_until: Instant::now(), refused: None }
    }

    /// Asks for the measure of a key in one of the next slices.
    pub(super) fn want(&mut self, name: Vec<u8>) {
        self.wanted.push_back(name);
    }

    /// Whether every name was given, and every wanted key measured.
    pub(super) fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.has_all_names()
    }

    /// Whether every name was given.
    pub(super) fn has_all_names(&self) -> bool {
        matches!(self.source, Source::Scan { cursor: None, .. } | Source::Chance { left: 0 })
    }

    /// The next slice; none when all is done or the time is over.
    pub(super) async fn next(&mut self) -> Result<Option<Slice>> {
        if self.is_done() || self.budget.stop.is_stopped() {
            return Ok(None);
        }
        let resting = tokio::time::sleep_until(self.rests_until.into());
        if self.budget.within(resting).await.is_none() {
            return Ok(None);
        }
        let mut commands = Vec::new();
        // What is wanted first, so that it cannot pile up.
        if self.wanted.len() <= MEASURED_AT_ONCE {
            commands.extend(self.commands_for_names());
        }
        let for_names = commands.len();
        let keys: Vec<_> = self.wanted.drain(..self.wanted.len().min(MEASURED_AT_ONCE)).collect();
        commands.extend(keys.iter().flat_map(|key| commands_for(key)));
        let began = Instant::now();
        let Some(replies) = self.budget.within(self.link.call_many(&commands)).await else { return Ok(None) };
        let took = began.elapsed();
        self.rests_until = Instant::now() + took.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut replies = replies.into_iter();
        let names = self.read_names(replies.by_ref().take(for_names).collect(), took)?;
        let mut measured = Vec::with_capacity(keys.len());
        for key in keys {
            let mut reply = || replies.next().unwrap_or_else(|| Err(Error::closed("connection")));
            if let Some(measure) = self.read_measure(reply(), reply(), reply())? {
                measured.push((key, measure));
            }
        }
        Ok(Some(Slice { names, measured }))
    }

    fn commands_for_names(&self) -> Vec<Command> {
        match &self.source {
            Source::Scan { cursor: Some(cursor), count } => {
                vec![Command::new("SCAN").arg(cursor).arg("COUNT").int(*count).repeatable()]
            }
            Source::Scan { cursor: None, .. } => Vec::new(),
            Source::Chance { left } => {
                vec![Command::new("RANDOMKEY").repeatable(); (*left).min(DRAWN_AT_ONCE)]
            }
        }
    }

    fn read_names(&mut self, replies: Vec<Result<Value>>, took: Duration) -> Result<Vec<Vec<u8>>> {
        match &mut self.source {
            Source::Chance { left } => {
                *left -= replies.len();
                let drawn = replies.into_iter().collect::<Result<Vec<_>>>()?;
                Ok(drawn.into_iter().filter_map(bytes).collect())
            }
            Source::Scan { cursor, count } => {
                let Some(reply) = replies.into_iter().next() else { return Ok(Vec::new()) };
                let wrong = || Error::unexpected_reply("a cursor and keys", "something else");
                let [next, names] = <[Value; 2]>::try_from(reply?.into_items()?).map_err(|_| wrong())?;
                let next = bytes(next).ok_or_else(wrong)?;
                *cursor = (next != b"0").then_some(next);
                *count = match took {
                    took if took >= SLOW => (*count / 2).max(LEAST_COUNT),
                    took if took < QUICK => (*count * 2).min(MOST_COUNT),
                    _ => *count,
                };
                Ok(names.into_items()?.into_iter().filter_map(bytes).collect())
            }
        }
    }

    /// None for a key that is gone, or of which the server tells nothing.
    fn read_measure(
        &mut self,
        kind: Result<Value>,
        ttl: Result<Value>,
        size: Result<Value>,
    ) -> Result<Option<Measure>> {
        let (Some(kind), Some(ttl)) = (self.told(kind)?, self.told(ttl)?) else { return Ok(None) };
        let (kind, ttl) = (kind.into_text()?, ttl.into_int()?);
        let size = self.told(size)?;
        if kind == "none" || ttl == -2 || size.as_ref().is_some_and(Value::is_nil) {
            return Ok(None);
        }
        let size = size.map(Value::into_int).transpose()?;
        let kind = TYPES.iter().position(|known| *known == kind).unwrap_or(TYPES.len() - 1);
        let size = size.map(|size| u64::try_from(size).unwrap_or_default());
        Ok(Some(Measure { kind, size, ttl_ms: (ttl >= 0).then_some(ttl) }))
    }

    /// Some servers do not have a command, or do not allow it to everybody or for every key. That is noted without the
    /// server's words, which may name the key.
    fn told(&mut self, reply: Result<Value>) -> Result<Option<Value>> {
        match reply {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.code(), ErrorCode::Reply | ErrorCode::AuthenticationFailed) => {
                self.refused = Some(error.code());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Type, time to live, and size as far as five of its elements show it: asking for all of them would take the server as
/// long as the value is large.
fn commands_for(key: &[u8]) -> [Command; 3] {
    [
        Command::new("TYPE").key(key).repeatable(),
        Command::new("PTTL").key(key).repeatable(),
        Command::new("MEMORY").arg("USAGE").key(key).arg("SAMPLES").int(5).repeatable(),
    ]
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bulk(bytes) => Some(bytes),
        Value::Simple(text) => Some(text.into_bytes()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}
