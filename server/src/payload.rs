//! The payload of a call or a message: an argument, or stdin.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    os::unix::ffi::OsStringExt,
};

use bytes::Bytes;
use futures_util::{Stream, future::Either, stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::ReaderStream;

/// The argument that stands for stdin.
const STDIN: &str = "-";

/// Largest chunk of a streamed payload in bytes: what one read of a pipe brings at most.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Where a payload comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The argument itself, byte for byte.
    Argument(Bytes),
    /// stdin, to its end.
    Stdin,
    /// Nothing was given, and nobody is there who could type it unasked.
    Empty,
}

impl Payload {
    /// `PAYLOAD` as given; `-` is stdin, and so is none, unless stdin is a terminal: then the payload is empty.
    pub fn from_argument(argument: Option<OsString>) -> Self {
        Self::choose(argument, io::stdin().is_terminal())
    }

    fn choose(argument: Option<OsString>, stdin_is_terminal: bool) -> Self {
        match argument {
            Some(text) if text == STDIN => Self::Stdin,
            Some(text) => Self::Argument(text.into_vec().into()),
            None if stdin_is_terminal => Self::Empty,
            None => Self::Stdin,
        }
    }

    /// All of it, at most `bytes_max`.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] if there is more, or what reading stdin brought.
    ///
    /// # Cancel safety
    /// None: what was read of stdin is lost.
    pub async fn read(self, bytes_max: usize) -> io::Result<Bytes> {
        match self {
            Self::Argument(bytes) if bytes.len() > bytes_max => Err(too_large(bytes_max)),
            Self::Argument(bytes) => Ok(bytes),
            Self::Stdin => read_all(tokio::io::stdin(), bytes_max).await,
            Self::Empty => Ok(Bytes::new()),
        }
    }

    /// All of it, as it arrives; no chunk is empty. Nothing is read before it is polled.
    pub fn chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<> {
        match self {
            Self::Stdin => Either::Left(chunks_of(tokio::io::stdin())),
            Self::Argument(bytes) if !bytes.is_empty() => Either::Right(stream::iter(Some(Ok(bytes)))),
            Self::Argument(_) | Self::Empty => Either::Right(stream::iter(None)),
        }
    }
}

fn too_large(bytes_max: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("the payload is larger than {bytes_max} bytes"),
    )
}

async fn read_all(reader: impl AsyncRead + Unpin, bytes_max: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    // One more than allowed, to tell "just as large" from "larger".
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let size = reader.take(limit).read_to_end(&mut bytes).await?;
    if size > bytes_max {
        Err(too_large(bytes_max))
    } else {
        Ok(bytes.into())
    }
}

fn chunks_of<R: AsyncRead + Send + Unpin>(reader: R) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    ReaderStream::with_capacity(reader, CHUNK_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use futures_util::TryStreamExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn the_argument_decides() {
        assert_eq!(Payload::choose(Some("-".into()), true), Payload::Stdin);
        assert_eq!(Payload::choose(None, false), Payload::Stdin);
        assert_eq!(Payload::choose(None, true), Payload::Empty);
        assert_eq!(
            Payload::choose(Some("".into()), false),
            Payload::Argument(Bytes::new())
        );
        let bytes = std::ffi::OsStr::from_bytes(b"\xff\x00x").to_owned();
        assert_eq!(
            Payload::choose(Some(bytes), true),
            Payload::Argument(Bytes::from_static(b"\xff\x00x"))
        );
    }

    #[tokio::test]
    async fn all_of_it_is_read_up_to_the_bound() {
        let five = || Payload::Argument(Bytes::from_static(b"12345"));
        assert_eq!(five().read(5).await.ok(), Some(Bytes::from_static(b"12345")));
        assert_eq!(
            five().read(4).await.map_err(|e| e.kind()),
            Err(io::ErrorKind::FileTooLarge)
        );
        assert_eq!(
            read_all(&b"12345"[..], 5).await.ok(),
            Some(Bytes::from_static(b"12345"))
        );
        assert_eq!(
            read_all(tokio::io::repeat(0), 5).await.map_err(|e| e.kind()),
            Err(io::ErrorKind::FileTooLarge)
        );
        assert_eq!(Payload::Empty.read(0).await.ok(), Some(Bytes::new()));
    }

    #[tokio::test]
    async fn chunks_come_as_they_are_written() {
        let (mut writer, reader) = tokio::io::duplex(16);
        let mut chunks = chunks_of(reader);
        for word in [&b"one"[..], b"two"] {
            writer.write_all(word).await.expect("room");
            assert_eq!(chunks.try_next().await.ok().flatten().as_deref(), Some(word));
        }
        drop(writer);
        assert_eq!(chunks.try_next().await.ok(), Some(None));
    }

    #[tokio::test]
    async fn an_argument_is_one_chunk_and_nothing_is_none() {
        let all = async |payload: Payload| payload.chunks().try_collect::<Vec<_>>().await.ok();
        assert_eq!(
            all(Payload::Argument("ab".into())).await,
            Some(vec![Bytes::from_static(b"ab")])
        );
        assert_eq!(all(Payload::Argument(Bytes::new())).await, Some(vec![]));
        assert_eq!(all(Payload::Empty).await, Some(vec![]));
    }
}
