//! What watches over a script while it runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::raise;
use super::random::Random;

/// The bounds of a script at work, and what is kept for it outside of Lua.
#[derive(Debug)]
pub(super) struct Watch {
    origin: Instant,
    /// When the script must be done, in nanoseconds since the origin.
    deadline: AtomicU64,
    /// No string that is made outside of Lua is larger.
    bytes_max: usize,
    /// What ended the script, as its handler of errors saw it.
    failure: Mutex<Option<Failure>>,
    /// How many functions are at work that have called the script again.
    depth: AtomicUsize,
    pub(super) random: Mutex<Random>,
}

/// What ended a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The error, with its code.
    pub(super) words: String,
    /// Where the script was.
    pub(super) line: Option<usize>,
    pub(super) is_expired: bool,
}

impl Watch {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            origin: Instant::now(),
            deadline: AtomicU64::new(u64::MAX),
            bytes_max,
            failure: Mutex::new(None),
            depth: AtomicUsize::new(0),
            random: Mutex::new(Random::default()),
        }
    }

    /// A script begins, which may run for so long.
    pub(super) fn begin(&self, time: Duration) {
        self.deadline
            .store(nanos(self.origin.elapsed() + time), Ordering::Relaxed);
        *self.failure.lock() = None;
        self.depth.store(0, Ordering::Relaxed);
        *self.random.lock() = Random::default();
    }

    /// # Errors
    /// When the script has run for too long.
    pub(super) fn check(&self) -> mlua::Result<()> {
        if nanos(self.origin.elapsed()) > self.deadline.load(Ordering::Relaxed) {
            return Err(raise::expired());
        }
        Ok(())
    }

    /// # Errors
    /// When so many bytes are too many for a string that is made outside of Lua.
    pub(super) fn check_bytes(&self, bytes: usize) -> mlua::Result<()> {
        if bytes > self.bytes_max {
            return Err(mlua::Error::MemoryError("not enough memory".to_owned()));
        }
        Ok(())
    }

    /// Does what calls the script again.
    ///
    /// # Errors
    /// What that comes to; and when it would go too deep for the stack of the thread.
    pub(super) fn nested<T>(&self, work: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
        const DEPTH_MAX: usize = 30;
        if self.depth.fetch_add(1, Ordering::Relaxed) >= DEPTH_MAX {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            return Err(mlua::Error::RuntimeError("C stack overflow".to_owned()));
        }
        let outcome = work();
        self.depth.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    pub(super) fn fail(&self, failure: Failure) {
        *self.failure.lock() = Some(failure);
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
