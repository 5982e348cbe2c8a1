//! What is measured at the waist: how long calls took and how they failed, by operation and by door.
//!
//! Measuring costs a call one look at the clock and two additions, no lock and no memory. What has numbers of its own
//! is bounded: nobody can fill the memory, the hub's or that of who collects them, by making up names.

use std::sync::Arc;

use bytestring::ByteString;

mod doors;
mod faults;
mod histogram;
mod operations;
mod samples;
mod sharded;

pub(crate) use doors::{DoorId, Doors};
pub use faults::{FAULT_KINDS, FaultCounters, FaultCounts};
pub use histogram::{LATENCY_BUCKETS, Latencies};
pub(crate) use operations::{Meter, Meters};
pub(crate) use samples::Samplers;
pub use samples::{Sample, SampleKind, Sampled};
pub(crate) use sharded::Sharded;

/// What a hub has measured since it began: see [`Hub::metrics`](crate::Hub::metrics). Each number is exact by itself;
/// together they are no snapshot of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// Calls, by operation and then by door.
    pub calls: Vec<CallMetrics>,
    /// Doors, in the order in which they came.
    pub doors: Vec<DoorMetrics>,
    /// What gateways count for themselves: see [`Hub::sample`](crate::Hub::sample).
    pub samples: Vec<Sample>,
}

/// The calls of one operation that came through one door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallMetrics {
    /// The operation; [`OTHER`] for those that have no numbers of their own.
    pub operation: ByteString,
    /// The door.
    pub door: ByteString,
    /// How long they took, until they were answered, or their streamed answer had ended.
    pub latencies: Latencies,
    /// Those that were answered with a fault, or whose streamed answer ended with one.
    pub faults: FaultCounts,
}

/// What came through one door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorMetrics {
    /// The door; [`OTHER`] for those that have no numbers of their own.
    pub door: ByteString,
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions that were opened.
    pub opened: u64,
    /// Faults that its sessions were told: of calls, publishes, subscriptions, and what they wanted to serve.
    pub faults: FaultCounts,
}

/// Stands for all that have no numbers of their own.
pub const OTHER: &str = "(other)";

impl Metrics {
    pub(crate) fn read(meters: &Arc<Meters>, samplers: &Samplers) -> Self {
        Self {
            calls: meters.read(),
            doors: meters.doors.read(),
            samples: samplers.read(),
        }
    }
}

#[cfg(test)]
mod tests;
