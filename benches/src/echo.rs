//! Echo from peer to peer.

use anyhow::Result;

use crate::address::{Address, Transport};
use crate::callers::Callers;
use crate::contender::Name;
use crate::load::{Cell, Shape};
use crate::process::Process;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Peers to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Name::Switchboard, Name::Tarpc, Name::TarpcInline, Name::Tonic])]
    contenders: Vec<Name>,
    /// Kinds of socket.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Tcp, Transport::Unix])]
    transports: Vec<Transport>,
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
    let mut report = Report::new("Calls a second", &["transport", "payload", "conns × in flight"]);
    for transport in &options.transports {
        for payload in &options.payloads {
            for shape in &options.shapes {
                eprintln!("echo: {transport}, {payload} B, {shape}");
                let side = |name: &Name| {
                    let (name, transport, shape, payload) = (*name, *transport, *shape, *payload);
                    Side::new(name, move || start(name, transport, shape, payload))
                };
                let sides: Vec<Side<'_>> = options.contenders.iter().map(side).collect();
                let label = vec![transport.to_string(), format!("{payload} B"), shape.to_string()];
                report.add(label, compare(&sides, options.rounds).await?);
            }
        }
    }
    Ok(report.render())
}

async fn start(name: Name, transport: Transport, shape: Shape, payload: usize) -> Result<Running> {
    let free: Address = transport.free_address(&name.to_string());
    let server = Process::of_this_binary(&["serve", &name.to_string(), &free.to_string()]).await?;
    let cell = Cell {
        address: server.address().clone(),
        shape,
        payload,
    };
    Ok(Running {
        callers: Callers::start("echo", name, &cell).await?,
        servers: vec![server],
    })
}
