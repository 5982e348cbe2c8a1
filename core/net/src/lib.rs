//! One listener for every gateway: sockets, TLS, limits, and a graceful end. It knows no protocol.
//!
//! ```text
//! Address ─► Listener::bind ─► run: accept ─► slot ─► task: PROXY header ─► TLS ─► Connection ─► your Accept
//!                                  │                  └──── one deadline ────┘         │
//!                                  └ back-off when descriptors run out       slot freed when the Stream drops
//! ```
//!
//! * [`Network`] is what all listeners of a process share: the limits "in all", the counters, inherited sockets.
//! * [`Listener`] owns one socket. [`Listener::run`] accepts until the [`Shutdown`] drains, and no error ends it sooner.
//! * [`Connection`] is what a gateway gets: a [`Stream`] of bytes and who is at the other end.
//! * [`Tls`], [`proxy`] and [`Pace`](shaping::Pace) are layers a listener may put below the stream. Unused ones cost nothing.
//! * [`signals`], [`privilege`] and [`open_files`] are what a daemon does around its listeners.

mod address;
mod backoff;
mod config;
mod connection;
mod handshake;
mod inherited;
mod limits;
mod listener;
mod network;
pub mod open_files;
pub mod privilege;
pub mod proxy;
pub mod shaping;
mod shutdown;
pub mod signals;
mod socket;
mod stats;
mod stream;
mod throttle;
mod tls;
mod unix;

pub use address::{Address, AddressError, Endpoint};
pub use config::{ConfigError, ConnectionLimits, ListenerConfig, ProxyProtocol, UnixSettings};
pub use connection::{Accept, Connection, ConnectionInfo, LocalAddress, PeerAddress};
pub use inherited::{InheritedError, InheritedName, InheritedSockets, InvalidInheritedName};
pub use ipnet::IpNet;
pub use limits::{Limits, Refusal};
pub use listener::Listener;
pub use network::Network;
pub use shutdown::{Ending, Shutdown};
pub use socket::BindError;
pub use stats::Stats;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use tls::{Certificate, ClientCertificate, ClientCertificates, Tls, TlsError, TlsInfo, TlsSettings};
