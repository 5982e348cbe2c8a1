//! The byte stream: reading, writing and closing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::close;
use super::incoming::{End, Events, Incoming};
use super::outgoing::Outgoing;
use super::tracker::Tracker;
use super::violation::Violation;
use super::{Framing, Role, WebSocketOptions};
use crate::handshake::LINGER;

/// After the other side's Close it still gets what becomes ready within this time.
const ANSWERS_WITHIN: Duration = LINGER;

/// Bytes that are read and thrown away at most after a breach of the rules.
const DISCARDED_BYTES_MAX: usize = 1 << 20;

/// What a pong between two messages is read as: `h`, the load that was told last, and no time.
const HEARTBEAT: [u8; 13] = *b"h000000000000";

/// One end of a connection that was upgraded, as a byte stream of gotalk.
///
/// What is written is gathered until it is flushed, up to 64 KiB. Shutting down sends Close, with the code of the
/// protocol error if that was the last message written; the other side's Close, or its end, is then the end of what is
/// read.
pub struct WebSocket<S> {
    io: S,
    role: Role,
    /// What came behind the upgrade.
    leftover: BytesMut,
    incoming: Incoming,
    heard: Heard,
    reading: Reading,
    outgoing: Outgoing,
    pings: Option<Pings>,
    /// When the other side closed the WebSocket.
    closed: Option<Instant>,
}

enum Reading {
    Open,
    /// There is no more.
    Ended,
    /// The other side broke the rules: it is told, and given a moment to read that.
    Failed(Box<Failure>),
}

struct Failure {
    violation: Violation,
    until: Pin<Box<Sleep>>,
    discarded: usize,
    shut: bool,
}

/// What came as gotalk, and what did not but is read as such.
struct Heard {
    tracker: Tracker,
    /// The load in the last heartbeat.
    load: [u8; 4],
    /// A protocol error came.
    error: bool,
    /// To be read next, between two messages.
    owed: Option<Owed>,
}

#[derive(Clone, Copy)]
enum Owed {
    Heartbeat,
    Error(u32),
}

