//! A connection as its users see it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchboard_wire::gotalk::{self, Head, ProtocolErrorCode};
use tokio::time::Instant;

use crate::call::CallBuilder;
use crate::close::CloseReason;
use crate::connection::{Connection, Outgoing, Wish};
use crate::driver::{Driver, Transport};
use crate::fault::{ErrorKind, Fault};
use crate::handshake::{HandshakeError, handshake};
use crate::options::Options;
use crate::outbox::PushError;
use crate::reply::{Body, RETRY_WAIT, Replier};
use crate::service::{Caller, Description, Service};

/// The other end of a connection. Both ends are equal: each can call, notify and answer.
///
/// A handle: cheap to clone, and the connection does not end with the last one. It ends by [`close`](Self::close),
/// [`shutdown`](Self::shutdown), or by the other side.
#[derive(Clone)]
pub struct Peer {
    connection: Arc<Connection>,
}

impl From<Arc<Connection>> for Peer {
    fn from(connection: Arc<Connection>) -> Self {
        Self { connection }
    }
}

/// Bytes on their way between the two of a [`Peer::pair`], each way.
const PAIR_BYTES: usize = 64 * 1024;

/// Which of the two ends this is. Only the heartbeats differ: a connecting end sends the first at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This end made the connection.
    Connecting,
    /// This end accepted it.
    Accepting,
}

impl Peer {
    /// Begins to talk over `transport`: exchanges versions with the other side, which must do so at the same time, then hands what comes to `service`, in a task of its own.
    ///
    /// # Errors
    /// If the other side does not speak gotalk 1, or says nothing within the handshake time-out. It has been told.
    ///
    /// # Cancel safety
    /// The transport is dropped with the future.
    pub async fn start<T: Transport>(
        mut transport: T,
        side: Side,
        service: impl Service,
        options: Options,
        caller: Caller,
    ) -> Result<Self, HandshakeError> {
        let read = handshake(&mut transport, options.handshake_timeout).await?;
        let connection = Arc::new(Connection::new(options, Arc::new(caller)));
        let driver = Driver::new(
            transport,
            Arc::clone(&connection),
            Arc::new(service),
            read,
            side == Side::Connecting,
        );
        tokio::spawn(driver);
        Ok(Self { connection })
    }

    /// Two peers in this process that talk to each other, over memory.
    ///
    /// # Errors
    /// None as a rule: each side is a peer of the other's making.
    pub async fn pair(
        left: impl Service,
        right: impl Service,
        options: Options,
    ) -> Result<(Self, Self), HandshakeError> {
        let (one, other) = tokio::io::duplex(PAIR_BYTES);
        let caller = || Caller {
            address: Some("memory".to_owned()),
            ..Caller::default()
        };
        tokio::try_join!(
            Self::start(one, Side::Connecting, left, options.clone(), caller()),
            Self::start(other, Side::Accepting, right, options, caller()),
        )
    }

    // ---- calls

    /// A call to be configured: with a deadline, a stream, or retries.
    pub fn call<'a>(&'a self, operation: &'a str) -> CallBuilder<'a> {
        CallBuilder::new(self, operation)
    }

