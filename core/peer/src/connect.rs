//! Making a connection to an address.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use switchboard_unix::UnixStream;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::driver::Transport;
use crate::handshake::HandshakeError;
use crate::options::Options;
use crate::peer::{Peer, Side};
use crate::service::{Caller, Service};
use crate::websocket::{Target, WebSocket, WebSocketOptions, upgrade};

/// The port of gotalk when an address names none.
pub const DEFAULT_PORT: u16 = 4700;

/// The path of gotalk's WebSocket when an address names none.
pub const DEFAULT_PATH: &str = "/gotalk/";

/// Where another peer can be reached: `tcp://HOST[:PORT]`, `tls://HOST[:PORT]`, `unix://PATH`, `ws://HOST[:PORT][/PATH]`
/// or `wss://HOST[:PORT][/PATH]`. An IPv6 host stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Url {
    /// Plain TCP.
    Tcp {
        /// A name, or an IPv4 or IPv6 address without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// TLS over TCP; the certificate must be valid for the host.
    Tls {
        /// A name, or an IPv4 or IPv6 address without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// WebSocket, by an upgrade from HTTP/1.1.
    WebSocket {
        /// Over TLS (`wss`), or plain (`ws`).
        tls: bool,
        /// A name, or an IPv4 or IPv6 address without brackets.
        host: String,
        /// The TCP port; by default 80, or 443 over TLS, as in a browser.
        port: u16,
        /// The path with the query, percent-encoded; by default [`DEFAULT_PATH`].
        path: String,
    },
    /// A Unix stream socket.
    Unix(
        /// The socket's path.
        PathBuf,
    ),
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is not an address of a peer: {what}; write tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH, \
     ws://HOST:PORT/PATH or wss://HOST:PORT/PATH"
)]
pub struct UrlError {
    url: String,
    what: &'static str,
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let fail = |what| UrlError {
            url: url.to_owned(),
            what,
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| fail("it has no scheme"))?;
        if rest.is_empty() {
            return Err(fail("nothing follows the scheme"));
        }
        match scheme {
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => host_and_port(rest, DEFAULT_PORT)
                .map(|(host, port)| Self::Tcp { host, port })
                .map_err(fail),
            "tls" => host_and_port(rest, DEFAULT_PORT)
                .map(|(host, port)| Self::Tls { host, port })
                .map_err(fail),
            "ws" => websocket(rest, false).map_err(fail),
            "wss" => websocket(rest, true).map_err(fail),
            _ => Err(fail("the scheme is none of tcp, tls, unix, ws and wss")),
        }
    }
}

/// The port of HTTP or HTTPS, as in a browser.
fn websocket_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn websocket(text: &str, tls: bool) -> Result<Url, &'static str> {
    let at = text.find('/').unwrap_or(text.len());
    let (authority, path) = text.split_at_checked(at).unwrap_or((text, ""));
    // Both become lines of an HTTP request.
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(authority) {
        return Err("the host has a character that no name of a host has");
    }
    if !plain(path) || path.contains('#') {
        return Err("the path has a character that must be percent-encoded, or a fragment");
    }
    let (host, port) = host_and_port(authority, websocket_port(tls))?;
    let path = if path.is_empty() { DEFAULT_PATH } else { path };
    Ok(Url::WebSocket {
        tls,
        host,
        port,
        path: path.to_owned(),
    })
}

fn host_and_port(text: &str, port_default: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the bracket is not closed")?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| "what stands in brackets is no IPv6 address")?;
            (
                host,
                after
                    .strip_prefix(':')
                    .or((after.is_empty()).then_some(""))
                    .ok_or("a colon must follow the bracket")?,
            )
        }
        None if text.matches(':').count() > 1 => return Err("an IPv6 address stands in brackets"),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.contains(['/', '?', '#', '@']) || port.contains('/') {
        return Err("there is more than a host and a port");
    }
    let port = if port.is_empty() {
        port_default
    } else {
        port.parse().map_err(|_| "the port is no number up to 65535")?
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port, path) = match self {
            Self::Tcp { host, port } => ("tcp", host, port, ""),
            Self::Tls { host, port } => ("tls", host, port, ""),
            Self::WebSocket {
                tls,
                host,
                port,
                path,
            } => (if *tls { "wss" } else { "ws" }, host, port, path.as_str()),
            Self::Unix(path) => return write!(f, "unix://{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{path}")
        } else {
            write!(f, "{scheme}://{host}:{port}{path}")
        }
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nobody answers there, or does not let this side in: the certificate is not trusted, or a web server does not
    /// upgrade to WebSocket.
    #[error("cannot connect to {url}: {source}")]
    Unreachable {
        /// Where to.
        url: Url,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not connected in time.
    #[error("cannot connect to {url}: no answer within {after:?}")]
    Timeout {
        /// Where to.
        url: Url,
        /// How long it was tried.
        after: Duration,
    },
    /// The TLS set-up of this side is unusable.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Connected, but the other side does not speak gotalk.
    #[error("connected to {url}, but {source}")]
    Handshake {
        /// Where to.
        url: Url,
        /// What it did instead.
        source: HandshakeError,
    },
}

/// Makes connections, all in the same way.
#[derive(Clone, Default)]
pub struct Connector {
    /// How the connections behave.
    pub options: Options,
    /// How TLS is done. `None` trusts the certificates that the system trusts, and shows none.
    pub tls: Option<Arc<ClientConfig>>,
    /// What is added to the request for a WebSocket: an `Origin` other than that of the server's own pages, an
    /// `Authorization`, a cookie. The headers of the upgrade itself cannot be set.
    pub headers: HeaderMap,
    /// The bounds of a WebSocket, and its pings.
    pub websocket: WebSocketOptions,
}

