//! Arguments of `bench`, the load generator.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use clap::{Args, Subcommand};

use crate::{
    report::progress::Goal,
    units::{ByteSize, Span},
};

/// How long a load test runs unless told otherwise: long enough for a steady rate.
const DURATION_DEFAULT: Duration = Duration::from_secs(5);

const AFTER_HELP: &str = "\
Prints how many went through a second, and how long they took, as quantiles and as a chart. On a terminal a bar shows
how far it is. The exit status is 0 if anything went through.

An operation that is named must give back what it gets for `stream` to count it; for `call` it may answer anything.
A message of `publish` has at least 16 bytes: it carries when it was sent.

Examples:
  switchboard bench call
  switchboard bench call --connections 50 --in-flight 16 --size 1KiB
  switchboard bench publish --count 1000000 --json
  switchboard bench stream --size 64KiB --duration 30s";

/// `switchboard bench`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = AFTER_HELP)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Calls: payload there, result back
    Call {
        /// Operation to call; without it, the bench serves an echo through the hub itself
        #[arg(value_name = "OP")]
        operation: Option<String>,
        /// How much.
        #[command(flatten)]
        load: Load,
    },
    /// Messages: from publishers to one subscriber
    Publish {
        /// Topic to publish to; without it, one of the bench's own
        #[arg(value_name = "TOPIC")]
        topic: Option<String>,
        /// How much.
        #[command(flatten)]
        load: Load,
    },
    /// Bytes: streams there and back, in chunks of --size
    Stream {
        /// Operation to call; without it, the bench serves an echo through the hub itself
        #[arg(value_name = "OP")]
        operation: Option<String>,
        /// How much.
        #[command(flatten)]
        load: Load,
    },
}

/// How much load to make.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// Connections to open
    #[arg(long, value_name = "N", default_value = "1")]
    pub connections: NonZeroUsize,
    /// Requests or streams in flight on each connection
    #[arg(long, value_name = "N", default_value = "16")]
    pub in_flight: NonZeroUsize,
    /// Payload of each request, message or chunk, like 1KiB
    #[arg(long, value_name = "SIZE", default_value = "16B")]
    pub size: ByteSize,
    /// How long to run, like 30s [default: 5s]
    #[arg(long, value_name = "TIME", conflicts_with = "count")]
    pub duration: Option<Span>,
    /// How many requests or messages to send in all, instead of a duration
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Load {
    /// What the run goes to.
    pub fn goal(&self) -> Goal {
        match (self.count, self.duration) {
            (Some(count), _) => Goal::Count(count.get()),
            (None, Some(span)) => Goal::Time(span.0),
            (None, None) => Goal::Time(DURATION_DEFAULT),
        }
    }
}
