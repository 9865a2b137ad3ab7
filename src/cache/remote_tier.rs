//! The level in Redis, and how a cache behaves when Redis does not.
//!
//! Reads, and the writes that only remember what a factory just made, can be done without: they are refused at once while
//! the connection is down, and while the [circuit](super::circuit) is open. Explicit writes and invalidations cannot be
//! done without: they wait in the connection's offline queue until their deadline, so that a short outage loses none.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    circuit::{Circuit, CircuitState},
    keys::Keys,
    options::Level2Options,
};
use crate::{
    codec::resp::Value,
    connection::{Command, Link, LinkState},
    error::{Error, ErrorCode, Result},
    service,
};

/// Keys that one SCAN looks at, and at most about so many that one UNLINK removes.
const SLICE: i64 = 1_000;

/// A stored entry.
#[derive(Debug)]
pub(super) struct RawEntry {
    pub bytes: Vec<u8>,
    pub remaining: Remaining,
}

/// What is left of the life of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remaining {
    /// It was not asked for, or the entry went while it was.
    Unknown,
    For(Duration),
    Endless,
}

pub(super) struct RemoteTier {
    link: Arc<dyn Link>,
    /// How long a call that can be done without may take.
    deadline: Duration,
    /// How long it is waited for where there is a source to turn to.
    patience: Option<Duration>,
    circuit: Circuit,
}

impl RemoteTier {
    /// No call that can be done without takes longer than `longest`.
    pub(super) fn new(link: Arc<dyn Link>, options: &Level2Options, longest: Duration) -> Self {
        let deadline = options.timeout().min(longest);
        Self { link, deadline, patience: options.soft_timeout(), circuit: options.circuit_breaker.circuit(deadline) }
    }

    pub(super) fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    pub(super) fn circuit_state(&self) -> CircuitState {
        self.circuit.state(Instant::now())
    }

    /// An error when a call that can be done without should not be made now. What becomes of one that is made is to be
    /// [observed](Self::observe).
    pub(super) fn available(&self) -> Result<()> {
        let down = match self.link.state() {
            LinkState::Connecting | LinkState::Connected | LinkState::Ready => {
                (!self.circuit.admits(Instant::now())).then_some("does not answer")
            }
            LinkState::Disconnecting | LinkState::Disconnected | LinkState::Reconnecting | LinkState::Error => {
                Some("is not connected")
            }
        };
        match down {
            Some(why) => Err(Error::new(ErrorCode::Offline, format!("redis at {} {why}", self.link.describe()))),
            None => Ok(()),
        }
    }

