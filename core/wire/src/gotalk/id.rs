//! [`RequestId`]: the four opaque bytes by which answers find their request.

use std::fmt;
use std::str::FromStr;

use crate::hex;

/// Names a request in its parts and answers. The receiver attaches no meaning to its four bytes.
///
/// Requesters which count make ids from numbers, little-endian as the reference implementation does.
/// Shown, and parsed, as the 8 hexadecimal digits of its bytes in wire order, lower case when shown.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(pub [u8; 4]);

/// A text is not a [`RequestId`]: it is not exactly 8 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 8 hexadecimal digits")]
pub struct ParseRequestIdError;

impl From<u32> for RequestId {
    fn from(number: u32) -> Self {
        RequestId(number.to_le_bytes())
    }
}

impl From<RequestId> for u32 {
    fn from(id: RequestId) -> Self {
        u32::from_le_bytes(id.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u32::from_be_bytes(self.0);
        write!(f, "{number:08x}")
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RequestId {
    type Err = ParseRequestIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes().try_into().map_err(|_| ParseRequestIdError)?;
        let number = hex::read_u32(digits).ok_or(ParseRequestIdError)?;
        Ok(RequestId(number.to_be_bytes()))
    }
}
