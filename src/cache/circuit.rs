//! A circuit breaker: a server that does not answer is left alone for a while, and then tried with one call.
//!
//! Closed, the usual state, lets all calls through; so many in a row without an answer open it. Open refuses all for a
//! pause. Then it is half-open: one call goes through, the probe, and what becomes of it closes the circuit or opens it
//! for another pause. The rest is refused meanwhile, so that a server that comes back is not met by everyone at once, and
//! one that does not costs one caller its deadline in each pause.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    Closed,
    Open,
    /// One call is let through, or would be.
    HalfOpen,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// Should nobody say what became of the probe until then, there is another.
    HalfOpen {
        give_up: Instant,
    },
}

type Listener = Box<dyn Fn(CircuitState) + Send + Sync>;

pub(super) struct Circuit {
    threshold: u32,
    pause: Duration,
    /// Longer than any call may take.
    patience: Duration,
    state: Mutex<State>,
    listener: Mutex<Option<Listener>>,
}

impl Circuit {
    pub(super) fn new(threshold: u32, pause: Duration, patience: Duration) -> Self {
        let state = Mutex::new(State::Closed { failures: 0 });
        Self { threshold, pause, patience, state, listener: Mutex::default() }
    }

    /// Has `listener` told of every change.
    pub(super) fn listen(&self, listener: Listener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match *self.lock() {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until } if now < until => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Whether a call may be made. Who was let through says what became of it: [`answered`](Self::answered),
    /// [`failed`](Self::failed) or [`broke_off`](Self::broke_off).
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let probes = match *state {
            State::Closed { .. } => return true,
            State::Open { until } => now >= until,
            State::HalfOpen { give_up } => now >= give_up,
        };
        if probes {
            let first = matches!(*state, State::Open { .. });
            *state = State::HalfOpen { give_up: now + self.patience };
            drop(state);
            if first {
                self.tell(CircuitState::HalfOpen);
            }
        }
        probes
    }

    /// The server answered, whatever it said.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        let was_closed = matches!(*state, State::Closed { .. });
        *state = State::Closed { failures: 0 };
        drop(state);
        if !was_closed {
            self.tell(CircuitState::Closed);
        }
    }

    /// The server let a call wait for its whole deadline.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.lock();
        if let State::Closed { failures } = &mut *state {
            *failures += 1;
            if *failures < self.threshold {
                return;
            }
        }
        self.open(state, now);
    }

    /// A call ended without saying anything of the server: the connection broke, which is seen elsewhere.
    pub(super) fn broke_off(&self, now: Instant) {
        let state = self.lock();
        if matches!(*state, State::HalfOpen { .. }) {
            self.open(state, now);
        }
    }

    fn open(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        let was_open = matches!(*state, State::Open { .. });
        *state = State::Open { until: now + self.pause };
        drop(state);
        if !was_open {
            self.tell(CircuitState::Open);
        }
    }

    fn tell(&self, state: CircuitState) {
        if let Some(listener) = &*self.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            listener(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn circuit(threshold: u32) -> (Circuit, Arc<Mutex<Vec<CircuitState>>>) {
        let circuit = Circuit::new(threshold, PAUSE, PATIENCE);
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        circuit.listen(Box::new(move |state| log.lock().unwrap().push(state)));
        (circuit, told)
    }

    #[test]
    fn it_opens_after_so_many_failures_in_a_row() {
        let ((circuit, told), now) = (circuit(3), Instant::now());
        for _ in 0..2 {
            circuit.failed(now);
            circuit.failed(now);
            assert!(circuit.admits(now));
            circuit.answered();
        }
        // A connection that breaks says nothing of a server that is silent.
        circuit.broke_off(now);
        assert_eq!(circuit.state(now), CircuitState::Closed);
        (0..3).for_each(|_| circuit.failed(now));
        assert!(!circuit.admits(now));
        assert_eq!(circuit.state(now), CircuitState::Open);
        assert_eq!(*told.lock().unwrap(), [CircuitState::Open]);
    }

    #[test]
    fn half_open_lets_one_probe_through_which_decides() {
        let ((circuit, told), mut now) = (circuit(1), Instant::now());
        circuit.failed(now);
        now += PAUSE;
        assert_eq!(circuit.state(now), CircuitState::HalfOpen);
        assert!(circuit.admits(now));
        assert!((0..10).all(|_| !circuit.admits(now)));
        circuit.failed(now);
        assert!(!circuit.admits(now));
        now += PAUSE;
        assert!(circuit.admits(now) && !circuit.admits(now));
        circuit.broke_off(now);
        assert_eq!(circuit.state(now), CircuitState::Open);
        now += PAUSE;
        assert!(circuit.admits(now));
        circuit.answered();
        assert!((0..10).all(|_| circuit.admits(now)));
        let [open, half, closed] = [CircuitState::Open, CircuitState::HalfOpen, CircuitState::Closed];
        assert_eq!(*told.lock().unwrap(), [open, half, open, half, open, half, closed]);
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_is_followed_by_another() {
        let ((circuit, _), mut now) = (circuit(1), Instant::now());
        circuit.failed(now);
        now += PAUSE;
        assert!(circuit.admits(now));
        assert!(!circuit.admits(now + PATIENCE.mul_f64(0.99)));
        now += PATIENCE;
        assert!(circuit.admits(now) && !circuit.admits(now));
    }
}
