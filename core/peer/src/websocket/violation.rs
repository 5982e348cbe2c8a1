//! What the other side may not do on a WebSocket.

use super::close::{INVALID_TEXT, PROTOCOL_ERROR, TOO_LARGE};

/// A breach of RFC 6455, or of the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("a WebSocket frame has reserved bits set")]
    ReservedBits,
    #[error("a WebSocket frame has the unknown opcode {0}")]
    UnknownOpcode(u8),
    #[error("a WebSocket frame of the client is not masked")]
    Unmasked,
    #[error("a WebSocket frame of the server is masked")]
    Masked,
    #[error("a WebSocket control frame is fragmented")]
    FragmentedControl,
    #[error("a WebSocket control frame is longer than 125 bytes")]
    LongControl,
    #[error("a WebSocket frame continues a message that was not begun")]
    NothingToContinue,
    #[error("a WebSocket message begins before the last one has ended")]
    NotContinued,
    #[error("the close frame of the WebSocket is malformed")]
    BadClose,
    #[error("a WebSocket text message is not UTF-8")]
    NotUtf8,
    #[error("the reason in the close frame of the WebSocket is not UTF-8")]
    ReasonNotUtf8,
    #[error("a WebSocket frame of {size} bytes exceeds the limit of {max}")]
    FrameTooLarge {
        /// As declared.
        size: u64,
        max: u64,
    },
    #[error("a WebSocket message exceeds the limit of {max} bytes")]
    MessageTooLarge { max: u64 },
}

impl Violation {
    /// The close code that says so (RFC 6455, 7.4.1).
    pub(super) fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 | Self::ReasonNotUtf8 => INVALID_TEXT,
            Self::FrameTooLarge { .. } | Self::MessageTooLarge { .. } => TOO_LARGE,
            _ => PROTOCOL_ERROR,
        }
    }
}

impl From<Violation> for std::io::Error {
    fn from(violation: Violation) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, violation)
    }
}
