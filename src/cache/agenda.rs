//! Work that is to be done later by any process that has the cache, and is kept where the entries are: writes that follow to
//! a source, and invalidations at a time.
//!
//! One item for each id; what is put later replaces what was there. Whoever finds an item due claims it, for a time that is
//! longer than the work may take, does it, and settles the claim. A process that dies leaves a claim that runs out, after
//! which another does the work: so it is done at least once, by one at a time, and the last version of an item is done last.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::scripts;
use crate::{
    clock::{Clock, Moment},
    codec::resp::Value,
    connection::{Command, Link},
    error::{Error, ErrorCode, Result},
    service::Duty,
};

/// How long nobody looks at an agenda on which nothing is due: what another process puts on it and leaves behind by dying.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Pause after a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What an agenda is told.
#[derive(Clone, Debug)]
pub struct AgendaOptions {
    /// Prefix of the connection and of the cache.
    pub key_prefix: String,
    pub prefix: String,
    /// Which of the cache's agendas: `invalidations`, `writes:users`.
    pub name: String,
    /// How long a claim holds.
    pub claim: Duration,
    /// Items that there may be; 0 for any number.
    pub max_items: u64,
    /// Items that are done at a time here.
    pub concurrency: usize,
    /// Whether an item that replaces another is due when that was.
    pub keeps_due: bool,
}

/// An item, claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub id: String,
    pub version: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When the claim is over, in milliseconds since the epoch; what it is settled with.
    pub claim_ms: i64,
    pub payload: String,
}

/// Who does the work.
pub trait WorkSink: Send + Sync {
    /// Takes items, each of which is to be settled.
    fn due(&self, items: Vec<Claimed>);
}

/// Items by id, each with its time. Cheap to clone.
#[derive(Clone)]
pub struct Agenda {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<dyn Link>,
    clock: Clock,
    keys: AgendaKeys,
    options: AgendaOptions,
    /// Something changed that the duty sleeps through.
    woken: Notify,
    /// Items that are being done here.
    running: AtomicUsize,
    /// How long before it is due an item is taken, in milliseconds.
    ahead_ms: AtomicI64,
}

pub(super) struct AgendaKeys {
    pub(super) items: String,
    pub(super) due: String,
    pub(super) claimed: String,
    pub(super) versions: String,
}

impl AgendaKeys {
    /// Outside of the prefix, so that flushing the cache loses no work; in one slot of a cluster.
    fn new(options: &AgendaOptions) -> Self {
        let AgendaOptions { key_prefix, prefix, name, .. } = options;
        let key = |part: &str| format!("{key_prefix}{}{{{prefix}{name}}}:{part}", super::keys::KEPT);
        Self { items: key("items"), due: key("due"), claimed: key("claimed"), versions: key("versions") }
    }
}

impl Agenda {
    pub fn new(link: Arc<dyn Link>, options: AgendaOptions, clock: Clock) -> Self {
        let keys = AgendaKeys::new(&options);
        let inner = Inner {
            link,
            clock,
            keys,
            options,
            woken: Notify::new(),
            running: AtomicUsize::new(0),
            ahead_ms: AtomicI64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Puts an item on the agenda; the version that it has.
    ///
    /// # Errors
    /// `Overloaded` when there are as many as there may be.
    pub fn put(&self, id: &str, payload: &str, due_ms: i64) -> impl Future<Output = Result<String>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let AgendaOptions { keeps_due, max_items, .. } = inner.options;
        let reply = scripts::hold_work(&inner.link, &inner.keys, [id, payload], due_ms, keeps_due, max_items);
        async move {
            let version = reply.await?;
            if version == 0 {
                let message = format!("{max_items} items wait already in `{}`", inner.options.name);
                #[expect(clippy::cast_precision_loss, reason = "a limit of whole numbers below 2^53")]
                return Err(Error::new(ErrorCode::Overloaded, message).with("limit", max_items as f64));
            }
            inner.woken.notify_one();
            Ok(version.to_string())
        }
    }

    /// Version and payload of an item.
    pub fn peek(&self, id: &str) -> impl Future<Output = Result<Option<(String, String)>>> + Send + use<> {
        let reply = self.inner.link.call(Command::new("HGET").key(&*self.inner.keys.items).arg(id).repeatable());
        async move {
            let item = reply.await?.into_optional_text()?;
            Ok(item.and_then(|item| parse(&item).map(|(version, _, payload)| (version, payload))))
        }
    }

    /// How many items there are.
    pub fn count(&self) -> impl Future<Output = Result<i64>> + Send + use<> {
        let reply = self.inner.link.call(Command::new("HLEN").key(&*self.inner.keys.items).repeatable());
        async move { reply.await?.into_int() }
    }

    /// Ends a claim: the work is done, or is due again at `retry_ms`. Whether the item is gone from the agenda; false too
    /// when the claim was over before.
    pub fn settle(&self, item: &Claimed, retry_ms: Option<i64>) -> impl Future<Output = Result<bool>> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        let now_ms = inner.clock.now_ms();
        let reply = scripts::settle_work(&inner.link, &inner.keys, now_ms, item, retry_ms);
        async move {
            let reply = reply.await;
            inner.running.fetch_sub(1, Ordering::AcqRel);
            inner.woken.notify_one();
            Ok(reply? == 1)
        }
    }

