//! The body of a call, its reply, and the one who owes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::cancel::{CancelHook, Forwarded, cancelled};
use crate::context::Cancellation;
use crate::fault::Fault;
use crate::parts::{PartReceiver, PartSender, Target, parts};
use crate::watched::Watched;
use crate::wire_parts::WireReply;

/// What a call carries: one payload, or a stream of them.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Single(Bytes),
    /// Part after part.
    Stream(PartReceiver),
}

impl Body {
    /// The whole body as one payload.
    ///
    /// # Errors
    /// The fault that the stream ended with; an error of kind too large over `bytes_max` bytes.
    pub async fn collect(self, bytes_max: usize) -> Result<Bytes, Fault> {
        match self {
            Self::Single(payload) => Ok(payload),
            Self::Stream(parts) => parts.collect(bytes_max).await,
        }
    }

    /// The body as a stream, whichever it was.
    pub fn into_parts(self) -> PartReceiver {
        match self {
            Self::Single(payload) => {
                let (mut sender, receiver) = parts(usize::MAX);
                // The reader is right here: it cannot be gone.
                let _ = sender.push(payload);
                sender.finish();
                receiver
            }
            Self::Stream(parts) => parts,
        }
    }
}

impl From<Bytes> for Body {
    fn from(payload: Bytes) -> Self {
        Self::Single(payload)
    }
}

/// What a call is answered with: the same two shapes as a [`Body`].
pub type Reply = Body;

/// The duty to answer one call, exactly once.
///
/// Dropped without an answer, the caller gets a Retry, or an Error if a panic dropped it: never silence.
#[derive(Debug)]
pub struct Replier {
    to: Option<To>,
    watched: Option<Watched>,
}

#[derive(Debug)]
enum To {
    Wire(WireReply),
    Task(Arc<Slot>),
}

impl Replier {
    /// A replier and the future that its answer resolves. A streamed reply holds at most about `stream_bytes` bytes
    /// that were not read.
    pub fn pair(stream_bytes: usize) -> (Self, ReplyFuture) {
        let slot = Arc::new(Slot {
            stream_bytes,
            state: Mutex::default(),
        });
        (
            Self {
                to: Some(To::Task(Arc::clone(&slot))),
                watched: None,
            },
            ReplyFuture(slot),
        )
    }

    pub(crate) fn wire(reply: WireReply) -> Self {
        Self {
            to: Some(To::Wire(reply)),
            watched: None,
        }
    }

    /// Answers with one payload.
    pub fn result(mut self, payload: impl Into<Bytes>) {
        if let Some(watched) = self.watched.take() {
            watched.end(None);
        }
        match self.to.take() {
            Some(To::Wire(wire)) => wire.result(&payload.into()),
            Some(To::Task(slot)) => slot.fill(Ok(Reply::Single(payload.into()))),
            None => {}
        }
    }

    /// Answers with a fault.
    pub fn fault(mut self, fault: Fault) {
        self.answer_fault(fault);
    }

    /// Answers with either.
    pub fn answer(self, answer: Result<Bytes, Fault>) {
        match answer {
            Ok(payload) => self.result(payload),
            Err(fault) => self.fault(fault),
        }
    }

    /// Answers with a stream of parts.
    pub fn stream(mut self) -> PartSender {
        let watched = self.watched.take();
        match self.to.take() {
            Some(To::Wire(wire)) => PartSender(Target::Wire(wire.into_parts(watched))),
            Some(To::Task(slot)) => {
                let (mut sender, mut receiver) = parts(slot.stream_bytes);
                sender.hold(watched);
                receiver.call = Some(CallGuard(Some(Arc::clone(&slot))));
                slot.fill(Ok(Reply::Stream(receiver)));
                sender
            }
            // Only an answered replier has no receiver, and answering consumes it.
            None => parts(0).0,
        }
    }