    /// Calls `operation` with JSON and reads the result as JSON. An empty result reads as `null`.
    ///
    /// # Errors
    /// The responder's fault; an Error if the parameters or the result are not JSON of these types.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up; a responder behind a hub is told.
    pub async fn request<P, R>(&self, operation: &str, parameters: &P) -> Result<R, Fault>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call(operation).request(parameters).await
    }

    /// Calls `operation` with bytes. A streamed result is joined, up to the payload limit.
    ///
    /// # Errors
    /// The responder's fault.
    ///
    /// # Cancel safety
    /// As [`request`](Self::request).
    pub async fn request_raw(&self, operation: &str, payload: impl Into<Bytes>) -> Result<Bytes, Fault> {
        self.call(operation).request_raw(payload).await
    }

    /// Hands a call on, in the manner of a hub: never waits, and the answer goes to `reply`, whatever happens.
    ///
    /// `description` is for responders that asked to know their callers. The call is refused with a Retry while the
    /// other side takes no bytes and the limit on buffered ones is reached.
    pub fn forward(
        &self,
        operation: &str,
        body: Body,
        deadline: Option<Instant>,
        description: Option<&Description>,
        reply: Replier,
    ) {
        if self.connection.outbox.queued() >= self.connection.options.limits.buffered_bytes_max {
            return reply.fault(Fault::retry(RETRY_WAIT, "the responder does not keep up"));
        }
        let caller = match description.map(serde_json::to_vec).transpose() {
            Ok(caller) => caller.map(Bytes::from),
            Err(error) => return reply.fault(Fault::failed(error.to_string())),
        };
        self.connection.call(
            Outgoing {
                operation,
                body,
                deadline,
                caller,
            },
            reply,
        );
    }

    // ---- notifications

    /// Sends a notification with JSON. Waits while too much is queued to be written.
    ///
    /// # Errors
    /// Retry if the connection is closed; Error if the payload is no JSON or too large.
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub async fn notify(&self, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        self.notify_raw(name, to_json(payload)?).await
    }

    /// Sends a notification with bytes. Waits while too much is queued to be written.
    ///
    /// # Errors
    /// Retry if the connection is closed; Error if name or payload are too large.
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub async fn notify_raw(&self, name: &str, payload: impl Into<Bytes>) -> Result<(), Fault> {
        if !self.connection.outbox.has_room() {
            self.connection.outbox.room().await;
        }
        self.notify_now(name, &payload.into())
    }

    /// Sends a notification without waiting, however much is queued. For those who bound what they send otherwise:
    /// see [`queued_bytes`](Self::queued_bytes).
    ///
    /// # Errors
    /// As [`notify_raw`](Self::notify_raw).
    pub fn notify_now(&self, name: &str, payload: &Bytes) -> Result<(), Fault> {
        self.connection
            .outbox
            .push(Head::Notification { name }, payload)
            .map_err(|error| match error {
                PushError::Closed => self.connection.lost(),
                PushError::Encode(error) => Fault::error(ErrorKind::TooLarge, error.to_string()),
            })
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.connection.outbox.queued()
    }

    /// Waits until fewer bytes than [`Options::send_buffer_bytes`] are queued, or the connection is closed. Cancel
    /// safe.
    pub async fn room(&self) {
        self.connection.outbox.room().await;
    }

    // ---- the other side

    /// Who is at the other end.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.connection.caller
    }

    /// The load in the other side's last heartbeat, 0 to 65535; `None` before the first. A connecting side sends one
    /// at once, an accepting side only after its [`Options::heartbeat_interval`].
    pub fn load(&self) -> Option<u16> {
        self.connection.peer_load()
    }

    /// Requests of the other side that are being answered here.
    pub fn requests_in_service(&self) -> usize {
        self.connection.in_service.lock().len()
    }

    /// Requests of this side that are not answered yet.
    pub fn requests_in_flight(&self) -> usize {
        self.connection.in_flight.lock().len()
    }

    /// Says that the other side understands `hub.cancel`: from now on it is told of calls that are given up.
    pub fn set_knows_cancel(&self) {
        self.connection.knows_cancel.store(true, Ordering::Relaxed);
    }

    /// Says that the other side is a hub which begins each request with a description of its caller.
    pub fn set_callers_described(&self) {
        self.connection.callers_described.store(true, Ordering::Relaxed);
    }

    /// What was kept with this connection.
    pub fn data(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.connection.data()
    }

    /// Keeps something with this connection, for its handlers.
    pub fn set_data(&self, data: Arc<dyn Any + Send + Sync>) {
        self.connection.set_data(data);
    }

    // ---- the end

    /// Writes what is queued, then closes. Calls in flight fail with Retry.
    pub fn close(&self) {
        self.connection.want(Wish::Close);
    }

    /// Reports a protocol error to the other side, and closes.
    pub fn close_with(&self, code: ProtocolErrorCode) {
        // A closed outbox means that the end has begun already.
        let _ = self
            .connection
            .outbox
            .push_encoded(|dst| gotalk::encode_protocol_error(code, dst));
        self.close();
    }

    /// Refuses new requests with Retry, lets those under way finish in both directions, then closes; after `grace`
    /// closes all the same. Returns when the connection has ended.
    ///
    /// # Cancel safety
    /// Dropped, the draining goes on without a limit in time.
    pub async fn shutdown(&self, grace: Duration) {
        self.connection.want(Wish::Drain);
        if tokio::time::timeout(grace, self.closed()).await.is_err() {
            self.connection.want(Wish::CloseNow);
            self.closed().await;
        }
    }

    /// Waits until the connection has ended, and says why. Cancel safe.
    pub async fn closed(&self) -> CloseReason {
        self.connection.closed.cancelled().await;
        self.connection
            .reason
            .get()
            .cloned()
            .unwrap_or(CloseReason::Local)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.connection.closed.is_cancelled()
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

/// Two handles are equal if they are of the same connection.
impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }
}

impl Eq for Peer {}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("address", &self.connection.caller.address)
            .field("closed", &self.connection.reason.get())
            .finish_non_exhaustive()
    }
}

/// Parameters and results as JSON.
pub(crate) fn to_json(value: &(impl Serialize + ?Sized)) -> Result<Bytes, Fault> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Fault::invalid(format!("the value cannot be written as JSON: {error}")))
}

/// The other way; nothing at all reads as `null`.
pub(crate) fn from_json<R: DeserializeOwned>(payload: &[u8]) -> Result<R, serde_json::Error> {
    serde_json::from_slice(if payload.is_empty() { b"null" } else { payload })
}