    /// Has items done so many milliseconds before they are due.
    pub fn hurry(&self, ahead_ms: i64) {
        self.inner.ahead_ms.store(ahead_ms, Ordering::Release);
        self.inner.woken.notify_one();
    }

    /// Begins to look for work, until the duty is dropped.
    pub fn start(&self, sink: Arc<dyn WorkSink>) -> Duty {
        let inner = Arc::clone(&self.inner);
        Duty::start(async move {
            loop {
                let look_at = inner.look(&*sink).await;
                tokio::select! {
                    () = inner.woken.notified() => {}
                    () = inner.wait(look_at) => {}
                }
            }
        })
    }
}

/// When an agenda is looked at again unless something happens here.
enum Look {
    /// For work that is known.
    At(Moment),
    /// For what others may have put there.
    After(Duration),
}

impl Inner {
    /// Takes what is due and for what there is room.
    async fn look(&self, sink: &dyn WorkSink) -> Look {
        let room = self.options.concurrency.saturating_sub(self.running.load(Ordering::Acquire));
        let (now_ms, began) = (self.clock.now_ms(), self.clock.moment());
        let claim_ms = now_ms.saturating_add(i64::try_from(self.options.claim.as_millis()).unwrap_or(i64::MAX));
        let until_ms = now_ms.saturating_add(self.ahead_ms.load(Ordering::Acquire));
        let taken = scripts::claim_work(&self.link, &self.keys, [now_ms, until_ms, claim_ms], room).await;
        let Ok((next_ms, items)) = taken else { return Look::After(AFTER_FAILURE) };
        let items: Vec<_> = items
            .into_iter()
            .filter_map(|(id, item)| {
                let (version, attempts, payload) = parse(&item)?;
                Some(Claimed { id, version, attempts, claim_ms, payload })
            })
            .collect();
        self.running.fetch_add(items.len(), Ordering::AcqRel);
        let is_full = items.len() >= room;
        if !items.is_empty() {
            sink.due(items);
        }
        match next_ms {
            // Settling wakes the duty.
            _ if is_full => Look::After(LOOK_AGAIN),
            Some(next_ms) => {
                let wait = Duration::from_millis(u64::try_from(next_ms - now_ms).unwrap_or(0));
                if wait > LOOK_AGAIN { Look::After(LOOK_AGAIN) } else { Look::At(began + wait) }
            }
            None => Look::After(LOOK_AGAIN),
        }
    }

    async fn wait(&self, look: Look) {
        match look {
            Look::At(moment) => self.clock.sleep_until(moment).await,
            Look::After(pause) => self.clock.rest(pause).await,
        }
    }
}

/// `version:attempts:payload`.
fn parse(item: &str) -> Option<(String, u32, String)> {
    let (version, rest) = item.split_once(':')?;
    let (attempts, payload) = rest.split_once(':')?;
    Some((version.to_owned(), attempts.parse().ok()?, payload.to_owned()))
}

/// When to look again, and what was claimed: ids and items.
pub(super) type Taken = (Option<i64>, Vec<(String, String)>);

/// The reply of `cache/claim_work`.
pub(super) fn claimed(reply: Value) -> Result<Taken> {
    let mut parts = reply.into_items()?.into_iter();
    let next = parts.next().map_or(Ok(None), Value::into_optional_text)?;
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
    let next = next.and_then(|ms| ms.parse::<f64>().ok()).map(|ms| ms as i64);
    let mut items = Vec::new();
    while let (Some(id), Some(item)) = (parts.next(), parts.next()) {
        items.push((id.into_text()?, item.into_text()?));
    }
    Ok((next, items))
}
