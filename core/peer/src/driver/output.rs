//! Writing: everything that has gathered, in as few system calls as can be.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::{Driver, Transport};
use crate::close::CloseReason;

/// Segments handed to one vectored write. More would not make the call cheaper.
const SLICES_MAX: usize = 32;

#[derive(Default)]
pub(super) struct Output {
    segments: VecDeque<Bytes>,
    /// Something was written that a buffering transport may still hold.
    unflushed: bool,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && !self.unflushed
    }

    fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        let io = Pin::new(io);
        let written = match self.segments.front() {
            Some(only) if self.segments.len() == 1 || !io.is_write_vectored() => {
                ready!(io.poll_write(cx, only))?
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = slices
                    .iter_mut()
                    .zip(&self.segments)
                    .map(|(slice, segment)| *slice = IoSlice::new(segment))
                    .count();
                ready!(io.poll_write_vectored(cx, slices.get(..count).unwrap_or_default()))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.segments.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.segments.pop_front();
        }
    }
}

impl<T: Transport> Driver<T> {
    /// Writes until there is nothing left or the transport takes no more. True if anything was written.
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let mut any = false;
        loop {
            if self.output.segments.is_empty() && !self.connection.outbox.take(&mut self.output.segments, cx)
            {
                break;
            }
            match self.output.poll_write(&mut self.io, cx) {
                Poll::Ready(written) => {
                    any = true;
                    self.output.unflushed = true;
                    self.connection.outbox.written(written?);
                    self.timing.write_blocked = None;
                }
                Poll::Pending => {
                    self.timing.write_blocked.get_or_insert_with(Instant::now);
                    return Ok(any);
                }
            }
        }
        if self.output.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.output.unflushed = false;
                    self.timing.write_blocked = None;
                }
                Poll::Pending => {
                    self.timing.write_blocked.get_or_insert_with(Instant::now);
                }
            }
        }
        Ok(any)
    }
}
