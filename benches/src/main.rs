//! Speed, side by side: Switchboard and the peers a user would pick instead, in one run on one machine.
//!
//! Every suite starts each side's servers as processes of their own (this same binary with `serve`, or the
//! rival's daemon), drives them from another, and lets the sides take turns: A B C, B C A, … in short
//! rounds. What is compared is the ratio within a round, so a noise that lasts longer than a round meets
//! every side alike.

mod address;
mod broker;
mod callers;
mod cli;
mod cluster;
mod contender;
mod echo;
mod events;
mod http;
mod idle;
mod keys;
mod load;
mod oneway;
mod process;
mod pubsub;
mod queues;
mod redis;
mod suite;
mod table;
mod versions;
mod web;
mod web_client;
mod websocket;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    cli::Cli::parse().run().await
}
