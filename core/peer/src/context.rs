//! What a handler knows beyond its payload.

use std::sync::Arc;

use switchboard_wire::gotalk::Name;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::peer::Peer;
use crate::service::{Caller, Described};

/// The circumstances of one request or notification.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) operation: Name,
    pub(crate) peer: Peer,
    pub(crate) described: Option<Described>,
    pub(crate) cancellation: Cancellation,
}

/// Where the sign comes from that the caller is gone.
#[derive(Debug, Clone)]
pub(crate) enum Cancellation {
    /// From the request itself: asked for only if wanted, since most handlers do not.
    Request(crate::in_service::ServiceKey),
    /// From a token that was there already.
    Token(CancellationToken),
    /// From the end of the connection: a notification has nobody who waits.
    Connection,
}

impl Context {
    /// The operation, or the notification's name, as the caller wrote it.
    pub fn operation(&self) -> &Name {
        &self.operation
    }

    /// Who calls: the party behind the hub if the hub described it, otherwise the other end of the connection.
    pub fn caller(&self) -> &Arc<Caller> {
        self.described
            .as_ref()
            .map_or_else(|| self.peer.caller(), |described| &described.caller)
    }

    /// The connection that the call came over, to call back.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When the caller stops waiting, if it said so.
    pub fn deadline(&self) -> Option<Instant> {
        self.described.as_ref().and_then(|described| described.deadline)
    }

    /// What the body is, as a media type, if the caller said so and the hub was asked to describe it.
    pub fn content_type(&self) -> Option<&str> {
        self.described.as_ref()?.content_type.as_deref()
    }

    /// What is kept with the connection, if it is of this type: see [`Peer::set_data`].
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.peer.data()?.downcast().ok()
    }

    /// A token that fires when the caller goes away or gives the call up, or its deadline passes. Once the call is
    /// answered there is nothing left to cancel: a token first asked for then has fired.
    pub fn cancellation(&self) -> CancellationToken {
        match &self.cancellation {
            Cancellation::Request(key) => self
                .peer
                .connection()
                .cancellation(*key)
                .unwrap_or_else(crate::cancel::cancelled),
            Cancellation::Token(token) => token.clone(),
            Cancellation::Connection => self.peer.connection().closed.clone(),
        }
    }

    /// Waits until the caller goes away or gives the call up, or its deadline passes. Cancel safe.
    pub async fn cancelled(&self) {
        self.cancellation().cancelled().await;
    }
}
