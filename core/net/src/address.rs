//! Where to listen, as a person writes it: `tcp://`, `tls://`, `unix://`, `fd://`, or a bare address.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::inherited::InheritedName;

/// Longest host name accepted, in bytes (RFC 1035, section 2.3.4).
const HOST_NAME_BYTES_MAX: usize = 253;

/// Where a listener listens.
///
/// | written | means |
/// | --- | --- |
/// | `tcp://127.0.0.1:4700`, `127.0.0.1:4700`, `[::1]:4700` | plain TCP |
/// | `tcp://[::]:4700` | IPv6 and, unless told otherwise, IPv4 too |
/// | `tls://example.org:4700` | TLS over TCP |
/// | `unix:///run/switchboard.sock`, `unix:run.sock` | a Unix socket; TLS over it if the listener has TLS settings |
/// | `fd://0`, `fd://web` | a socket inherited through `LISTEN_FDS`, by index or by name |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Plain TCP.
    Tcp(Endpoint),
    /// TLS over TCP.
    Tls(Endpoint),
    /// A Unix stream socket at this path.
    Unix(PathBuf),
    /// A socket that the parent process opened (`LISTEN_FDS`).
    Inherited(InheritedName),
}

/// Host and port of a TCP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address and port; port 0 lets the system choose one.
    Ip(SocketAddr),
    /// A host name to be resolved when the listener binds, and a port.
    Name {
        /// The name, in lower case.
        host: String,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
}

/// Why a text is not an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The part before `://` is none of ours.
    #[error("`{0}` is not a kind of address: write tcp://, tls://, unix:// or fd://")]
    Scheme(String),
    /// The port is missing or is not a number from 0 to 65535.
    #[error("`{0}` lacks a port: write HOST:PORT, such as 127.0.0.1:4700 or [::1]:4700")]
    Port(String),
    /// The host is neither an IP address nor a host name.
    #[error(
        "`{0}` is neither an IP address nor a host name; an IPv6 address stands in brackets, such as [::1]:4700"
    )]
    Host(String),
    /// A Unix address without a path.
    #[error("a unix address needs a path, such as unix:///run/switchboard.sock")]
    EmptyPath,
    /// A Unix path holds a NUL byte.
    #[error("the path of a unix address holds a NUL byte")]
    PathNul,
    /// `fd://` without a usable index or name.
    #[error("`{0}` names no inherited socket: write fd://0 (the first) or fd://NAME (as in LISTEN_FDNAMES)")]
    Inherited(String),
}

impl Address {
    /// Whether only this machine can reach it, as far as the text tells.
    ///
    /// True for loopback IP addresses, the name `localhost`, and Unix sockets. False for inherited sockets: ask
    /// [`LocalAddress::is_loopback`](crate::LocalAddress::is_loopback) of the bound listener.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(endpoint) | Self::Tls(endpoint) => endpoint.is_loopback(),
            Self::Unix(_) => true,
            Self::Inherited(_) => false,
        }
    }

    /// The path, if this is a Unix address.
    pub fn unix_path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl Endpoint {
    fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Name { host, .. } => host == "localhost",
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| AddressError::Port(text.into()))?;
        if !is_host_name(host) {
            return Err(AddressError::Host(text.into()));
        }
        // `u16::from_str` would take a leading `+`.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits => Ok(Self::Name {
                host: host.to_ascii_lowercase(),
                port,
            }),
            _ => Err(AddressError::Port(text.into())),
        }
    }
}

/// Whether `host` is a host name: labels of letters, digits, `-` and `_`, not all digits (that would be a broken IPv4).
fn is_host_name(host: &str) -> bool {
    let label_ok = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = host
        .strip_suffix('.')
        .unwrap_or(host)
        .rsplit('.')
        .next()
        .unwrap_or_default();
    host.len() <= HOST_NAME_BYTES_MAX
        && host.strip_suffix('.').unwrap_or(host).split('.').all(label_ok)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "tcp" => rest.parse().map(Self::Tcp),
                "tls" => rest.parse().map(Self::Tls),
                "unix" => unix(rest),
                "fd" => rest
                    .parse()
                    .map(Self::Inherited)
                    .map_err(|_| AddressError::Inherited(text.into())),
                _ => Err(AddressError::Scheme(scheme.into())),
            };
        }
        match text.strip_prefix("unix:") {
            Some(path) => unix(path),
            None => text.parse().map(Self::Tcp),
        }
    }
}

fn unix(path: &str) -> Result<Address, AddressError> {
    if path.is_empty() {
        return Err(AddressError::EmptyPath);
    }
    if path.contains('\0') {
        return Err(AddressError::PathNul);
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => write!(f, "tcp://{endpoint}"),
            Self::Tls(endpoint) => write!(f, "tls://{endpoint}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Inherited(name) => write!(f, "fd://{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
