//! The web servers that are compared: how each is started for one round.

mod axum;
mod daemon;
mod nginx;

pub use axum::serve as serve_axum;
pub use daemon::start as start_daemon;
pub use nginx::{binary as nginx_binary, start_proxy, start_push};

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::address::Address;
use crate::process::{Announces, Process, ready_address};

/// The operation that returns what it is given, and the path below which axum answers it.
pub const OPERATION: &str = "bench.echo";

/// A file beside the sources.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Starts axum with its routes at `address`.
pub async fn start_axum(address: &Address) -> Result<Process> {
    Process::of_this_binary(&["axum", &address.to_string()]).await
}

/// A script of `node/`, to be run.
pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(file("node").join(script))
        .env("NODE_ENV", "production");
    command
}

/// Starts a script of `node/`, which says where it listens; or, given an address, that it has connected there.
pub async fn start_node(script: &str, address: Option<&Address>) -> Result<Process> {
    let mut command = node(script);
    command.args(address.map(ToString::to_string));
    Process::start(command, Announces::Stdout, ready_address)
        .await
        .context("benches/README.md says what the Node rivals need")
}
