//! Interleaved rounds: every side runs once a round, in an order that rotates, with processes started for that
//! round, and rounds are compared within themselves.
//!
//! Processes are started anew because the kernel puts them on cores once, and a pair of processes that wakes each
//! other keeps the rhythm it fell into for as long as it lives: rounds of one pair would measure one throw of the dice.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::LocalBoxFuture;

use crate::callers::Callers;
use crate::load::Sample;
use crate::process::Process;

/// How often and how long every side runs.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Rounds {
    /// Rounds of each cell; every side runs once in each.
    #[arg(long = "rounds", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Milliseconds each side runs in a round.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub round_ms: u64,
}

/// One contender in one cell of a table.
pub struct Side<'a> {
    /// Its heading in the table.
    name: String,
    /// Starts its processes and opens its connections, for one round.
    start: Box<dyn Fn() -> LocalBoxFuture<'a, Result<Running>> + 'a>,
}

impl<'a> Side<'a> {
    /// The side `name`, which `start` starts.
    pub fn new<F>(name: impl Display, start: impl Fn() -> F + 'a) -> Self
    where
        F: Future<Output = Result<Running>> + 'a,
    {
        Self {
            name: name.to_string(),
            start: Box::new(move || Box::pin(start())),
        }
    }
}

/// One side, ready to be measured.
pub struct Running {
    /// Servers, daemons and responders, in the order in which they were started.
    pub servers: Vec<Process>,
    /// Who calls them.
    pub callers: Callers,
}

/// What one side did in all rounds of a cell.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its heading in the table.
    pub name: String,
    /// Calls a second, by round.
    pub throughput: Vec<f64>,
    /// The median latency in microseconds, by round.
    pub p50_us: Vec<f64>,
    /// The 99th percentile of the latency in microseconds, by round.
    pub p99_us: Vec<f64>,
    /// Microseconds of processor time a call took in all processes together, over all rounds.
    pub cpu_us_per_call: f64,
    /// The share of that which the servers took, all but the callers.
    pub server_cpu_us_per_call: f64,
}

/// Runs all sides of a cell in turns.
pub async fn compare(sides: &[Side<'_>], rounds: Rounds) -> Result<Vec<Outcome>> {
    let duration = Duration::from_millis(rounds.round_ms);
    let mut outcomes: Vec<Outcome> = sides
        .iter()
        .map(|side| Outcome {
            name: side.name.clone(),
            ..Outcome::default()
        })
        .collect();
    let mut totals = vec![(CpuSeconds::default(), 0); sides.len()];
    for round in 0..rounds.count as usize {
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let side = &sides[index];
            let (sample, used) = measure(side, duration)
                .await
                .with_context(|| format!("round {round} of {}", side.name))?;
            totals[index].0.servers += used.servers;
            totals[index].0.callers += used.callers;
            totals[index].1 += sample.calls;
            outcomes[index].add(&sample);
        }
    }
    for (outcome, (used, calls)) in outcomes.iter_mut().zip(totals) {
        let each = |seconds: f64| seconds * 1e6 / calls as f64;
        outcome.cpu_us_per_call = each(used.servers + used.callers);
        outcome.server_cpu_us_per_call = each(used.servers);
    }
    Ok(outcomes)
}

/// Seconds of processor time.
#[derive(Clone, Copy, Default)]
struct CpuSeconds {
    servers: f64,
    callers: f64,
}

/// One round of one side: what it did, and the processor time that took.
async fn measure(side: &Side<'_>, duration: Duration) -> Result<(Sample, CpuSeconds)> {
    let mut running = (side.start)().await?;
    let before = running.cpu_seconds()?;
    let sample = running.callers.run(duration).await?;
    let after = running.cpu_seconds()?;
    let used = CpuSeconds {
        servers: after.servers - before.servers,
        callers: after.callers - before.callers,
    };
    running.callers.end().await?;
    for server in running.servers.into_iter().rev() {
        server.end().await?;
    }
    Ok((sample, used))
}

impl Running {
    fn cpu_seconds(&self) -> Result<CpuSeconds> {
        Ok(CpuSeconds {
            servers: self.servers.iter().map(Process::cpu_seconds).sum::<Result<_>>()?,
            callers: self.callers.cpu_seconds()?,
        })
    }
}

impl Outcome {
    fn add(&mut self, sample: &Sample) {
        self.throughput.push(sample.throughput());
        self.p50_us.push(sample.p50.as_secs_f64() * 1e6);
        self.p99_us.push(sample.p99.as_secs_f64() * 1e6);
    }
}

/// The middle value, or the mean of the two in the middle; 0 for no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => sorted[middle],
        (_, middle) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The value below which a quarter and the one below which three quarters of `values` lie: medians of the halves, each
/// with the middle value if there is one.
pub fn quartiles(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len().div_ceil(2);
    (median(&sorted[..half]), median(&sorted[sorted.len() - half..]))
}

/// `ours` over `theirs`, round by round.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// The best of several sides in each round: the highest value.
pub fn highest(sides: &[&[f64]]) -> Vec<f64> {
    let rounds = sides.iter().map(|side| side.len()).min().unwrap_or(0);
    (0..rounds)
        .map(|round| sides.iter().map(|side| side[round]).fold(f64::MIN, f64::max))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn quartiles_are_medians_of_the_halves() {
        assert_eq!(quartiles(&[]), (0.0, 0.0));
        assert_eq!(quartiles(&[7.0]), (7.0, 7.0));
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), (2.0, 4.0));
        assert_eq!(quartiles(&[4.0, 3.0, 2.0, 1.0]), (1.5, 3.5));
    }

    #[test]
    fn ratios_are_within_a_round() {
        // Both sides fall to a tenth in the second round: the ratio does not move.
        assert_eq!(ratios(&[20.0, 2.0], &[10.0, 1.0]), [2.0, 2.0]);
        assert_eq!(highest(&[&[1.0, 5.0], &[2.0, 4.0]]), [2.0, 5.0]);
    }
}
