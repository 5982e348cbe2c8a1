//! wrk as the caller: the usual load generator for HTTP, and one that knows nothing of either side.

use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::load::{Cell, Round, Sample};
use crate::web::{OPERATION, file};
use crate::web_client::{Post, target};

/// Names wrk's binary; the one in `PATH` is used where it is not set.
const BINARY_VARIABLE: &str = "WRK";

/// What the script prints in front of its numbers.
const SAMPLE: &str = "sample ";

/// How long wrk waits for an answer before it counts an error.
const TIMEOUT: &str = "10s";

/// wrk's binary.
pub fn binary() -> String {
    std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "wrk".to_owned())
}

/// One cell, called by wrk.
pub struct Wrk {
    url: String,
    connections: usize,
    payload: usize,
}

impl Wrk {
    /// Makes sure that the answer of `cell` is what was asked: wrk looks at the status only.
    pub async fn check(cell: &Cell) -> Result<Box<dyn Round>> {
        let path = format!("/call/{OPERATION}");
        let answer = Post::connect(&cell.address)
            .await?
            .send(&path, cell.body())
            .await?;
        ensure!(answer == cell.body(), "the answer is {answer:?}");
        Ok(Box::new(Self {
            url: format!("http://{}{path}", target(&cell.address)?),
            connections: cell.shape.connections,
            payload: cell.payload,
        }))
    }

    async fn drive(&self, duration: Duration) -> Result<Sample> {
        // wrk counts in whole seconds.
        let seconds = duration.as_secs_f64().ceil();
        let output = Command::new(binary())
            .args(["--threads", "1", "--timeout", TIMEOUT])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .arg("--script")
            .arg(file("wrk/post.lua"))
            .arg(&self.url)
            .args(["--", &self.payload.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .context("benches/README.md says how to install wrk")?;
        ensure!(output.status.success(), "wrk failed: {}", output.status);
        sample_in(std::str::from_utf8(&output.stdout)?)
    }
}

impl Round for Wrk {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        Box::pin(self.drive(duration))
    }
}

fn sample_in(output: &str) -> Result<Sample> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix(SAMPLE))
        .with_context(|| format!("no sample in what wrk said:\n{output}"))?;
    let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
    let [calls, elapsed, p50, p99, errors] = numbers[..] else {
        bail!("wrk's script printed {line:?}");
    };
    ensure!(errors == 0, "wrk counted {errors} errors:\n{output}");
    let [elapsed, p50, p99] = [elapsed, p50, p99].map(Duration::from_micros);
    Ok(Sample {
        calls,
        elapsed,
        p50,
        p99,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_among_what_wrk_says() {
        let sample = sample_in("Running 1s test\nsample 9 1000 2 3 0\n").unwrap();
        assert_eq!(sample.calls, 9);
        assert_eq!(sample.p99, Duration::from_micros(3));
        for output in ["", "sample 9 1000 2\n", "sample 9 1000 2 3 1\n"] {
            assert!(sample_in(output).is_err(), "{output:?} must be refused");
        }
    }
}
