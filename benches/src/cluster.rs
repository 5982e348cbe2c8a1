//! Two daemons that keep their state in one NATS cluster of three nodes: a call through the other daemon, a message to
//! its subscribers; beside the same between two nodes of the cluster without a daemon, which is the share that is NATS.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use switchboard_peer::{Handlers, connect};

use crate::address::Address;
use crate::broker::{self, start_command, start_nats, switchboard_command, tcp_door};
use crate::callers::Callers;
use crate::load::{Cell, Shape};
use crate::process::{Process, free_port};
use crate::pubsub::{Pattern, Place};
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;

/// Nodes of the cluster.
const NODES: usize = 3;

/// How often, and how many times at most, a daemon or an operation that comes to be is tried: half a minute.
const TRY_INTERVAL: Duration = Duration::from_millis(100);
const TRIES_MAX: u32 = 300;

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Calls in flight on the caller's one connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    in_flight: Vec<usize>,
    /// Who publishes to whom.
    #[arg(long, value_delimiter = ',', default_value = "1to1,1to100")]
    patterns: Vec<Pattern>,
    /// Messages of each publisher that may be on their way at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 256])]
    under_way: Vec<usize>,
    /// Bytes in a call and in a message, at least 12.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    #[command(flatten)]
    rounds: Rounds,
}

/// The cluster, which stays for the whole run: it takes seconds to come up.
struct Cluster {
    nodes: Vec<Process>,
}

/// The two places where a side is used.
struct Ends {
    servers: Vec<Process>,
    /// Where callers and publishers connect.
    near: Address,
    /// Where responders and subscribers connect.
    far: Address,
}

impl Cluster {
    async fn start() -> Result<Self> {
        let routes: Vec<SocketAddr> = (0..NODES).map(|_| free_port()).collect::<Result<_>>()?;
        let urls: Vec<String> = routes.iter().map(|route| format!("\"nats://{route}\"")).collect();
        let mut nodes = Vec::new();
        for (number, route) in routes.iter().enumerate() {
            let files = tempfile::tempdir()?;
            let configuration = format!(
                "listen: \"127.0.0.1:-1\"\nserver_name: n{number}\njetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: bench, listen: \"{route}\", routes: [{}] }}\n",
                files.path().join("store").display(),
                urls.join(", ")
            );
            let path = files.path().join("nats.conf");
            std::fs::write(&path, configuration)?;
            let node = start_nats(&["--config", &path.display().to_string()]).await?;
            nodes.push(node.keeping(files));
        }
        Ok(Self { nodes })
    }

    /// The addresses of the nodes, from that one on.
    fn urls_from(&self, first: usize) -> String {
        let (before, after) = self.nodes.split_at(first);
        let urls = after.iter().chain(before).map(|node| match node.address() {
            Address::Tcp(socket) => format!("nats://{socket}"),
            Address::Unix(path) => path.display().to_string(),
        });
        urls.collect::<Vec<_>>().join(",")
    }

    /// Two ends of one side, new ones for each round. `prefix` keeps the state of a round from the next.
    async fn ends(&self, name: broker::Name, prefix: &str) -> Result<Ends> {
        match name {
            broker::Name::Switchboard => {
                let near = self.daemon(0, prefix).await?;
                let far = self.daemon(1, prefix).await?;
                Ok(Ends {
                    near: near.address().clone(),
                    far: far.address().clone(),
                    servers: vec![near, far],
                })
            }
            broker::Name::Nats => {
                let node = |number: usize| self.nodes.get(number).context("there are three nodes");
                Ok(Ends {
                    near: node(0)?.address().clone(),
                    far: node(1)?.address().clone(),
                    servers: Vec::new(),
                })
            }
        }
    }

