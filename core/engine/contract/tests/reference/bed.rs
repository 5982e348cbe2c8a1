//! The reference as a bed: with a clock that is moved, and with the machine's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use switchboard_engine::{Engine, ManualClock, SystemClock, Timestamp};
use switchboard_engine_contract::{Abilities, TestBed};

use crate::engine::{Flaw, Reference, World};

/// Some day in 2023: clocks can be set back from it.
const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A world with a clock of ours, and two hubs.
pub struct ReferenceBed {
    clock: ManualClock,
    world: Arc<World>,
    hubs: Vec<Reference>,
}

impl ReferenceBed {
    pub fn new(flaw: Flaw) -> Self {
        let clock = ManualClock::at(BEGINNING);
        let world = World::new(clock.clone(), flaw);
        let hubs = vec![Reference::open(&world)];
        Self { clock, world, hubs }
    }
}

impl TestBed for ReferenceBed {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.hubs[0].clone())
    }

    fn second_hub(&mut self) -> BoxFuture<'_, Option<Arc<dyn Engine>>> {
        let hub = Reference::open(&self.world);
        self.hubs.push(hub.clone());
        Box::pin(future::ready(Some(Arc::new(hub) as Arc<dyn Engine>)))
    }

    fn clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(time);
        self.world.tick();
        Box::pin(tokio::task::yield_now())
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for hub in &self.hubs {
                hub.close().await.expect("closing");
            }
            self.world.restart();
            self.hubs = vec![Reference::open(&self.world)];
        })
    }

    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()> {
        self.hubs.iter().for_each(Reference::abandon);
        self.world.crash();
        self.hubs = vec![Reference::open(&self.world)];
        Box::pin(future::ready(()))
    }
}

/// A world in which time passes by itself, as it does for an engine that is a server; it says that it can do less than
/// it can.
pub struct PlainBed {
    world: Arc<World>,
    engine: Reference,
}

impl PlainBed {
    pub fn new() -> Self {
        let world = World::new(SystemClock::default(), Flaw::None);
        let engine = Reference::open(&world);
        Self { world, engine }
    }
}

impl TestBed for PlainBed {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.engine.clone())
    }

    fn clock(&self) -> Option<ManualClock> {
        None
    }

    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::time::sleep(time).await;
            self.world.tick();
        })
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.engine.close().await.expect("closing");
            self.world.restart();
            self.engine = Reference::open(&self.world);
        })
    }

    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()> {
        self.engine.abandon();
        self.world.crash();
        self.engine = Reference::open(&self.world);
        Box::pin(future::ready(()))
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            reads_many_at_one_moment: false,
            cases: 8,
            ..Abilities::default()
        }
    }
}
