//! The engine against real servers: the contract, and what becomes of it when servers fail.

mod admission;
mod cluster;
mod contract;
mod edits;
mod failures;
mod large;
mod server;
mod tools;
mod watches;
