//! Events from an engine to the JavaScript object that stands for it.

use std::sync::Arc;

use super::{answer::Answer, completions::Completions};

/// Sends events of one target, from any thread. It keeps no environment and no event loop alive; after its environment
/// or its target has gone, events go nowhere.
#[derive(Clone)]
pub(crate) struct Emitter {
    completions: Arc<Completions>,
    target: u32,
}

impl Emitter {
    pub(super) fn new(completions: Arc<Completions>, target: u32) -> Self {
        Self { completions, target }
    }

    /// Calls the target's listener as `(event, a, b, values)`. At most 1,024 values: more go in a list, which is one.
    pub(crate) fn emit(&self, event: u16, a: i32, b: i32, values: Vec<Answer>) {
        self.completions.push(|load| load.event(self.target, event, [a, b], values));
        self.completions.wake();
    }

    /// The same for texts; what is missing arrives as null.
    pub(crate) fn emit_texts(&self, event: u16, a: i32, b: i32, values: &[Option<&str>]) {
        self.completions.push(|load| load.event_of_texts(self.target, event, [a, b], values));
        self.completions.wake();
    }
}
