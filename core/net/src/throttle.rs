//! A brake for log lines that a stranger can cause.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One line of a kind a second: enough to see the trouble, too few to fill a disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets one event a second through and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passed_at: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    /// `Some(n)` if this event may be logged, where `n` like it were held back since the last one.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state
            .passed_at
            .is_some_and(|at| now.saturating_duration_since(at) < INTERVAL)
        {
            state.held_back += 1;
            return None;
        }
        state.passed_at = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_a_second_passes_and_tells_of_the_others() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.pass(start), Some(0));
        assert_eq!(throttle.pass(start + Duration::from_millis(1)), None);
        assert_eq!(throttle.pass(start + Duration::from_millis(999)), None);
        assert_eq!(throttle.pass(start + INTERVAL), Some(2));
        assert_eq!(throttle.pass(start + INTERVAL * 2), Some(0));
    }
}
