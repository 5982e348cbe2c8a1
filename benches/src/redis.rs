//! The Redis door beside `redis-server`, with `redis-benchmark` as the caller: the load generator that Redis brings.

mod benchmark;
mod memory;

use std::fmt;

use anyhow::Result;
use switchboard_engine::Durability;

use crate::address::Address;
use crate::broker;
use crate::callers::Callers;
use crate::load::Round;
use crate::process::Process;
use crate::queues;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

pub use benchmark::{Cell, Test};

/// What the daemon may take for keys: as with Redis, all of them are in memory.
const MEMORY: &str = "8GiB";

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Switchboard's Redis door on the embedded engine.
    Switchboard,
    /// `redis-server` with its append-only file.
    Redis,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Redis => "redis",
        })
    }
}

impl Name {
    /// The callers of `cell`: both sides are called in one way.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        benchmark::Benchmark::prepare(cell.clone()).await
    }

    /// Starts this side's server with files of its own.
    async fn start(self, durability: Durability) -> Result<Process> {
        let files = tempfile::tempdir()?;
        match self {
            Self::Switchboard => {
                let mut command = broker::switchboard_command(files.path(), &["redis://127.0.0.1:0"]);
                command
                    .env("SWITCHBOARD_ENGINE_DURABILITY", durability.to_string())
                    .env("SWITCHBOARD_ENGINE_MEMORY", MEMORY);
                broker::start_command(command, files, door).await
            }
            Self::Redis => Ok(queues::start_redis(files.path(), durability)
                .await?
                .keeping(files)),
        }
    }
}

/// The address in the line of a Redis door.
fn door(line: &str) -> Option<Address> {
    let (_, socket) = line.split_once("redis://")?;
    Some(Address::Tcp(socket.trim().parse().ok()?))
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Redis])]
    contenders: Vec<Name>,
    /// Commands, each on its own.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Test::ALL)]
    tests: Vec<Test>,
    /// When what was acknowledged is safe.
    #[arg(long, default_value_t = Durability::Second)]
    durability: Durability,
    /// Clients, each with a connection.
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// Commands that a client sends at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    pipelines: Vec<usize>,
    /// Bytes in a value.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    /// Keys (for HSET, SADD and ZADD: elements) that are drawn from.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1_000_000])]
    keys: Vec<usize>,
    /// Keys that are filled in to see what memory they take; 0 for not at all.
    #[arg(long, default_value_t = 1_000_000)]
    memory_keys: usize,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new("Commands a second", &["command", "keys", "value", "pipeline"]);
    for test in &options.tests {
        for keys in options.keys.iter().filter(|keys| test.can_draw_from(**keys)) {
            for payload in options
                .payloads
                .iter()
                .filter(|payload| test.has_value(**payload))
            {
                for pipeline in &options.pipelines {
                    eprintln!("redis: {test}, {keys} keys, {payload} B, pipeline {pipeline}");
                    let label = vec![
                        test.to_string(),
                        keys.to_string(),
                        format!("{payload} B"),
                        pipeline.to_string(),
                    ];
                    let shape = Cell {
                        address: Address::Tcp(([127, 0, 0, 1], 0).into()),
                        test: *test,
                        keys: *keys,
                        payload: *payload,
                        clients: options.clients,
                        pipeline: *pipeline,
                    };
                    let sides: Vec<Side<'_>> = (options.contenders.iter())
                        .map(|name| side(*name, &shape, options.durability))
                        .collect();
                    report.add(label, compare(&sides, options.rounds).await?);
                }
            }
        }
    }
    let mut text = report.render();
    if options.memory_keys > 0 {
        text += &memory::run(&options.contenders, options.memory_keys, options.durability).await?;
    }
    Ok(text)
}

fn side<'a>(name: Name, shape: &Cell, durability: Durability) -> Side<'a> {
    let shape = shape.clone();
    Side::new(name, move || {
        let shape = shape.clone();
        async move {
            let server = name.start(durability).await?;
            let cell = Cell {
                address: server.address().clone(),
                ..shape
            };
            Ok(Running {
                callers: Callers::start_with("redis", name, &cell.arguments()).await?,
                servers: vec![server],
            })
        }
    })
}
