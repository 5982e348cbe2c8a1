//! The bytes of a connection, whatever carries them.
//!
//! An enum and not a trait object: reading plain TCP costs one branch for the carrier and one for the (absent) pace.

mod halves;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use switchboard_unix::UnixStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub use halves::{ReadHalf, WriteHalf};

use crate::config::ConnectionLimits;
use crate::network::Slot;
use crate::shaping::Pace;

/// A connection's bytes: TCP, Unix, or TLS over either, shaped if the listener says so.
///
/// Dropping it closes the connection and frees its place within the limits. Reads and writes are cancel safe as they
/// are for a [`TcpStream`].
#[derive(Debug)]
pub struct Stream {
    carrier: Carrier,
    read_pace: Option<Box<Pace>>,
    write_pace: Option<Box<Pace>>,
    /// Held, never read: its drop frees the place. `None` for streams that no listener accepted.
    slot: Option<Slot>,
}

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tcp(TcpStream),
    Unix(UnixStream),
    TlsTcp(Box<TlsStream<TcpStream>>),
    TlsUnix(Box<TlsStream<UnixStream>>),
}

impl Stream {
    /// A stream within `limits` that holds `slot`.
    pub(crate) fn new(carrier: Carrier, limits: &ConnectionLimits, slot: Slot) -> Self {
        let pace = |rate: Option<_>| rate.map(|rate| Box::new(Pace::new(rate)));
        Self {
            carrier,
            read_pace: pace(limits.read_bytes_per_second),
            write_pace: pace(limits.write_bytes_per_second),
            slot: Some(slot),
        }
    }

    /// Splits it into a reading and a writing half that different tasks may own.
    ///
    /// The halves of plain TCP and Unix share nothing that is locked; those of TLS take turns. Dropping the writing
    /// half of a plain stream shuts down that direction; the connection closes when both are gone.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        halves::split(self)
    }

    #[cfg(test)]
    pub(crate) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Whether TLS carries it.
    pub fn is_tls(&self) -> bool {
        matches!(self.carrier, Carrier::TlsTcp(_) | Carrier::TlsUnix(_))
    }
}

impl From<TcpStream> for Stream {
    /// A stream outside all limits, for a gateway's tests or for connections made some other way.
    fn from(stream: TcpStream) -> Self {
        Self {
            carrier: Carrier::Tcp(stream),
            read_pace: None,
            write_pace: None,
            slot: None,
        }
    }
}

impl From<UnixStream> for Stream {
    /// A stream outside all limits, for a gateway's tests or for connections made some other way.
    fn from(stream: UnixStream) -> Self {
        Self {
            carrier: Carrier::Unix(stream),
            read_pace: None,
            write_pace: None,
            slot: None,
        }
    }
}

/// The socket below, for its options: what is read from it or written to it past the stream breaks TLS and the pace.
impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.as_fd(),
            Carrier::Unix(stream) => stream.as_fd(),
            Carrier::TlsTcp(stream) => stream.get_ref().0.as_fd(),
            Carrier::TlsUnix(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.read_pace {
            None => Pin::new(&mut this.carrier).poll_read(cx, buffer),
            Some(pace) => pace.poll_read(&mut this.carrier, cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.write_pace {
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
        match &mut this.write_pace {
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

/// Evaluates `$call` with `$io` bound to a pin of whatever carries the bytes.
macro_rules! carried {
    ($carrier:expr, $io:ident => $call:expr) => {
        match $carrier {
            Carrier::Tcp(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Carrier::Unix(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Carrier::TlsTcp(stream) => {
                let $io = Pin::new(stream);
                $call
            }
            Carrier::TlsUnix(stream) => {
                let $io = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Carrier {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Carrier {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        carried!(self.get_mut(), stream => stream.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carried!(self.get_mut(), stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::TlsTcp(stream) => stream.is_write_vectored(),
            Self::TlsUnix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self.get_mut(), stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests;
