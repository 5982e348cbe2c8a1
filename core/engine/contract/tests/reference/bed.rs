//! The reference as a bed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use switchboard_engine::{Engine, ManualClock};
use switchboard_engine_contract::TestBed;

use crate::engine::{Flaw, Reference, World};

pub struct ReferenceBed {
    world: Arc<World>,
    hubs: Vec<Reference>,
}

impl ReferenceBed {
    pub fn new(flaw: Flaw) -> Self {
        let world = World::new(flaw);
        let hubs = vec![Reference::open(&world)];
        Self { world, hubs }
    }

    fn start(&mut self) {
        self.world.restart();
        self.hubs = vec![Reference::open(&self.world)];
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
        Some(self.world.clock.clone())
    }

    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        self.world.clock.advance(time);
        self.world.tick();
        Box::pin(tokio::task::yield_now())
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for hub in &self.hubs {
                hub.close().await.expect("closing");
            }
            self.start();
        })
    }

    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()> {
        self.hubs.iter().for_each(Reference::abandon);
        self.world.crash();
        self.start();
        Box::pin(future::ready(()))
    }
}
