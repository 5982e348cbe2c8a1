//! The configuration as it is written: one struct a section, one field a key, strict serde.
//!
//! The first of the two stages. Types here check what a single value can tell (units, ranges, known words);
//! [`resolve`](super::resolve) checks what needs more than one. Defaults live here and nowhere else;
//! `default.toml`, which is for people, is proven equal by a test.

use std::{num::NonZeroU32, path::PathBuf};

use serde::{Deserialize, Serialize};
use switchboard_engine::Durability;

use crate::units::{Bound, ByteSize, Span};

pub use super::values::{AccessLog, ClientCertificates, FileMode, List, LogFormat};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The process.
    pub server: RawServer,
    /// What it writes to its log.
    pub log: RawLog,
    /// Limits of every door.
    pub limits: RawLimits,
    /// Certificates.
    pub tls: RawTls,
    /// The gotalk door.
    pub gotalk: RawGotalk,
    /// The HTTP door.
    pub http: RawHttp,
    /// The Redis door.
    pub redis: RawRedis,
    /// The hub.
    pub hub: RawHub,
    /// Where the hub keeps its state.
    pub engine: RawEngine,
    /// The cluster, if the engine is one.
    pub nats: RawNats,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawServer {
    /// Folder of the daemon's own files.
    pub data: PathBuf,
    /// How long a stop waits for running calls.
    pub grace: Span,
    /// Threads that serve connections; half of the processors if left out.
    pub workers: Option<NonZeroU32>,
    /// User to become after binding.
    pub user: Option<String>,
    /// Group to become after binding.
    pub group: Option<String>,
    /// Folder to lock the process into after binding.
    pub chroot: Option<PathBuf>,
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./data"),
            grace: Span::from_secs(10),
            workers: None,
            user: None,
            group: None,
            chroot: None,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level or a list of `target=level`.
    pub level: String,
    /// Whether a line names the module that wrote it.
    pub target: bool,
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            target: false,
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Connections at once, all doors together.
    pub connections: NonZeroU32,
    /// Connections at once from one address.
    pub connections_per_address: Bound<NonZeroU32>,
    /// New connections a second from one address.
    pub new_connections_per_second_per_address: Bound<NonZeroU32>,
    /// From accept to the end of the handshakes.
    pub handshake_timeout: Span,
    /// Bytes a second read from one connection.
    pub read_bytes_per_second: Bound<ByteSize>,
    /// Bytes a second written to one connection.
    pub write_bytes_per_second: Bound<ByteSize>,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            connections: count(16_384),
            // Until there are accounts every peer is on this machine: one address has them all.
            connections_per_address: Bound::Unlimited,
            new_connections_per_second_per_address: Bound::Unlimited,
            handshake_timeout: Span::from_secs(10),
            read_bytes_per_second: Bound::Unlimited,
            write_bytes_per_second: Bound::Unlimited,
        }
    }
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTls {
    /// PEM file of the certificate chain.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// PEM file of the authorities that sign clients.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificates,
    /// Make a certificate at start.
    pub self_signed: bool,
    /// Names in that certificate beside this machine's own.
    pub names: List,
}

impl Default for RawTls {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            client_certificates: ClientCertificates::Off,
            self_signed: false,
            names: List::default(),
        }
    }
}

/// `[gotalk]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGotalk {
    /// Addresses to listen on.
    pub listen: List,
    /// Mode of the Unix sockets.
    pub unix_mode: FileMode,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Who may send one.
    pub proxy_trusted: List,
    /// Longest silence of a peer.
    pub read_timeout: Span,
    /// Between two heartbeats to a peer.
    pub heartbeat_interval: Span,
    /// Single requests of one connection that may run at once.
    pub requests_in_flight: NonZeroU32,
    /// Streaming requests of one connection that may run at once.
    pub streams_in_flight: NonZeroU32,
    /// Largest payload of one message.
    pub payload_max: ByteSize,
    /// Bytes held for one connection.
    pub buffered_max: ByteSize,
    /// Bytes held for one stream.
    pub stream_buffer: ByteSize,
}

