//! Arguments of `call` and `handle`: operations from their two ends.

use std::{ffi::OsString, num::NonZeroUsize};

use clap::{Args, ValueHint};

use crate::units::Span;

const CALL_AFTER_HELP: &str = "\
The result goes to stdout byte for byte, a streamed one as it arrives.
On a terminal a line break is added if it ends without one.

Examples:
  switchboard call upper hello
  echo hello | switchboard call upper
  switchboard call thumbnail - < photo.jpg > small.jpg
  switchboard call --stream follow /var/log/syslog
  switchboard call --json hub.ops '{}'
  switchboard call --retry 5 --timeout 2s lamp.switch on

The exit status tells the two kinds of fault apart: 1 is an Error (do not try again as is), 75 a Retry.";

/// `switchboard call`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = CALL_AFTER_HELP)]
pub struct CallArgs {
    /// Operation to call
    #[arg(value_name = "OP")]
    pub operation: String,
    /// Payload; `-` reads stdin, and so does none, unless stdin is a terminal
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<OsString>,
    /// Send the payload while it is being read, and print the result while it arrives
    #[arg(long)]
    pub stream: bool,
    /// How long to wait for the result, like 10s; the hub's own bound holds in any case
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// The payload must be JSON; a JSON result is printed with indentation
    #[arg(long, conflicts_with = "stream")]
    pub json: bool,
    /// When told to retry, wait as long as told and try again, up to N times
    ///
    /// So it does when the hub goes away: then the operation may be done twice.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "stream")]
    pub retry: u32,
}

const HANDLE_AFTER_HELP: &str = "\
The program is started once for each call. It reads the payload from stdin and writes the result to stdout:

  exit status 0    the result is what it wrote to stdout
  exit status 75   Retry: the caller may try again in a second; stderr says why
  any other        Error: stderr says why (its last 4 KiB)

It finds in its environment:

  SWITCHBOARD_OPERATION     the operation that was called
  SWITCHBOARD_ACCOUNT       who called
  SWITCHBOARD_DOOR          how the caller is connected: gotalk, http, websocket, …
  SWITCHBOARD_CONTENT_TYPE  what the payload is, such as image/png, if the caller said so
  SWITCHBOARD_DEADLINE_MS   milliseconds left for the call

When the caller gives up or the deadline passes, the program and everything it started get SIGTERM, and two seconds
later SIGKILL. What it leaves running in the background when it ends has two seconds to finish its output.

A streaming request is answered with a stream and a single one with a single result, unless --stream or --single
says otherwise. Several `handle` of one operation, here or on other machines, share its calls.

It goes on until it is stopped, also when the hub is restarted: then it serves again. SIGTERM and SIGINT let programs
that run end within ten seconds, and take no more calls; a second one kills them. SWITCHBOARD_LOG_LEVEL=info tells more.

Examples:
  switchboard handle upper -- tr a-z A-Z
  switchboard handle thumbnail --jobs 2 --timeout 30s -- convert - -resize 200x200 jpg:-
  switchboard handle logo --safe --result-type image/png -- cat logo.png
  switchboard handle follow --stream -- sh -c 'read file; tail -f \"$file\"'";

/// `switchboard handle`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = HANDLE_AFTER_HELP)]
pub struct HandleArgs {
    /// Operation to serve
    #[arg(value_name = "OP")]
    pub operation: String,
    /// Program to run for each call, and its arguments
    #[arg(value_name = "CMD", last = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
    /// Programs that may run at once; more calls are told to retry [default: the number of processors]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How long one call may take, like 30s
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// Always answer with a stream: the caller gets output as the program writes it
    #[arg(long, conflicts_with = "single")]
    pub stream: bool,
    /// Always answer with a single result, once the program has ended
    #[arg(long)]
    pub single: bool,
    /// Calls change nothing: so GET over HTTP may make them
    ///
    /// Where several serve the operation it is safe only if all say so.
    #[arg(long)]
    pub safe: bool,
    /// What the results are, as a media type, for callers over HTTP
    #[arg(long, value_name = "TYPE")]
    pub result_type: Option<String>,
}

impl HandleArgs {
    /// Programs that may run at once.
    pub fn jobs(&self) -> NonZeroUsize {
        self.jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }
}
