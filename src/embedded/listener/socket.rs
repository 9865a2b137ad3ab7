//! Listening and accepting.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use super::{super::Embedded, client};
use crate::{
    embedded::engine::Engine,
    error::{Error, ErrorCode, Result},
    service::{self, io_thread},
};

/// Clients at a time; more wait to be accepted.
const MAX_CLIENTS: usize = 10_000;
/// Before accepting is tried again after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket behind which an engine answers, in RESP2 or RESP3 as each client chooses. Dropping it ends all its clients;
/// the engine goes on.
///
/// There is no password: TCP is offered on the loopback interface only, and a Unix socket to its owner only.
#[derive(Debug)]
pub struct Listener {
    acceptor: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    address: Option<SocketAddr>,
    path: Option<PathBuf>,
    /// The directory of the socket was made for it.
    owns_directory: bool,
}

impl Listener {
    /// Listens on a port of the loopback interface; 0 takes a free one, see [`port`](Self::port).
    ///
    /// # Errors
    /// `ConnectionFailed` when the port cannot be had.
    pub fn tcp(engine: &Embedded, port: u16) -> Result<Self> {
        let _inside = io_thread().enter();
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        });
        let socket = socket.map_err(|error| cannot(&format!("listen on port {port}"), error))?;
        let address = socket.local_addr().ok();
        let (acceptor, stop) = start(engine, Socket::Tcp(socket));
        Ok(Self { acceptor, stop, address, path: None, owns_directory: false })
    }

    /// Listens on a Unix socket that only its owner can use. Its file must not exist; it is removed at the end.
    ///
    /// # Errors
    /// `ConnectionFailed` when the socket cannot be made.
    #[cfg(unix)]
    pub fn unix(engine: &Embedded, path: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let _inside = io_thread().enter();
        let failed = |error| cannot(&format!("listen on {}", path.display()), error);
        let socket = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let (acceptor, stop) = start(engine, Socket::Unix(socket));
        Ok(Self { acceptor, stop, address: None, path: Some(path.to_owned()), owns_directory: false })
    }

    /// Ends in good order: what was run is answered, and clients are told that nothing else was. Takes at most `limit`.
    pub(in crate::embedded) async fn close(mut self, limit: Duration) {
        self.unlink();
        self.stop.send_replace(true);
        if let Some(acceptor) = &mut self.acceptor {
            let _ = tokio::time::timeout(limit, acceptor).await;
        }
    }

    fn unlink(&mut self) {
        if let Some(path) = self.path.take() {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(&path);
            if let Some(parent) = path.parent().filter(|_| self.owns_directory) {
                let _ = std::fs::remove_dir(parent);
            }
        }
    }

    /// Removes the directory of the socket, too, at the end.
    #[cfg(unix)]
    pub(super) fn in_own_directory(mut self) -> Self {
        self.owns_directory = true;
        self
    }

    /// The TCP port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.address.map(|address| address.port())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.unlink();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.abort();
        }
    }
}

fn cannot(what: &str, error: io::Error) -> Error {
    Error::new(ErrorCode::ConnectionFailed, format!("cannot {what}")).caused_by(error)
}

/// Where clients come from.
enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Socket {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // A reply goes out when it is written; small packets are the rule.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Self::Unix(socket) => Ok(Box::new(socket.accept().await?.0)),
        }
    }
}

fn start(engine: &Embedded, socket: Socket) -> (Option<JoinHandle<()>>, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    (Some(service::spawn(accept(Arc::clone(&engine.engine), socket, stopped))), stop)
}

/// Accepts clients until it is stopped, each a task that ends with this one.
async fn accept(engine: Arc<Engine>, socket: Socket, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let (engine, stopped) = (Arc::clone(&engine), stopped.clone());
                clients.spawn(async move {
                    client::serve(engine, stream, stopped).await;
                    drop(place);
                });
            }
            // Out of file handles, most likely: others must close first.
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
    drop(socket);
    while clients.join_next().await.is_some() {}
}