    /// Has `watched` end when the call is answered, or its streamed reply has ended.
    pub fn hold(&mut self, watched: Watched) {
        self.watched = Some(watched);
    }

    /// Fires when the caller goes away or gives the call up. Never fires after the answer.
    pub fn cancellation(&self) -> CancellationToken {
        match &self.to {
            Some(To::Wire(wire)) => wire.cancellation(),
            Some(To::Task(slot)) => slot.state.lock().cancel.token(),
            None => cancelled(),
        }
    }

    /// The same, for a context that most handlers never ask: a request from the wire gets its token when it does.
    pub(crate) fn cancellation_source(&self) -> Cancellation {
        match &self.to {
            Some(To::Wire(wire)) => Cancellation::Request(wire.key),
            _ => Cancellation::Token(self.cancellation()),
        }
    }

    /// Has the call that went on given up with this one. False if that has happened already.
    #[must_use]
    pub(crate) fn forward(&self, forwarded: Forwarded) -> bool {
        match &self.to {
            Some(To::Wire(wire)) => wire.forward(forwarded),
            Some(To::Task(slot)) => slot.state.lock().cancel.forward(forwarded),
            None => false,
        }
    }

    fn answer_fault(&mut self, fault: Fault) {
        if let Some(watched) = self.watched.take() {
            watched.end(Some(&fault));
        }
        match self.to.take() {
            Some(To::Wire(wire)) => wire.fault(&fault),
            Some(To::Task(slot)) => slot.fill(Err(fault)),
            None => {}
        }
    }
}

impl Drop for Replier {
    fn drop(&mut self) {
        if self.to.is_some() {
            self.answer_fault(unanswered());
        }
    }
}

/// The fault for a duty that was dropped.
pub(crate) fn unanswered() -> Fault {
    if std::thread::panicking() {
        Fault::failed("internal error: the handler panicked")
    } else {
        Fault::retry(RETRY_WAIT, "the responder went away")
    }
}

/// The fault for a call whose caller said how long it waits.
pub(crate) fn deadline_passed() -> Fault {
    Fault::retry(Duration::ZERO, "the deadline of the call has passed")
}

/// How long a caller should wait before it tries again after its responder was lost: about the time in which another
/// one takes over, or the same one reconnects.
pub(crate) const RETRY_WAIT: Duration = Duration::from_millis(100);

/// Resolves with the answer of a call. Dropped before that, the call is given up and its responder told, if it can be.
#[derive(Debug)]
pub struct ReplyFuture(Arc<Slot>);

impl Future for ReplyFuture {
    type Output = Result<Reply, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state.lock();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(answer);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for ReplyFuture {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        if state.answered {
            // A streamed reply that nobody took gives the call up by itself as it is dropped.
            let unread = state.answer.take();
            drop(state);
            drop(unread);
        } else {
            let hook = state.cancel.take_fired();
            drop(state);
            hook.fire();
        }
    }
}

/// Where a replier and its future meet.
#[derive(Debug)]
pub(crate) struct Slot {
    stream_bytes: usize,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    answer: Option<Result<Reply, Fault>>,
    answered: bool,
    /// The future was dropped: an answer that comes now is for nobody.
    gone: bool,
    reader: Option<Waker>,
    cancel: CancelHook,
}

impl Slot {
    fn fill(&self, answer: Result<Reply, Fault>) {
        let mut state = self.state.lock();
        state.answered = true;
        if state.gone {
            drop(state);
            drop(answer);
            return;
        }
        if !matches!(answer, Ok(Reply::Stream(_))) {
            state.cancel = CancelHook::default();
        }
        state.answer = Some(answer);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Gives a call up when the receiver of its streamed reply is dropped before the end.
#[derive(Debug)]
pub(crate) struct CallGuard(Option<Arc<Slot>>);

impl CallGuard {
    /// The stream has ended: there is nothing to give up.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            let hook = slot.state.lock().cancel.take_fired();
            hook.fire();
        }
    }
}
