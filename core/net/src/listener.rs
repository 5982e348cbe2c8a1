//! One listening socket and its accept loop.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::address::Address;
use crate::backoff::{Backoff, concerns_one_connection};
use crate::config::{ListenerConfig, ProxyProtocol};
use crate::connection::{Accept, LocalAddress, PeerAddress};
use crate::handshake::{Handshake, HandshakeError};
use crate::limits::Refusal;
use crate::network::{Network, Slot};
use crate::shutdown::Shutdown;
use crate::socket::{Accepted, BindError, Socket};
use crate::throttle::Throttle;
use crate::unix::{self, SocketFile};

/// A socket that listens, and what it does to connections before a gateway sees them.
///
/// From [`bind`](Self::bind) on, clients can connect; they are served once [`run`](Self::run) runs. In between is the
/// moment to drop privileges.
#[derive(Debug)]
pub struct Listener {
    /// Removes the socket file in the end; before `socket`, which keeps the file's inode from being given to another.
    file: Option<SocketFile>,
    socket: Socket,
    door: Door,
}

/// What every connection of a listener needs to know.
#[derive(Debug)]
struct Door {
    network: Network,
    config: ListenerConfig,
    local: LocalAddress,
    accept_log: Throttle,
    handshake_log: Throttle,
}

impl Listener {
    /// Listens as `config` says, within the limits of `network`.
    ///
    /// A host name listens at the first of its addresses that can be had, IPv4 first. A Unix socket file that nobody
    /// listens at is replaced; one that somebody listens at, or a file of another kind, is left alone.
    ///
    /// Not cancel safe: if dropped, a Unix socket file may be left behind (the next bind replaces it).
    ///
    /// # Errors
    /// A [`BindError`] that names the address and what can be done.
    pub async fn bind(config: ListenerConfig, network: &Network) -> Result<Self, BindError> {
        config.validate()?;
        let mut file = None;
        let socket = match &config.address {
            Address::Tcp(endpoint) | Address::Tls(endpoint) => {
                Socket::tcp(endpoint, config.ipv6_only).await?
            }
            Address::Unix(path) => {
                let (socket, bound) = unix::bind(path, &config.unix).await?;
                file = Some(bound);
                socket
            }
            Address::Inherited(name) => network.inherited().lock().take(name)?,
        };
        let local = socket
            .local_address()
            .map_err(|error| BindError::from_system(&config.address, error))?;
        let door = Door {
            network: network.clone(),
            config,
            local,
            accept_log: Throttle::default(),
            handshake_log: Throttle::default(),
        };
        Ok(Self { file, socket, door })
    }

    /// Where it really listens, with the port the system chose.
    pub fn local_address(&self) -> &LocalAddress {
        &self.door.local
    }

    /// What it was told.
    pub fn config(&self) -> &ListenerConfig {
        &self.door.config
    }

    /// Accepts connections until `shutdown` drains, then closes the socket. Each connection runs in a task of
    /// `shutdown`, handshakes included, so a slow one delays nobody.
    ///
    /// No error ends it: when descriptors or memory run out it waits, at most a second at a time, and tries again.
    /// Cancel safe: dropping it closes the socket, connections live on.
    pub async fn run(self, handler: impl Accept, shutdown: Shutdown) {
        let Self { file, socket, door } = self;
        let door = Arc::new(door);
        let handler = Arc::new(handler);
        let mut backoff = Backoff::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.draining() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => {
                    backoff.reset();
                    door.network.stats().accepted.fetch_add(1, Ordering::Relaxed);
                    if let Some(slot) = door.admit(&accepted) {
                        let (door, handler) = (Arc::clone(&door), Arc::clone(&handler));
                        shutdown.spawn(async move { door.serve(accepted, slot, &*handler).await });
                    }
                }
                Err(error) => {
                    door.accept_failed(&error);
                    if !concerns_one_connection(&error) {
                        tokio::select! {
                            biased;
                            () = shutdown.draining() => break,
                            () = tokio::time::sleep(backoff.advance()) => {}
                        }
                    }
                }
            }
        }
        drop(file);
        drop(socket);
        tracing::debug!(listener = %door.local, "listener closed");
    }
}

impl Door {
    /// A place for a new connection, or `None` if it must be closed.
    fn admit(&self, accepted: &Accepted) -> Option<Slot> {
        let peer = match accepted {
            Accepted::Tcp(_, peer) => PeerAddress::Ip(*peer),
            Accepted::Unix(..) => PeerAddress::Unix,
        };
        self.try_admit(peer)
            .map_err(|reason| self.network.refuse(reason, &peer, &self.local))
            .ok()
    }

    fn try_admit(&self, peer: PeerAddress) -> Result<Slot, Refusal> {
        let mut slot = self.network.admit()?;
        match (&self.config.proxy, peer.ip()) {
            (ProxyProtocol::Off, Some(peer)) => slot.charge(peer.ip(), Instant::now())?,
            // The client's address is charged once the header tells it.
            (ProxyProtocol::Required { trusted }, Some(peer)) => {
                let ip = peer.ip();
                if !trusted.iter().any(|network| network.contains(&ip)) {
                    return Err(Refusal::UntrustedProxy);
                }
            }
            // An inherited Unix socket: its peers are no trusted network.
            (ProxyProtocol::Required { .. }, None) => return Err(Refusal::UntrustedProxy),
            (ProxyProtocol::Off, None) => {}
        }
        Ok(slot)
    }

    async fn serve(&self, accepted: Accepted, slot: Slot, handler: &impl Accept) {
        let peer = match &accepted {
            Accepted::Tcp(_, peer) => PeerAddress::Ip(*peer),
            Accepted::Unix(..) => PeerAddress::Unix,
        };
        let handshake = Handshake {
            network: &self.network,
            config: &self.config,
            local: &self.local,
        };
        match handshake.complete(accepted, slot).await {
            Ok(connection) => handler.accept(connection).await,
            Err(error) => self.handshake_failed(&error, &peer),
        }
    }

    fn handshake_failed(&self, error: &HandshakeError, peer: &dyn fmt::Display) {
        let stats = self.network.stats();
        match error {
            HandshakeError::Refused(reason) => return self.network.refuse(*reason, peer, &self.local),
            HandshakeError::Timeout(_) => stats.handshake_timeouts.fetch_add(1, Ordering::Relaxed),
            _ => stats.handshake_failures.fetch_add(1, Ordering::Relaxed),
        };
        if let Some(held_back) = self.handshake_log.pass(Instant::now()) {
            tracing::info!(%error, %peer, listener = %self.local, held_back, "handshake failed");
        }
    }

    fn accept_failed(&self, error: &std::io::Error) {
        self.network.stats().accept_errors.fetch_add(1, Ordering::Relaxed);
        if let Some(held_back) = self.accept_log.pass(Instant::now()) {
            tracing::warn!(%error, listener = %self.local, held_back, "cannot accept a connection");
        }
    }
}
