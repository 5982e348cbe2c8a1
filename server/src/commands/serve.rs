//! `serve`: the daemon from its start to its end.
//!
//! ```text
//! configuration ─► log ─► data folder ─► certificate ─► bind all doors ─► drop privileges ─► "ready" ─► … ─► drain
//! ```
//!
//! stdout gets one line a door, `NAME  URL`, with the address that is really bound, and then `ready`: from that line
//! on signals are heeded and connections served. Everything else goes to the log.

use std::fmt::Write as _;

use anyhow::Context;
use switchboard_hub::{Hub, HubConfig, RetainedLimits};
use switchboard_net::{Ending, InheritedSockets, Network, Shutdown, Tls, open_files, signals};

use super::runtime;
use crate::{
    cli::serve::ServeArgs,
    config::{self, Config},
    confinement, data_directory,
    doors::{self, Door, House},
    logging, output,
};

/// `switchboard serve`
pub(super) fn serve(args: &ServeArgs, inherited: InheritedSockets) -> anyhow::Result<()> {
    let mut config = config::load(&args.sources())?.config;
    logging::start(&config.log)?;
    raise_open_files(&config);
    confinement::enter(&mut config)?;
    let becoming = config.server.privileges.as_ref();
    data_directory::make(&config.server.data, becoming)?;
    // The user's own programs may open the socket, as they may where the daemon was that user from the start.
    let owner = data_directory::owner(becoming)?;
    config.gotalk.unix.owner = config.gotalk.unix.owner.or(owner);
    let tls = config.tls.clone().map(Tls::new).transpose()?;
    let house = House {
        hub: Hub::new(hub_config(&config)),
        network: Network::with_inherited(config.limits.clone(), inherited),
        shutdown: Shutdown::new(),
        tls,
        config,
    };
    runtime::block_on(run(house))?
}

async fn run(house: House) -> anyhow::Result<()> {
    let doors = doors::open(&house).await?;
    if let Some(privileges) = &house.config.server.privileges {
        let dropped = privileges.drop_to()?;
        tracing::info!(user = dropped.user, group = dropped.group, "privileges dropped");
    }
    let tls = house.tls.clone();
    let reload = move || match &tls {
        // It logs how that went.
        Some(tls) => drop(tls.reload()),
        None => tracing::info!("nothing to read again: there is no certificate"),
    };
    // Before anything is announced: whoever reads of it may send a signal.
    signals::watch(house.shutdown.clone(), reload).context("cannot watch for signals")?;
    announce(&doors);
    for door in doors {
        tokio::spawn(door.run());
    }
    house.shutdown.draining().await;
    tracing::info!(grace = ?house.config.server.grace, connections = house.network.stats().open(), "draining");
    match house.shutdown.drain(house.config.server.grace).await {
        Ending::Graceful => tracing::info!("stopped: everything had ended"),
        Ending::Stopped { tasks } => tracing::warn!(tasks, "stopped: not everything had ended"),
    }
    Ok(())
}

fn announce(doors: &[Door]) {
    let mut text = String::new();
    for door in doors {
        tracing::info!(door = door.name, address = door.address, "listening");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}  {}", door.name, door.address);
    }
    text.push_str("ready\n");
    if let Err(error) = output::print(text.as_bytes()) {
        // No reason to stop: nobody need read it.
        tracing::debug!(%error, "cannot announce the doors");
    }
}

/// A connection takes a descriptor; a few more are taken by the rest.
fn raise_open_files(config: &Config) {
    const OTHERS: u64 = 64;
    let wanted = u64::try_from(config.limits.connections_max.get()).unwrap_or(u64::MAX);
    match open_files::raise() {
        Ok(Some(limit)) if limit < wanted.saturating_add(OTHERS) => tracing::warn!(
            limit,
            connections = wanted,
            "limits.connections is more than this process may have open files (ulimit -n)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}

fn hub_config(config: &Config) -> HubConfig {
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
    let hub = &config.hub;
    HubConfig {
        sessions_max: count(hub.sessions),
        operations_per_session_max: count(hub.operations_per_session),
        subscriptions_per_session_max: count(hub.subscriptions_per_session),
        retained: RetainedLimits {
            messages: count(hub.retained_messages),
            bytes: hub.retained_bytes,
        },
        call_timeout: Some(hub.call_timeout),
        absence_grace: hub.absence_grace,
        ..HubConfig::default()
    }
}
