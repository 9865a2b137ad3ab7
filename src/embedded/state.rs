//! All that an engine holds, behind its one lock, and how a command passes through it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Write as _,
    sync::Arc,
    time::Instant,
};

use hashbrown::DefaultHashBuilder;

use super::{
    args::{Args, text},
    blocking::{Blocked, Completion, Waiter, Wish},
    context::{Context, Origin},
    copying::Copied,
    data::Blob,
    failure::{Answer, Failure},
    journal::{Recorder, record},
    keyspace::Db,
    memory::{Memory, OUT_OF_MEMORY},
    native::NativeScript,
    notifications::{self, EXPIRED, Notifications},
    published::Published,
    pubsub::{Board, Delivery, Named},
    session::{PushSink, Session, Watch},
    slow_log::SlowLog,
    table::{self, BLOCKING, GROWS, IN_MULTI, READ, Row, SUBSCRIBED, WRITE},
    tracking::{Notice, Tracking},
};
use crate::{clock::Clock, codec::resp::Value, connection::ReplySink};

/// As many as a server has that was not told otherwise.
pub(super) const DATABASES: usize = 16;

/// What is to be done once the lock is released: none of it may run under it.
pub(super) enum Pending {
    Message(Delivery),
    Notice(Arc<dyn PushSink>, Notice),
    /// Ends a client's connection.
    HangUp(Arc<dyn PushSink>),
    Reply(Completion, Value),
    /// Replies by token.
    Batch(Arc<dyn ReplySink>, Vec<(u64, Value)>),
    /// A reply that is encoded already, or false where it is not to be given.
    Send(Box<dyn FnOnce(bool) + Send>),
}

impl Pending {
    /// Turns an answer into an error.
    fn fail(self, failure: &Failure) -> Self {
        match self {
            message @ (Self::Message(_) | Self::Notice(..) | Self::HangUp(_)) => message,
            Self::Reply(done, _) => Self::Reply(done, failure.clone().into_value()),
            Self::Batch(sink, replies) => {
                let replies = replies.into_iter().map(|(token, _)| (token, failure.clone().into_value()));
                Self::Batch(sink, replies.collect())
            }
            Self::Send(send) => Self::Send(Box::new(move |_| send(false))),
        }
    }
}

/// What became of a command.
pub(super) enum Step {
    Reply(Value),
    Wait(Wish),
}

/// Counters of `INFO`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub commands: u64,
    pub expired: u64,
    pub evicted: u64,
    pub sessions: u64,
    /// Scripts that ran natively, and those that could have but for what they found.
    pub native: u64,
    pub declined: u64,
}

/// What `TIME` answered last.
#[derive(Debug, Default)]
pub(super) struct ToldTime {
    pub us: i64,
    pub by_this_command: bool,
}

/// Everything.
pub(super) struct State {
    pub dbs: Vec<Db>,
    pub board: Board,
    pub blocked: Blocked,
    pub watchers: HashMap<(usize, Blob), Vec<Arc<Watch>>, DefaultHashBuilder>,
    pub sessions: BTreeMap<u64, Session>,
    pub pending: Vec<Pending>,
    pub clock: Clock,
    pub started_ms: i64,
    pub told: ToldTime,
    pub counters: Counters,
    /// Where messages are noted, in an engine of a test.
    pub published: Option<Arc<Published>>,
    pub scripts: super::scripting::Scripts,
    pub memory: Memory,
    pub tracking: Tracking,
    pub slow_log: SlowLog,
    pub notifications: Notifications,
    /// The client whose command runs.
    acting: Option<u64>,
    /// Counts changes of keys.
    pub changes: u64,
    /// Where changes are written, in an engine that keeps them.
    pub journal: Option<Recorder>,
    /// What waits until the disk has the journal up to a position.
    held: VecDeque<(u64, Vec<Pending>)>,
    /// Copies of the data that were begun.
    copies: u32,
}

