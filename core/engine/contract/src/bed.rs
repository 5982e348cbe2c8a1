//! What an engine's tests have to bring.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::{self, BoxFuture};
use switchboard_engine::names::VALUE_BYTES_MAX;
use switchboard_engine::{Engine, ManualClock, Timestamp};

/// Where the contract leaves an engine a choice, and how far generated tests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Whether it has batches; if not, they have to be `Unsupported`.
    pub batches: bool,
    /// Whether it reads several keys at one moment.
    pub reads_many_at_one_moment: bool,
    /// Whether its state outlasts its process. If not, the properties of reopening have nothing to say.
    pub outlasts_its_process: bool,
    /// Most bytes in a value.
    pub value_bytes_max: usize,
    /// How many cases a generated property tries: a few dozen where an operation takes microseconds.
    pub cases: u32,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            batches: true,
            reads_many_at_one_moment: true,
            outlasts_its_process: true,
            value_bytes_max: VALUE_BYTES_MAX,
            cases: 64,
        }
    }
}

/// One engine under test, with its time and its fate in the hands of the test.
///
/// Handles that [`engine`](Self::engine) gave are dead after a reopening; properties drop them before.
pub trait TestBed: Send {
    /// The engine. It is empty at first.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Another hub's handle of the same state; `None` where the engine is not shared.
    fn second_hub(&mut self) -> BoxFuture<'_, Option<Arc<dyn Engine>>> {
        Box::pin(future::ready(None))
    }

    /// The clock that is all the time the engine knows; `None` where it has any other, so that real time passes while
    /// it works.
    fn clock(&self) -> Option<ManualClock>;

    /// Lets time pass for the engine, and lets it do what is due: drop what has expired, end leases. Where there is a
    /// [`clock`](Self::clock) that is moved, by exactly `time`; else it waits.
    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()>;

    /// Closes the engine, and opens it again on the same state.
    fn reopen(&mut self) -> BoxFuture<'_, ()>;

    /// Ends the engine as kill -9 would, and opens it again: what was flushed is there, and whatever else its
    /// durability promises.
    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()>;

    /// What it can do.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// What time it is for the engine.
    fn now(&self) -> Timestamp {
        match self.clock() {
            Some(clock) => switchboard_engine::Clock::now(&clock),
            None => SystemTime::now().into(),
        }
    }
}
