//! Where a message ends, without reading it: for those who cut or count a stream of messages and leave their meaning
//! alone.

use super::{
    DecodeError, ID_BYTES, KIND_BYTES, LOAD_DIGITS, NAME_BYTES_MAX, NAME_SIZE_DIGITS, NUMBER_DIGITS,
};
use crate::hex;

/// The longest header, in bytes: that of a request with the longest name.
pub const HEADER_BYTES_MAX: usize = KIND_BYTES + ID_BYTES + NAME_SIZE_DIGITS + NAME_BYTES_MAX + NUMBER_DIGITS;

/// The size of one message.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the payload, at most [`HEADER_BYTES_MAX`].
    pub header: usize,
    /// Bytes of payload that follow.
    pub payload: usize,
}

/// Reads the size of the message that begins with `bytes`. `None` while its header is incomplete.
///
/// Ids, names, times and codes are not looked at.
///
/// # Errors
/// If the first byte is no kind of message, or a size is no hexadecimal number.
#[inline]
pub fn layout(bytes: &[u8]) -> Result<Option<Layout>, DecodeError> {
    let Some(kind) = bytes.first() else {
        return Ok(None);
    };
    const AFTER_ID: usize = KIND_BYTES + ID_BYTES;
    match kind {
        b'r' | b's' => named(bytes, AFTER_ID),
        b'n' => named(bytes, KIND_BYTES),
        b'p' | b'R' | b'S' | b'E' => sized(bytes, AFTER_ID),
        b'e' => sized(bytes, AFTER_ID + NUMBER_DIGITS),
        b'h' => Ok(bare(bytes, KIND_BYTES + LOAD_DIGITS + NUMBER_DIGITS)),
        b'f' => Ok(bare(bytes, KIND_BYTES + NUMBER_DIGITS)),
        other => Err(DecodeError::UnknownType(*other)),
    }
}

/// A message without a payload.
#[inline]
fn bare(bytes: &[u8], header: usize) -> Option<Layout> {
    (bytes.len() >= header).then_some(Layout { header, payload: 0 })
}

/// A message whose name, with its size, stands at `at`; the size of the payload follows.
#[inline]
fn named(bytes: &[u8], at: usize) -> Result<Option<Layout>, DecodeError> {
    let read = |[a, b, c]: [u8; NAME_SIZE_DIGITS]| hex::read_u16([b'0', a, b, c]);
    match digits(bytes, at, "name size", read)? {
        Some(name) => sized(bytes, at + NAME_SIZE_DIGITS + usize::from(name)),
        None => Ok(None),
    }
}

/// A message whose header ends with the size of its payload, at `at`.
#[inline]
fn sized(bytes: &[u8], at: usize) -> Result<Option<Layout>, DecodeError> {
    let size = digits(bytes, at, "payload size", hex::read_u32)?;
    Ok(size.map(|size| Layout {
        header: at + NUMBER_DIGITS,
        payload: size as usize,
    }))
}

/// Reads a field of `N` digits; `None` if it is not all there.
#[inline]
fn digits<const N: usize, T>(
    bytes: &[u8],
    at: usize,
    field: &'static str,
    read: impl Fn([u8; N]) -> Option<T>,
) -> Result<Option<T>, DecodeError> {
    let Some(text) = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()) else {
        return Ok(None);
    };
    match read(*text) {
        Some(number) => Ok(Some(number)),
        None => Err(no_number(text, at, field)),
    }
}

#[cold]
fn no_number(text: &[u8], at: usize, field: &'static str) -> DecodeError {
    let bad = text.iter().zip(at..).find(|(byte, _)| !byte.is_ascii_hexdigit());
    // One of them is no digit, or the number would have been read.
    let (found, offset) = bad.map_or((0, at), |(found, offset)| (*found, offset));
    DecodeError::BadHex { field, found, offset }
}
