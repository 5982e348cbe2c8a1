use std::time::Duration;

use super::{CHART_ROWS, CHART_WIDTH, Latency, Report, Tally, bar, chart_rows};

fn report(tally: Tally) -> Report {
    let elapsed = Duration::from_secs(2);
    Report {
        name: "call",
        connections: 1,
        in_flight: 16,
        size_bytes: 16,
        elapsed,
        tally,
    }
}

/// 1,000 successes: 1 µs, 2 µs … 1 ms.
fn ramp() -> Tally {
    let mut tally = Tally::new();
    for us in 1..=1000 {
        tally.success(Duration::from_micros(us), 32);
    }
    tally
}

fn about(value: &serde_json::Value, expected: f64) -> bool {
    value
        .as_f64()
        .is_some_and(|value| (value - expected).abs() <= expected * 0.002)
}

#[test]
fn json_tells_counts_rates_and_latencies() {
    let mut tally = ramp();
    tally.error();
    tally.retry();
    tally.retry();
    let json = report(tally).to_json();
    assert_eq!(json["bench"], "call");
    assert_eq!(json["in_flight"], 16);
    assert_eq!(json["successes"], 1000);
    assert_eq!(json["errors"], 1);
    assert_eq!(json["retries"], 2);
    assert_eq!(json["per_second"], 500.0);
    assert_eq!(json["bytes_per_second"], 16_000.0);
    let latency = &json["latency_us"];
    for (name, expected) in [
        ("min", 1.0),
        ("mean", 500.5),
        ("p50", 500.0),
        ("p90", 900.0),
        ("p99", 990.0),
        ("p999", 999.0),
        ("max", 1000.0),
    ] {
        assert!(about(&latency[name], expected), "{name}: {}", latency[name]);
    }
}

#[test]
fn text_tells_the_same() {
    let text = report(ramp()).to_string();
    for line in [
        "call: connections 1, in flight 16, payload 16 B, 2.00 s",
        "  successes         1000",
        "  errors               0",
        "  rate               500 /s",
        "  payload           0.02 MB/s",
        "  p50       500 µs",
        "  max      1.00 ms",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "`{line}` is missing in\n{text}"
        );
    }
    assert_eq!(text.matches('≤').count(), CHART_ROWS);
    assert!(text.contains(&"█".repeat(CHART_WIDTH)), "{text}");
}

#[test]
fn nothing_counted_is_no_division_by_zero() {
    let empty = Report {
        elapsed: Duration::ZERO,
        ..report(Tally::new())
    };
    assert_eq!(empty.to_json()["per_second"], 0.0);
    assert_eq!(empty.to_json()["latency_us"]["p99"], 0.0);
    assert!(!empty.to_string().contains("latency"));
}

#[test]
fn workers_add_up() {
    let (mut one, mut two) = (ramp(), ramp());
    two.error();
    two.retry();
    one.merge(&two);
    assert_eq!(
        (one.successes(), one.errors, one.retries, one.bytes),
        (2000, 1, 1, 64_000)
    );
}

#[test]
fn every_latency_is_in_one_row() {
    let mut tally = ramp();
    tally.success(Duration::from_secs(100_000), 0);
    tally.success(Duration::ZERO, 0);
    let rows = chart_rows(&tally.latencies_ns);
    assert_eq!(rows.len(), CHART_ROWS);
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1002);
    assert!(
        rows.iter()
            .zip(rows.iter().skip(1))
            .all(|(one, next)| one.up_to_ns < next.up_to_ns)
    );
}

#[test]
fn equal_latencies_are_one_row() {
    let mut tally = Tally::new();
    tally.success(Duration::from_millis(5), 0);
    tally.success(Duration::from_millis(5), 0);
    let rows = chart_rows(&tally.latencies_ns);
    assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [2]);
}

#[test]
fn bars_show_everything_that_is_not_zero() {
    assert_eq!(bar(0.0), "");
    assert_eq!(bar(1e-9), "▏");
    assert_eq!(bar(0.5), "█".repeat(CHART_WIDTH / 2));
    assert_eq!(bar(7.0), "█".repeat(CHART_WIDTH));
}

#[test]
fn latencies_have_three_digits_and_a_unit() {
    let written = |ns: f64| Latency(ns).to_string();
    assert_eq!(written(1.0), "1.00 ns");
    assert_eq!(written(12_345.0), "12.3 µs");
    assert_eq!(written(123_456.0), "123 µs");
    assert_eq!(written(1_234_567.0), "1.23 ms");
    assert_eq!(written(9.87e9), "9.87 s");
}
