//! What happens in queues, read from their event streams by one blocking link for all subscribers of a server.
//!
//! Each subscription has a place of its own in its stream. One XREAD reads all streams, each from the earliest place of
//! its subscriptions; what a subscription has seen already is left out. A place moves only when its events were handed
//! over, so a broken connection skips nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;

use super::{Queue, marker_watcher::call_off};
use crate::{
    codec::resp::Value,
    connection::{BlockingLink, Command, Link},
    error::{Error, ErrorCode, Result},
    service::Duty,
};

/// How long one XREAD blocks: also how late, at most, a subscription is read when the call that should end an XREAD for
/// it came to nothing.
const WAIT: Duration = Duration::from_secs(3);
/// Between two tries while the link is down; the link itself waits until it is back.
const PAUSE: Duration = Duration::from_millis(100);
/// Entries of one stream that one XREAD gives.
const SLICE: i64 = 500;

/// One entry of a queue's event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEvent {
    /// Id in the stream; reading can resume after it.
    pub stream_id: String,
    /// `completed`, `failed`, `progress`, ...
    pub name: String,
    /// The other fields, as stored.
    pub fields: Vec<(String, String)>,
}

/// Receives events, on the I/O thread; must not block.
pub trait QueueEventSink: Send + Sync + 'static {
    fn events(&self, events: Vec<QueueEvent>);
    /// Reading failed and goes on by itself; nothing is skipped.
    fn error(&self, error: &Error);
}

/// Subscribes to events of queues.
pub struct QueueEvents;

/// Ends when dropped.
pub struct EventSubscription {
    reader: Arc<EventReader>,
    number: u64,
}

/// Milliseconds and sequence of an entry.
type Place = (u64, u64);

fn place(id: &str) -> Option<Place> {
    let (ms, sequence) = id.split_once('-').unwrap_or((id, "0"));
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}

impl QueueEvents {
    /// Events after `from` (a stream id; `None`: those that come from now on). Resolves when reading has its place, so
    /// that no event after that is missed.
    ///
    /// # Errors
    /// `InvalidArgument` for a `from` that is no stream id; those of the link.
    pub async fn subscribe(
        queue: &Queue,
        from: Option<String>,
        sink: Arc<dyn QueueEventSink>,
    ) -> Result<EventSubscription> {
        let storage = queue.storage();
        let stream = storage.keys.events.clone();
        let start = match from.as_deref() {
            Some(id) => place(id).ok_or_else(|| Error::invalid_argument("from", id, "a stream id"))?,
            None => last_place(&*storage.link, &stream).await?,
        };
        let reader = EventReader::of(&storage.link);
        let number = reader.shared.add(stream, start, sink);
        Ok(EventSubscription { reader, number })
    }
}

async fn last_place(link: &dyn Link, stream: &str) -> Result<Place> {
    let last = Command::new("XREVRANGE").key(stream).args(["+", "-", "COUNT", "1"]).repeatable();
    let Some(entry) = link.call(last).await?.into_items()?.into_iter().next() else { return Ok((0, 0)) };
    let id = entry.into_items()?.into_iter().next().map(Value::into_text).transpose()?.unwrap_or_default();
    place(&id).ok_or_else(|| Error::unexpected_reply("XREVRANGE", "an entry without an id"))
}

impl Drop for EventSubscription {
    fn drop(&mut self) {
        self.reader.shared.table().subscriptions.remove(&self.number);
    }
}

struct EventReader {
    shared: Arc<Shared>,
    _duty: Duty,
}

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    grown: Notify,
}

#[derive(Default)]
struct Table {
    subscriptions: BTreeMap<u64, Subscription>,
    numbers: u64,
}

struct Subscription {
    stream: String,
    seen: Place,
    sink: Arc<dyn QueueEventSink>,
}

/// A reader and its link.
type Known = (Weak<dyn Link>, Weak<EventReader>);

/// Every reader of the process with the link that it belongs to.
static READERS: Mutex<Vec<Known>> = Mutex::new(Vec::new());

