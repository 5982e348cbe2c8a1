//! Counting from many threads at once: each counts where no other does, as far as that goes.
//!
//! Two threads that add to one number wait for each other's cache line, which takes longer than the addition by far.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Numbers that a counter consists of: as many threads as count without waiting for each other. More share.
const SHARDS: usize = 4;

/// One for each shard, each in cache lines of its own: 128 bytes, as processors fetch lines by pairs.
#[derive(Debug, Default)]
pub(crate) struct Sharded<T>([Alone<T>; SHARDS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone<T>(T);

impl<T> Sharded<T> {
    /// This thread's.
    pub(crate) fn own(&self) -> &T {
        let [first, ..] = &self.0;
        &self.0.get(own_shard()).unwrap_or(first).0
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|alone| &alone.0)
    }
}

impl Sharded<AtomicU64> {
    /// Counts one.
    pub(crate) fn add_one(&self) {
        self.own().fetch_add(1, Ordering::Relaxed);
    }

    /// How many were counted.
    pub(crate) fn sum(&self) -> u64 {
        self.all().map(|number| number.load(Ordering::Relaxed)).sum()
    }
}

/// The shard of this thread: threads take turns as they come.
fn own_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let shard = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
        OWN.set(Some(shard));
        shard
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Sharded::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|_| counter.add_one()));
            }
        });
        assert_eq!(counter.sum(), 2 * SHARDS as u64 * 1000);
        let used = counter.all().filter(|number| number.load(Ordering::Relaxed) > 0);
        assert!(used.count() > 1, "threads count apart");
    }
}
