//! State in a NATS JetStream cluster, for more than one machine: hubs are stateless, and any number of them that use
//! one cluster are one switchboard.
//!
//! [`Nats`] keeps the [`Engine`](switchboard_engine::Engine) contract whole; what differs from an engine in one process
//! is said in `docs/engine-nats.md`. It is built from a few properties of JetStream (servers from 2.12 on), each
//! proven by the tests:
//!
//! - a message can be stored on the condition that the last one of its subject has a known sequence, and several
//!   messages in one step: all writes are that;
//! - the last messages of many subjects are read at one moment, from any copy, with a word on how far that copy is:
//!   so this hub never sees less than it has written;
//! - a consumer brings what is stored in the order it was: watches and queues follow the streams.
//!
//! What needs a clock goes by the one that is handed in: the servers' own expiry only clears up behind it.

mod blobs;
mod bus;
mod engine;
mod feed;
mod janitor;
mod keys;
mod link;
mod names;
mod options;
mod queues;
mod register;

pub use engine::Nats;
pub use link::{AWAY_TIME_MAX, CALL_TIME_MAX};
pub use options::{NatsOptions, PREFIX_DEFAULT, REPLICAS_MAX};
