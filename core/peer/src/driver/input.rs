//! Reading: bytes to messages, many a wake-up.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::BytesMut;
use switchboard_wire::gotalk::{self, Bounds};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::blocks::{Blocks, detached};
use super::{Driver, Phase, Transport};
use crate::close::CloseReason;
use crate::connection::Connection;
use crate::cork::Cork;
use crate::fault::Fault;
use crate::panics::caught;
use crate::reply::RETRY_WAIT;

/// A connection reads this many bytes at a time at first, and again after it was idle.
const READ_BYTES_MIN: usize = 1024;

/// And at most so many, when there is always more.
const READ_BYTES_MAX: usize = 256 * 1024;

pub(super) struct Input {
    buffer: BytesMut,
    /// What the whole of `buffer` takes, what was read out of it included.
    buffer_bytes: usize,
    /// The buffers before it.
    blocks: Blocks,
    /// Bytes to read at once; follows what comes.
    size: usize,
    /// Bytes that [`put`](Self::put) added, of which the timing has not been told.
    put_bytes: usize,
    /// The other side may send more.
    pub(super) open: bool,
}

impl Input {
    pub(super) fn new(read: BytesMut) -> Self {
        Self {
            buffer_bytes: read.capacity(),
            buffer: read,
            blocks: Blocks::default(),
            size: READ_BYTES_MIN,
            put_bytes: 0,
            open: true,
        }
    }

    /// Reads once. `Ready(0)` at the end.
    fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < self.size / 2 {
            self.make_room(self.size);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = std::task::ready!(poll_read_buf(Pin::new(io), cx, &mut self.buffer))?;
        if read == room && self.size < READ_BYTES_MAX {
            self.size *= 2;
        }
        Poll::Ready(Ok(read))
    }

    /// Adds bytes that were read past the runtime.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.make_room(self.size.max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
        self.put_bytes += bytes.len();
    }

    /// Makes room for a read of `size` bytes: in the same buffer if nothing in it is in use, else in a new one.
    fn make_room(&mut self, size: usize) {
        if self.buffer.try_reclaim(size) {
            return;
        }
        let unread = self.buffer.len();
        // At least twice what there is: a long message is moved only a few times.
        let mut next = BytesMut::with_capacity(unread + size.max(unread));
        next.extend_from_slice(&self.buffer);
        self.replace(next);
    }

    fn replace(&mut self, next: BytesMut) {
        let next_bytes = next.capacity();
        let last = std::mem::replace(&mut self.buffer, next);
        let last_bytes = std::mem::replace(&mut self.buffer_bytes, next_bytes);
        self.blocks.retire(last, last_bytes);
    }

    /// Reads and throws away. True at the end.
    pub(super) fn discard(&mut self, io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> bool {
        self.buffer.clear();
        let mut rest = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
    }

    pub(super) fn release_memory(&mut self) {
        if self.buffer.is_empty() {
            self.replace(BytesMut::new());
        }
        self.blocks.release_memory();
        self.size = READ_BYTES_MIN;
    }
}

impl<T: Transport> Driver<T> {
    /// Works through what was read before, or reads once more and works through that. True if there was anything.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        if !self.input.open || self.pause.is_some() {
            return Ok(false);
        }
        let _cork = Cork::new();
        let before = self.work_through(cx)?;
        let put = std::mem::take(&mut self.input.put_bytes);
        if put > 0 {
            self.timing.read(put, before, Instant::now());
        }
        if self.pause.is_some() || matches!(self.phase, Phase::Closing { .. }) {
            return Ok(true);
        }
        let read = match self.input.poll_read(&mut self.io, cx) {
            Poll::Ready(read) => read?,
            Poll::Pending => return Ok(before),
        };
        if read == 0 {
            self.on_end();
            return Ok(true);
        }
        self.last_look.found();
        let handled = self.work_through(cx)?;
        self.timing.read(read, handled, Instant::now());
        Ok(true)
    }

    /// Hands on every whole message that was read. True if there was one.
    fn work_through(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        if self.input.buffer.is_empty() {
            return Ok(false);
        }
        // What is answered on the spot is written by this very round.
        self.connection.outbox.attend();
        let limits = &self.connection.options.limits;
        let bounds = Bounds {
            payload_bytes_max: limits.payload_bytes_max,
            ..Bounds::default()
        };
        let share = self.input.blocks.bytes() < limits.buffered_bytes_max;
        let mut messages = 0_u32;
        while self.pause.is_none() && matches!(self.phase, Phase::Running) && !self.input.buffer.is_empty() {
            match gotalk::decode(&mut self.input.buffer, &bounds) {
                Ok(Some(message)) => {
                    messages = messages.saturating_add(1);
                    self.dispatch(if share { message } else { detached(message) }, cx)?;
                }
                Ok(None) => break,
                Err(error) => self.close_illegal(error.code(), error.to_string()),
            }
        }
        self.is_crowded |= messages > 1;
        Ok(messages > 0)
    }

    /// No answer of the other side will be heard any more: nobody should call it.
    pub(super) fn stop_calling(&self) {
        caught("unanswering", || self.service.unanswering(&self.peer()));
        self.connection.unanswering.store(true, Ordering::Relaxed);
    }

    /// The other side has said its last: its answers are lost, what it asked is still answered.
    fn on_end(&mut self) {
        self.input.open = false;
        self.input.release_memory();
        self.stop_calling();
        let connection: &Connection = &self.connection;
        let lost = connection.lost();
        let waiters = connection.in_flight.lock().drain();
        waiters.into_iter().for_each(|waiter| waiter.fault(lost.clone()));
        self.bodies.fail_all(&Fault::retry(
            RETRY_WAIT,
            "the caller closed the connection in the middle of its request",
        ));
        self.timing.probe_soon(Instant::now());
    }
}
