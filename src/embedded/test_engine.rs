//! An engine of a test: nobody else's, with a clock that the test moves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Embedded, engine::Engine, published::Published};
use crate::clock::Clock;

/// The names of such engines begin with this, and nobody else's may.
pub const TEST_ENGINE_PREFIX: &str = "oxcart-test-";

/// An engine that can be reached by its name until this is dropped, and lives as long as somebody has a link to it.
pub struct TestEngine {
    engine: Arc<Engine>,
    published: Arc<Published>,
    clock: Clock,
}

impl TestEngine {
    /// A new one; its clock stands at `start_ms`, milliseconds since the epoch.
    pub fn start(start_ms: i64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("{TEST_ENGINE_PREFIX}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let clock = Clock::manual(start_ms);
        let engine = Engine::new(&name, clock.clone());
        let published = Arc::<Published>::default();
        engine.with(|state| state.published = Some(Arc::clone(&published)));
        engine.register();
        Self { engine, published, clock }
    }

    /// For `memory://name`.
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Channel and payload of each message that was published, the oldest first; at most the last 100,000 or 64 MiB.
    pub fn published(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.published.messages()
    }

    pub fn embedded(&self) -> Embedded {
        Embedded { engine: Arc::clone(&self.engine) }
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.engine.unregister();
    }
}
