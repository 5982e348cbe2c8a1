//! The floor under every protocol: a 4-byte length and the payload, and nothing else.
//!
//! An empty message ends a burst; the receiver answers it with its count, 8 bytes little-endian.

use anyhow::{Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};

use super::Burst;
use crate::address::{Listener, Stream};

/// Bytes gathered before a write and read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The longest message the receiver takes, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Counts the messages of every connection on `listener`.
pub async fn serve(listener: Listener) -> Result<()> {
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = count(stream).await {
                eprintln!("raw: {error:#}");
            }
        });
    }
}

async fn count(mut stream: Stream) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    let mut counted: u64 = 0;
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some(message) = next_message(&mut buffer)? {
            if message.is_empty() {
                stream.write_u64_le(counted).await?;
                counted = 0;
            } else {
                counted += 1;
            }
        }
        buffer.reserve(BUFFER_BYTES);
    }
    Ok(())
}

/// Takes the first whole message off `buffer`, if there is one.
fn next_message(buffer: &mut BytesMut) -> Result<Option<BytesMut>> {
    let Some(length) = buffer
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes) as usize)
    else {
        return Ok(None);
    };
    if length > MESSAGE_BYTES_MAX {
        bail!("a message claims {length} bytes");
    }
    if buffer.len() - size_of::<u32>() < length {
        return Ok(None);
    }
    buffer.advance(size_of::<u32>());
    Ok(Some(buffer.split_to(length)))
}

/// Sends through a buffer.
pub fn buffered(stream: Stream) -> impl Burst {
    Sender {
        stream: BufWriter::with_capacity(BUFFER_BYTES, stream),
    }
}

/// Sends each message by a write of its own.
pub fn unbuffered(stream: Stream) -> impl Burst {
    Sender {
        stream: Unbuffered(stream),
    }
}

struct Sender<W> {
    stream: W,
}

struct Unbuffered(Stream);

/// What the two ways of writing have in common.
trait Write: Send {
    fn message(&mut self, payload: &Bytes) -> impl Future<Output = Result<()>> + Send;
    fn end(&mut self) -> impl Future<Output = Result<u64>> + Send;
}

impl Write for BufWriter<Stream> {
    async fn message(&mut self, payload: &Bytes) -> Result<()> {
        self.write_u32_le(payload.len() as u32).await?;
        Ok(self.write_all(payload).await?)
    }

    async fn end(&mut self) -> Result<u64> {
        self.write_u32_le(0).await?;
        self.flush().await?;
        Ok(self.get_mut().read_u64_le().await?)
    }
}

impl Write for Unbuffered {
    async fn message(&mut self, payload: &Bytes) -> Result<()> {
        let length = (payload.len() as u32).to_le_bytes();
        write_whole(&mut self.0, &mut Buf::chain(&length[..], &payload[..])).await
    }

    async fn end(&mut self) -> Result<u64> {
        self.0.write_u32_le(0).await?;
        Ok(self.0.read_u64_le().await?)
    }
}

/// One vectored write, or more if the socket is full.
async fn write_whole<W: AsyncWrite + Unpin>(stream: &mut W, bytes: &mut (impl Buf + Send)) -> Result<()> {
    while bytes.has_remaining() {
        if stream.write_buf(bytes).await? == 0 {
            bail!("the receiver is gone");
        }
    }
    Ok(())
}

impl<W: Write> Burst for Sender<W> {
    fn burst<'a>(&'a mut self, count: u64, payload: &'a Bytes) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            for _ in 0..count {
                self.stream.message(payload).await?;
            }
            self.stream.end().await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[test]
    fn messages_are_taken_whole() {
        let mut buffer = BytesMut::from(&b"\x02\0\0\0ab\x03\0\0\0cd"[..]);
        assert_eq!(next_message(&mut buffer).unwrap().unwrap(), b"ab"[..]);
        assert!(next_message(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(b"e");
        assert_eq!(next_message(&mut buffer).unwrap().unwrap(), b"cde"[..]);
        assert!(next_message(&mut BytesMut::from(&b"\xff\xff\xff\xff"[..])).is_err());
    }

    #[tokio::test]
    async fn both_ways_of_writing_are_counted() {
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()))
            .await
            .unwrap();
        let address = listener.address().unwrap();
        tokio::spawn(serve(listener));
        let payload = Bytes::from_static(b"sixteen bytes ok");
        let mut buffered = buffered(address.connect().await.unwrap());
        let mut unbuffered = unbuffered(address.connect().await.unwrap());
        for count in [0, 1, 10_000] {
            assert_eq!(buffered.burst(count, &payload).await.unwrap(), count);
            assert_eq!(unbuffered.burst(count, &payload).await.unwrap(), count);
        }
    }
}
