//! `serve`: the daemon from its start to its end.
//!
//! ```text
//! configuration ─► log ─► data folder ─► access log ─► bind all doors ─► drop privileges ─► open the engine
//!   ─► "ready" ─► … ─► drain: no new connections, sessions end, the engine is closed
//! ```
//!
//! stdout gets one line a door, `NAME  URL`, one below the other, with the address that is really bound, and then `ready`: from that line
//! on signals are heeded and connections served. Everything else goes to the log.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use anyhow::Context;
use switchboard_hub::{Hub, HubConfig, RetainedLimits};
use switchboard_net::{Ending, InheritedSockets, Network, Shutdown, open_files, signals};

use super::{
    runtime,
    state::{BACKUP, Backup},
};
use crate::{
    access_log::AccessLogFile,
    cli::serve::ServeArgs,
    config::{self, Config, values::AccessLog},
    confinement, data_directory,
    doors::{self, Door, House},
    engines::{self, Manner},
    exit::Failure,
    logging, output,
};

/// How long the engine may take to be closed: more than a disk needs for what it holds back, and than a cluster needs
/// to answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Columns of the longest name of a door.
const NAME_WIDTH: usize = 6;

/// `switchboard serve`
pub(super) fn serve(args: &ServeArgs, inherited: InheritedSockets) -> anyhow::Result<()> {
    let mut config = config::load(&args.sources())?.config;
    logging::start(&config.log)?;
    raise_open_files(&config);
    confinement::enter(&mut config)?;
    let becoming = config.server.privileges.as_ref();
    if let Some(data) = &config.server.data {
        data_directory::make(data, becoming)?;
    }
    // The user's own programs may open the socket, as they may where the daemon was that user from the start.
    let owner = data_directory::owner(becoming)?;
    for unix in [
        &mut config.gotalk.unix,
        &mut config.http.unix,
        &mut config.redis.unix,
    ] {
        unix.owner = unix.owner.or(owner);
    }
    let access_log = open_access_log(&config, owner)?;
    let house = House {
        network: Network::with_inherited(config.limits.clone(), inherited),
        shutdown: Shutdown::new(),
        access_log: access_log.clone(),
        config,
    };
    let manner = Manner {
        accept_loss: args.accept_loss,
    };
    let workers = house.config.server.workers;
    let done = runtime::block_on_workers(workers, run(house, manner));
    if let Some(log) = access_log {
        log.close();
    }
    done?
}

fn open_access_log(config: &Config, owner: Option<u32>) -> anyhow::Result<Option<AccessLogFile>> {
    match &config.http.access_log {
        AccessLog::File(path) if !config.http.listen.is_empty() => AccessLogFile::open(path, owner).map(Some),
        _ => Ok(None),
    }
}

async fn run(house: House, manner: Manner) -> anyhow::Result<()> {
    let doors = doors::bind(&house).await?;
    let tls = doors.tls.clone();
    if let Some(privileges) = &house.config.server.privileges {
        let dropped = privileges.drop_to()?;
        tracing::info!(user = dropped.user, group = dropped.group, "privileges dropped");
    }
    // As who the daemon will be from now on: what an engine makes belongs to it.
    let hub = open_hub(&house, manner).await?;
    let doors = doors.open(&house, &hub);
    let access_log = house.access_log.clone();
    let reload = move || {
        if tls.is_empty() && access_log.is_none() {
            tracing::info!("nothing to read again: there is no certificate");
        }
        for tls in &tls {
            // It logs how that went.
            drop(tls.reload());
        }
        if let Some(log) = &access_log {
            log.reopen();
        }
    };
    // Before anything is announced: whoever reads of it may send a signal.
    signals::watch(house.shutdown.clone(), reload).context("cannot watch for signals")?;
    announce(&doors);
    for door in doors {
        tokio::spawn(door.run());
    }
    house.shutdown.draining().await;
    hub.drain();
    tracing::info!(grace = ?house.config.server.grace, connections = house.network.stats().open(), "draining");
    match house.shutdown.drain(house.config.server.grace).await {
        Ending::Graceful => tracing::info!("stopped: everything had ended"),
        Ending::Stopped { tasks } => tracing::warn!(tasks, "stopped: not everything had ended"),
    }
    close(&hub).await
}

async fn open_hub(house: &House, manner: Manner) -> anyhow::Result<Hub> {
    let engine = engines::open(&house.config.engine, manner).await?;
    tracing::info!(engine = engine.description(), "engine open");
    let hub = Hub::with_engine(hub_config(&house.config), Arc::clone(&engine)).await;
    let hub = hub
        .map_err(Failure::from)
        .context("cannot read the last values")?;
    let safe = false;
    hub.serve_own(BACKUP, safe, Arc::new(Backup { engine }));
    Ok(hub)
}

/// What was acknowledged is safe when this has succeeded.
async fn close(hub: &Hub) -> anyhow::Result<()> {
    match tokio::time::timeout(CLOSE_TIMEOUT, hub.stop()).await {
        Ok(stopped) => Ok(stopped
            .map_err(Failure::from)
            .context("cannot close the engine")?),
        Err(_) => anyhow::bail!("the engine was not closed within {CLOSE_TIMEOUT:?}"),
    }
}

fn announce(doors: &[Door]) {
    let mut text = String::new();
    for door in doors {
        tracing::info!(door = door.name, address = door.address, "listening");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:NAME_WIDTH$}  {}", door.name, door.address);
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
