//! The binary against itself: real processes that talk through a real daemon, on ports and in folders of their own.
//!
//! Nothing here sleeps to wait for something: tests wait for lines that programs print, for their ends, and for pipes.
//! Every wait is bounded.

mod bench;
mod calls;
mod daemon;
mod handles;
mod http;
mod keys;
mod raw;
mod state;
mod support;
mod tls;
mod topics;
