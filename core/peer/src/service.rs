//! What a connection hands the requests and notifications to that come over it.

use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use switchboard_wire::gotalk::Name;
use tokio::time::Instant;

use crate::peer::Peer;
use crate::reply::{Body, Replier};

/// A future that borrows nothing.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Answers what comes over a connection. [`Handlers`](crate::Handlers) is the one most programs use.
///
/// Both methods run in the connection's own task: they must not block. A panic in them is caught: the caller gets an
/// Error, the log a line.
pub trait Service: Send + Sync + 'static {
    /// A request has come. It is answered through [`Request::reply`], now or later, from any task.
    fn request(&self, request: Request);

    /// A notification has come. If the returned future is some, the connection hands over no further notification
    /// until it has ended: so their order is kept. It goes on with everything else meanwhile.
    fn notification(&self, peer: &Peer, name: Name, payload: Bytes) -> Option<BoxFuture<()>>;

    /// The other side answers no more calls, though it may still get answers that it is owed: it closed its half of the
    /// connection, or the connection begins to close. Called at most once, before [`closed`](Self::closed).
    fn unanswering(&self, _peer: &Peer) {}

    /// The connection has ended; called once, last.
    fn closed(&self, _peer: &Peer) {}
}

impl<S: Service + ?Sized> Service for std::sync::Arc<S> {
    fn request(&self, request: Request) {
        (**self).request(request);
    }

    fn notification(&self, peer: &Peer, name: Name, payload: Bytes) -> Option<BoxFuture<()>> {
        (**self).notification(peer, name, payload)
    }

    fn unanswering(&self, peer: &Peer) {
        (**self).unanswering(peer);
    }

    fn closed(&self, peer: &Peer) {
        (**self).closed(peer);
    }
}

/// One request from the other side.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub operation: Name,
    /// With what.
    pub body: Body,
    /// Where the answer goes.
    pub reply: Replier,
    /// The connection it came over.
    pub peer: Peer,
    /// The caller beyond the connection, if the hub at its other end described one.
    pub described: Option<Described>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Caller {
    /// The account the caller logged in with, if accounts are in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The gateway through which the caller came, such as `gotalk` or `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<String>,
    /// The network address, or whatever else tells callers apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The first part of a request that a hub forwards to a responder which asked to know its callers: a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Who calls.
    #[serde(flatten)]
    pub caller: Caller,
    /// What is called.
    pub operation: String,
    /// How long the caller will wait from now, in milliseconds; absent if for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether the caller streams its body. If not, the parts that follow are one payload.
    #[serde(default)]
    pub stream: bool,
    /// What the body is, as a media type; absent if the caller did not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// A [`Description`] as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Who calls.
    pub caller: std::sync::Arc<Caller>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Whether the caller streams its body.
    pub stream: bool,
    /// What the body is, as a media type, if the caller said so.
    pub content_type: Option<std::sync::Arc<str>>,
}
