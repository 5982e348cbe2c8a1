//! Why a connection ended.

use std::fmt;

use switchboard_wire::gotalk::ProtocolErrorCode;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The other side closed it, and had its answers first.
    Remote,
    /// The other side said something illegal, and was told with the given code; the text says what it was.
    Illegal(ProtocolErrorCode, String),
    /// The other side said that this side had done so.
    Refused(ProtocolErrorCode),
    /// Nothing whole came within the read time-out.
    ReadTimeout,
    /// The other side took no bytes within the write time-out.
    WriteTimeout,
    /// The transport failed.
    Io(std::io::ErrorKind, String),
}

impl From<std::io::Error> for CloseReason {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind(), error.to_string())
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed by this side"),
            Self::Remote => f.write_str("closed by the other side"),
            Self::Illegal(code, what) => {
                write!(f, "closed because of what the other side sent: {what} ({code})")
            }
            Self::Refused(code) => write!(f, "the other side reported a protocol error: {code}"),
            Self::ReadTimeout => f.write_str("nothing came within the read time-out"),
            Self::WriteTimeout => f.write_str("the other side took nothing within the write time-out"),
            Self::Io(_, what) => f.write_str(what),
        }
    }
}
