//! What a load test found: counts, throughput, latencies; as a table for people and as JSON for programs.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde_json::json;

pub mod progress;
#[cfg(test)]
mod tests;
pub mod transferred;

/// Longest latency told apart, in nanoseconds: one hour, far above every deadline. Longer ones count as this.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Digits of a latency that are kept: 0.1 % is far below the noise of a machine.
const LATENCY_DIGITS: u8 = 3;

/// Rows of the distribution chart.
const CHART_ROWS: usize = 12;

/// Cells of its longest bar.
const CHART_WIDTH: usize = 40;

/// The quantiles that are told.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// What one worker of a load test counted; cheap to add to, merged at the end.
#[derive(Debug, Clone)]
pub struct Tally {
    latencies_ns: Histogram<u64>,
    errors: u64,
    retries: u64,
    bytes: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS)
            .expect("the bounds are constants, low < high, with 0 to 5 digits");
        Self {
            latencies_ns,
            errors: 0,
            retries: 0,
            bytes: 0,
        }
    }

    /// Counts one success: how long it took, and the payload bytes that it moved.
    pub fn success(&mut self, latency: Duration, bytes: u64) {
        self.latencies_ns
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts one answer that said Error.
    pub fn error(&mut self) {
        self.errors += 1;
    }

    /// Counts one answer that said Retry.
    pub fn retry(&mut self) {
        self.retries += 1;
    }

    /// Adds another worker's counts.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so everything fits.
        let _ = self.latencies_ns.add(&other.latencies_ns);
        self.errors += other.errors;
        self.retries += other.retries;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Successes so far.
    pub fn successes(&self) -> u64 {
        self.latencies_ns.len()
    }
}

/// A finished load test.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was done: `call`, `publish`, `stream`.
    pub name: &'static str,
    /// Connections used.
    pub connections: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// Payload of each request in bytes.
    pub size_bytes: u64,
    /// How long it ran.
    pub elapsed: Duration,
    /// The counts of all workers together.
    pub tally: Tally,
}

impl Report {
    fn per_second(&self, amount: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            amount as f64 / seconds
        } else {
            0.0
        }
    }

    /// One JSON object; latencies in microseconds, all zero if nothing succeeded.
    pub fn to_json(&self) -> serde_json::Value {
        let latencies = &self.tally.latencies_ns;
        let us = |ns: u64| ns as f64 / 1e3;
        let quantile = |q: f64| us(latencies.value_at_quantile(q));
        json!({
            "bench": self.name,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "size_bytes": self.size_bytes,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "successes": self.tally.successes(),
            "errors": self.tally.errors,
            "retries": self.tally.retries,
            "per_second": self.per_second(self.tally.successes()),
            "bytes_per_second": self.per_second(self.tally.bytes),
            "latency_us": {
                "min": us(latencies.min()),
                "mean": latencies.mean() / 1e3,
                "p50": quantile(0.5),
                "p90": quantile(0.9),
                "p99": quantile(0.99),
                "p999": quantile(0.999),
                "max": us(latencies.max()),
            },
        })
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latencies = &self.tally.latencies_ns;
        writeln!(f, "\nlatency")?;
        writeln!(f, "  {:<6} {:>9}", "mean", Latency(latencies.mean()))?;
        for (name, quantile) in QUANTILES {
            writeln!(
                f,
                "  {name:<6} {:>9}",
                Latency(latencies.value_at_quantile(quantile) as f64)
            )?;
        }
        writeln!(f, "  {:<6} {:>9}", "max", Latency(latencies.max() as f64))
    }

    fn write_chart(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = chart_rows(&self.tally.latencies_ns);
        let most = rows.iter().map(|row| row.count).max().unwrap_or(0).max(1);
        let total = self.tally.successes().max(1) as f64;
        writeln!(f, "\ndistribution")?;
        for row in rows {
            let share = row.count as f64 / total * 100.0;
            let bar = bar(row.count as f64 / most as f64);
            writeln!(f, "  ≤ {:>9} {share:>6.2} % {bar}", Latency(row.up_to_ns))?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "{}: connections {}, in flight {}, payload {} B, {:.2} s",
            self.name,
            self.connections,
            self.in_flight,
            self.size_bytes,
            self.elapsed.as_secs_f64()
        )?;
        writeln!(f, "  successes {:>12}", tally.successes())?;
        writeln!(f, "  errors    {:>12}", tally.errors)?;
        writeln!(f, "  retries   {:>12}", tally.retries)?;
        writeln!(f, "  rate      {:>12.0} /s", self.per_second(tally.successes()))?;
        writeln!(f, "  payload   {:>12.2} MB/s", self.per_second(tally.bytes) / 1e6)?;
        if tally.successes() == 0 {
            return Ok(());
        }
        self.write_latencies(f)?;
        self.write_chart(f)
    }
}

/// One row of the chart: how many latencies are above the row before and at most this.
struct Row {
    up_to_ns: f64,
    count: u64,
}

/// Rows of equal ratio from the shortest to the longest latency, so that both ends can be seen.
fn chart_rows(latencies: &Histogram<u64>) -> Vec<Row> {
    let (min, max) = (latencies.min().max(1) as f64, latencies.max().max(1) as f64);
    let ratio = (max / min).powf(1.0 / CHART_ROWS as f64);
    let mut rows: Vec<Row> = (1..=CHART_ROWS as i32)
        .map(|step| Row {
            up_to_ns: min * ratio.powi(step),
            count: 0,
        })
        .collect();
    for recorded in latencies.iter_recorded() {
        let value = recorded.value_iterated_to() as f64;
        // The last row takes what rounding puts above it.
        let index = rows
            .iter()
            .position(|row| value <= row.up_to_ns)
            .unwrap_or(CHART_ROWS - 1);
        if let Some(row) = rows.get_mut(index) {
            row.count += recorded.count_at_value();
        }
    }
    if latencies.equivalent(latencies.min(), latencies.max()) {
        // All the same, as far as the histogram can tell: so would be the rows.
        rows.retain(|row| row.count > 0);
    }
    rows
}

/// A bar for a share of the longest one, 0 to 1, in eighths of a cell; what is not zero can be seen.
fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (CHART_WIDTH * 8) as f64).ceil() as usize;
    let last = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{last}", "█".repeat(eighths / 8))
}

/// A latency in nanoseconds, written with three digits or more and its unit.
struct Latency(f64);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
        let unit = units.into_iter().find(|(size, _)| self.0 >= *size);
        let (size, name) = unit.unwrap_or((1.0, "ns"));
        let amount = self.0 / size;
        let digits = if amount < 10.0 {
            2
        } else {
            usize::from(amount < 100.0)
        };
        f.pad(&format!("{amount:.digits$} {name}"))
    }
}
