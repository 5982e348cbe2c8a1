//! The HTTP door.

use std::{num::NonZeroU32, path::Path, time::Duration};

use switchboard_net::{Address, ProxyProtocol, UnixSettings};

use super::{Faults, Server, resolve_listen, resolve_proxy, unix};
use crate::config::{
    address,
    raw::{AccessLog, RawHttp},
};

/// What every server must take of a head: browsers send some kilobytes of cookies alone.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// The longest call that the gateway grants.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where it listens: no address twice, each loopback, a Unix socket or an inherited one. None if it is closed.
    pub listen: Vec<Address>,
    /// Its Unix sockets.
    pub unix: UnixSettings,
    /// Whether proxies in front tell who the clients are; never on Unix sockets.
    pub proxy: ProxyProtocol,
    /// Names that the door goes by beside `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Other origins whose pages may use the door.
    pub origins: Vec<String>,
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// Longest call that does not say how long; at most a day.
    pub call_timeout: Duration,
    /// Requests at once over one HTTP/2 connection.
    pub requests_in_flight: NonZeroU32,
    /// Largest head of a request in bytes; at least 8 KiB.
    pub head_max: usize,
    /// From the first byte of a head to its last; not zero.
    pub head_timeout: Duration,
    /// Longest time without a request; not zero.
    pub idle_timeout: Duration,
    /// Longest time that a client takes nothing of what waits for it; not zero.
    pub write_timeout: Duration,
    /// Largest body in bytes that is handed on in one piece.
    pub payload_max: usize,
    /// Bytes of bodies being gathered over all connections; at least `payload_max`.
    pub buffered_max: usize,
    /// Largest body in bytes, streamed ones included.
    pub body_max: u64,
    /// Longest time for a body that is gathered; not zero.
    pub body_timeout: Duration,
    /// Longest silence of a body that is streamed; not zero.
    pub stall_timeout: Duration,
    /// Bytes held for one stream, each way.
    pub stream_buffer: usize,
    /// Between two comments of a quiet event stream; not zero.
    pub comment_interval: Duration,
    /// Longest long poll; not zero.
    pub wait_max: Duration,
}

pub(super) fn resolve(raw: &RawHttp, server: &Server, faults: &mut Faults) -> Http {
    check_hosts(raw, faults);
    check_origins(raw, faults);
    let http = Http {
        listen: resolve_listen(&address::HTTP, &raw.listen, server, faults),
        unix: unix(raw.unix_mode),
        proxy: resolve_proxy("http", raw.proxy_protocol, &raw.proxy_trusted, faults),
        hosts: raw.hosts.0.clone(),
        origins: raw.origins.0.clone(),
        access_log: resolve_access_log(&raw.access_log, server.data.as_deref(), faults),
        call_timeout: faults.not_zero("http", "call_timeout", raw.call_timeout),
        requests_in_flight: raw.requests_in_flight,
        head_max: faults.size("http", "head_max", raw.head_max),
        head_timeout: faults.not_zero("http", "head_timeout", raw.head_timeout),
        idle_timeout: faults.not_zero("http", "idle_timeout", raw.idle_timeout),
        write_timeout: faults.not_zero("http", "write_timeout", raw.write_timeout),
        payload_max: faults.size("http", "payload_max", raw.payload_max),
        buffered_max: faults.size("http", "buffered_max", raw.buffered_max),
        body_max: raw.body_max.limit().map_or(u64::MAX, |size| size.0),
        body_timeout: faults.not_zero("http", "body_timeout", raw.body_timeout),
        stall_timeout: faults.not_zero("http", "stall_timeout", raw.stall_timeout),
        stream_buffer: faults.size("http", "stream_buffer", raw.stream_buffer),
        comment_interval: faults.not_zero("http", "comment_interval", raw.comment_interval),
        wait_max: faults.not_zero("http", "wait_max", raw.wait_max),
    };
    if http.head_max < HEAD_BYTES_MIN {
        faults.tell("http", "head_max", "must be at least 8KiB");
    }
    if http.call_timeout > CALL_TIMEOUT_MAX {
        faults.tell("http", "call_timeout", "must be at most a day (24h)");
    }
    if http.buffered_max < http.payload_max {
        faults.tell(
            "http",
            "buffered_max",
            "must hold at least one payload of payload_max",
        );
    }
    if http.body_max == 0 {
        faults.tell("http", "body_max", "must be larger than zero, or \"unlimited\"");
    }
    http
}

fn check_hosts(raw: &RawHttp, faults: &mut Faults) {
    for host in &raw.hosts.0 {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if host.is_empty() || !host.bytes().all(is_name) {
            let message =
                format!("`{host}` is no host name: write it without scheme and port, like hub.example.org");
            faults.tell("http", "hosts", message);
        }
    }
}

fn check_origins(raw: &RawHttp, faults: &mut Faults) {
    for origin in &raw.origins.0 {
        if let Some(why) = origin_fault(origin) {
            faults.tell("http", "origins", format!("`{origin}` {why}"));
        }
    }
}

/// Why no browser ever names this origin, if so: then it would be allowed in vain.
fn origin_fault(origin: &str) -> Option<&'static str> {
    const EXAMPLE: &str = "is no origin: write scheme and host, and the port if it is not the scheme's own, like \
                           https://example.org or http://localhost:8080";
    if origin == "null" {
        return Some("stands for files and for sandboxes of any site, and cannot be allowed");
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Some(EXAMPLE);
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let is_plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@' | b'*' | b',');
    if scheme.is_empty() || authority.is_empty() || !authority.bytes().all(is_plain) {
        return Some(EXAMPLE);
    }
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    authority
        .ends_with(port)
        .then_some("has the scheme's own port, which browsers leave out: leave it out too")
}

fn resolve_access_log(written: &AccessLog, data: Option<&Path>, faults: &mut Faults) -> AccessLog {
    let AccessLog::File(path) = written else {
        return written.clone();
    };
    // It comes from a text.
    let text = path.to_str().unwrap_or_default();
    match address::file(text, data) {
        Some(path) => AccessLog::File(path),
        None => {
            let message = format!("`{text}` is no path of a file, like {{data}}/access.log");
            faults.tell("http", "access_log", message);
            AccessLog::Off
        }
    }
}