impl State {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            dbs: (0..DATABASES).map(|_| Db::default()).collect(),
            board: Board::default(),
            blocked: Blocked::default(),
            watchers: HashMap::default(),
            sessions: BTreeMap::new(),
            pending: Vec::new(),
            started_ms: clock.now_ms(),
            told: ToldTime::default(),
            clock,
            counters: Counters::default(),
            published: None,
            scripts: super::scripting::Scripts::default(),
            memory: Memory::default(),
            tracking: Tracking::default(),
            slow_log: SlowLog::default(),
            notifications: Notifications::default(),
            acting: None,
            changes: 0,
            journal: None,
            held: VecDeque::new(),
            copies: 0,
        }
    }

    /// Tells those who watch a key, or have read it and want to know, that it changed.
    pub(super) fn touch(&mut self, db: usize, key: &[u8]) {
        self.changes += 1;
        if self.memory.limit > 0 {
            let now = self.clock.now_ms();
            self.dbs[db].weigh(key, now);
        }
        if self.tracking.is_on() {
            self.invalidate(key, self.acting);
        }
        self.notifications.note(db, key);
        if self.watchers.is_empty() {
            return;
        }
        if let Some(watchers) = self.watchers.get(&(db, Blob::from(key))) {
            for watch in watchers {
                watch.touch();
            }
        }
    }

    pub(super) fn unwatch(&mut self, session: &mut Session) {
        for (db, key, _) in std::mem::take(&mut session.watched) {
            let place = (db, key);
            if let Some(watchers) = self.watchers.get_mut(&place) {
                watchers.retain(|watch| !Arc::ptr_eq(watch, &session.watch));
                if watchers.is_empty() {
                    self.watchers.remove(&place);
                }
            }
        }
        session.watch = Arc::default();
    }

    pub(super) fn open_session(&mut self, db: usize, resp3: bool, push: Option<Arc<dyn PushSink>>) -> u64 {
        self.counters.sessions += 1;
        let id = self.counters.sessions;
        let session = Session::new(id, db, resp3, push, self.clock.now_ms());
        self.sessions.insert(id, session);
        id
    }

    pub(super) fn close_session(&mut self, id: u64) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        self.unwatch(&mut session);
        self.end_tracking(id);
        let kinds =
            [(Named::Channel, &session.channels), (Named::Pattern, &session.patterns), (Named::Shard, &session.shards)];
        for (named, names) in kinds {
            for name in names {
                self.board.remove(named, name, id);
            }
        }
        for ticket in self.blocked.of_session(id) {
            self.blocked.remove(ticket);
        }
    }

    /// Runs a client's command, and serves those who waited for what it left.
    pub(super) fn command(&mut self, session: &mut Session, args: Args<'_>, native: Option<NativeScript>) -> Step {
        let now = self.clock.now_ms();
        self.counters.commands += 1;
        self.told.by_this_command = false;
        self.acting = Some(session.id);
        session.active_ms = now;
        self.dbs[session.db].set_now(now);
        let no_touch = session.no_touch;
        if no_touch {
            self.dbs.iter_mut().for_each(|db| db.note_use(false));
        }
        let began = (self.slow_log.threshold >= 0).then(Instant::now);
        let mut context = Context { state: self, session, now, origin: Origin::Client, wish: None, native };
        let answer = dispatch(&mut context, args);
        if let Some(began) = began {
            context.note_duration(began, args);
        }
        let wish = context.wish.take();
        if no_touch {
            context.state.dbs.iter_mut().for_each(|db| db.note_use(true));
        }
        self.acting = None;
        if let Some(wish) = wish {
            return Step::Wait(wish);
        }
        self.collect_lapsed();
        self.end_group();
        Step::Reply(answer.unwrap_or_else(Failure::into_value))
    }

    /// Puts a command at the end of the lines of the keys it waits for, and gives its ticket.
    pub(super) fn wait(&mut self, session: &Session, args: Args<'_>, wish: Wish, done: Completion) -> u64 {
        self.blocked.add(Waiter {
            session: session.id,
            db: session.db,
            args: wish.instead.unwrap_or_else(|| Context::owned(args)),
            keys: wish.keys,
            also_without_key: wish.also_without_key,
            done,
            timer: None,
        })
    }

    /// Ends a wait; `reply` is what the client gets.
    pub(super) fn end_wait(&mut self, ticket: u64, reply: Value) -> bool {
        match self.blocked.remove(ticket) {
            Some(waiter) => {
                self.pending.push(Pending::Reply(waiter.done, reply));
                true
            }
            None => false,
        }
    }

    /// Gives what is there to those who wait for it, first come, first served. To be called after each command, with
    /// every session in its place.
    pub(super) fn serve_waiting(&mut self) {
        while let Some(place) = self.blocked.next_ready() {
            let mut last = 0;
            while let Some(ticket) = self.blocked.first_after(&place, last) {
                last = ticket;
                let Some(waiter) = self.blocked.get(ticket) else { continue };
                let heeds_loss = waiter.also_without_key;
                if !heeds_loss && !self.dbs[place.0].contains(&place.1, self.clock.now_ms()) {
                    continue;
                }
                let args = waiter.args.clone();
                let Some(mut session) = self.sessions.remove(&waiter.session) else { continue };
                let args: Vec<&[u8]> = args.iter().map(|arg| &**arg).collect();
                let now = self.clock.now_ms();
                self.acting = Some(session.id);
                let mut context = Context {
                    state: self,
                    session: &mut session,
                    now,
                    origin: Origin::Retry,
                    wish: None,
                    native: None,
                };
                let answer = match resolve(&args) {
                    Ok(row) => perform(&mut context, row, &args),
                    Err(failure) => Err(failure),
                };
                self.acting = None;
                self.sessions.insert(session.id, session);
                self.collect_lapsed();
                self.end_group();
                match answer {
                    // Nothing for this one; it goes on waiting, also where the key turned into another type.
                    Ok(Value::Nil) => {}
                    Err(failure) if failure == super::failure::WRONG_TYPE && !heeds_loss => {}
                    answer => {
                        self.end_wait(ticket, answer.unwrap_or_else(Failure::into_value));
                    }
                }
            }
        }
    }

    /// Counts keys that have expired meanwhile, and notes that they are gone.
    pub(super) fn collect_lapsed(&mut self) {
        for db in 0..self.dbs.len() {
            if self.dbs[db].has_lapsed() {
                for key in self.dbs[db].take_lapsed() {
                    self.counters.expired += 1;
                    self.blocked.key_lost(db, &key);
                    self.invalidate(&key, None);
                    self.notify(EXPIRED, "expired", db, &key);
                    if let Some(journal) = &mut self.journal {
                        journal.group().push(db, &[b"DEL", &key]);
                    }
                }
            }
        }
    }

    /// Notes a command that does again what was just done, behind what expired before it.
    pub(super) fn note_effect(&mut self, db: usize, words: &[&[u8]]) {
        self.collect_lapsed();
        if let Some(journal) = &mut self.journal {
            journal.group().push(db, words);
        }
    }

    fn end_group(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.end_group();
        }
    }

    /// Writes what was done. To be called before anybody is told of it. A failure is what all are to be told instead.
    pub(super) fn write_journal(&mut self) -> Result<(), Failure> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.end_group();
        let outcome = journal.write();
        if journal.tend() {
            self.end_copy();
        }
        if let Err(failure) = &outcome {
            let pending = std::mem::take(&mut self.pending);
            self.pending = pending.into_iter().map(|one| one.fail(failure)).collect();
        }
        outcome
    }

    /// Whether what is told now has to wait for the disk.
    pub(super) fn must_hold(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !self.held.is_empty() || journal.awaited().is_some())
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Keeps an answer, and what is pending behind it, until the disk has what they tell of.
    pub(super) fn hold(&mut self, answer: Pending) {
        let awaited = self.journal.as_ref().and_then(Recorder::awaited).unwrap_or(0);
        // In order, also where nothing new was written.
        let position = self.held.back().map_or(awaited, |(position, _)| awaited.max(*position));
        let mut told = vec![answer];
        told.append(&mut self.pending);
        self.held.push_back((position, told));
    }

    /// Lets go of what waited for what the disk has now.
    pub(super) fn release_held(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let synced = journal.synced();
        while let Some((position, _)) = self.held.front() {
            match &synced {
                Ok(synced) if *position > *synced => return,
                Ok(_) => self.pending.extend(self.held.pop_front().into_iter().flat_map(|(_, told)| told)),
                Err(failure) => {
                    let told = self.held.pop_front().into_iter().flat_map(|(_, told)| told);
                    self.pending.extend(told.map(|one| one.fail(failure)));
                }
            }
        }
    }

    /// Begins a copy of all data, where `switch` gives something.
    pub(super) fn begin_copy<R>(&mut self, switch: impl FnOnce(&mut Recorder) -> Option<R>) -> Option<R> {
        let switched = switch(self.journal.as_mut()?)?;
        self.copies = self.copies.checked_add(1).unwrap_or(1);
        for (home, db) in self.dbs.iter_mut().enumerate() {
            db.begin_copy(home, self.copies);
        }
        Some(switched)
    }

    /// Takes the next part of the copy, of about `budget` bytes. True when it was the last; the copy is over then.
    pub(super) fn take_copied(&mut self, mut budget: usize, into: &mut Vec<Copied>) -> bool {
        let mut is_last = true;
        for db in &mut self.dbs {
            is_last &= db.take_copied(&mut budget, into);
        }
        if is_last {
            self.end_copy();
        }
        is_last
    }

    fn end_copy(&mut self) {
        self.dbs.iter_mut().for_each(Db::end_copy);
    }

    /// See [`Db::set_writing`].
    pub(super) fn set_writing(&mut self, writing: bool) -> bool {
        self.dbs.iter_mut().fold(false, |was, db| was | db.set_writing(writing))
    }
}

