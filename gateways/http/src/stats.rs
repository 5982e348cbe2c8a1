//! What the gateway counts.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use hyper::StatusCode;
use switchboard_hub::{Fault, FaultCounters};

/// Counts since the gateway began. Each is exact by itself; together they are no snapshot of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpStats {
    /// Requests that were answered, whatever the answer.
    pub requests: u64,
    /// Connections ended because what came over them is no HTTP, or was read in two ways by two parties.
    pub malformed: u64,
    /// Requests refused because of the page they came from, or of the host they were for.
    pub origins_refused: u64,
    /// Event streams ended because their policy was `disconnect` and they were too slow.
    pub too_slow: u64,
    /// Event streams and long polls that are open.
    pub watchers: u64,
    /// WebSockets that were opened.
    pub web_sockets: u64,
    /// Bytes read from clients, TLS not counted.
    pub bytes_read: u64,
    /// Bytes written to clients, TLS not counted.
    pub bytes_written: u64,
}

/// Classes of status codes, from 1xx to 5xx.
pub(crate) const STATUS_CLASSES: usize = 5;

/// What the kind of a Retry is called where errors have their kind.
pub(crate) const RETRY_KIND: &str = "retry";

/// What the connections count in.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) statuses: [AtomicU64; STATUS_CLASSES],
    /// Those that the door tells of itself; those of the hub, it counts.
    pub(crate) faults: FaultCounters,
    pub(crate) malformed: AtomicU64,
    pub(crate) origins_refused: AtomicU64,
    pub(crate) too_slow: AtomicU64,
    pub(crate) watchers: AtomicU64,
    pub(crate) web_sockets: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
}

impl Counters {
    pub(crate) fn add_one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn value(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(crate) fn add_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_written(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_malformed(&self) {
        Self::add_one(&self.malformed);
    }

    pub(crate) fn add_status(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.statuses.get(class) {
            Self::add_one(counter);
        }
    }

    pub(crate) fn add_fault(&self, fault: &Fault) {
        self.faults.add(fault);
    }

    pub(crate) fn read(&self) -> HttpStats {
        HttpStats {
            requests: self.statuses.iter().map(Self::value).sum(),
            malformed: Self::value(&self.malformed),
            origins_refused: Self::value(&self.origins_refused),
            too_slow: Self::value(&self.too_slow),
            watchers: Self::value(&self.watchers),
            web_sockets: Self::value(&self.web_sockets),
            bytes_read: Self::value(&self.read),
            bytes_written: Self::value(&self.written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_the_class_of_their_status() {
        let counters = Counters::default();
        for status in [101, 200, 204, 304, 404, 503] {
            counters.add_status(StatusCode::from_u16(status).unwrap());
        }
        let classes: Vec<_> = counters.statuses.iter().map(Counters::value).collect();
        assert_eq!(classes, [1, 2, 1, 1, 1]);
        assert_eq!(counters.read().requests, 6);
    }
}
