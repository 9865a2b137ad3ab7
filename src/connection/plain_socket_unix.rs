//! A TCP or Unix socket without TLS. Its descriptor is shared: threads write to it directly, and one of them may read.
//!
//! While it is *lent*, tokio does not know it: the I/O thread sleeps through what comes, and a read asks the system at
//! once, whichever thread polls.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::unix::AsyncFd,
    net::{TcpStream, UnixStream},
};

#[cfg(target_vendor = "apple")]
const FLAGS: i32 = 0;
/// A peer that went away is an error, not a signal.
#[cfg(not(target_vendor = "apple"))]
const FLAGS: i32 = libc::MSG_NOSIGNAL;

/// What is read at one go while the socket is lent; more than that belongs on the I/O thread.
const MOST_LENT_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct PlainSocket {
    descriptor: Arc<OwnedFd>,
    /// None while it is lent.
    registration: Option<AsyncFd<Arc<OwnedFd>>>,
    /// The last read took all there was. Only while it is lent.
    drained: bool,
    /// Bytes since a read last took all there was. Only while it is lent.
    burst: usize,
}

/// Writes to a plain socket from any thread, without waiting.
#[derive(Clone, Debug)]
pub(super) struct DirectWriter(Arc<OwnedFd>);

impl DirectWriter {
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(&*self.0).send_with_flags(bytes, FLAGS)
    }

    /// The socket, which stays open as long as anybody has this.
    pub(super) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.0)
    }
}

impl PlainSocket {
    pub(super) fn tcp(stream: TcpStream) -> io::Result<Self> {
        Self::new(stream.into_std()?.into())
    }

    pub(super) fn unix(stream: UnixStream) -> io::Result<Self> {
        Self::new(stream.into_std()?.into())
    }

    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let descriptor = Arc::new(descriptor);
        let registration = Some(register(&descriptor)?);
        Ok(Self { descriptor, registration, drained: false, burst: 0 })
    }

    pub(super) fn direct(&self) -> DirectWriter {
        DirectWriter(Arc::clone(&self.descriptor))
    }

    /// Lends the socket, or takes it back, in the context of the I/O runtime. What came meanwhile is not lost: a new
    /// registration reports it.
    pub(super) fn set_lent(&mut self, lent: bool) -> io::Result<()> {
        if lent != self.registration.is_none() {
            self.registration = if lent { None } else { Some(register(&self.descriptor)?) };
            (self.drained, self.burst) = (false, 0);
        }
        Ok(())
    }

    /// Whether it must be taken back: too much came, or too much is to be written.
    pub(super) fn is_wanted_back(&self) -> bool {
        self.registration.is_none() && self.burst > MOST_LENT_BYTES
    }

    /// Reads into the free capacity of `into`. 0 is the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let Some(registration) = &self.registration else { return self.read_lent(into) };
        loop {
            let mut ready = ready!(registration.poll_read_ready(cx))?;
            let read = receive(&self.descriptor, into);
            match &read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                // Events are edges (epoll, kqueue): the next bytes bring one of their own, so the read that would only
                // say that there is nothing can be spared.
                Ok(1..) if into.len() < into.capacity() => {
                    ready.clear_ready();
                    return Poll::Ready(read);
                }
                _ => return Poll::Ready(read),
            }
        }
    }

    /// Pending is for whoever watches the descriptor: it reports again while something is there.
    fn read_lent(&mut self, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.drained) {
            return Poll::Pending;
        }
        match receive(&self.descriptor, into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.burst = 0;
                Poll::Pending
            }
            read => {
                self.drained = matches!(read, Ok(1..)) && into.len() < into.capacity();
                self.burst += *read.as_ref().unwrap_or(&0);
                if self.drained && self.burst <= MOST_LENT_BYTES {
                    self.burst = 0;
                }
                Poll::Ready(read)
            }
        }
    }

    /// Writes from `slices`; nothing to write is pending.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if slices.is_empty() {
            return Poll::Pending;
        }
        let send = || SockRef::from(&*self.descriptor).send_vectored_with_flags(slices, FLAGS);
        let Some(registration) = &self.registration else {
            return match send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.burst = usize::MAX;
                    Poll::Pending
                }
                written => Poll::Ready(written),
            };
        };
        loop {
            let mut ready = ready!(registration.poll_write_ready(cx))?;
            match send() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                written => return Poll::Ready(written),
            }
        }
    }
}

impl Drop for PlainSocket {
    /// Others may have the descriptor still: the peer, and who polls it, are told that this is the end.
    fn drop(&mut self) {
        // It fails when the peer was faster.
        let _ = SockRef::from(&*self.descriptor).shutdown(Shutdown::Both);
    }
}

fn register(descriptor: &Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the descriptor is the same, and open, as long as the registration, which has a share of it.
    Ok(unsafe { AsyncFd::register(Arc::clone(descriptor)) }?)
}

fn receive(descriptor: &OwnedFd, into: &mut Vec<u8>) -> io::Result<usize> {
    let socket = SockRef::from(descriptor);
    loop {
        match socket.recv(into.spare_capacity_mut()) {
            Ok(count) => {
                // SAFETY: the system filled the first `count` bytes of the spare capacity.
                unsafe { into.set_len(into.len() + count) };
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
