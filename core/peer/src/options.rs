//! What a connection may use, and how long it waits.

use std::ops::Range;
use std::time::Duration;

/// Limits on what the other side of one connection may cause here. Over a limit a request is answered with a Retry
/// whose wait is drawn from [`retry_wait`](Self::retry_wait); nothing latches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Single requests being answered at once. Default 10,000.
    pub requests_max: usize,
    /// Stream requests being answered at once; 0 takes none. Default 256.
    pub streams_max: usize,
    /// Bytes of one payload. A larger one that comes ends the connection, as a protocol error: the one limit that
    /// cannot be tried again. One that is to be sent is an Error to its caller instead, and can be a stream. Default
    /// 16 MiB.
    pub payload_bytes_max: usize,
    /// Bytes of requests held by handlers, and likewise bytes of results not yet written. Default 64 MiB.
    pub buffered_bytes_max: usize,
    /// Bytes of one stream that its reader has not taken; over it the connection is not read. Default 256 KiB.
    pub stream_bytes_max: usize,
    /// Notifications that wait for their handler; over it the connection is not read. Default 1,024.
    pub notifications_max: usize,
    /// The wait that a refused request is told, drawn at random from this range so that refused callers do not all
    /// come back at once. An empty range means its start. Default 500 ms to 5 s.
    pub retry_wait: Range<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 10_000,
            streams_max: 256,
            payload_bytes_max: 16 << 20,
            buffered_bytes_max: 64 << 20,
            stream_bytes_max: 256 << 10,
            notifications_max: 1024,
            retry_wait: Duration::from_millis(500)..Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// A wait for a refused request.
    pub(crate) fn draw_wait(&self) -> Duration {
        let (start, end) = (
            self.retry_wait.start.as_millis() as u64,
            self.retry_wait.end.as_millis() as u64,
        );
        Duration::from_millis(if start < end {
            fastrand::u64(start..end)
        } else {
            start
        })
    }
}

/// How a connection behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the other side may cause here.
    pub limits: Limits,
    /// The other side's version must have come within this. Default 10 s.
    pub handshake_timeout: Duration,
    /// Within this time a message must be complete, or at least 16 KiB of a longer one have come; otherwise the other
    /// side is told `f00000003` and the connection is closed. `None` waits for ever. Default 30 s.
    pub read_timeout: Option<Duration>,
    /// Within this time the other side must have taken some of the bytes that wait for it. Default 30 s.
    pub write_timeout: Option<Duration>,
    /// How often a heartbeat is sent; `None` sends none. Keep it below the other side's read time-out. Default 20 s.
    pub heartbeat_interval: Option<Duration>,
    /// How long the connection is not read because the reader of one stream, or a notification handler, is behind;
    /// then that stream fails, or that notification is dropped, and reading goes on. Keep it below the other side's
    /// write time-out, which would close the connection. Default 20 s.
    pub stall_timeout: Duration,
    /// A handler whose caller is gone may still run so long before it is dropped at its next wait. Default 5 s.
    pub cancel_grace: Duration,
    /// Senders that can wait do so while so many bytes or more wait to be written. Default 1 MiB.
    pub send_buffer_bytes: usize,
    /// How long the connection, with one call under way and an answer or the next call expected, looks for it before
    /// its thread sleeps. It does so only for as long as that has paid: on a plain TCP or Unix socket whose thread has
    /// nothing else to do, which other tasks of that thread wait for; and on any transport where the runtime has one
    /// thread only, which nobody waits for. Zero: never. Default 50 µs, which is about what waking a sleeping processor takes
    /// there and back.
    pub busy_poll: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            read_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(30)),
            heartbeat_interval: Some(Duration::from_secs(20)),
            stall_timeout: Duration::from_secs(20),
            cancel_grace: Duration::from_secs(5),
            send_buffer_bytes: 1 << 20,
            busy_poll: Duration::from_micros(50),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_range_and_an_empty_range_is_no_panic() {
        let limits = Limits::default();
        for _ in 0..100 {
            assert!(limits.retry_wait.contains(&limits.draw_wait()));
        }
        let same = Duration::from_millis(7);
        assert_eq!(
            Limits {
                retry_wait: same..same,
                ..Limits::default()
            }
            .draw_wait(),
            same
        );
    }
}
