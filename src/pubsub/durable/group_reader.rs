//! One subscriber of a group: reads what is new, keeps what is being worked on, takes over what others left.
//!
//! A message belongs to the consumer that it was handed to until that one acknowledges it. While it is being handled, or
//! waits to be tried again, this reader keeps it by giving a sign of life three times within `claimAfter`, on the I/O thread, so
//! that a busy JavaScript thread loses nothing. Whatever had no such sign, because its consumer died, lost the reply that
//! handed it over, or left, is taken over by the next one that looks. So everything is handed over at least once.
//!
//! No socket waits: publishers wake readers through the subscriber link, and readers look for themselves now and then, which
//! finds what the link missed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    group_options::{GroupOptions, position},
    scripts::{self, Claimed, Entry, Member},
};
use crate::{
    clock::{Clock, Moment},
    connection::{Link, Message, MessageSink, SubscriptionKind},
    error::{Error, Result},
    service::Duty,
};

/// Without word from a publisher the stream is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// First pause after a failure; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A message for a handler.
#[derive(Clone, Debug)]
pub struct DurableDelivery {
    pub id: String,
    /// How often it was handed over, this time included.
    pub deliveries: u32,
    pub payload: Vec<u8>,
}

/// What a group tells besides messages.
#[derive(Clone, Debug)]
pub enum GroupEvent {
    /// A message was handed over too often, and moved to the dead ones.
    Dead { id: String, deliveries: u32 },
    /// So many messages were removed from the stream before they were acknowledged.
    Trimmed(u64),
    /// Stream or group were deleted; the group is there again and begins with what was added since.
    Reset,
    /// The server cannot be asked. Told once until it can be again.
    Failed(Error),
}

/// Hears of messages, on the I/O thread. Must not block.
pub trait GroupListener: Send + Sync + 'static {
    fn message(&self, delivery: DurableDelivery);
    fn event(&self, event: GroupEvent);
}

/// A member of a group. Dropping it ends its work; what it has is taken over by others after `claimAfter`.
pub struct GroupReader {
    shared: Arc<Shared>,
    sink: Arc<dyn MessageSink>,
    duty: Duty,
}

struct Shared {
    link: Arc<dyn Link>,
    clock: Clock,
    member: Member,
    options: GroupOptions,
    state: Mutex<State>,
    wake: Arc<Notify>,
    listener: Arc<dyn GroupListener>,
}

#[derive(Default)]
struct State {
    /// Handed over and not settled, with how often.
    handled: HashMap<String, u32>,
    /// To be acknowledged.
    done: Vec<String>,
    /// To be handed over again, each at its time.
    retries: Vec<(Moment, String)>,
}

impl State {
    fn held(&self) -> usize {
        self.handled.len() + self.retries.len()
    }
}

struct Wake(Arc<Notify>);

impl MessageSink for Wake {
    fn message(&self, _: &Message<'_>) {
        self.0.notify_one();
    }

    fn restored(&self, _: &[(SubscriptionKind, String, Error)]) {
        self.0.notify_one();
    }
}

impl GroupReader {
    /// Joins a group, which is made where it is not there.
    pub(super) async fn join(
        link: Arc<dyn Link>,
        member: Member,
        options: GroupOptions,
        listener: Arc<dyn GroupListener>,
    ) -> Result<Self> {
        let from = position(&options.from).unwrap_or("$");
        scripts::create_group(&*link, &member.stream, &member.group, from).await?;
        let wake = Arc::new(Notify::new());
        let sink: Arc<dyn MessageSink> = Arc::new(Wake(Arc::clone(&wake)));
        let shared =
            Arc::new(Shared { clock: link.clock(), link, member, options, state: Mutex::default(), wake, listener });
        let duty = Duty::start(work(Arc::clone(&shared), Arc::clone(&sink)));
        Ok(Self { shared, sink, duty })
    }

    /// A handler is done with a message, or failed: then it is handed over again later, or is dead.
    pub fn settle(&self, id: &str, succeeded: bool) {
        {
            let mut state = self.shared.state();
            let Some(deliveries) = state.handled.remove(id) else { return };
            if succeeded {
                state.done.push(id.to_owned());
            } else {
                let due = self.shared.clock.moment() + self.shared.options.retry_delay(deliveries);
                state.retries.push((due, id.to_owned()));
            }
        }
        self.shared.wake.notify_one();
    }

    /// Ends the work: acknowledges what is done, and gives the rest to the others of the group at once.
    ///
    /// # Errors
    /// What the connection gives; the rest is then taken over after `claimAfter`.
    pub async fn leave(&self) -> Result<()> {
        self.duty.stop();
        let Shared { link, member, options, .. } = &*self.shared;
        // It only wakes; whether it can be taken off changes nothing.
        let _ = link.subscriptions().unsubscribe(SubscriptionKind::Channel, &member.stream, &self.sink).await;
        let done = std::mem::take(&mut self.shared.state().done);
        if !done.is_empty() {
            link.call(scripts::acknowledge(member, &done)).await?;
        }
        scripts::leave(&**link, member, options).await
    }
}

