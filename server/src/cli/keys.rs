//! Arguments of `put`, `get`, `delete`, `incr`, `keys` and `watch`: keys of the hub.

use std::{ffi::OsString, num::NonZeroU64};

use clap::Args;
use serde_json::Number;

use crate::units::Span;

/// Which bucket a command is about.
#[derive(Debug, Clone, Args)]
pub struct BucketArgs {
    /// Bucket of the key [default: default]
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
}

const PUT_AFTER_HELP: &str = "\
The value is kept as it is, whatever bytes it has, up to 64 MiB. Without --expires it stays until it is deleted.

Examples:
  switchboard put greeting hi
  switchboard put --expires 10m session/17 - < session.json
  switchboard put --if-absent lock/printer \"$HOSTNAME\"
  switchboard put --revision 42 counter 7

When the condition is not met nothing is changed, and the exit status is 1.";

/// `switchboard put`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PUT_AFTER_HELP)]
pub struct PutArgs {
    /// Key to set
    #[arg(value_name = "KEY")]
    pub key: OsString,
    /// Value; `-` reads stdin, and so does none, unless stdin is a terminal
    #[arg(value_name = "VALUE")]
    pub value: Option<OsString>,
    /// Forget the key after this long, like 10m
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Span>,
    /// Only if the key has no value
    #[arg(long, conflicts_with = "revision")]
    pub if_absent: bool,
    /// Only if the key still has the value of this revision; 0 stands for none
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

const GET_AFTER_HELP: &str = "\
The value goes to stdout byte for byte; on a terminal a line break is added if it ends without one. The exit status is 1
if there is no such key. The last value of the topic NAME is read as the key topic:NAME.

Examples:
  switchboard get greeting
  switchboard get photo > photo.jpg
  switchboard get --json greeting
  switchboard get topic:home/temperature";

/// `switchboard get`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = GET_AFTER_HELP)]
pub struct GetArgs {
    /// Key to read
    #[arg(value_name = "KEY")]
    pub key: OsString,
    /// Print what is known of the key: value, revision, when it was created and will expire
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

const DELETE_AFTER_HELP: &str = "\
A key that is not there is no fault.

Examples:
  switchboard delete greeting
  switchboard delete --bucket sessions a b c";

/// `switchboard delete`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = DELETE_AFTER_HELP)]
pub struct DeleteArgs {
    /// Keys to delete
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<OsString>,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

const INCR_AFTER_HELP: &str = "\
Prints the new value. A key that is not there counts as 0. Whole numbers have 64 bits; BY with a point makes it a decimal
number.

Examples:
  switchboard incr visitors
  switchboard incr stock/apples -3
  switchboard incr total 0.5";

/// `switchboard incr`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = INCR_AFTER_HELP)]
pub struct IncrArgs {
    /// Key to add to
    #[arg(value_name = "KEY")]
    pub key: OsString,
    /// What to add
    #[arg(value_name = "BY", default_value = "1", allow_hyphen_values = true)]
    pub by: Number,
    /// Forget the key after this long, like 10m; without, it expires when it did
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Span>,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

const KEYS_AFTER_HELP: &str = "\
A key a line, in the order of their bytes. Control characters are escaped, as \\n or \\u{1b}, and what is no UTF-8 is
replaced; --json loses nothing.

Examples:
  switchboard keys
  switchboard keys --values session/
  switchboard keys --json --values | jq .
  switchboard keys topic:home/";

/// `switchboard keys`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = KEYS_AFTER_HELP)]
pub struct KeysArgs {
    /// Only keys that begin so
    #[arg(value_name = "PREFIX")]
    pub prefix: Option<OsString>,
    /// Print a tab and the value too; of one over 1 MiB only how large it is
    #[arg(long)]
    pub values: bool,
    /// Print each key as a JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

const WATCH_AFTER_HELP: &str = "\
First all keys that there are, then what changes, a line each: put, delete or expire, a tab, the key, and for put a tab
and the value. With --json each is an object, and `current` tells where what changes begins.

It goes on until it is stopped, also when the hub is restarted: nothing is missed then, but of a key that changes often
only the last value may be told. `reset` in JSON says that everything is told anew.

Examples:
  switchboard watch session/
  switchboard watch --news --count 1 lock/printer
  switchboard watch --json | jq .";

/// `switchboard watch`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = WATCH_AFTER_HELP)]
pub struct WatchArgs {
    /// Only keys that begin so
    #[arg(value_name = "PREFIX")]
    pub prefix: Option<OsString>,
    /// Only what changes from now on
    #[arg(long)]
    pub news: bool,
    /// End after N lines
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Print each change as a JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub bucket: BucketArgs,
}
