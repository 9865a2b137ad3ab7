//! A connection of its own for commands that block on the server, such as `BZPOPMIN`.
//!
//! The wait of such a command is known, so it has a deadline like any other: the wait and a margin. Past it the
//! connection is not trusted any more and is replaced. An interrupted command is never repeated behind its caller's back:
//! it may have taken something.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    command::{Batch, Command},
    command_link::{CommandLink, Purpose},
    link::{BlockingLink, BoxFuture, LinkState, OneReply, StateSink},
    options::ConnectionOptions,
};
use crate::{
    codec::resp::Value,
    error::{Error, ErrorCode, Result},
};

/// How much later than its wait a blocking command may return.
const MARGIN: Duration = Duration::from_secs(2);
/// How long [`BlockingLink::unblock`] asks the server before it takes the connection away instead.
const UNBLOCK_LIMIT: Duration = Duration::from_secs(2);
/// Pause between two requests to unblock: the command may not have reached the server.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(10);
/// Longest wait that is passed on; a longer one is as good as for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct RedisBlockingLink {
    link: Arc<CommandLink>,
    /// Where `CLIENT UNBLOCK` goes.
    commands: Arc<CommandLink>,
    command_timeout: Duration,
    /// What waits instead, once the engine is in this process.
    local: OnceLock<Arc<dyn BlockingLink>>,
    /// One command at a time.
    turn: Mutex<()>,
    /// Number of the command that runs, 0 for none.
    running: AtomicU64,
    started: AtomicU64,
    /// Ends the wait for a connection.
    cancelled: Notify,
    became_ready: Arc<BecameReady>,
    _watch: Box<dyn Send + Sync>,
}

#[derive(Default)]
struct BecameReady {
    changed: Notify,
}

impl StateSink for BecameReady {
    fn state(&self, _state: LinkState, _error: Option<&Error>) {
        self.changed.notify_waiters();
    }
}

impl RedisBlockingLink {
    pub(super) fn open(options: &ConnectionOptions, commands: Arc<CommandLink>) -> Self {
        let options = ConnectionOptions {
            // A command waits for the connection here, not in the link, where it could be sent after its caller left.
            max_retries_per_request: None,
            ..options.clone()
        };
        let command_timeout = options.command_timeout;
        let link = CommandLink::open(Arc::new(options), Purpose::Blocking);
        let became_ready = Arc::new(BecameReady::default());
        let sink: Arc<dyn StateSink> = Arc::clone(&became_ready) as _;
        let watch = link.board().watch(sink);
        Self {
            link,
            commands,
            command_timeout,
            local: OnceLock::new(),
            turn: Mutex::new(()),
            running: AtomicU64::new(0),
            started: AtomicU64::new(0),
            cancelled: Notify::new(),
            became_ready,
            _watch: watch,
        }
    }

    async fn run(&self, command: Command, wait: Duration) -> Result<Value> {
        let _turn = self.turn.lock().await;
        let mut run = Run::begin(self);
        let wait = wait.min(LONGEST_WAIT);
        let ready = timeout(wait.max(self.command_timeout), self.ready());
        tokio::select! {
            ready = ready => ready.unwrap_or_else(|_| Err(not_ready()))?,
            () = self.cancelled.notified() => return Ok(Value::Nil),
        }
        if let Some(local) = self.link.local() {
            return self.local.get_or_init(|| local.open_blocking()).block(command, wait).await;
        }
        let (sink, reply) = OneReply::new();
        let mut batch = Batch::new(sink);
        batch.push(&command.deadline(wait + MARGIN), 0);
        run.submitted = true;
        self.link.submit(batch);
        let reply = reply.await.unwrap_or_else(|_| Err(Error::closed("connection")));
        run.submitted = false;
        reply
    }

    async fn ready(&self) -> Result<()> {
        loop {
            let changed = self.became_ready.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if self.link.board().current() == LinkState::Ready {
                return Ok(());
            }
            if let Some(error) = self.link.refusal() {
                return Err(error);
            }
            changed.await;
        }
    }

    async fn end_early(&self) {
        let run = self.running.load(Ordering::Acquire);
        if run == 0 {
            return;
        }
        let limit = Instant::now() + UNBLOCK_LIMIT;
        self.cancelled.notify_waiters();
        while self.running.load(Ordering::Acquire) == run {
            if Instant::now() >= limit {
                let why = "the command was to end early, and the server could not be asked";
                self.link.replace_connection(Error::new(ErrorCode::ConnectionLost, why));
                return;
            }
            self.cancelled.notify_waiters();
            if let Some(local) = self.local.get() {
                local.unblock().await;
            } else if let Some(id) = self.link.client_id() {
                let (sink, reply) = OneReply::new();
                let mut batch = Batch::new(sink);
                batch.push(&Command::new("CLIENT").arg("UNBLOCK").int(id).deadline(UNBLOCK_LIMIT), 0);
                self.commands.submit(batch);
                let _ = timeout_at(limit, reply).await;
            }
            sleep(UNBLOCK_PAUSE).await;
        }
    }
}

fn not_ready() -> Error {
    Error::new(ErrorCode::ConnectionFailed, "no connection for a blocking command").with("maybeExecuted", false)
}

impl BlockingLink for RedisBlockingLink {
    fn block(&self, command: Command, wait: Duration) -> BoxFuture<'_, Result<Value>> {
        Box::pin(self.run(command, wait))
    }

    fn unblock(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.end_early())
    }
}

/// A command that runs. When its caller goes away, what it would take must not come to nobody's ears later: the
/// connection is replaced.
struct Run<'a> {
    link: &'a RedisBlockingLink,
    /// The server may be at it.
    submitted: bool,
}

impl<'a> Run<'a> {
    fn begin(link: &'a RedisBlockingLink) -> Self {
        let number = link.started.fetch_add(1, Ordering::Relaxed) + 1;
        link.running.store(number, Ordering::Release);
        Self { link, submitted: false }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.link.running.store(0, Ordering::Release);
        if self.submitted {
            let why = "the caller of a blocking command went away";
            self.link.link.replace_connection(Error::new(ErrorCode::ConnectionLost, why));
        }
    }
}
