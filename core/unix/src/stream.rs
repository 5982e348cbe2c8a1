//! The connection as a whole, and how its two directions work.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as Socket;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::halves::{self, ReadHalf, WriteHalf};

/// Most bytes of one read: what is read into is cleared first, which should not cost more than reading does.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A connection over a Unix socket.
///
/// While a write waits for room, the connection takes a second file descriptor.
///
/// # Cancel safety
/// Reads and writes are cancel safe as those of [`tokio::net::UnixStream`] are.
#[derive(Debug)]
pub struct UnixStream {
    pub(crate) input: Input,
    pub(crate) room: Room,
}

impl UnixStream {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        tokio::net::UnixStream::connect(path).await?.try_into()
    }

    /// Two connected ends.
    ///
    /// # Errors
    /// What the system says.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = tokio::net::UnixStream::pair()?;
        Ok((one.try_into()?, other.try_into()?))
    }

    /// Splits it into halves that different tasks may own. Dropping the writing half shuts down that direction; the
    /// connection closes when both are gone.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        halves::split(self)
    }
}

impl TryFrom<tokio::net::UnixStream> for UnixStream {
    type Error = io::Error;

    fn try_from(stream: tokio::net::UnixStream) -> io::Result<Self> {
        let socket = registered(stream.into_std()?, Interest::READABLE)?;
        Ok(Self {
            input: Input(socket),
            room: Room::default(),
        })
    }
}

/// What is read from the socket itself, the runtime does not hear of: it finds the socket empty when it looks again.
impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.0.get_ref().as_fd()
    }
}

/// The socket, known to the runtime, which looks after `interest`.
#[expect(
    deprecated,
    reason = "sound for a socket that keeps its descriptor; what is offered instead is unsafe for all"
)]
fn registered(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::with_interest(socket, interest)
}

/// The socket, registered for what comes.
#[derive(Debug)]
pub(crate) struct Input(AsyncFd<Socket>);

impl Input {
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled_to(buffer.remaining().min(READ_BYTES_MAX));
            match self.0.get_ref().read(room) {
                Ok(read) => {
                    // Less than there was room for is all there was: to look once more would find nothing.
                    if 0 < read && read < room.len() {
                        ready.clear_ready();
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        match self.0.get_ref().shutdown(Shutdown::Write) {
            // The other end is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }
}

/// The socket once more, registered for room, while a write waits for some.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<AsyncFd<Socket>>);

impl Room {
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        input: &Input,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, input, |mut socket| socket.write(bytes))
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        input: &Input,
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, input, |mut socket| socket.write_vectored(slices))
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        input: &Input,
        write: impl Fn(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let socket = input.0.get_ref();
        loop {
            let ready = match &self.0 {
                Some(room) => Some(ready!(room.poll_write_ready(cx))?),
                None => None,
            };
            match (write(socket), ready) {
                (Err(error), Some(mut ready)) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                }
                (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.0 = Some(registered(socket.try_clone()?, Interest::WRITABLE)?);
                }
                (written, _) => {
                    self.0 = None;
                    return Poll::Ready(written);
                }
            }
        }
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.input.poll_read(cx, buffer)
    }
}

impl AsyncWrite for UnixStream {
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

#[cfg(test)]
mod tests;