impl EventReader {
    fn of(link: &Arc<dyn Link>) -> Arc<Self> {
        let mut readers = READERS.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(_, reader)| reader.strong_count() > 0);
        let same = |other: &Weak<dyn Link>| std::ptr::addr_eq(other.as_ptr(), Arc::as_ptr(link));
        let known = readers.iter().find(|(other, _)| same(other)).and_then(|(_, reader)| reader.upgrade());
        known.unwrap_or_else(|| {
            let shared = Arc::new(Shared::default());
            let duty = Duty::start(read(Arc::clone(&shared), link.open_blocking()));
            let reader = Arc::new(Self { shared, _duty: duty });
            readers.push((Arc::downgrade(link), Arc::downgrade(&reader)));
            reader
        })
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, stream: String, seen: Place, sink: Arc<dyn QueueEventSink>) -> u64 {
        let mut table = self.table();
        table.numbers += 1;
        let number = table.numbers;
        table.subscriptions.insert(number, Subscription { stream, seen, sink });
        self.grown.notify_one();
        number
    }

    /// Streams and where to read each from.
    fn places(&self) -> BTreeMap<String, Place> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for subscription in self.table().subscriptions.values() {
            let earliest = places.entry(subscription.stream.clone()).or_insert(subscription.seen);
            *earliest = (*earliest).min(subscription.seen);
        }
        places
    }

    /// Hands over what a read from `from` gave. Who joined meanwhile at an earlier place is left to the next read, which
    /// starts there: it would miss what lies between.
    fn hand_over(&self, stream: &str, from: Place, events: &[(Place, QueueEvent)]) {
        let Some(&(last, _)) = events.last() else { return };
        let mut deliveries = Vec::new();
        for subscription in
            self.table().subscriptions.values_mut().filter(|one| one.stream == stream && one.seen >= from)
        {
            let fresh: Vec<_> =
                events.iter().filter(|(at, _)| *at > subscription.seen).map(|(_, event)| event.clone()).collect();
            subscription.seen = subscription.seen.max(last);
            if !fresh.is_empty() {
                deliveries.push((Arc::clone(&subscription.sink), fresh));
            }
        }
        for (sink, events) in deliveries {
            sink.events(events);
        }
    }

    fn report(&self, error: &Error) {
        let sinks: Vec<_> = self.table().subscriptions.values().map(|one| Arc::clone(&one.sink)).collect();
        for sink in sinks {
            sink.error(error);
        }
    }
}

async fn read(shared: Arc<Shared>, blocking: Arc<dyn BlockingLink>) {
    let mut failing = false;
    loop {
        let places = shared.places();
        if places.is_empty() {
            shared.grown.notified().await;
            continue;
        }
        let wait_ms = i64::try_from(WAIT.as_millis()).unwrap_or(1);
        let mut command = Command::new("XREAD").arg("COUNT").int(SLICE).arg("BLOCK").int(wait_ms).arg("STREAMS");
        for stream in places.keys() {
            command = command.key(stream);
        }
        command = command.args(places.values().map(|(ms, sequence)| format!("{ms}-{sequence}"))).repeatable();
        let reading = blocking.block(command, WAIT);
        let reply = tokio::select! {
            biased;
            reply = reading => reply,
            never = call_off(&shared.grown, &*blocking) => match never {},
        };
        match reply.and_then(streams) {
            Ok(streams) => {
                failing = false;
                for (stream, events) in &streams {
                    if let Some(&from) = places.get(stream) {
                        shared.hand_over(stream, from, events);
                    }
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    shared.report(&error);
                }
                if error.code() == ErrorCode::Closed {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

type Entries = Vec<(Place, QueueEvent)>;

fn streams(reply: Value) -> Result<Vec<(String, Entries)>> {
    let pairs: Vec<(Value, Value)> = match reply {
        Value::Nil => Vec::new(),
        Value::Map(pairs) => pairs,
        other => other
            .into_items()?
            .into_iter()
            .map(|stream| {
                let mut parts = stream.into_items()?.into_iter();
                parts
                    .next()
                    .zip(parts.next())
                    .ok_or_else(|| Error::unexpected_reply("XREAD", "a stream without entries"))
            })
            .collect::<Result<_>>()?,
    };
    pairs
        .into_iter()
        .map(|(stream, entries)| {
            let entries = entries.into_items()?.into_iter().filter_map(|entry| event(entry).transpose());
            Ok((stream.into_text()?, entries.collect::<Result<_>>()?))
        })
        .collect()
}

/// An entry; one that was deleted has no fields.
fn event(entry: Value) -> Result<Option<(Place, QueueEvent)>> {
    let mut parts = entry.into_items()?.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else { return Ok(None) };
    if fields.is_nil() {
        return Ok(None);
    }
    let stream_id = id.into_text()?;
    let at = place(&stream_id).ok_or_else(|| Error::unexpected_reply("XREAD", "an entry without an id"))?;
    let mut event = QueueEvent { stream_id, name: String::new(), fields: Vec::new() };
    let mut fields = fields.into_items()?.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let (name, value) = (name.into_text()?, value.into_text()?);
        if name == "event" {
            event.name = value;
        } else {
            event.fields.push((name, value));
        }
    }
    Ok(Some((at, event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl QueueEventSink for Heard {
        fn events(&self, events: Vec<QueueEvent>) {
            self.0.lock().unwrap().extend(events.into_iter().map(|event| event.stream_id));
        }
        fn error(&self, _error: &Error) {}
    }

    #[test]
    fn a_subscription_that_joins_during_a_read_loses_nothing_before_its_place() {
        let shared = Shared::default();
        let (late, early) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let event =
            |ms: u64| ((ms, 0), QueueEvent { stream_id: format!("{ms}-0"), name: "added".into(), fields: Vec::new() });
        shared.add("events".into(), (1, 0), Arc::clone(&late) as _);
        let from = shared.places()["events"];
        shared.add("events".into(), (0, 0), Arc::clone(&early) as _);
        shared.hand_over("events", from, &[event(2)]);
        assert_eq!((late.0.lock().unwrap().len(), early.0.lock().unwrap().len()), (1, 0));

        shared.hand_over("events", shared.places()["events"], &[event(1), event(2)]);
        assert_eq!(*late.0.lock().unwrap(), ["2-0"]);
        assert_eq!(*early.0.lock().unwrap(), ["1-0", "2-0"]);
    }
}
