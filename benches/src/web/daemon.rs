//! `switchboard serve` with an HTTP door on TCP and a gotalk door on a Unix socket, where its responder connects.

use anyhow::Result;

use crate::address::Address;
use crate::broker;
use crate::process::Process;

/// Starts the daemon; its address is that of the HTTP door, on a free port. The second is where programs connect.
pub async fn start() -> Result<(Process, Address)> {
    let data = tempfile::tempdir()?;
    let socket = Address::Unix(data.path().join("hub.sock"));
    let doors = ["http://127.0.0.1:0", &socket.to_string()];
    let daemon = broker::start_switchboard(data, &doors, |line| {
        let (_, http) = line.split_once("http://")?;
        Some(Address::Tcp(http.trim().parse().ok()?))
    })
    .await?;
    Ok((daemon, socket))
}
