//! The state of one connection that its driver and everybody who uses it share.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, RwLock};
use switchboard_wire::gotalk::{Head, RequestId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cancel::{CancelHook, Forwarded};
use crate::close::CloseReason;
use crate::fault::{ErrorKind, Fault};
use crate::in_flight::InFlight;
use crate::in_service::{InService, ServiceKey};
use crate::options::Options;
use crate::outbox::{Outbox, PushError};
use crate::parts::{PartReceiver, PartSender, Target};
use crate::reply::{Body, RETRY_WAIT, Replier};
use crate::service::Caller;
use crate::wire_parts::{WireParts, too_large};

/// The notification by which a peer of the hub says that a call was given up. Its payload is the request's id as
/// eight hex digits.
pub(crate) const CANCEL_NOTIFICATION: &str = "hub.cancel";

/// How far the connection is on its way from open to closed, as its users want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Wish {
    /// Go on.
    Open = 0,
    /// Refuse new requests, finish the others, then close.
    Drain = 1,
    /// Write what is queued, then close.
    Close = 2,
    /// The same, but wait only a moment for it to be taken.
    CloseNow = 3,
}

pub(crate) struct Connection {
    pub(crate) outbox: Outbox,
    pub(crate) in_flight: Mutex<InFlight<Waiter>>,
    pub(crate) in_service: Mutex<InService>,
    pub(crate) options: Options,
    pub(crate) caller: Arc<Caller>,
    /// Fires when the driver has ended.
    pub(crate) closed: CancellationToken,
    pub(crate) reason: OnceLock<CloseReason>,
    wish: AtomicU8,
    driver: AtomicWaker,
    /// The load in the other side's last heartbeat; [`NO_LOAD`] before the first.
    peer_load: AtomicU32,
    /// The other side knows [`CANCEL_NOTIFICATION`].
    pub(crate) knows_cancel: AtomicBool,
    /// No answer of the other side will be heard any more. Set before the calls in flight are given up: one that comes
    /// after them is refused.
    pub(crate) unanswering: AtomicBool,
    /// Requests come as streams whose first part describes the caller.
    pub(crate) callers_described: AtomicBool,
    data: RwLock<Option<Arc<dyn Any + Send + Sync>>>,
}

const NO_LOAD: u32 = u32::MAX;

/// Who waits for the answer of a call.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Away for as long as the driver hands it a part.
    pub(crate) answer: Option<Answer>,
    /// The task that sends the body, if that is a stream.
    body: Option<BodyTask>,
    /// The body is a stream whose end was not sent.
    unended: bool,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// Nothing has come.
    Awaited(Replier),
    /// Parts are coming.
    Streaming(PartSender),
}

/// Stops the sending of a body when its call is over.
#[derive(Debug)]
struct BodyTask(tokio::task::AbortHandle);

impl Drop for BodyTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Waiter {
    /// Answers with a fault.
    pub(crate) fn fault(self, fault: Fault) {
        match self.answer {
            Some(Answer::Awaited(reply)) => reply.fault(fault),
            Some(Answer::Streaming(parts)) => parts.fail(fault),
            None => {}
        }
    }
}

/// A call to be made over a connection.
pub(crate) struct Outgoing<'a> {
    pub(crate) operation: &'a str,
    pub(crate) body: Body,
    pub(crate) deadline: Option<Instant>,
    /// Describes the caller, to a responder that asked for it.
    pub(crate) caller: Option<Bytes>,
}

impl Connection {
    pub(crate) fn new(options: Options, caller: Arc<Caller>) -> Self {
        Self {
            outbox: Outbox::new(options.send_buffer_bytes),
            in_flight: Mutex::new(InFlight::new()),
            in_service: Mutex::new(InService::new()),
            options,
            caller,
            closed: CancellationToken::new(),
            reason: OnceLock::new(),
            wish: AtomicU8::new(Wish::Open as u8),
            driver: AtomicWaker::new(),
            peer_load: AtomicU32::new(NO_LOAD),
            knows_cancel: AtomicBool::new(false),
            unanswering: AtomicBool::new(false),
            callers_described: AtomicBool::new(false),
            data: RwLock::new(None),
        }
    }

    // ---- calls to the other side

