//! The second stage: from written values to run-time types, checking what one value alone cannot tell.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    thread,
    time::Duration,
};

use switchboard_net::{
    Address, Certificate, ClientCertificates, ConnectionLimits, IpNet, Limits, ProxyProtocol, TlsSettings,
    UnixSettings, privilege::Privileges,
};

use super::{
    address::{self, Schemes},
    engine::{self, Engine},
    raw::{
        self, FileMode, List, LogFormat, RawConfig, RawGotalk, RawHttp, RawHub, RawLimits, RawLog, RawRedis,
        RawServer, RawTls,
    },
};
use crate::{
    logging,
    units::{Bound, ByteSize, Span},
};

mod http;
mod redis;

pub use http::Http;
pub use redis::Redis;

/// Largest payload in bytes that a gotalk header can declare: its size has eight hex digits.
const PAYLOAD_BYTES_MAX: u64 = 0xffff_ffff;

/// Most threads that may serve connections: more than any machine has a use for.
const WORKERS_MAX: usize = 1024;

/// What the daemon runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// Its log.
    pub log: Log,
    /// Limits over all doors.
    pub limits: Limits,
    /// Limits of each connection.
    pub connection: ConnectionLimits,
    /// What the TLS doors show and ask for, if there are any.
    pub tls: Option<TlsSettings>,
    /// The gotalk door.
    pub gotalk: Gotalk,
    /// The HTTP door.
    pub http: Http,
    /// The Redis door.
    pub redis: Redis,
    /// The hub.
    pub hub: Hub,
    /// Where it keeps its state.
    pub engine: Engine,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Folder of the daemon's own files; made at start if it is not there. `None`: it keeps none.
    pub data: Option<PathBuf>,
    /// How long a stop waits for running calls.
    pub grace: Duration,
    /// Threads that serve connections: 1 to 1024.
    pub workers: NonZeroUsize,
    /// Whom to become after binding, and where; `None` to stay as started.
    pub privileges: Option<Privileges>,
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

/// The gotalk door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gotalk {
    /// Where it listens: no address twice, each loopback, a Unix socket or an inherited one. None if it is closed.
    pub listen: Vec<Address>,
    /// Its Unix sockets.
    pub unix: UnixSettings,
    /// Whether proxies in front tell who the clients are; never on Unix sockets.
    pub proxy: ProxyProtocol,
    /// Longest silence of a peer; longer than the heartbeat interval.
    pub read_timeout: Duration,
    /// Between two heartbeats to a peer; not zero.
    pub heartbeat_interval: Duration,
    /// Single requests of one connection that may run at once.
    pub requests_in_flight: NonZeroU32,
    /// Streaming requests of one connection that may run at once.
    pub streams_in_flight: NonZeroU32,
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
    /// How long a lost responder is missed; zero does not miss it.
    pub absence_grace: Duration,
    /// Sessions at once.
    pub sessions: NonZeroU32,
    /// Operations that one session may serve.
    pub operations_per_session: NonZeroU32,
    /// Filters that one session may subscribe to.
    pub subscriptions_per_session: NonZeroU32,
    /// Retained messages in all.
    pub retained_messages: NonZeroU32,
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
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn tell(&mut self, section: &'static str, key: &'static str, message: impl Into<String>) {
        self.0.push(Fault {
            section,
            key,
            message: message.into(),
        });
    }

    pub(super) fn not_zero(&mut self, section: &'static str, key: &'static str, span: Span) -> Duration {
        if span.0.is_zero() {
            self.tell(section, key, "must be longer than zero");
        }
        span.0
    }

    /// A size that fits this machine's memory addresses and is at least one byte.
    pub(super) fn size(&mut self, section: &'static str, key: &'static str, size: ByteSize) -> usize {
        if size.0 == 0 {
            self.tell(section, key, "must be larger than zero");
        }
        usize::try_from(size.0).unwrap_or_else(|_| {
            self.tell(section, key, "is more than this machine can address");
            usize::MAX
        })
    }

    /// A count that fits this machine's memory addresses; on all we know it does.
    fn count(number: NonZeroU32) -> NonZeroUsize {
        NonZeroUsize::try_from(number).unwrap_or(NonZeroUsize::MAX)
    }
}

