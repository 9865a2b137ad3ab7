//! [`open`], and [`Link`] over sockets to one server, shared by everybody in the process who wants the same.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio_rustls::rustls::ClientConfig;

#[cfg(unix)]
use super::lending::Lender;
use super::{
    blocking_link::RedisBlockingLink,
    change_tracker::ChangeTracker,
    command::Batch,
    command_link::{CommandLink, Purpose},
    link::{BlockingLink, ChangeSink, Link, LinkState, StateSink, Subscriptions},
    options::{Address, ConnectionOptions},
    subscriber_link::SubscriberLink,
    tls,
};
use crate::{
    clock::Clock,
    embedded::{Embedded, FileStore},
    error::Result,
};

/// The links of this process that are in use.
static LINKS: Mutex<Links> = Mutex::new(Vec::new());

type Links = Vec<(Arc<ConnectionOptions>, Weak<RedisLink>)>;

/// The engine in this process, with data of its own that nobody else can reach and that goes with the link.
pub fn open_private() -> Arc<dyn Link> {
    Embedded::private(Clock::system()).shared_link(0, "", true)
}

/// A link to the server that `options` name, or to the engine of this process where they say so. For a server it is
/// the one that is open already, when its options are the same. `keyPrefix`
/// and `databases` do not matter for that, they are applied in front of a link. Connects in the background; the sockets
/// close when the last clone is dropped.
///
/// # Errors
/// `InvalidOption` for TLS certificates and keys that cannot be read, and for a file that this process has open with other
/// options; `Closed` for the engine of a test that is over. Never for a server that is away, nor for a file that cannot be opened: calls are told.
pub fn open(mut options: ConnectionOptions) -> Result<Arc<dyn Link>> {
    if let Address::Memory { name } = &options.address {
        let client_name = options.connection_name.as_deref().unwrap_or_default();
        let (engine, db) = (Embedded::open_named(name)?, usize::from(options.db.unwrap_or(0)));
        return Ok(engine.shared_link(db, client_name, options.tracked));
    }
    let file = match &mut options.address {
        Address::File { directory, journal } => {
            let store = FileStore::shared(directory, journal)?;
            store.directory().clone_into(directory);
            Some(store)
        }
        _ => None,
    };
    let tls = options.tls.as_ref().map(tls::config).transpose()?;
    let mut links = registry();
    let same: Vec<_> =
        links.iter().filter(|(other, _)| other.same_link(&options)).filter_map(|(_, link)| link.upgrade()).collect();
    // A link that gave up stays with those who have it.
    let link = if let Some(link) = same.iter().find(|link| !link.commands.is_over()) {
        Arc::clone(link)
    } else {
        let options = Arc::new(options);
        let link = Arc::new(RedisLink {
            description: options.describe(),
            commands: CommandLink::open(Arc::clone(&options), Purpose::Shared),
            subscriber: OnceLock::new(),
            changes: OnceLock::new(),
            options: Arc::clone(&options),
            _tls: tls,
            file,
        });
        links.push((options, Arc::downgrade(&link)));
        link
    };
    // Before `same`, which may hold the last clone of a link: dropping that takes the lock.
    drop(links);
    Ok(link)
}

fn registry() -> MutexGuard<'static, Links> {
    LINKS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct RedisLink {
    options: Arc<ConnectionOptions>,
    description: String,
    commands: Arc<CommandLink>,
    subscriber: OnceLock<Arc<SubscriberLink>>,
    /// With what keeps it told of the command link's state.
    changes: OnceLock<(Arc<ChangeTracker>, Box<dyn Send + Sync>)>,
    /// Keeps it for the next connection.
    _tls: Option<Arc<ClientConfig>>,
    /// The same for whoever asks for the same file.
    file: Option<Arc<FileStore>>,
}

impl Link for RedisLink {
    fn submit(&self, batch: Batch) {
        self.commands.submit(batch);
    }

    fn open_blocking(&self) -> Arc<dyn BlockingLink> {
        Arc::new(RedisBlockingLink::open(&self.options, Arc::clone(&self.commands)))
    }

    fn show(&self, name: &str) -> Box<dyn Send + Sync> {
        let mut options = ConnectionOptions::clone(&self.options);
        options.connection_name = Some(name.to_owned());
        Box::new(CommandLink::open(Arc::new(options), Purpose::Shared))
    }

    fn subscriptions(&self) -> Arc<dyn Subscriptions> {
        Arc::clone(self.subscriber()) as Arc<dyn Subscriptions>
    }

    fn follow_changes(&self, sink: Arc<dyn ChangeSink>) -> Box<dyn Send + Sync> {
        let (tracker, _) = self.changes.get_or_init(|| {
            let tracker = ChangeTracker::new(&self.commands);
            let watch = self.commands.board().watch(Arc::clone(&tracker) as Arc<dyn StateSink>);
            self.subscriber().tell_changes(&tracker);
            (tracker, watch)
        });
        tracker.follow(sink)
    }

    fn state(&self) -> LinkState {
        self.commands.board().current()
    }

    fn watch_state(&self, sink: Arc<dyn StateSink>) -> Box<dyn Send + Sync> {
        self.commands.board().watch(sink)
    }

    #[cfg(unix)]
    fn lender(&self) -> Option<Lender> {
        // Whether there is a socket to read from may change.
        (self.options.tls.is_none() && self.file.is_none()).then(|| self.commands.lender())
    }

    fn describe(&self) -> &str {
        &self.description
    }
}

impl RedisLink {
    fn subscriber(&self) -> &Arc<SubscriberLink> {
        self.subscriber.get_or_init(|| Arc::new(SubscriberLink::open(Arc::clone(&self.options))))
    }
}

impl Drop for RedisLink {
    /// Lets go of the options, too: a strategy among them may belong to somebody who waits for that.
    fn drop(&mut self) {
        let mut links = registry();
        let (kept, gone): (Links, Links) = links.drain(..).partition(|(_, link)| link.strong_count() > 0);
        *links = kept;
        drop(links);
        drop(gone);
    }
}
