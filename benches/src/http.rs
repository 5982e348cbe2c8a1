//! Calls by HTTP: curl's way into Switchboard, beside nginx in front of a small server.

mod wrk;

use std::fmt;

use anyhow::Result;

use crate::address::Transport;
use crate::broker;
use crate::callers::Callers;
use crate::load::{Cell, Round, Shape};
use crate::process::Process;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;
use crate::web;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// `POST /call/OP` at Switchboard's HTTP door, answered by a peer on a Unix socket.
    Switchboard,
    /// nginx in front of axum on a Unix socket.
    Nginx,
    /// axum by itself: what the other two have to add to.
    Axum,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Nginx => "nginx",
            Self::Axum => "axum",
        })
    }
}

impl Name {
    /// The callers of `cell`: all sides are called in one way.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        wrk::Wrk::check(cell).await
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
            Self::Nginx => {
                let axum = web::start_axum(&Transport::Unix.free_address("axum")).await?;
                Ok(vec![web::start_proxy(axum.address()).await?, axum])
            }
            Self::Axum => Ok(vec![web::start_axum(&Transport::Tcp.free_address("axum")).await?]),
        }
    }
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Nginx])]
    contenders: Vec<Name>,
    /// Bytes in a request's body, and in its answer's.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    /// Connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 50, 256])]
    connections: Vec<usize>,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new("Requests a second", &["payload", "connections"]);
    for payload in &options.payloads {
        for connections in &options.connections {
            eprintln!("http: {payload} B, {connections} connections");
            let side = |name: &Name| {
                let (name, connections, payload) = (*name, *connections, *payload);
                Side::new(name, move || start(name, connections, payload))
            };
            let sides: Vec<Side<'_>> = options.contenders.iter().map(side).collect();
            report.add(
                vec![format!("{payload} B"), connections.to_string()],
                compare(&sides, options.rounds).await?,
            );
        }
    }
    Ok(report.render_with_servers())
}

async fn start(name: Name, connections: usize, payload: usize) -> Result<Running> {
    let servers = name.start().await?;
    let cell = Cell {
        address: servers[0].address().clone(),
        shape: Shape {
            connections,
            in_flight: 1,
        },
        payload,
    };
    Ok(Running {
        callers: Callers::start("http", name, &cell).await?,
        servers,
    })
}
