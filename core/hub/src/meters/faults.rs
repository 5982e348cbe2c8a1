//! Faults, counted by kind.

use std::sync::atomic::{AtomicU64, Ordering};

use switchboard_peer::{ErrorKind, Fault};

/// The kinds of faults as they are counted: those of errors, as [`ErrorKind::as_str`] has them, and Retry.
pub const FAULT_KINDS: [&str; 8] = [
    "unknown",
    "denied",
    "invalid",
    "conflict",
    "too large",
    "unsupported",
    "failed",
    "retry",
];

/// How many faults there were of each of [`FAULT_KINDS`].
pub type FaultCounts = [u64; FAULT_KINDS.len()];

/// Counts faults by kind.
#[derive(Debug, Default)]
pub struct FaultCounters([AtomicU64; FAULT_KINDS.len()]);

impl FaultCounters {
    /// Counts one.
    pub fn add(&self, fault: &Fault) {
        let place = match fault {
            Fault::Error { kind, .. } => match kind {
                ErrorKind::Unknown => 0,
                ErrorKind::Denied => 1,
                ErrorKind::Invalid => 2,
                ErrorKind::Conflict => 3,
                ErrorKind::TooLarge => 4,
                ErrorKind::Unsupported => 5,
                ErrorKind::Failed => 6,
            },
            Fault::Retry { .. } => 7,
        };
        if let Some(counter) = self.0.get(place) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were so far.
    pub fn read(&self) -> FaultCounts {
        let mut counts = FaultCounts::default();
        for (count, counter) in counts.iter_mut().zip(&self.0) {
            *count = counter.load(Ordering::Relaxed);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_has_its_place() {
        for (place, name) in FAULT_KINDS.into_iter().enumerate() {
            let counters = FaultCounters::default();
            let kinds = [
                ErrorKind::Unknown,
                ErrorKind::Denied,
                ErrorKind::Invalid,
                ErrorKind::Conflict,
                ErrorKind::TooLarge,
                ErrorKind::Unsupported,
                ErrorKind::Failed,
            ];
            match kinds.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => counters.add(&Fault::error(kind, "")),
                None => counters.add(&Fault::retry(Duration::ZERO, "")),
            }
            let mut expected = FaultCounts::default();
            expected[place] = 1;
            assert_eq!(counters.read(), expected, "{name}");
        }
    }
}
