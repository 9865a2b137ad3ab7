//! What was published, for tests to look at.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::data::Blob;

/// Messages and bytes that are kept at most; beyond, the oldest go.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;

/// The last messages of an engine, heard or not.
#[derive(Default)]
pub(super) struct Published {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<(Blob, Blob)>,
    bytes: usize,
}

impl Published {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, channel: &[u8], payload: &[u8]) {
        let mut kept = self.kept();
        kept.bytes += channel.len() + payload.len();
        kept.messages.push_back((channel.into(), payload.into()));
        while kept.messages.len() > MOST || kept.bytes > MOST_BYTES {
            let Some((channel, payload)) = kept.messages.pop_front() else { break };
            kept.bytes -= channel.len() + payload.len();
        }
    }

    /// Channel and payload of each, the oldest first.
    pub(super) fn messages(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.kept().messages.iter().map(|(channel, payload)| (channel.to_vec(), payload.to_vec())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let published = Published::default();
        for n in 0..MOST + 10 {
            published.note(b"c", n.to_string().as_bytes());
        }
        assert_eq!((published.messages().len(), &published.messages()[0].1[..]), (MOST, &b"10"[..]));
        published.note(b"c", &vec![0; MOST_BYTES]);
        assert_eq!(published.messages(), []);
        published.note(b"c", b"small");
        assert_eq!(published.messages(), [(b"c".to_vec(), b"small".to_vec())]);
    }
}
