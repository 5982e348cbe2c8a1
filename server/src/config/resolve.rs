//! The second stage: from written values to run-time types, checking what one value alone cannot tell.

use std::{path::PathBuf, time::Duration};

use super::{
    address::{Address, Network},
    raw::{
        ClientCertificates, LogFormat, RawConfig, RawGotalk, RawHub, RawLimits, RawLog, RawServer, RawTls,
    },
};
use crate::{
    logging,
    units::{Bound, ByteSize, Span},
};

/// Largest payload in bytes that a gotalk header can declare: its size has eight hex digits.
const PAYLOAD_BYTES_MAX: u64 = 0xffff_ffff;

/// What the daemon runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// Its log.
    pub log: Log,
    /// Limits of every door.
    pub limits: Limits,
    /// Certificates, if any door uses TLS.
    pub tls: Option<Tls>,
    /// The gotalk door.
    pub gotalk: Gotalk,
    /// The hub.
    pub hub: Hub,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Folder of the daemon's own files; made at start if it is not there.
    pub data: PathBuf,
    /// How long a stop waits for running calls.
    pub grace: Duration,
    /// User (name or number) to become after binding.
    pub user: Option<String>,
    /// Group (name or number) to become after binding.
    pub group: Option<String>,
    /// Folder to lock the process into after binding.
    pub chroot: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level or a list of `target=level`; checked.
    pub level: String,
    /// Whether a line names the module that wrote it.
    pub target: bool,
}

/// Limits of every door; `None` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, all doors together.
    pub connections: u32,
    /// Connections at once from one address.
    pub connections_per_address: Option<u32>,
    /// New connections a second from one address.
    pub new_connections_per_second_per_address: Option<u32>,
    /// From accept to the end of the handshakes; not zero.
    pub handshake_timeout: Duration,
    /// Bytes a second read from one connection; not zero.
    pub read_bytes_per_second: Option<u64>,
    /// Bytes a second written to one connection; not zero.
    pub write_bytes_per_second: Option<u64>,
}

/// Certificates of the TLS doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Who we are.
    pub identity: Identity,
    /// Who the clients must be.
    pub clients: Clients,
}

/// Where our own certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// PEM files.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made at start, for trying out.
    SelfSigned {
        /// Host names and addresses it is made for; at least one.
        names: Vec<String>,
    },
}

/// What is asked of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// Nothing.
    Anonymous,
    /// A certificate signed by one of these authorities, if they show one.
    Optional(PathBuf),
    /// A certificate signed by one of these authorities.
    Required(PathBuf),
}

/// The gotalk door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gotalk {
    /// Where it listens: at least one address, none twice, each loopback or a Unix socket.
    pub listen: Vec<Address>,
    /// Permission bits of its Unix sockets.
    pub unix_mode: u32,
    /// Who sends PROXY headers; `None` if nobody does.
    pub proxy_trusted: Option<Vec<Network>>,
    /// Longest silence of a peer; longer than the heartbeat interval.
    pub read_timeout: Duration,
    /// Between two heartbeats to a peer; not zero.
    pub heartbeat_interval: Duration,
    /// Single requests of one connection that may run at once.
    pub requests_in_flight: u32,
    /// Streaming requests of one connection that may run at once.
    pub streams_in_flight: u32,
    /// Largest payload of one message in bytes.
    pub payload_max: usize,
    /// Bytes held for one connection; at least one payload.
    pub buffered_max: usize,
    /// Bytes held for one stream; at most `buffered_max`.
    pub stream_buffer: usize,
}

/// The hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// Longest call; not zero.
    pub call_timeout: Duration,
    /// Sessions at once.
    pub sessions: u32,
    /// Operations that one session may serve.
    pub operations_per_session: u32,
    /// Filters that one session may subscribe to.
    pub subscriptions_per_session: u32,
    /// Retained messages in all.
    pub retained_messages: u32,
    /// Bytes of retained messages in all.
    pub retained_bytes: usize,
}

/// A value that does not go with the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub section: &'static str,
    pub key: &'static str,
    pub message: String,
}

/// Collects faults, so that one run tells them all.
struct Faults(Vec<Fault>);

impl Faults {
    fn tell(&mut self, section: &'static str, key: &'static str, message: impl Into<String>) {
        self.0.push(Fault {
            section,
            key,
            message: message.into(),
        });
    }

    fn not_zero(&mut self, section: &'static str, key: &'static str, span: Span) -> Duration {
        if span.0.is_zero() {
            self.tell(section, key, "must be longer than zero");
        }
        span.0
    }

