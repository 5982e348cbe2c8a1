//! One-way messages: how many a second one connection carries, from the first sent to all counted.

mod framed;
mod raw;
mod switchboard;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::address::{Address, Listener, Transport};
use crate::process::Process;
use crate::suite::{Rounds, median, ratios};
use crate::table::{Table, spread, thousands};

/// The sending end of one connection.
pub trait Burst: Send {
    /// Sends `payload` `count` times, and returns how many messages the receiver says it has got.
    fn burst<'a>(&'a mut self, count: u64, payload: &'a Bytes) -> BoxFuture<'a, Result<u64>>;
}

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Notifications between Switchboard's peers.
    Switchboard,
    /// Length-prefixed messages written through a buffer of 64 KiB.
    Raw,
    /// Length-prefixed messages through tokio-util's `LengthDelimitedCodec` at both ends.
    Framed,
    /// Length-prefixed messages, each written by a system call of its own.
    RawUnbuffered,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Raw => "raw",
            Self::Framed => "framed",
            Self::RawUnbuffered => "raw-unbuffered",
        })
    }
}

impl Name {
    /// Counts messages on `listener` until the process ends.
    pub async fn serve(self, listener: Listener) -> Result<()> {
        match self {
            Self::Switchboard => switchboard::serve_counting(listener).await,
            Self::Raw | Self::RawUnbuffered => raw::serve(listener).await,
            Self::Framed => framed::serve(listener).await,
        }
    }

    async fn connect(self, address: &Address) -> Result<Box<dyn Burst>> {
        let stream = address.connect().await?;
        Ok(match self {
            Self::Switchboard => Box::new(switchboard::sender(stream).await?),
            Self::Raw => Box::new(raw::buffered(stream)),
            Self::Framed => Box::new(framed::sender(stream)),
            Self::RawUnbuffered => Box::new(raw::unbuffered(stream)),
        })
    }
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Raw, Name::Framed, Name::RawUnbuffered])]
    pub contenders: Vec<Name>,
    /// Kinds of socket.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Tcp, Transport::Unix])]
    pub transports: Vec<Transport>,
    /// Bytes in a message.
    #[arg(long, value_delimiter = ',', default_values_t = [16])]
    pub payloads: Vec<usize>,
    /// Messages in a burst, after which the sender waits for the count; a round is as many bursts as fit.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub burst: u64,
    #[command(flatten)]
    pub rounds: Rounds,
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
        "Messages a second on one connection, in bursts of {}.\n\n{}",
        options.burst,
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
        timed(sender.as_mut(), options.burst, Duration::ZERO, &payload)
            .await
            .with_context(|| format!("warming up {name}"))?;
        senders.push(sender);
        servers.push(server);
    }
    let mut rates = vec![Vec::new(); senders.len()];
    let duration = Duration::from_millis(options.rounds.round_ms);
    for round in 0..options.rounds.count as usize {
        for turn in 0..senders.len() {
            let side = (round + turn) % senders.len();
            rates[side].push(timed(senders[side].as_mut(), options.burst, duration, &payload).await?);
        }
    }
    Ok(rates)
}

/// Messages a second over as many bursts of `count` as begin within `duration`, at least one.
async fn timed(sender: &mut dyn Burst, count: u64, duration: Duration, payload: &Bytes) -> Result<f64> {
    let started = Instant::now();
    let mut sent = 0;
    loop {
        let counted = sender.burst(count, payload).await?;
        ensure!(counted == count, "{counted} of {count} messages arrived");
        sent += count;
        let elapsed = started.elapsed();
        if elapsed >= duration {
            return Ok(sent as f64 / elapsed.as_secs_f64());
        }
    }
}
