//! The hub: where parties that came through different doors meet.
//!
//! A gateway opens a [`Session`] at the [`Hub`] for each party that connects, and turns what the party says into the
//! session's verbs: it [calls](Session::call) operations and [serves](Session::serve) them,
//! [publishes](Session::publish_now) to topics and [subscribes](Session::subscribe) to them. The hub checks names and
//! permissions, finds who is meant, and keeps the last value of each topic.
//!
//! ```
//! use std::sync::Arc;
//! use switchboard_hub::{Account, Body, Call, Hub, Policy, Publish, Replier, SessionInfo};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let hub = Hub::default();
//! let session = hub.open(SessionInfo {
//!     door: "doc".into(),
//!     address: "here".to_owned(),
//!     account: Account::guest(),
//!     client: None,
//! })?;
//!
//! session.serve("echo", Arc::new(|call: Call, reply: Replier| {
//!     if let Body::Single(payload) = call.body {
//!         reply.result(payload);
//!     }
//! }))?;
//! let (reply, answer) = Replier::pair(64 * 1024);
//! session.call("echo".into(), Body::Single("hello".into()), None, reply);
//! assert_eq!(answer.await?.collect(64).await?, "hello");
//!
//! let (sink, mut deliveries) = session.sink(Policy::DropOldest);
//! session.subscribe("home/#", &sink)?;
//! session.publish(Publish::new("home/lamp", "on")).await?;
//! let delivery = deliveries.recv().await?;
//! assert_eq!((&**delivery.topic(), &delivery.message.payload[..]), ("home/lamp", &b"on"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Nothing here is of one protocol: what comes in and goes out are the types of [`switchboard_peer`]'s vocabulary and
//! those below.

mod absences;
mod call;
mod cluster;
mod config;
mod declaration;
mod filter;
mod found;
mod hub;
pub mod keys;
mod media_type;
mod message;
mod meters;
pub mod names;
mod operations;
mod permissions;
mod policy;
mod publishing;
mod rendering;
pub mod requests;
mod responders;
mod retained;
mod session;
mod shards;
mod stats;
mod subscribers;
mod subscription;
mod tree;

pub use call::{Call, Caller, Responder};
pub use config::HubConfig;
pub use declaration::Declaration;
pub use filter::Filter;
pub use found::Found;
pub use hub::Hub;
pub use keys::{Changes, SessionKeys, Stored};
pub use media_type::{MEDIA_TYPE_BYTES_MAX, MediaType, MediaTypeError};
pub use message::{CONTENT_TYPE, HEADER_BYTES_MAX, HEADERS_MAX, MESSAGE_OVERHEAD_BYTES, Message, Publish};
pub use meters::{
    CallMetrics, DoorMetrics, FAULT_KINDS, FaultCounters, FaultCounts, LATENCY_BUCKETS, Latencies, Metrics,
    OTHER, Sample, SampleKind, Sampled,
};
pub use names::{Account, NameError};
pub use operations::{
    OperationPage, OperationSummary, PAGE_MAX, PageRequest, PublishReply, SessionPage, SessionSummary, WhoAmI,
};
pub use permissions::{Permissions, Verb};
pub use policy::{
    BLOCK_TIMEOUT_DEFAULT, BLOCK_TIMEOUT_MAX, Policy, QUEUE_BYTES_DEFAULT, QUEUE_MESSAGES_DEFAULT,
    QueueLimits, UnknownPolicy,
};
pub use publishing::Published;
pub use retained::RetainedLimits;
pub use session::{Session, SessionId, SessionInfo};
pub use stats::Stats;
pub use subscription::{BLOCKED_PUBLISHERS_MAX, Closed, Deliveries, Delivery, Sink, SubscriptionId};
pub use switchboard_peer::{Body, ErrorKind, Fault, Replier};
