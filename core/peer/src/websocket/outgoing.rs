//! Bytes to frames, gathered until they are flushed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::AsyncWrite;

use super::Framing;
use super::close;
use super::frame::{HEADER_BYTES_MAX, Header, Mask, Opcode};
use super::incoming::Control;
use super::tracker::{Step, Tracker};

/// Bytes that are gathered at most before they are written. A batch never needs a longer length field than 16 bits.
const GATHERED_BYTES_MAX: usize = u16::MAX as usize;

/// The size in bytes up to which an empty buffer is kept for the next batch.
const KEPT_BYTES_MAX: usize = 8 * 1024;

/// Writes the frames of one side.
pub(super) struct Outgoing {
    framing: Framing,
    /// This side is a client.
    masks: Option<Masks>,
    tracker: Tracker,
    /// Frames that are not written yet.
    frames: BytesMut,
    /// Where the last of them begins, if it is a batch that can grow: with room for its header.
    batch: Option<usize>,
    /// The mask of the payload that is not whole yet.
    payload_mask: Option<Mask>,
    /// What is to be answered to the last ping.
    pong: Option<Control>,
    ping: bool,
    /// The protocol error, if that was the last message.
    error: Option<u32>,
    closed: bool,
    /// Something was written that the stream below may still hold.
    unflushed: bool,
}

impl Outgoing {
    pub(super) fn new(framing: Framing, masked: bool) -> Self {
        Self {
            framing,
            masks: masked.then(Masks::new),
            tracker: Tracker::new(),
            frames: BytesMut::new(),
            batch: None,
            payload_mask: None,
            pong: None,
            ping: false,
            error: None,
            closed: false,
            unflushed: false,
        }
    }

