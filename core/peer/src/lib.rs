//! A gotalk peer on any byte stream: requests, streams and notifications, in both directions, over one connection.
//!
//! Both ends of a connection are equal: each has [`Handlers`] for what comes, and a [`Peer`] to speak to the other. A
//! call fails with a [`Fault`] of one of two kinds: an Error, which will not go away, or a Retry, which may.
//!
//! ```
//! use switchboard_peer::{Fault, Handlers, Options, Peer};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let greeter = Handlers::new()
//!     .handle("greet", |_, name: String| async move { Ok(format!("Hello, {name}!")) })
//!     .handle_stream("shout", |_, mut words, results| async move {
//!         while let Some(word) = words.next().await {
//!             results.send(word?.to_ascii_uppercase()).await?;
//!         }
//!         Ok::<_, Fault>(())
//!     });
//! let (caller, _greeter) = Peer::pair(Handlers::new(), greeter, Options::default()).await?;
//! let greeting: String = caller.request("greet", "Ada").await?;
//! assert_eq!(greeting, "Hello, Ada!");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```
//!
//! - [`connect`] and [`serve`] make connections over TCP, TLS and Unix sockets, and [`connect`] over [`websocket`];
//!   [`Peer::start`] talks over any byte stream; [`Peer::pair`] over memory.
//! - [`Peer::call`] is a call with a deadline, retries or a stream; [`Peer::notify`] a message without an answer.
//! - [`KeepAlive`] is a connection that comes back by itself. [`AtHub`] is what a program says to a Switchboard hub.
//! - [`Options`] and its [`Limits`] bound what the other side may cause.
//! - [`TagQueues`] is something simpler: messages by number over a byte stream.
//!
//! Giving a call up (by dropping its future, or its result's stream) frees this side at once. The other side is told
//! if it is known to understand: see [`Peer::set_knows_cancel`].

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
mod give_way;
mod handlers;
mod handshake;
mod in_flight;
mod in_service;
mod keep_alive;
mod last_look;
mod look_policy;
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
mod watched;
pub mod websocket;
mod wire_parts;

pub use at_hub::{
    AtHub, DeliveryPolicy, HubOperation, HubSession, HubStats, Login, PublishOptions, Published,
    ServeOptions, WhoAmI,
};
pub use bytes::Bytes;
pub use call::CallBuilder;
pub use close::CloseReason;
pub use connect::{
    ConnectError, Connector, DEFAULT_PATH, DEFAULT_PORT, Url, UrlError, connect, tls_with_roots,
};
pub use context::Context;
pub use cork::arrival;
pub use driver::Transport;
pub use fault::{ErrorKind, Fault};
pub use handlers::Handlers;
pub use handshake::HandshakeError;
pub use keep_alive::{
    BackOff, Declared, Ended, GiveUp, KeepAlive, KeepAliveOptions, KeptCall, Presence, Setback, State,
    Subscription,
};
pub use last_look::LastLook;
pub use options::{Limits, Options};
pub use parts::{PartReceiver, PartSender, Unread, parts};
pub use peer::{Peer, Side};
pub use reply::{Body, Replier, Reply, ReplyFuture};
pub use results::Results;
pub use retry::RetryPolicy;
pub use serve::{Listener, TlsListener, serve};
pub use service::{BoxFuture, Caller, Described, Description, Request, Service};
pub use switchboard_wire::gotalk::{Name, ProtocolErrorCode, RequestId};
pub use switchboard_wire::tagged::Tagged;
pub use tag_queues::{
    TagClaim, TagCounts, TagOptions, TagQueues, TagSendError, TagsEnded, Unclaimed, WhenFull,
};
pub use tokio_util::sync::CancellationToken;
pub use watched::{CallWatch, Watched};
