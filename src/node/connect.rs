//! Links for the services of an environment.

use std::sync::Arc;

use super::{door::Emitter, link_events::LinkEvents};
use crate::{
    connection::{self, ConnectionOptions, DatabaseRole, Link},
    error::Result,
};

/// The link of a service and the prefix of its keys: `redis` is the JSON text of its `RedisConfig`. Services with the
/// same options share one link.
///
/// # Errors
/// `InvalidOption` with the option's path.
pub(super) fn connect(redis: &str, role: Option<DatabaseRole>) -> Result<(Arc<dyn Link>, String)> {
    let mut options = ConnectionOptions::from_json(redis)?;
    let key_prefix = std::mem::take(&mut options.key_prefix);
    let options = match role {
        Some(role) => options.with_role(role),
        None => options,
    };
    Ok((connection::open(options)?, key_prefix))
}

/// News of a link as events, for as long as a target lives.
pub(super) type Watch = Box<dyn Send + Sync>;

pub(super) fn watch(link: &Arc<dyn Link>, emitter: Emitter) -> Watch {
    link.watch_state(Arc::new(LinkEvents::new(emitter)))
}