    /// Takes some of the bytes, and says how many: none if too much is gathered already.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = GATHERED_BYTES_MAX.saturating_sub(self.frames.len());
        let bytes = bytes.get(..room).unwrap_or(bytes);
        match self.framing {
            Framing::Batch => {
                let error = &mut self.error;
                self.tracker.observe(bytes, |head| *error = protocol_error(head));
                self.put_batch(bytes);
            }
            Framing::Pieces => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let taken = self.put_piece(rest)?;
                    rest = rest.get(taken..).unwrap_or_default();
                }
            }
        }
        Ok(bytes.len())
    }

    /// A header whole, and a payload as it comes: its frame says beforehand how long it is.
    fn put_piece(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, step) = self.tracker.step(bytes);
        match step {
            Step::Begun => {}
            Step::Head(head, payload) => {
                self.error = protocol_error(&head);
                self.push(Opcode::Binary, &head)?;
                if payload > 0 {
                    self.payload_mask = self.push_header(Opcode::Binary, payload)?;
                }
            }
            Step::Payload => {
                let start = self.frames.len();
                self.frames
                    .extend_from_slice(bytes.get(..taken).unwrap_or_default());
                mask(&mut self.payload_mask, &mut self.frames, start);
            }
            Step::Unknown(bytes) => self.push(Opcode::Binary, &bytes)?,
        }
        Ok(taken)
    }

    /// A frame whole.
    fn push(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mut key = self.push_header(opcode, payload.len())?;
        let start = self.frames.len();
        self.frames.extend_from_slice(payload);
        mask(&mut key, &mut self.frames, start);
        Ok(())
    }

    fn push_header(&mut self, opcode: Opcode, length: usize) -> io::Result<Option<Mask>> {
        let mask = self.masks.as_mut().map(Masks::next).transpose()?;
        let header = Header {
            last: true,
            opcode,
            mask,
            length: length as u64,
        };
        header.encode(&mut self.frames);
        Ok(mask)
    }

    fn put_batch(&mut self, bytes: &[u8]) {
        if self.batch.is_none() && !bytes.is_empty() {
            self.batch = Some(self.frames.len());
            self.frames.put_bytes(0, self.batch_header_bytes());
        }
        self.frames.extend_from_slice(bytes);
    }

    /// The room for the header of a batch: none is longer than 16 bits can say.
    fn batch_header_bytes(&self) -> usize {
        if self.masks.is_some() { 8 } else { 4 }
    }

    /// Makes a frame of the batch.
    fn seal(&mut self) -> io::Result<()> {
        let Some(start) = self.batch.take() else {
            return Ok(());
        };
        let reserved = self.batch_header_bytes();
        let mut key = self.masks.as_mut().map(Masks::next).transpose()?;
        let header = Header {
            last: true,
            opcode: Opcode::Binary,
            mask: key,
            length: (self.frames.len() - start - reserved) as u64,
        };
        let mut encoded = [0; HEADER_BYTES_MAX];
        let mut rest = &mut encoded[..];
        header.encode(&mut rest);
        let used = HEADER_BYTES_MAX - rest.len();
        // The header of a short batch is shorter.
        let gap = reserved.saturating_sub(used);
        if gap > 0 {
            self.frames.copy_within(start + reserved.., start + used);
            self.frames.truncate(self.frames.len() - gap);
        }
        let room = self.frames.iter_mut().skip(start);
        room.zip(encoded).take(used).for_each(|(to, from)| *to = from);
        mask(&mut key, &mut self.frames, start + used);
        Ok(())
    }

    /// Answers a ping at the next end of a frame; only the last of several.
    pub(super) fn pong(&mut self, payload: Control) {
        self.pong = Some(payload);
    }

    /// Sends a ping at the next end of a frame.
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    /// Says the last. The code is that of the protocol error that was sent, or 1000.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.close_with(self.error.map_or(close::NORMAL, close::of_error))
    }

    /// Says the last, unless it was said: nothing may follow. Within a payload there is no saying it.
    pub(super) fn close_with(&mut self, code: u16) -> io::Result<()> {
        if !self.closed {
            self.closed = true;
            self.seal()?;
            if !self.is_within_frame() {
                self.push(Opcode::Close, &code.to_be_bytes())?;
            }
        }
        Ok(())
    }

    /// Whether no more is taken before something was written.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= GATHERED_BYTES_MAX
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn is_within_frame(&self) -> bool {
        self.framing == Framing::Pieces && self.tracker.is_in_payload()
    }

    fn push_controls(&mut self) -> io::Result<()> {
        if self.closed || self.is_within_frame() {
            return Ok(());
        }
        if let Some(payload) = self.pong.take() {
            self.push(Opcode::Pong, payload.bytes())?;
        }
        if std::mem::take(&mut self.ping) {
            self.push(Opcode::Ping, &[])?;
        }
        Ok(())
    }

    /// Whether a flush would do anything.
    pub(super) fn is_idle(&self) -> bool {
        let controls = self.pong.is_some() || self.ping;
        self.frames.is_empty() && !self.unflushed && (!controls || self.closed || self.is_within_frame())
    }

    /// Writes what was gathered.
    pub(super) fn poll_drain(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.seal()?;
        self.push_controls()?;
        while !self.frames.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.frames))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.frames.advance(written);
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was gathered, and has the stream below write it.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(io, cx))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
            release(&mut self.frames);
        }
        Poll::Ready(Ok(()))
    }
}

/// Empties the buffer, and gives back its memory if it is large.
fn release(buffer: &mut BytesMut) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    } else {
        buffer.clear();
    }
}

/// Masks what stands in the buffer from `start` on.
fn mask(mask: &mut Option<Mask>, buffer: &mut BytesMut, start: usize) {
    if let Some(mask) = mask {
        mask.apply(buffer.get_mut(start..).unwrap_or_default());
    }
}

/// The code, if this is the header of a protocol error.
fn protocol_error(head: &[u8]) -> Option<u32> {
    let digits = head.strip_prefix(b"f")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Masks that nobody can foresee (RFC 6455, 10.3).
struct Masks {
    random: SystemRandom,
    /// Drawn beforehand, to ask the system less often.
    keys: [u8; MASK_BYTES],
    used: usize,
}

/// Bytes of masks that are drawn at once: enough for 64 frames.
const MASK_BYTES: usize = 256;

impl Masks {
    fn new() -> Self {
        Self {
            random: SystemRandom::new(),
            keys: [0; MASK_BYTES],
            used: MASK_BYTES,
        }
    }

    fn next(&mut self) -> io::Result<Mask> {
        if self.used >= self.keys.len() {
            self.random
                .fill(&mut self.keys)
                .map_err(|_| io::Error::other("the system has no random numbers for WebSocket masks"))?;
            self.used = 0;
        }
        let key = self.keys.get(self.used..).and_then(<[u8]>::first_chunk);
        self.used += 4;
        Ok(Mask(key.copied().unwrap_or_default()))
    }
}
