//! From a connection to a party at the hub, and to the end of both.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_hub::{Account, Fault, Hub, Session, SessionInfo};
use switchboard_net::{Accept, Connection, ConnectionInfo, PeerAddress, Shutdown};
use switchboard_peer::{
    BoxFuture, Caller, CloseReason, HandshakeError, Name, Peer, ProtocolErrorCode, Request, Service, Side,
    Transport,
};

use crate::guest::check_guest;
use crate::options::GatewayOptions;
use crate::party::Party;
use crate::stats::{Counters, GatewayStats};

/// The name of this door at the hub.
const DOOR: ByteString = ByteString::from_static("gotalk");

/// Takes connections of gotalk peers to a hub. Cheap to clone: all clones are one gateway.
#[derive(Debug, Clone)]
pub struct GotalkGateway {
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    hub: Hub,
    shutdown: Shutdown,
    pub(crate) options: GatewayOptions,
    pub(crate) counters: Counters,
}

impl GotalkGateway {
    /// A gateway to `hub`, whose connections end as `shutdown` drains.
    pub fn new(hub: Hub, options: GatewayOptions, shutdown: Shutdown) -> Self {
        Self {
            shared: Arc::new(Shared {
                hub,
                shutdown,
                options,
                counters: Counters::default(),
            }),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> GatewayStats {
        self.shared.counters.read()
    }

    /// Serves a party whose connection another gateway accepted, such as a WebSocket, to its end: as one of our own,
    /// except that it came through `door`. Whether that door may be open is the other gateway's to check.
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed.
    pub fn talk_over(
        &self,
        transport: impl Transport,
        address: String,
        door: ByteString,
    ) -> impl Future<Output = ()> + Send {
        // In a box of its own: while the connection is idle, nothing of its beginning takes up memory.
        let start = Box::pin(self.shared.start(transport, address, door));
        async {
            let Some(peer) = start.await else {
                return;
            };
            let peer = ClosedWithMe(peer);
            let reason = tokio::select! {
                biased;
                reason = peer.0.closed() => reason,
                () = self.shared.shutdown.draining() => Box::pin(self.shared.drain(&peer.0)).await,
            };
            tracing::debug!(address = peer.0.caller().address, %reason, "connection closed");
        }
    }
}

impl Accept for GotalkGateway {
    async fn accept(&self, connection: Connection) {
        let Connection { stream, info } = connection;
        if let Err(error) = check_guest(&info.local) {
            // Whoever bound the listener should have asked.
            tracing::error!(peer = %info.peer, %error, "connection refused");
            return;
        }
        let address = address(&info);
        tracing::debug!(address, id = info.id, listener = %info.local, "connection opened");
        self.talk_over(stream, address, DOOR).await;
    }
}

/// Closes the connection when its task is stopped from outside. After its end that does nothing.
struct ClosedWithMe(Peer);

impl Drop for ClosedWithMe {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    /// Begins to talk. `None` if that came to nothing.
    async fn start(
        self: &Arc<Self>,
        transport: impl Transport,
        address: String,
        door: ByteString,
    ) -> Option<Peer> {
        let started = match self.open(&address, door) {
            Ok(session) => {
                let party = Party::new(session, Arc::clone(self));
                self.talk(transport, party, address.clone()).await
            }
            Err(fault) => self.refuse(transport, fault, address.clone()).await,
        };
        started
            .map_err(|error| tracing::debug!(address, %error, "connection closed before it began"))
            .ok()
    }

    async fn drain(&self, peer: &Peer) -> CloseReason {
        peer.shutdown(self.options.grace).await;
        peer.closed().await
    }

    fn open(&self, address: &str, door: ByteString) -> Result<Session, Fault> {
        self.hub.open(SessionInfo {
            door,
            address: address.to_owned(),
            account: Account::guest(),
            client: None,
        })
    }

    async fn talk(
        &self,
        transport: impl Transport,
        service: impl Service,
        address: String,
    ) -> Result<Peer, HandshakeError> {
        let caller = Caller {
            address: Some(address),
            ..Caller::default()
        };
        Peer::start(
            transport,
            Side::Accepting,
            service,
            self.options.peer.clone(),
            caller,
        )
        .await
    }

    /// The hub takes nobody in. The protocol cannot say so before its first message, so this is an abnormal end.
    async fn refuse(
        &self,
        transport: impl Transport,
        fault: Fault,
        address: String,
    ) -> Result<Peer, HandshakeError> {
        tracing::warn!(address, %fault, "connection refused");
        let peer = self.talk(transport, Refusing(fault), address).await?;
        peer.close_with(ProtocolErrorCode::Abnormal);
        Ok(peer)
    }
}

/// Answers everything with the fault that kept the connection from becoming a party.
struct Refusing(Fault);

impl Service for Refusing {
    fn request(&self, request: Request) {
        request.reply.fault(self.0.clone());
    }

    fn notification(&self, _: &Peer, _: Name, _: Bytes) -> Option<BoxFuture<()>> {
        None
    }
}

/// What tells the party apart: its network address, or the user at the other end of a Unix socket.
fn address(info: &ConnectionInfo) -> String {
    match (info.peer, info.peer_uid) {
        (PeerAddress::Unix, Some(uid)) => format!("unix:uid={uid}"),
        (peer, _) => peer.to_string(),
    }
}
