//! The other end of a WebSocket, by hand: frame by frame.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use switchboard_peer::websocket::{Framing, WebSocket, WebSocketOptions, server_transport};
use switchboard_peer::{Caller, HandshakeError, Options, Peer, Service, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::common::text;

/// Bytes that the in-memory pipe holds each way.
pub const PIPE_BYTES: usize = 64 * 1024;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a client of the tests masks with.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub last: bool,
    pub opcode: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    /// As a client sends it.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            last: true,
            opcode,
            masked: true,
            payload: payload.as_ref().to_vec(),
        }
    }

    pub fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, payload)
    }

    pub fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, payload)
    }

    pub fn close(code: u16) -> Self {
        Self::new(CLOSE, code.to_be_bytes())
    }

    /// As a server sends it.
    pub fn unmasked(self) -> Self {
        Self {
            masked: false,
            ..self
        }
    }

    /// More of its message will come.
    pub fn unfinished(self) -> Self {
        Self { last: false, ..self }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.last) << 7 | self.opcode];
        let mask = u8::from(self.masked) << 7;
        match self.payload.len() {
            length @ 0..126 => bytes.push(mask | length as u8),
            length @ 126..0x1_0000 => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(KEY);
            let masked = self.payload.iter().zip(KEY.iter().cycle());
            bytes.extend(masked.map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// The frame at the front, once it is whole.
    fn decode(buffer: &mut BytesMut) -> Option<Self> {
        let mut at = &buffer[..];
        let first = at.try_get_u8().ok()?;
        let second = at.try_get_u8().ok()?;
        let length = match second & 0x7f {
            126 => at.try_get_u16().ok()?.into(),
            127 => at.try_get_u64().ok()? as usize,
            short => short.into(),
        };
        let masked = second & 0x80 != 0;
        let mut key = [0; 4];
        if masked {
            at.try_copy_to_slice(&mut key).ok()?;
        }
        let payload = at.get(..length)?;
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        let whole = buffer.len() - at.len() + length;
        buffer.advance(whole);
        assert_eq!(first & 0x70, 0, "reserved bits");
        Some(Self {
            last: first & 0x80 != 0,
            opcode: first & 0x0f,
            masked,
            payload,
        })
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.opcode {
            CONTINUATION => "continuation",
            TEXT => "text",
            BINARY => "binary",
            CLOSE => "close",
            PING => "ping",
            PONG => "pong",
            _ => "unknown",
        };
        let more = if self.last { "" } else { "…" };
        let shown = self.payload.get(..100).unwrap_or(&self.payload);
        write!(f, "{kind} {:?}{more}", text(shown))
    }
}

/// One end, by hand.
pub struct End<S = DuplexStream> {
    pub io: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    pub fn new(io: S) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    pub async fn send(&mut self, frame: Frame) {
        self.send_bytes(&frame.encode()).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer) {
                return Some(frame);
            }
            let read = tokio::time::timeout(Duration::from_secs(60), self.io.read_buf(&mut self.buffer));
            if read.await.expect("a frame, or the end").unwrap() == 0 {
                assert!(self.buffer.is_empty(), "the end within {:?}", text(&self.buffer));
                return None;
            }
        }
    }

    /// Hears this frame next, of a server.
    pub async fn expect(&mut self, wanted: Frame) {
        assert_eq!(self.next().await, Some(wanted.unmasked()));
    }

    /// Hears a binary frame of a server.
    pub async fn hear(&mut self, wanted: impl AsRef<[u8]>) {
        self.expect(Frame::binary(wanted)).await;
    }

    /// All frames to the end.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = vec![];
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The bytes in the next binary frames, until there are so many.
    pub async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![];
        while bytes.len() < length {
            let frame = self.next().await.expect("a frame");
            assert_eq!(frame.opcode, BINARY, "{frame:?}");
            bytes.extend(frame.payload);
        }
        bytes
    }
}

/// No pings, so that a raw end sees only what the test is about.
pub fn quiet() -> WebSocketOptions {
    WebSocketOptions {
        ping_after: None,
        ..WebSocketOptions::default()
    }
}

/// A server's end whose other end is in the test's hands.
pub fn transport(framing: Framing, options: &WebSocketOptions) -> (WebSocket<DuplexStream>, End) {
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    (server_transport(ours, framing, options), End::new(theirs))
}

/// A peer that is to be.
pub type Starting = tokio::task::JoinHandle<Result<Peer, HandshakeError>>;

/// A peer as a server, which sends its version.
pub fn accepting(
    service: impl Service,
    framing: Framing,
    options: Options,
    websocket: &WebSocketOptions,
) -> (Starting, End) {
    let (transport, end) = transport(framing, websocket);
    let starting = Peer::start(transport, Side::Accepting, service, options, Caller::default());
    (tokio::spawn(starting), end)
}

/// A peer as a server, whose version was heard.
pub async fn starting(
    service: impl Service,
    framing: Framing,
    options: Options,
    websocket: &WebSocketOptions,
) -> (Starting, End) {
    let (starting, mut end) = accepting(service, framing, options, websocket);
    end.hear("01").await;
    (starting, end)
}

/// A peer as a server, after the handshake.
pub async fn serving(service: impl Service, framing: Framing, options: Options) -> (Peer, End) {
    serving_with(service, framing, options, &quiet()).await
}

pub async fn serving_with(
    service: impl Service,
    framing: Framing,
    options: Options,
    websocket: &WebSocketOptions,
) -> (Peer, End) {
    let (starting, mut end) = starting(service, framing, options, websocket).await;
    end.send(Frame::binary("01")).await;
    (starting.await.unwrap().unwrap(), end)
}
