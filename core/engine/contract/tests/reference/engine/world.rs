//! What outlasts a handle, and the handle.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switchboard_engine::{Answer, Blobs, Bus, Clock, Engine, EngineError, Health, Keys, Queues, Result};
use tokio::sync::watch;

use super::bus::Exchange;
use super::flaw::Flaw;
use super::state::State;

/// What a machine has: its clock and its disk.
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub flaw: Flaw,
    state: Mutex<State>,
    flushed: Mutex<State>,
    /// Changes whenever anything else does, time included.
    pub changed: watch::Sender<()>,
    pub exchange: Mutex<Exchange>,
}

impl World {
    pub fn new(clock: impl Clock, flaw: Flaw) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::new(clock),
            flaw,
            state: Mutex::default(),
            flushed: Mutex::default(),
            changed: watch::Sender::new(()),
            exchange: Mutex::default(),
        })
    }

    /// Time has passed.
    pub fn tick(&self) {
        let _ = self.look(|_| Ok(()));
    }

    /// Does what is due, and tells nobody.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        state.settle(self.clock.now(), self.clock.monotonic(), self.flaw);
    }

    /// Does something with the state, after everything that is due.
    pub fn look<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        state.settle(self.clock.now(), self.clock.monotonic(), self.flaw);
        let outcome = act(&mut state);
        drop(state);
        self.changed.send_replace(());
        outcome
    }

    /// Looks at the state as it is.
    pub fn peek<T>(&self, act: impl FnOnce(&State) -> T) -> T {
        act(&self.state.lock())
    }

    fn flush(&self) {
        if self.flaw != Flaw::NeverFlushes {
            *self.flushed.lock() = self.state.lock().clone();
        }
    }

    /// The process ends, and begins again with what was flushed.
    pub fn crash(&self) {
        let mut flushed = self.flushed.lock().clone();
        if self.flaw == Flaw::LosesTheOldest {
            flushed = self.state.lock().without_an_older(&flushed);
        }
        *self.state.lock() = flushed;
        self.restart();
    }

    /// The process begins: it knows its leases by the wall clock only, and no change of before.
    pub fn restart(&self) {
        self.state
            .lock()
            .restart(self.clock.now(), self.clock.monotonic());
    }
}

/// One hub's handle.
#[derive(Clone)]
pub struct Reference {
    pub world: Arc<World>,
    closed: Arc<AtomicBool>,
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reference")
    }
}

impl Reference {
    pub fn open(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            closed: Arc::default(),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets go, without flushing.
    pub fn abandon(&self) {
        self.closed.store(true, Ordering::Release);
        self.world.changed.send_replace(());
    }

    pub fn check(&self) -> Result<()> {
        match self.is_closed() {
            true => Err(EngineError::unavailable(Duration::from_secs(1), "it is closed")),
            false => Ok(()),
        }
    }

    pub fn try_look<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        self.check()?;
        self.world.look(act)
    }

    pub fn look<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Answer<T> {
        Answer::now(self.try_look(act))
    }
}

impl Engine for Reference {
    fn description(&self) -> String {
        "reference".to_owned()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn bus(&self) -> &dyn Bus {
        self
    }

    fn keys(&self) -> &dyn Keys {
        self
    }

    fn queues(&self) -> &dyn Queues {
        self
    }

    fn blobs(&self) -> &dyn Blobs {
        self
    }

    fn flush(&self) -> Answer<()> {
        Answer::now(self.check().map(|()| self.world.flush()))
    }

    fn close(&self) -> Answer<()> {
        if !self.is_closed() {
            self.world.flush();
            self.abandon();
        }
        Answer::ok(())
    }
}
