//! Engines: where the hub keeps what must outlast a connection, or be shared by several hubs.
//!
//! An [`Engine`] has four parts, each with exact semantics that its module states:
//!
//! | part | module | in short |
//! | --- | --- | --- |
//! | [`Bus`] | [`bus`] | messages between the hubs of one engine, at most once, in the order of each publisher |
//! | [`Keys`] | [`keys`] | buckets of values and [`structures`], with revisions, conditions, expiry, ordered scans, watches, atomic batches and edits |
//! | [`Queues`] | [`queues`] | jobs under leases, at least once: delays, priorities, dead letters |
//! | [`Blobs`] | [`blobs`] | large values, written and read as streams, visible whole or not at all |
//!
//! The hub is the only user: gateways and services reach an engine through a session's verbs, so names and limits are
//! checked there by [`names`], and an engine may rely on them.
//!
//! Every method returns an [`Answer`]: at once where the engine has it at hand, or a future. All engines pass one suite
//! of properties, in the crate `switchboard-engine-contract`.

pub mod answer;
pub mod blobs;
pub mod blocking;
pub mod bus;
pub mod clock;
mod engine;
mod error;
pub mod keys;
pub mod names;
pub mod queues;
pub mod structures;
pub mod transfer;

pub use answer::Answer;
pub use blobs::Blobs;
pub use bus::Bus;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use engine::{Durability, Engine, Health};
pub use error::EngineError;
pub use keys::Keys;
pub use names::{Bucket, Key, QueueName};
pub use queues::Queues;
pub use structures::Kind;

/// What an engine's methods come to.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;
