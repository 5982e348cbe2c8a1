//! Server-Sent Events: one publisher, a thousand subscribers, and how many events reach them in a second.

mod watch;

use std::fmt;

use anyhow::{Context, Result};

use crate::callers::Callers;
use crate::load::{Cell, Round, Shape};
use crate::process::Process;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;
use crate::web;
use watch::{Audience, Paths};

/// Worker processes of nginx: one a core of the machine these figures come from, as it does of its own accord.
const WORKERS: usize = 2;

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Switchboard's HTTP door: `POST /publish/TOPIC` to `GET /subscribe`.
    Switchboard,
    /// nginx with the Nchan module, two worker processes.
    Nchan,
    /// The same with one: on request.
    NchanSingle,
    /// A plain server in Node.
    Node,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Nchan => "nchan",
            Self::NchanSingle => "nchan-single",
            Self::Node => "node",
        })
    }
}

impl Name {
    /// Opens the subscriptions of `cell`, ready to be measured.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        let paths = match self {
            Self::Switchboard => Paths {
                subscribe: "/subscribe?topic=bench",
                publish: "/publish/bench",
            },
            Self::Nchan | Self::NchanSingle | Self::Node => Paths {
                subscribe: "/subscribe",
                publish: "/publish",
            },
        };
        let audience = Audience::gather(cell, paths)
            .await
            .with_context(|| format!("subscribing to {self} at {}", cell.address))?;
        Ok(Box::new(audience))
    }

    async fn start(self) -> Result<Process> {
        match self {
            Self::Switchboard => Ok(web::start_daemon().await?.0),
            Self::Nchan => web::start_push(WORKERS).await,
            Self::NchanSingle => web::start_push(1).await,
            Self::Node => web::start_node("events.mjs", None).await,
        }
    }
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Sides to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Nchan, Name::Node])]
    contenders: Vec<Name>,
    /// Bytes in a message.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    /// Subscribers.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Messages that may be on their way at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    under_way: Vec<usize>,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new(
        "Events delivered a second",
        &["payload", "subscribers", "under way"],
    );
    for payload in &options.payloads {
        for under_way in &options.under_way {
            let shape = Shape {
                connections: options.subscribers,
                in_flight: *under_way,
            };
            eprintln!(
                "events: {payload} B, {} subscribers, {under_way} under way",
                options.subscribers
            );
            let side = |name: &Name| {
                let (name, payload) = (*name, *payload);
                Side::new(name, move || start(name, shape, payload))
            };
            let sides: Vec<Side<'_>> = options.contenders.iter().map(side).collect();
            let label = [
                format!("{payload} B"),
                options.subscribers.to_string(),
                under_way.to_string(),
            ];
            report.add(label.into(), compare(&sides, options.rounds).await?);
        }
    }
    Ok(report.render_with_servers())
}

async fn start(name: Name, shape: Shape, payload: usize) -> Result<Running> {
    let server = name.start().await?;
    let cell = Cell {
        address: server.address().clone(),
        shape,
        payload,
    };
    Ok(Running {
        callers: Callers::start("events", name, &cell).await?,
        servers: vec![server],
    })
}