impl Drop for GroupReader {
    fn drop(&mut self) {
        let (link, sink) = (Arc::clone(&self.shared.link), Arc::clone(&self.sink));
        let stream = self.shared.member.stream.clone();
        crate::service::spawn(async move {
            let _ = link.subscriptions().unsubscribe(SubscriptionKind::Channel, &stream, &sink).await;
        });
    }
}

async fn work(shared: Arc<Shared>, sink: Arc<dyn MessageSink>) {
    let stream = &shared.member.stream;
    let (mut subscribed, mut failing, mut pause) = (false, false, FIRST_PAUSE);
    let mut due = shared.clock.moment();
    loop {
        if !subscribed {
            // Without it, messages are found by looking.
            let subscriptions = shared.link.subscriptions();
            subscribed = subscriptions.subscribe(SubscriptionKind::Channel, stream, Arc::clone(&sink)).await.is_ok();
        }
        match shared.round(&mut due).await {
            Ok(true) => {}
            Ok(false) => {
                (failing, pause) = (false, FIRST_PAUSE);
                tokio::select! {
                    () = shared.wake.notified() => {}
                    () = shared.clock.sleep_until(shared.next_moment(due)) => {}
                }
            }
            Err(error) if error.message().contains("NOGROUP ") => {
                // What was added since is newer than what anybody of the group has seen.
                if scripts::create_group(&*shared.link, stream, &shared.member.group, "0").await.is_ok() {
                    shared.listener.event(GroupEvent::Reset);
                }
                shared.clock.rest(pause).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    shared.listener.event(GroupEvent::Failed(error));
                }
                shared.clock.rest(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what there is to do; whether there may be more at once.
    async fn round(&self, due: &mut Moment) -> Result<bool> {
        let now = self.clock.moment();
        let retries: Vec<String> = {
            let state = self.state();
            state.retries.iter().filter(|(due, _)| *due <= now).map(|(_, id)| id.clone()).collect()
        };
        if !retries.is_empty() {
            let claimed = scripts::claim(&*self.link, &self.member, &self.options, &retries).await?;
            let retries: HashSet<String> = retries.into_iter().collect();
            self.state().retries.retain(|(_, id)| !retries.contains(id));
            self.take(claimed);
        }
        if now >= *due {
            self.keep().await?;
            if self.room() > 0 {
                let claimed = scripts::claim(&*self.link, &self.member, &self.options, &[]).await?;
                self.take(claimed);
            }
            *due = now + self.options.claim_after() / 3;
        }
        let done = std::mem::take(&mut self.state().done);
        let room = self.room();
        let outcome = self.acknowledge_and_read(&done, room).await;
        if outcome.is_err() {
            // It is said again.
            self.state().done.extend(done);
        }
        Ok(outcome? && self.room() > 0)
    }

    async fn acknowledge_and_read(&self, done: &[String], room: usize) -> Result<bool> {
        let mut commands = Vec::with_capacity(2);
        if !done.is_empty() {
            commands.push(scripts::acknowledge(&self.member, done));
        }
        if room > 0 {
            commands.push(scripts::read_new(&self.member, room));
        }
        let mut replies = self.link.call_many(&commands).await;
        let read = if room > 0 { replies.pop() } else { None };
        let entries = read.transpose()?.map(scripts::entries_read).transpose()?.unwrap_or_default();
        let found = entries.len();
        // They are this consumer's from here on, whatever became of the acknowledgements.
        for entry in entries {
            self.hand_over(entry);
        }
        for reply in replies {
            reply?;
        }
        Ok(room > 0 && found == room)
    }

    fn room(&self) -> usize {
        self.options.room().saturating_sub(self.state().held())
    }

    fn take(&self, claimed: Claimed) {
        for entry in claimed.taken {
            self.hand_over(entry);
        }
        for (id, deliveries) in claimed.dead {
            self.listener.event(GroupEvent::Dead { id, deliveries });
        }
        if claimed.given_up > 0 {
            self.listener.event(GroupEvent::Trimmed(claimed.given_up));
        }
    }

    fn hand_over(&self, Entry { id, deliveries, payload }: Entry) {
        {
            let mut state = self.state();
            // It is being handled, about to be acknowledged, or waits for its time: once is enough.
            if state.done.contains(&id) || state.retries.iter().any(|(_, other)| *other == id) {
                return;
            }
            if state.handled.insert(id.clone(), deliveries).is_some() {
                return;
            }
        }
        self.listener.message(DurableDelivery { id, deliveries, payload });
    }

    /// Gives the sign of life.
    async fn keep(&self) -> Result<()> {
        let ids: Vec<String> = {
            let state = self.state();
            state.handled.keys().chain(state.retries.iter().map(|(_, id)| id)).cloned().collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        self.link.call(scripts::keep(&self.member, &ids)).await.map(drop)
    }

    /// When there is something to do, though nobody says so.
    fn next_moment(&self, due: Moment) -> Moment {
        let look = (self.clock.moment() + LOOK_EVERY).min(due);
        self.state().retries.iter().map(|(due, _)| *due).fold(look, Moment::min)
    }
}
