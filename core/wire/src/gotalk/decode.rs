//! Bytes to messages. The hottest path of every peer: one look at the first byte, fixed offsets, a slice for
//! the name and one for the payload.
//!
//! A header is scanned field by field in wire order, so an illegal byte is found as soon as it is there,
//! and gives the same error however the bytes were cut on their way.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Bounds, DecodeError, ID_BYTES, KIND_BYTES, Message, NAME_SIZE_DIGITS, NUMBER_DIGITS, Name, RequestId,
    VERSION,
};
use crate::hex;

/// Removes the version from the front of the buffer.
///
/// Returns `None`, and consumes nothing, while fewer than 2 bytes are there.
///
/// # Errors
/// [`DecodeError::UnsupportedVersion`] if it is not [`VERSION`]; nothing is consumed.
pub fn decode_version(buf: &mut BytesMut) -> Result<Option<()>, DecodeError> {
    match buf.first_chunk() {
        None => Ok(None),
        Some(&VERSION) => {
            buf.advance(VERSION.len());
            Ok(Some(()))
        }
        Some(&other) => Err(DecodeError::UnsupportedVersion(other)),
    }
}

/// Removes one message from the front of the buffer.
///
/// Returns `None`, and consumes nothing, while the message is incomplete. Calling again when more bytes have
/// arrived costs a scan of the header, whatever the size of the payload. The declared size of a payload
/// reserves nothing. The payload and the name share the memory of the buffer.
///
/// # Errors
/// Everything which is not a message within the bounds, as soon as the bytes that show it are there (a name
/// which is not UTF-8: once the name is complete); nothing is consumed.
#[inline]
pub fn decode(buf: &mut BytesMut, bounds: &Bounds) -> Result<Option<Message>, DecodeError> {
    match decode_first(buf, bounds) {
        Ok(message) => Ok(Some(message)),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Illegal(error)) => Err(error),
    }
}

/// Why a scan ended before the end of a message.
enum Stop {
    Incomplete,
    Illegal(DecodeError),
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Stop::Illegal(error)
    }
}

#[inline]
fn decode_first(buf: &mut BytesMut, bounds: &Bounds) -> Result<Message, Stop> {
    let Some(&kind) = buf.first() else {
        return Err(Stop::Incomplete);
    };
    let mut scan = Scan {
        bytes: buf,
        at: KIND_BYTES,
    };
    match kind {
        b'r' | b's' => {
            let id = scan.id()?;
            let name_size = scan.name(bounds)?;
            let payload_size = scan.payload(bounds)?;
            let (operation, payload) = take_named(buf, KIND_BYTES + ID_BYTES, name_size, payload_size)?;
            Ok(match kind {
                b'r' => Message::SingleRequest {
                    id,
                    operation,
                    payload,
                },
                _ => Message::StreamRequest {
                    id,
                    operation,
                    payload,
                },
            })
        }
        b'p' | b'R' | b'S' | b'E' => {
            let id = scan.id()?;
            let payload_size = scan.payload(bounds)?;
            let header_size = scan.at;
            let payload = take(buf, header_size, payload_size);
            Ok(match kind {
                b'p' => Message::StreamPart { id, payload },
                b'R' => Message::SingleResult { id, payload },
                b'S' => Message::StreamResult { id, payload },
                _ => Message::ErrorResult { id, payload },
            })
        }
        b'e' => {
            let id = scan.id()?;
            let wait_ms = scan.number("wait")?;
            let payload_size = scan.payload(bounds)?;
            let header_size = scan.at;
            let payload = take(buf, header_size, payload_size);
            Ok(Message::RetryResult { id, wait_ms, payload })
        }
        b'n' => {
            let name_size = scan.name(bounds)?;
            let payload_size = scan.payload(bounds)?;
            let (name, payload) = take_named(buf, KIND_BYTES, name_size, payload_size)?;
            Ok(Message::Notification { name, payload })
        }
        b'h' => {
            let load = scan.load()?;
            let time = scan.number("time")?;
            let size = scan.at;
            buf.advance(size);
            Ok(Message::Heartbeat { load, time })
        }
        b'f' => {
            let code = scan.number("code")?;
            let size = scan.at;
            buf.advance(size);
            Ok(Message::ProtocolError(code.into()))
        }
        other => Err(DecodeError::UnknownType(other).into()),
    }
}