    /// A size that fits this machine's memory addresses and is at least one byte.
    fn size(&mut self, section: &'static str, key: &'static str, size: ByteSize) -> usize {
        if size.0 == 0 {
            self.tell(section, key, "must be larger than zero");
        }
        usize::try_from(size.0).unwrap_or_else(|_| {
            self.tell(section, key, "is more than this machine can address");
            usize::MAX
        })
    }

    fn name(&mut self, section: &'static str, key: &'static str, name: &Option<String>) -> Option<String> {
        if name.as_deref() == Some("") {
            self.tell(section, key, "is empty: leave the key out");
        }
        name.clone()
    }
}

/// Checks and converts; the configuration is there exactly if there is no fault.
pub(super) fn resolve(raw: &RawConfig) -> (Option<Config>, Vec<Fault>) {
    let mut faults = Faults(Vec::new());
    let server = resolve_server(&raw.server, &mut faults);
    let log = resolve_log(&raw.log, &mut faults);
    let limits = resolve_limits(&raw.limits, &mut faults);
    let gotalk = resolve_gotalk(&raw.gotalk, &server, &mut faults);
    let tls = resolve_tls(&raw.tls, &gotalk, &mut faults);
    let hub = resolve_hub(&raw.hub, &mut faults);
    let config = Config {
        server,
        log,
        limits,
        tls,
        gotalk,
        hub,
    };
    (faults.0.is_empty().then_some(config), faults.0)
}

fn resolve_server(raw: &RawServer, faults: &mut Faults) -> Server {
    if raw.data.as_os_str().is_empty() {
        faults.tell("server", "data", "is empty: name a folder");
    }
    Server {
        data: raw.data.clone(),
        grace: raw.grace.0,
        user: faults.name("server", "user", &raw.user),
        group: faults.name("server", "group", &raw.group),
        chroot: raw.chroot.clone(),
    }
}

fn resolve_log(raw: &RawLog, faults: &mut Faults) -> Log {
    if let Err(error) = logging::check_level(&raw.level) {
        faults.tell("log", "level", error.to_string());
    }
    Log {
        format: raw.format,
        level: raw.level.clone(),
        target: raw.target,
    }
}

fn resolve_limits(raw: &RawLimits, faults: &mut Faults) -> Limits {
    let mut rate = |key, bound: Bound<ByteSize>| {
        let limit = bound.limit().map(|size| size.0);
        if limit == Some(0) {
            faults.tell("limits", key, "must be larger than zero, or \"unlimited\"");
        }
        limit
    };
    Limits {
        connections: raw.connections.get(),
        connections_per_address: raw.connections_per_address.limit().map(u32::from),
        new_connections_per_second_per_address: raw
            .new_connections_per_second_per_address
            .limit()
            .map(u32::from),
        read_bytes_per_second: rate("read_bytes_per_second", raw.read_bytes_per_second),
        write_bytes_per_second: rate("write_bytes_per_second", raw.write_bytes_per_second),
        handshake_timeout: faults.not_zero("limits", "handshake_timeout", raw.handshake_timeout),
    }
}

fn resolve_gotalk(raw: &RawGotalk, server: &Server, faults: &mut Faults) -> Gotalk {
    let gotalk = Gotalk {
        listen: resolve_listen(raw, server, faults),
        unix_mode: raw.unix_mode.0,
        proxy_trusted: resolve_proxy(raw, faults),
        read_timeout: faults.not_zero("gotalk", "read_timeout", raw.read_timeout),
        heartbeat_interval: faults.not_zero("gotalk", "heartbeat_interval", raw.heartbeat_interval),
        requests_in_flight: raw.requests_in_flight.get(),
        streams_in_flight: raw.streams_in_flight.get(),
        payload_max: faults.size("gotalk", "payload_max", raw.payload_max),
        buffered_max: faults.size("gotalk", "buffered_max", raw.buffered_max),
        stream_buffer: faults.size("gotalk", "stream_buffer", raw.stream_buffer),
    };
    if gotalk.heartbeat_interval >= gotalk.read_timeout {
        let message = "must be shorter than read_timeout, or two quiet peers of this kind cut each other off";
        faults.tell("gotalk", "heartbeat_interval", message);
    }
    if raw.payload_max.0 > PAYLOAD_BYTES_MAX {
        faults.tell(
            "gotalk",
            "payload_max",
            "is more than a gotalk message can hold (4GiB less one byte)",
        );
    }
    if gotalk.buffered_max < gotalk.payload_max {
        faults.tell(
            "gotalk",
            "buffered_max",
            "must hold at least one payload of payload_max",
        );
    }
    if gotalk.stream_buffer > gotalk.buffered_max {
        faults.tell("gotalk", "stream_buffer", "must not be larger than buffered_max");
    }
    gotalk
}

