//! The reference engine.

mod blobs;
mod bus;
mod edits;
mod flaw;
mod keys;
mod queues;
mod state;
mod world;

pub use flaw::Flaw;
pub use world::{Reference, World};
