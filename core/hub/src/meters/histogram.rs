//! How long calls took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the buckets that calls are counted in. From what a call through the hub takes at least, to what
/// somebody who waits calls broken; what takes longer is counted in one bucket more.
pub const LATENCY_BUCKETS: [Duration; 17] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// How long calls took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latencies {
    /// How many took up to this long, and longer than the bucket before: those of [`LATENCY_BUCKETS`], and what took
    /// longer than all of them.
    pub buckets: [u64; LATENCY_BUCKETS.len() + 1],
    /// How long all of them took together.
    pub time: Duration,
}

impl Latencies {
    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Counts by how long something took.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
    /// Together 584 years.
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let bucket = LATENCY_BUCKETS.iter().position(|end| time <= *end);
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(LATENCY_BUCKETS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Latencies {
        let mut buckets = [0; LATENCY_BUCKETS.len() + 1];
        for (read, bucket) in buckets.iter_mut().zip(&self.buckets) {
            *read = bucket.load(Ordering::Relaxed);
        }
        Latencies {
            buckets,
            time: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}
