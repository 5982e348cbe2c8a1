//! gotalk v1: the messages two peers exchange, and their bytes.
//!
//! A conversation is each side's [`VERSION`] followed by any number of messages. A message starts with one
//! byte that names its kind; everything before the payload is the *header*:
//!
//! ```text
//! r id operation payload    single request      s id operation payload    stream request
//! p id payload              part of a stream request; an empty one ends it
//! R id payload              single result       S id payload   part of a stream result; an empty one ends it
//! E id payload              error result        e id wait payload         retry result
//! n name payload            notification
//! h load time               heartbeat           f code                    protocol error
//!
//! id               4 opaque bytes
//! operation, name  3 hexadecimal digits of size, then that many bytes of UTF-8
//! payload          8 hexadecimal digits of size, then that many bytes
//! wait, time, code 8 hexadecimal digits; load 4
//! ```
//!
//! [`decode`] removes one [`Message`] from the front of a buffer. [`Message::encode`] appends a whole message
//! to one; [`Head::encode`] appends only the header, for writers which pass the payload to the socket as it is.
//!
//! ```
//! use bytes::BytesMut;
//! use switchboard_wire::gotalk::{Bounds, Head, Message, RequestId, decode};
//!
//! let mut buf = BytesMut::from("n004chat00000002hi");
//! let message = decode(&mut buf, &Bounds::default())?;
//! assert!(matches!(message, Some(Message::Notification { name, payload }) if name == "chat" && payload == "hi"));
//! assert_eq!(decode(&mut buf, &Bounds::default())?, None, "more bytes are needed");
//!
//! let mut header = BytesMut::new();
//! Head::SingleResult { id: RequestId::from(0x34333231) }.encode(5, &mut header)?;
//! assert_eq!(header, "R123400000005");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
mod decode;
mod encode;
mod error;
mod id;
mod layout;

pub use code::ProtocolErrorCode;
pub use decode::{decode, decode_version};
pub use encode::{Head, encode_heartbeat, encode_protocol_error};
pub use error::{DecodeError, EncodeError};
pub use id::{ParseRequestIdError, RequestId};
pub use layout::{HEADER_BYTES_MAX, Layout, layout};

use bytes::Bytes;

/// The protocol version which each side sends first.
pub const VERSION: [u8; 2] = *b"01";

/// The longest operation or notification name, in bytes: its size travels as 3 hexadecimal digits.
pub const NAME_BYTES_MAX: usize = 0xfff;

/// The longest payload which [`Bounds::default`] accepts, in bytes (64 MiB): large enough for whole files,
/// small enough that one message cannot exhaust the memory of a small machine.
pub const PAYLOAD_BYTES_MAX_DEFAULT: usize = 64 << 20;

/// The byte that names the kind of a message.
const KIND_BYTES: usize = 1;
/// A request id.
const ID_BYTES: usize = 4;
/// The size of a name.
const NAME_SIZE_DIGITS: usize = 3;
/// The load of a heartbeat.
const LOAD_DIGITS: usize = 4;
/// Every other number: the size of a payload, a wait, a time, a code.
const NUMBER_DIGITS: usize = 8;

/// An operation or notification name: checked UTF-8 which shares the buffer it was read from.
///
/// A name that outlives its message (a key of a table) should be copied: it keeps the read buffer alive.
pub type Name = bytestring::ByteString;

/// What [`decode`] accepts.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Longest operation or notification name, in bytes. Values above [`NAME_BYTES_MAX`] act like it.
    pub name_bytes_max: usize,
    /// Longest payload, in bytes.
    pub payload_bytes_max: usize,
}

impl Default for Bounds {
    /// Every legal name, and payloads of up to 64 MiB.
    fn default() -> Self {
        Bounds {
            name_bytes_max: NAME_BYTES_MAX,
            payload_bytes_max: PAYLOAD_BYTES_MAX_DEFAULT,
        }
    }
}

/// One message of gotalk v1.
///
/// Request ids are chosen by the requesting side and are separate for each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `r`: a request whose payload is complete.
    SingleRequest {
        /// Names the request in its answers.
        id: RequestId,
        /// What to do; may be empty on the wire.
        operation: Name,
        /// The parameters.
        payload: Bytes,
    },
    /// `s`: the start of a request whose payload goes on in [`Message::StreamPart`]s.
    StreamRequest {
        /// Names the request in its parts and answers.
        id: RequestId,
        /// What to do; may be empty on the wire.
        operation: Name,
        /// The first part; an empty one does not end the stream.
        payload: Bytes,
    },
    /// `p`: more of a stream request.
    StreamPart {
        /// The stream request it belongs to.
        id: RequestId,
        /// The part; an empty one ends the request.
        payload: Bytes,
    },
    /// `R`: a complete result.
    SingleResult {
        /// The request it answers.
        id: RequestId,
        /// The result.
        payload: Bytes,
    },
    /// `S`: part of a streamed result.
    StreamResult {
        /// The request it answers.
        id: RequestId,
        /// The part; an empty one ends the result.
        payload: Bytes,
    },
    /// `E`: the request failed, and would fail again.
    ErrorResult {
        /// The request it answers.
        id: RequestId,
        /// The reason, UTF-8 text by convention.
        payload: Bytes,
    },
    /// `e`: the request was not done; it may be sent again later.
    RetryResult {
        /// The request it answers.
        id: RequestId,
        /// How long to wait before sending it again, in milliseconds.
        wait_ms: u32,
        /// The reason, UTF-8 text by convention.
        payload: Bytes,
    },
    /// `n`: a message that expects no answer.
    Notification {
        /// What it is about; may be empty on the wire.
        name: Name,
        /// Its content.
        payload: Bytes,
    },
    /// `h`: the sender is alive.
    Heartbeat {
        /// How busy the sender is, from 0 (idle) to 65535.
        load: u16,
        /// The sender's clock, in seconds since the Unix epoch.
        time: u32,
    },
    /// `f`: the sender closes the connection, for this reason.
    ProtocolError(ProtocolErrorCode),
}
