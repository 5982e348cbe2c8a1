//! Where a contender listens: TCP or a Unix socket, with the same socket settings on all sides.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// One connected socket of either kind.
pub type Stream = Either<TcpStream, UnixStream>;

/// `tcp://HOST:PORT` or `unix:///PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP socket; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket at a path.
    Unix(PathBuf),
}

/// The kind of socket under a cell of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TCP over loopback.
    Tcp,
    /// A Unix stream socket.
    Unix,
}

impl Transport {
    /// A free address of this kind; `name` keeps the Unix sockets of one run apart.
    pub fn free_address(self, name: &str) -> Address {
        match self {
            Self::Tcp => Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            Self::Unix => {
                let file = format!("switchboard-bench-{}-{name}.sock", std::process::id());
                Address::Unix(std::env::temp_dir().join(file))
            }
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => write!(f, "tcp://{socket}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once("://") {
            Some(("tcp", socket)) => Ok(Self::Tcp(
                socket.parse().context("not HOST:PORT with a numeric host")?,
            )),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            _ => bail!("{text:?} is neither tcp://HOST:PORT nor unix:///PATH"),
        }
    }
}

impl Address {
    /// Connects, with `TCP_NODELAY` on TCP.
    pub async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => {
                let stream = TcpStream::connect(socket).await?;
                stream.set_nodelay(true)?;
                Ok(Either::Left(stream))
            }
            Self::Unix(path) => Ok(Either::Right(UnixStream::connect(path).await?)),
        }
    }
}

/// A bound socket that accepts streams.
pub enum Listener {
    /// Of the TCP kind.
    Tcp(TcpListener),
    /// Of the Unix kind, at this path; whoever started the process removes the file.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Connections the kernel may hold until they are accepted; the idle suite opens thousands at once.
    const BACKLOG: u32 = 4096;

    /// Binds `address`.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(socket) => {
                let bound = tokio::net::TcpSocket::new_v4()?;
                bound.bind(*socket)?;
                Ok(Self::Tcp(bound.listen(Self::BACKLOG)?))
            }
            Address::Unix(path) => Ok(Self::Unix(UnixListener::bind(path)?, path.clone())),
        }
    }

    /// The address that was bound, with the port the system chose.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => Ok(Address::Tcp(listener.local_addr()?)),
            Self::Unix(_, path) => Ok(Address::Unix(path.clone())),
        }
    }

    /// The next connection, with `TCP_NODELAY` on TCP. Cancel safe.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Either::Left(stream))
            }
            Self::Unix(listener, _) => Ok(Either::Right(listener.accept().await?.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["tcp://127.0.0.1:4700", "unix:///tmp/a b.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["127.0.0.1:4700", "tcp://localhost", "http://127.0.0.1:80"] {
            assert!(text.parse::<Address>().is_err(), "{text} must be refused");
        }
    }
}
