//! Lists a worker at its queue, where every process can read it: many workers share one connection here, so the
//! server's list of clients, which shows BullMQ's, cannot name them. For BullMQ's `getWorkers` a worker can show there as
//! well, by a connection of its own that does nothing else.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{Queue, worker_core::Core};
use crate::{connection::Command, service::Duty};

/// A worker that has not said for so long that it is there is taken for dead.
const LEASE: Duration = Duration::from_secs(30);

pub(super) fn start(core: Arc<Core>) -> Duty {
    let description = json!({
        "id": core.id,
        "name": core.options.name,
        "host": host_name(),
        "pid": std::process::id(),
        "startedAt": core.queue.now(),
        "visible": core.options.visible_to_bullmq,
    })
    .to_string();
    let shown = core
        .options
        .visible_to_bullmq
        .then(|| core.queue.storage().link.show(&bullmq_client_name(&core.queue, core.options.name.as_deref())));
    Duty::start(async move {
        let _shown = shown;
        loop {
            // A list that misses a worker for a while harms no job; the next turn tries again.
            let _ = core.queue.storage().announce_worker(&core.id, &description, LEASE).await;
            core.queue.clock().rest(LEASE / 3).await;
        }
    })
}

/// Strikes the worker off the list. Sent at once; a command that is lost leaves it to the lease.
pub(super) fn end(core: &Core) {
    let storage = core.queue.storage();
    let commands = [
        Command::new("DEL").key(storage.keys.worker(&core.id)).repeatable(),
        Command::new("SREM").key(&storage.keys.workers).arg(&core.id).repeatable(),
    ];
    drop(storage.link.call_many(&commands));
}

/// How BullMQ names the connection on which a worker waits.
fn bullmq_client_name(queue: &Queue, worker: Option<&str>) -> String {
    let name = format!("{}:{}", queue.options().prefix, base64(queue.name().as_bytes()));
    worker.map_or(name.clone(), |worker| format!("{name}:w:{worker}"))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().chain(&[0, 0]).take(3).fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is valid for its length, and gethostname writes within it.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0;
    let end = name.iter().position(|&byte| byte == 0)?;
    if failed { None } else { String::from_utf8(name[..end].to_vec()).ok() }
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_what_is_not_a_multiple_of_three() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{ff}?>", "w78/Pg=="),
        ];
        for (text, encoded) in pairs {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