/// Checks and converts; the configuration is there exactly if there is no fault.
pub(super) fn resolve(raw: &RawConfig) -> (Option<Config>, Vec<Fault>) {
    let mut faults = Faults(Vec::new());
    let server = resolve_server(&raw.server, &mut faults);
    let log = resolve_log(&raw.log, &mut faults);
    let limits = resolve_limits(&raw.limits);
    let connection = resolve_connection(&raw.limits, &mut faults);
    let gotalk = resolve_gotalk(&raw.gotalk, &server, &mut faults);
    let http = http::resolve(&raw.http, &server, &mut faults);
    let redis = redis::resolve(&raw.redis, &server, &mut faults);
    let written = [&raw.gotalk.listen, &raw.http.listen, &raw.redis.listen];
    if written.iter().all(|listen| listen.0.is_empty()) {
        faults.tell(
            "gotalk",
            "listen",
            "is empty, and so are http.listen and redis.listen: nobody could connect",
        );
    }
    let doors = [
        (&address::GOTALK, &gotalk.listen[..]),
        (&address::HTTP, &http.listen[..]),
        (&address::REDIS, &redis.listen[..]),
    ];
    let tls = resolve_tls(&raw.tls, &server, doors, &mut faults);
    let hub = resolve_hub(&raw.hub, &mut faults);
    let engine = engine::resolve(&raw.engine, &raw.nats, &server, &mut faults);
    let config = Config {
        server,
        log,
        limits,
        connection,
        tls,
        gotalk,
        http,
        redis,
        hub,
        engine,
    };
    (faults.0.is_empty().then_some(config), faults.0)
}

fn resolve_server(raw: &RawServer, faults: &mut Faults) -> Server {
    if raw.data.as_os_str().is_empty() {
        faults.tell("server", "data", "is empty: name a folder");
    }
    Server {
        data: (raw.data.as_os_str() != engine::IN_MEMORY).then(|| raw.data.clone()),
        grace: raw.grace.0,
        workers: resolve_workers(raw, faults),
        privileges: resolve_privileges(raw, faults),
    }
}

/// Half of the processors if nothing is said: the other half is for the kernel's part of the work, for the engine's own
/// threads, and for the programs that talk. More threads than have something to do mostly wake each other.
fn resolve_workers(raw: &RawServer, faults: &mut Faults) -> NonZeroUsize {
    let Some(workers) = raw.workers.map(Faults::count) else {
        let processors = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        return NonZeroUsize::new(processors.get() / 2).unwrap_or(NonZeroUsize::MIN);
    };
    if workers.get() > WORKERS_MAX {
        faults.tell(
            "server",
            "workers",
            format!("more than {WORKERS_MAX} threads are of no use"),
        );
    }
    workers
}