    /// Makes a call. The answer goes to `reply`, whatever happens. Never waits.
    pub(crate) fn call(self: &Arc<Self>, call: Outgoing<'_>, reply: Replier) {
        let max = self.options.limits.payload_bytes_max;
        if let Body::Single(payload) = &call.body
            && payload.len() > max
        {
            return reply.fault(too_large(payload.len(), max));
        }
        let Some(id) = self.enter(reply, call.deadline) else {
            return;
        };
        match (call.body, call.caller) {
            (Body::Single(payload), None) => {
                self.start(
                    id,
                    self.outbox.push(
                        Head::SingleRequest {
                            id,
                            operation: call.operation,
                        },
                        &payload,
                    ),
                );
            }
            (Body::Single(payload), Some(caller)) => {
                let head = Head::StreamRequest {
                    id,
                    operation: call.operation,
                };
                if !self.start(id, self.outbox.push(head, &caller)) {
                    return;
                }
                for part in [&payload, &Bytes::new()] {
                    // An empty payload would end the stream: the end alone says as much.
                    let _ = self.outbox.push(Head::StreamPart { id }, part);
                    if part.is_empty() {
                        break;
                    }
                }
            }
            (Body::Stream(parts), caller) => self.call_with_stream(id, call.operation, parts, caller),
        }
    }

    /// Starts a call whose body the caller of this function then sends.
    pub(crate) fn call_streaming(
        self: &Arc<Self>,
        operation: &str,
        deadline: Option<Instant>,
        first: &Bytes,
        reply: Replier,
    ) -> PartSender {
        let id = match self.enter(reply, deadline) {
            Some(id) if self.start_stream(id, operation, first) => id,
            _ => return crate::parts::parts(0).0,
        };
        PartSender(Target::Wire(WireParts::Request {
            connection: Arc::clone(self),
            id,
            ended: false,
        }))
    }

    fn call_with_stream(
        self: &Arc<Self>,
        id: RequestId,
        operation: &str,
        mut parts: PartReceiver,
        caller: Option<Bytes>,
    ) {
        if !self.start_stream(id, operation, &caller.unwrap_or_default()) {
            return;
        }
        let mut sender = PartSender(Target::Wire(WireParts::Request {
            connection: Arc::clone(self),
            id,
            ended: false,
        }));
        let body = tokio::spawn(async move {
            loop {
                match parts.next().await {
                    Some(Ok(part)) => {
                        if sender.send(part).await.is_err() {
                            return sender.finish();
                        }
                    }
                    Some(Err(fault)) => return sender.fail(fault),
                    None => return sender.finish(),
                }
            }
        });
        match self.in_flight.lock().waiter_mut(id) {
            Some(waiter) => waiter.body = Some(BodyTask(body.abort_handle())),
            None => body.abort(),
        }
    }

    /// Enters a call into the table. `None` if the caller is already gone, or no id is left: then it was answered.
    fn enter(self: &Arc<Self>, reply: Replier, deadline: Option<Instant>) -> Option<RequestId> {
        let mut in_flight = self.in_flight.lock();
        if self.unanswering.load(Ordering::Relaxed) {
            drop(in_flight);
            reply.fault(self.lost());
            return None;
        }
        let sooner = deadline.is_some_and(|new| in_flight.next_deadline().is_none_or(|old| new < old));
        let id = in_flight.insert(
            Waiter {
                answer: Some(Answer::Awaited(reply)),
                body: None,
                unended: false,
            },
            deadline,
        )?;
        let forwarded = Forwarded {
            connection: Arc::downgrade(self),
            id,
        };
        let wanted = match in_flight.waiter_mut(id) {
            Some(Waiter {
                answer: Some(Answer::Awaited(reply)),
                ..
            }) => reply.forward(forwarded),
            _ => false,
        };
        if !wanted {
            let waiter = in_flight.remove(id);
            drop(in_flight);
            drop(waiter);
            return None;
        }
        drop(in_flight);
        if sooner {
            self.driver.wake();
        }
        Some(id)
    }

    /// Sees whether the first message of a call was taken, and answers the call if not.
    fn start(&self, id: RequestId, pushed: Result<(), PushError>) -> bool {
        let fault = match pushed {
            Ok(()) => return true,
            Err(PushError::Closed) => self.lost(),
            Err(PushError::Encode(error)) => Fault::error(ErrorKind::Invalid, error.to_string()),
        };
        let waiter = self.in_flight.lock().remove(id);
        if let Some(waiter) = waiter {
            waiter.fault(fault);
        }
        false
    }

    /// The same for a call whose body follows.
    fn start_stream(&self, id: RequestId, operation: &str, first: &Bytes) -> bool {
        if let Some(waiter) = self.in_flight.lock().waiter_mut(id) {
            waiter.unended = true;
        }
        self.start(id, self.outbox.push(Head::StreamRequest { id, operation }, first))
    }

