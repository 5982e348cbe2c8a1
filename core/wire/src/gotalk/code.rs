//! [`ProtocolErrorCode`]: why a side closes the connection.

use std::fmt;

/// The reason carried by a protocol error, the last message before the sender closes.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub enum ProtocolErrorCode {
    /// 0: the sender stops for a reason of its own.
    Abnormal,
    /// 1: the receiver speaks another protocol version.
    Unsupported,
    /// 2: the receiver sent something that is not a legal message.
    InvalidMessage,
    /// 3: the receiver was silent, or slow within a message, for too long.
    Timeout,
    /// A code without a meaning in v1. Codes made with `From<u32>` use this for 4 and above only.
    Other(u32),
}

impl From<u32> for ProtocolErrorCode {
    fn from(code: u32) -> Self {
        match code {
            0 => ProtocolErrorCode::Abnormal,
            1 => ProtocolErrorCode::Unsupported,
            2 => ProtocolErrorCode::InvalidMessage,
            3 => ProtocolErrorCode::Timeout,
            other => ProtocolErrorCode::Other(other),
        }
    }
}

impl From<ProtocolErrorCode> for u32 {
    fn from(code: ProtocolErrorCode) -> Self {
        match code {
            ProtocolErrorCode::Abnormal => 0,
            ProtocolErrorCode::Unsupported => 1,
            ProtocolErrorCode::InvalidMessage => 2,
            ProtocolErrorCode::Timeout => 3,
            ProtocolErrorCode::Other(other) => other,
        }
    }
}

impl fmt::Display for ProtocolErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolErrorCode::Abnormal => f.write_str("closed abnormally"),
            ProtocolErrorCode::Unsupported => f.write_str("unsupported protocol version"),
            ProtocolErrorCode::InvalidMessage => f.write_str("invalid message"),
            ProtocolErrorCode::Timeout => f.write_str("timeout"),
            ProtocolErrorCode::Other(other) => write!(f, "unknown protocol error {other:#010x}"),
        }
    }
}
