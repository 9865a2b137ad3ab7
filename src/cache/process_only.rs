//! A cache without Redis: what level 2 would hold, an engine in this process holds, by the same rules. It is private to the
//! caches of the process that have the same prefix and bound, and goes with the last of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use super::options::{CacheOptions, EvictionStrategy};
use crate::{
    connection::{self, Command, Link},
    error::{Error, Result},
};

/// The part of `level1.maxSize` that is for copies, which are faster to read than entries.
const FOR_COPIES: f64 = 0.25;

type Identity = (String, u64, EvictionStrategy);

/// The engine of a cache with `level2.enabled: false`. Leaves in `options` what is left of the bound for level 1.
///
/// # Errors
/// `InvalidOption` when level 1 is off, too.
pub fn open_process_only(options: &mut CacheOptions) -> Result<Arc<dyn Link>> {
    static ENGINES: OnceLock<Mutex<HashMap<Identity, Weak<dyn Link>>>> = OnceLock::new();
    options.check()?;
    if !options.level1.enabled {
        let allowed = "true, or `level1.enabled` true: a cache needs one of them";
        return Err(Error::invalid_option("level2.enabled", "false", allowed));
    }
    let whole = options.level1.max_size;
    options.level1.max_size = (whole * FOR_COPIES).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole, 1 to 1e15")]
    let bytes = (whole - options.level1.max_size).max(1.0) as u64;
    let identity = (options.prefix.clone(), bytes, options.level1.strategy);
    let mut engines = ENGINES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = engines.get(&identity).and_then(Weak::upgrade) {
        return Ok(known);
    }
    engines.retain(|_, link| link.strong_count() > 0);
    let link = connection::open_private();
    let policy = match options.level1.strategy {
        EvictionStrategy::LeastRecentlyUsed => "allkeys-lru",
        EvictionStrategy::LeastFrequentlyUsed => "allkeys-lfu",
    };
    let bound = [("maxmemory", &*bytes.to_string()), ("maxmemory-policy", policy)];
    let commands = bound.map(|(name, value)| Command::new("CONFIG").arg("SET").arg(name).arg(value));
    // An engine in this process has done it before anything else is sent, and refuses neither.
    drop(link.call_many(&commands));
    engines.insert(identity, Arc::downgrade(&link));
    Ok(link)
}
