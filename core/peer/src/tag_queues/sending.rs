//! What waits to be written, and the task that writes it: many messages a system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use switchboard_wire::tagged;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::options::{TagSendError, TagsEnded};

/// A payload up to this many bytes is copied beside its header: below it, the copy is cheaper than a segment.
const COPY_BYTES_MAX: usize = 8 * 1024;

/// The size in bytes that the open segment grows by: room for a few dozen short messages.
const SEGMENT_BYTES: usize = 4 * 1024;

/// Segments handed to the system at once.
const SLICES_MAX: usize = 64;

pub(super) struct Outbox {
    state: Mutex<State>,
    /// Told when there is something to write, or to end.
    work: Notify,
    /// Told when there is room, or an end.
    room: Notify,
    /// Fires when nothing more is written.
    done: CancellationToken,
    bytes_max: usize,
    write_timeout: Option<Duration>,
}

struct State {
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes taken and not yet written.
    queued: usize,
    phase: Phase,
}

enum Phase {
    Open,
    /// Takes nothing more, and writes the rest.
    Closing,
    /// Not all could be written.
    Failed(TagsEnded),
}

/// What there is to write.
enum Work {
    Some,
    None,
    Over,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize, write_timeout: Option<Duration>) -> Self {
        Self {
            state: Mutex::new(State {
                segments: VecDeque::new(),
                tail: BytesMut::new(),
                queued: 0,
                phase: Phase::Open,
            }),
            work: Notify::new(),
            room: Notify::new(),
            done: CancellationToken::new(),
            bytes_max: bytes_max.max(1),
            write_timeout,
        }
    }

    // ---- for senders

    /// Takes one message, when there is room. Cancel safe: taken whole or not at all.
    pub(super) async fn send(&self, tag: u64, payload: Bytes) -> Result<(), TagSendError> {
        let header = tagged::header(tag, payload.len()).map_err(|_| TagSendError::TooLarge {
            size: payload.len(),
            max: u32::MAX as usize - tagged::TAG_BYTES,
        })?;
        while !self.push(&header, &payload)? {
            let room = self.room.notified();
            tokio::pin!(room);
            // Listens before it looks again, so that it misses nothing.
            room.as_mut().enable();
            if self.push(&header, &payload)? {
                break;
            }
            room.await;
        }
        self.work.notify_one();
        Ok(())
    }

    /// False if there is no room.
    fn push(&self, header: &[u8], payload: &Bytes) -> Result<bool, TagsEnded> {
        let mut state = self.state.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Closing => return Err(TagsEnded::Local),
            Phase::Failed(ended) => return Err(ended.clone()),
        }
        if state.queued >= self.bytes_max {
            return Ok(false);
        }
        state.queued += header.len() + payload.len();
        if state.tail.capacity() - state.tail.len() < SEGMENT_BYTES / 8 {
            state.tail.reserve(SEGMENT_BYTES);
        }
        state.tail.put_slice(header);
        if payload.len() <= COPY_BYTES_MAX {
            state.tail.put_slice(payload);
        } else {
            let head = state.tail.split().freeze();
            state.segments.push_back(head);
            state.segments.push_back(payload.clone());
        }
        Ok(true)
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Takes nothing more, and waits until all is written. Cancel safe.
    pub(super) async fn finish(&self) -> Result<(), TagsEnded> {
        self.close();
        self.done.cancelled().await;
        match &self.state.lock().phase {
            Phase::Failed(ended) => Err(ended.clone()),
            Phase::Open | Phase::Closing => Ok(()),
        }
    }

    // ---- for the writer

    /// Writes until the end.
    pub(super) async fn write_to<W: AsyncWrite + Unpin>(&self, mut writer: W) {
        // However this task ends, nobody waits for ever.
        let end = EndOnDrop(self);
        match self.write_all(&mut writer).await {
            Ok(()) => self.close(),
            Err(error) => self.fail(error.into()),
        }
        drop(end);
    }

    async fn write_all<W: AsyncWrite + Unpin>(&self, writer: &mut W) -> io::Result<()> {
        let mut batch = VecDeque::new();
        loop {
            match self.take(&mut batch) {
                Work::Some => {
                    while !batch.is_empty() {
                        let written = self.in_time(write_some(writer, &batch)).await?;
                        advance(&mut batch, written);
                        self.written(written);
                    }
                    self.in_time(writer.flush()).await?;
                }
                Work::None => self.work.notified().await,
                Work::Over => return self.in_time(writer.shutdown()).await,
            }
        }
    }

    async fn in_time<T>(&self, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let Some(timeout) = self.write_timeout else {
            return io.await;
        };
        tokio::time::timeout(timeout, io).await.unwrap_or_else(|_| {
            let message = format!("the other side took nothing within {timeout:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
    }

    fn take(&self, batch: &mut VecDeque<Bytes>) -> Work {
        let mut state = self.state.lock();
        batch.append(&mut state.segments);
        if !state.tail.is_empty() {
            batch.push_back(state.tail.split().freeze());
        }
        match state.phase {
            _ if !batch.is_empty() => Work::Some,
            Phase::Open => Work::None,
            Phase::Closing | Phase::Failed(_) => Work::Over,
        }
    }

    fn written(&self, bytes: usize) {
        let mut state = self.state.lock();
        let before = state.queued;
        state.queued -= bytes;
        // Half the bound: who waits gets room for more than one message.
        let half = self.bytes_max / 2;
        let crossed = before > half && state.queued <= half;
        drop(state);
        if crossed {
            self.room.notify_waiters();
        }
    }

    fn fail(&self, ended: TagsEnded) {
        let mut state = self.state.lock();
        state.phase = Phase::Failed(ended);
        state.segments.clear();
        state.tail = BytesMut::new();
        drop(state);
        self.room.notify_waiters();
    }
}

struct EndOnDrop<'a>(&'a Outbox);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
        self.0.done.cancel();
    }
}

async fn write_some<W: AsyncWrite + Unpin>(writer: &mut W, batch: &VecDeque<Bytes>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut count = 0;
    for (slice, segment) in slices.iter_mut().zip(batch) {
        *slice = IoSlice::new(segment);
        count += 1;
    }
    match writer
        .write_vectored(slices.get(..count).unwrap_or_default())
        .await?
    {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// Takes what was written off the front.
fn advance(batch: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = batch.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        batch.pop_front();
    }
}
