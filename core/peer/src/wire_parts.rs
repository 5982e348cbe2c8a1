//! The sending ends that write straight onto a connection: one answer, and the parts of a stream.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use switchboard_wire::gotalk::{Head, RequestId};
use tokio_util::sync::CancellationToken;

use crate::cancel::{Forwarded, cancelled};
use crate::connection::Connection;
use crate::fault::{ErrorKind, Fault, wait_ms};
use crate::in_service::ServiceKey;
use crate::outbox::{Outbox, PushError};
use crate::parts::Unread;
use crate::watched::Watched;

/// The duty to answer one request that came over a connection.
pub(crate) struct WireReply {
    pub(crate) connection: Arc<Connection>,
    pub(crate) key: ServiceKey,
    pub(crate) id: RequestId,
}

impl WireReply {
    pub(crate) fn result(self, payload: &Bytes) {
        let limits = &self.connection.options.limits;
        self.connection.finish_service(self.key, |outbox| {
            // What this side would not take, the other side hardly does: it would end the connection.
            if payload.len() > limits.payload_bytes_max {
                return push_fault(
                    outbox,
                    self.id,
                    &too_large(payload.len(), limits.payload_bytes_max),
                );
            }
            // Requests are refused once so much is owed, but those let in before may all be answered late.
            let owed = outbox.queued();
            if owed > 0 && owed + payload.len() > limits.buffered_bytes_max.saturating_mul(2) {
                let unread = Fault::retry(limits.draw_wait(), "the caller does not take its results");
                return push_fault(outbox, self.id, &unread);
            }
            let pushed = outbox.push(Head::SingleResult { id: self.id }, payload);
            if let Err(PushError::Encode(error)) = pushed {
                let fault = Fault::failed(format!("the result cannot be sent: {error}"));
                push_fault(outbox, self.id, &fault);
            }
        });
    }

    pub(crate) fn fault(self, fault: &Fault) {
        self.connection
            .finish_service(self.key, |outbox| push_fault(outbox, self.id, fault));
    }

    pub(crate) fn into_parts(self, watched: Option<Watched>) -> WireParts {
        WireParts::Result {
            reply: self,
            ended: false,
            watched,
        }
    }

    pub(crate) fn forward(&self, forwarded: Forwarded) -> bool {
        let mut in_service = self.connection.in_service.lock();
        in_service
            .cancel_hook(self.key)
            .is_some_and(|hook| hook.forward(forwarded))
    }

    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.connection.cancellation(self.key).unwrap_or_else(cancelled)
    }

    /// Whether the caller still wants the answer.
    fn is_wanted(&self) -> bool {
        let mut in_service = self.connection.in_service.lock();
        in_service
            .cancel_hook(self.key)
            .is_some_and(|hook| !hook.is_fired())
    }
}

/// The fault of a payload that does not go into one message.
pub(crate) fn too_large(bytes: usize, max: usize) -> Fault {
    Fault::error(
        ErrorKind::TooLarge,
        format!("a payload of {bytes} bytes is over the limit of {max}: send it as a stream"),
    )
}

/// Writes a fault as the message it is on the wire. A closed connection has nobody left to tell.
pub(crate) fn push_fault(outbox: &Outbox, id: RequestId, fault: &Fault) {
    let head = match fault {
        Fault::Error { .. } => Head::ErrorResult { id },
        Fault::Retry { wait, .. } => Head::RetryResult {
            id,
            wait_ms: wait_ms(*wait),
        },
    };
    let _ = outbox.push(head, &Bytes::copy_from_slice(fault.message().as_bytes()));
}

impl std::fmt::Debug for WireReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireReply")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The sending end of a stream on a connection.
#[derive(Debug)]
pub(crate) enum WireParts {
    /// The streamed result of a request that came over it.
    Result {
        reply: WireReply,
        ended: bool,
        watched: Option<Watched>,
    },
    /// The body of a request that went out over it.
    Request {
        connection: Arc<Connection>,
        id: RequestId,
        ended: bool,
    },
}

impl WireParts {
    fn connection(&self) -> &Connection {
        match self {
            Self::Result { reply, .. } => &reply.connection,
            Self::Request { connection, .. } => connection,
        }
    }

    pub(crate) async fn room(&self) {
        self.connection().outbox.room().await;
    }

    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.connection().outbox.poll_room(cx)
    }

    pub(crate) fn push(&mut self, part: Bytes) -> Result<(), Unread> {
        let pushed = match self {
            Self::Result { ended: true, .. } | Self::Request { ended: true, .. } => return Err(Unread),
            Self::Result { reply, .. } => {
                if !reply.is_wanted() {
                    return Err(Unread);
                }
                reply
                    .connection
                    .outbox
                    .push(Head::StreamResult { id: reply.id }, &part)
            }
            Self::Request { connection, id, .. } => {
                if !connection.is_in_flight(*id) {
                    return Err(Unread);
                }
                connection.outbox.push(Head::StreamPart { id: *id }, &part)
            }
        };
        pushed.map_err(|_| Unread)
    }

    pub(crate) fn end(&mut self, end: Result<(), Fault>) {
        match self {
            Self::Result { ended: true, .. } | Self::Request { ended: true, .. } => {}
            Self::Result {
                reply,
                ended,
                watched,
            } => {
                *ended = true;
                if let Some(watched) = watched.take() {
                    watched.end(end.as_ref().err());
                }
                reply.connection.finish_service(reply.key, |outbox| match end {
                    // A closed connection has nobody left to tell.
                    Ok(()) => drop(outbox.push(Head::StreamResult { id: reply.id }, &Bytes::new())),
                    Err(fault) => push_fault(outbox, reply.id, &fault),
                });
            }
            Self::Request {
                connection,
                id,
                ended,
            } => {
                *ended = true;
                match end {
                    Ok(()) => connection.end_body(*id),
                    // The wire cannot say that a request body failed: the call is withdrawn instead.
                    Err(fault) => connection.withdraw(*id, fault),
                }
            }
        }
    }
}
