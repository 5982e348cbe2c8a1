//! A gotalk peer on any byte stream: requests, streams and notifications, in both directions, over one connection.

mod at_hub;
mod call;
mod cancel;
mod close;
mod connect;
mod connection;
mod context;
mod cork;
mod driver;
mod fault;
mod handlers;
mod handshake;
mod in_flight;
mod in_service;
mod keep_alive;
mod options;
mod outbox;
mod panics;
mod parts;
mod peer;
mod reply;
mod results;
mod retry;
mod serve;
mod service;
mod tag_queues;
mod wire_parts;

pub use at_hub::{
    AtHub, DeliveryPolicy, HubOperation, HubSession, HubStats, Login, PublishOptions, Published,
    ServeOptions, WhoAmI,
};
pub use call::CallBuilder;
pub use close::CloseReason;
pub use connect::{ConnectError, Connector, DEFAULT_PORT, Url, UrlError, connect, tls_with_roots};
pub use context::Context;
pub use driver::Transport;
pub use fault::{ErrorKind, Fault};
pub use handlers::Handlers;
pub use handshake::HandshakeError;
pub use keep_alive::{
    BackOff, Ended, GiveUp, KeepAlive, KeepAliveOptions, KeptCall, Presence, Setback, State, Subscription,
};
pub use options::{Limits, Options};
pub use parts::{PartReceiver, PartSender, Unread, parts};
pub use peer::{Peer, Side};
pub use reply::{Body, InUse, Replier, Reply, ReplyFuture};
pub use results::Results;
pub use retry::RetryPolicy;
pub use serve::{Listener, serve};
pub use service::{BoxFuture, Caller, Described, Description, Request, Service};
pub use switchboard_wire::gotalk::{Name, ProtocolErrorCode, RequestId};
pub use switchboard_wire::tagged::Tagged;
pub use tag_queues::{TagClaim, TagCounts, TagOptions, TagQueues, TagSendError, TagsEnded, Unclaimed, WhenFull};
