//! bformat: messages of a 4-byte little-endian size, then that many bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The size before each payload, in bytes.
pub const HEADER_BYTES: usize = 4;

/// The other side announced a payload beyond the bound. The stream cannot be understood beyond this point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload of {size} bytes exceeds the limit of {max}")]
pub struct DecodeError {
    /// The declared size, in bytes.
    pub size: usize,
    /// The bound, in bytes.
    pub max: usize,
}

/// A payload's size does not fit 4 bytes. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload of {size} bytes exceeds the limit of {}", u32::MAX)]
pub struct EncodeError {
    /// The size, in bytes.
    pub size: usize,
}

/// Removes one message from the front of the buffer, and returns its payload, which shares the buffer's
/// memory.
///
/// Returns `None`, and consumes nothing, while the message is incomplete. The declared size reserves nothing.
///
/// # Errors
/// If the payload is longer than `payload_bytes_max`, as soon as its size is there; nothing is consumed.
#[inline]
pub fn decode(buf: &mut BytesMut, payload_bytes_max: usize) -> Result<Option<Bytes>, DecodeError> {
    let Some(size) = declared_size(buf) else {
        return Ok(None);
    };
    if size > payload_bytes_max {
        return Err(DecodeError {
            size,
            max: payload_bytes_max,
        });
    }
    if buf.len() - HEADER_BYTES < size {
        return Ok(None);
    }
    buf.advance(HEADER_BYTES);
    match size {
        // Shares nothing, so that an empty payload does not keep the buffer alive.
        0 => Ok(Some(Bytes::new())),
        size => Ok(Some(buf.split_to(size).freeze())),
    }
}

/// The size of the first payload in the buffer, once it is there.
#[inline]
pub(crate) fn declared_size(buf: &[u8]) -> Option<usize> {
    buf.first_chunk().map(|size| u32::from_le_bytes(*size) as usize)
}

/// The bytes which stand before a payload of `payload_len` bytes.
///
/// # Errors
/// If the size does not fit 4 bytes.
#[inline]
pub fn header(payload_len: usize) -> Result<[u8; HEADER_BYTES], EncodeError> {
    match u32::try_from(payload_len) {
        Ok(size) => Ok(size.to_le_bytes()),
        Err(_) => Err(EncodeError { size: payload_len }),
    }
}

/// Appends a whole message.
///
/// # Errors
/// If the payload's size does not fit 4 bytes; nothing is written.
#[inline]
pub fn encode(payload: &[u8], dst: &mut BytesMut) -> Result<(), EncodeError> {
    let header = header(payload.len())?;
    dst.reserve(HEADER_BYTES + payload.len());
    dst.put_slice(&header);
    dst.put_slice(payload);
    Ok(())
}
