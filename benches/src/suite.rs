//! Interleaved rounds: every side runs once a round, in an order that rotates, and rounds are compared
//! within themselves.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Round, Sample};
use crate::process::{self, Process};

/// How long a side runs unmeasured before its first round, at most.
const WARM_UP: Duration = Duration::from_millis(300);

/// How often and how long every side runs.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Rounds {
    /// Rounds of each cell; every side runs once in each.
    #[arg(long = "rounds", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Milliseconds each side runs in a round.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    pub round_ms: u64,
}

/// One contender in one cell of a table, with its connections open.
pub struct Side<'a> {
    /// Its heading in the table.
    pub name: String,
    /// Its processes, whose processor time is counted.
    pub processes: Vec<&'a Process>,
    /// Its callers.
    pub round: Box<dyn Round>,
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
}

/// Runs all sides of a cell in turns.
pub async fn compare(sides: &[Side<'_>], rounds: Rounds) -> Result<Vec<Outcome>> {
    let duration = Duration::from_millis(rounds.round_ms);
    let mut outcomes = Vec::new();
    for side in sides {
        side.round
            .run(duration.min(WARM_UP))
            .await
            .with_context(|| format!("warming up {}", side.name))?;
        outcomes.push(Outcome {
            name: side.name.clone(),
            ..Outcome::default()
        });
    }
    let mut totals = vec![(0.0, 0); sides.len()];
    for round in 0..rounds.count as usize {
        for turn in 0..sides.len() {
            let index = (round + turn) % sides.len();
            let side = &sides[index];
            let cpu_before = cpu_seconds(side)?;
            let sample = side
                .round
                .run(duration)
                .await
                .with_context(|| format!("round {round} of {}", side.name))?;
            totals[index].0 += cpu_seconds(side)? - cpu_before;
            totals[index].1 += sample.calls;
            outcomes[index].add(&sample);
        }
    }
    for (outcome, (cpu_seconds, calls)) in outcomes.iter_mut().zip(totals) {
        outcome.cpu_us_per_call = cpu_seconds * 1e6 / calls as f64;
    }
    Ok(outcomes)
}

impl Outcome {
    fn add(&mut self, sample: &Sample) {
        self.throughput.push(sample.throughput());
        self.p50_us
            .push(sample.latency_ns.value_at_quantile(0.50) as f64 / 1e3);
        self.p99_us
            .push(sample.latency_ns.value_at_quantile(0.99) as f64 / 1e3);
    }
}

fn cpu_seconds(side: &Side<'_>) -> Result<f64> {
    side.processes
        .iter()
        .try_fold(process::own_cpu_seconds()?, |sum, process| {
            Ok(sum + process.cpu_seconds()?)
        })
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
    fn ratios_are_within_a_round() {
        // Both sides fall to a tenth in the second round: the ratio does not move.
        assert_eq!(ratios(&[20.0, 2.0], &[10.0, 1.0]), [2.0, 2.0]);
        assert_eq!(highest(&[&[1.0, 5.0], &[2.0, 4.0]]), [2.0, 5.0]);
    }
}