/// Pings a side that is silent.
struct Pings {
    after: Duration,
    heard: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<S> WebSocket<S> {
    /// Talks over `io`, which was upgraded.
    pub(super) fn new(io: S, role: Role, framing: Framing, options: &WebSocketOptions) -> Self {
        Self {
            io,
            role,
            leftover: BytesMut::new(),
            incoming: Incoming::new(role == Role::Server, options),
            heard: Heard::new(),
            reading: Reading::Open,
            outgoing: Outgoing::new(framing, role == Role::Client),
            pings: options.ping_after.map(Pings::new),
            closed: None,
        }
    }

    /// What it talks over.
    #[cfg(test)]
    pub(crate) fn below(&self) -> &S {
        &self.io
    }

    /// The same, of which some bytes were read already.
    pub(super) fn with_leftover(mut self, leftover: BytesMut) -> Self {
        self.leftover = leftover;
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn poll_raw(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.leftover.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.leftover.len().min(buf.remaining());
        buf.put_slice(self.leftover.get(..length).unwrap_or_default());
        self.leftover.advance(length);
        Poll::Ready(Ok(()))
    }

    /// Reads once. Ready when there is something for the reader, or nothing will come any more.
    fn poll_frames(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        loop {
            if self.poll_raw(cx, buf)?.is_pending() {
                self.poll_idle(cx)?;
                return Poll::Pending;
            }
            let raw = buf.filled_mut().get_mut(start..).unwrap_or_default();
            if raw.is_empty() {
                self.reading = Reading::Ended;
                return Poll::Ready(Ok(()));
            }
            let mut events = Events::default();
            let length = self.incoming.decode(raw, &mut events);
            buf.set_filled(start + length);
            self.heard.observe(buf.filled().get(start..).unwrap_or_default());
            self.on_events(events)?;
            if !self.outgoing.is_idle() {
                // What cannot be written now is, when more is read or written.
                let _ = self.outgoing.poll_flush(&mut self.io, cx)?;
            }
            if length > 0 || self.heard.pay(buf) || !matches!(self.reading, Reading::Open) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn on_events(&mut self, events: Events) -> io::Result<()> {
        if let Some(pings) = &mut self.pings {
            pings.heard = Instant::now();
        }
        if let Some(ping) = events.ping {
            self.outgoing.pong(ping);
        }
        if events.pong {
            self.heard.owe(Owed::Heartbeat);
        }
        if self.heard.error {
            // Whoever reads that ends the connection at once.
            self.outgoing.close()?;
        }
        match events.end {
            None => {}
            Some(End::Closed(code)) => {
                self.reading = Reading::Ended;
                self.closed = Some(Instant::now());
                if let Some(error) = code.and_then(close::to_error)
                    && !self.heard.error
                {
                    self.heard.owe(Owed::Error(error));
                    self.outgoing.close()?;
                }
            }
            Some(End::Violated(violation)) => {
                self.outgoing.close_with(violation.close_code())?;
                self.reading = Reading::Failed(Box::new(Failure {
                    violation,
                    until: Box::pin(sleep(LINGER)),
                    discarded: 0,
                    shut: false,
                }));
            }
        }
        Ok(())
    }

    /// There is nothing to be read: pings a side that has been silent for long, and writes what is still owed to it.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(pings) = &mut self.pings
            && pings.poll(cx)
        {
            self.outgoing.ping();
        }
        if !self.outgoing.is_idle() {
            let _ = self.outgoing.poll_flush(&mut self.io, cx)?;
        }
        Ok(())
    }

    /// Has the other side read why the connection ends: what it still says must be read, or the kernel would reset
    /// the connection.
    fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Reading::Failed(failure) = &mut self.reading else {
            return Poll::Ready(Ok(()));
        };
        if !failure.shut {
            let io = &mut self.io;
            failure.shut = match self.outgoing.poll_flush(io, cx) {
                Poll::Ready(Ok(())) => Pin::new(io).poll_shutdown(cx).is_ready(),
                Poll::Ready(Err(_)) => true,
                Poll::Pending => false,
            };
        }
        let over = failure.until.as_mut().poll(cx).is_ready();
        if !over && self.poll_discard(cx).is_pending() {
            return Poll::Pending;
        }
        match std::mem::replace(&mut self.reading, Reading::Ended) {
            Reading::Failed(failure) => Poll::Ready(Err(failure.violation.into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Ready at the end of the stream, or when enough was thrown away.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while let Reading::Failed(failure) = &mut self.reading {
            let mut rest = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => failure.discarded += rest.filled().len(),
                _ => break,
            }
            if failure.discarded > DISCARDED_BYTES_MAX {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Whether bytes can be written still. `Ready(true)` if they are to be thrown away.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if matches!(self.reading, Reading::Failed(_)) {
            return Poll::Ready(Ok(true));
        }
        if self.closed.is_some_and(|at| at.elapsed() >= ANSWERS_WITHIN) {
            self.outgoing.close()?;
            let _ = self.outgoing.poll_flush(&mut self.io, cx)?;
        }
        if self.outgoing.is_closed() {
            let error = io::Error::new(io::ErrorKind::BrokenPipe, "the WebSocket is closed");
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(false))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 || this.heard.pay(buf) {
            return Poll::Ready(Ok(()));
        }
        let start = buf.filled().len();
        if matches!(this.reading, Reading::Open) {
            ready!(this.poll_frames(cx, buf))?;
            if buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_failed(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if ready!(this.poll_writable(cx))? {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        if this.outgoing.is_full() {
            ready!(this.outgoing.poll_drain(&mut this.io, cx))?;
        }
        let mut taken = 0;
        for buf in bufs {
            let put = this.outgoing.put(buf)?;
            taken += put;
            if put < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.poll_flush(&mut this.io, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.close()?;
        ready!(this.outgoing.poll_flush(&mut this.io, cx))?;
        // A client leaves it to the server to end the connection below (RFC 6455, 7.1.1).
        if this.role == Role::Server || this.closed.is_some() {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl Heard {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(),
            load: *b"0000",
            error: false,
            owed: None,
        }
    }

    /// Follows what the reader is given.
    fn observe(&mut self, bytes: &[u8]) {
        let Self { load, error, .. } = self;
        self.tracker.observe(bytes, |head| match head {
            [b'h', a, b, c, d, ..] => *load = [*a, *b, *c, *d],
            [b'f', ..] => *error = true,
            _ => {}
        });
    }

    /// Within a message nothing can be said that is not part of it.
    fn owe(&mut self, owed: Owed) {
        if self.tracker.is_between_messages() {
            self.owed = Some(owed);
        }
    }

    /// Gives the reader what is owed to it, if it fits.
    fn pay(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(owed) = self.owed.filter(|_| self.tracker.is_between_messages()) else {
            return false;
        };
        if buf.remaining() < HEARTBEAT.len() {
            return false;
        }
        self.owed = None;
        match owed {
            Owed::Heartbeat => {
                let mut heartbeat = HEARTBEAT;
                let load = heartbeat.iter_mut().skip(1);
                load.zip(self.load).for_each(|(to, from)| *to = from);
                buf.put_slice(&heartbeat);
            }
            Owed::Error(code) => buf.put_slice(format!("f{code:08x}").as_bytes()),
        }
        true
    }
}

impl Pings {
    fn new(after: Duration) -> Self {
        let heard = Instant::now();
        Self {
            after,
            heard,
            sleep: Box::pin(sleep_until(heard + after)),
        }
    }

    /// Whether a ping is due.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut due = false;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let next = self.heard + self.after;
            if next > now {
                self.sleep.as_mut().reset(next);
            } else {
                due = true;
                self.sleep.as_mut().reset(now + self.after);
            }
        }
        due
    }
}
