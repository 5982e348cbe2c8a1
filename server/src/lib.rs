//! What the binary `switchboard` is made of: command line, configuration, log, child processes, payloads, reports.
//!
//! `main.rs` only parses, loads, dispatches and exits; everything that can be tested without a process stands here.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod config;
pub mod logging;
pub mod process;
pub mod units;
