//! What every engine has to pass.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use switchboard_engine::names::KEY_BYTES_MAX;
use switchboard_engine::{Engine, ManualClock, Timestamp};
use switchboard_engine_contract::{Abilities, TestBed, contract_tests};
use switchboard_engine_nats::{Nats, NatsOptions};

use crate::server::Server;

/// A value of that many bytes fits into a message beside the longest key.
const VALUE_BYTES_MAX: usize = 1024 * 1024 - KEY_BYTES_MAX - 4 * 1024;

/// Cases of a generated property: each write is a round trip or two.
const CASES: u32 = 4;

struct Bed {
    clock: ManualClock,
    engine: Option<Arc<Nats>>,
    server: Server,
}

async fn bed() -> Bed {
    let mut bed = Bed {
        clock: ManualClock::at(Timestamp::from_millis(1_700_000_000_000)),
        engine: None,
        server: Server::start(),
    };
    bed.open().await;
    bed
}

impl Bed {
    fn options(&self) -> NatsOptions {
        NatsOptions {
            clock: Arc::new(self.clock.clone()),
            ..NatsOptions::new([self.server.url()])
        }
    }

    async fn open(&mut self) {
        let engine = Nats::open(self.options()).await.expect("opening");
        assert_eq!(engine.value_bytes_max(), VALUE_BYTES_MAX);
        self.engine = Some(engine);
    }
}

impl TestBed for Bed {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().expect("it is open")
    }

    fn second_hub(&mut self) -> BoxFuture<'_, Option<Arc<dyn Engine>>> {
        Box::pin(async {
            let engine = Nats::open(self.options()).await.expect("opening");
            Some(engine as Arc<dyn Engine>)
        })
    }

    fn clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn pass(&mut self, time: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(time);
        Box::pin(std::future::ready(()))
    }

    fn reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(engine) = self.engine.take() {
                engine.close().await.expect("closing");
            }
            self.open().await;
        })
    }

    fn crash_and_reopen(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // The hub is gone without a word, and so is the server.
            drop(self.engine.take());
            self.server.restart();
            self.open().await;
        })
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            value_bytes_max: VALUE_BYTES_MAX,
            cases: CASES,
            ..Abilities::default()
        }
    }
}

contract_tests!(bed);
