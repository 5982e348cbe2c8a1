//! What the binary `switchboard` is made of.
//!
//! `main.rs` only parses, dispatches and exits; everything stands here, where it can be tested without a process:
//!
//! | module | holds |
//! | --- | --- |
//! | [`access_log`] | the file that the HTTP door's access log goes to |
//! | [`cli`] | the command line, which is also the manual |
//! | [`client`] | the way of the commands to the hub |
//! | [`commands`] | what each command does |
//! | [`config`] | file, environment and flags, turned into checked run-time types |
//! | [`confinement`], [`data_directory`] | where the daemon's files are |
//! | [`doors`] | the gateways of the daemon |
//! | [`engines`] | what it keeps its state in |
//! | [`exit`] | the table from faults to exit statuses |
//! | [`hub_url`] | where the hub is |
//! | [`json`] | JSON laid out for people |
//! | [`logging`] | the log |
//! | [`output`], [`payload`] | results to stdout, payloads from arguments or stdin |
//! | [`process`] | programs run for calls |
//! | [`report`] | what a load test found, how far a transfer is |
//! | [`units`] | `10s`, `64KiB`, `unlimited` |

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod access_log;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod confinement;
pub mod data_directory;
pub mod doors;
pub mod engines;
pub mod exit;
pub mod hub_url;
pub mod json;
pub mod logging;
pub mod output;
pub mod payload;
pub mod process;
pub mod report;
pub mod units;
