//! What each message does.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use switchboard_wire::gotalk::{Message, Name, ProtocolErrorCode, RequestId};
use tokio::time::{Duration, Instant};

use super::bodies::Taken;
use super::{Driver, PauseOn, Transport};
use crate::close::CloseReason;
use crate::connection::{Answer, CANCEL_NOTIFICATION, Wish};
use crate::fault::{ErrorKind, Fault};
use crate::in_service::{CallKind, Refusal, ServiceKey};
use crate::panics::caught;
use crate::parts::{PartSender, parts};
use crate::reply::{Body, RETRY_WAIT, Replier};
use crate::service::{Described, Description, Request};
use crate::wire_parts::{WireReply, push_fault};

/// The text of every refusal for a limit, as the reference words it.
const BUSY: &str = "request rate limit";

impl<T: Transport> Driver<T> {
    pub(super) fn dispatch(&mut self, message: Message, cx: &Context<'_>) -> Result<(), CloseReason> {
        // What a request makes to be done shows in the table of calls; everything else goes to another task.
        let asks = matches!(message, Message::SingleRequest { .. });
        self.busy_poll.asked |= asks;
        self.busy_poll.expecting &= asks || matches!(message, Message::Heartbeat { .. });
        match message {
            Message::SingleRequest {
                id,
                operation,
                payload,
            } => self.on_request(id, operation, payload),
            Message::StreamRequest {
                id,
                operation,
                payload,
            } => self.on_stream_request(id, operation, payload),
            Message::StreamPart { id, payload } => self.on_part(id, payload, cx),
            Message::SingleResult { id, payload } => self.on_result(id, payload),
            Message::StreamResult { id, payload } => self.on_result_part(id, payload, cx),
            Message::ErrorResult { id, payload } => self.on_fault(id, Fault::from_error_payload(&payload)),
            Message::RetryResult { id, wait_ms, payload } => {
                self.on_fault(id, Fault::from_retry_payload(wait_ms, &payload));
            }
            Message::Notification { name, payload } if &*name == CANCEL_NOTIFICATION => {
                self.on_cancel(&payload)
            }
            Message::Notification { name, payload } => self.on_notification(name, payload),
            Message::Heartbeat { load, .. } => self.connection.set_peer_load(load),
            Message::ProtocolError(code) => return Err(CloseReason::Refused(code)),
        }
        Ok(())
    }

    // ---- requests from the other side

    fn on_request(&mut self, id: RequestId, operation: Name, payload: Bytes) {
        match self.admit(id, CallKind::Single, payload.len()) {
            Ok(key) => self.hand_over_request(operation, Body::Single(payload), self.replier(id, key), None),
            Err(fault) => push_fault(&self.connection.outbox, id, &fault),
        }
    }

    fn on_stream_request(&mut self, id: RequestId, operation: Name, payload: Bytes) {
        if self.bodies.has(id) {
            let what = format!("a stream request reuses the id {id}, whose own stream has not ended");
            return self.close_illegal(ProtocolErrorCode::InvalidMessage, what);
        }
        // In this order: what is admitted must be answered by a replier, or its place is never free again.
        let admitted = self
            .describe(&payload)
            .and_then(|described| Ok((self.admit(id, CallKind::Stream, payload.len())?, described)));
        let (key, described) = match admitted {
            Ok(admitted) => admitted,
            Err(fault) => {
                self.bodies.discard(id);
                return push_fault(&self.connection.outbox, id, &fault);
            }
        };
        let (mut sender, receiver) = parts(self.connection.options.limits.stream_bytes_max);
        if described.is_none() {
            // The reader is right here: it cannot be gone.
            let _ = sender.push(payload);
        }
        self.bodies.start(id, sender);
        self.hand_over_request(
            operation,
            Body::Stream(receiver),
            self.replier(id, key),
            described,
        );
    }

    fn admit(&mut self, id: RequestId, kind: CallKind, bytes: usize) -> Result<ServiceKey, Fault> {
        let limits = &self.connection.options.limits;
        if self.connection.wish() != Wish::Open {
            return Err(Fault::retry(RETRY_WAIT, "shutting down"));
        }
        let owed = self.connection.outbox.queued();
        if owed >= limits.buffered_bytes_max {
            let wait = limits.draw_wait();
            if owed >= limits.buffered_bytes_max.saturating_mul(2) {
                self.pause(PauseOn::Output);
            }
            return Err(Fault::retry(wait, BUSY));
        }
        if kind == CallKind::Stream && limits.streams_max > 0 && !self.bodies.has_room() {
            return Err(Fault::retry(limits.draw_wait(), BUSY));
        }
        self.connection
            .in_service
            .lock()
            .admit(id, kind, bytes, limits)
            .map_err(|refusal| match refusal {
                Refusal::StreamsOff => Fault::error(ErrorKind::Unsupported, "stream requests not supported"),
                Refusal::Busy => Fault::retry(limits.draw_wait(), BUSY),
            })
    }

    fn replier(&self, id: RequestId, key: ServiceKey) -> Replier {
        Replier::wire(WireReply {
            connection: Arc::clone(&self.connection),
            key,
            id,
        })
    }

