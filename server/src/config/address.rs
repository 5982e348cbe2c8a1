//! Addresses that the daemon may listen on.

use std::path::{Path, PathBuf};

use switchboard_net::{Address, AddressError, Endpoint};

/// What stands for the data directory at the head of a path.
const DATA: &str = "{data}";

/// The head of a Unix address.
const UNIX: &str = "unix://";

/// How the addresses of a door are written, beside `unix://` and `fd://`, which every door may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Schemes {
    /// Its section of the configuration.
    pub section: &'static str,
    /// Before a TCP address without TLS.
    pub plain: &'static str,
    /// Before one with TLS.
    pub tls: &'static str,
    /// The port that its examples have.
    port: u16,
}

/// Those of the gotalk door.
pub const GOTALK: Schemes = Schemes {
    section: "gotalk",
    plain: "tcp",
    tls: "tls",
    port: 4700,
};

/// Those of the HTTP door.
pub const HTTP: Schemes = Schemes {
    section: "http",
    plain: "http",
    tls: "https",
    port: 4780,
};

/// Those of the Redis door.
pub const REDIS: Schemes = Schemes {
    section: "redis",
    plain: "redis",
    tls: "rediss",
    port: 4779,
};

impl Schemes {
    /// Whether the address begins as only those of this door do.
    pub fn are_of(&self, text: &str) -> bool {
        text.split_once("://")
            .is_some_and(|(scheme, _)| scheme == self.plain || scheme == self.tls)
    }
}

/// Why a listen address was refused. The text is meant for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// It is no address at all.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A path is missing, or holds braces, which stand for placeholders of which there is only one.
    #[error("`{0}` needs a path, like unix:///run/switchboard.sock or unix://{{data}}/switchboard.sock")]
    Path(String),
    /// It is in the data directory, and there is none.
    #[error("`{0}` is in the data folder, and a daemon with the data `:memory:` has none: name another path")]
    NoData(String),
    /// It begins as no address of this door does.
    #[error(
        "`{text}` begins with none of {}://, {}://, unix:// and fd://; \
         tcp:// and tls:// lead to the gotalk door, http:// and https:// to the HTTP door, redis:// and rediss:// to the \
         Redis door", door.plain, door.tls
    )]
    Scheme {
        /// What was written.
        text: String,
        /// The door that it was written for.
        door: &'static Schemes,
    },
    /// The address can be reached from outside this machine.
    #[error(
        "`{text}` can be reached from other machines, and whoever connects is `guest`, who may do everything: \
         this version has no accounts, so it listens on loopback (127.0.0.1, [::1]) and Unix sockets only. \
         Listen there, and let other machines in through an SSH tunnel (ssh -L {port}:127.0.0.1:{port} HOST)"
    )]
    Open {
        /// What was written.
        text: String,
        /// The port of the tunnel.
        port: u16,
    },
}

/// Whether the address is the path of a socket in the data directory.
pub(super) fn is_in_data(text: &str) -> bool {
    text.strip_prefix(UNIX).is_some_and(|path| path.starts_with(DATA))
}

/// Reads a listen address of a door; `{data}` at the head of a Unix path stands for the data directory, if there is one.
///
/// Inherited sockets (`fd://…`) pass: only the bound listener can tell whether they are loopback.
///
/// # Errors
/// What [`ListenError`] names. An address that is not loopback is refused while guest is open.
pub fn listen(text: &str, data: Option<&Path>, door: &'static Schemes) -> Result<Address, ListenError> {
    if data.is_none() && is_in_data(text) {
        return Err(ListenError::NoData(text.to_owned()));
    }
    let address = match text.split_once("://") {
        Some(("unix", path)) if path.starts_with(DATA) => {
            let path = file(path, data).ok_or_else(|| ListenError::Path(text.to_owned()))?;
            Address::Unix(path)
        }
        Some((scheme, rest)) if scheme == door.plain => Address::Tcp(endpoint(rest)?),
        Some((scheme, rest)) if scheme == door.tls => Address::Tls(endpoint(rest)?),
        Some(("unix" | "fd", _)) | None => text.parse()?,
        Some(_) => {
            let text = text.to_owned();
            return Err(ListenError::Scheme { text, door });
        }
    };
    match &address {
        Address::Unix(_) => {
            let path = text.strip_prefix(UNIX).unwrap_or(text);
            file(path, data).ok_or_else(|| ListenError::Path(text.to_owned()))?;
        }
        Address::Tcp(_) | Address::Tls(_) if !address.is_loopback() => {
            return Err(ListenError::Open {
                text: text.to_owned(),
                port: door.port,
            });
        }
        Address::Tcp(_) | Address::Tls(_) | Address::Inherited(_) => {}
    }
    Ok(address)
}

/// Host and port of a URL; the slash that ends one as browsers show it is no part of them.
fn endpoint(text: &str) -> Result<Endpoint, AddressError> {
    text.strip_suffix('/').unwrap_or(text).parse()
}

/// The path of a file; `{data}` at its head stands for the data directory. `None` if it names no file, is in a data
/// directory that is not there, or holds braces elsewhere, which stand for nothing.
pub(super) fn file(text: &str, data: Option<&Path>) -> Option<PathBuf> {
    let below = text.strip_prefix(DATA);
    let path = match below {
        None => PathBuf::from(text),
        Some(below) => data?.join(below.trim_start_matches('/')),
    };
    let is_named = path.file_name().is_some() && Some(path.as_path()) != data;
    let is_plain = !below.unwrap_or(text).contains(['{', '}', '\0']);
    (is_named && is_plain).then_some(path)
}

/// Whether the system chooses the port, so that the address may be written twice.
pub(super) fn is_any_port(address: &Address) -> bool {
    match address {
        Address::Tcp(endpoint) | Address::Tls(endpoint) => match endpoint {
            Endpoint::Ip(address) => address.port() == 0,
            Endpoint::Name { port, .. } => *port == 0,
        },
        Address::Unix(_) | Address::Inherited(_) => false,
    }
}
