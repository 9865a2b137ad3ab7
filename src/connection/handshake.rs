//! From an address to a connection that is ready for commands.
//!
//! `HELLO 3` asks for RESP3 and carries the credentials; a server that knows no `HELLO`, or refuses protocol 3, is spoken
//! to in RESP2 with `AUTH`. The connection's name, the library's name, the database and the ready check follow in one
//! write. Everything is done again on every reconnect, so nothing about a connection is ever only in the server.

use std::{future::poll_fn, io::IoSlice, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    command::Command,
    options::{Address, ConnectionOptions},
    socket::{Socket, connection_failed},
};
use crate::{
    codec::resp::{ReadBuffer, Value, parse},
    embedded::{FileStore, Local, Place},
    error::{Error, ErrorCode, Result},
};

/// Longest pause between two looks at a server that loads its data.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// How long who has a file may be out of reach before that counts as a failure, and the pause between two looks.
const SETTLING: Duration = Duration::from_secs(1);
const SETTLING_PAUSE: Duration = Duration::from_millis(20);

/// A connection that finished its handshake.
#[derive(Debug)]
pub(super) struct Session {
    pub socket: Socket,
    pub frames: ReadBuffer,
    /// The server's number for this connection, where it told.
    pub client_id: Option<i64>,
    pub resp3: bool,
}

/// What connecting led to.
pub(super) enum Opened {
    Session(Box<Session>),
    /// No connection is needed: the engine is in this process.
    Here(Arc<Local>),
}

/// Connects and shakes hands. `connected` is called once the socket is open.
///
/// # Errors
/// `ConnectionFailed`, `TlsFailed`, `AuthenticationFailed`, `ProtocolViolation`, `InvalidOption` (a database that the
/// server does not have), `StorageFailed`, `StorageDamaged`.
pub(super) async fn open_session(options: &ConnectionOptions, connected: impl FnOnce() + Send) -> Result<Opened> {
    let socket = match reach(options).await? {
        Reached::Here(local) => return Ok(Opened::Here(local)),
        Reached::Socket(socket) => socket,
    };
    let deadline = Instant::now() + options.connect_timeout;
    let mut session = Session { socket, frames: ReadBuffer::default(), client_id: None, resp3: false };
    connected();
    match timeout_at(deadline, session.greet(options)).await {
        Ok(greeted) => greeted?,
        Err(_) => return Err(timed_out(options)),
    }
    if options.ready_check {
        session.wait_until_loaded(options).await?;
    }
    Ok(Opened::Session(Box::new(session)))
}

enum Reached {
    Socket(Socket),
    Here(Arc<Local>),
}

/// Finds whom to speak to.
async fn reach(options: &ConnectionOptions) -> Result<Reached> {
    let connect = async |address: &Address| {
        let connected = timeout(options.connect_timeout, Socket::connect(address, options)).await;
        connected.unwrap_or_else(|_| Err(timed_out(options))).map(Reached::Socket)
    };
    let Address::File { directory, journal } = &options.address else { return connect(&options.address).await };
    let store = FileStore::shared(directory, journal)?;
    let settled = Instant::now() + SETTLING;
    loop {
        let reached = match store.place().await {
            Ok(Place::Here(holder)) => {
                let (db, name) = (usize::from(options.db.unwrap_or(0)), options.connection_name.as_deref());
                return Ok(Reached::Here(Local::new(holder, db, name.unwrap_or_default())));
            }
            Ok(Place::There(path)) => connect(&Address::Unix { path }).await,
            Err(error) => Err(error),
        };
        match reached {
            // The one who has the files is about to listen, or about to be gone.
            Err(error) if error.code() == ErrorCode::ConnectionFailed && Instant::now() < settled => {
                sleep(SETTLING_PAUSE).await;
            }
            reached => return reached,
        }
    }
}

/// Whether trying again helps only after somebody mended the options or the server.
pub(super) fn is_hopeless(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::AuthenticationFailed
            | ErrorCode::ProtocolViolation
            | ErrorCode::TlsFailed
            | ErrorCode::InvalidOption
            | ErrorCode::StorageFailed
            | ErrorCode::StorageDamaged
    )
}

fn timed_out(options: &ConnectionOptions) -> Error {
    let limit = options.connect_timeout.as_millis();
    Error::new(ErrorCode::ConnectionFailed, format!("no connection to {} within {limit} ms", options.describe()))
}

impl Session {
    async fn greet(&mut self, options: &ConnectionOptions) -> Result<()> {
        let user = options.username.as_deref();
        let password = options.password.as_ref().map(|secret| secret.0.as_str());
        let mut hello = Command::new("HELLO").arg("3");
        if let Some(password) = password {
            hello = hello.arg("AUTH").arg(user.unwrap_or("default")).arg(password);
        }
        match self.exchange(options, &[hello]).await?.pop() {
            Some(Ok(Value::Map(pairs))) => {
                self.resp3 = true;
                let id = pairs.into_iter().find(|(name, _)| *name == Value::Bulk(b"id".to_vec()));
                self.client_id = id.and_then(|(_, id)| id.into_int().ok());
            }
            Some(Err(refusal)) if is_without_resp3(&refusal, password.is_some()) => {
                if let Some(password) = password {
                    let auth = Command::new("AUTH");
                    let auth = if let Some(user) = user { auth.arg(user) } else { auth };
                    if let Some(Err(refusal)) = self.exchange(options, &[auth.arg(password)]).await?.pop() {
                        tolerate_needless_password(&refusal)?;
                    }
                }
            }
            Some(Err(refusal)) => return Err(refused(options, refusal)),
            _ => return Err(Error::new(ErrorCode::ProtocolViolation, "the peer answers HELLO with something else")),
        }
        self.introduce(options).await
    }

