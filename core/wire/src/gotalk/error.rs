//! What is wrong with bytes that are not gotalk, and with messages that cannot become bytes.

use super::{NAME_BYTES_MAX, ProtocolErrorCode};

/// The other side sent something that is not gotalk v1, or is larger than the [`Bounds`](super::Bounds).
///
/// The stream cannot be understood beyond this point: answer with a protocol error of
/// [`code`](DecodeError::code) and close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The stream starts with another version than [`VERSION`](super::VERSION).
    #[error("unsupported protocol version \"{}\"", .0.escape_ascii())]
    UnsupportedVersion([u8; 2]),
    /// No message kind has this first byte.
    #[error("unknown message type '{}'", .0.escape_ascii())]
    UnknownType(u8),
    /// A numeric field holds something else than a hexadecimal digit.
    #[error("'{}' at byte {offset} of the message, in its {field}, is not a hexadecimal digit", .found.escape_ascii())]
    BadHex {
        /// The field, in words.
        field: &'static str,
        /// The first byte which is not a digit.
        found: u8,
        /// Where it stands, in bytes from the start of the message.
        offset: usize,
    },
    /// A name is longer than the bounds allow.
    #[error("name of {size} bytes exceeds the limit of {max}")]
    NameTooLong {
        /// Its declared size, in bytes.
        size: usize,
        /// The bound, in bytes.
        max: usize,
    },
    /// A name is not UTF-8.
    #[error("name is not UTF-8 (after {valid_bytes} of its bytes)")]
    NameNotUtf8 {
        /// How many of its bytes, from the first, are UTF-8.
        valid_bytes: usize,
    },
    /// A payload is longer than the bounds allow.
    #[error("payload of {size} bytes exceeds the limit of {max}")]
    PayloadTooLarge {
        /// Its declared size, in bytes.
        size: usize,
        /// The bound, in bytes.
        max: usize,
    },
}

impl DecodeError {
    /// The code to answer with before closing.
    pub fn code(&self) -> ProtocolErrorCode {
        match self {
            DecodeError::UnsupportedVersion(_) => ProtocolErrorCode::Unsupported,
            DecodeError::UnknownType(_)
            | DecodeError::BadHex { .. }
            | DecodeError::NameTooLong { .. }
            | DecodeError::NameNotUtf8 { .. }
            | DecodeError::PayloadTooLarge { .. } => ProtocolErrorCode::InvalidMessage,
        }
    }
}

impl From<std::str::Utf8Error> for DecodeError {
    fn from(error: std::str::Utf8Error) -> Self {
        DecodeError::NameNotUtf8 {
            valid_bytes: error.valid_up_to(),
        }
    }
}

/// A message does not fit the wire. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("name of {size} bytes exceeds the limit of {NAME_BYTES_MAX}")]
    NameTooLong {
        /// Its size, in bytes.
        size: usize,
    },
    /// The payload's size does not fit 8 hexadecimal digits.
    #[error("payload of {size} bytes exceeds the limit of {}", u32::MAX)]
    PayloadTooLarge {
        /// Its size, in bytes.
        size: usize,
    },
}
