//! Tagged messages: [`bformat`] messages whose payload starts with an 8-byte little-endian tag, by which the
//! receiver tells who is waiting for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::bformat::{self, EncodeError};

/// The tag, in bytes.
pub const TAG_BYTES: usize = 8;

/// Everything before the payload proper: the size, then the tag.
pub const HEADER_BYTES: usize = bformat::HEADER_BYTES + TAG_BYTES;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// Who it is for.
    pub tag: u64,
    /// The bytes after the tag.
    pub payload: Bytes,
}

/// The other side sent something that is no tagged message within the bound. The stream cannot be understood
/// beyond this point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message is beyond the bound.
    #[error(transparent)]
    TooLarge(#[from] bformat::DecodeError),
    /// The message has no room for a tag.
    #[error("message of {size} bytes is shorter than its tag of {TAG_BYTES}")]
    TooShort {
        /// The declared size, in bytes.
        size: usize,
    },
}

/// Removes one message from the front of the buffer. The payload shares the buffer's memory.
///
/// `bytes_max` bounds the bformat message: the tag and the payload together.
/// Returns `None`, and consumes nothing, while the message is incomplete. The declared size reserves nothing.
///
/// # Errors
/// If the message is longer than `bytes_max` or too short for a tag, as soon as its size is there; nothing is
/// consumed.
#[inline]
pub fn decode(buf: &mut BytesMut, bytes_max: usize) -> Result<Option<Tagged>, DecodeError> {
    if let Some(size @ 0..TAG_BYTES) = bformat::declared_size(buf) {
        return Err(DecodeError::TooShort { size });
    }
    let Some(mut payload) = bformat::decode(buf, bytes_max)? else {
        return Ok(None);
    };
    let tag = payload.get_u64_le();
    if payload.is_empty() {
        // Shares nothing, so that an empty payload does not keep the buffer alive.
        payload = Bytes::new();
    }
    Ok(Some(Tagged { tag, payload }))
}

/// The bytes which stand before a payload of `payload_len` bytes.
///
/// # Errors
/// If the size of tag and payload does not fit 4 bytes.
#[inline]
pub fn header(tag: u64, payload_len: usize) -> Result<[u8; HEADER_BYTES], EncodeError> {
    let [a, b, c, d] = bformat::header(payload_len.saturating_add(TAG_BYTES))?;
    let [e, f, g, h, i, j, k, l] = tag.to_le_bytes();
    Ok([a, b, c, d, e, f, g, h, i, j, k, l])
}

/// Appends a whole message.
///
/// # Errors
/// If the size of tag and payload does not fit 4 bytes; nothing is written.
#[inline]
pub fn encode(tag: u64, payload: &[u8], dst: &mut BytesMut) -> Result<(), EncodeError> {
    let header = header(tag, payload.len())?;
    dst.reserve(HEADER_BYTES + payload.len());
    dst.put_slice(&header);
    dst.put_slice(payload);
    Ok(())
}
