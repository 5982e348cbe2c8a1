//! What an idle connection costs a server: its resident memory before and after thousands are opened.
//!
//! The kernel's own buffers for the sockets are not part of a process's resident memory and not counted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::address::{Address, Stream, Transport};
use crate::broker;
use crate::contender::{Greeting, Name};
use crate::process::{Process, raise_open_files};
use crate::table::Table;

/// Connections being opened at once: less than any listen backlog.
const OPENING_MAX: usize = 64;

/// How far apart the memory is looked at until it stands still.
const SETTLE: Duration = Duration::from_millis(250);

/// Looks at the memory, at most, before taking it as it is.
const SETTLE_LOOKS_MAX: u32 = 40;

/// Open files a process needs beside its connections.
const OTHER_FILES: u64 = 256;

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Servers to look at.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Tarpc, Name::Tonic])]
    pub contenders: Vec<Name>,
    /// Daemons to look at.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [broker::Name::Switchboard, broker::Name::Nats])]
    pub daemons: Vec<broker::Name>,
    /// Connections to open.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
}

/// Runs the suite and returns its table.
pub async fn run(options: &Options) -> Result<String> {
    let limit = raise_open_files()?;
    ensure!(
        options.connections + OTHER_FILES <= limit,
        "{} connections need more than the {limit} open files a process may have here",
        options.connections
    );
    let mut table = Table::new([
        "server",
        "connections",
        "before, MiB",
        "after, MiB",
        "KiB a connection",
    ]);
    for name in &options.contenders {
        let free = Transport::Tcp.free_address("idle").to_string();
        let server = Process::of_this_binary(&["serve", &name.to_string(), &free]).await?;
        table.row(
            row(
                &format!("{name}, peer"),
                &server,
                name.greeting(),
                options.connections,
            )
            .await?,
        );
    }
    for name in &options.daemons {
        let server = name.start().await?;
        table.row(
            row(
                &format!("{name}, daemon"),
                &server,
                name.greeting(),
                options.connections,
            )
            .await?,
        );
    }
    Ok(table.render())
}

async fn row(name: &str, server: &Process, greeting: Greeting, connections: u64) -> Result<Vec<String>> {
    let (before, after) = measure(server, greeting, connections)
        .await
        .with_context(|| format!("opening connections to {name}"))?;
    let each = after.saturating_sub(before) as f64 / connections as f64 / 1024.0;
    Ok(vec![
        name.to_owned(),
        connections.to_string(),
        mebibytes(before),
        mebibytes(after),
        format!("{each:.1}"),
    ])
}

async fn measure(server: &Process, greeting: Greeting, connections: u64) -> Result<(u64, u64)> {
    let before = settled(server).await?;
    let mut opening = JoinSet::new();
    let mut open: Vec<Stream> = Vec::new();
    for _ in 0..connections {
        if opening.len() == OPENING_MAX {
            open.push(
                opening
                    .join_next()
                    .await
                    .context("no connection is being opened")???,
            );
        }
        opening.spawn(greet(server.address().clone(), greeting));
    }
    while let Some(stream) = opening.join_next().await {
        open.push(stream??);
    }
    let after = settled(server).await?;
    ensure!(
        open.len() as u64 == connections,
        "{} connections are open",
        open.len()
    );
    Ok((before, after))
}

async fn greet(address: Address, greeting: Greeting) -> Result<Stream> {
    let mut stream = address.connect().await?;
    stream.write_all(greeting.bytes).await?;
    if greeting.answered {
        stream
            .read_u8()
            .await
            .context("the server closed the connection")?;
    }
    Ok(stream)
}

/// The resident memory once two looks in a row agree.
async fn settled(server: &Process) -> Result<u64> {
    let mut last = server.resident_bytes()?;
    for _ in 0..SETTLE_LOOKS_MAX {
        tokio::time::sleep(SETTLE).await;
        let now = server.resident_bytes()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1024.0 * 1024.0))
}
