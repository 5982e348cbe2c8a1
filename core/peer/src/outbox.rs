//! What waits to be written to one connection.
//!
//! Any task may push; only the connection's driver takes. Small messages are copied one after the other into a
//! growing segment, so that a thousand of them leave in one system call; a large payload becomes a segment of its
//! own and is never copied.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use switchboard_wire::gotalk::{EncodeError, Head};
use tokio::sync::Notify;

use crate::cork;

/// A payload up to this many bytes is copied beside its header: below it, the copy is cheaper than a segment.
const COPY_BYTES_MAX: usize = 8 * 1024;

/// The size in bytes that the open segment grows by: room for a few dozen small messages.
const SEGMENT_BYTES: usize = 4 * 1024;

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PushError {
    /// The connection is closed, or will take nothing more.
    #[error("the connection is closed")]
    Closed,
    /// The message cannot be said on this wire.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Bytes pushed and not yet written, including those which the driver is writing.
    queued: AtomicUsize,
    /// Senders that can wait do so from here on, in bytes.
    high_water: usize,
    /// Somebody waits for room: only then is it worth telling.
    starved: AtomicBool,
    room: Notify,
}

struct State {
    open: bool,
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    /// Wakes the driver, which has found nothing to take.
    driver: Option<Waker>,
    /// The driver is at work, and takes what comes before it rests: waking it would only have it turn once more.
    attended: bool,
    waiting_drivers: Vec<Waker>,
}

impl Outbox {
    pub(crate) fn new(high_water: usize) -> Self {
        Self {
            state: Mutex::new(State {
                open: true,
                segments: VecDeque::new(),
                tail: BytesMut::new(),
                driver: None,
                attended: true,
                waiting_drivers: Vec::new(),
            }),
            queued: AtomicUsize::new(0),
            // With a mark of nothing there would never be room.
            high_water: high_water.max(1),
            starved: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Puts one message behind the others. Never waits: whoever can wait calls [`Self::room`] first.
    pub(crate) fn push(&self, head: Head<'_>, payload: &Bytes) -> Result<(), PushError> {
        self.push_parts(head, &[payload])
    }

    /// Like [`Self::push`], for a payload in several pieces.
    pub(crate) fn push_parts(&self, head: Head<'_>, pieces: &[&Bytes]) -> Result<(), PushError> {
        let payload_len = pieces.iter().map(|piece| piece.len()).sum();
        self.append(|state| {
            let before = state.tail.len();
            head.encode(payload_len, &mut state.tail)?;
            let head_len = state.tail.len() - before;
            for piece in pieces {
                state.append(piece);
            }
            Ok(head_len + payload_len)
        })
    }

    /// Puts bytes that are already encoded behind the messages.
    pub(crate) fn push_encoded(&self, encode: impl FnOnce(&mut BytesMut)) -> Result<(), PushError> {
        self.append(|state| {
            let before = state.tail.len();
            encode(&mut state.tail);
            Ok(state.tail.len() - before)
        })
    }

    /// Lets `put` add to the state and say how many bytes it added.
    fn append(&self, put: impl FnOnce(&mut State) -> Result<usize, PushError>) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if !state.open {
            return Err(PushError::Closed);
        }
        if state.tail.capacity() - state.tail.len() < SEGMENT_BYTES / 8 {
            state.tail.reserve(SEGMENT_BYTES);
        }
        let added = put(&mut state)?;
        self.queued.fetch_add(added, Ordering::Relaxed);
        let driver = if state.attended { None } else { state.driver.take() };
        drop(state);
        if let Some(driver) = driver {
            cork::wake(driver);
        }
        Ok(())
    }

    /// The driver is at work: it will call [`Self::take`] until that finds nothing, so no push need wake it before.
    pub(crate) fn attend(&self) {
        self.state.lock().attended = true;
    }

    /// Moves everything that waits into `into`. If there is nothing, the driver is woken by the next push.
    pub(crate) fn take(&self, into: &mut VecDeque<Bytes>, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if state.segments.is_empty() && state.tail.is_empty() {
            state.attended = false;
            match &state.driver {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => state.driver = Some(cx.waker().clone()),
            }
            return false;
        }
        into.append(&mut state.segments);
        if !state.tail.is_empty() {
            let tail = state.tail.split().freeze();
            into.push_back(tail);
        }
        true
    }

    /// Whether a take would find something.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued.load(Ordering::Relaxed) == 0
    }

    /// Bytes pushed and not yet written.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Says that the driver has written so many bytes.
    pub(crate) fn written(&self, bytes: usize) {
        let left = self.queued.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        // Half the mark: who waited gets room for more than one message.
        if left <= self.high_water / 2 && self.starved.swap(false, Ordering::AcqRel) {
            self.wake_waiting();
        }
    }

    fn wake_waiting(&self) {
        let drivers = std::mem::take(&mut self.state.lock().waiting_drivers);
        self.room.notify_waiters();
        drivers.into_iter().for_each(cork::wake);
    }

    /// Whether a sender that can wait should not do so.
    pub(crate) fn has_room(&self) -> bool {
        self.queued() < self.high_water
    }

    /// Waits until fewer bytes than the high-water mark are queued, or the outbox is closed. Cancel safe.
    pub(crate) async fn room(&self) {
        while !self.has_room() && self.is_open() {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            self.starved.store(true, Ordering::Release);
            if self.has_room() || !self.is_open() {
                break;
            }
            notified.await;
        }
    }

    /// The same for another connection's driver, which cannot hold a future.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut state = self.state.lock();
        if !state.open {
            return Poll::Ready(());
        }
        if !state
            .waiting_drivers
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiting_drivers.push(cx.waker().clone());
        }
        drop(state);
        self.starved.store(true, Ordering::Release);
        if self.has_room() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether pushes are taken.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open
    }

    /// Takes nothing more; what is queued can still be written.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.open = false;
        let driver = state.driver.take();
        drop(state);
        self.wake_waiting();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Gives back memory that an idle connection does not need.
    pub(crate) fn release_memory(&self) {
        let mut state = self.state.lock();
        if state.tail.is_empty() {
            state.tail = BytesMut::new();
        }
        if state.segments.is_empty() {
            state.segments.shrink_to_fit();
        }
    }
}

impl State {
    fn append(&mut self, piece: &Bytes) {
        if piece.len() <= COPY_BYTES_MAX {
            self.tail.extend_from_slice(piece);
        } else {
            let head = self.tail.split().freeze();
            self.segments.push_back(head);
            self.segments.push_back(piece.clone());
        }
    }
}
