//! One sequence of numbers for jobs and leases of all queues.
//!
//! No number ever comes again, so that nothing has to be kept of a queue that is empty, and a lease from before a crash
//! fits no job after it. For that the disk knows a number that none has reached: it is raised by [`BLOCK`] long before
//! it is reached, and a restart goes on from there.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far ahead the disk is: 16 Mi numbers, several seconds of the highest load; so much is skipped by a restart, which
/// 2^64 numbers allow a million million times.
pub(crate) const BLOCK: u64 = 1 << 24;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ids {
    next: AtomicU64,
    /// The disk knows that no number has reached this.
    bound: AtomicU64,
    /// As [`Self::bound`] will be when the round under way is stored.
    coming: AtomicU64,
}

impl Ids {
    /// Goes on where the disk says that no number was; the first one is 1.
    pub(crate) fn new(bound: u64) -> Self {
        Self {
            next: AtomicU64::new(bound.max(1)),
            bound: AtomicU64::new(bound),
            coming: AtomicU64::new(bound),
        }
    }

    /// The next number; `None` before the disk knows of the block: then wait for a round.
    pub(crate) fn take(&self) -> Option<u64> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (id < self.bound.load(Ordering::Acquire)).then_some(id)
    }

    /// A number that none has reached.
    pub(crate) fn peek(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// What the disk is to be told in this round, if it is time.
    pub(crate) fn collect(&self) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let bound = self.bound.load(Ordering::Relaxed);
        if next.saturating_add(BLOCK / 2) < bound {
            return None;
        }
        let coming = next.max(bound).saturating_add(BLOCK);
        self.coming.store(coming, Ordering::Relaxed);
        Some(coming)
    }

    /// The disk was told.
    pub(crate) fn stored(&self) {
        self.bound
            .store(self.coming.load(Ordering::Relaxed), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_before_the_disk_knows_and_none_comes_twice() {
        let ids = Ids::new(0);
        assert_eq!(ids.take(), None);
        let bound = ids.collect().unwrap();
        assert_eq!(ids.take(), None, "not yet");
        ids.stored();
        let first = ids.take().unwrap();
        assert!(ids.take().unwrap() > first && first < bound);
        assert_eq!(ids.collect(), None);
        let again = Ids::new(bound);
        assert!(again.collect().unwrap() > bound);
        again.stored();
        assert!(again.take().unwrap() >= bound);
    }
}
