//! Messages to bytes: one reservation a message, then the header's few pieces and the payload.

use bytes::{BufMut, BytesMut};

use super::{
    EncodeError, ID_BYTES, KIND_BYTES, LOAD_DIGITS, Message, NAME_BYTES_MAX, NAME_SIZE_DIGITS, NUMBER_DIGITS,
    ProtocolErrorCode, RequestId,
};
use crate::hex;

/// Everything of a message before its payload bytes, for writers which keep the payload where it is.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Head<'a> {
    /// `r`: see [`Message::SingleRequest`].
    SingleRequest {
        /// Names the request in its answers.
        id: RequestId,
        /// What to do.
        operation: &'a str,
    },
    /// `s`: see [`Message::StreamRequest`].
    StreamRequest {
        /// Names the request in its parts and answers.
        id: RequestId,
        /// What to do.
        operation: &'a str,
    },
    /// `p`: see [`Message::StreamPart`].
    StreamPart {
        /// The stream request it belongs to.
        id: RequestId,
    },
    /// `R`: see [`Message::SingleResult`].
    SingleResult {
        /// The request it answers.
        id: RequestId,
    },
    /// `S`: see [`Message::StreamResult`].
    StreamResult {
        /// The request it answers.
        id: RequestId,
    },
    /// `E`: see [`Message::ErrorResult`].
    ErrorResult {
        /// The request it answers.
        id: RequestId,
    },
    /// `e`: see [`Message::RetryResult`].
    RetryResult {
        /// The request it answers.
        id: RequestId,
        /// How long to wait before sending it again, in milliseconds.
        wait_ms: u32,
    },
    /// `n`: see [`Message::Notification`].
    Notification {
        /// What it is about.
        name: &'a str,
    },
}

impl Head<'_> {
    /// Appends the header of a message whose payload, of `payload_len` bytes, the caller writes after it.
    ///
    /// # Errors
    /// If the name or the payload does not fit the wire; nothing is written.
    #[inline]
    pub fn encode(&self, payload_len: usize, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let Ok(payload_size) = u32::try_from(payload_len) else {
            return Err(EncodeError::PayloadTooLarge { size: payload_len });
        };
        let name_size = self.name().len();
        if name_size > NAME_BYTES_MAX {
            return Err(EncodeError::NameTooLong { size: name_size });
        }
        dst.reserve(self.encoded_len());
        match *self {
            Head::SingleRequest { id, operation } => {
                put_id(b'r', id, dst);
                put_name(operation, dst);
            }
            Head::StreamRequest { id, operation } => {
                put_id(b's', id, dst);
                put_name(operation, dst);
            }
            Head::StreamPart { id } => put_id(b'p', id, dst),
            Head::SingleResult { id } => put_id(b'R', id, dst),
            Head::StreamResult { id } => put_id(b'S', id, dst),
            Head::ErrorResult { id } => put_id(b'E', id, dst),
            Head::RetryResult { id, wait_ms } => {
                put_id(b'e', id, dst);
                dst.put_slice(&hex::digits_u32(wait_ms));
            }
            Head::Notification { name } => {
                dst.put_u8(b'n');
                put_name(name, dst);
            }
        }
        dst.put_slice(&hex::digits_u32(payload_size));
        Ok(())
    }

    /// The size of the header, in bytes.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        match *self {
            Head::SingleRequest { operation: name, .. } | Head::StreamRequest { operation: name, .. } => {
                KIND_BYTES + ID_BYTES + NAME_SIZE_DIGITS + name.len() + NUMBER_DIGITS
            }
            Head::Notification { name } => KIND_BYTES + NAME_SIZE_DIGITS + name.len() + NUMBER_DIGITS,
            Head::RetryResult { .. } => KIND_BYTES + ID_BYTES + NUMBER_DIGITS + NUMBER_DIGITS,
            Head::StreamPart { .. }
            | Head::SingleResult { .. }
            | Head::StreamResult { .. }
            | Head::ErrorResult { .. } => KIND_BYTES + ID_BYTES + NUMBER_DIGITS,
        }
    }

    /// The name it carries; empty for the kinds which have none.
    #[inline]
    fn name(&self) -> &str {
        match *self {
            Head::SingleRequest { operation: name, .. }
            | Head::StreamRequest { operation: name, .. }
            | Head::Notification { name } => name,
            _ => "",
        }
    }
}

impl Message {
    /// Appends the whole message.
    ///
    /// # Errors
    /// If the name or the payload does not fit the wire; nothing is written.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let (head, payload) = match self {
            Message::SingleRequest {
                id,
                operation,
                payload,
            } => (Head::SingleRequest { id: *id, operation }, payload),
            Message::StreamRequest {
                id,
                operation,
                payload,
            } => (Head::StreamRequest { id: *id, operation }, payload),
            Message::StreamPart { id, payload } => (Head::StreamPart { id: *id }, payload),
            Message::SingleResult { id, payload } => (Head::SingleResult { id: *id }, payload),
            Message::StreamResult { id, payload } => (Head::StreamResult { id: *id }, payload),
            Message::ErrorResult { id, payload } => (Head::ErrorResult { id: *id }, payload),
            Message::RetryResult { id, wait_ms, payload } => (
                Head::RetryResult {
                    id: *id,
                    wait_ms: *wait_ms,
                },
                payload,
            ),
            Message::Notification { name, payload } => (Head::Notification { name }, payload),
            Message::Heartbeat { load, time } => {
                encode_heartbeat(*load, *time, dst);
                return Ok(());
            }
            Message::ProtocolError(code) => {
                encode_protocol_error(*code, dst);
                return Ok(());
            }
        };
        dst.reserve(head.encoded_len() + payload.len());
        head.encode(payload.len(), dst)?;
        dst.put_slice(payload);
        Ok(())
    }
}

/// Appends a heartbeat: how busy the sender is, 0 to 65535, and its clock in seconds since the Unix epoch.
pub fn encode_heartbeat(load: u16, time: u32, dst: &mut BytesMut) {
    dst.reserve(KIND_BYTES + LOAD_DIGITS + NUMBER_DIGITS);
    dst.put_u8(b'h');
    dst.put_slice(&hex::digits_u16(load));
    dst.put_slice(&hex::digits_u32(time));
}

/// Appends a protocol error: the last message before the sender closes.
pub fn encode_protocol_error(code: ProtocolErrorCode, dst: &mut BytesMut) {
    dst.reserve(KIND_BYTES + NUMBER_DIGITS);
    dst.put_u8(b'f');
    dst.put_slice(&hex::digits_u32(code.into()));
}

/// Appends the start of every header which has an id.
#[inline]
fn put_id(kind: u8, id: RequestId, dst: &mut BytesMut) {
    let [a, b, c, d] = id.0;
    dst.put_slice(&[kind, a, b, c, d]);
}

/// Appends a name and its size. The caller has checked that the size fits.
#[inline]
fn put_name(name: &str, dst: &mut BytesMut) {
    let [_, a, b, c] = hex::digits_u16(name.len() as u16);
    dst.put_slice(&[a, b, c]);
    dst.put_slice(name.as_bytes());
}
