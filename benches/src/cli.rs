//! The command line: the suites, and the hidden commands with which this binary starts itself.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::address::{Address, Listener, Transport};
use crate::contender::Name;
use crate::load::Shape;
use crate::process::{Process, announce, end_with_parent};
use crate::suite::{Rounds, Side, compare};
use crate::table::Report;
use crate::{broker, idle, oneway, versions};

/// Compares Switchboard with the peers a user would pick instead, and prints Markdown tables.
#[derive(Parser)]
#[command(name = "benches/run")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Echo from peer to peer.
    Echo(EchoOptions),
    /// One-way messages on one connection.
    Notify(oneway::Options),
    /// Echo through a daemon: caller, hub, responder.
    Relay(broker::Options),
    /// Memory of idle connections.
    Idle(idle::Options),
    /// Versions of everything that is compared.
    Versions,
    /// Answers echoes as one contender.
    #[command(hide = true)]
    Serve { contender: Name, address: Address },
    /// Counts one-way messages as one contender.
    #[command(hide = true)]
    Count {
        contender: oneway::Name,
        address: Address,
    },
    /// Answers echoes through a daemon.
    #[command(hide = true)]
    Respond { broker: broker::Name, address: Address },
}

#[derive(Clone, Debug, clap::Args)]
struct EchoOptions {
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

impl Cli {
    /// Does what the command line says.
    pub async fn run(self) -> Result<()> {
        match self.command {
            Command::Echo(options) => print!("{}", echo(&options).await?),
            Command::Notify(options) => print!("{}", oneway::run(&options).await?),
            Command::Relay(options) => print!("{}", broker::run(&options).await?),
            Command::Idle(options) => print!("{}", idle::run(&options).await?),
            Command::Versions => println!("{}", versions::line()),
            Command::Serve { contender, address } => contender.serve(listen(&address).await?).await?,
            Command::Count { contender, address } => contender.serve(listen(&address).await?).await?,
            Command::Respond { broker, address } => {
                end_with_parent();
                broker.respond(&address, || announce(&address)).await?;
            }
        }
        Ok(())
    }
}

/// Binds, and says so to the process that started this one.
async fn listen(address: &Address) -> Result<Listener> {
    end_with_parent();
    let listener = Listener::bind(address)
        .await
        .with_context(|| format!("listening at {address}"))?;
    announce(&listener.address()?);
    Ok(listener)
}

async fn echo(options: &EchoOptions) -> Result<String> {
    let mut report = Report::new(&["transport", "payload", "conns × in flight"]);
    for transport in &options.transports {
        let mut servers = Vec::new();
        for name in &options.contenders {
            let free = transport.free_address(&name.to_string()).to_string();
            servers.push(Process::of_this_binary(&["serve", &name.to_string(), &free]).await?);
        }
        for payload in &options.payloads {
            for shape in &options.shapes {
                let body = bytes::Bytes::from(vec![b'x'; *payload]);
                let mut sides = Vec::new();
                for (name, server) in options.contenders.iter().zip(&servers) {
                    let round = name.load(server.address(), *shape, body.clone()).await?;
                    sides.push(Side {
                        name: name.to_string(),
                        processes: vec![server],
                        round,
                    });
                }
                eprintln!("echo: {transport}, {payload} B, {shape}");
                let label = vec![transport.to_string(), format!("{payload} B"), shape.to_string()];
                report.add(label, compare(&sides, options.rounds).await?);
            }
        }
    }
    Ok(report.render())
}
