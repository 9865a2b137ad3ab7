//! A batch between its submission and its last reply.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    command::{Batch, Entry},
    link::ReplySink,
    outbox::{self, Outbox},
};
use crate::{
    codec::resp::Reply,
    error::{Error, ErrorCode, Result},
};

/// The commands of one batch that have no reply yet. One of these per batch, nothing per command.
pub(super) struct Pending {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    sink: Arc<dyn ReplySink>,
    /// First entry without a reply from the server.
    next: usize,
    /// Bytes that the socket took.
    written: usize,
    /// Length of `bytes`, also after they are given up.
    length: usize,
    submitted: Instant,
    default_deadline: Duration,
    /// Earliest deadline of an entry whose caller still waits.
    earliest: Instant,
    /// Callers that were told already; empty until there is one. The place of their reply stays.
    told: Vec<bool>,
    /// Whether any entry may be sent again after it was written.
    keeps_bytes: bool,
    /// Failed attempts to connect while this waited.
    pub(super) failed_attempts: u32,
}

/// How a broken connection treats what was in flight.
#[derive(Clone, Copy)]
pub(super) struct AfterBreak {
    /// Whether commands wait for the next connection at all.
    pub wait: bool,
    /// Whether repeatable commands are sent again.
    pub resend: bool,
    /// Nothing that has no reply was run.
    pub unrun: bool,
}

impl Pending {
    pub(super) fn new(batch: Batch, submitted: Instant, default_deadline: Duration) -> Self {
        let Batch { bytes, entries, sink } = batch;
        let mut pending = Self {
            length: bytes.len(),
            keeps_bytes: entries.iter().any(|entry| entry.flags.repeatable),
            bytes,
            entries,
            sink,
            next: 0,
            written: 0,
            submitted,
            default_deadline,
            earliest: submitted,
            told: Vec::new(),
            failed_attempts: 0,
        };
        pending.earliest = pending.find_earliest();
        pending
    }

