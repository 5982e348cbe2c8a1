//! How long calls took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Sharded;

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

/// The same in nanoseconds: quicker to compare.
const ENDS_NANOS: [u64; LATENCY_BUCKETS.len()] = {
    let mut nanos = [0; LATENCY_BUCKETS.len()];
    let mut bucket = 0;
    while bucket < nanos.len() {
        // At most seconds: it fits.
        nanos[bucket] = LATENCY_BUCKETS[bucket].as_nanos() as u64;
        bucket += 1;
    }
    nanos
};

/// Counts by how long something took.
#[derive(Debug, Default)]
pub(super) struct Histogram(Sharded<Shard>);

#[derive(Debug, Default)]
struct Shard {
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
    /// Together 584 years.
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        let shard = self.0.own();
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = ENDS_NANOS.iter().position(|end| nanos <= *end);
        if let Some(bucket) = shard.buckets.get(bucket.unwrap_or(ENDS_NANOS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        shard.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Latencies {
        let mut sum = Latencies::default();
        for shard in self.0.all() {
            for (sum, bucket) in sum.buckets.iter_mut().zip(&shard.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            let nanos = shard.nanos.load(Ordering::Relaxed);
            sum.time = sum.time.saturating_add(Duration::from_nanos(nanos));
        }
        sum
    }
}