/// The row of a command and, in a container, of the command within.
pub(super) fn resolve(args: Args<'_>) -> Result<&'static Row, Failure> {
    let name = args.first().copied().unwrap_or_default();
    let Some(row) = table::find(name) else { return Err(unknown_command(args)) };
    if !row.within.is_empty() && args.len() > 1 {
        return match row.within.iter().find(|within| super::args::is(args[1], within.last_word())) {
            Some(within) if within.takes(args.len()) => Ok(within),
            Some(within) => Err(Failure::wrong_arity(within.name)),
            None => Err(Failure::new(format!(
                "ERR unknown subcommand '{}'. Try {} HELP.",
                text(&args[1][..args[1].len().min(128)]),
                row.name.to_ascii_uppercase()
            ))),
        };
    }
    if row.takes(args.len()) { Ok(row) } else { Err(Failure::wrong_arity(row.name)) }
}

fn unknown_command(args: Args<'_>) -> Failure {
    let mut shown = String::new();
    for arg in &args[1.min(args.len())..] {
        if shown.len() >= 128 {
            break;
        }
        let most = 128 - shown.len();
        let _ = write!(shown, "'{}' ", text(&arg[..arg.len().min(most)]));
    }
    let name = args.first().copied().unwrap_or_default();
    Failure::new(format!(
        "ERR unknown command '{}', with args beginning with: {shown}",
        text(&name[..name.len().min(128)])
    ))
}

/// Runs a command, notes its effect and what it has read, and tells of it.
pub(super) fn perform(context: &mut Context<'_>, row: &Row, args: Args<'_>) -> Answer {
    let notifies = context.state.notifications.is_on();
    if !(notifies || context.state.tracking.is_on()) || !row.has(READ | WRITE) {
        return execute(context, row, args);
    }
    let before = notifies.then(|| notifications::Before::look(context, row, args));
    let answer = execute(context, row, args);
    if let (Some(before), Ok(_)) = (before, &answer) {
        notifications::tell(context, row, args, &before);
    }
    if row.has(READ) {
        context.state.remember_read(context.session, &row.keys_of(args));
    }
    answer
}

fn execute(context: &mut Context<'_>, row: &Row, args: Args<'_>) -> Answer {
    let Some(journal) = context.state.journal.as_mut().filter(|_| row.has(WRITE)) else {
        return (row.run)(context, args);
    };
    if let Some(failure) = journal.refusal() {
        return Err(failure);
    }
    let before = context.state.changes;
    let was = context.state.set_writing(true);
    let answer = (row.run)(context, args);
    context.state.set_writing(was);
    // What expired was gone before the command came.
    context.state.collect_lapsed();
    if let (Ok(reply), true) = (&answer, context.state.changes != before) {
        record(context, row, args, reply);
    }
    answer
}

fn dispatch(context: &mut Context<'_>, args: Args<'_>) -> Answer {
    let row = match resolve(args) {
        Ok(row) => row,
        Err(failure) => {
            if args.first().is_some_and(|name| super::args::is(name, "EXEC")) {
                context.session.transaction = None;
                context.state.unwatch(context.session);
                let why = failure.text().strip_prefix("ERR ").unwrap_or_default();
                return Err(Failure::new(format!("EXECABORT Transaction discarded because of: {why}")));
            }
            if let Some(transaction) = &mut context.session.transaction {
                transaction.broken = true;
            }
            return Err(failure);
        }
    };
    context.session.last_command = row.name;
    if !context.session.resp3 && context.session.subscriptions() > 0 && !row.has(SUBSCRIBED) {
        return Err(Failure::new(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context",
            row.name
        )));
    }
    let acting = context.state.acting.take();
    context.state.memory.is_full = !context.state.make_room(context.now);
    context.state.acting = acting;
    if context.state.memory.is_full && row.has(GROWS) {
        if let Some(transaction) = &mut context.session.transaction {
            transaction.broken = true;
        }
        return Err(OUT_OF_MEMORY);
    }
    if let Some(transaction) = &mut context.session.transaction
        && !row.has(IN_MULTI)
    {
        transaction.commands.push(Context::owned(args));
        return Ok(Value::Simple("QUEUED".to_owned()));
    }
    debug_assert!(context.wish.is_none(), "one command, one wish");
    let answer = perform(context, row, args);
    debug_assert!(context.wish.is_none() || row.has(BLOCKING), "{} waits and is not marked so", row.name);
    answer
}
