//! Jobs: a worker pushes one, reserves one, acks it, and begins again. What is counted is that round.
//!
//! No worker waits for another: whoever has pushed one finds one.

mod jetstream;
mod redis;
mod switchboard;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use switchboard_engine::Durability;
use tokio::process::Command;

use crate::address::Address;
use crate::callers::Callers;
use crate::contender::Echo;
use crate::load::{Cell, Load, Round, Shape};
use crate::process::{Announces, Process, ready_address};
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

pub use redis::{binary as redis_binary, start as start_redis};
pub use switchboard::serve_queue;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// The embedded engine behind a peer, in a process of its own.
    Switchboard,
    /// The embedded engine by its Rust API, in the workers' process.
    SwitchboardInside,
    /// Streams of `redis-server`.
    Redis,
    /// A work queue in JetStream.
    Jetstream,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::SwitchboardInside => "switchboard-inside",
            Self::Redis => "redis",
            Self::Jetstream => "jetstream",
        })
    }
}

impl Name {
    /// Connects the workers of `place`, ready to be measured.
    pub async fn load(self, place: &Place) -> Result<Box<dyn Round>> {
        let cell = &place.cell;
        Ok(match self {
            Self::Switchboard => one(switchboard::Remote::connect(&cell.address).await?, cell),
            Self::SwitchboardInside => one(
                switchboard::Inside::open(&place.directory, place.durability)?,
                cell,
            ),
            Self::Redis => one(redis::Worker::connect(&cell.address).await?, cell),
            Self::Jetstream => one(jetstream::Worker::connect(&cell.address).await?, cell),
        })
    }

    async fn start(self, directory: &Path, durability: Durability) -> Result<Option<Process>> {
        let process = match self {
            Self::Switchboard => {
                let directory = directory.display().to_string();
                let address = free_address().to_string();
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .args(["serve-queue", &address, &directory, &durability.to_string()])
                    .env("TOKIO_WORKER_THREADS", workers().to_string());
                Process::start(command, Announces::Stdout, ready_address).await
            }
            Self::SwitchboardInside => return Ok(None),
            Self::Redis => redis::start(directory, durability).await,
            Self::Jetstream => jetstream::start(directory, durability).await,
        };
        process.map(Some).with_context(|| format!("starting {self}"))
    }
}

/// Threads of the serving process: as many as the daemon takes by default.
fn workers() -> usize {
    (available_parallelism().map_or(1, usize::from) / 2).max(1)
}

/// All workers share one connection.
fn one<E: Echo + Sync>(client: E, cell: &Cell) -> Box<dyn Round> {
    Box::new(Load::new(vec![client], cell.shape.in_flight, cell.body()))
}

fn free_address() -> Address {
    Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::SwitchboardInside, Name::Redis, Name::Jetstream])]
    contenders: Vec<Name>,
    /// When what was acknowledged is safe.
    #[arg(long, value_delimiter = ',', default_values_t = [Durability::Second, Durability::Always])]
    durabilities: Vec<Durability>,
    /// Workers that share one connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    workers: Vec<usize>,
    /// Bytes in a job.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    #[command(flatten)]
    rounds: Rounds,
}

/// Where the workers of one side work.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Of a side without a server: where its files may be.
    pub directory: PathBuf,
    /// Of a side without a server: when what was acknowledged is safe.
    pub durability: Durability,
    #[command(flatten)]
    pub cell: Cell,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new(
        "Jobs pushed, reserved and acked a second",
        &["durability", "payload", "workers"],
    );
    for durability in &options.durabilities {
        for payload in &options.payloads {
            for workers in &options.workers {
                eprintln!("queues: {durability}, {payload} B, {workers} workers");
                let side = |name: &Name| {
                    let (name, durability, workers, payload) = (*name, *durability, *workers, *payload);
                    Side::new(name, move || start(name, durability, workers, payload))
                };
                let sides: Vec<Side<'_>> = options.contenders.iter().map(side).collect();
                let label = vec![
                    durability.to_string(),
                    format!("{payload} B"),
                    workers.to_string(),
                ];
                report.add(label, compare(&sides, options.rounds).await?);
            }
        }
    }
    Ok(report.render())
}

async fn start(name: Name, durability: Durability, workers: usize, payload: usize) -> Result<Running> {
    let files = tempfile::tempdir()?;
    let server = name.start(files.path(), durability).await?;
    let cell = Cell {
        address: server
            .as_ref()
            .map_or_else(free_address, |server| server.address().clone()),
        shape: Shape {
            connections: 1,
            in_flight: workers,
        },
        payload,
    };
    let mut arguments = vec![files.path().display().to_string(), durability.to_string()];
    arguments.extend(cell.arguments());
    let callers = Callers::start_with("queues", name, &arguments).await?;
    Ok(match server {
        // Whoever is ended last keeps the files: the callers are ended before the servers.
        Some(server) => Running {
            servers: vec![server.keeping(files)],
            callers,
        },
        None => Running {
            servers: Vec::new(),
            callers: callers.keeping(files),
        },
    })
}