    /// Names the connection, selects the database.
    async fn introduce(&mut self, options: &ConnectionOptions) -> Result<()> {
        // SELECT also where the number is 0: the first command that a server would refuse, and what tells NOAUTH.
        let db = options.db.unwrap_or(0);
        let mut commands = vec![
            Command::new("SELECT").int(i64::from(db)),
            Command::new("CLIENT").arg("SETINFO").arg("LIB-NAME").arg("oxcart"),
            Command::new("CLIENT").arg("SETINFO").arg("LIB-VER").arg(env!("CARGO_PKG_VERSION")),
            Command::new("CLIENT").arg("ID"),
        ];
        if let Some(name) = &options.connection_name {
            commands.push(Command::new("CLIENT").arg("SETNAME").arg(name));
        }
        let mut replies = self.exchange(options, &commands).await?.into_iter();
        if let Some(Err(refusal)) = replies.next() {
            let word = refusal.message();
            if refusal.code() == ErrorCode::AuthenticationFailed && !(db == 0 && word.starts_with("NOPERM")) {
                return Err(refused(options, refusal));
            }
            if db != 0 && !(word.contains("out of range") || word.contains("invalid") || word.contains("not allowed")) {
                return Err(refused(options, refusal));
            }
            if db != 0 {
                let value = format!("{db}, which the server refuses ({word})");
                return Err(Error::invalid_option("db", &value, "a database that the server has"));
            }
        }
        // Old servers know no SETINFO, and users may be forbidden CLIENT: neither is needed to work.
        if let Some(Ok(Value::Int(id))) = replies.nth(2) {
            self.client_id = Some(id);
        }
        Ok(())
    }

    /// The ready check. A user who may not ask has to take the server as it is.
    async fn wait_until_loaded(&mut self, options: &ConnectionOptions) -> Result<()> {
        loop {
            let deadline = Instant::now() + options.connect_timeout;
            let info = [Command::new("INFO").arg("persistence")];
            let reply = match timeout_at(deadline, self.exchange(options, &info)).await {
                Ok(replies) => replies?.pop(),
                Err(_) => return Err(timed_out(options)),
            };
            let Some(Ok(reply)) = reply else { return Ok(()) };
            let info = reply.into_text()?;
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if field("loading:").is_none_or(|loading| loading == "0") {
                return Ok(());
            }
            let eta = field("loading_eta_seconds:").and_then(|eta| eta.parse().ok()).map(Duration::from_secs);
            tracing::debug!("the server loads its data");
            sleep(eta.unwrap_or(LOADING_PAUSE).clamp(Duration::from_millis(50), LOADING_PAUSE)).await;
        }
    }

    /// Writes all commands, then reads their replies.
    async fn exchange(&mut self, options: &ConnectionOptions, commands: &[Command]) -> Result<Vec<Result<Value>>> {
        let mut bytes = Vec::new();
        for command in commands {
            command.encode(&mut bytes);
        }
        let broken = |error| connection_failed(&options.describe(), error);
        let mut written = 0;
        while written < bytes.len() {
            written +=
                poll_fn(|cx| self.socket.poll_write(cx, &[IoSlice::new(&bytes[written..])])).await.map_err(broken)?;
        }
        let mut replies = Vec::with_capacity(commands.len());
        while replies.len() < commands.len() {
            while let Some(frame) = self.frames.next_frame()? {
                match parse(frame)?.to_value() {
                    Value::Push(_) => {}
                    Value::Error(error) => replies.push(Err(error)),
                    value => replies.push(Ok(value)),
                }
            }
            if replies.len() < commands.len() {
                self.read().await.map_err(broken)?;
            }
        }
        Ok(replies)
    }

    /// One read. Bytes that TLS still holds go out meanwhile.
    async fn read(&mut self) -> std::io::Result<()> {
        let (socket, frames) = (&mut self.socket, &mut self.frames);
        let read = poll_fn(|cx| {
            if let std::task::Poll::Ready(Err(error)) = socket.poll_write(cx, &[]) {
                return std::task::Poll::Ready(Err(error));
            }
            socket.poll_read(cx, frames.space())
        })
        .await?;
        frames.filled();
        if read == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the peer closed the connection during the handshake",
            ));
        }
        Ok(())
    }
}

/// Before Redis 6 there is no `HELLO`, and it can be renamed away; some proxies know only protocol 2.
fn is_without_resp3(refusal: &Error, has_password: bool) -> bool {
    let text = refusal.message();
    // NOAUTH although HELLO brought a password: only AUTH may be sent before being somebody.
    text.starts_with("NOPROTO")
        || text.starts_with("ERR unknown command")
        || text.starts_with("NOPERM")
        || (has_password && text.starts_with("NOAUTH"))
}

/// A password for a server that has none is a leftover, not a danger.
fn tolerate_needless_password(refusal: &Error) -> Result<()> {
    if refusal.message().contains("without any password configured") {
        tracing::warn!("a password is set, but the server asks for none");
        return Ok(());
    }
    let code = ErrorCode::AuthenticationFailed;
    Err(Error::new(code, format!("the server refused the credentials: {}", refusal.message())))
}

fn refused(options: &ConnectionOptions, refusal: Error) -> Error {
    let at = options.describe();
    match refusal.code() {
        ErrorCode::AuthenticationFailed if options.password.is_none() => {
            Error::new(ErrorCode::AuthenticationFailed, format!("{at} asks for a password: {}", refusal.message()))
        }
        ErrorCode::AuthenticationFailed => {
            Error::new(ErrorCode::AuthenticationFailed, format!("{at} refused the credentials: {}", refusal.message()))
        }
        _ => Error::new(ErrorCode::ConnectionFailed, format!("{at} refused the connection: {}", refusal.message())),
    }
    .caused_by(refusal)
}
