//! One client behind a socket: reads commands, runs them one after the other, sends replies and messages.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{oneshot, watch},
};

use super::{
    outbox::Outbox,
    requests::{Request, Requests},
};
use crate::{
    codec::resp::Dialect,
    embedded::{
        engine::{Engine, split},
        failure::Failure,
        session::PushSink,
        state::resolve,
        table::NIL_ARRAY,
    },
};

/// How long one client keeps the I/O thread before others have a turn.
const TURN: Duration = Duration::from_millis(1);
/// Commands that a client may send while one of its own waits; then it is no longer read from.
const MAX_AHEAD: usize = 1024 * 1024;
/// How long a client that said goodbye may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which of RESP2's two nulls a command gives. Pops of lists give that of arrays when they were asked for several items.
fn nil_is_array(args: &[&[u8]]) -> bool {
    let row = resolve(args).ok().filter(|row| row.has(NIL_ARRAY));
    row.is_some_and(|row| args.len() > 2 || !matches!(row.name, "lpop" | "rpop"))
}

/// What a client of RESP3 is sent before the engine goes away in good order: what it has no reply for was not run.
pub(crate) const HANDOVER: &[u8] = b">1\r\n$8\r\nhandover\r\n";

/// Serves a client until it leaves, or until `stop` says that the engine is to go away.
pub(super) async fn serve<S>(engine: Arc<Engine>, stream: S, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (reader, mut writer) = tokio::io::split(stream);
    let outbox = Arc::<Outbox>::default();
    let session = engine.open_remote(Arc::clone(&outbox) as Arc<dyn PushSink>);
    let client = Client { engine, session, outbox: Arc::clone(&outbox) };
    let sending = send(&mut writer, &outbox);
    tokio::pin!(sending);
    tokio::select! {
        () = client.read(reader) => {
            outbox.close();
            let _ = tokio::time::timeout(FAREWELL, sending).await;
        }
        () = async { drop(stop.wait_for(|stop| *stop).await) } => {
            // What was run is answered before, or nothing is said.
            if tokio::time::timeout(FAREWELL, client.engine.nothing_held()).await.is_ok() {
                outbox.say_goodbye(HANDOVER);
            } else {
                outbox.close();
            }
            let _ = tokio::time::timeout(FAREWELL, sending).await;
        }
        () = &mut sending => {}
        () = outbox.given_up() => {}
    }
}

/// Sends what comes into the outbox, until no more comes or the client takes no more.
async fn send<S: AsyncWrite>(writer: &mut WriteHalf<S>, outbox: &Outbox) {
    while let Some(bytes) = outbox.take().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

struct Client {
    engine: Arc<Engine>,
    session: u64,
    outbox: Arc<Outbox>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.engine.close_session(self.session);
    }
}

/// How it goes on after a command.
enum Next {
    Go,
    /// The command waits for this.
    Wait(oneshot::Receiver<()>),
    Quit,
}

impl Client {
    async fn read<S: AsyncRead>(&self, mut reader: ReadHalf<S>) {
        let mut requests = Requests::default();
        let mut turn = Instant::now();
        loop {
            let next = match requests.next() {
                Ok(Some(request)) => self.run(request),
                Ok(None) => {
                    match reader.read_buf(requests.space()).await {
                        Ok(1..) => {}
                        _ => return,
                    }
                    turn = Instant::now();
                    continue;
                }
                Err(why) => {
                    self.refuse(&format!("ERR Protocol error: {why}"));
                    return;
                }
            };
            match next {
                Next::Go => {}
                Next::Wait(done) => {
                    if !self.wait(&mut reader, &mut requests, done).await {
                        return;
                    }
                }
                Next::Quit => return,
            }
            self.outbox.room().await;
            if turn.elapsed() > TURN {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
        }
    }

    /// Waits for a blocked command; false when the client left meanwhile, which ends the wait with the session.
    async fn wait<S: AsyncRead>(
        &self,
        reader: &mut ReadHalf<S>,
        requests: &mut Requests,
        mut done: oneshot::Receiver<()>,
    ) -> bool {
        loop {
            let may_read = requests.len() < MAX_AHEAD;
            tokio::select! {
                biased;
                _ = &mut done => return true,
                count = reader.read_buf(requests.space()), if may_read => {
                    if !matches!(count, Ok(1..)) {
                        return false;
                    }
                }
            }
        }
    }

    fn run(&self, request: Request<'_>) -> Next {
        match request {
            Request::Inline(words) => {
                let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                self.run_command(&args)
            }
            Request::Frame(frame) => {
                let mut args = Vec::new();
                if split(frame, &mut args) {
                    self.run_command(&args)
                } else {
                    self.refuse("ERR Protocol error: expected an array of bulk strings");
                    Next::Quit
                }
            }
        }
    }

    fn run_command(&self, args: &[&[u8]]) -> Next {
        let null_array = nil_is_array(args);
        let (ended, waits) = oneshot::channel();
        let outbox = Arc::clone(&self.outbox);
        let done = Box::new(move |reply| {
            // The end of a wait is the null of arrays, whatever the command gives otherwise.
            outbox.reply(&reply, Dialect { resp3: outbox.resp3(), null_array: true });
            // The client may have left.
            let _ = ended.send(());
        });
        let mut quit = false;
        let answered = self.engine.serve(self.session, args, done, |session, reply| {
            // The protocol that this command left behind: `HELLO` answers in the one that it chooses.
            let dialect = Dialect { resp3: session.resp3, null_array };
            self.outbox.set_protocol(session.resp3, session.subscriptions() > 0);
            let more = std::mem::take(&mut session.more);
            quit = session.quit;
            let outbox = Arc::clone(&self.outbox);
            move |is_safe| {
                if is_safe {
                    outbox.reply(&reply, dialect);
                    for more in &more {
                        outbox.reply(more, dialect);
                    }
                } else {
                    // What was run may be lost: the client is to see that as it sees a broken connection.
                    outbox.give_up();
                }
            }
        });
        match (answered, quit) {
            (_, true) => Next::Quit,
            (true, false) => Next::Go,
            (false, false) => Next::Wait(waits),
        }
    }

    fn refuse(&self, text: &str) {
        let reply = Failure::new(text.to_owned()).into_value();
        self.outbox.reply(&reply, Dialect { resp3: self.outbox.resp3(), null_array: false });
    }
}
