//! Addresses that the daemon may listen on.

use std::path::Path;

use switchboard_net::{Address, AddressError, Endpoint};

/// The head of a Unix address below the data directory.
const UNIX_IN_DATA: &str = "unix://{data}";

/// Why a listen address was refused. The text is meant for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// It is no address at all.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A path is missing, or holds braces, which stand for placeholders of which there is only one.
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

/// Reads a listen address; `{data}` at the head of a Unix path stands for the data directory.
///
/// Inherited sockets (`fd://…`) pass: only the bound listener can tell whether they are loopback.
///
/// # Errors
/// What [`ListenError`] names. An address that is not loopback is refused while guest is open.
pub fn listen(text: &str, data: &Path) -> Result<Address, ListenError> {
    let address = match text.strip_prefix(UNIX_IN_DATA) {
        Some(below) => Address::Unix(data.join(below.trim_start_matches('/'))),
        None => text.parse()?,
    };
    match &address {
        Address::Unix(path) => {
            let written = text.strip_prefix(UNIX_IN_DATA).unwrap_or(text);
            let named = path.file_name().is_some() && path != data;
            if !named || written.contains(['{', '}', '\0']) {
                return Err(ListenError::Path(text.to_owned()));
            }
        }
        Address::Tcp(_) | Address::Tls(_) if !address.is_loopback() => {
            return Err(ListenError::Open(text.to_owned()));
        }
        Address::Tcp(_) | Address::Tls(_) | Address::Inherited(_) => {}
    }
    Ok(address)
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
