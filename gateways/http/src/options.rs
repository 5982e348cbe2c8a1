//! How the gateway behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::{Policy, QueueLimits};
use switchboard_peer::websocket::WebSocketOptions;

/// What the gateway allows, how long it waits, and whom it trusts.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Bounds of one connection and of the heads of its requests.
    pub connection: ConnectionOptions,
    /// Bounds of the bodies of requests and answers.
    pub body: BodyOptions,
    /// How topics are watched.
    pub events: EventOptions,
    /// How long a call may take that does not say how long (`?timeout=`), at most a day. Default 10 minutes.
    pub call_timeout: Duration,
    /// Pages of these other origins may use the door, WebSocket included: `https://example.org`, with a port if it is
    /// not the scheme's own. A page of the door's own origin always may; `null` never. Default none.
    pub origins: Vec<String>,
    /// Names by which the door is known beside `localhost` and addresses. A request for any other host is refused,
    /// so that no web site can have its own name lead here and then pass for this door (DNS rebinding). Connections
    /// over Unix sockets are not asked, since no browser makes them. Default none.
    pub hosts: Vec<String>,
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// How gotalk over WebSocket behaves.
    pub gotalk: GatewayOptions,
    /// How the WebSocket below it behaves.
    pub web_socket: WebSocketOptions,
}

/// Bounds of one connection and of the heads of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Bytes of one head, request line and header fields together; a longer one is answered with 400, in HTTP/2 with
    /// 431. Default 32 KiB; less than 8 KiB counts as that.
    pub head_bytes_max: usize,
    /// From the first byte of a head to its last, over HTTP/1; then 400. Default 10 s.
    pub head_timeout: Duration,
    /// A connection without a request is closed after this. Default 75 s.
    pub idle_timeout: Duration,
    /// A client must take some of what waits for it within this, or it is gone. Default 30 s.
    pub write_timeout: Duration,
    /// Requests at once over one HTTP/2 connection. Default 128.
    pub streams_max: u32,
}

/// What browsers and proxies may take for granted.
const HEAD_BYTES_MIN: usize = 8 << 10;

impl ConnectionOptions {
    pub(crate) fn head_bytes(&self) -> usize {
        self.head_bytes_max.max(HEAD_BYTES_MIN)
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            streams_max: 128,
        }
    }
}

/// Bounds of the bodies of requests and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyOptions {
    /// A body that says it has at most so many bytes is gathered and handed on as one payload; a longer one, and one
    /// that does not say, is a stream. Also the most that can be published. Default 1 MiB.
    pub single_bytes_max: usize,
    /// Bytes of bodies being gathered over all connections; over it requests are told to come back. Default 256 MiB.
    pub gathered_bytes_max: usize,
    /// Bytes of one body, streams included; a longer one is answered with 413. Default 1 GiB.
    pub bytes_max: u64,
    /// A body that is gathered must be whole within this; then 408. Default 60 s.
    pub gather_timeout: Duration,
    /// A body that is a stream must go on within this, or the stream fails. Default 30 s.
    pub stall_timeout: Duration,
    /// Bytes of one stream, each way, that were not taken: over it the sender is held back. Default 256 KiB.
    pub stream_bytes_max: usize,
}

impl Default for BodyOptions {
    fn default() -> Self {
        Self {
            single_bytes_max: 1 << 20,
            gathered_bytes_max: 256 << 20,
            bytes_max: 1 << 30,
            gather_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            stream_bytes_max: 256 << 10,
        }
    }
}

/// How topics are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOptions {
    /// The policy of those who name none. Default [`Policy::DropOldest`]: a page that falls behind wants to catch up,
    /// and must not hold up publishers of other doors; each event says how many were dropped before it.
    pub policy: Policy,
    /// What waits for one watcher at most. Default: see [`QueueLimits`].
    pub queue: QueueLimits,
    /// A stream that has nothing to say sends a comment so often, so that nobody between takes it for dead.
    /// Default 15 s.
    pub comment_interval: Duration,
    /// The longest `?wait=`; more is taken as this. Default 5 minutes.
    pub wait_max: Duration,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            policy: Policy::DropOldest,
            queue: QueueLimits::default(),
            comment_interval: Duration::from_secs(15),
            wait_max: Duration::from_secs(300),
        }
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            body: BodyOptions::default(),
            events: EventOptions::default(),
            call_timeout: Duration::from_secs(600),
            origins: Vec::new(),
            hosts: Vec::new(),
            access_log: AccessLog::Off,
            gotalk: GatewayOptions::default(),
            web_socket: WebSocketOptions::default(),
        }
    }
}

/// Takes one line of the access log, without its end. Called in the tasks of connections: it must not block.
pub type AccessLogWriter = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the lines of the access log go, in the combined format that Apache and nginx write.
#[derive(Clone, Default)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To the log, with the target `access` and level info.
    Tracing,
    /// To a writer of one's own.
    Writer(AccessLogWriter),
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Tracing => "Tracing",
            Self::Writer(_) => "Writer",
        })
    }
}
