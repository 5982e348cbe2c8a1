//! What Prometheus reads at `/metrics`.
//!
//! Calls are measured by operation, from the head of the request to the last byte that the connection took. The
//! operations that have a series of their own are bounded: nobody can fill the memory, ours or the monitor's, by
//! calling names.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use parking_lot::RwLock;
use switchboard_hub::Stats;

use crate::stats::{Counters, FAULT_KINDS};

/// Most operations with a series of their own; calls of others are measured together.
pub(crate) const OPERATIONS_MAX: usize = 256;

/// Most bytes in the name of an operation with a series of its own.
const OPERATION_BYTES_MAX: usize = 128;

/// The series of all operations that have none of their own.
const OTHER: &str = "(other)";

/// The series of operations that nobody serves.
const UNKNOWN: &str = "(unknown)";

/// The upper ends of the buckets, in microseconds, with how Prometheus writes them in seconds.
const BUCKETS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// How long the calls of one operation took.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Latencies {
    pub(crate) fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(end, _)| micros <= *end);
        if let Some(bucket) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, text: &mut String, operation: &str) {
        let labels = format!("door=\"http\",operation=\"{}\"", label(operation));
        let mut sum = 0;
        for (bucket, (_, end)) in self.buckets.iter().zip(BUCKETS) {
            sum += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{CALL_SECONDS}_bucket{{{labels},le=\"{end}\"}} {sum}");
        }
        // Read last, so it is not less than what the buckets say.
        let count = self.count.load(Ordering::Relaxed).max(sum);
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = writeln!(text, "{CALL_SECONDS}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{CALL_SECONDS}_sum{{{labels}}} {seconds}");
        let _ = writeln!(text, "{CALL_SECONDS}_count{{{labels}}} {count}");
    }
}

const CALL_SECONDS: &str = "switchboard_call_seconds";

/// How long calls took, by operation.
#[derive(Debug)]
pub(crate) struct Calls {
    by_operation: RwLock<HashMap<ByteString, Arc<Latencies>>>,
    other: Arc<Latencies>,
    unknown: Arc<Latencies>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            by_operation: RwLock::new(HashMap::new()),
            other: Arc::default(),
            unknown: Arc::default(),
        }
    }
}

impl Calls {
    /// Where calls of an operation that somebody serves are measured.
    pub(crate) fn of(&self, operation: &ByteString) -> Arc<Latencies> {
        if let Some(latencies) = self.by_operation.read().get(operation) {
            return Arc::clone(latencies);
        }
        let mut by_operation = self.by_operation.write();
        let full = by_operation.len() >= OPERATIONS_MAX && !by_operation.contains_key(operation);
        if full || operation.len() > OPERATION_BYTES_MAX {
            return Arc::clone(&self.other);
        }
        // Copied: what lives long must not keep a read buffer alive.
        let name = ByteString::from(&**operation);
        Arc::clone(by_operation.entry(name).or_default())
    }

    /// Where calls of operations that nobody serves are measured.
    pub(crate) fn unknown(&self) -> Arc<Latencies> {
        Arc::clone(&self.unknown)
    }
}

/// All of it, in the text format.
pub(crate) fn render(hub: &Stats, counters: &Counters, calls: &Calls) -> String {
    let mut text = String::with_capacity(8 * 1024);
    write_hub(&mut text, hub);
    write_door(&mut text, counters);
    head(
        &mut text,
        CALL_SECONDS,
        "histogram",
        "Calls by door and operation, in seconds.",
    );
    let mut by_operation: Vec<_> = {
        let by_operation = calls.by_operation.read();
        by_operation
            .iter()
            .map(|(operation, latencies)| (operation.clone(), Arc::clone(latencies)))
            .collect()
    };
    by_operation.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    for (operation, latencies) in &by_operation {
        latencies.write(&mut text, operation);
    }
    calls.other.write(&mut text, OTHER);
    calls.unknown.write(&mut text, UNKNOWN);
    text
}

fn write_hub(text: &mut String, hub: &Stats) {
    let size = |size: usize| size as u64;
    for (name, kind, help, value) in [
        ("uptime_seconds", "gauge", "Since the hub began.", hub.uptime_s),
        ("sessions", "gauge", "Sessions that are open.", size(hub.sessions)),
        (
            "operations",
            "gauge",
            "Operations that can be called.",
            size(hub.operations),
        ),
        (
            "subscriptions",
            "gauge",
            "Subscriptions of all sessions.",
            size(hub.subscriptions),
        ),
        ("calls_total", "counter", "Calls through all doors.", hub.calls),
        (
            "calls_unknown_total",
            "counter",
            "Calls of operations that nobody served.",
            hub.calls_unknown,
        ),
        (
            "messages_published_total",
            "counter",
            "Messages that were published.",
            hub.published,
        ),
        (
            "messages_delivered_total",
            "counter",
            "Messages put into queues.",
            hub.delivered,
        ),
        (
            "messages_dropped_total",
            "counter",
            "Messages dropped for slow readers.",
            hub.dropped,
        ),
        (
            "messages_replaced_total",
            "counter",
            "Messages replaced by newer ones in queues.",
            hub.replaced,
        ),
        (
            "messages_expired_total",
            "counter",
            "Messages that expired in queues.",
            hub.expired,
        ),
        (
            "topics_retained",
            "gauge",
            "Topics with a last value.",
            size(hub.retained_messages),
        ),
        (
            "retained_bytes",
            "gauge",
            "What the last values weigh.",
            size(hub.retained_bytes),
        ),
    ] {
        let name = format!("switchboard_{name}");
        head(text, &name, kind, help);
        let _ = writeln!(text, "{name} {value}");
    }
}

