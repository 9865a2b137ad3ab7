//! A proxy between a link and its server that breaks connections in every way that networks do.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

use crate::service::{self, Duty};

/// Listens on a free port of the loopback interface and passes bytes on to one server.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _acceptor: Duty,
}

struct Shared {
    target: u16,
    refuse: AtomicBool,
    delay_ms: AtomicU64,
    accepted: AtomicUsize,
    /// Counts cuts: a connection ends when it changes.
    cuts: watch::Sender<u64>,
    to_server: watch::Sender<bool>,
    to_client: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy to the server on `target`, a port of the loopback interface.
    ///
    /// # Panics
    /// When no socket can be bound.
    pub fn start(target: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            target,
            refuse: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            accepted: AtomicUsize::new(0),
            cuts: watch::Sender::new(0),
            to_server: watch::Sender::new(true),
            to_client: watch::Sender::new(true),
        });
        let acceptor = Duty::start(accept(listener, Arc::clone(&shared)));
        Self { port, shared, _acceptor: acceptor }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|count| *count += 1);
    }

    /// Closes new connections at once, until told otherwise.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Ordering::SeqCst);
    }

    /// Passes nothing on in either direction and closes nothing: bytes are read and held back.
    pub fn go_silent(&self) {
        self.hold_requests();
        self.hold_replies();
    }

    /// Holds back what clients send. The server never sees it.
    pub fn hold_requests(&self) {
        self.shared.to_server.send_replace(false);
    }

    /// Holds back what the server answers: commands run and nobody hears of it.
    pub fn hold_replies(&self) {
        self.shared.to_client.send_replace(false);
    }

    /// Passes everything on again, what was held back first.
    pub fn go_on(&self) {
        self.shared.to_server.send_replace(true);
        self.shared.to_client.send_replace(true);
    }

    /// Passes everything on this much later, in both directions.
    pub fn delay(&self, by: Duration) {
        self.shared.delay_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the socket is non-blocking");
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        if !shared.refuse.load(Ordering::SeqCst) {
            service::spawn(pass(client, Arc::clone(&shared)));
        }
    }
}

async fn pass(client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)).await else { return };
    // Delays are the proxy's to make.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, shared.to_server.subscribe(), &shared.delay_ms) => {}
        () = copy(from_server, to_client, shared.to_client.subscribe(), &shared.delay_ms) => {}
        _ = cuts.changed() => {}
    }
}

/// Ends when either side does.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>, delay_ms: &AtomicU64) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
        let delay = delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
