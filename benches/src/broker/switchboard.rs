//! Switchboard's daemon as it comes, its peer library at both ends.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use switchboard_peer::{Handlers, Peer, ServeOptions, connect};
use tempfile::TempDir;
use tokio::process::Command;

use super::Broker;
use crate::address::Address;
use crate::contender::Echo;
use crate::process::{Announces, Process};

/// The operation both ends agree on.
pub const OPERATION: &str = "bench.echo";

/// Names the daemon's binary; the one in `PATH` is used where it is not set.
pub const BINARY_VARIABLE: &str = "SWITCHBOARD";

/// The Switchboard side.
pub struct Switchboard;

impl Broker for Switchboard {
    type Client = HubCaller;

    async fn start() -> Result<Process> {
        start(tempfile::tempdir()?, &["tcp://127.0.0.1:0"], tcp_door).await
    }

    async fn respond(address: &Address, ready: impl FnOnce()) -> Result<()> {
        let handlers = Handlers::new().handle_raw(OPERATION, |_, payload| async { Ok(payload) });
        let peer = connect(&address.to_string(), handlers).await?;
        peer.at_hub().serve(&[OPERATION], ServeOptions::default()).await?;
        ready();
        bail!("the daemon is gone: {}", peer.closed().await)
    }

    async fn connect(address: &Address) -> Result<HubCaller> {
        Ok(HubCaller(connect(&address.to_string(), Handlers::new()).await?))
    }
}

/// Starts the daemon with its files in `data` and these `doors`; `address_in` finds its address in a line for one of
/// them.
pub async fn start(
    data: TempDir,
    doors: &[&str],
    address_in: impl Fn(&str) -> Option<Address>,
) -> Result<Process> {
    start_command(command(data.path(), doors), data, address_in).await
}

/// `switchboard serve` with its files in `data` and these `doors`, to be told more.
pub fn command(data: &Path, doors: &[&str]) -> Command {
    let mut command =
        Command::new(std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "switchboard".to_owned()));
    command.args(["serve", "--log-level", "warn", "--data"]).arg(data);
    for door in doors {
        command.args(["--listen", door]);
    }
    command
}

/// Starts such a command, and keeps `data` for as long as it runs.
pub async fn start_command(
    command: Command,
    data: TempDir,
    address_in: impl Fn(&str) -> Option<Address>,
) -> Result<Process> {
    let daemon = Process::start(command, Announces::Stdout, address_in)
        .await
        .context("starting `switchboard serve`")?;
    Ok(daemon.keeping(data))
}

/// The address in the line of a door for gotalk on TCP.
pub fn tcp_door(line: &str) -> Option<Address> {
    let (_, socket) = line.split_once("tcp://")?;
    Some(Address::Tcp(socket.trim().parse().ok()?))
}

/// The asking end.
#[derive(Clone)]
pub struct HubCaller(Peer);

impl Echo for HubCaller {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        Ok(self.0.request_raw(OPERATION, payload).await?)
    }
}
