//! Making a connection to an address.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::handshake::HandshakeError;
use crate::options::Options;
use crate::peer::{Peer, Side};
use crate::service::{Caller, Service};

/// The port of gotalk when an address names none.
pub const DEFAULT_PORT: u16 = 4700;

/// Where another peer can be reached: `tcp://HOST[:PORT]`, `tls://HOST[:PORT]` or `unix://PATH`. An IPv6 host stands
/// in brackets.
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
    /// A Unix stream socket.
    Unix(
        /// The socket's path.
        PathBuf,
    ),
}

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is not an address of a peer: {what}; write tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH"
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
            "tcp" => host_and_port(rest)
                .map(|(host, port)| Self::Tcp { host, port })
                .map_err(fail),
            "tls" => host_and_port(rest)
                .map(|(host, port)| Self::Tls { host, port })
                .map_err(fail),
            _ => Err(fail("the scheme is none of tcp, tls and unix")),
        }
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), &'static str> {
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
        DEFAULT_PORT
    } else {
        port.parse().map_err(|_| "the port is no number up to 65535")?
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
            Self::Unix(path) => return write!(f, "unix://{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nobody answers there.
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
                let tls = self.tls()?;
                let name = ServerName::try_from(host.clone()).map_err(|error| {
                    unreachable(std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
                })?;
                let stream = tcp(host, *port).await.map_err(unreachable)?;
                let stream = TlsConnector::from(tls)
                    .connect(name, stream)
                    .await
                    .map_err(unreachable)?;
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

async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to an address by default [`Options`]: `tcp://…`, `tls://…` or `unix://…`.
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
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
