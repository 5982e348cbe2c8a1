//! How a connection is kept.

use std::time::Duration;

use super::presence::Presence;
use crate::retry::RetryPolicy;

/// How a [`KeepAlive`](super::KeepAlive) behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepAliveOptions {
    /// The rests between tries.
    pub back_off: BackOff,
    /// When to try no more. Default: never.
    pub give_up: GiveUp,
    /// What to do when the hub refuses the set-up with an Error, such as for a wrong password: try again after this
    /// rest (at least the back-off), or end at once with [`Ended::Refused`](super::Ended::Refused). Default: `None`,
    /// end at once.
    pub refused_wait: Option<Duration>,
    /// One try, the set-up at the hub included, may take so long. Default 30 s.
    pub try_timeout: Duration,
    /// Sends that wait while the connection is away; over it they are refused with a Retry. Default 1,024.
    pub queue_sends_max: usize,
    /// Bytes of names and payloads in those sends. Default 4 MiB.
    pub queue_bytes_max: usize,
    /// How requests are made again after a Retry, a lost connection included, unless [`KeptCall::retry`] says
    /// otherwise. Default: not at all, since not every request may be made twice.
    ///
    /// [`KeptCall::retry`]: super::KeptCall::retry
    pub retry: RetryPolicy,
    /// What is wanted of the hub at the other end, each time anew; `None` if the other end is no hub. Default `None`.
    pub hub: Option<Presence>,
}

impl Default for KeepAliveOptions {
    fn default() -> Self {
        Self {
            back_off: BackOff::default(),
            give_up: GiveUp::default(),
            refused_wait: None,
            try_timeout: Duration::from_secs(30),
            queue_sends_max: 1024,
            queue_bytes_max: 4 << 20,
            retry: RetryPolicy::never(),
            hub: None,
        }
    }
}

/// The rests between tries: `first`, doubled after each try that came to nothing, up to `max`; each shortened at
/// random by up to half, so that all who lost one hub do not come back together.
///
/// They begin anew with `first` after a connection that lasted for `max` or longer. One that is lost sooner counts as
/// a try that came to nothing: a door that opens and shuts is not knocked at without pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// The rest before the second try. Default 500 ms.
    pub first: Duration,
    /// The longest rest. Default 5 s.
    pub max: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_secs(5),
        }
    }
}

impl BackOff {
    /// The rest after so many tries in a row that came to nothing, not counting the one just made.
    pub(super) fn draw(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.max);
        full.mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

/// When to try no more; whichever bound is met first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GiveUp {
    /// Tries in a row that came to nothing, counted as [`BackOff`] does; 0 counts as 1. Default: no bound.
    pub tries_max: Option<u32>,
    /// No try begins later than this after the first in such a row. Default: no bound.
    pub time_max: Option<Duration>,
}

impl GiveUp {
    /// Whether to try no more: after so many tries in a row, the next of which would begin so long after the first.
    pub(super) fn is_met(&self, tries: u32, time: Duration) -> bool {
        self.tries_max.is_some_and(|max| tries >= max) || self.time_max.is_some_and(|max| time > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_the_longest_and_keep_their_jitter_in_bounds() {
        let back_off = BackOff::default();
        for (failures, full_ms) in [
            (0, 500),
            (1, 1000),
            (2, 2000),
            (3, 4000),
            (4, 5000),
            (31, 5000),
            (32, 5000),
            (u32::MAX, 5000),
        ] {
            let full = Duration::from_millis(full_ms);
            let rests: Vec<_> = (0..1000).map(|_| back_off.draw(failures)).collect();
            assert!(
                rests.iter().all(|rest| (full / 2..=full).contains(rest)),
                "{failures}"
            );
            // Drawn from the whole range, not from a corner of it.
            assert!(rests.iter().any(|rest| *rest < full.mul_f64(0.6)), "{failures}");
            assert!(rests.iter().any(|rest| *rest > full.mul_f64(0.9)), "{failures}");
        }
    }

    #[test]
    fn it_is_given_up_by_number_or_by_time_or_never() {
        let hour = Duration::from_secs(3600);
        assert!(!GiveUp::default().is_met(u32::MAX, Duration::MAX));
        let tries = GiveUp {
            tries_max: Some(3),
            time_max: None,
        };
        assert!(!tries.is_met(2, hour) && tries.is_met(3, Duration::ZERO));
        let time = GiveUp {
            tries_max: None,
            time_max: Some(hour),
        };
        assert!(!time.is_met(1000, hour) && time.is_met(1, hour + Duration::from_nanos(1)));
    }
}
