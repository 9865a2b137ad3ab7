//! News of a link as events of a target: what it is doing, and why.

use crate::{
    connection::{LinkState, StateSink},
    error::Error,
    node::door::{Answer, Emitter},
};

/// The event, which every target with a connection has: lane a is the state, a value the error that led to it. Read by
/// `ts/connection.ts`.
pub(crate) const STATE_EVENT: u16 = 0xff00;

/// Sends changes of state to JavaScript; for [`Link::watch_state`](crate::connection::Link::watch_state).
pub(crate) struct LinkEvents {
    emitter: Emitter,
}

impl LinkEvents {
    pub(crate) fn new(emitter: Emitter) -> Self {
        Self { emitter }
    }
}

impl StateSink for LinkEvents {
    fn state(&self, state: LinkState, error: Option<&Error>) {
        let why = error.map(|error| Answer::Error(error.clone())).into_iter().collect();
        self.emitter.emit(STATE_EVENT, state as i32, 0, why);
    }
}

/// The state's name in the contract.
pub(crate) fn state_name(state: LinkState) -> &'static str {
    match state {
        LinkState::Connecting => "CONNECTING",
        LinkState::Connected => "CONNECTED",
        LinkState::Ready => "READY",
        LinkState::Disconnecting => "DISCONNECTING",
        LinkState::Disconnected => "DISCONNECTED",
        LinkState::Reconnecting => "RECONNECTING",
        LinkState::Error => "ERROR",
    }
}