    /// Reads the first part of a stream request from a hub that was asked to describe its callers.
    fn describe(&self, payload: &Bytes) -> Result<Option<Described>, Fault> {
        if !self
            .connection
            .callers_described
            .load(std::sync::atomic::Ordering::Relaxed)
        {
            return Ok(None);
        }
        let description: Description = serde_json::from_slice(payload)
            .map_err(|error| Fault::invalid(format!("the first part must describe the caller: {error}")))?;
        Ok(Some(Described {
            caller: Arc::new(description.caller),
            deadline: description
                .deadline_ms
                .map(|ms| Instant::now() + Duration::from_millis(ms)),
            stream: description.stream,
            content_type: description.content_type.map(Arc::from),
        }))
    }

    fn hand_over_request(
        &mut self,
        operation: Name,
        body: Body,
        reply: Replier,
        described: Option<Described>,
    ) {
        let request = Request {
            operation,
            body,
            reply,
            peer: self.peer(),
            described,
        };
        caught("request", || self.service.request(request));
    }

    fn on_part(&mut self, id: RequestId, payload: Bytes, cx: &Context<'_>) {
        match self.bodies.part(id, payload, cx) {
            Taken::Done => {}
            Taken::Full => self.pause(PauseOn::Body(id)),
            Taken::NoStream => {
                let what = format!("a part for the id {id}, which no stream request began");
                self.close_illegal(ProtocolErrorCode::InvalidMessage, what);
            }
        }
    }

    /// The other side gave a call of its own up.
    fn on_cancel(&self, payload: &Bytes) {
        let id = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse::<RequestId>().ok());
        let Some(id) = id else {
            tracing::debug!(
                peer = self.connection.caller.address,
                "ignoring a {CANCEL_NOTIFICATION} without an id"
            );
            return;
        };
        let hooks = self.connection.in_service.lock().give_up(id);
        hooks.into_iter().for_each(crate::cancel::Firing::fire);
    }

    // ---- answers from the other side

    fn on_result(&self, id: RequestId, payload: Bytes) {
        // An id that is not known is a call that was given up.
        let waiter = self.connection.in_flight.lock().remove(id);
        match waiter.and_then(|waiter| waiter.answer) {
            Some(Answer::Awaited(reply)) => reply.result(payload),
            Some(Answer::Streaming(mut parts)) => {
                // Whoever stopped reading has given the call up.
                let _ = parts.push(payload);
                parts.finish();
            }
            None => {}
        }
    }

    fn on_fault(&self, id: RequestId, fault: Fault) {
        let waiter = self.connection.in_flight.lock().remove(id);
        if let Some(waiter) = waiter {
            waiter.fault(fault);
        }
    }

    fn on_result_part(&mut self, id: RequestId, payload: Bytes, cx: &Context<'_>) {
        if payload.is_empty() {
            let waiter = self.connection.in_flight.lock().remove(id);
            match waiter.and_then(|waiter| waiter.answer) {
                Some(Answer::Awaited(reply)) => reply.stream().finish(),
                Some(Answer::Streaming(parts)) => parts.finish(),
                None => {}
            }
            return;
        }
        let Some(mut parts) = self.take_result(id) else {
            return;
        };
        if parts.push(payload).is_err() {
            let waiter = self.connection.in_flight.lock().remove(id);
            if let Some(waiter) = waiter {
                self.connection.tell_cancelled(id, &waiter);
            }
            return;
        }
        let full = parts.poll_room(cx).is_pending();
        self.put_result(id, parts);
        if full {
            self.pause(PauseOn::Result(id));
        }
    }

    /// Takes the receiving end of a streamed result out of the table, so that no lock is held while it is used.
    fn take_result(&self, id: RequestId) -> Option<PartSender> {
        let answer = self.connection.in_flight.lock().waiter_mut(id)?.answer.take()?;
        Some(match answer {
            Answer::Awaited(reply) => reply.stream(),
            Answer::Streaming(parts) => parts,
        })
    }

    fn put_result(&self, id: RequestId, parts: PartSender) {
        if let Some(waiter) = self.connection.in_flight.lock().waiter_mut(id) {
            waiter.answer = Some(Answer::Streaming(parts));
        }
    }

    pub(super) fn poll_result_room(&self, id: RequestId, cx: &Context<'_>) -> Poll<()> {
        match self
            .connection
            .in_flight
            .lock()
            .waiter_mut(id)
            .and_then(|waiter| waiter.answer.as_ref())
        {
            Some(Answer::Streaming(parts)) => parts.poll_room(cx),
            _ => Poll::Ready(()),
        }
    }

    /// Whoever reads this streamed result took nothing for too long.
    pub(super) fn give_up_result(&self, id: RequestId) {
        let waiter = self.connection.in_flight.lock().remove(id);
        if let Some(waiter) = waiter {
            self.connection.tell_cancelled(id, &waiter);
            waiter.fault(Fault::retry(
                RETRY_WAIT,
                "the streamed result was not read in time",
            ));
        }
    }
}
