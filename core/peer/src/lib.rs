//! A gotalk peer on any byte stream: requests, streams and notifications, in both directions, over one connection.

mod call;
mod cancel;
mod close;
mod connection;
mod cork;
mod driver;
mod fault;
mod handshake;
mod in_flight;
mod in_service;
mod options;
mod outbox;
mod panics;
mod parts;
mod peer;
mod reply;
mod retry;
mod service;
mod wire_parts;

pub use call::CallBuilder;
pub use close::CloseReason;
pub use driver::Transport;
pub use fault::{ErrorKind, Fault};
pub use handshake::HandshakeError;
pub use options::{Limits, Options};
pub use parts::{PartReceiver, PartSender, Unread, parts};
pub use peer::{Peer, Side};
pub use reply::{Body, InUse, Replier, Reply, ReplyFuture};
pub use retry::RetryPolicy;
pub use service::{BoxFuture, Caller, Described, Description, Request, Service};
pub use switchboard_wire::gotalk::{Name, ProtocolErrorCode, RequestId};
