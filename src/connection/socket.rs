//! The socket of one connection: TCP, TLS or Unix, with one way to poll it.

use std::{
    future::Future,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{
    options::{Address, ConnectionOptions},
    plain_socket::{DirectWriter, PlainSocket},
    tls,
};
use crate::error::{Error, ErrorCode, Result};

/// Pause between two keepalive probes, and how many may stay unanswered.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
const KEEPALIVE_RETRIES: u32 = 3;

/// TCP repeats an unanswered request to connect ever more rarely, so that a network that is back is noticed late; after
/// this long a new request is made.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(PlainSocket),
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        /// Encrypted bytes may wait in the stream.
        unflushed: bool,
    },
}

impl Socket {
    /// Connects, with TLS where asked for. The caller limits the time.
    ///
    /// # Errors
    /// `ConnectionFailed`, `TlsFailed`.
    pub(super) async fn connect(address: &Address, options: &ConnectionOptions) -> Result<Self> {
        match address {
            Address::Tcp { host, port } => {
                let stream = connect_tcp(host, *port, options.connect_timeout).await?;
                tune(&stream, options);
                match &options.tls {
                    None => Ok(Self::Plain(
                        PlainSocket::tcp(stream)
                            .map_err(|error| connection_failed(&format!("{host}:{port}"), error))?,
                    )),
                    Some(tls) => {
                        let stream = Box::new(tls::handshake(stream, host, tls).await?);
                        Ok(Self::Tls { stream, unflushed: false })
                    }
                }
            }
            #[cfg(unix)]
            Address::Unix { path } => match UnixStream::connect(path).await.and_then(PlainSocket::unix) {
                Ok(socket) => Ok(Self::Plain(socket)),
                Err(error) => Err(connection_failed(&path.display().to_string(), error)),
            },
            #[cfg(not(unix))]
            Address::Unix { .. } => Err(Error::invalid_option("url", "a Unix socket", "TCP on this system")),
            Address::Memory { .. } | Address::File { .. } => {
                Err(Error::invalid_option("url", "an engine in this process", "a server"))
            }
        }
    }

    /// A writer for other threads; TLS has none.
    pub(super) fn direct(&self) -> Option<DirectWriter> {
        match self {
            Self::Plain(socket) => Some(socket.direct()),
            Self::Tls { .. } => None,
        }
    }

    /// Lends a plain socket to the thread that polls it, or takes it back. TLS is never lent.
    pub(super) fn set_lent(&mut self, lent: bool) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_lent(lent),
            Self::Tls { .. } => Ok(()),
        }
    }

    /// Whether it is lent and must be taken back.
    pub(super) fn is_wanted_back(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_wanted_back(),
            Self::Tls { .. } => false,
        }
    }

    /// Reads into the free capacity of `into`. 0 is the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_read(cx, into),
            Self::Tls { stream, .. } => pin!(stream.read_buf(into)).poll(cx),
        }
    }

    /// Writes from `slices`, which may be empty; then bytes that TLS still holds are flushed, and the result is pending.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => socket.poll_write(cx, slices),
            Self::Tls { stream, unflushed } => poll_write_tls(stream.as_mut(), unflushed, cx, slices),
        }
    }
}

fn poll_write_tls(
    stream: &mut TlsStream<TcpStream>,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut written = 0;
    for slice in slices {
        match Pin::new(&mut *stream).poll_write(cx, slice) {
            Poll::Ready(Ok(count)) => {
                *unflushed = true;
                written += count;
                if count < slice.len() {
                    break;
                }
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => break,
        }
    }
    if *unflushed {
        match Pin::new(&mut *stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => *unflushed = false,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
    }
    if written > 0 { Poll::Ready(Ok(written)) } else { Poll::Pending }
}

/// Tries the addresses of `host` one after the other; none may use up the time of those behind it.
async fn connect_tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream> {
    let whole = format!("{host}:{port}");
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(found) => found.collect(),
            Err(error) => return Err(connection_failed(&whole, error)),
        },
    };
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let until = Instant::now() + share;
        loop {
            let patience = until.duration_since(Instant::now()).min(PATIENCE);
            match timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) if Instant::now() < until => continue,
                Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, "no answer within connectTimeout"),
            }
            break;
        }
    }
    Err(connection_failed(&whole, failure))
}

pub(super) fn connection_failed(to: &str, error: io::Error) -> Error {
    Error::new(ErrorCode::ConnectionFailed, format!("cannot connect to {to}: {error}")).caused_by(error)
}

/// No delay for small writes; a dead peer is noticed by TCP itself as well. A system that refuses one of these settings
/// still has a working socket.
fn tune(stream: &TcpStream, options: &ConnectionOptions) {
    let socket = SockRef::from(stream);
    let mut refused = socket.set_tcp_nodelay(true).is_err();
    if let Some(idle) = options.keep_alive {
        let keepalive = TcpKeepalive::new().with_time(idle.max(Duration::from_secs(1)));
        #[cfg(not(target_os = "openbsd"))]
        let keepalive = keepalive.with_interval(KEEPALIVE_INTERVAL);
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
        let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
        refused |= socket.set_tcp_keepalive(&keepalive).is_err();
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let unacknowledged = options.command_timeout.max(Duration::from_secs(5));
        refused |= socket.set_tcp_user_timeout(Some(unacknowledged)).is_err();
    }
    if refused {
        tracing::debug!("the system refused a socket option");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connected(options: &ConnectionOptions) -> TcpStream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream, options);
        stream
    }

    #[tokio::test]
    async fn small_writes_are_not_delayed_and_dead_peers_are_noticed() {
        let options = ConnectionOptions {
            keep_alive: Some(Duration::from_secs(42)),
            command_timeout: Duration::from_secs(7),
            ..ConnectionOptions::tcp("127.0.0.1", 1)
        };
        let stream = connected(&options).await;
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(42));
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
        }
        let stream = connected(&ConnectionOptions { keep_alive: None, ..options }).await;
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }
}