/// Reads the fields of one header in wire order. Consumes nothing: a message is taken once it is complete.
struct Scan<'a> {
    /// The buffer from the first byte of the message.
    bytes: &'a [u8],
    /// Where the next field starts.
    at: usize,
}

impl Scan<'_> {
    #[inline]
    fn id(&mut self) -> Result<RequestId, Stop> {
        self.next().copied().map(RequestId).ok_or(Stop::Incomplete)
    }

    #[inline]
    fn load(&mut self) -> Result<u16, Stop> {
        self.digits("load", hex::read_u16)
    }

    #[inline]
    fn number(&mut self, field: &'static str) -> Result<u32, Stop> {
        self.digits(field, hex::read_u32)
    }

    /// Reads a name and its size, and returns the size.
    #[inline]
    fn name(&mut self, bounds: &Bounds) -> Result<usize, Stop> {
        let size = self
            .digits("name size", |[a, b, c]| hex::read_u16([b'0', a, b, c]))?
            .into();
        let max = bounds.name_bytes_max;
        if size > max {
            return Err(DecodeError::NameTooLong { size, max }.into());
        }
        let name = self.bytes.get(self.at..self.at + size).ok_or(Stop::Incomplete)?;
        std::str::from_utf8(name).map_err(DecodeError::from)?;
        self.at += size;
        Ok(size)
    }

    /// Reads the size of a payload, returns it, and makes sure that all of the payload is there.
    #[inline]
    fn payload(&mut self, bounds: &Bounds) -> Result<usize, Stop> {
        let size = self.number("payload size")? as usize;
        let max = bounds.payload_bytes_max;
        if size > max {
            return Err(DecodeError::PayloadTooLarge { size, max }.into());
        }
        if self.bytes.len() - self.at < size {
            return Err(Stop::Incomplete);
        }
        Ok(size)
    }

    /// Reads a field of `N` digits.
    #[inline]
    fn digits<const N: usize, T>(
        &mut self,
        field: &'static str,
        read: impl Fn([u8; N]) -> Option<T>,
    ) -> Result<T, Stop> {
        let start = self.at;
        match self.next().copied().and_then(read) {
            Some(number) => Ok(number),
            None => Err(no_number::<N>(self.bytes, start, field)),
        }
    }

    /// The next `N` bytes.
    #[inline]
    fn next<const N: usize>(&mut self) -> Option<&[u8; N]> {
        let bytes = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(bytes)
    }
}

/// Tells a field of which digits are missing from one which holds something else.
#[cold]
fn no_number<const N: usize>(bytes: &[u8], start: usize, field: &'static str) -> Stop {
    let mut there = bytes.iter().enumerate().skip(start).take(N);
    match there.find(|(_, byte)| !byte.is_ascii_hexdigit()) {
        Some((offset, &found)) => DecodeError::BadHex { field, found, offset }.into(),
        None => Stop::Incomplete,
    }
}

/// Removes a header and the payload after it.
#[inline]
fn take(buf: &mut BytesMut, header_size: usize, payload_size: usize) -> Bytes {
    buf.advance(header_size);
    match payload_size {
        // Shares nothing, so that an empty payload does not keep the buffer alive.
        0 => Bytes::new(),
        size => buf.split_to(size).freeze(),
    }
}

/// Removes a header which holds a name after `before_name` bytes and its size, and the payload after it.
#[inline]
fn take_named(
    buf: &mut BytesMut,
    before_name: usize,
    name_size: usize,
    payload_size: usize,
) -> Result<(Name, Bytes), DecodeError> {
    let name = take(buf, before_name + NAME_SIZE_DIGITS, name_size);
    let payload = take(buf, NUMBER_DIGITS, payload_size);
    // Scanned already; this second look, at some bytes in the cache, keeps the crate free of `unsafe`.
    match Name::try_from(name) {
        Ok(name) => Ok((name, payload)),
        Err(error) => Err(error.into()),
    }
}
