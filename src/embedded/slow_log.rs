//! The commands that took long, as `SLOWLOG` shows them.

use std::{collections::VecDeque, time::Duration};

use super::data::Blob;

/// Arguments of a command that are kept, and bytes of each: one that takes long may be long.
const MOST_ARGUMENTS: usize = 32;
const MOST_BYTES: usize = 128;

/// One command.
#[derive(Clone, Debug)]
pub(super) struct SlowCommand {
    pub id: u64,
    /// When it ran, in seconds since the epoch.
    pub at: i64,
    pub took: Duration,
    pub args: Vec<Blob>,
    pub client_name: Blob,
}

/// The last of them.
#[derive(Debug)]
pub(super) struct SlowLog {
    /// From how many microseconds on a command counts as slow; negative for never.
    pub threshold: i64,
    pub most: usize,
    commands: VecDeque<SlowCommand>,
    last_id: u64,
}

impl Default for SlowLog {
    /// As Redis: ten milliseconds, 128 commands.
    fn default() -> Self {
        Self { threshold: 10_000, most: 128, commands: VecDeque::new(), last_id: 0 }
    }
}

impl SlowLog {
    /// Notes a command, where it was slow.
    pub(super) fn note(&mut self, took: Duration, at_ms: i64, args: &[&[u8]], client_name: &Blob) {
        let is_slow = i64::try_from(took.as_micros()).unwrap_or(i64::MAX) >= self.threshold;
        if self.threshold < 0 || !is_slow || self.most == 0 {
            return;
        }
        let kept = if args.len() > MOST_ARGUMENTS { MOST_ARGUMENTS - 1 } else { args.len() };
        let mut args_kept: Vec<Blob> = args[..kept].iter().map(|arg| shortened(arg)).collect();
        if kept < args.len() {
            args_kept.push(format!("... ({} more arguments)", args.len() - kept).into_bytes().into());
        }
        let command =
            SlowCommand { id: self.last_id, at: at_ms / 1000, took, args: args_kept, client_name: client_name.clone() };
        self.last_id += 1;
        self.commands.push_front(command);
        self.commands.truncate(self.most);
    }

    /// The latest first.
    pub(super) fn commands(&self) -> impl Iterator<Item = &SlowCommand> {
        self.commands.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn reset(&mut self) {
        self.commands.clear();
    }
}

fn shortened(arg: &[u8]) -> Blob {
    if arg.len() <= MOST_BYTES {
        return arg.into();
    }
    let mut kept = arg[..MOST_BYTES].to_vec();
    kept.extend_from_slice(format!("... ({} more bytes)", arg.len() - MOST_BYTES).as_bytes());
    kept.into()
}
