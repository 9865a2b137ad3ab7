//! The level in Redis, and how a cache behaves when Redis does not.
//!
//! Reads, and the writes that only remember what a factory just made, can be done without: they are refused at once while
//! the connection is down, and while the [circuit](super::circuit) is open. Explicit writes and invalidations cannot be
//! done without: they wait in the connection's offline queue until their deadline, so that a short outage loses none, and
//! what misses that is [made up for](super::recovery) before anything is read again.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    circuit::{Circuit, CircuitState},
    keys::Keys,
    options::Level2Options,
    recovery::Recovery,
    scanning::scan,
};
use crate::{
    codec::resp::Value,
    connection::{Command, Link, LinkState},
    error::{Error, ErrorCode, Result},
    service,
};

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
    recovery: Arc<Recovery>,
}

impl RemoteTier {
    /// No call that can be done without takes longer than `longest`.
    pub(super) fn new(
        link: Arc<dyn Link>,
        options: &Level2Options,
        longest: Duration,
        recovery: Arc<Recovery>,
    ) -> Self {
        let deadline = options.timeout().min(longest);
        let (patience, circuit) = (options.soft_timeout(), options.circuit_breaker.circuit(deadline));
        Self { link, deadline, patience, circuit, recovery }
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
            _ if self.recovery.len() > 0 => Some("is still to make up for what it missed"),
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

    /// Counts the keys that match `glob` and `wanted`, looking at no more than `rounds` slices of the database; whether
    /// that was all of it.
    pub(super) async fn count(&self, glob: &str, rounds: usize, wanted: impl Fn(&[u8]) -> bool) -> Result<(u64, bool)> {
        let mut cursor = "0".to_owned();
        let mut count = 0;
        for _ in 0..rounds {
            self.available()?;
            let found;
            (cursor, found) = self.observe(scan(&self.link, &cursor, glob).await)?;
            count += found.iter().filter(|key| wanted(key)).count() as u64;
            if cursor == "0" {
                return Ok((count, true));
            }
        }
        Ok((count, false))
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
