//! What a gateway gets: bytes, and who is at the other end.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::stream::Stream;
use crate::tls::TlsInfo;

/// An accepted connection, its handshakes done.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub stream: Stream,
    /// Who is at the other end.
    pub info: ConnectionInfo,
}

/// Who is at the other end of a connection, and how it came in.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Number of this connection, unique in this process, from 1 on.
    pub id: u64,
    /// The client's address, as told by the proxy if there is one.
    pub peer: PeerAddress,
    /// The trusted proxy that told us so (PROXY protocol).
    pub proxy: Option<SocketAddr>,
    /// Our own end.
    pub local: LocalAddress,
    /// What TLS found out; `None` without TLS.
    pub tls: Option<TlsInfo>,
    /// User id of the process at the other end of a Unix socket, as the system vouches for it.
    pub peer_uid: Option<u32>,
}

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// On the network. IPv4 addresses are always written as such, never as `::ffff:a.b.c.d`.
    Ip(SocketAddr),
    /// On this machine, on a Unix socket.
    Unix,
}

/// Where a listener really listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LocalAddress {
    /// An IP address with the port that was chosen.
    Ip(SocketAddr),
    /// The path of a Unix socket, as given; empty if an inherited socket has none.
    Unix(Arc<Path>),
}

/// Takes connections; a gateway is one of these. Any `Fn(Connection) -> impl Future` is one as well,
/// and so is an `Arc` of one.
pub trait Accept: Send + Sync + 'static {
    /// Serves one connection to its end, in a task of its own.
    ///
    /// The future is dropped at an await point when a drain's grace is over, so it must be cancel safe in the sense
    /// that half done work may be lost. A panic ends this connection and no other.
    fn accept(&self, connection: Connection) -> impl Future<Output = ()> + Send;
}

impl<F, R> Accept for F
where
    F: Fn(Connection) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    fn accept(&self, connection: Connection) -> impl Future<Output = ()> + Send {
        self(connection)
    }
}

/// So that several listeners can share a gateway.
impl<A: Accept> Accept for Arc<A> {
    fn accept(&self, connection: Connection) -> impl Future<Output = ()> + Send {
        A::accept(self, connection)
    }
}

impl PeerAddress {
    /// The IP address and port, if the client came over the network.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix => None,
        }
    }
}

impl LocalAddress {
    /// Whether only this machine can reach it: a loopback address or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The IP address and port, if it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}
