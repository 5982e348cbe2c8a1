//! `redis-benchmark`: so many requests, and what it says of them.

use std::fmt;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::address::Address;
use crate::load::{Round, Sample};

/// Names the binary; the one in `PATH` is used where it is not set.
const BINARY_VARIABLE: &str = "REDIS_BENCHMARK";

/// Requests a second that are asked for at most, without a pipeline and with one: it counts requests, not time, and
/// what is quicker ends sooner.
const RATE: f64 = 60_000.0;
const PIPELINED_RATE: f64 = 600_000.0;

/// A command, as `redis-benchmark` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Test {
    Get,
    Set,
    Incr,
    Lpush,
    Lpop,
    Hset,
    Sadd,
    Zadd,
    Mset,
}

impl Test {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Get,
        Self::Set,
        Self::Incr,
        Self::Lpush,
        Self::Lpop,
        Self::Hset,
        Self::Sadd,
        Self::Zadd,
        Self::Mset,
    ];

    /// Whether it draws from so many keys or elements: lists have one key, and nothing to draw.
    pub fn can_draw_from(self, keys: usize) -> bool {
        keys == 1 || !matches!(self, Self::Lpush | Self::Lpop)
    }

    /// Whether it has a value of that size: counters and members have none.
    pub fn has_value(self, bytes: usize) -> bool {
        bytes <= 16 || !matches!(self, Self::Incr | Self::Sadd | Self::Zadd)
    }

    /// What has to be there before.
    fn filled_by(self) -> Option<Self> {
        match self {
            Self::Get => Some(Self::Set),
            Self::Lpop => Some(Self::Lpush),
            _ => None,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Incr => "incr",
            Self::Lpush => "lpush",
            Self::Lpop => "lpop",
            Self::Hset => "hset",
            Self::Sadd => "sadd",
            Self::Zadd => "zadd",
            Self::Mset => "mset",
        })
    }
}

/// What is asked for, of whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Cell {
    /// Who is asked.
    pub address: Address,
    /// What for.
    pub test: Test,
    /// Keys or elements to draw from.
    pub keys: usize,
    /// Bytes in a value.
    pub payload: usize,
    /// Connections.
    pub clients: usize,
    /// Requests that a connection sends at once.
    pub pipeline: usize,
}

impl Cell {
    /// The arguments that a calling process reads this from.
    pub fn arguments(&self) -> [String; 6] {
        [
            self.address.to_string(),
            self.test.to_string(),
            self.keys.to_string(),
            self.payload.to_string(),
            self.clients.to_string(),
            self.pipeline.to_string(),
        ]
    }

    fn command(&self, test: Test, requests: usize) -> Result<Command> {
        let Address::Tcp(socket) = &self.address else {
            bail!("redis-benchmark is pointed at TCP here, not at {}", self.address);
        };
        let binary = std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "redis-benchmark".to_owned());
        let mut command = Command::new(binary);
        command
            .args(["-h", &socket.ip().to_string(), "-p", &socket.port().to_string()])
            .args(["-t", &test.to_string(), "-n", &requests.to_string(), "--csv"])
            .args(["-d", &self.payload.to_string(), "-c", &self.clients.to_string()])
            .args(["-P", &self.pipeline.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        if self.keys > 1 {
            command.args(["-r", &self.keys.to_string()]);
        }
        Ok(command)
    }

    async fn run(&self, test: Test, requests: usize) -> Result<Sample> {
        let output = self.command(test, requests)?.output().await;
        let output = output.context("benches/README.md says how to install redis-benchmark")?;
        ensure!(
            output.status.success(),
            "redis-benchmark failed: {}",
            output.status
        );
        sample_in(std::str::from_utf8(&output.stdout)?, requests)
    }

    /// Fills in what a test needs; twice as many draws as there are keys miss one in eight.
    pub async fn fill(&self, test: Test, requests: usize) -> Result<()> {
        let quick = Self {
            pipeline: 64,
            ..self.clone()
        };
        quick.run(test, requests).await.map(|_| ())
    }
}

/// Elements of a list that LPOP takes from: more than it takes in a round.
const LIST_ELEMENTS: usize = 2_000_000;

/// A list holds at most 1 GiB at the door.
const LIST_BYTES_MAX: usize = 900_000_000;

/// One cell, asked by `redis-benchmark`.
pub struct Benchmark(Cell);

impl Benchmark {
    /// Fills in what the cell needs.
    pub async fn prepare(cell: Cell) -> Result<Box<dyn Round>> {
        if let Some(test) = cell.test.filled_by() {
            let requests = if cell.test == Test::Lpop {
                LIST_ELEMENTS.min(LIST_BYTES_MAX / cell.payload.max(1))
            } else {
                cell.keys * 2
            };
            cell.fill(test, requests).await.context("filling in")?;
        }
        Ok(Box::new(Self(cell)))
    }
}

impl Round for Benchmark {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        let Self(cell) = self;
        let rate = if cell.pipeline > 1 { PIPELINED_RATE } else { RATE };
        // An MSET is ten keys.
        let rate = if cell.test == Test::Mset { rate / 4.0 } else { rate };
        let requests = (rate * duration.as_secs_f64()) as usize;
        Box::pin(cell.run(cell.test, requests.max(cell.clients * cell.pipeline)))
    }
}

/// The sample in a table whose last line is `"SET","80000.00","0.3","0.1","0.2","0.4","0.5","1.0"`: its name, requests
/// a second, then milliseconds: mean, least, p50, p95, p99, most.
fn sample_in(output: &str, requests: usize) -> Result<Sample> {
    let line = output.trim_end().lines().last().unwrap_or_default();
    let fields: Vec<f64> = line
        .rsplit("\",\"")
        .map(|field| field.trim_matches('"'))
        .flat_map(str::parse)
        .collect();
    // Backwards, as the name may have commas in it.
    let [_, p99, _, p50, _, _, rate] = fields[..] else {
        bail!("no sample in what redis-benchmark said:\n{output}");
    };
    ensure!(rate > 0.0, "redis-benchmark got no answer:\n{output}");
    Ok(Sample {
        calls: requests as u64,
        elapsed: Duration::from_secs_f64(requests as f64 / rate),
        p50: Duration::from_secs_f64(p50 / 1e3),
        p99: Duration::from_secs_f64(p99 / 1e3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_in_the_table() {
        let output = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\
                      \"MSET (10 keys)\",\"1000.00\",\"0.375\",\"0.080\",\"0.371\",\"0.5\",\"0.7\",\"1.0\"\n";
        let sample = sample_in(output, 500).unwrap();
        assert_eq!((sample.calls, sample.elapsed), (500, Duration::from_millis(500)));
        assert_eq!(sample.p99, Duration::from_micros(700));
        assert!(sample_in("Could not connect", 1).is_err());
    }
}
