//! A TCP socket without TLS, which threads write to directly. It is never lent (see `plain_socket_unix.rs`).

use std::{
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;

#[derive(Debug)]
pub(super) struct PlainSocket(Arc<TcpStream>);

/// Writes to a plain socket from any thread, without waiting.
#[derive(Clone, Debug)]
pub(super) struct DirectWriter(Arc<TcpStream>);

impl DirectWriter {
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

impl PlainSocket {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere the system may refuse")]
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        Ok(Self(Arc::new(stream)))
    }

    pub(super) fn direct(&self) -> DirectWriter {
        DirectWriter(Arc::clone(&self.0))
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere the system may refuse")]
    pub(super) fn set_lent(&mut self, _lent: bool) -> io::Result<()> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "elsewhere it depends")]
    pub(super) fn is_wanted_back(&self) -> bool {
        false
    }

    /// Reads into the free capacity of `into`. 0 is the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read_buf(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Writes from `slices`; nothing to write is pending.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if slices.is_empty() {
            return Poll::Pending;
        }
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}
