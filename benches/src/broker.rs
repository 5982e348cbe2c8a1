//! Request and reply through a daemon: caller → hub → responder, each a process of its own.
//!
//! A new side is a module with a type that implements [`Broker`], a variant of [`Name`], and a line in each
//! of the matches here.

mod nats;
mod switchboard;

pub use nats::{binary as nats_binary, connect as connect_nats, start as start_nats};
pub use switchboard::{
    OPERATION, command as switchboard_command, start as start_switchboard, start_command, tcp_door,
};

use std::fmt;

use anyhow::{Context, Result};

use crate::address::Address;
use crate::callers::Callers;
use crate::contender::{Echo, Greeting, SWITCHBOARD_GREETING};
use crate::load::{Cell, Load, Round, Shape};
use crate::process::Process;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

/// A daemon through which a caller reaches a responder.
pub trait Broker {
    /// The caller's end.
    type Client: Echo + Sync;

    /// Starts the daemon on a free TCP port of loopback.
    fn start() -> impl Future<Output = Result<Process>>;

    /// Answers echoes through the daemon at `address` until the process ends; calls `ready` once calls reach it.
    fn respond(address: &Address, ready: impl FnOnce()) -> impl Future<Output = Result<()>>;

    /// Opens the caller's connection.
    fn connect(address: &Address) -> impl Future<Output = Result<Self::Client>>;
}

/// The daemons that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// `switchboard serve`, with core/peer at both ends.
    Switchboard,
    /// `nats-server`, with async-nats at both ends.
    Nats,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Nats => "nats",
        })
    }
}

impl Name {
    /// Starts the daemon.
    pub async fn start(self) -> Result<Process> {
        match self {
            Self::Switchboard => switchboard::Switchboard::start().await,
            Self::Nats => nats::Nats::start().await,
        }
    }

    /// Starts the process that answers echoes through the daemon at `address`.
    pub async fn start_responder(self, address: &Address) -> Result<Process> {
        Process::of_this_binary(&["respond", &self.to_string(), &address.to_string()]).await
    }

    /// Answers echoes through the daemon at `address`; calls `ready` once calls reach it.
    pub async fn respond(self, address: &Address, ready: impl FnOnce()) -> Result<()> {
        match self {
            Self::Switchboard => switchboard::Switchboard::respond(address, ready).await,
            Self::Nats => nats::Nats::respond(address, ready).await,
        }
    }

    /// The first bytes that a client of this daemon sends: what an idle connection has said.
    pub fn greeting(self) -> Greeting {
        match self {
            Self::Switchboard => SWITCHBOARD_GREETING,
            Self::Nats => nats::GREETING,
        }
    }

    /// Opens the callers' connections, ready to be measured.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        match self {
            Self::Switchboard => open::<switchboard::Switchboard>(cell).await,
            Self::Nats => open::<nats::Nats>(cell).await,
        }
        .with_context(|| format!("calling through {self}"))
    }
}

async fn open<B: Broker>(cell: &Cell) -> Result<Box<dyn Round>> {
    let mut clients = Vec::with_capacity(cell.shape.connections);
    for _ in 0..cell.shape.connections {
        clients.push(B::connect(&cell.address).await?);
    }
    Ok(Box::new(Load::new(clients, cell.shape.in_flight, cell.body())))
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Daemons to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Nats])]
    pub brokers: Vec<Name>,
    /// Calls in flight on the caller's one connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1024])]
    pub in_flight: Vec<usize>,
    /// Bytes in a call, and in its answer.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    pub payloads: Vec<usize>,
    #[command(flatten)]
    pub rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new("Calls a second", &["payload", "in flight"]);
    for payload in &options.payloads {
        for in_flight in &options.in_flight {
            eprintln!("relay: {payload} B, {in_flight} in flight");
            let side = |name: &Name| {
                let (name, in_flight, payload) = (*name, *in_flight, *payload);
                Side::new(name, move || start(name, in_flight, payload))
            };
            let sides: Vec<Side<'_>> = options.brokers.iter().map(side).collect();
            report.add(
                vec![format!("{payload} B"), in_flight.to_string()],
                compare(&sides, options.rounds).await?,
            );
        }
    }
    Ok(report.render())
}

async fn start(name: Name, in_flight: usize, payload: usize) -> Result<Running> {
    let daemon = name.start().await?;
    let address = daemon.address().clone();
    let responder = Process::of_this_binary(&["respond", &name.to_string(), &address.to_string()]).await?;
    let cell = Cell {
        address,
        shape: Shape {
            connections: 1,
            in_flight,
        },
        payload,
    };
    Ok(Running {
        callers: Callers::start("relay", name, &cell).await?,
        servers: vec![daemon, responder],
    })
}
