//! Addresses that the daemon listens on, and networks it trusts.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Stands for the data directory in a listen address.
const DATA_PLACEHOLDER: &str = "{data}";

/// Where a door listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `tcp://ADDRESS:PORT`
    Tcp(SocketAddr),
    /// `tls://ADDRESS:PORT`
    Tls(SocketAddr),
    /// `unix://PATH`
    Unix(PathBuf),
}

/// Why an address was refused. The text is meant for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The scheme is missing or not one of ours.
    #[error("`{0}` is no address: write tcp://ADDRESS:PORT, tls://ADDRESS:PORT or unix://PATH")]
    Scheme(String),
    /// What follows the scheme is no socket address.
    #[error("`{0}` needs an IP address and a port, like tcp://127.0.0.1:4700 or tcp://[::1]:4700")]
    Socket(String),
    /// A path is missing, or holds a placeholder we do not know.
    #[error("`{0}` needs a path, like unix:///run/switchboard.sock or unix://{{data}}/switchboard.sock")]
    Path(String),
    /// The address can be reached from outside this machine.
    #[error(
        "`{0}` can be reached from other machines, and whoever connects is `guest`, who may do everything: \
         this version has no accounts, so it listens on loopback (127.0.0.1, [::1]) and Unix sockets only. \
         Listen there, and let other machines in through an SSH tunnel (ssh -L 4700:127.0.0.1:4700 HOST)"
    )]
    Open(String),
}

impl Address {
    /// Reads a listen address; `{data}` in a path stands for `data`.
    ///
    /// # Errors
    /// What [`AddressError`] names. An address that is not loopback is refused while guest is open.
    pub fn listen(text: &str, data: &Path) -> Result<Self, AddressError> {
        let address = match text.split_once("://") {
            Some(("tcp", rest)) => Self::Tcp(socket_address(text, rest)?),
            Some(("tls", rest)) => Self::Tls(socket_address(text, rest)?),
            Some(("unix", rest)) => Self::Unix(socket_path(text, rest, data)?),
            _ => return Err(AddressError::Scheme(text.to_owned())),
        };
        match address.ip() {
            Some(ip) if !ip.to_canonical().is_loopback() => Err(AddressError::Open(text.to_owned())),
            _ => Ok(address),
        }
    }

    /// Whether the system chooses the port, so that the address may be written twice.
    pub fn is_any_port(&self) -> bool {
        matches!(self, Self::Tcp(address) | Self::Tls(address) if address.port() == 0)
    }

    /// The IP address, unless it is a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

fn socket_address(text: &str, rest: &str) -> Result<SocketAddr, AddressError> {
    // `localhost` is the one name that needs no resolver and cannot point elsewhere.
    let rest = match rest.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => rest.to_owned(),
    };
    rest.parse().map_err(|_| AddressError::Socket(text.to_owned()))
}

fn socket_path(text: &str, rest: &str, data: &Path) -> Result<PathBuf, AddressError> {
    let path = match rest.strip_prefix(DATA_PLACEHOLDER) {
        Some(below) => data.join(below.trim_start_matches('/')),
        None => PathBuf::from(rest),
    };
    let named = path.file_name().is_some() && path != data;
    let strange = rest
        .trim_start_matches(DATA_PLACEHOLDER)
        .contains(['{', '}', '\0']);
    if !named || strange {
        return Err(AddressError::Path(text.to_owned()));
    }
    Ok(path)
}

/// A range of IP addresses in CIDR form: `10.0.0.0/8`, `::1/128`; a lone address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address in the range.
    pub address: IpAddr,
    /// Leading bits that are fixed: 0 to 32, or to 128 for IPv6.
    pub prefix_bits: u8,
}

impl Network {
    /// Whether the range holds an address; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network: write an IP address or a range like 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|bits| *bits <= bits_max)
                .ok_or_else(wrong)?,
            None => bits_max,
        };
        Ok(Self { address, prefix_bits })
    }
}