    /// Ends the body of a call. Once the call is over that says nothing: whoever answered wants no more parts, and the
    /// reference closes the connection at one.
    pub(crate) fn end_body(&self, id: RequestId) {
        let unended = match self.in_flight.lock().waiter_mut(id) {
            Some(waiter) => std::mem::take(&mut waiter.unended),
            None => false,
        };
        if unended {
            self.push_body_end(id);
        }
    }

    fn push_body_end(&self, id: RequestId) {
        // A closed connection has nobody left to tell.
        let _ = self.outbox.push(Head::StreamPart { id }, &Bytes::new());
    }

    /// The fault of a call whose connection is gone.
    pub(crate) fn lost(&self) -> Fault {
        let why = self
            .reason
            .get()
            .map_or_else(|| CloseReason::Remote.to_string(), ToString::to_string);
        Fault::retry(
            RETRY_WAIT,
            format!("the connection to the responder is lost: {why}"),
        )
    }

    /// The caller gave its call up: nobody waits for the answer any more.
    pub(crate) fn abandon(&self, id: RequestId) {
        let mut in_flight = self.in_flight.lock();
        let waiter = in_flight.remove(id);
        let idle = in_flight.len() == 0;
        drop(in_flight);
        if let Some(waiter) = waiter {
            self.tell_cancelled(id, &waiter);
        }
        if idle && self.wish() != Wish::Open {
            self.driver.wake();
        }
    }

    /// The call cannot go on because its body failed.
    pub(crate) fn withdraw(&self, id: RequestId, fault: Fault) {
        let waiter = self.in_flight.lock().remove(id);
        if let Some(mut waiter) = waiter {
            // The body's own task is running this: it ends by itself.
            waiter.body = None;
            self.tell(id);
            if waiter.unended {
                self.push_body_end(id);
            }
            // The body's own task may run this: it has nothing more to say, so being aborted does no harm.
            waiter.fault(fault);
        }
    }

    /// Tells the other side that the call of this waiter was given up, as far as it understands that; at least it
    /// waits for no more of the body.
    pub(crate) fn tell_cancelled(&self, id: RequestId, waiter: &Waiter) {
        if self.knows_cancel.load(Ordering::Relaxed) {
            self.tell(id);
        }
        if waiter.unended {
            self.push_body_end(id);
        }
    }

    fn tell(&self, id: RequestId) {
        // A closed connection has nobody left to tell.
        let _ = self.outbox.push(
            Head::Notification {
                name: CANCEL_NOTIFICATION,
            },
            &Bytes::from(id.to_string()),
        );
    }

    pub(crate) fn is_in_flight(&self, id: RequestId) -> bool {
        self.in_flight.lock().waiter_mut(id).is_some()
    }

    // ---- calls from the other side

    /// Takes an answered call out of the table, unless it is not there any more, and has `push` queue its answer. To
    /// the driver that is one step: a table seen empty means that every answer is queued, and the end may come.
    pub(crate) fn finish_service(&self, key: ServiceKey, push: impl FnOnce(&Outbox)) {
        let mut in_service = self.in_service.lock();
        if in_service.finish(key) {
            push(&self.outbox);
        }
        let idle = in_service.len() == 0;
        drop(in_service);
        if idle && self.wish() != Wish::Open {
            self.driver.wake();
        }
    }

    /// A token that fires when the caller gives the call up. `None` once it was answered.
    pub(crate) fn cancellation(&self, key: ServiceKey) -> Option<CancellationToken> {
        self.in_service.lock().cancel_hook(key).map(CancelHook::token)
    }

    /// The share of this side's limits in use.
    pub(crate) fn load(&self) -> u16 {
        self.in_service.lock().load(&self.options.limits)
    }

    // ---- the connection itself

    pub(crate) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            0 => Wish::Open,
            1 => Wish::Drain,
            2 => Wish::Close,
            _ => Wish::CloseNow,
        }
    }

    /// Asks the driver to drain or to close. A wish is never taken back.
    pub(crate) fn want(&self, wish: Wish) {
        self.wish.fetch_max(wish as u8, Ordering::AcqRel);
        self.driver.wake();
    }

    /// Has `cx` woken by everything that is not I/O and not the outbox.
    pub(crate) fn register_driver(&self, cx: &std::task::Context<'_>) {
        self.driver.register(cx.waker());
    }

    pub(crate) fn peer_load(&self) -> Option<u16> {
        u16::try_from(self.peer_load.load(Ordering::Relaxed)).ok()
    }

    pub(crate) fn set_peer_load(&self, load: u16) {
        self.peer_load.store(load.into(), Ordering::Relaxed);
    }

    pub(crate) fn data(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.data.read().clone()
    }

    pub(crate) fn set_data(&self, data: Arc<dyn Any + Send + Sync>) {
        *self.data.write() = Some(data);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
