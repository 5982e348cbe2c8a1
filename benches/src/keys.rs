//! Keys, in this process: the embedded engine beside the bare store below it, and beside maps behind a lock.

mod durable;
mod load;
mod recovery;
mod sides;

use std::path::Path;

use anyhow::Result;

use crate::callers::Callers;
use crate::load::Round;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

pub use durable::{Cell as DurableCell, Name as DurableName};
pub use load::{Cell, Mix};
pub use recovery::{Fill, open};
pub use sides::{Name, open_engine};

/// Keys in a store: more than the processor's caches hold, fewer than any side's memory.
const STORE_KEYS: u64 = 100_000;

/// Keys that are hot.
const HOT_KEYS: u64 = 1_000;

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Beside the bare store.
    Store,
    /// Beside maps behind a lock.
    Hot,
    /// Many writers under durability `always` beside one.
    Always,
    /// Opening what was left behind.
    Recovery,
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Parts of the suite.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Store, Part::Hot, Part::Always, Part::Recovery])]
    parts: Vec<Part>,
    /// What is done to the stores.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mix::Put, Mix::Overwrite, Mix::Get, Mix::Half])]
    mixes: Vec<Mix>,
    /// Threads at the stores.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Bytes in a value.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    /// Writers under durability `always`; they are compared with one.
    #[arg(long, default_value_t = 100)]
    writers: usize,
    /// MiB of values that are recovered.
    #[arg(long, default_value_t = 1024)]
    recovered_mib: u64,
    /// How often that is done.
    #[arg(long, default_value_t = 3)]
    recoveries: u32,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut parts = Vec::new();
    for part in &options.parts {
        parts.push(match part {
            Part::Store => {
                let sides = [Name::Switchboard, Name::Fjall, Name::FjallBatched];
                mixes(&sides, &options.mixes, &options.threads, STORE_KEYS, options).await?
            }
            Part::Hot => {
                let sides = [Name::Switchboard, Name::Rwlock, Name::Mutex];
                mixes(&sides, &[Mix::Get, Mix::Sixteenth], &[2], HOT_KEYS, options).await?
            }
            Part::Always => always(options).await?,
            Part::Recovery => {
                eprintln!("keys: recovery");
                let bytes = options.recovered_mib * 1024 * 1024;
                recovery::table(bytes, 1024, options.recoveries).await?.render()
            }
        });
    }
    Ok(parts.join("\n"))
}

async fn mixes(
    names: &[Name],
    mixes: &[Mix],
    threads: &[usize],
    keys: u64,
    options: &Options,
) -> Result<String> {
    let mut report = Report::new("Operations a second", &["mix", "threads", "value"]);
    for mix in mixes {
        for threads in threads {
            for payload in &options.payloads {
                eprintln!("keys: {mix}, {threads} threads, {payload} B");
                let cell = |directory: &Path| Cell {
                    directory: directory.join("store"),
                    mix: *mix,
                    threads: *threads,
                    payload: *payload,
                    keys,
                };
                let side = |name: &Name| {
                    let name = *name;
                    Side::new(name, move || start(name, cell))
                };
                let sides: Vec<Side<'_>> = names.iter().map(side).collect();
                let label = vec![mix.to_string(), threads.to_string(), format!("{payload} B")];
                report.add(label, compare(&sides, options.rounds).await?);
            }
        }
    }
    Ok(report.render_without_latency())
}

async fn start(name: Name, cell: impl Fn(&Path) -> Cell) -> Result<Running> {
    let files = tempfile::tempdir()?;
    let cell = cell(files.path());
    let callers = Callers::start_with("keys", name, &cell.arguments()).await?;
    Ok(Running {
        servers: Vec::new(),
        callers: callers.keeping(files),
    })
}

/// Opens one side, in the process that measures it.
pub fn load(name: Name, cell: Cell) -> Result<Box<dyn Round>> {
    // Filling it may have to wait for the disk.
    let threads = tokio::task::block_in_place(|| load::Threads::open(name, cell))?;
    Ok(Box::new(threads))
}

async fn always(options: &Options) -> Result<String> {
    let mut report = Report::new("Puts a second, durability always", &["value"]);
    for payload in &options.payloads {
        eprintln!("keys: always, {payload} B");
        let side = |name: DurableName, writers: usize| {
            let plural = if writers == 1 { "" } else { "s" };
            let heading = format!("{name}, {writers} writer{plural}");
            Side::new(heading, move || start_durable(name, writers, *payload))
        };
        let sides = [
            side(DurableName::Switchboard, options.writers),
            side(DurableName::Switchboard, 1),
            side(DurableName::Fjall, 1),
        ];
        report.add(
            vec![format!("{payload} B")],
            compare(&sides, options.rounds).await?,
        );
    }
    Ok(report.render_speed())
}

async fn start_durable(name: DurableName, writers: usize, payload: usize) -> Result<Running> {
    let files = tempfile::tempdir()?;
    let cell = DurableCell {
        directory: files.path().join("store"),
        writers,
        payload,
    };
    let callers = Callers::start_with("always", name, &cell.arguments()).await?;
    Ok(Running {
        servers: Vec::new(),
        callers: callers.keeping(files),
    })
}
