//! NATS as its documentation shows it: core request/reply, no JetStream, no headers.

use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::process::Command;

use super::Broker;
use crate::address::Address;
use crate::contender::{Echo, Greeting};
use crate::process::{Announces, Process};

/// The subject both ends agree on.
const SUBJECT: Subject = Subject::from_static("bench.echo");

/// Names the server's binary; the one in `PATH` is used where it is not set.
pub const BINARY_VARIABLE: &str = "NATS_SERVER";

/// What the server logs in front of the address it listens at.
const LISTENING: &str = "Listening for client connections on ";

/// A client without credentials; the server speaks first.
pub const GREETING: Greeting = Greeting {
    bytes: b"CONNECT {}\r\n",
    answered: true,
};

/// The NATS side.
pub struct Nats;

/// The server's binary.
pub fn binary() -> String {
    std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "nats-server".to_owned())
}

impl Broker for Nats {
    type Client = NatsCaller;

    async fn start() -> Result<Process> {
        start(&["--addr", "127.0.0.1", "--port", "-1"]).await
    }

    async fn respond(address: &Address, ready: impl FnOnce()) -> Result<()> {
        let client = connect(address).await?;
        let mut calls = client.subscribe(SUBJECT).await?;
        client.flush().await?;
        ready();
        while let Some(call) = calls.next().await {
            let reply = call.reply.context("a call names no inbox for its answer")?;
            client.publish(reply, call.payload).await?;
        }
        bail!("the server is gone")
    }

    async fn connect(address: &Address) -> Result<NatsCaller> {
        Ok(NatsCaller {
            client: connect(address).await?,
        })
    }
}

/// Starts the server with these arguments, which have it listen on loopback.
pub async fn start(arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new(binary());
    command.args(arguments);
    Process::start(command, Announces::Stderr, |line| {
        let (_, socket) = line.split_once(LISTENING)?;
        Some(Address::Tcp(socket.trim().parse().ok()?))
    })
    .await
    .context("benches/README.md says how to install nats-server")
}

/// Connects. async-nats sets `TCP_NODELAY` itself. Subjects are fixed and valid, so it need not check them.
pub async fn connect(address: &Address) -> Result<Client> {
    let Address::Tcp(socket) = address else {
        bail!("NATS listens on TCP only")
    };
    Ok(ConnectOptions::new()
        .skip_subject_validation(true)
        .connect(socket.to_string())
        .await?)
}

/// The calling end; clones share one connection and one inbox subscription.
#[derive(Clone)]
pub struct NatsCaller {
    client: Client,
}

impl Echo for NatsCaller {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        Ok(self.client.request(SUBJECT, payload).await?.payload)
    }
}