fn write_door(text: &mut String, counters: &Counters) {
    let stats = counters.read();
    for (name, kind, help, value) in [
        (
            "watchers",
            "gauge",
            "Event streams and long polls that are open.",
            stats.watchers,
        ),
        (
            "web_sockets_total",
            "counter",
            "WebSockets that were opened.",
            stats.web_sockets,
        ),
        (
            "malformed_total",
            "counter",
            "Connections ended for what is no HTTP.",
            stats.malformed,
        ),
        (
            "origins_refused_total",
            "counter",
            "Requests refused for their page or host.",
            stats.origins_refused,
        ),
        (
            "too_slow_total",
            "counter",
            "Event streams ended because they were too slow.",
            stats.too_slow,
        ),
        (
            "read_bytes_total",
            "counter",
            "Bytes read from clients.",
            stats.bytes_read,
        ),
        (
            "written_bytes_total",
            "counter",
            "Bytes written to clients.",
            stats.bytes_written,
        ),
    ] {
        let name = format!("switchboard_http_{name}");
        head(text, &name, kind, help);
        let _ = writeln!(text, "{name} {value}");
    }
    let name = "switchboard_http_requests_total";
    head(text, name, "counter", "Requests by the class of their answer.");
    for (class, counter) in counters.statuses.iter().enumerate() {
        let _ = writeln!(
            text,
            "{name}{{status=\"{}xx\"}} {}",
            class + 1,
            Counters::value(counter)
        );
    }
    let name = "switchboard_faults_total";
    head(text, name, "counter", "Faults by door and kind.");
    for (kind, counter) in FAULT_KINDS.iter().zip(&counters.faults) {
        let _ = writeln!(
            text,
            "{name}{{door=\"http\",kind=\"{kind}\"}} {}",
            Counters::value(counter)
        );
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value, escaped as the format wants it.
fn label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(calls: &Calls) -> String {
        render(
            &switchboard_hub::Hub::default().stats(),
            &Counters::default(),
            calls,
        )
    }

    #[tokio::test]
    async fn calls_are_counted_in_cumulative_buckets() {
        let calls = Calls::default();
        for millis in [1, 3, 20_000] {
            calls.of(&"a\"b".into()).record(Duration::from_millis(millis));
        }
        let text = text(&calls);
        for line in [
            r#"switchboard_call_seconds_bucket{door="http",operation="a\"b",le="0.0005"} 0"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="a\"b",le="0.001"} 1"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="a\"b",le="0.005"} 2"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="a\"b",le="10"} 2"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="a\"b",le="+Inf"} 3"#,
            r#"switchboard_call_seconds_sum{door="http",operation="a\"b"} 20.004"#,
            r#"switchboard_call_seconds_count{door="http",operation="a\"b"} 3"#,
        ] {
            assert!(
                text.lines().any(|candidate| candidate == line),
                "{line} is missing in {text}"
            );
        }
    }

    #[tokio::test]
    async fn every_line_is_a_comment_or_a_sample() {
        for line in text(&Calls::default()).lines() {
            let sample = line.rsplit_once(' ').and_then(|(name, value)| {
                value
                    .parse::<f64>()
                    .ok()
                    .filter(|_| name.starts_with("switchboard_"))
            });
            assert!(line.starts_with("# ") || sample.is_some(), "{line:?}");
        }
    }

    #[test]
    fn the_operations_with_a_series_of_their_own_are_bounded() {
        let calls = Calls::default();
        for number in 0..OPERATIONS_MAX {
            let own = calls.of(&number.to_string().into());
            assert!(!Arc::ptr_eq(&own, &calls.other));
        }
        assert!(Arc::ptr_eq(&calls.of(&"one more".into()), &calls.other));
        assert!(!Arc::ptr_eq(&calls.of(&"0".into()), &calls.other));
        let long = "x".repeat(OPERATION_BYTES_MAX + 1).into();
        let calls = Calls::default();
        assert!(Arc::ptr_eq(&calls.of(&long), &calls.other));
        assert_eq!(calls.by_operation.read().len(), 0);
    }
}
