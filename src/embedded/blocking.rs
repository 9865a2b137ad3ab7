//! Clients that wait for a key, and who is served first.
//!
//! A waiting command is kept as it was given. When a key it waits for gets something, it is run again, without waiting:
//! in order of tickets, which are numbered in order of arrival, and under the same lock as the command that caused it.
//! So nobody overtakes, and nobody is woken for nothing.

use std::collections::{BTreeSet, VecDeque};

use hashbrown::{Equivalent, HashMap, HashSet};

use super::data::Blob;
use crate::{codec::resp::Value, service::Duty};

/// Gets the reply of a command that waited.
pub(super) type Completion = Box<dyn FnOnce(Value) + Send>;

/// A command that waits.
pub(super) struct Waiter {
    pub session: u64,
    pub db: usize,
    pub args: Vec<Blob>,
    pub keys: Vec<Blob>,
    pub done: Completion,
    pub also_without_key: bool,
    /// What ends the wait in time.
    pub timer: Option<Duty>,
}

/// What a command says that would rather wait than answer.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub keys: Vec<Blob>,
    /// Zero waits for ever.
    pub timeout_ms: u64,
    /// The command to run again, where it is not the one that was given (`XREAD` with `$`).
    pub instead: Option<Vec<Blob>>,
    /// To be run again also when a key goes away, or turns into another type, and to end with the error that this is.
    pub also_without_key: bool,
}

/// A key of a database, to look for.
#[derive(Hash)]
struct At<'a>(usize, &'a [u8]);

impl Equivalent<(usize, Blob)> for At<'_> {
    fn equivalent(&self, place: &(usize, Blob)) -> bool {
        (self.0, self.1) == (place.0, &*place.1)
    }
}

/// All that wait.
#[derive(Default)]
pub(super) struct Blocked {
    waiters: HashMap<u64, Waiter>,
    by_key: HashMap<(usize, Blob), BTreeSet<u64>>,
    ready: VecDeque<(usize, Blob)>,
    last_ticket: u64,
}

impl Blocked {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Adds a waiter at the end of the line of each of its keys.
    pub(super) fn add(&mut self, waiter: Waiter) -> u64 {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        for key in &waiter.keys {
            self.by_key.entry((waiter.db, key.clone())).or_default().insert(ticket);
        }
        self.waiters.insert(ticket, waiter);
        ticket
    }

    pub(super) fn set_timer(&mut self, ticket: u64, timer: Duty) {
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.timer = Some(timer);
        }
    }

    pub(super) fn get(&self, ticket: u64) -> Option<&Waiter> {
        self.waiters.get(&ticket)
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        for key in &waiter.keys {
            let place = (waiter.db, key.clone());
            if let Some(line) = self.by_key.get_mut(&place) {
                line.remove(&ticket);
                if line.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        Some(waiter)
    }

    /// Notes that a key got something.
    pub(super) fn key_ready(&mut self, db: usize, key: &[u8]) {
        if self.waiters.is_empty() {
            return;
        }
        if self.by_key.contains_key(&At(db, key)) && !self.ready.iter().any(|place| At(db, key).equivalent(place)) {
            self.ready.push_back((db, Blob::from(key)));
        }
    }

    /// Notes that a key went away.
    pub(super) fn key_lost(&mut self, db: usize, key: &[u8]) {
        if self.waiters.is_empty() {
            return;
        }
        let line = self.by_key.get(&At(db, key));
        let heeds = |ticket: &u64| self.waiters.get(ticket).is_some_and(|waiter| waiter.also_without_key);
        if line.is_some_and(|line| line.iter().any(heeds)) {
            self.key_ready(db, key);
        }
    }

    pub(super) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next key that got something.
    pub(super) fn next_ready(&mut self) -> Option<(usize, Blob)> {
        self.ready.pop_front()
    }

    /// The first in line for a key, after a ticket.
    pub(super) fn first_after(&self, place: &(usize, Blob), ticket: u64) -> Option<u64> {
        self.by_key.get(place)?.range(ticket + 1..).next().copied()
    }

    /// The sessions that wait.
    pub(super) fn sessions(&self) -> HashSet<u64> {
        self.waiters.values().map(|waiter| waiter.session).collect()
    }

    /// The tickets of a session.
    pub(super) fn of_session(&self, session: u64) -> Vec<u64> {
        self.waiters.iter().filter(|(_, waiter)| waiter.session == session).map(|(&ticket, _)| ticket).collect()
    }

    /// Keys of a database that somebody waits for.
    pub(super) fn keys_of(&self, db: usize) -> Vec<Blob> {
        self.by_key.keys().filter(|(of, _)| *of == db).map(|(_, key)| key.clone()).collect()
    }
}
