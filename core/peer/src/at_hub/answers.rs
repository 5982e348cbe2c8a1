//! What a hub answers. A number that an older hub leaves out reads as 0; what a newer one adds is passed over.

use serde::Deserialize;

/// What became of a message: see [`AtHub::publish`](super::AtHub::publish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Published {
    /// How many subscriptions have the message.
    pub subscriptions: u64,
}

/// Who a connection is to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WhoAmI {
    /// The number of its session.
    pub session: u64,
    /// Its account.
    pub account: String,
    /// The gateway it came through, such as `gotalk`.
    #[serde(default)]
    pub door: String,
    /// Its network address, as far as it has one.
    #[serde(default)]
    pub address: String,
    /// What it calls itself.
    #[serde(default)]
    pub client: Option<String>,
}

/// One operation that can be called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HubOperation {
    /// Its name.
    #[serde(rename = "op")]
    pub operation: String,
    /// Whether calls change nothing, as all who serve it say.
    #[serde(default)]
    pub safe: bool,
    /// What the results are, if all who serve it say the same.
    #[serde(default)]
    pub result_type: Option<String>,
    /// How many share its calls.
    #[serde(default)]
    pub responders: u64,
    /// Calls since the first of them came.
    #[serde(default)]
    pub calls: u64,
    /// Calls that are being answered.
    #[serde(default)]
    pub in_flight: u64,
}

/// One session at the hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HubSession {
    /// Its number.
    pub id: u64,
    /// Its account.
    pub account: String,
    /// The gateway it came through, such as `gotalk`.
    #[serde(default)]
    pub door: String,
    /// Its network address, as far as it has one.
    #[serde(default)]
    pub address: String,
    /// What it calls itself.
    #[serde(default)]
    pub client: Option<String>,
    /// When it was opened, in milliseconds since 1970.
    #[serde(default)]
    pub since_unix_ms: u64,
    /// How many operations it serves.
    #[serde(default)]
    pub serves: u64,
    /// How many subscriptions it has.
    #[serde(default)]
    pub subscriptions: u64,
}

/// How the hub does. All counts are since it began, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct HubStats {
    /// Seconds since the hub began.
    pub uptime_s: u64,
    /// Sessions that are open now.
    pub sessions: u64,
    /// Operations that can be called now, the hub's own included.
    pub operations: u64,
    /// Subscriptions of all sessions now.
    pub subscriptions: u64,
    /// Calls, those of unknown operations included.
    pub calls: u64,
    /// Calls of operations that nobody served.
    pub calls_unknown: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages put into a queue: one that three subscriptions got counts three.
    pub delivered: u64,
    /// Messages dropped because a reader was too slow.
    pub dropped: u64,
    /// Messages replaced by a newer one of their topic.
    pub replaced: u64,
    /// Messages that expired in a queue.
    pub expired: u64,
    /// Topics with a last value now.
    pub retained_messages: u64,
    /// What the last values weigh now, in bytes.
    pub retained_bytes: u64,
}