    /// A daemon at the cluster, which may still have to agree on a leader.
    async fn daemon(&self, first: usize, prefix: &str) -> Result<Process> {
        let mut tries = 0;
        loop {
            let files = tempfile::tempdir()?;
            let mut command = switchboard_command(files.path(), &["tcp://127.0.0.1:0"]);
            command
                .args(["--engine", &self.urls_from(first)])
                .env("SWITCHBOARD_NATS_PREFIX", prefix);
            match start_command(command, files, tcp_door).await {
                Ok(daemon) => return Ok(daemon),
                Err(error) if tries == TRIES_MAX => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(TRY_INTERVAL).await;
        }
    }
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let cluster = Cluster::start().await?;
    let calls = calls(&cluster, options).await?;
    let messages = messages(&cluster, options).await?;
    for node in cluster.nodes {
        node.end().await?;
    }
    Ok(format!("{calls}\n{messages}"))
}

const SIDES: [broker::Name; 2] = [broker::Name::Switchboard, broker::Name::Nats];

/// A name that no round before had.
fn fresh_prefix() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static ROUNDS: AtomicU64 = AtomicU64::new(0);
    format!("bench{}", ROUNDS.fetch_add(1, Ordering::Relaxed))
}

async fn calls(cluster: &Cluster, options: &Options) -> Result<String> {
    let mut report = Report::new("Calls a second to the other daemon", &["payload", "in flight"]);
    for payload in &options.payloads {
        for in_flight in &options.in_flight {
            eprintln!("cluster: calls, {payload} B, {in_flight} in flight");
            let side = |name: broker::Name| {
                Side::new(name, move || start_calls(cluster, name, *in_flight, *payload))
            };
            let label = vec![format!("{payload} B"), in_flight.to_string()];
            report.add(label, compare(&SIDES.map(side), options.rounds).await?);
        }
    }
    Ok(report.render_speed())
}

async fn start_calls(
    cluster: &Cluster,
    name: broker::Name,
    in_flight: usize,
    payload: usize,
) -> Result<Running> {
    let mut ends = cluster.ends(name, &fresh_prefix()).await?;
    ends.servers.push(name.start_responder(&ends.far).await?);
    if name == broker::Name::Switchboard {
        until_served(&ends.near).await?;
    }
    let cell = Cell {
        address: ends.near,
        shape: Shape {
            connections: 1,
            in_flight,
        },
        payload,
    };
    Ok(Running {
        callers: Callers::start("relay", name, &cell).await?,
        servers: ends.servers,
    })
}

/// Waits until the daemon at `address` has heard of the operation at the other.
async fn until_served(address: &Address) -> Result<()> {
    let peer = connect(&address.to_string(), Handlers::new()).await?;
    let mut tries = 0;
    while let Err(fault) = peer.request_raw(broker::OPERATION, Bytes::new()).await {
        tries += 1;
        if tries > TRIES_MAX {
            return Err(fault).context("calling through the other daemon");
        }
        tokio::time::sleep(TRY_INTERVAL).await;
    }
    Ok(())
}

async fn messages(cluster: &Cluster, options: &Options) -> Result<String> {
    let mut report = Report::new(
        "Messages delivered a second at the other daemon",
        &["pattern", "payload", "under way"],
    );
    for pattern in &options.patterns {
        for payload in &options.payloads {
            for under_way in &options.under_way {
                eprintln!("cluster: {pattern}, {payload} B, {under_way} under way");
                let side = |name: broker::Name| {
                    Side::new(name, move || {
                        start_messages(cluster, name, *pattern, *under_way, *payload)
                    })
                };
                let label = [pattern.to_string(), format!("{payload} B"), under_way.to_string()];
                report.add(label.into(), compare(&SIDES.map(side), options.rounds).await?);
            }
        }
    }
    Ok(report.render_speed())
}

async fn start_messages(
    cluster: &Cluster,
    name: broker::Name,
    pattern: Pattern,
    under_way: usize,
    payload: usize,
) -> Result<Running> {
    let ends = cluster.ends(name, &fresh_prefix()).await?;
    let place = Place {
        publish_at: ends.near,
        subscribe_at: ends.far,
        pattern,
        under_way,
        payload,
    };
    Ok(Running {
        callers: Callers::start_with("pubsub", name, &place.arguments()).await?,
        servers: ends.servers,
    })
}