    /// Notes how a call went that can be done without.
    pub(super) fn observe<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(outcome.as_ref().err());
        outcome
    }

    fn note(&self, error: Option<&Error>) {
        match error.map(Error::code) {
            Some(ErrorCode::CommandTimedOut) => self.circuit.failed(Instant::now()),
            // It was not the server that said so.
            Some(
                ErrorCode::ConnectionLost
                | ErrorCode::ConnectionFailed
                | ErrorCode::MaxRetriesReached
                | ErrorCode::Offline
                | ErrorCode::OfflineQueueFull
                | ErrorCode::Overloaded
                | ErrorCode::Closed,
            ) => self.circuit.broke_off(Instant::now()),
            _ => self.circuit.answered(),
        }
    }

    /// Waits for a round trip, but where there is a soft timeout no longer than that: then `None`, and the rest of it goes
    /// on behind the caller.
    pub(super) async fn softly<T: Send + 'static>(
        &self,
        trip: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(patience) = self.patience else { return trip.await.map(Some) };
        let mut trip = Box::pin(trip);
        tokio::select! {
            biased;
            outcome = &mut trip => outcome.map(Some),
            () = sleep(patience) => {
                service::spawn(async move { drop(trip.await) });
                Ok(None)
            }
        }
    }

    /// Reads entries in one round trip, with what is left of their lives. Sent before it returns.
    pub(super) fn read(
        self: &Arc<Self>,
        stored_keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<RawEntry>>>> + Send + use<> {
        let sent = self.available().map(|()| {
            let mut commands = Vec::with_capacity(stored_keys.len() * 2);
            for key in stored_keys {
                commands.push(Command::new("GET").key(key).deadline(self.deadline).repeatable());
                commands.push(Command::new("PTTL").key(key).deadline(self.deadline).repeatable());
            }
            self.link.call_many(&commands)
        });
        let tier = Arc::clone(self);
        async move {
            let mut replies = sent?.await.into_iter();
            let mut entries = Vec::with_capacity(replies.len());
            let mut failure = None;
            while let Some(value) = replies.next() {
                let life = replies.next();
                entries.push(match value {
                    Ok(Value::Bulk(bytes)) => Some(RawEntry { bytes, remaining: remaining(life.as_ref()) }),
                    Ok(_) => None,
                    Err(error) => {
                        failure.get_or_insert(error);
                        None
                    }
                });
            }
            tier.note(failure.as_ref());
            match failure {
                // A key of a wrong type in a bulk read does not take the others with it.
                Some(error) if error.code() != ErrorCode::Reply || entries.len() == 1 => Err(error),
                _ => Ok(entries),
            }
        }
    }

    /// The versions that tags have now, in one round trip.
    pub(super) async fn tag_versions(&self, keys: &Keys, tags: &[String]) -> Result<Vec<Option<String>>> {
        let command = Self::versions_command(keys, tags).deadline(self.deadline).repeatable();
        Self::versions(self.observe(self.link.call(command).await)?)
    }

    pub(super) fn versions_command(keys: &Keys, tags: &[String]) -> Command {
        tags.iter().fold(Command::new("MGET"), |command, tag| command.key(keys.tag_version(tag)))
    }

    /// The reply to [`versions_command`](Self::versions_command).
    pub(super) fn versions(reply: Value) -> Result<Vec<Option<String>>> {
        reply.into_items()?.into_iter().map(Value::into_optional_text).collect()
    }

    /// Removes the entries that match `glob`, as `is_entry` tells them, and of all else that matches what `goes_too`; how
    /// many entries there were.
    pub(super) async fn sweep(
        &self,
        glob: &str,
        goes_too: impl Fn(&[u8]) -> bool + Send,
        is_entry: impl Fn(&[u8]) -> bool + Send,
    ) -> Result<u64> {
        let mut removed = 0;
        let (mut cursor, mut found) = self.scan("0", glob).await?;
        loop {
            let (entries, mut others): (Vec<_>, Vec<_>) = found.into_iter().partition(|key| is_entry(key));
            others.retain(|key| goes_too(key));
            // One slice is removed while the next is looked for.
            let mut commands = Vec::with_capacity(3);
            let done = cursor == "0";
            if !done {
                commands.push(scan_command(&cursor, glob));
            }
            if !entries.is_empty() {
                commands.push(Command::new("UNLINK").args(&entries).repeatable());
            }
            if !others.is_empty() {
                commands.push(Command::new("UNLINK").args(&others).repeatable());
            }
            let mut replies = self.link.call_many(&commands).await.into_iter();
            let scanned = if done { None } else { replies.next() };
            if !entries.is_empty()
                && let Some(count) = replies.next()
            {
                removed += u64::try_from(count?.into_int()?).unwrap_or(0);
            }
            replies.try_for_each(|reply| reply.map(|_| ()))?;
            match scanned {
                Some(reply) => (cursor, found) = scan_reply(reply?)?,
                None => return Ok(removed),
            }
        }
    }

    /// Counts the keys that match `glob` and `wanted`, looking at no more than `rounds` slices of the database; whether
    /// that was all of it.
    pub(super) async fn count(&self, glob: &str, rounds: usize, wanted: impl Fn(&[u8]) -> bool) -> Result<(u64, bool)> {
        let mut cursor = "0".to_owned();
        let mut count = 0;
        for _ in 0..rounds {
            self.available()?;
            let found;
            (cursor, found) = self.observe(self.scan(&cursor, glob).await)?;
            count += found.iter().filter(|key| wanted(key)).count() as u64;
            if cursor == "0" {
                return Ok((count, true));
            }
        }
        Ok((count, false))
    }

    /// One slice: the next cursor and what matches.
    pub(super) async fn scan(&self, cursor: &str, glob: &str) -> Result<(String, Vec<Vec<u8>>)> {
        scan_reply(self.link.call(scan_command(cursor, glob)).await?)
    }
}

fn remaining(pttl: Option<&Result<Value>>) -> Remaining {
    match pttl {
        Some(Ok(Value::Int(-1))) => Remaining::Endless,
        Some(Ok(Value::Int(ms))) => {
            u64::try_from(*ms).map_or(Remaining::Unknown, |ms| Remaining::For(Duration::from_millis(ms)))
        }
        _ => Remaining::Unknown,
    }
}

fn scan_command(cursor: &str, glob: &str) -> Command {
    Command::new("SCAN").arg(cursor).arg("MATCH").arg(glob).arg("COUNT").int(SLICE).repeatable()
}

/// The next cursor and the keys of a SCAN reply.
fn scan_reply(reply: Value) -> Result<(String, Vec<Vec<u8>>)> {
    let mut parts = reply.into_items()?.into_iter();
    let (Some(cursor), Some(keys)) = (parts.next(), parts.next()) else {
        return Err(Error::unexpected_reply("SCAN", "an array without cursor and keys"));
    };
    let keys = keys.into_items()?.into_iter().filter_map(|key| match key {
        Value::Bulk(bytes) => Some(bytes),
        _ => None,
    });
    Ok((cursor.into_text()?, keys.collect()))
}
