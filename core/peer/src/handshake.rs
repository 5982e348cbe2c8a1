//! The first two bytes each way.

use bytes::BytesMut;
use switchboard_wire::gotalk::{self, ProtocolErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, timeout};

/// Why two peers did not come to talk.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other side speaks another version, or something else altogether.
    #[error("the other side does not speak gotalk version 1: it began with {0:?}")]
    Version(String),
    /// The other side said nothing in time.
    #[error("the other side did not begin to speak gotalk within {0:?}")]
    Timeout(Duration),
    /// The other side closed the connection first.
    #[error("the other side closed the connection before it said its protocol version")]
    Closed,
    /// The transport failed.
    #[error("the connection failed before the protocol began: {0}")]
    Io(#[from] std::io::Error),
}

/// How long a side that was told of its fault may take to read that, before the connection is dropped.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are read and thrown away at most while lingering.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Says this side's version and reads the other's. What came after it stays in the returned buffer.
pub(crate) async fn handshake<T>(io: &mut T, within: Duration) -> Result<BytesMut, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(within, exchange(io)).await {
        Ok(Err(HandshakeError::Version(version))) => {
            refuse(io, ProtocolErrorCode::Unsupported).await;
            Err(HandshakeError::Version(version))
        }
        Ok(done) => done,
        Err(_) => {
            refuse(io, ProtocolErrorCode::Timeout).await;
            Err(HandshakeError::Timeout(within))
        }
    }
}

async fn exchange<T>(io: &mut T) -> Result<BytesMut, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(&gotalk::VERSION).await?;
    io.flush().await?;
    let mut input = BytesMut::with_capacity(FIRST_READ_BYTES);
    loop {
        match gotalk::decode_version(&mut input) {
            Ok(Some(())) => return Ok(input),
            Ok(None) => {}
            Err(_) => {
                let begin = input.get(..2).unwrap_or(&input).escape_ascii().to_string();
                return Err(HandshakeError::Version(begin));
            }
        }
        if io.read_buf(&mut input).await? == 0 {
            return Err(HandshakeError::Closed);
        }
    }
}

/// The size of the first read buffer in bytes: most connections begin with a message or two.
const FIRST_READ_BYTES: usize = 512;

/// Says why the connection ends, and waits a moment so that it can be read.
async fn refuse<T>(io: &mut T, code: ProtocolErrorCode)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut last = BytesMut::new();
    gotalk::encode_protocol_error(code, &mut last);
    let farewell = async {
        io.write_all(&last).await?;
        io.shutdown().await?;
        // Unread input at the close would have the kernel reset the connection, and the last words be lost.
        let mut rest = [0; 4096];
        let mut seen = 0;
        while seen < LINGER_BYTES_MAX {
            match io.read(&mut rest).await? {
                0 => break,
                n => seen += n,
            }
        }
        std::io::Result::Ok(())
    };
    // The other side has been told as well as can be.
    let _ = timeout(LINGER, farewell).await;
}
