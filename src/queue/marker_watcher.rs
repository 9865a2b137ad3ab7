//! Waits for work on behalf of all idle workers of a process, over one blocking link for each server.
//!
//! A queue's marker is popped by whoever waits for it (BZPOPMIN), so exactly one process wakes for each. The watcher
//! blocks on the markers of all queues that have an idle worker here; when that set grows, it is called off and blocks
//! anew. A marker that nobody here wants any more goes back.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;

use super::wake::Wake;
use crate::{
    codec::resp::Value,
    connection::{BlockingLink, Command, Link},
    error::{ErrorCode, Result},
    service::{self, Duty},
};

/// How long one BZPOPMIN blocks. Short enough that a server which lost the call is noticed.
const WAIT: Duration = Duration::from_secs(10);
/// Between two tries while the link is down; the link itself waits until it is back.
const PAUSE: Duration = Duration::from_millis(100);

/// A watcher and its link.
type Known = (Weak<dyn Link>, Weak<MarkerWatcher>);

/// Every watcher of the process with the link that it belongs to.
static WATCHERS: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// Waits for markers of one server.
pub(super) struct MarkerWatcher {
    shared: Arc<Shared>,
    _duty: Duty,
}

#[derive(Default)]
struct Shared {
    idle: Mutex<BTreeMap<String, Vec<Weak<Wake>>>>,
    grown: Notify,
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Weak<Wake>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MarkerWatcher {
    /// The watcher of this link, made when there is none.
    pub(super) fn of(link: &Arc<dyn Link>) -> Arc<Self> {
        let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(_, watcher)| watcher.strong_count() > 0);
        let same = |other: &Weak<dyn Link>| std::ptr::addr_eq(other.as_ptr(), Arc::as_ptr(link));
        let known = watchers.iter().find(|(other, _)| same(other)).and_then(|(_, watcher)| watcher.upgrade());
        known.unwrap_or_else(|| {
            let shared = Arc::new(Shared::default());
            let duty = Duty::start(watch(Arc::clone(&shared), Arc::clone(link), link.open_blocking()));
            let watcher = Arc::new(Self { shared, _duty: duty });
            watchers.push((Arc::downgrade(link), Arc::downgrade(&watcher)));
            watcher
        })
    }

    /// Wakes `wake` when the marker shows up, once.
    pub(super) fn add(&self, marker: &str, wake: &Arc<Wake>) {
        let mut idle = self.shared.idle();
        let wakes = idle.entry(marker.to_owned()).or_default();
        if !wakes.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(wake))) {
            wakes.push(Arc::downgrade(wake));
            if wakes.len() == 1 {
                self.shared.grown.notify_one();
            }
        }
    }

    /// No longer waits for `wake`. A running BZPOPMIN goes on; what it pops goes back.
    pub(super) fn remove(&self, marker: &str, wake: &Arc<Wake>) {
        let mut idle = self.shared.idle();
        if let Some(wakes) = idle.get_mut(marker) {
            wakes.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(wake)));
            if wakes.is_empty() {
                idle.remove(marker);
            }
        }
    }
}

async fn watch(shared: Arc<Shared>, link: Arc<dyn Link>, blocking: Arc<dyn BlockingLink>) {
    loop {
        let markers: Vec<String> = shared.idle().keys().cloned().collect();
        if markers.is_empty() {
            shared.grown.notified().await;
            continue;
        }
        let mut command = Command::new("BZPOPMIN");
        for marker in &markers {
            command = command.key(marker);
        }
        let pop = blocking.block(command.int(i64::try_from(WAIT.as_secs()).unwrap_or(1)), WAIT);
        let reply = tokio::select! {
            biased;
            reply = pop => reply,
            never = call_off(&shared.grown, &*blocking) => match never {},
        };
        match reply.and_then(popped) {
            Ok(None) => {}
            Ok(Some((marker, member, score))) => hand_over(&shared, &link, &marker, &member, score),
            // Workers look for themselves every drainDelay.
            Err(error) if error.code() == ErrorCode::Closed => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Ends the running block when there is more to block on. Goes on until the block has ended, so it is polled beside it.
pub(super) async fn call_off(grown: &Notify, blocking: &dyn BlockingLink) -> Infallible {
    grown.notified().await;
    blocking.unblock().await;
    std::future::pending().await
}

fn popped(reply: Value) -> Result<Option<(String, String, i64)>> {
    if reply.is_nil() {
        return Ok(None);
    }
    let mut items = reply.into_items()?.into_iter();
    let (Some(key), Some(member), Some(score)) = (items.next(), items.next(), items.next()) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
    let score = score.into_text()?.parse::<f64>().unwrap_or(0.0) as i64;
    Ok(Some((key.into_text()?, member.into_text()?, score)))
}

/// Member 1 tells when the next delayed job is due; every other one that there is work now.
fn hand_over(shared: &Shared, link: &Arc<dyn Link>, marker: &str, member: &str, score: i64) {
    let wakes = shared.idle().remove(marker).unwrap_or_default();
    let mut heard = false;
    for wake in wakes.iter().filter_map(Weak::upgrade) {
        heard = true;
        if member == "1" { wake.due_at(score) } else { wake.fetch() }
    }
    if !heard {
        let back = Command::new("ZADD").key(marker).int(score).arg(member).repeatable();
        service::spawn(link.call(back));
    }
}
