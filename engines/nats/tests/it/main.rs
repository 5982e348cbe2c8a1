//! The engine against real servers: the contract, and what becomes of it when servers fail.

mod contract;
mod server;