fn resolve_privileges(raw: &RawServer, faults: &mut Faults) -> Option<Privileges> {
    for (key, name) in [("user", &raw.user), ("group", &raw.group)] {
        if name.as_deref() == Some("") {
            faults.tell("server", key, "is empty: leave the key out");
        }
    }
    for (key, is_set) in [("group", raw.group.is_some()), ("chroot", raw.chroot.is_some())] {
        if is_set && raw.user.is_none() {
            faults.tell("server", key, "needs `user` too: root gives nothing up by it");
        }
    }
    let user = raw.user.clone()?;
    Some(Privileges {
        user,
        group: raw.group.clone(),
        chroot: raw.chroot.clone(),
    })
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

fn resolve_limits(raw: &RawLimits) -> Limits {
    Limits {
        connections_max: Faults::count(raw.connections),
        connections_per_address_max: raw.connections_per_address.limit().map(Faults::count),
        new_connections_per_second: raw.new_connections_per_second_per_address.limit(),
    }
}

fn resolve_connection(raw: &RawLimits, faults: &mut Faults) -> ConnectionLimits {
    let mut rate = |key, bound: Bound<ByteSize>| {
        let limit = bound.limit()?;
        let rate = NonZeroU64::new(limit.0);
        if rate.is_none() {
            faults.tell("limits", key, "must be larger than zero, or \"unlimited\"");
        }
        rate
    };
    ConnectionLimits {
        read_bytes_per_second: rate("read_bytes_per_second", raw.read_bytes_per_second),
        write_bytes_per_second: rate("write_bytes_per_second", raw.write_bytes_per_second),
        handshake_timeout: faults.not_zero("limits", "handshake_timeout", raw.handshake_timeout),
        ..ConnectionLimits::default()
    }
}

fn resolve_gotalk(raw: &RawGotalk, server: &Server, faults: &mut Faults) -> Gotalk {
    let gotalk = Gotalk {
        listen: resolve_listen(&address::GOTALK, &raw.listen, server, faults),
        unix: unix(raw.unix_mode),
        proxy: resolve_proxy("gotalk", raw.proxy_protocol, &raw.proxy_trusted, faults),
        read_timeout: faults.not_zero("gotalk", "read_timeout", raw.read_timeout),
        heartbeat_interval: faults.not_zero("gotalk", "heartbeat_interval", raw.heartbeat_interval),
        requests_in_flight: raw.requests_in_flight,
        streams_in_flight: raw.streams_in_flight,
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

fn unix(mode: FileMode) -> UnixSettings {
    UnixSettings {
        mode: mode.0,
        ..UnixSettings::default()
    }
}

fn resolve_listen(
    door: &'static Schemes,
    written: &List,
    server: &Server,
    faults: &mut Faults,
) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    let data = server.data.as_deref();
    // Who keeps no files and named no addresses does without the socket among the default ones.
    let is_default = [
        RawGotalk::default().listen,
        RawHttp::default().listen,
        RawRedis::default().listen,
    ]
    .contains(written);
    let wanted = |text: &&String| data.is_some() || !is_default || !address::is_in_data(text);
    for text in written.0.iter().filter(wanted) {
        match address::listen(text, data, door) {
            Ok(address) if addresses.contains(&address) && !address::is_any_port(&address) => {
                faults.tell(door.section, "listen", format!("`{text}` stands there twice"));
            }
            Ok(address) => addresses.push(address),
            Err(error) => faults.tell(door.section, "listen", error.to_string()),
        }
    }
    addresses
}

fn resolve_proxy(
    section: &'static str,
    is_required: bool,
    written: &List,
    faults: &mut Faults,
) -> ProxyProtocol {
    let mut trusted = Vec::new();
    for text in &written.0 {
        match text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(network) => trusted.push(network),
            Err(_) => {
                let message =
                    format!("`{text}` is no network: write an IP address or a range like 10.0.0.0/8");
                faults.tell(section, "proxy_trusted", message);
            }
        }
    }
    if is_required && written.0.is_empty() {
        let message = "is empty: with proxy_protocol, name the proxies, or anybody could claim any address";
        faults.tell(section, "proxy_trusted", message);
    }
    if is_required {
        ProxyProtocol::Required { trusted }
    } else {
        ProxyProtocol::Off
    }
}

fn resolve_tls(
    raw: &RawTls,
    server: &Server,
    doors: [(&'static Schemes, &[Address]); 3],
    faults: &mut Faults,
) -> Option<TlsSettings> {
    let certificate = resolve_certificate(raw, server, faults);
    let clients = resolve_clients(raw, faults);
    let has_tls = |listen: &[Address]| listen.iter().any(|address| matches!(address, Address::Tls(_)));
    let mut with_tls = doors.into_iter().filter(|(_, listen)| has_tls(listen)).peekable();
    match (&certificate, with_tls.peek().is_some()) {
        (None, true) if raw.certificate.is_none() && raw.key.is_none() => {
            for (door, _) in with_tls {
                let message = format!(
                    "a {}:// address needs `certificate` and `key` in [tls], or `self_signed = true` \
                     (--tls-self-signed) for trying out",
                    door.tls
                );
                faults.tell(door.section, "listen", message);
            }
        }
        (Some(_), false) => {
            let key = if raw.self_signed {
                "self_signed"
            } else {
                "certificate"
            };
            let message = "there is a certificate, but no door that shows it: add a tls://, https:// or rediss:// address to \
                           listen (like --listen tls://127.0.0.1:4743)";
            faults.tell("tls", key, message);
        }
        _ => {}
    }
    // Each door adds its own protocols.
    certificate.map(|certificate| TlsSettings {
        certificate,
        clients,
        alpn: Vec::new(),
    })
}

fn resolve_certificate(raw: &RawTls, server: &Server, faults: &mut Faults) -> Option<Certificate> {
    let fault = match (raw.self_signed, &raw.certificate, &raw.key) {
        (false, None, None) => return None,
        (false, Some(chain), Some(key)) => {
            return Some(Certificate::Files {
                chain: chain.clone(),
                key: key.clone(),
            });
        }
        (true, None, None) => {
            // Kept, so that clients which were given it know the daemon again after a restart.
            let directory = server.data.clone();
            return Some(Certificate::SelfSigned {
                names: raw.names.0.clone(),
                directory,
            });
        }
        (true, ..) => ("self_signed", "does not go with certificate and key: choose one"),
        (false, Some(_), None) => ("certificate", "needs its key: set `key` too"),
        (false, None, Some(_)) => ("key", "needs its certificate: set `certificate` too"),
    };
    faults.tell("tls", fault.0, fault.1);
    None
}

fn resolve_clients(raw: &RawTls, faults: &mut Faults) -> ClientCertificates {
    use raw::ClientCertificates as Written;
    let fault = match (raw.client_certificates, &raw.client_ca) {
        (Written::Off, None) => return ClientCertificates::Off,
        (Written::Optional, Some(ca)) => {
            return ClientCertificates::Optional {
                authorities: ca.clone(),
            };
        }
        (Written::Required, Some(ca)) => {
            return ClientCertificates::Required {
                authorities: ca.clone(),
            };
        }
        (Written::Off, Some(_)) => (
            "client_ca",
            "has no effect: set client_certificates to \"optional\" or \"required\" too",
        ),
        (_, None) => (
            "client_certificates",
            "needs client_ca: the file of the authorities that sign clients",
        ),
    };
    faults.tell("tls", fault.0, fault.1);
    ClientCertificates::Off
}

fn resolve_hub(raw: &RawHub, faults: &mut Faults) -> Hub {
    Hub {
        call_timeout: faults.not_zero("hub", "call_timeout", raw.call_timeout),
        absence_grace: raw.absence_grace.0,
        sessions: raw.sessions,
        operations_per_session: raw.operations_per_session,
        subscriptions_per_session: raw.subscriptions_per_session,
        retained_messages: raw.retained_messages,
        retained_bytes: faults.size("hub", "retained_bytes", raw.retained_bytes),
    }
}
