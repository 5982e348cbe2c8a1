//! Listening sockets: how they are made, and how connections come out of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use switchboard_unix::UnixStream;
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::address::Endpoint;
use crate::config::ConfigError;
use crate::connection::LocalAddress;
use crate::inherited::InheritedError;

/// Connections the system completes before we accept them. The system caps it (`net.core.somaxconn`, usually 4,096).
pub(crate) const BACKLOG: i32 = 4_096;

/// Probes of a silent link before it counts as dead: one lost packet must not end it.
const KEEPALIVE_PROBES: u32 = 4;

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process (or another listener of ours) listens there.
    #[error("{address} is in use: stop the program that listens there, or choose another address")]
    InUse {
        /// The address.
        address: String,
    },
    /// The system does not let us listen there.
    #[error("no permission to listen at {address}: ports under 1024 and foreign folders need more rights")]
    Denied {
        /// The address.
        address: String,
    },
    /// This machine does not have that IP address.
    #[error("{address} is not an address of this machine")]
    NotOurs {
        /// The address.
        address: String,
    },
    /// The host name does not resolve.
    #[error("the host name in {address} does not resolve: {source}")]
    Resolve {
        /// The address.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Something that is no socket is in the way.
    #[error("{} exists and is not a socket: move it away, or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("{} is longer than the {max} bytes that the path of a Unix socket may have", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Most bytes possible.
        max: usize,
    },
    /// An inherited socket cannot be used.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// Anything else the system said.
    #[error("cannot listen at {address}: {source}")]
    System {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// The error for what the system said about `address`.
    pub(crate) fn from_system(address: &dyn std::fmt::Display, source: io::Error) -> Self {
        let address = address.to_string();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::Denied { address },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { address },
            _ => Self::System { address, source },
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection as the system hands it out.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    /// With the user at the other end.
    Unix(UnixStream, Option<u32>),
}

impl Socket {
    /// Listens at a TCP endpoint.
    pub(crate) async fn tcp(endpoint: &Endpoint, ipv6_only: bool) -> Result<Self, BindError> {
        let mut addresses = match endpoint {
            Endpoint::Ip(address) => vec![*address],
            Endpoint::Name { host, port } => tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|source| BindError::Resolve {
                    address: endpoint.to_string(),
                    source,
                })?
                .collect(),
        };
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let mut result = Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the host name has no addresses",
        ));
        for address in addresses {
            result = listen_tcp(address, ipv6_only);
            if result.is_ok() {
                break;
            }
        }
        result
            .map(Self::Tcp)
            .map_err(|source| BindError::from_system(endpoint, source))
    }

    /// Takes over a listening TCP socket.
    pub(crate) fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        require_listening(SockRef::from(&listener))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// Takes over a listening Unix socket.
    pub(crate) fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        require_listening(SockRef::from(&listener))?;
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Self::Unix)
    }

    /// Where it listens.
    pub(crate) fn local_address(&self) -> io::Result<LocalAddress> {
        Ok(match self {
            Self::Tcp(listener) => LocalAddress::Ip(listener.local_addr()?),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                LocalAddress::Unix(Arc::from(
                    address.as_pathname().unwrap_or(std::path::Path::new("")),
                ))
            }
        })
    }

    /// The next connection. Cancel safe: no connection is lost.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener
                .accept()
                .await
                .map(|(stream, peer)| Accepted::Tcp(stream, canonical(peer))),
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
                Ok(Accepted::Unix(stream.try_into()?, uid))
            }
        }
    }
}

/// An IPv4 client of a dual-stack socket shows up as `::ffff:a.b.c.d`; say `a.b.c.d`.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

fn listen_tcp(address: SocketAddr, ipv6_only: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said in any case: the default differs from system to system.
        socket.set_only_v6(ipv6_only || !address.ip().is_unspecified())?;
    }
    // On Unix this lets a restarted daemon listen although old connections linger in TIME_WAIT; it does not let two
    // listeners share a port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn require_listening(socket: SockRef<'_>) -> io::Result<()> {
    if socket.is_listener()? {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::NotConnected))
    }
}

/// Sends small writes at once, and lets the system find out when the link is dead.
pub(crate) fn tune(stream: &TcpStream, link_timeout: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(timeout) = link_timeout else {
        return Ok(());
    };
    let socket = SockRef::from(stream);
    let interval = (timeout / 2 / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new()
        .with_time(timeout / 2)
        .with_interval(interval)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(timeout))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_send_at_once_and_notice_a_dead_link() {
        let endpoint = Endpoint::Ip("127.0.0.1:0".parse().expect("an address"));
        let socket = Socket::tcp(&endpoint, false).await.expect("a port");
        let address = socket.local_address().expect("bound").ip().expect("TCP");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), socket.accept());
        let (client, Ok(Accepted::Tcp(stream, peer))) = (client.expect("connected"), accepted) else {
            panic!("a TCP connection")
        };
        assert_eq!(peer, client.local_addr().expect("bound"));
        tune(&stream, Some(Duration::from_secs(120))).expect("options");
        assert!(stream.nodelay().expect("an option"));
        let options = SockRef::from(&stream);
        assert!(options.keepalive().expect("an option"));
        let (idle, interval) = (options.tcp_keepalive_time(), options.tcp_keepalive_interval());
        let (idle, interval) = (idle.expect("an option"), interval.expect("an option"));
        let probes = options.tcp_keepalive_retries().expect("an option");
        assert_eq!(
            idle + interval * probes,
            Duration::from_secs(120),
            "found dead within the time-out"
        );
        #[cfg(target_os = "linux")]
        assert_eq!(
            options.tcp_user_timeout().expect("an option"),
            Some(Duration::from_secs(120))
        );
    }

    #[test]
    fn ipv4_in_ipv6_is_written_as_ipv4() {
        for (given, expected) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
        ] {
            let given: SocketAddr = given.parse().expect("an address");
            assert_eq!(canonical(given).to_string(), expected);
        }
    }
}
