//! Messages between the hubs of one engine.
//!
//! **Ordering**: what one bus handle publishes reaches each subscription in its order; nothing is said of different
//! publishers. **Delivery**: at most once, only to those subscribed at the time; a subscription sees what its own hub
//! publishes too. **Durability**: none. **Bounds**: a reader more than [`UNREAD_MAX`] messages behind misses some, and
//! is told ([`BusEvent::Missed`]).

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::stream::BoxStream;

use crate::{Answer, Result};

/// Most messages that wait for the reader of a subscription.
pub const UNREAD_MAX: usize = 65_536;

/// A message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusMessage {
    /// Where it was published: levels split by `/`, 1 to 4095 bytes, as the hub's topics.
    pub topic: ByteString,
    /// What was said, at most [`Bus::payload_bytes_max`].
    pub payload: Bytes,
    /// Where an answer is awaited, for a request.
    pub reply_to: Option<ByteString>,
}

/// What a subscription brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A message.
    Message(BusMessage),
    /// Messages were lost here: the reader was behind, or the connection to the cluster was away.
    Missed,
}

/// The end of it says that the engine was closed. Dropping it ends the subscription.
pub type BusSubscription = BoxStream<'static, BusEvent>;

/// Messages between hubs.
pub trait Bus: fmt::Debug + Send + Sync {
    /// Most bytes in a payload.
    fn payload_bytes_max(&self) -> usize;

    /// Publishes. It is on its way when this returns; nobody tells whether it arrived.
    ///
    /// # Errors
    /// Too large; unavailable while the cluster is away: it was not published then.
    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()>;

    /// Subscribes to a filter: a topic, with `+` for one level and a final `#` for all that follow, as at the hub.
    /// Of the subscriptions with one `group` and one filter, one gets each message. When the answer is there, what is
    /// published at any hub afterwards arrives.
    fn subscribe(&self, filter: ByteString, group: Option<ByteString>) -> Answer<BusSubscription>;

    /// Publishes with an address for the answer, and waits for the first one. The responder publishes it to the
    /// message's `reply_to`.
    ///
    /// # Errors
    /// Unavailable at once when nobody is subscribed, after `timeout` when nobody answers, or while the cluster is
    /// away.
    fn request(&self, topic: ByteString, payload: Bytes, timeout: Duration) -> Answer<Bytes>;
}
