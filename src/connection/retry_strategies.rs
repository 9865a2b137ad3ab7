//! Strategies of users, by the number under which the JSON text of options names them. It holds no strategy: who
//! registered one keeps it, and a connection that uses it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::options::RetryStrategy;

static STRATEGIES: Mutex<Option<Registry>> = Mutex::new(None);

#[derive(Default)]
struct Registry {
    last: u32,
    by_number: HashMap<u32, Weak<dyn RetryStrategy>>,
}

/// Gives a strategy a number, valid while the strategy lives.
pub fn register(strategy: &Arc<dyn RetryStrategy>) -> u32 {
    let mut strategies = STRATEGIES.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = strategies.get_or_insert_default();
    registry.by_number.retain(|_, strategy| strategy.strong_count() > 0);
    registry.last += 1;
    registry.by_number.insert(registry.last, Arc::downgrade(strategy));
    registry.last
}

/// The strategy of a number, if it still lives.
pub(super) fn find(number: u32) -> Option<Arc<dyn RetryStrategy>> {
    STRATEGIES.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.by_number.get(&number)?.upgrade()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connection::{BoxFuture, ConnectionOptions};

    struct Never;

    impl RetryStrategy for Never {
        fn delay(&self, _times: u32) -> BoxFuture<'_, Option<Duration>> {
            Box::pin(std::future::ready(None))
        }
    }

    #[test]
    fn options_name_a_strategy_by_its_number_while_it_lives() {
        let strategy: Arc<dyn RetryStrategy> = Arc::new(Never);
        let number = register(&strategy);
        let json = format!(r#"{{"host":"h","retryStrategy":{number}}}"#);
        let options = ConnectionOptions::from_json(&json).unwrap();
        assert!(Arc::ptr_eq(options.retry_strategy.as_ref().unwrap(), &strategy));
        drop((options, strategy));
        let error = ConnectionOptions::from_json(&json).unwrap_err();
        assert!(error.message().contains("retryStrategy"), "{error}");
    }
}