fn resolve_listen(raw: &RawGotalk, server: &Server, faults: &mut Faults) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for text in &raw.listen.0 {
        match Address::listen(text, &server.data) {
            Ok(address) if addresses.contains(&address) && !address.is_any_port() => {
                faults.tell("gotalk", "listen", format!("`{text}` stands there twice"));
            }
            Ok(address) => addresses.push(address),
            Err(error) => faults.tell("gotalk", "listen", error.to_string()),
        }
    }
    if raw.listen.0.is_empty() {
        faults.tell("gotalk", "listen", "is empty: nobody could connect");
    }
    addresses
}

fn resolve_proxy(raw: &RawGotalk, faults: &mut Faults) -> Option<Vec<Network>> {
    let mut networks = Vec::new();
    for text in &raw.proxy_trusted.0 {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(message) => faults.tell("gotalk", "proxy_trusted", message),
        }
    }
    if raw.proxy_protocol && raw.proxy_trusted.0.is_empty() {
        let message = "is empty: with proxy_protocol, name the proxies, or anybody could claim any address";
        faults.tell("gotalk", "proxy_trusted", message);
    }
    raw.proxy_protocol.then_some(networks)
}

fn resolve_tls(raw: &RawTls, gotalk: &Gotalk, faults: &mut Faults) -> Option<Tls> {
    let identity = resolve_identity(raw, faults);
    let clients = resolve_clients(raw, faults);
    let door = gotalk
        .listen
        .iter()
        .any(|address| matches!(address, Address::Tls(_)));
    match (&identity, door) {
        (None, true) if raw.certificate.is_none() && raw.key.is_none() => {
            let message = "a tls:// address needs `certificate` and `key` in [tls], or `self_signed = true` \
                           (--tls-self-signed) for trying out";
            faults.tell("gotalk", "listen", message);
        }
        (Some(_), false) => {
            let key = if raw.self_signed {
                "self_signed"
            } else {
                "certificate"
            };
            let message = "there is a certificate, but no door that shows it: add a tls:// address to listen \
                           (like --listen tls://127.0.0.1:4743)";
            faults.tell("tls", key, message);
        }
        _ => {}
    }
    identity.map(|identity| Tls { identity, clients })
}

fn resolve_identity(raw: &RawTls, faults: &mut Faults) -> Option<Identity> {
    match (raw.self_signed, &raw.certificate, &raw.key) {
        (false, Some(certificate), Some(key)) => Some(Identity::Files {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        (true, None, None) => {
            if raw.names.0.is_empty() {
                faults.tell("tls", "names", "is empty: a self-signed certificate needs a name");
            }
            Some(Identity::SelfSigned {
                names: raw.names.0.clone(),
            })
        }
        (false, None, None) => None,
        (true, ..) => {
            faults.tell(
                "tls",
                "self_signed",
                "does not go with certificate and key: choose one",
            );
            None
        }
        (false, Some(_), None) => {
            faults.tell("tls", "certificate", "needs its key: set `key` too");
            None
        }
        (false, None, Some(_)) => {
            faults.tell("tls", "key", "needs its certificate: set `certificate` too");
            None
        }
    }
}

fn resolve_clients(raw: &RawTls, faults: &mut Faults) -> Clients {
    match (raw.client_certificates, &raw.client_ca) {
        (ClientCertificates::Off, None) => Clients::Anonymous,
        (ClientCertificates::Optional, Some(ca)) => Clients::Optional(ca.clone()),
        (ClientCertificates::Required, Some(ca)) => Clients::Required(ca.clone()),
        (ClientCertificates::Off, Some(_)) => {
            let message = "has no effect: set client_certificates to \"optional\" or \"required\" too";
            faults.tell("tls", "client_ca", message);
            Clients::Anonymous
        }
        (_, None) => {
            let message = "needs client_ca: the file of the authorities that sign clients";
            faults.tell("tls", "client_certificates", message);
            Clients::Anonymous
        }
    }
}

fn resolve_hub(raw: &RawHub, faults: &mut Faults) -> Hub {
    Hub {
        call_timeout: faults.not_zero("hub", "call_timeout", raw.call_timeout),
        sessions: raw.sessions.get(),
        operations_per_session: raw.operations_per_session.get(),
        subscriptions_per_session: raw.subscriptions_per_session.get(),
        retained_messages: raw.retained_messages.get(),
        retained_bytes: faults.size("hub", "retained_bytes", raw.retained_bytes),
    }
}
