//! A connection in two halves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::{Input, Room, UnixStream};

/// The reading half of a [`UnixStream`].
#[derive(Debug)]
pub struct ReadHalf {
    input: Arc<Input>,
}

/// The writing half of a [`UnixStream`].
#[derive(Debug)]
pub struct WriteHalf {
    input: Arc<Input>,
    room: Room,
}

pub(crate) fn split(stream: UnixStream) -> (ReadHalf, WriteHalf) {
    let UnixStream { input, room } = stream;
    let input = Arc::new(input);
    let read = ReadHalf {
        input: Arc::clone(&input),
    };
    (read, WriteHalf { input, room })
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        // It fails only where there is nothing left to be told.
        let _ = self.input.shut_down();
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.input.poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.room.poll_write(cx, bytes, &this.input)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.room.poll_write_vectored(cx, slices, &this.input)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.input.shut_down())
    }
}
