//! One-way messages: how many a second one connection carries, from the first sent to all counted.

mod raw;

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::address::{Address, Listener, Transport};
use crate::process::Process;
use crate::suite::{median, ratios};
use crate::table::{Table, spread, thousands};

/// The sending end of one connection.
pub trait Burst: Send {
    /// Sends `payload` `count` times, and returns how many messages the receiver says it has got.
    fn burst<'a>(&'a mut self, count: u64, payload: &'a Bytes) -> BoxFuture<'a, Result<u64>>;
}

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Length-prefixed messages written through a buffer of 64 KiB.
    Raw,
    /// Length-prefixed messages, each written by a system call of its own.
    RawUnbuffered,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::RawUnbuffered => "raw-unbuffered",
        })
    }
}

impl Name {
    /// Counts messages on `listener` until the process ends.
    pub async fn serve(self, listener: Listener) -> Result<()> {
        match self {
            Self::Raw | Self::RawUnbuffered => raw::serve(listener).await,
        }
    }

    async fn connect(self, address: &Address) -> Result<Box<dyn Burst>> {
        let stream = address.connect().await?;
        Ok(match self {
            Self::Raw => Box::new(raw::buffered(stream)),
            Self::RawUnbuffered => Box::new(raw::unbuffered(stream)),
        })
    }
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Raw, Name::RawUnbuffered])]
    pub contenders: Vec<Name>,
    /// Kinds of socket.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Tcp, Transport::Unix])]
    pub transports: Vec<Transport>,
    /// Bytes in a message.
    #[arg(long, value_delimiter = ',', default_values_t = [16])]
    pub payloads: Vec<usize>,
    /// Messages in a round.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: u64,
    /// Rounds; every side runs once in each.
    #[arg(long = "rounds", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
}

/// Runs the suite and returns its table.
pub async fn run(options: &Options) -> Result<String> {
    let mut headings = vec!["transport".to_owned(), "payload".to_owned()];
    headings.extend(options.contenders.iter().map(Name::to_string));
    headings.extend(
        options
            .contenders
            .iter()
            .skip(1)
            .map(|rival| format!("÷ {rival}")),
    );
    let mut table = Table::new(headings);
    for transport in &options.transports {
        for payload in &options.payloads {
            let rates = cell(options, *transport, *payload).await?;
            let mut row = vec![transport.to_string(), format!("{payload} B")];
            row.extend(rates.iter().map(|rates| thousands(median(rates))));
            row.extend(
                rates
                    .iter()
                    .skip(1)
                    .map(|rival| spread(&ratios(&rates[0], rival))),
            );
            table.row(row);
        }
    }
    Ok(format!(
        "Messages a second on one connection, {} a round.\n\n{}",
        options.messages,
        table.render()
    ))
}

/// Messages a second, by side and round.
async fn cell(options: &Options, transport: Transport, payload: usize) -> Result<Vec<Vec<f64>>> {
    let payload = Bytes::from(vec![b'x'; payload]);
    let mut servers = Vec::new();
    let mut senders = Vec::new();
    for name in &options.contenders {
        let free = transport.free_address(&name.to_string()).to_string();
        let server = Process::of_this_binary(&["count", &name.to_string(), &free]).await?;
        let mut sender = name.connect(server.address()).await?;
        timed(sender.as_mut(), options.messages / 10, &payload)
            .await
            .with_context(|| format!("warming up {name}"))?;
        senders.push(sender);
        servers.push(server);
    }
    let mut rates = vec![Vec::new(); senders.len()];
    for round in 0..options.rounds as usize {
        for turn in 0..senders.len() {
            let side = (round + turn) % senders.len();
            rates[side].push(timed(senders[side].as_mut(), options.messages, &payload).await?);
        }
    }
    Ok(rates)
}

async fn timed(sender: &mut dyn Burst, count: u64, payload: &Bytes) -> Result<f64> {
    let started = Instant::now();
    let counted = sender.burst(count, payload).await?;
    let elapsed = started.elapsed();
    ensure!(counted == count, "{counted} of {count} messages arrived");
    Ok(count as f64 / elapsed.as_secs_f64())
}
