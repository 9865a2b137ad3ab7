//! Engine objects that JavaScript can call, and the table in which an environment keeps them.

use std::{
    cell::Cell,
    collections::HashMap,
    rc::{Rc, Weak},
};

use super::{env_door::EnvDoor, op::Op, responder::Responder};

/// An engine object behind the door. It lives on the thread of its environment.
pub(crate) trait Target: 'static {
    /// Takes a call. Runs on the JavaScript thread: it must not block, and what takes longer than a few microseconds goes
    /// through [`Responder::run`].
    fn accept(&self, op: Op<'_>, reply: Responder);

    /// Called once after the last call of a submission that had calls for this target, so that what one turn of the
    /// event loop asked for can become one command batch or one script call.
    fn flush(&self) {}
}

/// The targets of one environment. Numbers are never given twice, so a late event cannot reach a stranger.
#[derive(Default)]
pub(super) struct Targets {
    last: u32,
    open: HashMap<u32, Rc<dyn Target>>,
}

/// The largest target number: it shares an integer with the kind of its events.
const MOST: u32 = (1 << 24) - 1;

impl Targets {
    /// The next number.
    ///
    /// # Panics
    ///
    /// After sixteen million targets in one environment; the caller is told as an exception.
    pub(super) fn reserve(&mut self) -> u32 {
        assert!(self.last < MOST, "too many services were opened on this thread");
        self.last += 1;
        self.last
    }

    pub(super) fn insert(&mut self, id: u32, target: Rc<dyn Target>) {
        self.open.insert(id, target);
    }

    pub(super) fn get(&self, id: u32) -> Option<Rc<dyn Target>> {
        self.open.get(&id).map(Rc::clone)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Rc<dyn Target>> {
        self.open.remove(&id)
    }

    pub(super) fn take_all(&mut self) -> HashMap<u32, Rc<dyn Target>> {
        std::mem::take(&mut self.open)
    }
}

/// A target's place in the table, held by its `Native*` object. Dropping it closes the place.
pub(crate) struct TargetHandle {
    door: Weak<EnvDoor>,
    id: u32,
    open: Cell<bool>,
}

impl TargetHandle {
    pub(super) fn new(door: Weak<EnvDoor>, id: u32) -> Self {
        Self { door, id, open: Cell::new(true) }
    }

    /// The number by which JavaScript names the target.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Takes the target off the table; calls that come later are answered `ERR_CLOSED`. Closing twice is safe.
    pub(crate) fn close(&self) {
        if self.open.replace(false)
            && let Some(door) = self.door.upgrade()
        {
            door.remove(self.id);
        }
    }
}

impl Drop for TargetHandle {
    fn drop(&mut self) {
        self.close();
    }
}
