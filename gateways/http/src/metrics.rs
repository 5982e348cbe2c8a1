//! What Prometheus reads at `/metrics`: what the hub measured of all doors, and what this door counted.

use std::fmt::Write as _;

use switchboard_hub::{
    DoorMetrics, FAULT_KINDS, Hub, LATENCY_BUCKETS, Latencies, Metrics, Sample, SampleKind, Stats,
};

use crate::stats::Counters;
use crate::visitor::DOOR;

/// All of it, in the text format.
pub(crate) fn render(hub: &Hub, counters: &Counters) -> String {
    let mut text = String::with_capacity(16 * 1024);
    write_hub(&mut text, &hub.stats());
    write_http(&mut text, counters);
    let metrics = hub.metrics();
    write_samples(&mut text, &metrics.samples);
    write_doors(&mut text, &metrics.doors, counters);
    write_calls(&mut text, &metrics);
    text
}

const CALL_SECONDS: &str = "switchboard_call_seconds";

fn write_calls(text: &mut String, metrics: &Metrics) {
    let help = "Calls by door and operation, in seconds until they were answered.";
    head(text, CALL_SECONDS, "histogram", help);
    for calls in &metrics.calls {
        write_latencies(text, &calls.door, &calls.operation, &calls.latencies);
    }
    let name = "switchboard_call_faults_total";
    head(
        text,
        name,
        "counter",
        "Calls that ended with a fault, by door, operation and kind.",
    );
    for calls in &metrics.calls {
        let (door, operation) = (label(&calls.door), label(&calls.operation));
        // Most operations never have most of them.
        for (kind, count) in FAULT_KINDS
            .iter()
            .zip(calls.faults)
            .filter(|(_, count)| *count > 0)
        {
            let _ = writeln!(
                text,
                "{name}{{door=\"{door}\",operation=\"{operation}\",kind=\"{kind}\"}} {count}"
            );
        }
    }
}

fn write_latencies(text: &mut String, door: &str, operation: &str, latencies: &Latencies) {
    let labels = format!("door=\"{}\",operation=\"{}\"", label(door), label(operation));
    let mut sum = 0;
    for (count, end) in latencies.buckets.iter().zip(LATENCY_BUCKETS) {
        sum += count;
        let end = end.as_secs_f64();
        let _ = writeln!(text, "{CALL_SECONDS}_bucket{{{labels},le=\"{end}\"}} {sum}");
    }
    let (count, seconds) = (latencies.count(), latencies.time.as_secs_f64());
    let _ = writeln!(text, "{CALL_SECONDS}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{CALL_SECONDS}_sum{{{labels}}} {seconds}");
    let _ = writeln!(text, "{CALL_SECONDS}_count{{{labels}}} {count}");
}

