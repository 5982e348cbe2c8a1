//! Echo over WebSocket: through Switchboard to a responder, beside socket.io with a responder, and beside socket.io and
//! axum that answer themselves.

mod client;
mod dialect;

use std::fmt;

use anyhow::{Context, Result, ensure};

use crate::address::Transport;
use crate::broker;
use crate::callers::Callers;
use crate::load::{Cell, Load, Round, Shape};
use crate::process::Process;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;
use crate::web;
use client::Socket;
use dialect::{Dialect, Gotalk, Plain, SocketIo};

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// gotalk at Switchboard's HTTP door, answered by a peer on a Unix socket.
    Switchboard,
    /// socket.io in Node: emits that are acknowledged.
    SocketIo,
    /// The same, passed on to another process that answers, as a hub does.
    SocketIoRelay,
    /// axum, which sends each message back.
    Axum,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::SocketIo => "socket-io",
            Self::SocketIoRelay => "socket-io-relay",
            Self::Axum => "axum",
        })
    }
}

impl Name {
    /// Opens the connections of `cell`, ready to be measured.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        match self {
            Self::Switchboard => open::<Gotalk>(cell).await,
            Self::SocketIo | Self::SocketIoRelay => open::<SocketIo>(cell).await,
            Self::Axum => open::<Plain>(cell).await,
        }
        .with_context(|| format!("opening {} to {self} at {}", cell.shape, cell.address))
    }

    /// Starts this side's servers; the first is the one to call.
    async fn start(self) -> Result<Vec<Process>> {
        match self {
            Self::Switchboard => {
                let (daemon, hub) = web::start_daemon().await?;
                Ok(vec![
                    daemon,
                    broker::Name::Switchboard.start_responder(&hub).await?,
                ])
            }
            Self::SocketIo => Ok(vec![web::start_node("socket-io.mjs", None).await?]),
            Self::SocketIoRelay => {
                let relay = web::start_node("socket-io-relay.mjs", None).await?;
                let responder = web::start_node("socket-io-responder.mjs", Some(relay.address())).await?;
                Ok(vec![relay, responder])
            }
            Self::Axum => Ok(vec![web::start_axum(&Transport::Tcp.free_address("axum")).await?]),
        }
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Clients {
    /// One Rust client for all sides: servers are compared.
    Same,
    /// The client that each side's users have, in Node: `clients/js` and `socket.io-client`.
    Own,
}

impl Clients {
    /// The sides that are compared if none are named.
    fn contenders(self) -> Vec<Name> {
        match self {
            Self::Same => vec![Name::Switchboard, Name::SocketIo, Name::SocketIoRelay, Name::Axum],
            Self::Own => vec![Name::Switchboard, Name::SocketIo, Name::SocketIoRelay],
        }
    }

    /// Starts callers of the side `name`.
    async fn start(self, name: Name, cell: &Cell) -> Result<Callers> {
        match self {
            Self::Same => Callers::start("websocket", name, cell).await,
            Self::Own => {
                let mut command = web::node("drive.mjs");
                command.arg(name.to_string()).args(cell.arguments());
                Callers::of(command).await
            }
        }
    }
}

async fn open<D: Dialect>(cell: &Cell) -> Result<Box<dyn Round>> {
    let mut sockets = Vec::with_capacity(cell.shape.connections);
    for _ in 0..cell.shape.connections {
        sockets.push(Socket::open::<D>(&cell.address).await?);
    }
    Ok(Box::new(Load::new(sockets, cell.shape.in_flight, cell.body())))
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Who calls.
    #[arg(long, value_enum, default_value_t = Clients::Same)]
    clients: Clients,
    /// Sides to compare; the first is compared with the others [default: all that have such clients]
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Name>,
    /// Bytes in a call, and in its answer.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    /// Connections × calls in flight on each.
    #[arg(long, value_delimiter = ',', default_value = "1x1,1x64,50x1,50x16")]
    shapes: Vec<Shape>,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let clients = options.clients;
    let contenders = match options.contenders.as_slice() {
        [] => clients.contenders(),
        named => named.to_vec(),
    };
    let has_client = |name: &Name| clients.contenders().contains(name);
    ensure!(contenders.iter().all(has_client), "axum has no client of its own");
    let mut report = Report::new("Calls a second", &["payload", "conns × in flight"]);
    for payload in &options.payloads {
        for shape in &options.shapes {
            eprintln!("websocket: {payload} B, {shape}");
            let side = |name: &Name| {
                let (name, shape, payload) = (*name, *shape, *payload);
                Side::new(name, move || start(name, clients, shape, payload))
            };
            let sides: Vec<Side<'_>> = contenders.iter().map(side).collect();
            report.add(
                vec![format!("{payload} B"), shape.to_string()],
                compare(&sides, options.rounds).await?,
            );
        }
    }
    Ok(report.render_with_servers())
}

async fn start(name: Name, clients: Clients, shape: Shape, payload: usize) -> Result<Running> {
    let servers = name.start().await?;
    let cell = Cell {
        address: servers[0].address().clone(),
        shape,
        payload,
    };
    Ok(Running {
        callers: clients.start(name, &cell).await?,
        servers,
    })
}
