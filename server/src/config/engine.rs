//! Where the hub keeps its state: from what is written to what an engine is opened with.

use std::path::PathBuf;

use switchboard_engine::Durability;

use super::raw::{RawEngine, RawNats};
use super::resolve::{Faults, Server};

/// The engine in this process.
pub const EMBEDDED: &str = "embedded";

/// What stands for no folder at all.
pub const IN_MEMORY: &str = ":memory:";

/// The folder of the embedded engine in the data folder.
pub const FOLDER: &str = "engine";

/// Where the address of a cluster is written, in which there may be a password.
pub(super) const URL_KEY: (&str, &str) = ("engine", "engine");

/// Most copies that JetStream keeps.
const REPLICAS_MAX: u32 = 5;

/// Most characters of the prefix: it becomes part of the names of streams.
const PREFIX_CHARS_MAX: usize = 32;

/// An engine to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// In this process, gone with it.
    Memory,
    /// In this process, on disk.
    Embedded(Embedded),
    /// In a cluster.
    Nats(Nats),
}

/// The embedded engine on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Its own folder.
    pub folder: PathBuf,
    /// When what was acknowledged is safe.
    pub durability: Durability,
    /// Bytes for what is read often.
    pub memory: usize,
}

/// A NATS cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// Its servers, each `nats://…` or `tls://…`; at least one.
    pub servers: Vec<String>,
    /// File with a JWT and its seed.
    pub credentials: Option<PathBuf>,
    /// PEM file of who signs for the servers.
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to them; exactly if there is a key.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Copies of everything, 1 to 5.
    pub replicas: usize,
    /// What tells this switchboard from others.
    pub prefix: String,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nats")
            .field("servers", &without_secrets(&self.servers.join(",")))
            .field("credentials", &self.credentials)
            .field("replicas", &self.replicas)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

pub(super) fn resolve(engine: &RawEngine, nats: &RawNats, server: &Server, faults: &mut Faults) -> Engine {
    let memory = faults.size("engine", "memory", engine.memory);
    if engine.engine != EMBEDDED {
        return Engine::Nats(resolve_nats(&engine.engine, nats, faults));
    }
    match &server.data {
        None => Engine::Memory,
        Some(data) => Engine::Embedded(Embedded {
            folder: data.join(FOLDER),
            durability: engine.durability,
            memory,
        }),
    }
}

fn resolve_nats(url: &str, raw: &RawNats, faults: &mut Faults) -> Nats {
    let servers: Vec<String> = url.split(',').map(|server| server.trim().to_owned()).collect();
    let is_server = |server: &String| {
        let rest = ["nats://", "tls://"]
            .iter()
            .find_map(|scheme| server.strip_prefix(scheme));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', ' ']))
    };
    if !servers.iter().all(is_server) {
        let message = format!(
            "`{}` is no engine: write `{EMBEDDED}`, or the servers of a cluster like nats://host1:4222,nats://host2:4222",
            without_secrets(url)
        );
        faults.tell(URL_KEY.0, URL_KEY.1, message);
    }
    for (key, file, other) in [
        ("certificate", &raw.certificate, &raw.key),
        ("key", &raw.key, &raw.certificate),
    ] {
        if file.is_some() && other.is_none() {
            faults.tell("nats", key, "certificate and key go together: set both or none");
        }
    }
    if raw.replicas.get() > REPLICAS_MAX {
        faults.tell("nats", "replicas", format!("must be 1 to {REPLICAS_MAX}"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !(1..=PREFIX_CHARS_MAX).contains(&raw.prefix.len()) || !raw.prefix.chars().all(is_plain) {
        let message = format!("must be 1 to {PREFIX_CHARS_MAX} letters, digits, `-` and `_`");
        faults.tell("nats", "prefix", message);
    }
    Nats {
        servers,
        credentials: raw.credentials.clone(),
        ca: raw.ca.clone(),
        certificate: raw.certificate.clone(),
        key: raw.key.clone(),
        replicas: raw.replicas.get().min(REPLICAS_MAX) as usize,
        prefix: raw.prefix.clone(),
    }
}

/// The servers of a cluster, with `***` instead of users, passwords and tokens.
pub fn without_secrets(servers: &str) -> String {
    let shown = servers.split(',').map(|server| {
        let (scheme, rest) = server.split_once("://").unwrap_or(("", server));
        match rest.rsplit_once('@') {
            Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => server.to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(",")
}
