//! What the listeners counted, for metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::Refusal;

/// Counters over all listeners of a [`Network`](crate::Network). They only grow, except [`open`](Self::open).
///
/// Each is exact by itself; two of them read one after the other may be a moment apart.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicUsize,
    pub(crate) refused: [AtomicU64; Refusal::ALL.len()],
    pub(crate) handshake_failures: AtomicU64,
    pub(crate) handshake_timeouts: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
}

impl Stats {
    /// Connections the system handed to us, refused ones included.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now, those in a handshake included.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections closed for this reason before any gateway saw them.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused
            .get(reason.index())
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Connections that ended in a broken PROXY header or TLS handshake.
    pub fn handshake_failures(&self) -> u64 {
        self.handshake_failures.load(Ordering::Relaxed)
    }

    /// Connections whose PROXY header and TLS handshake were not complete in time.
    pub fn handshake_timeouts(&self) -> u64 {
        self.handshake_timeouts.load(Ordering::Relaxed)
    }

    /// Times that accepting failed, for lack of descriptors or memory, or because the peer was gone already.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        if let Some(count) = self.refused.get(reason.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