impl Default for RawGotalk {
    fn default() -> Self {
        Self {
            listen: List::of(["tcp://127.0.0.1:4700", "unix://{data}/switchboard.sock"]),
            unix_mode: FileMode(0o600),
            proxy_protocol: false,
            proxy_trusted: List::default(),
            read_timeout: Span::from_secs(30),
            // Below the read time-out of every default peer (30 s), as often as the reference does it.
            heartbeat_interval: Span::from_secs(20),
            requests_in_flight: count(4096),
            streams_in_flight: count(256),
            payload_max: ByteSize::from_mib(16),
            buffered_max: ByteSize::from_mib(64),
            stream_buffer: ByteSize::from_kib(256),
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHttp {
    /// Addresses to listen on.
    pub listen: List,
    /// Mode of the Unix sockets.
    pub unix_mode: FileMode,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Who may send one.
    pub proxy_trusted: List,
    /// Names that the door goes by.
    pub hosts: List,
    /// Other origins whose pages may use the door.
    pub origins: List,
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// Longest call that does not say how long.
    pub call_timeout: Span,
    /// Requests at once over one HTTP/2 connection.
    pub requests_in_flight: NonZeroU32,
    /// Largest head of a request.
    pub head_max: ByteSize,
    /// From the first byte of a head to its last.
    pub head_timeout: Span,
    /// Longest time without a request.
    pub idle_timeout: Span,
    /// Longest time that a client takes nothing.
    pub write_timeout: Span,
    /// Largest body that is handed on in one piece.
    pub payload_max: ByteSize,
    /// Bytes of bodies being gathered.
    pub buffered_max: ByteSize,
    /// Largest body.
    pub body_max: Bound<ByteSize>,
    /// Longest time for a body that is gathered.
    pub body_timeout: Span,
    /// Longest silence of a body that is streamed.
    pub stall_timeout: Span,
    /// Bytes held for one stream.
    pub stream_buffer: ByteSize,
    /// Between two comments of a quiet event stream.
    pub comment_interval: Span,
    /// Longest long poll.
    pub wait_max: Span,
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: List::of(["http://127.0.0.1:4780"]),
            unix_mode: FileMode(0o600),
            proxy_protocol: false,
            proxy_trusted: List::default(),
            hosts: List::default(),
            origins: List::default(),
            access_log: AccessLog::Off,
            call_timeout: Span::from_secs(600),
            requests_in_flight: count(128),
            head_max: ByteSize::from_kib(32),
            head_timeout: Span::from_secs(10),
            // Above the minute that most proxies keep a connection, so that it is they who close it.
            idle_timeout: Span::from_secs(75),
            write_timeout: Span::from_secs(30),
            payload_max: ByteSize::from_mib(1),
            buffered_max: ByteSize::from_mib(256),
            body_max: Bound::AtMost(ByteSize::from_mib(1024)),
            body_timeout: Span::from_secs(60),
            stall_timeout: Span::from_secs(30),
            stream_buffer: ByteSize::from_kib(256),
            comment_interval: Span::from_secs(15),
            wait_max: Span::from_secs(300),
        }
    }
}

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRedis {
    /// Addresses to listen on.
    pub listen: List,
    /// Mode of the Unix sockets.
    pub unix_mode: FileMode,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Who may send one.
    pub proxy_trusted: List,
    /// How many databases there are.
    pub databases: NonZeroU32,
    /// Longest silence of a client.
    pub idle_timeout: Bound<Span>,
    /// Longest time that a client takes nothing.
    pub write_timeout: Span,
    /// Largest value.
    pub value_max: ByteSize,
    /// Largest command.
    pub command_max: ByteSize,
    /// Bytes of answers that are written together.
    pub replies_max: ByteSize,
    /// Bytes of commands taken in while answers wait.
    pub unanswered_max: ByteSize,
    /// Commands that wait for EXEC.
    pub queued_commands: NonZeroU32,
    /// Bytes in them.
    pub queued_max: ByteSize,
    /// Messages that wait for one subscriber.
    pub subscriber_messages: NonZeroU32,
    /// Bytes in them.
    pub subscriber_max: ByteSize,
    /// Which events of keys are published.
    pub notify_keyspace_events: String,
    /// Longest CALL.
    pub call_timeout: Span,
}

impl Default for RawRedis {
    fn default() -> Self {
        Self {
            listen: List::of(["redis://127.0.0.1:4779"]),
            unix_mode: FileMode(0o600),
            proxy_protocol: false,
            proxy_trusted: List::default(),
            databases: count(16),
            idle_timeout: Bound::Unlimited,
            write_timeout: Span::from_secs(30),
            value_max: ByteSize::from_mib(64),
            command_max: ByteSize::from_mib(256),
            replies_max: ByteSize::from_mib(1),
            unanswered_max: ByteSize::from_mib(64),
            queued_commands: count(100_000),
            queued_max: ByteSize::from_mib(64),
            subscriber_messages: count(100_000),
            subscriber_max: ByteSize::from_mib(32),
            notify_keyspace_events: String::new(),
            call_timeout: Span::from_secs(60),
        }
    }
}

/// `[hub]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawHub {
    /// Longest call.
    pub call_timeout: Span,
    /// How long a lost responder is missed.
    pub absence_grace: Span,
    /// Sessions at once.
    pub sessions: NonZeroU32,
    /// Operations that one session may serve.
    pub operations_per_session: NonZeroU32,
    /// Filters that one session may subscribe to.
    pub subscriptions_per_session: NonZeroU32,
    /// Retained messages in all.
    pub retained_messages: NonZeroU32,
    /// Bytes of retained messages in all.
    pub retained_bytes: ByteSize,
}

impl Default for RawHub {
    fn default() -> Self {
        Self {
            call_timeout: Span::from_secs(60),
            absence_grace: Span::from_secs(5),
            sessions: count(16_384),
            operations_per_session: count(1024),
            subscriptions_per_session: count(1024),
            retained_messages: count(100_000),
            retained_bytes: ByteSize::from_mib(256),
        }
    }
}

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEngine {
    /// `embedded`, or the servers of a cluster: `nats://HOST:PORT`, several with commas between.
    pub engine: String,
    /// When what was acknowledged is safe from the loss of power.
    #[serde(with = "super::values::durability")]
    pub durability: Durability,
    /// Memory for what is read often.
    pub memory: ByteSize,
}

impl Default for RawEngine {
    fn default() -> Self {
        Self {
            engine: super::engine::EMBEDDED.to_owned(),
            durability: Durability::Second,
            memory: ByteSize::from_mib(256),
        }
    }
}

/// `[nats]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawNats {
    /// File with a JWT and its seed.
    pub credentials: Option<PathBuf>,
    /// PEM file of who signs for the servers.
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to them.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// Servers that keep a copy of everything.
    pub replicas: NonZeroU32,
    /// What tells this switchboard from others in the same account.
    pub prefix: String,
}

impl Default for RawNats {
    fn default() -> Self {
        Self {
            credentials: None,
            ca: None,
            certificate: None,
            key: None,
            replicas: count(1),
            prefix: "switchboard".to_owned(),
        }
    }
}

/// A count of at least one.
const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number - 1)
}

impl RawConfig {
    /// Reads a table of sections.
    ///
    /// # Errors
    /// What the first fault is, for people, without its place.
    pub(super) fn deserialize_table(table: toml::Table) -> Result<Self, String> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }
}
