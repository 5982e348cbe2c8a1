//! What the gateway counts: faults that the wire has no way to answer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the gateway began. Each is exact by itself; together they are no snapshot of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GatewayStats {
    /// Notifications that were not published: an illegal or reserved name.
    pub notifications_refused: u64,
    /// Messages that were not delivered because their topic, as the name of a notification, is reserved.
    pub deliveries_refused: u64,
    /// Connections closed because their subscriptions said `disconnect` and they were too slow.
    pub too_slow: u64,
}

/// What the connections count in.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) notifications_refused: AtomicU64,
    pub(crate) deliveries_refused: AtomicU64,
    pub(crate) too_slow: AtomicU64,
}

impl Counters {
    pub(crate) fn add_one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> GatewayStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GatewayStats {
            notifications_refused: read(&self.notifications_refused),
            deliveries_refused: read(&self.deliveries_refused),
            too_slow: read(&self.too_slow),
        }
    }
}
