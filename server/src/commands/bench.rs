//! `bench`: a load generator against a running hub.
//!
//! Every connection is one that a program would make; nothing is measured by way of a shortcut. Unless an operation or
//! a topic is named, the bench also is the other side, over a connection of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use switchboard_peer::{Fault, Handlers, Limits, Peer, ServeOptions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::bench::{BenchArgs, BenchCommand, Load},
    client::{Client, Signals},
    exit::Failure,
    output,
    report::{
        Report, Tally,
        progress::{Goal, Progress},
    },
};

mod call;
mod publish;
mod stream;

/// How often the bar moves.
const SHOW_INTERVAL: Duration = Duration::from_millis(100);

/// How long what is under way may take to come back once the goal is reached; then it counts as an error.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Longest wait after an answer that says Retry: the load is to be made, not avoided.
const RETRY_WAIT_MAX: Duration = Duration::from_millis(100);

/// `switchboard bench …`
pub(super) async fn bench(args: BenchArgs, client: Client) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    let (load, report) = match args.command {
        BenchCommand::Call { operation, load } => {
            let done = signals.unless(call::bench(&client, operation, &load)).await?;
            (load, done)
        }
        BenchCommand::Publish { topic, load } => {
            let done = signals.unless(publish::bench(&client, topic, &load)).await?;
            (load, done)
        }
        BenchCommand::Stream { operation, load } => {
            let done = signals.unless(stream::bench(&client, operation, &load)).await?;
            (load, done)
        }
    };
    let text = if load.json {
        format!("{:#}\n", report.to_json())
    } else {
        report.to_string()
    };
    output::print(text.as_bytes())?;
    if report.tally.successes() == 0 {
        return Err(Failure::Error("nothing came through".to_owned()).into());
    }
    Ok(())
}

/// One run, as all its workers see it.
#[derive(Debug)]
struct Run {
    goal: Goal,
    began: Instant,
    /// What was begun, to stop at a count.
    begun: AtomicU64,
    /// What was done, to be shown.
    done: AtomicU64,
    /// Fires when the time is up.
    over: CancellationToken,
}

impl Run {
    fn new(goal: Goal) -> Arc<Self> {
        Arc::new(Self {
            goal,
            began: Instant::now(),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            over: CancellationToken::new(),
        })
    }

    /// Whether one more is to be begun.
    fn begin_one(&self) -> bool {
        if self.over.is_cancelled() {
            return false;
        }
        match self.goal {
            Goal::Time(_) => true,
            Goal::Count(count) => self.begun.fetch_add(1, Ordering::Relaxed) < count,
        }
    }

    fn one_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Shows how far it is, and ends it when its time is up. Never returns.
    async fn keep_time(&self) {
        let progress = Progress::new(self.goal);
        let mut ticks = tokio::time::interval(SHOW_INTERVAL);
        loop {
            let left = match self.goal {
                Goal::Time(time) => time.saturating_sub(self.began.elapsed()),
                Goal::Count(_) => Duration::MAX,
            };
            tokio::select! {
                _ = ticks.tick() => {}
                () = tokio::time::sleep(left) => self.over.cancel(),
            }
            progress.show(self.began.elapsed(), self.done.load(Ordering::Relaxed));
            if self.over.is_cancelled() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs the workers to the goal and adds up what they counted.
    async fn to_the_end(&self, name: &'static str, load: &Load, mut workers: JoinSet<Tally>) -> Report {
        let mut tally = Tally::new();
        let joined = async {
            // A worker that panicked has counted nothing.
            while let Some(worker) = workers.join_next().await {
                if let Ok(counted) = worker {
                    tally.merge(&counted);
                }
            }
        };
        tokio::select! {
            () = joined => {}
            () = self.keep_time() => {}
        }
        Report {
            name,
            connections: load.connections.get(),
            in_flight: load.in_flight.get(),
            size_bytes: load.size.0,
            elapsed: self.began.elapsed(),
            tally,
        }
    }
}

/// A payload as large as the load says.
fn payload(load: &Load) -> anyhow::Result<Bytes> {
    let size = usize::try_from(load.size.0).ok();
    match size.filter(|size| *size <= crate::client::PAYLOAD_SENT_BYTES_MAX) {
        Some(size) => Ok(vec![b'x'; size].into()),
        None => Err(Failure::Usage("--size: a hub takes at most 16 MiB in one piece".to_owned()).into()),
    }
}

/// The connections that make the load.
async fn connections(client: &Client, load: &Load) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for _ in 0..load.connections.get() {
        peers.push(client.connect(Handlers::new()).await?);
    }
    Ok(peers)
}

/// The other side of a bench: serves `handlers`' operation, with room for all the load at once.
async fn responder(
    client: &Client,
    load: &Load,
    operation: &str,
    handlers: Handlers,
) -> anyhow::Result<Peer> {
    let mut client = client.clone();
    let in_flight = load.connections.get().saturating_mul(load.in_flight.get());
    let limits = client.limits_mut();
    *limits = Limits {
        requests_max: in_flight.max(limits.requests_max),
        streams_max: in_flight.max(limits.streams_max),
        ..limits.clone()
    };
    let peer = client.connect(handlers).await?;
    let served = peer.at_hub().serve(&[operation], ServeOptions::default()).await;
    served.map_err(Failure::from)?;
    Ok(peer)
}

/// A name that nobody else uses.
fn own_name(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("bench.{what}.{}.{}", std::process::id(), now.as_nanos())
}

/// Counts a fault, and waits as it asks, within reason.
async fn count_fault(tally: &mut Tally, fault: &Fault) {
    match fault {
        Fault::Error { .. } => tally.error(),
        Fault::Retry { wait, .. } => {
            tally.retry();
            tokio::time::sleep((*wait).min(RETRY_WAIT_MAX)).await;
        }
    }
}
