//! What the hub counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::meters::Sharded;

/// Counts since the hub began. Each is exact by itself; together they are no snapshot of one moment.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// The one number here that each call adds to.
    pub(crate) calls: Sharded<AtomicU64>,
    pub(crate) calls_unknown: AtomicU64,
    pub(crate) published: AtomicU64,
    /// The last [`serial`](crate::Message::serial) that was given. Beside the count that grows with it.
    pub(crate) serial: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) replaced: AtomicU64,
    pub(crate) expired: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// How the hub does, as `hub.stats` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Seconds since the hub began.
    pub uptime_s: u64,
    /// Sessions that are open.
    pub sessions: usize,
    /// Operations that can be called, the hub's own included.
    pub operations: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Calls since the hub began, those of unknown operations included.
    pub calls: u64,
    /// Calls of operations that nobody served.
    pub calls_unknown: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages put into a queue: one that three subscriptions got counts three.
    pub delivered: u64,
    /// Messages dropped because a reader was too slow.
    pub dropped: u64,
    /// Messages replaced by a newer one of their topic, under the policy `latest`.
    pub replaced: u64,
    /// Messages that expired in a queue.
    pub expired: u64,
    /// Topics with a last value.
    pub retained_messages: usize,
    /// What the last values weigh, in bytes.
    pub retained_bytes: usize,
}
