//! The bytes below the server: checked as they come, counted, and bounded in time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::options::ConnectionOptions;
use crate::stats::Counters;
use crate::strict::Strict;

/// No head holds the first byte of this, wherever it stands: the server answers it with 400 and closes. The rest has
/// the server look at the head at all, which it does not before it sees an end.
const POISON: Bytes = Bytes::from_static(b"\0\r\n\r\n");

/// After the last answer, how long to read on until the client has closed too: while it still sends, closing would
/// reset the connection, and the client might never see the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are thrown away at most meanwhile.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// A connection of HTTP/1 or HTTP/2, below the server that reads it.
///
/// When the client breaks the rules of HTTP/1, or takes too long for a head, the server reads [`POISON`] and then the
/// end. So it answers what came before, then says 400, and closes.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    io: S,
    counters: Arc<Counters>,
    strict: Strict,
    head_timeout: Duration,
    head_since: Option<Instant>,
    head_timer: Option<Pin<Box<Sleep>>>,
    /// Nothing more is read: by the client's end, or because of what it said.
    ended: bool,
    write_timeout: Duration,
    write_timer: Option<Pin<Box<Sleep>>>,
    closing: Closing,
    /// To be read before anything else.
    leftover: Bytes,
}

#[derive(Debug)]
enum Closing {
    No,
    Lingering {
        until: Pin<Box<Sleep>>,
        discarded: usize,
    },
    /// It speaks something else, which has its own way to end.
    NotHere,
}

impl<S> Guard<S> {
    pub(crate) fn new(io: S, options: &ConnectionOptions, counters: Arc<Counters>) -> Self {
        Self {
            io,
            counters,
            strict: Strict::new(options.head_bytes()),
            head_timeout: options.head_timeout,
            head_since: None,
            head_timer: None,
            ended: false,
            write_timeout: options.write_timeout,
            write_timer: None,
            closing: Closing::No,
            leftover: Bytes::new(),
        }
    }

    /// The same connection after an upgrade, of which the server has read some bytes already.
    pub(crate) fn upgraded(mut self, leftover: Bytes) -> Self {
        self.leftover = leftover;
        self.closing = Closing::NotHere;
        self
    }

    /// Judges what was just read.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, start: usize) {
        let new = buffer.filled().get(start..).unwrap_or_default();
        if new.is_empty() {
            self.ended = true;
            return;
        }
        self.counters.add_read(new.len());
        match self.strict.check(new) {
            Ok(()) if self.strict.is_in_head() => {
                self.head_since.get_or_insert_with(Instant::now);
            }
            Ok(()) => {
                self.head_since = None;
                self.head_timer = None;
            }
            Err(violation) => {
                tracing::debug!(breach = %violation.breach, "a request that is none");
                self.counters.add_malformed();
                buffer.set_filled(start + violation.at);
                self.poison(buffer);
            }
        }
    }

    fn poison(&mut self, buffer: &mut ReadBuf<'_>) {
        self.ended = true;
        self.head_timer = None;
        self.leftover = POISON;
        self.read_leftover(buffer);
    }

    fn read_leftover(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.leftover.len().min(buffer.remaining());
        buffer.put_slice(self.leftover.get(..length).unwrap_or_default());
        self.leftover.advance(length);
    }

    /// Whether a head that has begun took too long.
    fn poll_head_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.head_since else {
            return Poll::Pending;
        };
        let head_timeout = self.head_timeout;
        let timer = self
            .head_timer
            .get_or_insert_with(|| Box::pin(sleep(head_timeout.saturating_sub(since.elapsed()))));
        timer.as_mut().poll(cx)
    }

    /// Passes on how a write went, unless nothing was taken for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.write_timer = None;
            return wrote;
        }
        let write_timeout = self.write_timeout;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing of what waits for it",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.leftover.is_empty() {
            this.read_leftover(buffer);
            return Poll::Ready(Ok(()));
        }
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        let start = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => this.judge(buffer, start),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(this.poll_head_timeout(cx));
                tracing::debug!("a head is not complete in time");
                this.poison(buffer);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.counters.add_written(&wrote);
        this.in_time(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.counters.add_written(&wrote);
        this.in_time(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.in_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.closing, Closing::No) {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.closing = Closing::Lingering {
                until: Box::pin(sleep(LINGER)),
                discarded: 0,
            };
        }
        let Closing::Lingering { until, discarded } = &mut this.closing else {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        };
        let mut scratch = [0; 4096];
        while *discarded < LINGER_BYTES_MAX && until.as_mut().poll(cx).is_pending() {
            let mut rest = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut rest))?;
            if rest.filled().is_empty() {
                break;
            }
            *discarded += rest.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
