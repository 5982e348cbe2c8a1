//! gotalk over WebSocket (RFC 6455): a byte stream like any other, once the upgrade is done.
//!
//! [`WebSocket`] turns a connection that was upgraded into a [`Transport`](crate::Transport). What comes in text and
//! binary frames, however they are cut, is one stream of bytes; nothing of it is held back, so that a payload in one
//! large frame arrives as it would over TCP, and an idle connection holds no buffer. What goes out is cut by
//! [`Framing`]: a browser with the original gotalk.js reads one piece a frame, a peer that names
//! [`SUBPROTOCOL`] takes whole batches.
//!
//! - A ping is answered between two frames. This side sends one when it has heard nothing for
//!   [`WebSocketOptions::ping_after`]; a pong between two messages counts as a heartbeat. So a page in the background,
//!   whose timers the browser holds back, is not taken for dead, and one that stops within a message is.
//! - A normal end is Close 1000; after a protocol error of ours it is 4000 and the code. Close 4000 and more from the
//!   other side is read as the protocol error, if that did not come by itself.
//! - A Close ends what the other side says. It still gets the results that are ready within a second, then our Close.
//! - Whoever breaks the rules of WebSocket is told by the close code: 1002, 1007 for text that is none, 1009 for more
//!   than [`WebSocketOptions`] allow.
//!
//! This is no library's adapter because those hand out whole messages: a large frame on a slow line would not show any
//! progress until the read time-out, its declared size would be reserved, and nothing could be written once the other
//! side has said its last.

mod client;
mod close;
mod frame;
mod incoming;
mod outgoing;
mod tracker;
mod transport;
mod upgrade;
mod utf8;
mod violation;

use std::time::Duration;

pub(crate) use client::{Target, upgrade};
pub use transport::WebSocket;
pub use upgrade::{SUBPROTOCOL, Upgrade, UpgradeError, accept_key};

/// Which end of a WebSocket this is: only clients mask what they send.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// This end asked for the upgrade.
    Client,
    /// This end granted it.
    Server,
}

/// How what is sent is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The version, each header and each payload is a binary frame of its own, as the original gotalk.js reads them.
    Pieces,
    /// What is written at once is one binary frame, up to 64 KiB.
    Batch,
}

/// The bounds of a WebSocket, and its pings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// Bytes of one frame's payload; a larger one ends the connection with 1009. Frames are not gathered: what they
    /// hold is bounded by [`Limits`](crate::Limits). Default 64 MiB.
    pub frame_bytes_max: u64,
    /// Bytes of one message, all its fragments together; a larger one ends the connection with 1009. Default 64 MiB.
    pub message_bytes_max: u64,
    /// A ping is sent when nothing was heard for so long; `None` sends none. Keep it well below
    /// [`Options::read_timeout`](crate::Options::read_timeout). Default 20 s.
    pub ping_after: Option<Duration>,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            frame_bytes_max: 64 << 20,
            message_bytes_max: 64 << 20,
            ping_after: Some(Duration::from_secs(20)),
        }
    }
}

/// The server's end of a connection that was upgraded, framed as [`Upgrade::framing`] says. Nagle's algorithm should
/// be off on the socket below.
pub fn server_transport<S>(io: S, framing: Framing, options: &WebSocketOptions) -> WebSocket<S> {
    WebSocket::new(io, Role::Server, framing, options)
}
