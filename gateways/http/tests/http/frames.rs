//! HTTP/2 by hand: frames as a client would never send them (RFC 9113).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Door, patient};

/// How every connection begins (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

pub const PROTOCOL_ERROR: u32 = 0x1;
pub const FLOW_CONTROL_ERROR: u32 = 0x3;
pub const STREAM_CLOSED: u32 = 0x5;
pub const FRAME_SIZE_ERROR: u32 = 0x6;
pub const COMPRESSION_ERROR: u32 = 0x9;
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Header fields as HPACK writes what it does not know and does not keep (RFC 7541, section 6.2.2), without Huffman.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length, with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return block.push(value as u8);
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The pseudo-header fields of a request.
pub fn pseudo<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ]
}

/// The head of a request, in one frame.
pub fn request(stream: u32, flags: u8, method: &str, path: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | flags,
        stream,
        fields(&pseudo(method, path)),
    )
}

/// What came of something that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The connection ends, for this reason.
    GoAway(u32),
    /// The stream ends, for this reason.
    Reset(u32),
    /// An answer with a status that says it is well.
    Ok,
    /// Any other answer.
    Refused,
    /// The connection ended without a word.
    Closed,
}

/// One end of a connection.
pub struct Wire {
    io: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    /// A connection on which nothing was said.
    pub async fn silent(door: &Door) -> Self {
        Self {
            io: patient(TcpStream::connect(door.ip())).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// A connection that has begun as it should, with these settings.
    pub async fn with(door: &Door, settings: &[(u16, u32)]) -> Self {
        let mut wire = Self::silent(door).await;
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        wire.send(PREFACE).await;
        wire.send(frame(SETTINGS, 0, 0, payload)).await;
        let first = wire.next().await.expect("its settings");
        assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0));
        wire.send(frame(SETTINGS, ACK, 0, "")).await;
        let acknowledged = wire.next_of(|frame| frame.kind == SETTINGS).await;
        assert_eq!(acknowledged.map(|frame| frame.flags), Some(ACK));
        wire
    }

    pub async fn open(door: &Door) -> Self {
        Self::with(door, &[]).await
    }

    /// Sends, whether or not the other end still takes it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        patient(self.io.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut bytes = [0; 16 * 1024];
            // A reset is an end as well.
            let count = patient(self.io.read(&mut bytes)).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.read.extend_from_slice(&bytes[..count]);
        }
    }

    /// The next frame of this kind.
    pub async fn next_of(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.read.get(..9)?.try_into().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.read.get(9..9 + length)?.to_vec();
        self.read.drain(..9 + length);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
            payload,
        })
    }

    /// What comes of what was sent on that stream, or on the connection.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let Some(frame) = self.next().await else {
                return Outcome::Closed;
            };
            match frame.kind {
                GOAWAY => return Outcome::GoAway(number(&frame.payload[4..])),
                RST_STREAM if frame.stream == stream => return Outcome::Reset(number(&frame.payload)),
                // The first field of an answer is its status; 200 is the eighth of the table that all know.
                HEADERS if frame.stream == stream && frame.payload.first() == Some(&0x88) => {
                    return Outcome::Ok;
                }
                HEADERS if frame.stream == stream => return Outcome::Refused,
                _ => {}
            }
        }
    }

    /// Checks that the connection still does what it should.
    pub async fn is_well(&mut self, stream: u32) {
        self.send(request(stream, END_STREAM, "GET", "/healthz")).await;
        assert_eq!(self.outcome(stream).await, Outcome::Ok);
    }
}

/// The first four bytes as a number.
pub fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}
