//! The bounded queue between those who publish and the one who reads.
//!
//! A gateway makes a pair of [`Sink`] and [`Deliveries`] with [`Session::sink`](crate::Session::sink), subscribes the
//! sink to as many filters as it likes, and reads the deliveries of all of them from one place.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytestring::ByteString;

use crate::message::Message;
use crate::policy::{Policy, QueueLimits};
use crate::stats::Counters;

mod progress;
mod queue;

pub use queue::BLOCKED_PUBLISHERS_MAX;
pub(crate) use queue::{Push, Queue, RetainedRefused, Wait};

/// Names one subscription for as long as the hub lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub(crate) u64);

impl SubscriptionId {
    /// The number, for those who carry it over a wire.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// Why no more deliveries come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The reader was slower than its topics, and the policy was [`Policy::Disconnect`].
    #[error("the reader was too slow for what it subscribed to")]
    TooSlow,
    /// The session that subscribed was closed.
    #[error("the session was closed")]
    Session,
}

/// One message for one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The subscription whose filter matched.
    pub subscription: SubscriptionId,
    /// What was published.
    pub message: Arc<Message>,
    /// Whether this is the last value of the topic from before the subscription, rather than news.
    pub retained: bool,
    /// How many messages for this queue were dropped since the delivery before.
    pub dropped: u64,
    /// Of all messages to be retained, those up to this [serial](Message::serial) have come through this queue, save
    /// what was dropped: whoever subscribes again needs no last value up to it. Holds for a queue whose subscriptions
    /// were made [in one step](crate::Session::subscribe_all). Under [`Policy::Latest`] it may lag behind what has
    /// come, as long as more is there to be read: see [`Policy::Latest`].
    pub reached: u64,
}

impl Delivery {
    /// Where it was published.
    pub fn topic(&self) -> &ByteString {
        &self.message.topic
    }
}

/// The end that is subscribed. Cheap to clone; all clones feed the same [`Deliveries`].
#[derive(Debug, Clone)]
pub struct Sink {
    pub(crate) queue: Arc<Queue>,
}

impl Sink {
    /// What happens when the queue is full.
    pub fn policy(&self) -> Policy {
        self.queue.policy()
    }
}

pub(crate) fn channel(policy: Policy, limits: QueueLimits, counters: Arc<Counters>) -> (Sink, Deliveries) {
    let queue = Arc::new(Queue::new(policy, limits, counters));
    (
        Sink {
            queue: Arc::clone(&queue),
        },
        Deliveries { queue },
    )
}

/// The end that is read.
///
/// Retained values come before news. When this is dropped, the subscriptions that fed it end: at the latest with the
/// next message that matches them.
#[derive(Debug)]
pub struct Deliveries {
    queue: Arc<Queue>,
}

impl Deliveries {
    /// The next delivery.
    ///
    /// # Errors
    /// Why there will be no more, after the last one.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Result<Delivery, Closed> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Appends what is there, at most `max`, waiting for the first; tells how many.
    ///
    /// # Errors
    /// Why there will be no more, after the last one.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped: what was taken is in `batch`.
    pub async fn recv_many(&mut self, batch: &mut Vec<Delivery>, max: usize) -> Result<usize, Closed> {
        std::future::poll_fn(|cx| self.poll_recv_many(cx, batch, max)).await
    }

    /// The polling form of [`Self::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, Closed>> {
        self.queue.poll_take(cx)
    }

    /// The polling form of [`Self::recv_many`]. A `max` of 0 is ready at once with nothing.
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Vec<Delivery>,
        max: usize,
    ) -> Poll<Result<usize, Closed>> {
        self.queue.poll_take_many(cx, batch, max)
    }

    /// Waits until nothing more comes in, however much is unread, and tells why: for readers that are held up
    /// elsewhere and must not miss that they were too slow. Cancel safe.
    pub async fn closed(&mut self) -> Closed {
        std::future::poll_fn(|cx| self.queue.poll_closed(cx)).await
    }

    /// A delivery if one is there.
    ///
    /// # Errors
    /// Why there will be no more, after the last one.
    pub fn try_recv(&mut self) -> Result<Option<Delivery>, Closed> {
        self.queue.try_take()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

#[cfg(test)]
mod tests;