    /// For a peer that may say that it did not run what it was sent.
    pub(super) fn keep_bytes(&mut self) {
        self.keeps_bytes = true;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    pub(super) fn is_written(&self) -> bool {
        self.written == self.length
    }

    pub(super) fn is_begun(&self) -> bool {
        self.written > 0
    }

    pub(super) fn is_answered(&self) -> bool {
        self.next == self.entries.len()
    }

    pub(super) fn earliest(&self) -> Instant {
        self.earliest
    }

    pub(super) fn submitted(&self) -> Instant {
        self.submitted
    }

    pub(super) fn sink(&self) -> &Arc<dyn ReplySink> {
        &self.sink
    }

    /// Says that the socket took `count` bytes. Bytes that will never be sent again are given up.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.is_written() && !self.keeps_bytes {
            self.bytes = Vec::new();
        }
    }

    /// Gives the next entry its reply. False when no reply is due: none of the rest was written completely.
    pub(super) fn settle_next(&mut self, reply: Result<Reply<'_>>) -> bool {
        let Some(entry) = self.entries.get(self.next).filter(|entry| entry.end <= self.written) else { return false };
        let told = self.told.get(self.next).copied().unwrap_or(false);
        self.next += 1;
        if !told {
            outbox::settle(&self.sink, entry.token, reply);
        }
        true
    }

    fn deadline(&self, entry: &Entry) -> Instant {
        self.submitted + entry.deadline.unwrap_or(self.default_deadline)
    }

    /// Deadline of the entry whose reply comes next.
    pub(super) fn next_deadline(&self) -> Instant {
        self.entries.get(self.next).map_or(self.submitted, |entry| self.deadline(entry))
    }

    fn find_earliest(&self) -> Instant {
        let waiting = self.entries.iter().enumerate().skip(self.next).filter(|(index, _)| !self.is_told(*index));
        waiting
            .map(|(_, entry)| entry.deadline.unwrap_or(self.default_deadline))
            .min()
            .map_or_else(|| self.submitted + Duration::from_secs(3600), |after| self.submitted + after)
    }

    fn is_told(&self, index: usize) -> bool {
        self.told.get(index).copied().unwrap_or(false)
    }

    fn tell(&mut self, index: usize, error: Error, outbox: &mut Outbox) {
        if self.is_told(index) {
            return;
        }
        if self.told.is_empty() {
            self.told = vec![false; self.entries.len()];
        }
        self.told[index] = true;
        outbox.put(&self.sink, self.entries[index].token, error);
    }

    /// Tells the callers whose deadline passed. What was not begun is taken out and never sent. Returns whether one of
    /// them was told that its command may have run.
    pub(super) fn expire(&mut self, now: Instant, error: &dyn Fn(Duration) -> Error, outbox: &mut Outbox) -> bool {
        if self.earliest > now {
            return false;
        }
        let mut on_the_wire = false;
        let mut unit = self.unit_from(self.next);
        while !unit.is_empty() {
            let late = |index: &usize| self.is_told(*index) || self.deadline(&self.entries[*index]) <= now;
            let sent = self.start(unit.start) < self.written || !unit.clone().all(|index| late(&index));
            for index in unit.clone().filter(late).filter(|&index| index >= self.next).collect::<Vec<_>>() {
                on_the_wire |= sent && !self.is_told(index);
                let after = self.entries[index].deadline.unwrap_or(self.default_deadline);
                self.tell(index, error(after).with("maybeExecuted", sent), outbox);
            }
            unit = self.unit_at(unit.end);
        }
        let written = self.written;
        if !self.is_written() {
            let gone = self.units().filter(|unit| self.start(unit.start) >= written);
            let gone: Vec<_> = gone.filter(|unit| unit.clone().all(|index| self.is_told(index))).flatten().collect();
            self.remove(&gone);
        }
        self.earliest = self.find_earliest();
        on_the_wire
    }

    /// Makes it wait for the next connection, after `error` broke this one. What may have run and must not run twice is
    /// told so.
    pub(super) fn after_break(&mut self, how: AfterBreak, error: &Error, outbox: &mut Outbox) {
        let written = self.written;
        let mut unit = self.unit_from(self.next);
        while !unit.is_empty() {
            let complete = !how.unrun && self.entries[unit.end - 1].end <= written;
            let again = unit.clone().all(|index| self.entries[index].flags.repeatable);
            // Part of a chain that was answered, or given up, cannot be sent for the others.
            let whole = unit.start >= self.next && !unit.clone().any(|index| self.is_told(index));
            if !(how.wait && (whole || unit.len() == 1) && (!complete || (how.resend && again))) {
                for index in unit.start.max(self.next)..unit.end {
                    self.tell(index, error.clone().with("maybeExecuted", complete), outbox);
                }
            }
            unit = self.unit_at(unit.end);
        }
        let gone: Vec<_> = (0..self.entries.len()).filter(|&index| index < self.next || self.is_told(index)).collect();
        self.remove(&gone);
        self.written = 0;
        self.next = 0;
        self.earliest = self.find_earliest();
    }

    /// Gives every caller that still waits the same error.
    pub(super) fn fail(&mut self, error: &Error, outbox: &mut Outbox) {
        for index in self.next..self.entries.len() {
            let sent = self.start(index) < self.written;
            self.tell(index, error.clone().with("maybeExecuted", sent), outbox);
        }
        self.next = self.entries.len();
    }

    /// The commands that wait, for another link.
    pub(super) fn into_batch(self) -> Batch {
        let told = self.entries.iter().zip(&self.told).filter(|(_, told)| **told).map(|(entry, _)| entry.token);
        let told: Vec<u64> = told.collect();
        let sink = if told.is_empty() { self.sink } else { Arc::new(Untold { sink: self.sink, told }) };
        Batch { bytes: self.bytes, entries: self.entries, sink }
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.entries[before].end)
    }

    /// The entry at `first` with those that are chained to it; empty behind the last one.
    fn unit_at(&self, first: usize) -> Range<usize> {
        let chained = self.entries.iter().skip(first + 1).take_while(|entry| entry.flags.chained).count();
        first..(first + 1 + chained).min(self.entries.len()).max(first)
    }

    /// The unit that `index` is in.
    fn unit_from(&self, index: usize) -> Range<usize> {
        let mut first = index;
        while first > 0 && self.entries.get(first).is_some_and(|entry| entry.flags.chained) {
            first -= 1;
        }
        self.unit_at(first)
    }

    fn units(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let unit = self.unit_at(next);
            next = unit.end;
            (!unit.is_empty()).then_some(unit)
        })
    }

    /// Takes out entries, by ascending index, with their bytes.
    fn remove(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let mut gone = gone.iter().copied().peekable();
        let (mut bytes, mut entries, mut told, mut next) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for index in 0..self.entries.len() {
            if gone.next_if_eq(&index).is_some() {
                continue;
            }
            let entry = self.entries[index];
            // Bytes are given up only when nothing may be sent again; then nothing is kept here either.
            bytes.extend_from_slice(self.bytes.get(self.start(index)..entry.end).unwrap_or_default());
            entries.push(Entry { end: bytes.len(), ..entry });
            told.push(self.is_told(index));
            next += usize::from(index < self.next);
        }
        (self.length, self.bytes, self.entries, self.told, self.next) = (bytes.len(), bytes, entries, told, next);
    }
}

/// Keeps replies from callers that were told already.
struct Untold {
    sink: Arc<dyn ReplySink>,
    told: Vec<u64>,
}

impl ReplySink for Untold {
    fn settle(&self, token: u64, reply: Result<Reply<'_>>) {
        if !self.told.contains(&token) {
            self.sink.settle(token, reply);
        }
    }

    fn flush(&self) {
        self.sink.flush();
    }
}

/// The deadline of a command passed.
pub(super) fn timed_out(after: Duration, why: &str) -> Error {
    Error::new(ErrorCode::CommandTimedOut, format!("no reply within {} ms{why}", after.as_millis()))
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