impl Connector {
    /// Connects to `url` and answers what comes from there with `service`.
    ///
    /// # Errors
    /// If nobody listens there, or does not begin to speak gotalk within [`Options::handshake_timeout`].
    ///
    /// # Cancel safety
    /// The connection is dropped with the future.
    pub async fn connect(&self, url: &Url, service: impl Service) -> Result<Peer, ConnectError> {
        let within = self.options.handshake_timeout;
        let made = tokio::time::timeout(within, self.open(url, service)).await;
        made.unwrap_or_else(|_| {
            Err(ConnectError::Timeout {
                url: url.clone(),
                after: within,
            })
        })
    }

    async fn open(&self, url: &Url, service: impl Service) -> Result<Peer, ConnectError> {
        let unreachable = |source| ConnectError::Unreachable {
            url: url.clone(),
            source,
        };
        let caller = Caller {
            address: Some(url.to_string()),
            ..Caller::default()
        };
        let options = self.options.clone();
        let started = match url {
            Url::Tcp { host, port } => {
                let stream = tcp(host, *port).await.map_err(unreachable)?;
                Peer::start(stream, Side::Connecting, service, options, caller).await
            }
            Url::Tls { host, port } => {
                let stream = tls(self.tls()?, host, *port).await.map_err(unreachable)?;
                Peer::start(stream, Side::Connecting, service, options, caller).await
            }
            Url::WebSocket {
                tls: false,
                host,
                port,
                path,
            } => {
                let stream = self.web_socket(host, *port, path).await.map_err(unreachable)?;
                Peer::start(stream, Side::Connecting, service, options, caller).await
            }
            Url::WebSocket {
                tls: true,
                host,
                port,
                path,
            } => {
                let stream = tls(self.tls()?, host, *port).await.map_err(unreachable)?;
                let target = Target::new(true, host, *port, path);
                let stream = self.upgrade(stream, target).await.map_err(unreachable)?;
                Peer::start(stream, Side::Connecting, service, options, caller).await
            }
            Url::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                Peer::start(stream, Side::Connecting, service, options, caller).await
            }
        };
        started.map_err(|source| ConnectError::Handshake {
            url: url.clone(),
            source,
        })
    }

    async fn web_socket(&self, host: &str, port: u16, path: &str) -> std::io::Result<WebSocket<TcpStream>> {
        let stream = tcp(host, port).await?;
        self.upgrade(stream, Target::new(false, host, port, path)).await
    }

    async fn upgrade<S: Transport>(&self, stream: S, target: Target<'_>) -> std::io::Result<WebSocket<S>> {
        upgrade(stream, &target, &self.headers, &self.websocket).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        match &self.tls {
            Some(tls) => Ok(Arc::clone(tls)),
            None => Ok(Arc::new(system_tls()?)),
        }
    }
}

/// TLS that trusts what the system trusts.
fn system_tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tls_with_roots(roots)
}

/// TLS that trusts the given certificate authorities, and shows no certificate itself.
///
/// # Errors
/// If the crypto provider cannot do what TLS needs.
pub fn tls_with_roots(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn tls(config: Arc<ClientConfig>, host: &str, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
    let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
    let stream = tcp(host, port).await?;
    TlsConnector::from(config).connect(name, stream).await
}

/// All but Unix sockets are connected here: small writes leave at once.
async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to an address by default [`Options`]: `tcp://…`, `tls://…`, `unix://…`, `ws://…` or `wss://…`.
///
/// # Errors and cancel safety
/// As [`Connector::connect`]; also if `url` is no address.
pub async fn connect(url: &str, service: impl Service) -> Result<Peer, ConnectError> {
    Connector::default().connect(&url.parse()?, service).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("tcp://localhost:80", "tcp://localhost:80"),
            ("tcp://localhost", "tcp://localhost:4700"),
            ("tls://[::1]:1", "tls://[::1]:1"),
            ("tcp://[fe80::1]", "tcp://[fe80::1]:4700"),
            ("unix:///run/x.sock", "unix:///run/x.sock"),
            ("unix://rel.sock", "unix://rel.sock"),
            ("ws://localhost", "ws://localhost:80/gotalk/"),
            ("ws://localhost:4780", "ws://localhost:4780/gotalk/"),
            ("ws://localhost/", "ws://localhost:80/"),
            ("wss://[::1]/a/b?c=d", "wss://[::1]:443/a/b?c=d"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (text, what) in [
            ("localhost:80", "no scheme"),
            ("http://x", "none of tcp"),
            ("tcp://", "nothing follows"),
            ("tcp://:80", "host is missing"),
            ("tcp://::1:80", "in brackets"),
            ("tcp://[::1", "not closed"),
            ("tcp://[::1]x", "colon must follow"),
            ("tcp://[nope]:1", "no IPv6"),
            ("tcp://x:99999", "no number"),
            ("tcp://x:1/path", "more than"),
            ("ws://", "nothing follows"),
            ("ws:///gotalk/", "host is missing"),
            ("ws://x?y", "more than"),
            ("ws://x\r\ny/", "no name of a host"),
            ("ws://x/a b", "percent-encoded"),
            ("wss://x/\u{e9}", "percent-encoded"),
            ("wss://x/#y", "percent-encoded"),
            ("wss://x:0x1/", "no number"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_connected_holds_no_small_write_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(tcp("127.0.0.1", port).await.unwrap().nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_web_socket_holds_no_small_write_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connector = Connector::default();
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        };
        let (socket, _server) = tokio::join!(connector.web_socket("127.0.0.1", port, "/"), accept);
        assert!(socket.unwrap().below().nodelay().unwrap());
    }
}
