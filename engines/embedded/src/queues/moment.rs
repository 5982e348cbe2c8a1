//! Time as the queues reckon with it.

use std::time::Duration;

use switchboard_engine::{Clock, Timestamp};

/// A moment by both clocks. What ends is kept by monotonic milliseconds, so that a jump of the wall clock moves nothing;
/// what outlasts the process is written by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The wall clock.
    pub(crate) wall: Timestamp,
    /// Time that only goes forward.
    pub(crate) monotonic: Duration,
}

/// The end that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

impl Moment {
    /// Now.
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// The monotonic millisecond that has begun.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.monotonic.as_millis()).unwrap_or(NEVER)
    }

    /// The first monotonic millisecond by which so much has passed: nothing ends early.
    pub(crate) fn after(self, time: Duration) -> u64 {
        let nanos = self.monotonic.saturating_add(time).as_nanos();
        u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(NEVER)
    }

    /// When that monotonic millisecond will be, by the wall clock as it is now.
    pub(crate) fn wall_at(self, due: u64) -> Timestamp {
        self.wall
            .after(Duration::from_millis(due.saturating_sub(self.millis())))
    }

    /// The monotonic millisecond of a moment that was written before a restart, at most `longest` ahead: the wall clock
    /// may have been set back meanwhile.
    pub(crate) fn due_at(self, wall: Timestamp, longest: Duration) -> u64 {
        self.after(wall.since(self.wall).min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_early_and_nothing_overflows() {
        let now = Moment {
            wall: Timestamp::from_millis(1_000),
            monotonic: Duration::from_micros(1_500),
        };
        assert_eq!((now.millis(), now.after(Duration::from_millis(1))), (1, 3));
        assert_eq!(now.after(Duration::MAX), NEVER);
        assert_eq!(now.wall_at(11), Timestamp::from_millis(1_010));
        assert_eq!(now.due_at(Timestamp::from_millis(1_005), Duration::MAX), 7);
        assert_eq!(now.due_at(Timestamp::from_millis(1_005), Duration::ZERO), 2);
        assert_eq!(now.due_at(Timestamp::from_millis(0), Duration::MAX), 2);
    }
}
