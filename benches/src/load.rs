//! A closed loop: so many connections, so many callers on each, every caller asks again once answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::address::Address;
use crate::contender::Echo;

/// How many connections, and how many calls in flight on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connections open at once.
    pub connections: usize,
    /// Callers that share each connection.
    pub in_flight: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.connections, self.in_flight)
    }
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (connections, in_flight) = text
            .split_once(['x', '×'])
            .context("expected CONNECTIONSxIN_FLIGHT, as in 50x16")?;
        let shape = Self {
            connections: connections.parse()?,
            in_flight: in_flight.parse()?,
        };
        ensure!(
            shape.connections > 0 && shape.in_flight > 0,
            "a shape needs at least one caller"
        );
        Ok(shape)
    }
}

/// Where callers call, how many of them, and with what.
#[derive(Clone, Debug, clap::Args)]
pub struct Cell {
    /// Who is called.
    pub address: Address,
    /// How many call.
    pub shape: Shape,
    /// Bytes in a call.
    pub payload: usize,
}

impl Cell {
    /// The arguments that a calling process reads this from.
    pub fn arguments(&self) -> [String; 3] {
        [
            self.address.to_string(),
            self.shape.to_string(),
            self.payload.to_string(),
        ]
    }

    /// What is sent.
    pub fn body(&self) -> Bytes {
        Bytes::from(vec![b'x'; self.payload])
    }
}

/// What one round measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Calls answered.
    pub calls: u64,
    /// From the first call to the last answer.
    pub elapsed: Duration,
    /// The median time from asking to being answered.
    pub p50: Duration,
    /// The 99th percentile of that time.
    pub p99: Duration,
}

impl Sample {
    /// The sample of calls that took so many nanoseconds each.
    pub fn of(latency_ns: &Histogram<u64>, elapsed: Duration) -> Self {
        let quantile = |quantile| Duration::from_nanos(latency_ns.value_at_quantile(quantile));
        Self {
            calls: latency_ns.len(),
            elapsed,
            p50: quantile(0.50),
            p99: quantile(0.99),
        }
    }

    /// Calls answered in a second.
    pub fn throughput(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [elapsed, p50, p99] = [self.elapsed, self.p50, self.p99].map(|time| time.as_nanos());
        write!(f, "{} {elapsed} {p50} {p99}", self.calls)
    }
}

impl FromStr for Sample {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<u64> = text
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{text:?} is no sample"))?;
        let [calls, elapsed, p50, p99] = numbers[..] else {
            bail!("{text:?} is no sample");
        };
        let [elapsed, p50, p99] = [elapsed, p50, p99].map(Duration::from_nanos);
        Ok(Self {
            calls,
            elapsed,
            p50,
            p99,
        })
    }
}

/// Connections of one side, ready to be driven; hides which side it is.
pub trait Round {
    /// Drives every caller for `duration`. Dropping the future stops the callers.
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>>;
}

/// The open connections of one contender in one shape.
pub struct Load<E> {
    clients: Vec<E>,
    in_flight: usize,
    payload: Bytes,
}

impl<E: Echo> Load<E> {
    /// Callers over `clients`, `in_flight` on each, all of whom send `payload`.
    pub fn new(clients: Vec<E>, in_flight: usize, payload: Bytes) -> Self {
        Self {
            clients,
            in_flight,
            payload,
        }
    }

    async fn drive(&self, duration: Duration) -> Result<Sample> {
        let started = Instant::now();
        let until = started + duration;
        let mut callers = JoinSet::new();
        for client in &self.clients {
            for _ in 0..self.in_flight {
                callers.spawn(call_until(client.clone(), self.payload.clone(), until));
            }
        }
        let mut latencies = Vec::new();
        while let Some(caller) = callers.join_next().await {
            latencies.push(caller??);
        }
        let elapsed = started.elapsed();
        let mut latency_ns = Histogram::new(3)?;
        for nanoseconds in latencies.iter().flatten() {
            latency_ns.record(*nanoseconds)?;
        }
        Ok(Sample::of(&latency_ns, elapsed))
    }
}

impl<E: Echo + Sync> Round for Load<E> {
    fn run(&self, duration: Duration) -> Pin<Box<dyn Future<Output = Result<Sample>> + '_>> {
        Box::pin(self.drive(duration))
    }
}

/// One caller: the nanoseconds each of its calls took. Kept raw, as recording into a histogram
/// between calls would be work that is not the contender's.
async fn call_until<E: Echo>(mut client: E, payload: Bytes, until: Instant) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut asked = Instant::now();
    while asked < until {
        let reply = client.echo(payload.clone()).await?;
        let answered = Instant::now();
        ensure!(
            reply == payload,
            "an echo of {} bytes came back as {} others",
            payload.len(),
            reply.len()
        );
        latencies.push(u64::try_from((answered - asked).as_nanos())?);
        asked = answered;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Mirror {
        truthful: bool,
    }

    impl Echo for Mirror {
        async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
            tokio::task::yield_now().await;
            Ok(if self.truthful {
                payload
            } else {
                Bytes::from_static(b"other")
            })
        }
    }

    #[tokio::test]
    async fn every_answer_is_counted_and_timed() {
        let load = Load::new(vec![Mirror { truthful: true }; 3], 4, Bytes::from_static(b"ping"));
        let sample = load.run(Duration::from_millis(5)).await.unwrap();
        assert!(
            sample.calls >= 12,
            "each of 12 callers asks at least once, got {}",
            sample.calls
        );
        assert!(sample.p99 >= sample.p50);
        assert_eq!(sample.to_string().parse::<Sample>().unwrap(), sample);
        assert!(sample.elapsed >= Duration::from_millis(5));
    }

    #[tokio::test]
    async fn a_wrong_answer_fails_the_round() {
        let load = Load::new(vec![Mirror { truthful: false }], 1, Bytes::from_static(b"ping"));
        assert!(load.run(Duration::from_millis(5)).await.is_err());
    }

    #[test]
    fn shapes_are_read() {
        assert_eq!(
            "50x16".parse::<Shape>().unwrap(),
            Shape {
                connections: 50,
                in_flight: 16
            }
        );
        for text in ["50", "0x1", "1x0", "ax1", ""] {
            assert!(text.parse::<Shape>().is_err(), "{text:?} must be refused");
        }
    }
}
