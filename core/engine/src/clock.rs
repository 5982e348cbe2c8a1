//! Time, handed in: so that tests move it by hand.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// A moment by the wall clock, in milliseconds since 1970 (UTC). What expires at a moment is gone from that
/// millisecond on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// As milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// That much later, or the last moment there is. A part of a millisecond counts as a whole one, so that nothing
    /// ends early.
    pub fn after(self, time: Duration) -> Self {
        let millis = time.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before 1970 is 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    /// A moment that this system cannot express is its epoch's last second of the year 9999.
    fn from(timestamp: Timestamp) -> Self {
        const YEAR_9999_ENDS: Duration = Duration::from_secs(253_402_300_799);
        Self::UNIX_EPOCH
            .checked_add(Duration::from_millis(timestamp.0))
            .unwrap_or(Self::UNIX_EPOCH + YEAR_9999_ENDS)
    }
}

/// Where an engine has the time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. It may jump either way: what expires at a moment follows it.
    fn now(&self) -> Timestamp;

    /// Time that only goes forward, since some moment. Leases and delays are measured by it for as long as the process
    /// lives, so that a jump of the wall clock neither ends nor stretches them.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that a test moves. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<(Timestamp, Duration)>>);

impl ManualClock {
    /// A clock that shows that time.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((now, Duration::ZERO))))
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let mut clocks = self.0.lock();
        clocks.0 = clocks.0.after(time);
        clocks.1 = clocks.1.saturating_add(time);
    }

    /// Sets the wall clock, as an administrator would; no time passes.
    pub fn jump_to(&self, now: Timestamp) {
        self.0.lock().0 = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_counts_as_a_whole_one() {
        let start = Timestamp::from_millis(5);
        assert_eq!(start.after(Duration::from_nanos(1)), Timestamp::from_millis(6));
        assert_eq!(start.after(Duration::from_millis(2)), Timestamp::from_millis(7));
        assert_eq!(start.after(Duration::MAX), Timestamp::from_millis(u64::MAX));
    }

    #[test]
    fn moments_that_the_system_cannot_express_do_not_panic() {
        let _ = SystemTime::from(Timestamp::from_millis(u64::MAX));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp::from(before), Timestamp::default());
    }

    #[test]
    fn a_jump_of_the_wall_clock_lets_no_time_pass() {
        let clock = ManualClock::at(Timestamp::from_millis(1000));
        clock.advance(Duration::from_millis(10));
        clock.jump_to(Timestamp::from_millis(1));
        assert_eq!((clock.now().as_millis(), clock.monotonic().as_millis()), (1, 10));
    }
}
