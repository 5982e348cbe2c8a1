//! A stream in two halves, for a reading task and a writing task.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use switchboard_unix as unix;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp;

use super::{Carrier, Stream};
use crate::network::Slot;
use crate::shaping::Pace;

/// The reading half of a [`Stream`].
#[derive(Debug)]
pub struct ReadHalf {
    carrier: ReadCarrier,
    pace: Option<Box<Pace>>,
    /// Held, never read: the place is free when both halves are gone.
    _slot: Option<Arc<Slot>>,
}

/// The writing half of a [`Stream`].
#[derive(Debug)]
pub struct WriteHalf {
    carrier: WriteCarrier,
    pace: Option<Box<Pace>>,
    /// Held, never read: the place is free when both halves are gone.
    _slot: Option<Arc<Slot>>,
}

#[derive(Debug)]
enum ReadCarrier {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::ReadHalf),
    Tls(tokio::io::ReadHalf<Carrier>),
}

#[derive(Debug)]
enum WriteCarrier {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::WriteHalf),
    Tls(tokio::io::WriteHalf<Carrier>),
}

pub(super) fn split(stream: Stream) -> (ReadHalf, WriteHalf) {
    let Stream {
        carrier,
        read_pace,
        write_pace,
        slot,
    } = stream;
    let (read, write) = match carrier {
        Carrier::Tcp(stream) => {
            let (read, write) = stream.into_split();
            (ReadCarrier::Tcp(read), WriteCarrier::Tcp(write))
        }
        Carrier::Unix(stream) => {
            let (read, write) = stream.into_split();
            (ReadCarrier::Unix(read), WriteCarrier::Unix(write))
        }
        tls @ (Carrier::TlsTcp(_) | Carrier::TlsUnix(_)) => {
            let (read, write) = tokio::io::split(tls);
            (ReadCarrier::Tls(read), WriteCarrier::Tls(write))
        }
    };
    let slot = slot.map(Arc::new);
    (
        ReadHalf {
            carrier: read,
            pace: read_pace,
            _slot: slot.clone(),
        },
        WriteHalf {
            carrier: write,
            pace: write_pace,
            _slot: slot,
        },
    )
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.pace {
            None => Pin::new(&mut this.carrier).poll_read(cx, buffer),
            Some(pace) => pace.poll_read(&mut this.carrier, cx, buffer),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.pace {
            None => Pin::new(&mut this.carrier).poll_write(cx, bytes),
            Some(pace) => pace.poll_write(&mut this.carrier, cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.pace {
            None => Pin::new(&mut this.carrier).poll_write_vectored(cx, slices),
            Some(pace) => pace.poll_write_vectored(&mut this.carrier, cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().carrier).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().carrier).poll_shutdown(cx)
    }
}

impl AsyncRead for ReadCarrier {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Unix(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Tls(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for WriteCarrier {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Unix(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Tls(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Unix(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Tls(half) => Pin::new(half).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(half) => half.is_write_vectored(),
            Self::Unix(half) => half.is_write_vectored(),
            Self::Tls(half) => half.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_flush(cx),
            Self::Unix(half) => Pin::new(half).poll_flush(cx),
            Self::Tls(half) => Pin::new(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Unix(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tls(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
