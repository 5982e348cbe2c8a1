//! Trying again, within bounds.

use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;

/// How often, and for how long, a call is tried again after a [`Fault::Retry`]. An Error is never tried again.
///
/// The wait before each try is what the fault asks for, but at least the back-off: `wait_min`, doubled with each try
/// up to `wait_max`, and shortened at random by up to half so that callers do not come back together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub retries_max: u32,
    /// No try begins later than this after the first.
    pub time_max: Duration,
    /// The back-off before the first retry.
    pub wait_min: Duration,
    /// The longest back-off. A fault that asks for more is heeded, if `time_max` allows.
    pub wait_max: Duration,
}

impl RetryPolicy {
    /// One try, no other: what a call does unless told otherwise.
    pub fn never() -> Self {
        Self {
            retries_max: 0,
            ..Self::default()
        }
    }

    /// Up to so many retries, the rest by default.
    pub fn times(retries_max: u32) -> Self {
        Self {
            retries_max,
            ..Self::default()
        }
    }

    pub(crate) fn start(&self) -> Retries<'_> {
        Retries {
            policy: self,
            began: Instant::now(),
            made: 0,
        }
    }

    fn back_off(&self, made: u32) -> Duration {
        let full = self
            .wait_min
            .saturating_mul(1_u32.checked_shl(made).unwrap_or(u32::MAX))
            .min(self.wait_max);
        full.mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

impl Default for RetryPolicy {
    /// Up to 8 retries within 30 s, backing off from 50 ms to 5 s.
    fn default() -> Self {
        Self {
            retries_max: 8,
            time_max: Duration::from_secs(30),
            wait_min: Duration::from_millis(50),
            wait_max: Duration::from_secs(5),
        }
    }
}

/// The retries of one call.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    policy: &'a RetryPolicy,
    began: Instant,
    made: u32,
}

impl Retries<'_> {
    /// How long to wait before trying again; `None` to give up.
    pub(crate) fn next(&mut self, fault: &Fault, deadline: Option<Instant>) -> Option<Duration> {
        let Fault::Retry { wait: asked, .. } = fault else {
            return None;
        };
        if self.made >= self.policy.retries_max {
            return None;
        }
        let wait = self.policy.back_off(self.made).max(*asked);
        let at = Instant::now().checked_add(wait)?;
        if at > self.began.checked_add(self.policy.time_max)?
            || deadline.is_some_and(|deadline| at >= deadline)
        {
            return None;
        }
        self.made += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(ms: u64) -> Fault {
        Fault::retry(Duration::from_millis(ms), "busy")
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_bounded_in_number_and_heed_the_wait() {
        let policy = RetryPolicy::times(2);
        let mut retries = policy.start();
        assert!(retries.next(&busy(300), None).unwrap() >= Duration::from_millis(300));
        let second = retries.next(&busy(0), None).unwrap();
        assert!(
            (Duration::from_millis(50)..=Duration::from_millis(100)).contains(&second),
            "{second:?}"
        );
        assert_eq!(retries.next(&busy(0), None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_bounded_in_time() {
        let policy = RetryPolicy::default();
        let mut retries = policy.start();
        assert_eq!(retries.next(&busy(31_000), None), None);
        assert_eq!(
            retries.next(&busy(2_000), Some(Instant::now() + Duration::from_secs(1))),
            None
        );
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(retries.next(&busy(0), None), None);
    }

    #[test]
    fn an_error_is_not_tried_again() {
        assert_eq!(
            RetryPolicy::default().start().next(&Fault::failed("no"), None),
            None
        );
    }
}