fn write_doors(text: &mut String, doors: &[DoorMetrics], counters: &Counters) {
    for (name, kind, help, value) in [
        (
            "switchboard_door_sessions",
            "gauge",
            "Sessions that are open, by door.",
            (|door| door.sessions) as fn(&DoorMetrics) -> u64,
        ),
        (
            "switchboard_door_sessions_total",
            "counter",
            "Sessions that were opened, by door.",
            |door| door.opened,
        ),
    ] {
        head(text, name, kind, help);
        for door in doors {
            let _ = writeln!(text, "{name}{{door=\"{}\"}} {}", label(&door.door), value(door));
        }
    }
    let name = "switchboard_faults_total";
    head(text, name, "counter", "Faults by door and kind.");
    let own = counters.faults.read();
    for door in doors {
        // What this door itself finds wrong never comes to the hub.
        let own = own.map(|count| if door.door == DOOR { count } else { 0 });
        for ((kind, count), own) in FAULT_KINDS.iter().zip(door.faults).zip(own) {
            let door = label(&door.door);
            let _ = writeln!(text, "{name}{{door=\"{door}\",kind=\"{kind}\"}} {}", count + own);
        }
    }
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

fn write_http(text: &mut String, counters: &Counters) {
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
}

/// What other gateways count.
fn write_samples(text: &mut String, samples: &[Sample]) {
    for sample in samples {
        let name = format!("switchboard_{}", sample.name);
        let kind = match sample.kind {
            SampleKind::Counter => "counter",
            SampleKind::Gauge => "gauge",
        };
        head(text, &name, kind, sample.help);
        let _ = writeln!(text, "{name} {}", sample.value);
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
    use std::sync::Arc;
    use std::time::Duration;

    use switchboard_hub::{Account, Body, Call, Fault, Replier, Session, SessionInfo};

    use super::*;

    fn session(hub: &Hub, door: &'static str) -> Session {
        let info = SessionInfo {
            door: door.into(),
            address: "here".to_owned(),
            account: Account::guest(),
            client: None,
        };
        hub.open(info).unwrap()
    }

    fn call(session: &Session, operation: &'static str) {
        let (reply, _answer) = Replier::pair(1);
        session.call(operation.into(), Body::Single("".into()), None, reply);
    }

    #[tokio::test]
    async fn what_the_hub_measured_is_told_by_door_and_operation() {
        let hub = Hub::default();
        let (gotalk, http) = (session(&hub, "gotalk"), session(&hub, "http"));
        let busy = |_: Call, reply: Replier| reply.fault(Fault::retry(Duration::ZERO, "busy"));
        gotalk.serve("a\"b", Arc::new(busy)).unwrap();
        call(&gotalk, "a\"b");
        call(&gotalk, "a\"b");
        call(&http, "a\"b");
        call(&http, "unserved");
        let counters = Counters::default();
        counters.add_fault(&Fault::unknown_operation("x"));
        let text = render(&hub, &counters);
        for line in [
            r#"switchboard_call_seconds_count{door="gotalk",operation="a\"b"} 2"#,
            r#"switchboard_call_seconds_count{door="http",operation="a\"b"} 1"#,
            r#"switchboard_call_faults_total{door="gotalk",operation="a\"b",kind="retry"} 2"#,
            r#"switchboard_faults_total{door="gotalk",kind="retry"} 2"#,
            r#"switchboard_faults_total{door="gotalk",kind="unknown"} 0"#,
            r#"switchboard_faults_total{door="http",kind="unknown"} 2"#,
            r#"switchboard_door_sessions{door="gotalk"} 1"#,
        ] {
            assert!(
                text.lines().any(|candidate| candidate == line),
                "{line} is missing in {text}"
            );
        }
        assert!(
            !text.contains("unserved"),
            "a name that is not served is not kept"
        );
    }

    #[test]
    fn what_other_gateways_count_is_told_with_its_kind() {
        let mut text = String::new();
        let samples = [
            Sample::counter("door_things_total", "Things.", 3),
            Sample::gauge("door_open", "What is open.", 0),
        ];
        write_samples(&mut text, &samples);
        assert_eq!(
            text,
            "# HELP switchboard_door_things_total Things.\n\
             # TYPE switchboard_door_things_total counter\n\
             switchboard_door_things_total 3\n\
             # HELP switchboard_door_open What is open.\n\
             # TYPE switchboard_door_open gauge\n\
             switchboard_door_open 0\n"
        );
    }

    #[test]
    fn calls_are_counted_in_cumulative_buckets() {
        let mut latencies = Latencies {
            time: Duration::from_millis(20_004),
            ..Latencies::default()
        };
        let place = |millis| {
            let time = Duration::from_millis(millis);
            LATENCY_BUCKETS
                .iter()
                .position(|end| *end >= time)
                .unwrap_or(LATENCY_BUCKETS.len())
        };
        for millis in [1, 3, 20_000] {
            latencies.buckets[place(millis)] += 1;
        }
        let mut text = String::new();
        write_latencies(&mut text, "http", "x", &latencies);
        for line in [
            r#"switchboard_call_seconds_bucket{door="http",operation="x",le="0.00005"} 0"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="x",le="0.001"} 1"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="x",le="0.005"} 2"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="x",le="10"} 2"#,
            r#"switchboard_call_seconds_bucket{door="http",operation="x",le="+Inf"} 3"#,
            r#"switchboard_call_seconds_sum{door="http",operation="x"} 20.004"#,
            r#"switchboard_call_seconds_count{door="http",operation="x"} 3"#,
        ] {
            assert!(
                text.lines().any(|candidate| candidate == line),
                "{line} is missing in {text}"
            );
        }
    }

    #[tokio::test]
    async fn every_line_is_a_comment_or_a_sample() {
        let hub = Hub::default();
        let session = session(&hub, "http");
        call(&session, "hub.stats");
        for line in render(&hub, &Counters::default()).lines() {
            let sample = line.rsplit_once(' ').and_then(|(name, value)| {
                value
                    .parse::<f64>()
                    .ok()
                    .filter(|_| name.starts_with("switchboard_"))
            });
            assert!(line.starts_with("# ") || sample.is_some(), "{line:?}");
        }
    }
}
