//! The whole: four parts over one connection.

use std::sync::Arc;
use std::time::Duration;

use switchboard_engine::{Answer, Blobs, Bus, Engine, EngineError, Health, Keys, Queues, Result};

use crate::NatsOptions;
use crate::blobs::NatsBlobs;
use crate::bus::NatsBus;
use crate::janitor::Janitor;
use crate::keys::{NatsKeys, Shared};
use crate::link::Link;
use crate::queues::NatsQueues;

/// Longest time that closing waits for what is on its way.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// An engine that keeps everything in a NATS cluster. Any number of hubs may use one cluster: with the same prefix
/// they are one switchboard.
///
/// Dropping it ends it, as closing does.
#[derive(Debug)]
pub struct Nats {
    description: String,
    link: Arc<Link>,
    janitor: Janitor,
    bus: NatsBus,
    keys: NatsKeys,
    queues: NatsQueues,
    blobs: NatsBlobs,
}

impl Nats {
    /// Connects to the cluster, and makes the streams that are missing.
    ///
    /// # Errors
    /// Invalid for options that make no sense; unsupported for servers older than 2.12, or without JetStream, or for
    /// streams of another format; unavailable when no server can be reached, or none leads, within 20 s.
    ///
    /// # Cancel safety
    /// Dropping the future gives up; streams may have been made.
    pub async fn open(options: NatsOptions) -> Result<Arc<Self>> {
        let link = Arc::new(Link::open(&options).await?);
        // What was begun ends, should anything go wrong.
        let guard = link.closed.clone().drop_guard();
        let bus = NatsBus::open(Arc::clone(&link)).await?;
        guard.disarm();
        let janitor = Janitor::start(&link);
        let (sick, closed) = (Arc::clone(&link), link.closed.clone());
        tokio::spawn(closed.run_until_cancelled_owned(async move { sick.convalesce().await }));
        let shared = Arc::new(Shared::new(Arc::clone(&link), janitor.clone()));
        Ok(Arc::new(Self {
            description: format!("NATS cluster at {}, prefix {}", options.shown(), options.prefix),
            bus,
            keys: NatsKeys {
                shared: Arc::clone(&shared),
            },
            queues: NatsQueues::new(Arc::clone(&link), janitor.clone()),
            blobs: NatsBlobs::new(shared),
            janitor,
            link,
        }))
    }

    /// Most bytes in a value of [`Keys`]: what the server's `max_payload` leaves (1 MiB out of the box) beside the
    /// longest key.
    pub fn value_bytes_max(&self) -> usize {
        self.keys.shared.value_bytes_max()
    }
}

impl Engine for Nats {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn health(&self) -> Health {
        self.link.health()
    }

    fn bus(&self) -> &dyn Bus {
        &self.bus
    }

    fn keys(&self) -> &dyn Keys {
        &self.keys
    }

    fn queues(&self) -> &dyn Queues {
        &self.queues
    }

    fn blobs(&self) -> &dyn Blobs {
        &self.blobs
    }

    fn flush(&self) -> Answer<()> {
        let (link, janitor) = (Arc::clone(&self.link), self.janitor.clone());
        Answer::later(async move {
            link.check_open()?;
            janitor.is_done(&link).await
        })
    }

    fn close(&self) -> Answer<()> {
        let (link, janitor) = (Arc::clone(&self.link), self.janitor.clone());
        Answer::later(async move {
            if link.closed.is_cancelled() {
                return Ok(());
            }
            let ended = async {
                // What is left the servers clear up.
                let _ = janitor.is_done(&link).await;
                // What was published is with the server, before the connection ends and the process with it.
                let _ = link.round_trip().await;
                link.closed.cancel();
                link.client
                    .drain()
                    .await
                    .map_err(|error| EngineError::Failed(error.to_string()))
            };
            match tokio::time::timeout(CLOSE_TIME_MAX, ended).await {
                Ok(ended) => ended,
                Err(_) => {
                    link.closed.cancel();
                    Ok(())
                }
            }
        })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.link.closed.cancel();
    }
}
