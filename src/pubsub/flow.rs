//! What waits for the handlers of one subscription.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::options::{FlowOptions, Overflow, PubSubOptions};

/// Most messages that are handed over before some of them are acknowledged. What waits beyond them waits here, where it
/// can still be dropped.
const LARGEST_WINDOW: usize = 256;
/// The same in bytes, of which one message may be more.
const WINDOW_BYTES: usize = 4 << 20;
/// Drops are told of at most this often.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A message that waits.
pub(super) struct Waiting {
    /// Of a pattern; otherwise the subscription says it.
    pub channel: Option<Box<str>>,
    pub payload: Box<[u8]>,
}

/// What is to be done with a message that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is handed over now.
    Deliver,
    Wait,
    Drop,
    /// The subscription is over.
    Close,
}

/// Counts of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Messages that arrived.
    pub received: u64,
    /// Messages that no handler will see.
    pub dropped: u64,
    /// Messages that wait or are being handled.
    pub pending: usize,
    pub pending_bytes: usize,
}

/// The messages of one subscription between their arrival and their acknowledgement.
pub(super) struct Flow {
    pub(super) subscription: u32,
    overflow: Overflow,
    max_messages: usize,
    max_bytes: usize,
    window: usize,
    /// Handed over and not acknowledged.
    out: usize,
    out_bytes: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    received: u64,
    dropped: u64,
    /// Dropped and not told of.
    untold: u64,
    told: Option<Instant>,
}

impl Flow {
    pub(super) fn new(subscription: u32, service: &PubSubOptions, own: FlowOptions) -> Self {
        let max_messages = own.max_pending_messages.unwrap_or(service.max_pending_messages);
        let concurrency = own.concurrency.unwrap_or(service.concurrency);
        Self {
            subscription,
            overflow: own.overflow.unwrap_or(service.overflow),
            max_messages,
            max_bytes: service.max_pending_bytes,
            // What was handed over cannot be dropped any more, so that it is the smaller part of what may wait.
            window: (max_messages / 4).min(LARGEST_WINDOW).max(concurrency.min(max_messages)),
            out: 0,
            out_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            received: 0,
            dropped: 0,
            untold: 0,
            told: None,
        }
    }

    /// Judges a message of so many bytes, when this many more may wait in all. `total` is what waits in all.
    pub(super) fn admit(&mut self, bytes: usize, total: &mut usize, max_total: usize) -> Admission {
        self.received += 1;
        while self.is_full(bytes, *total, max_total) {
            match self.overflow {
                Overflow::DropNewest => return self.refuse(),
                Overflow::Close => return Admission::Close,
                Overflow::DropOldest => {
                    let Some(oldest) = self.waiting.pop_front() else { return self.refuse() };
                    self.waiting_bytes -= oldest.payload.len();
                    *total -= oldest.payload.len();
                    self.count_drop();
                }
            }
        }
        *total += bytes;
        if self.waiting.is_empty() && self.has_window(bytes) {
            self.hand_over(bytes);
            return Admission::Deliver;
        }
        Admission::Wait
    }

    /// Keeps a message that was told to wait.
    pub(super) fn wait(&mut self, message: Waiting) {
        self.waiting_bytes += message.payload.len();
        self.waiting.push_back(message);
    }

    /// So many were handled.
    pub(super) fn acknowledge(&mut self, messages: usize, bytes: usize, total: &mut usize) {
        let bytes = bytes.min(self.out_bytes);
        self.out = self.out.saturating_sub(messages);
        self.out_bytes -= bytes;
        *total -= bytes;
    }

    /// The next one that may be handed over.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        let bytes = self.waiting.front()?.payload.len();
        if !self.has_window(bytes) {
            return None;
        }
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= bytes;
        self.hand_over(bytes);
        Some(message)
    }

    /// How many were dropped since this was told last, when it is time to tell: with the first one, then now and then, and
    /// when nothing waits any more.
    pub(super) fn take_report(&mut self) -> Option<u64> {
        let is_time = self.told.is_none_or(|told| told.elapsed() >= REPORT_EVERY) || self.is_idle();
        if self.untold == 0 || !is_time {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.untold))
    }

    /// What is lost when the subscription ends now: messages that wait here, and those of which nobody was told.
    pub(super) fn rest(&self) -> u64 {
        self.untold + self.waiting.len() as u64
    }

    /// Bytes that no longer wait once the subscription is gone.
    pub(super) fn bytes(&self) -> usize {
        self.out_bytes + self.waiting_bytes
    }

    pub(super) fn stats(&self) -> FlowStats {
        FlowStats {
            received: self.received,
            dropped: self.dropped,
            pending: self.out + self.waiting.len(),
            pending_bytes: self.bytes(),
        }
    }

    fn is_idle(&self) -> bool {
        self.out == 0 && self.waiting.is_empty()
    }

    /// One message larger than a bound must still pass when nothing waits.
    fn is_full(&self, bytes: usize, total: usize, max_total: usize) -> bool {
        self.out + self.waiting.len() >= self.max_messages
            || (!self.is_idle() && self.bytes() + bytes > self.max_bytes)
            || (total > 0 && total + bytes > max_total)
    }

    fn has_window(&self, bytes: usize) -> bool {
        self.out < self.window && (self.out == 0 || self.out_bytes + bytes <= WINDOW_BYTES)
    }

    fn hand_over(&mut self, bytes: usize) {
        self.out += 1;
        self.out_bytes += bytes;
    }

    fn refuse(&mut self) -> Admission {
        self.count_drop();
        Admission::Drop
    }

    fn count_drop(&mut self) {
        self.dropped += 1;
        self.untold += 1;
    }
}
