//! What a listener is told: validated run-time types. Reading them from a file is the binary's task.

use std::num::NonZeroU64;
use std::time::Duration;

use ipnet::IpNet;

use crate::address::Address;
use crate::tls::Tls;

/// Time for the PROXY header and the TLS handshake together. Two lost packets on a slow link still fit.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after which a silent TCP link counts as dead. Short enough to free the slots of vanished peers, long enough for
/// a phone in a tunnel.
const LINK_TIMEOUT: Duration = Duration::from_secs(120);

/// The shortest link time-out: keep-alive probes count in whole seconds and need a few of them.
const LINK_TIMEOUT_MIN: Duration = Duration::from_secs(5);

/// The longest link time-out. The system takes at most 32,767 s for the keep-alive timer.
const LINK_TIMEOUT_MAX: Duration = Duration::from_secs(32_767);

/// Everything one [`Listener`](crate::Listener) needs to know.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Where to listen.
    pub address: Address,
    /// TLS, required for `tls://`, refused for `tcp://`, optional for Unix and inherited sockets.
    pub tls: Option<Tls>,
    /// Mode and owner of the socket file of a `unix://` address.
    pub unix: UnixSettings,
    /// Whether a proxy in front tells us who the client is.
    pub proxy: ProxyProtocol,
    /// Limits of each connection.
    pub connection: ConnectionLimits,
    /// Whether `[::]` listens on IPv6 only. Off by default: `[::]` then takes IPv4 too, whatever the system's default.
    /// Any other IPv6 address is IPv6 only in any case.
    pub ipv6_only: bool,
}

/// The socket file of a Unix listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSettings {
    /// Permission bits, `0o600` by default. Whoever may write to the file may connect.
    pub mode: u32,
    /// Owner of the file as a numeric user id; unchanged when `None`.
    pub owner: Option<u32>,
    /// Group of the file as a numeric group id; unchanged when `None`.
    pub group: Option<u32>,
}

impl Default for UnixSettings {
    fn default() -> Self {
        Self {
            mode: 0o600,
            owner: None,
            group: None,
        }
    }
}

/// The PROXY protocol: a header by which a load balancer tells the client's address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// No header is expected; the peer's address is the socket's.
    #[default]
    Off,
    /// Every connection comes from one of these networks and starts with a header of version 1 or 2. Any other
    /// address is refused: whoever could connect directly could claim to be anybody.
    Required {
        /// The networks of the trusted proxies.
        trusted: Vec<IpNet>,
    },
}

/// Limits of each single connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Deadline from accept until the PROXY header and the TLS handshake are complete. 10 s by default.
    pub handshake_timeout: Duration,
    /// Most bytes a second that are read from the peer, `None` for no limit.
    pub read_bytes_per_second: Option<NonZeroU64>,
    /// Most bytes a second that are written to the peer, `None` for no limit.
    pub write_bytes_per_second: Option<NonZeroU64>,
    /// TCP only: how long a link may be dead before the system closes it, 5 s to 32,767 s; 120 s by default, `None` to
    /// wait forever.
    ///
    /// An idle link is probed after half of it (keep-alive). On Linux it is also `TCP_USER_TIMEOUT`: data that stays
    /// unacknowledged that long, **or a peer that keeps its receive window shut that long**, ends the connection.
    pub link_timeout: Option<Duration>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: HANDSHAKE_TIMEOUT,
            read_bytes_per_second: None,
            write_bytes_per_second: None,
            link_timeout: Some(LINK_TIMEOUT),
        }
    }
}

/// Why a [`ListenerConfig`] contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// `tls://` without TLS settings.
    #[error("{0} needs a certificate: give a certificate and a key, or ask for a self-signed one")]
    TlsMissing(Address),
    /// `tcp://` with TLS settings.
    #[error("{0} is plain TCP but has TLS settings: write tls:// instead, or remove them")]
    TlsUnused(Address),
    /// PROXY protocol on a Unix socket, whose peers have no address that could be trusted.
    #[error("{0} is a Unix socket, which cannot speak the PROXY protocol")]
    ProxyOnUnix(Address),
    /// PROXY protocol without any trusted network would refuse everybody.
    #[error("the PROXY protocol at {0} needs at least one trusted network, such as 10.0.0.0/8")]
    ProxyTrustsNobody(Address),
    /// More than the nine permission bits.
    #[error("{mode:o} is no mode for a socket file: write three octal digits, such as 600 or 660")]
    UnixMode {
        /// The mode as given.
        mode: u32,
    },
    /// A deadline of zero would refuse everybody.
    #[error("the handshake time-out must be longer than zero")]
    HandshakeTimeout,
    /// The link time-out is out of bounds.
    #[error("the link time-out must be between {LINK_TIMEOUT_MIN:?} and {LINK_TIMEOUT_MAX:?}")]
    LinkTimeout,
}

impl ListenerConfig {
    /// A listener at `address` with default settings and no TLS.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            tls: None,
            unix: UnixSettings::default(),
            proxy: ProxyProtocol::Off,
            connection: ConnectionLimits::default(),
            ipv6_only: false,
        }
    }

    /// Checks that the settings fit each other. [`Listener::bind`](crate::Listener::bind) does so too.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the first contradiction.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let address = || self.address.clone();
        match (&self.address, &self.tls) {
            (Address::Tls(_), None) => return Err(ConfigError::TlsMissing(address())),
            (Address::Tcp(_), Some(_)) => return Err(ConfigError::TlsUnused(address())),
            _ => {}
        }
        if let ProxyProtocol::Required { trusted } = &self.proxy {
            if matches!(self.address, Address::Unix(_)) {
                return Err(ConfigError::ProxyOnUnix(address()));
            }
            if trusted.is_empty() {
                return Err(ConfigError::ProxyTrustsNobody(address()));
            }
        }
        if self.unix.mode & !0o777 != 0 {
            return Err(ConfigError::UnixMode { mode: self.unix.mode });
        }
        if self.connection.handshake_timeout.is_zero() {
            return Err(ConfigError::HandshakeTimeout);
        }
        match self.connection.link_timeout {
            Some(timeout) if !(LINK_TIMEOUT_MIN..=LINK_TIMEOUT_MAX).contains(&timeout) => {
                Err(ConfigError::LinkTimeout)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> ListenerConfig {
        ListenerConfig::new(address.parse().expect("an address"))
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(config("tcp://127.0.0.1:0").validate(), Ok(()));
        assert!(matches!(
            config("tls://127.0.0.1:0").validate(),
            Err(ConfigError::TlsMissing(_))
        ));

        let mut proxied = config("127.0.0.1:0");
        proxied.proxy = ProxyProtocol::Required { trusted: Vec::new() };
        assert!(matches!(
            proxied.validate(),
            Err(ConfigError::ProxyTrustsNobody(_))
        ));
        proxied.address = Address::Unix("/tmp/s".into());
        assert!(matches!(proxied.validate(), Err(ConfigError::ProxyOnUnix(_))));

        let mut unix = config("unix:/tmp/s");
        unix.unix.mode = 0o4755;
        assert_eq!(unix.validate(), Err(ConfigError::UnixMode { mode: 0o4755 }));

        let mut timed = config("127.0.0.1:0");
        timed.connection.handshake_timeout = Duration::ZERO;
        assert_eq!(timed.validate(), Err(ConfigError::HandshakeTimeout));
        timed.connection = ConnectionLimits {
            link_timeout: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        assert_eq!(timed.validate(), Err(ConfigError::LinkTimeout));
    }
}
