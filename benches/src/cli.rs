//! The command line: the suites, and the hidden commands with which this binary starts itself.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use switchboard_engine::Durability;

use crate::address::{Address, Listener};
use crate::load::{Cell, Round};
use crate::process::{announce, end_with_parent};
use crate::{
    broker, callers, cluster, contender, echo, events, http, idle, keys, oneway, pubsub, queues, redis,
    versions, web, websocket,
};

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
    Echo(echo::Options),
    /// One-way messages on one connection.
    Notify(oneway::Options),
    /// Echo through a daemon: caller, hub, responder.
    Relay(broker::Options),
    /// Calls by HTTP.
    Http(http::Options),
    /// Echo over WebSocket.
    Websocket(websocket::Options),
    /// Server-Sent Events to many subscribers.
    Events(events::Options),
    /// Memory of idle connections.
    Idle(idle::Options),
    /// Keys in this process: the embedded engine, the store below it, maps behind a lock.
    Keys(keys::Options),
    /// Jobs: push, reserve, ack.
    Queues(queues::Options),
    /// Commands by the Redis door.
    Redis(redis::Options),
    /// Messages through a daemon.
    Pubsub(pubsub::Options),
    /// Calls and messages through two daemons at one NATS cluster.
    Cluster(cluster::Options),
    /// Versions of everything that is compared.
    Versions,
    /// Answers echoes as one contender.
    #[command(hide = true)]
    Serve {
        contender: contender::Name,
        address: Address,
    },
    /// Counts one-way messages as one contender.
    #[command(hide = true)]
    Count {
        contender: oneway::Name,
        address: Address,
    },
    /// Answers echoes by HTTP and WebSocket as axum.
    #[command(hide = true)]
    Axum { address: Address },
    /// Answers echoes through a daemon.
    #[command(hide = true)]
    Respond { broker: broker::Name, address: Address },
    /// Answers for a queue of the embedded engine.
    #[command(hide = true)]
    ServeQueue {
        address: Address,
        directory: PathBuf,
        durability: Durability,
    },
    /// Writes keys, and waits to be killed.
    #[command(hide = true)]
    Fill(keys::Fill),
    /// Opens what was filled.
    #[command(hide = true)]
    Open { directory: PathBuf },
    /// Calls, as its standard input says.
    #[command(hide = true, subcommand)]
    Drive(Drive),
}

/// What a calling process drives.
#[derive(Subcommand)]
enum Drive {
    Echo {
        contender: contender::Name,
        #[command(flatten)]
        cell: Cell,
    },
    Relay {
        broker: broker::Name,
        #[command(flatten)]
        cell: Cell,
    },
    Http {
        contender: http::Name,
        #[command(flatten)]
        cell: Cell,
    },
    Websocket {
        contender: websocket::Name,
        #[command(flatten)]
        cell: Cell,
    },
    Events {
        contender: events::Name,
        #[command(flatten)]
        cell: Cell,
    },
    Keys {
        contender: keys::Name,
        #[command(flatten)]
        cell: keys::Cell,
    },
    Always {
        contender: keys::DurableName,
        #[command(flatten)]
        cell: keys::DurableCell,
    },
    Queues {
        contender: queues::Name,
        #[command(flatten)]
        place: queues::Place,
    },
    Redis {
        contender: redis::Name,
        #[command(flatten)]
        cell: redis::Cell,
    },
    Pubsub {
        broker: broker::Name,
        #[command(flatten)]
        place: pubsub::Place,
    },
}

impl Drive {
    async fn open(self) -> Result<Box<dyn Round>> {
        match self {
            Self::Echo { contender, cell } => contender.load(&cell).await,
            Self::Relay { broker, cell } => broker.load(&cell).await,
            Self::Http { contender, cell } => contender.load(&cell).await,
            Self::Websocket { contender, cell } => contender.load(&cell).await,
            Self::Events { contender, cell } => contender.load(&cell).await,
            Self::Keys { contender, cell } => keys::load(contender, cell),
            Self::Always { contender, cell } => contender.open(&cell),
            Self::Queues { contender, place } => contender.load(&place).await,
            Self::Redis { contender, cell } => contender.load(&cell).await,
            Self::Pubsub { broker, place } => place.open(broker).await,
        }
    }
}

impl Cli {
    /// Does what the command line says.
    pub async fn run(self) -> Result<()> {
        match self.command {
            Command::Echo(options) => print!("{}", echo::run(&options).await?),
            Command::Notify(options) => print!("{}", oneway::run(&options).await?),
            Command::Relay(options) => print!("{}", broker::run(&options).await?),
            Command::Http(options) => print!("{}", http::run(&options).await?),
            Command::Websocket(options) => print!("{}", websocket::run(&options).await?),
            Command::Events(options) => print!("{}", events::run(&options).await?),
            Command::Idle(options) => print!("{}", idle::run(&options).await?),
            Command::Keys(options) => print!("{}", keys::run(&options).await?),
            Command::Queues(options) => print!("{}", queues::run(&options).await?),
            Command::Redis(options) => print!("{}", redis::run(&options).await?),
            Command::Pubsub(options) => print!("{}", pubsub::run(&options).await?),
            Command::Cluster(options) => print!("{}", cluster::run(&options).await?),
            Command::Versions => println!("{}", versions::line()),
            Command::Serve { contender, address } => contender.serve(listen(&address).await?).await?,
            Command::Count { contender, address } => contender.serve(listen(&address).await?).await?,
            Command::Axum { address } => web::serve_axum(listen(&address).await?).await?,
            Command::ServeQueue {
                address,
                directory,
                durability,
            } => queues::serve_queue(listen(&address).await?, &directory, durability).await?,
            Command::Fill(fill) => fill.run().await?,
            Command::Open { directory } => keys::open(&directory).await?,
            Command::Drive(what) => callers::obey(what.open().await?).await?,
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
