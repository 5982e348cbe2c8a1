//! From the queue of a subscription onto the wire.
//!
//! A slow connection fills its send buffer, then the queue behind it, and there the policy of the subscription says
//! what happens.

use std::sync::Arc;
use std::time::Duration;

use switchboard_hub::{Closed, Deliveries, Delivery, Policy};
use switchboard_peer::Peer;

use crate::gateway::Shared;
use crate::party::is_reserved;
use crate::stats::Counters;
use crate::subscribing::Gate;

/// Deliveries taken from a queue at once: enough to make its lock cheap, little beside what the queue itself holds.
const BATCH_MAX: usize = 64;

/// Empties the queue of one policy of one connection.
pub(crate) struct Delivering {
    pub(crate) peer: Peer,
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) policy: Policy,
}

/// Why nothing more is delivered.
enum End {
    /// The reader was slower than [`Policy::Disconnect`] allows.
    TooSlow,
    /// The connection is over.
    Gone,
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::TooSlow => Self::TooSlow,
            Closed::Session => Self::Gone,
        }
    }
}

impl Delivering {
    /// Delivers until the queue or the connection ends; ends the connection if the queue says so.
    pub(crate) async fn run(self, mut deliveries: Deliveries) {
        if let Err(End::TooSlow) = self.deliver(&mut deliveries).await {
            Counters::add_one(&self.shared.counters.too_slow);
            tracing::warn!(
                peer = self.peer.caller().address,
                policy = %self.policy,
                queued_bytes = self.peer.queued_bytes(),
                "closing a connection that is too slow for what it subscribed to"
            );
            // Without grace: it has shown that it does not take what is queued.
            self.peer.shutdown(Duration::ZERO).await;
        }
    }

    async fn deliver(&self, deliveries: &mut Deliveries) -> Result<(), End> {
        // What is taken out of the queue can no longer be replaced by something newer.
        let most = if self.policy == Policy::Latest {
            1
        } else {
            BATCH_MAX
        };
        let (mut batch, mut last_serial) = (Vec::new(), None);
        loop {
            self.room(deliveries).await?;
            deliveries.recv_many(&mut batch, most).await?;
            for delivery in batch.drain(..) {
                // A notification does not say which filter it is for: of copies for several, one is enough.
                let serial = Some(delivery.message.serial);
                if serial == last_serial && !delivery.retained {
                    continue;
                }
                last_serial = serial;
                self.room(deliveries).await?;
                self.send(&delivery)?;
            }
        }
    }

    /// Waits until the connection can take more.
    async fn room(&self, deliveries: &mut Deliveries) -> Result<(), End> {
        if self.peer.queued_bytes() < self.shared.options.peer.send_buffer_bytes {
            return Ok(());
        }
        if self.policy != Policy::Disconnect {
            self.peer.room().await;
            return Ok(());
        }
        // Whoever takes nothing at all must be found too slow as well.
        tokio::select! {
            biased;
            () = self.peer.room() => Ok(()),
            closed = deliveries.closed() => Err(closed.into()),
        }
    }

    fn send(&self, delivery: &Delivery) -> Result<(), End> {
        let topic = delivery.topic();
        if is_reserved(topic) {
            Counters::add_one(&self.shared.counters.deliveries_refused);
            tracing::debug!(
                peer = self.peer.caller().address,
                topic = &**topic,
                "a message is not delivered: names that begin with `hub.` are the hub's own"
            );
            return Ok(());
        }
        let _after_answers = self.gate.lock();
        self.peer
            .notify_now(topic, &delivery.message.payload)
            // A topic is never too long to be a name, so this is the end of the connection.
            .map_err(|_| End::Gone)
    }
}
