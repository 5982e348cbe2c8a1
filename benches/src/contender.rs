//! Peers that answer an echo: the seam where a side of the comparison plugs in.
//!
//! A new side is a module with a type that implements [`Contender`], a variant of [`Name`], and a line in
//! each of the two matches here.

mod switchboard;
mod tarpc;
mod tonic;

pub use switchboard::GREETING as SWITCHBOARD_GREETING;

use std::fmt;

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::address::{Address, Listener};
use crate::load::{Cell, Load, Round};

/// One way of answering and asking an echo over a socket.
pub trait Contender {
    /// The asking end of one connection.
    type Client: Echo + Sync;

    /// Answers on `listener` until the process ends.
    fn serve(listener: Listener) -> impl Future<Output = Result<()>> + Send;

    /// Opens one connection.
    fn connect(address: &Address) -> impl Future<Output = Result<Self::Client>> + Send;
}

/// The asking end. Clones share the connection: each task in flight has a clone of its own.
pub trait Echo: Clone + Send + 'static {
    /// Sends `payload` and returns what came back.
    fn echo(&mut self, payload: Bytes) -> impl Future<Output = Result<Bytes>> + Send;
}

/// The peers that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Switchboard's peers.
    Switchboard,
    /// tarpc with its serde transport and bincode, each request a task, as its documentation shows.
    Tarpc,
    /// The same, all requests of a connection in one task.
    TarpcInline,
    /// tonic with prost messages over HTTP/2.
    Tonic,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Tarpc => "tarpc",
            Self::TarpcInline => "tarpc-inline",
            Self::Tonic => "tonic",
        })
    }
}

impl Name {
    /// Answers as this contender on `listener` until the process ends.
    pub async fn serve(self, listener: Listener) -> Result<()> {
        match self {
            Self::Switchboard => switchboard::Switchboard::serve(listener).await,
            Self::Tarpc => tarpc::Tarpc::serve(listener).await,
            Self::TarpcInline => tarpc::TarpcInline::serve(listener).await,
            Self::Tonic => tonic::Tonic::serve(listener).await,
        }
    }

    /// Opens the connections of `cell`, ready to be measured.
    pub async fn load(self, cell: &Cell) -> Result<Box<dyn Round>> {
        match self {
            Self::Switchboard => open::<switchboard::Switchboard>(cell).await,
            Self::Tarpc => open::<tarpc::Tarpc>(cell).await,
            Self::TarpcInline => open::<tarpc::TarpcInline>(cell).await,
            Self::Tonic => open::<tonic::Tonic>(cell).await,
        }
        .with_context(|| format!("opening {} to {self} at {}", cell.shape, cell.address))
    }

    /// The first bytes a client of this protocol sends: what an idle connection has said.
    pub fn greeting(self) -> Greeting {
        match self {
            Self::Switchboard => switchboard::GREETING,
            Self::Tarpc | Self::TarpcInline => Greeting {
                bytes: b"",
                answered: false,
            },
            Self::Tonic => tonic::GREETING,
        }
    }
}

/// How a bare socket introduces itself, for the idle suite.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// What the client says first.
    pub bytes: &'static [u8],
    /// Whether the server says something before it is asked anything.
    pub answered: bool,
}

async fn open<C: Contender>(cell: &Cell) -> Result<Box<dyn Round>> {
    let mut clients = Vec::with_capacity(cell.shape.connections);
    for _ in 0..cell.shape.connections {
        clients.push(C::connect(&cell.address).await?);
    }
    Ok(Box::new(Load::new(clients, cell.shape.in_flight, cell.body())))
}
