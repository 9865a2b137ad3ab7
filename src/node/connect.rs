//! Links for the services of an environment, and their state as events.

use std::sync::Arc;

use super::door::{Answer, Emitter};
use crate::{
    connection::{self, ConnectionOptions, DatabaseRole, Link, LinkState, StateSink},
    error::{Error, Result},
};

/// The link of a service and the prefix of its keys: `redis` is the JSON text of its `RedisConfig`. Services with the
/// same options share one link.
///
/// # Errors
/// `InvalidOption` with the option's path.
pub(super) fn connect(redis: Option<&str>, role: Option<DatabaseRole>) -> Result<(Arc<dyn Link>, String)> {
    let mut options = ConnectionOptions::from_json(redis.unwrap_or("{}"))?;
    let key_prefix = std::mem::take(&mut options.key_prefix);
    let options = match role {
        Some(role) => options.with_role(role),
        None => options,
    };
    Ok((connection::open(options)?, key_prefix))
}

/// Tells `event` with the state's name, and the error where there is one, until the guard is dropped.
pub(super) fn watch_state(link: &Arc<dyn Link>, emitter: Emitter, event: u16) -> Box<dyn Send + Sync> {
    link.watch_state(Arc::new(ToDoor { emitter, event }))
}

struct ToDoor {
    emitter: Emitter,
    event: u16,
}

impl StateSink for ToDoor {
    fn state(&self, state: LinkState, error: Option<&Error>) {
        let name = match state {
            LinkState::Connecting => "CONNECTING",
            LinkState::Connected => "CONNECTED",
            LinkState::Ready => "READY",
            LinkState::Disconnecting => "DISCONNECTING",
            LinkState::Disconnected => "DISCONNECTED",
            LinkState::Reconnecting => "RECONNECTING",
            LinkState::Error => "ERROR",
        };
        let mut values = vec![Answer::from(name)];
        values.extend(error.map(|error| Answer::Error(error.clone())));
        self.emitter.emit(self.event, 0, 0, values);
    }
}
