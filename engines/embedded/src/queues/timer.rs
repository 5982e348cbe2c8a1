//! When which queue has something due.
//!
//! Operations on a queue see to what is due in it themselves; this is for those who only wait. One thread sleeps until
//! the first moment of all queues. It does not rely on its sleep being right: by a clock that a test moves, too, nothing
//! happens early, and [`due`](Timer::due) finds what has become due without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use switchboard_engine::Clock;

use super::moment::NEVER;
use super::queue::Queue;

/// The queues by the moment at which something is due in them; each is in it once at most.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    order: BTreeMap<(u64, u64), Arc<Queue>>,
    is_stopped: bool,
}

impl Timer {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                order: BTreeMap::new(),
                is_stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Moves a queue from one monotonic millisecond to another; [`NEVER`] is nowhere.
    pub(crate) fn reschedule(&self, queue: &Arc<Queue>, from: u64, to: u64) {
        let mut state = self.state.lock();
        state.order.remove(&(from, queue.number()));
        if to == NEVER || state.is_stopped {
            return;
        }
        state.order.insert((to, queue.number()), Arc::clone(queue));
        let is_first = state
            .order
            .first_key_value()
            .is_some_and(|(first, _)| first.0 == to);
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// A queue in which something is due, if there is one. It is rescheduled by working on it.
    pub(crate) fn due(&self) -> Option<Arc<Queue>> {
        take_due(&mut self.state.lock(), self.now())
    }

    /// Waits for a queue in which something is due; `None` after [`stop`](Self::stop).
    pub(crate) fn wait(&self) -> Option<Arc<Queue>> {
        let mut state = self.state.lock();
        while !state.is_stopped {
            let now = self.now();
            if let Some(queue) = take_due(&mut state, now) {
                return Some(queue);
            }
            match state.order.first_key_value() {
                Some(((due, _), _)) => {
                    let time = Duration::from_millis(*due).saturating_sub(self.clock.monotonic());
                    self.changed.wait_for(&mut state, time);
                }
                None => self.changed.wait(&mut state),
            }
        }
        None
    }

    /// Ends all waiting, and forgets all queues.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        state.order.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(NEVER)
    }
}

fn take_due(state: &mut State, now: u64) -> Option<Arc<Queue>> {
    let first = state.order.first_entry()?;
    (first.key().0 <= now).then(|| first.remove())
}
